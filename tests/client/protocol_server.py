"""A small server of the Open Inference Protocol that misbehaves as it is told, for the client."""

from __future__ import annotations

import asyncio
import json
import ssl
import struct
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

LENGTH = "inference-header-content-length"
#: What the server's model always answers.
CLOUD_INDEX = 7


@dataclass
class Asked:
    """One request as the server got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    @property
    def head(self) -> dict[str, Any]:
        return json.loads(self.body[: int(self.headers[LENGTH])])

    @property
    def parameters(self) -> dict[str, Any]:
        return self.head["parameters"]

    @property
    def binary(self) -> bytes:
        return self.body[int(self.headers[LENGTH]) :]


@dataclass
class Wire:
    """The connection that a request came on."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    server: ProtocolServer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def reset(self) -> None:
        """Close with RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(1, 13, struct.pack("ii", 1, 0))  # SOL_SOCKET, SO_LINGER
        self.writer.transport.abort()


Act = Callable[[Asked, Wire], Awaitable[None]]


def message(status: int, body: bytes, headers: dict[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def scores(index: int = CLOUD_INDEX, classes: int = 10) -> np.ndarray:
    values = np.full((1, classes), 0.01, dtype=np.float32)
    values[0, index] = 1 - 0.01 * (classes - 1)
    return values


def result(index: int = CLOUD_INDEX, **parameters: Any) -> bytes:
    """A whole response."""
    data = scores(index).tobytes()
    stated = {
        "variant": "digits-xl",
        "accuracy": 99.72,
        "queue_ms": 0.0,
        "preprocess_ms": 0.0,
        "inference_ms": 0.0,
        "cold_ms": 0.0,
        "policy": "deadline",
        **parameters,
    }
    output = {
        "name": "scores",
        "datatype": "FP32",
        "shape": [1, 10],
        "parameters": {"binary_data_size": len(data)},
    }
    head = json.dumps({"model_name": "digits", "outputs": [output], "parameters": stated}).encode()
    return message(200, head + data, {"Inference-Header-Content-Length": str(len(head))})


def answers(delay_s: float = 0.0, index: int = CLOUD_INDEX, **parameters: Any) -> Act:
    """Answer after a while; a client that leaves meanwhile is noted."""

    async def act(asked: Asked, wire: Wire) -> None:
        if delay_s:
            left = asyncio.ensure_future(wire.reader.read(1))
            done, _ = await asyncio.wait([left], timeout=delay_s)
            if done:
                wire.server.gone.append(asked)
                wire.server.someone_left.set()
                return
            left.cancel()
            await asyncio.wait([left])
        await wire.send(result(index, **parameters))

    return act


def says(status: int, body: bytes | dict[str, Any] = b"", **headers: str) -> Act:
    content = json.dumps(body).encode() if isinstance(body, dict) else body

    async def act(asked: Asked, wire: Wire) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        await wire.send(message(status, content, named))

    return act


def sends(data: bytes, *, then_close: bool = True) -> Act:
    """Any bytes, right or wrong."""

    async def act(asked: Asked, wire: Wire) -> None:
        await wire.send(data)
        if then_close:
            wire.writer.close()

    return act


async def resets(asked: Asked, wire: Wire) -> None:
    wire.reset()


async def hangs(asked: Asked, wire: Wire) -> None:
    """Say nothing until the client has left."""
    await wire.reader.read(1)
    wire.server.gone.append(asked)
    wire.server.someone_left.set()


def trickles(every_s: float) -> Act:
    """An answer that never ends, a byte at a time."""

    async def act(asked: Asked, wire: Wire) -> None:
        await wire.send(b"HTTP/1.1 200 X\r\nContent-Length: 100000\r\n\r\n")
        for _ in range(1000):
            await wire.send(b" ")
            await asyncio.sleep(every_s)

    return act


@dataclass
class ProtocolServer:
    """Acts for requests in order, then `usual` for all further ones. Pings are always answered."""

    script: deque[Act] = field(default_factory=deque)
    usual: Act = field(default_factory=answers)
    asked: list[Asked] = field(default_factory=list)
    pings: list[Asked] = field(default_factory=list)
    gone: list[Asked] = field(default_factory=list)
    someone_left: threading.Event = field(default_factory=threading.Event)
    port: int = 0
    connections: int = 0
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        wire = Wire(reader, writer, self)
        try:
            while not writer.is_closing() and (asked := await _read(reader, number)):
                await self._answer(asked, wire)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, asked: Asked, wire: Wire) -> None:
        if asked.path.endswith("/v2/health/live"):
            self.pings.append(asked)
            await wire.send(message(200, b""))
            return
        self.asked.append(asked)
        act = self.script.popleft() if self.script else self.usual
        await act(asked, wire)


async def _read(reader: asyncio.StreamReader, connection: int) -> Asked | None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    method, path, _ = first.split(" ")
    headers = {k.strip().lower(): v.strip() for k, v in (line.split(":", 1) for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Asked(method, path, headers, body, connection)


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[ProtocolServer]:
    """A server in a thread of its own."""
    server = ProtocolServer(scheme="https" if tls else "http")
    loop = asyncio.new_event_loop()
    started = threading.Event()

    async def main() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=tls)
        server.port = listening.sockets[0].getsockname()[1]
        started.set()
        try:
            await asyncio.Future()
        finally:
            listening.close()

    task = loop.create_task(main())
    thread = threading.Thread(target=_until_cancelled, args=(loop, task), daemon=True)
    thread.start()
    assert started.wait(5)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(5)
        loop.close()


def _until_cancelled(loop: asyncio.AbstractEventLoop, task: asyncio.Task[None]) -> None:
    asyncio.set_event_loop(loop)
    with suppress(asyncio.CancelledError):
        loop.run_until_complete(task)
    rest = asyncio.all_tasks(loop)
    for each in rest:
        each.cancel()
    if rest:
        loop.run_until_complete(asyncio.wait(rest))
    loop.run_until_complete(asyncio.sleep(0.01))  # connections end in callbacks
