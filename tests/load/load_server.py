"""A small server of the Open Inference Protocol whose delays and failures a test decides."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import uvicorn


@dataclass
class Server:
    """`name` decides whether it speaks as Edgewise does. An answer takes `delay_ms`; request i is
    treated as `kinds[i % len(kinds)]`: ok, refuse, error, hang, drop or garbage. What it was asked
    is in `seen`. The class that it answers is the first byte of the input modulo 10.
    """

    name: str = "edgewise"
    extensions: tuple[str, ...] = ("binary_tensor_data",)
    inputs: tuple[dict[str, Any], ...] = ({"name": "x", "datatype": "FP32", "shape": [1, 4]},)
    delay_ms: float = 0.0
    kinds: tuple[str, ...] = ("ok",)
    token: str | None = None
    url: str = ""
    seen: list[dict[str, Any]] = field(default_factory=list)
    connections: set[Any] = field(default_factory=set)
    stop: Callable[[], None] = lambda: None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            event = await receive()
            body += event.get("body", b"")
            if not event.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        if self.token and headers.get("authorization") != f"Bearer {self.token}":
            await _reply(send, 401, b'{"error":"no"}')
        elif scope["method"] == "GET":
            await self._about(scope["path"], send)
        else:
            self.connections.add(scope["client"])
            await self._infer(headers, body, send)

    async def _about(self, path: str, send: Any) -> None:
        if path == "/v2":
            content: Any = {"name": self.name, "version": "1", "extensions": self.extensions}
        elif path == "/v2/models/m":
            content = {"name": "m", "inputs": self.inputs, "outputs": []}
        else:
            await _reply(send, 404, b'{"error":"no such model"}')
            return
        await _reply(send, 200, json.dumps(content).encode())

    async def _infer(self, headers: dict[str, str], body: bytes, send: Any) -> None:
        length = int(headers.get("inference-header-content-length", len(body)))
        request = json.loads(body[:length])
        self.seen.append({**request, "raw": body[length:], "headers": headers})
        number = len(self.seen)
        kind = self.kinds[(number - 1) % len(self.kinds)]
        if kind == "refuse":
            timing = (b"server-timing", b'db;dur=9, total;desc="all";dur=0.25')
            await _reply(send, 503, b'{"error":"late"}', [(b"retry-after", b"1"), timing])
        elif kind == "error":
            await _reply(send, 500, b'{"error":"broken"}')
        elif kind == "garbage":
            await _reply(send, 200, b"<html>")
        elif kind == "hang":
            await asyncio.sleep(60)
        elif kind == "drop":
            await _reply(send, 200, b"", [], promised=100)  # uvicorn closes the connection
        else:
            await asyncio.sleep(self.delay_ms / 1000)
            await self._answer(number, request, body[length:], send)

    async def _answer(self, number: int, request: dict[str, Any], raw: bytes, send: Any) -> None:
        scores = np.zeros(10, dtype=np.float32)
        scores[_first(request["inputs"][0], raw) % 10] = 1
        output = {"name": "y", "datatype": "FP32", "shape": [1, 10]}
        answer: dict[str, Any] = {"model_name": "m", "outputs": [output]}
        if self.name == "edgewise":
            answer["parameters"] = {
                "variant": "small" if number % 4 else "large", "accuracy": 80.0,
                "queue_ms": 1.0, "preprocess_ms": 0.5, "inference_ms": self.delay_ms,
                "cold_ms": 0.0, "policy": "deadline", "in_time": True,
            }  # fmt: skip
        if "binary_tensor_data" in self.extensions:
            output["parameters"] = {"binary_data_size": 40}
            text = json.dumps(answer).encode()
            lengths = [(b"inference-header-content-length", str(len(text)).encode())]
            await _reply(send, 200, text + scores.tobytes(), lengths)
        else:
            output["data"] = scores.tolist()
            await _reply(send, 200, json.dumps(answer).encode())


def _first(tensor: dict[str, Any], raw: bytes) -> int:
    """The first value of a tensor; of an image the last byte of its file."""
    if tensor["datatype"] == "BYTES":
        return raw[-1]
    if "data" in tensor:
        return int(tensor["data"][0])
    return int(struct.unpack_from("<f", raw)[0])


async def _reply(
    send: Any,
    status: int,
    content: bytes,
    headers: Sequence[tuple[bytes, bytes]] = (),
    promised: int = 0,
) -> None:
    length = (b"content-length", str(promised or len(content)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *headers]})
    await send({"type": "http.response.body", "body": content})


@contextmanager
def running(server: Server, **more: Any) -> Iterator[Server]:
    """The server on a free port of loopback, in a thread, while it is entered."""
    # asyncio turns Nagle's algorithm off for sockets that name their protocol, and only for those.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(2048)
        port = listening.getsockname()[1]
        scheme = "https" if "ssl_certfile" in more else "http"
        server.url = f"{scheme}://127.0.0.1:{port}"
        config = uvicorn.Config(
            server, log_level="critical", lifespan="off", loop="asyncio", ws="none",
            timeout_graceful_shutdown=0, **more,
        )  # fmt: skip
        uvicorn_server = uvicorn.Server(config)
        thread = threading.Thread(target=uvicorn_server.run, args=([listening],))

        def stop() -> None:
            uvicorn_server.should_exit = True
            uvicorn_server.force_exit = True

        server.stop = stop
        thread.start()
        try:
            yield server
        finally:
            stop()
            thread.join()
