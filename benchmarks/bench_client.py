"""What the client adds to a request, over bare httpx in the same run.

A small server in another process answers every request at once with the same bytes. Four ways to
ask it take turns in short blocks, so that a change of the machine hits all of them: httpx with the
body made beforehand, sync and async, and `edgewise.Client` and `AsyncClient`, which also encode the
tensor, state deadline and network, decode and check the answer, and keep their estimate. The
median over all requests is reported, and what the client adds to it.

    python benchmarks/bench_client.py --seconds 20
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
from collections.abc import Awaitable, Callable
from multiprocessing.connection import Connection
from time import perf_counter

import httpx
import numpy as np

import edgewise
from edgewise.protocol.http.client_codec import LENGTH_HEADER, request_body
from edgewise.protocol.messages import Tensor
from smoke import shortened

BLOCK = 50
ALWAYS = {
    "variant": "m", "accuracy": 99.0, "queue_ms": 0.0, "preprocess_ms": 0.0, "inference_ms": 0.0,
}  # fmt: skip


class CannedServer(asyncio.Protocol):
    """Counts the bytes of a request, answers when they are there."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer
        self._got = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        end = self._got.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._got[:end].lower()
        length = 0
        for line in head.split(b"\r\n"):
            if line.startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        if len(self._got) >= end + 4 + length:
            self._got.clear()
            self._transport.write(self._answer)  # type: ignore[attr-defined]


def canned() -> bytes:
    scores = np.linspace(0, 1, 1000, dtype=np.float32).tobytes()
    output = {
        "name": "scores", "datatype": "FP32", "shape": [1, 1000],
        "parameters": {"binary_data_size": len(scores)},
    }  # fmt: skip
    head = json.dumps({"model_name": "m", "outputs": [output], "parameters": ALWAYS}).encode()
    lines = (
        f"HTTP/1.1 200 OK\r\nContent-Length: {len(head) + len(scores)}\r\n"
        f"{LENGTH_HEADER}: {len(head)}\r\n\r\n"
    )
    return lines.encode() + head + scores


def serve(said: Connection) -> None:
    async def main() -> None:
        answer = canned()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: CannedServer(answer), "127.0.0.1", 0)
        said.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


def timed(ask: Callable[[], object]) -> list[float]:
    times = []
    for _ in range(BLOCK):
        start = perf_counter()
        ask()
        times.append(1e6 * (perf_counter() - start))
    return times


async def timed_async(ask: Callable[[], Awaitable[object]]) -> list[float]:
    times = []
    for _ in range(BLOCK):
        start = perf_counter()
        await ask()
        times.append(1e6 * (perf_counter() - start))
    return times


def run(url: str, values: np.ndarray, seconds: float) -> dict[str, list[float]]:
    tensor = Tensor("input", "FP32", values.shape, values)
    body = request_body([tensor], parameters={"sla_ms": 1000.0})
    content = body.head(0.0) + b"".join(bytes(part) for part in body.binary)
    headers = {LENGTH_HEADER: str(body.head_bytes), "Content-Type": "application/octet-stream"}
    target = f"{url}/v2/models/m/infer"
    times: dict[str, list[float]] = {}
    loop = asyncio.new_event_loop()
    bare = httpx.Client()
    bare_async = httpx.AsyncClient()
    ours = edgewise.Client(url, "m", sla_ms=1000.0)
    ours_async = edgewise.AsyncClient(url, "m", sla_ms=1000.0)
    ways: dict[str, Callable[[], list[float]]] = {
        "httpx.Client": lambda: timed(
            lambda: bare.post(target, content=content, headers=headers).content
        ),
        "edgewise.Client": lambda: timed(lambda: ours.infer(values)),
        "httpx.AsyncClient": lambda: loop.run_until_complete(
            timed_async(lambda: bare_async.post(target, content=content, headers=headers))
        ),
        "edgewise.AsyncClient": lambda: loop.run_until_complete(
            timed_async(lambda: ours_async.infer(values))
        ),
    }
    for way in ways.values():  # connections, imports
        way()
    end = perf_counter() + seconds
    while perf_counter() < end:
        for name, way in ways.items():
            times.setdefault(name, []).extend(way())
    bare.close()
    ours.close()
    loop.run_until_complete(asyncio.wait_for(_close(bare_async, ours_async), 5))
    loop.close()
    return times


async def _close(bare: httpx.AsyncClient, ours: edgewise.AsyncClient) -> None:
    await bare.aclose()
    await ours.close()


def main() -> None:
    shortened("--seconds", "0.3")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0, help="per size of the input")
    seconds = parser.parse_args().seconds
    context = multiprocessing.get_context("spawn")
    said, says = context.Pipe(duplex=False)
    server = context.Process(target=serve, args=(says,), daemon=True)
    server.start()
    url = f"http://127.0.0.1:{said.recv()}"
    for side in (16, 224):
        values = np.zeros((1, side, side, 3), dtype=np.float32)
        times = run(url, values, seconds)
        print(
            f"\ninput {values.nbytes / 1e3:.0f} kB, {len(times['edgewise.Client'])} requests each"
        )
        for name, each in times.items():
            p50, p99 = statistics.median(each), float(np.quantile(each, 0.99))
            base = statistics.median(times[name.replace("edgewise", "httpx")])
            more = f", {p50 - base:+.0f} µs over httpx" if name.startswith("edgewise") else ""
            print(f"  {name:21} median {p50:6.0f} µs, p99 {p99:6.0f} µs{more}")
    server.terminate()
    server.join()


if __name__ == "__main__":
    main()
