"""One request and its answer, as the handlers see it, whatever server it came through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from typing import Any, Protocol, TypeVar

from edgewise.protocol.messages import ServingError, TooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]
Parts = Sequence[bytes | memoryview]
T = TypeVar("T")

#: Under this name our own protocol puts its exchange into the scope.
IN_SCOPE = "edgewise.exchange"


class Gone(Exception):
    """The caller went away: nobody waits for an answer."""


class TooSlow(ServingError):
    """A request did not arrive in the time that it may take."""

    status, code = 408, "DEADLINE_EXCEEDED"


class Exchange(Protocol):
    """One request and its answer.

    `first_ms` and `last_ms` are the monotonic clock at its first byte and at the last byte of its
    body (so far).
    """

    first_ms: float
    last_ms: float

    async def body(self) -> bytes | memoryview:
        """The whole body.

        Raises:
            TooLarge, TooSlow: it is above the limit of bytes or of time.
            Gone: the caller left before it was there.
        """

    async def watch(self, work: Coroutine[Any, Any, T]) -> T:
        """The outcome of work that is cancelled if the caller leaves meanwhile.

        Raises:
            Gone: it left. And whatever the work raises.
        """

    def kernel_rtt_ms(self) -> float | None:
        """The connection's round-trip time by the kernel, None where it cannot be seen."""

    async def respond(self, status: int, headers: Headers, body: Parts) -> None:
        """Send the answer; its length is added. Nothing happens if the caller left."""


class PlainExchange:
    """An exchange over ASGI alone, for servers that are not ours (Ray Serve, a test client)."""

    def __init__(
        self, scope: Scope, receive: Receive, send: Send, *, body_bytes: int, body_seconds: float
    ) -> None:
        self.first_ms = self.last_ms = time.monotonic() * 1000
        self._scope = scope
        self._receive = receive
        self._send = send
        self._body_bytes = body_bytes
        self._body_seconds = body_seconds

    async def body(self) -> bytes:
        """As `Exchange.body`."""
        declared = dict(self._scope["headers"]).get(b"content-length", b"0")
        if int(declared) > self._body_bytes:
            raise too_large(self._body_bytes)
        try:
            async with asyncio.timeout(self._body_seconds):
                parts = await self._parts()
        except TimeoutError as error:
            raise too_slow(self._body_seconds) from error
        self.last_ms = time.monotonic() * 1000
        return b"".join(parts)

    async def _parts(self) -> list[bytes]:
        parts: list[bytes] = []
        size = 0
        more = True
        while more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Gone
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._body_bytes:
                raise too_large(self._body_bytes)
            more = message.get("more_body", False)
        return parts

    async def watch(self, work: Coroutine[Any, Any, T]) -> T:
        """As `Exchange.watch`."""
        task = asyncio.ensure_future(work)
        left = asyncio.ensure_future(self._left())
        try:
            await asyncio.wait((task, left), return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise Gone
        finally:
            task.cancel()
            left.cancel()
            await asyncio.gather(task, left, return_exceptions=True)

    async def _left(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass

    def kernel_rtt_ms(self) -> float | None:
        """Nothing: ASGI gives no socket."""
        return None

    async def respond(self, status: int, headers: Headers, body: Parts) -> None:
        """As `Exchange.respond`."""
        content = b"".join(body)
        length = (b"content-length", str(len(content)).encode())
        await self._send(
            {"type": "http.response.start", "status": status, "headers": [*headers, length]}
        )
        await self._send({"type": "http.response.body", "body": content})


def too_large(limit_bytes: int) -> TooLarge:
    """The body is above the limit."""
    return TooLarge(f"the body is above the limit of {limit_bytes} bytes")


def too_slow(seconds: float) -> TooSlow:
    """The body did not arrive in time."""
    return TooSlow(f"the body did not arrive within {seconds:g} s")


def declared_bytes(headers: list[tuple[bytes, bytes]]) -> int | None:
    """Length of the body by its head, None where that is chunked."""
    declared = 0
    for name, value in headers:
        if name == b"content-length":
            declared = int(value)
        elif name == b"transfer-encoding":
            return None
    return declared
