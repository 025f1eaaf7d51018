"""What the HTTP side takes per request, beside bare Starlette on the same uvicorn.

Each server has a process, with a service that does nothing; one caller asks them in turn over one
warm connection each, so that whatever else the machine does hits all alike. "bare" reads the body
and sends the same answer back without looking at it; "decoding" makes an array of the input and
encodes the answer, as every service has to, without a check; ours does it with all checks.

"kept": with the C library's allocator set as ours is (`server.http.memory`). "plain ASGI": our
application on uvicorn as it is, without our own protocol below it.

python benchmarks/bench_http.py [REQUESTS]
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from edgewise.protocol.messages import InferRequest, InferResult, Tensor
from edgewise.protocol.metadata import ModelMetadata
from edgewise.server.http.app import App
from edgewise.server.settings import ServerSettings
from smoke import shortened

_PIXELS = (1, 224, 224, 3)
_CLASSES = 10
_BLOCK = 50


class NoService:
    """Answers at once."""

    def __init__(self) -> None:
        scores = Tensor("scores", "FP32", (1, _CLASSES), np.full((1, _CLASSES), 0.1, np.float32))
        self.result = InferResult(
            model="m", family="f", variant="v", accuracy=0.9, outputs=(scores,), budget_ms=80.0,
            basis="client", predicted_queue_ms=0.0, queue_ms=0.0, predicted_ms=1.0,
            preprocess_ms=0.0, inference_ms=1.0, cold_ms=0.0, policy="deadline", probability=1.0,
            in_time=True,
        )  # fmt: skip

    async def infer(self, _: InferRequest) -> InferResult:
        return self.result

    def ask(self, _: InferRequest, told: Callable[[InferResult], None]) -> Callable[[], None]:
        asyncio.get_running_loop().call_soon(told, self.result)
        return lambda: None

    def subscribe(self, _: Any) -> None:
        pass

    def model_ready(self, _: str, __: str = "") -> bool:
        return True

    def model_metadata(self, name: str, _: str = "") -> ModelMetadata:
        return ModelMetadata(name, ("1",), "none", (), ())


def small_json() -> tuple[bytes, str]:
    """64 numbers, flat."""
    values = {"name": "x", "datatype": "FP32", "shape": [1, 64], "data": [0.5] * 64}
    return json.dumps(
        {"inputs": [values], "parameters": {"sla_ms": 100, "rtt_ms": 20}}
    ).encode(), ""


def large_binary() -> tuple[bytes, str]:
    """A 224 × 224 image as FP32, 600 kB."""
    content = bytes(4 * int(np.prod(_PIXELS)))
    parameters = {"binary_data_size": len(content)}
    values = {"name": "x", "datatype": "FP32", "shape": _PIXELS, "parameters": parameters}
    head = json.dumps(
        {
            "inputs": [values],
            "parameters": {"sla_ms": 100, "rtt_ms": 20, "binary_data_output": True},
        }
    ).encode()
    return head + content, f"Inference-Header-Content-Length: {len(head)}\r\n"


def _bare(content: bytes) -> Any:
    from starlette.requests import Request
    from starlette.responses import Response

    async def infer(request: Request) -> Response:
        await request.body()
        return Response(content, media_type="application/json")

    return infer


def _decoding(content: bytes) -> Any:
    from starlette.requests import Request
    from starlette.responses import JSONResponse

    answer = json.loads(content)
    scores = np.full((1, _CLASSES), 0.1, np.float32)

    async def infer(request: Request) -> JSONResponse:
        body = await request.body()
        length = request.headers.get("inference-header-content-length")
        asked = json.loads(body[: int(length)] if length else body)["inputs"][0]
        if length:
            np.frombuffer(body, np.float32, offset=int(length)).reshape(asked["shape"])
        else:
            np.array(asked["data"], np.float32).reshape(asked["shape"])
        outputs = [{**answer["outputs"][0], "data": scores.ravel().tolist()}]
        return JSONResponse({**answer, "outputs": outputs})

    return infer


async def _starlette(told: Connection, endpoint: Any) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Route

    route = Route("/v2/models/{model}/infer", endpoint, methods=["POST"])
    await _uvicorn(told, Starlette(routes=[route]))


async def _uvicorn(told: Connection, app: Any) -> None:
    import uvicorn

    server = uvicorn.Server(
        uvicorn.Config(app, port=0, log_level="error", access_log=False, http="httptools",
                       lifespan="off")
    )  # fmt: skip
    running = asyncio.get_running_loop().create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    told.send(server.servers[0].sockets[0].getsockname()[1])
    await asyncio.to_thread(told.recv)
    server.should_exit = True
    await running


async def _plain(told: Connection) -> None:
    """Our application on uvicorn as it is."""
    await _uvicorn(told, _app(ServerSettings(port=0)))


def _app(settings: ServerSettings) -> App:
    return App(
        NoService(),  # type: ignore[arg-type]
        settings,
        metrics=lambda: (b"", ""),
        page=bytes,
        snapshot=dict,
    )


async def _edgewise(told: Connection) -> None:
    from edgewise.server.http.server import serve_http

    settings = ServerSettings(port=0)
    server = await serve_http(_app(settings), settings)
    told.send(server.port)
    await asyncio.to_thread(told.recv)
    await server.close()


def _server(told: Connection, which: str) -> None:
    import uvloop

    from edgewise.protocol.http.codec import Asked
    from edgewise.server.http import answers
    from edgewise.server.http.memory import keep_freed_memory

    if which.startswith("kept "):
        which = which.removeprefix("kept ")
        keep_freed_memory()
    answer = answers.of_result(NoService().result, Asked((), {}))
    content = b"".join(answer.body)
    if which == "bare":
        uvloop.run(_starlette(told, _bare(content)))
    elif which == "decoding":
        uvloop.run(_starlette(told, _decoding(content)))
    elif which == "plain ASGI":
        uvloop.run(_plain(told))
    else:
        uvloop.run(_edgewise(told))


def _ask(connection: socket.socket, request: bytes) -> float:
    """Milliseconds from the first byte sent to the last received."""
    began = time.perf_counter()
    connection.sendall(request)
    raw = connection.recv(65536)
    head, _, body = raw.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    took_ms = (time.perf_counter() - began) * 1000
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(raw[:500])
    return took_ms


def measure(ports: list[int], body: bytes, head: str, requests: int) -> list[np.ndarray]:
    """Times of all servers, asked in turn in blocks, without the first block of each."""
    raw = (
        f"POST /v2/models/m/infer HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        f"Accept: */*\r\nUser-Agent: bench\r\n{head}Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body
    connections = [socket.create_connection(("127.0.0.1", port)) for port in ports]
    times: list[list[float]] = [[] for _ in ports]
    for each in connections:
        each.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for block in range(1 + requests // _BLOCK):
        for which, connection in enumerate(connections):
            got = [_ask(connection, raw) for _ in range(_BLOCK)]
            times[which] += got if block else []
    for each in connections:
        each.close()
    return [np.array(each) for each in times]


def main() -> None:
    """Measure and print."""
    shortened("60")
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 4000
    context = multiprocessing.get_context("spawn")
    servers = {}
    for which in ("bare", "kept bare", "decoding", "kept decoding", "kept plain ASGI", "Edgewise"):
        mine, its = multiprocessing.Pipe()
        process = context.Process(target=_server, args=(its, which))
        process.start()
        servers[which] = (process, mine, mine.recv())
    ports = [port for _, _, port in servers.values()]
    print("body                 server             p50 ms   p90 ms   p99 ms")
    bodies = {"JSON, 64 numbers": small_json(), "binary, 600 kB": large_binary()}
    for name, (body, head) in bodies.items():
        for server, times in zip(servers, measure(ports, body, head, requests), strict=True):
            p50, p90, p99 = np.percentile(times, [50, 90, 99])
            print(f"{name:20} {server:16} {p50:8.3f} {p90:8.3f} {p99:8.3f}")
    for process, told, _ in servers.values():
        told.send(None)
        process.join()


if __name__ == "__main__":
    main()
