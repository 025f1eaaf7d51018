"""A request of our own protocol while it arrives, and the handler that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from edgewise.protocol.messages import ServingError, Unavailable
from edgewise.server.http.exchange import Gone, Headers, Parts, too_large

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

    from edgewise.server.http.protocol import HttpConnection

T = TypeVar("T")


class Incoming:
    """One request on one connection: an `Exchange` that its connection feeds.

    A body whose length is known is written once into its place; one that came with its head is
    not copied at all. `whole`: all of it is here.
    """

    __slots__ = (
        "_buffer",
        "_chunks",
        "_declared_bytes",
        "_error",
        "_leave",
        "_size",
        "_task",
        "_waiter",
        "connection",
        "cycle",
        "first_ms",
        "gone",
        "last_ms",
        "whole",
    )

    def __init__(self, connection: HttpConnection, first_ms: float) -> None:
        self.connection = connection
        self.cycle: RequestResponseCycle = None  # type: ignore[assignment]  # once the head is here
        self.first_ms = self.last_ms = first_ms
        self.whole = self.gone = False
        self._declared_bytes: int | None = None
        self._size = 0
        self._chunks: list[bytes] = []
        self._buffer: memoryview | None = None
        self._error: ServingError | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._leave: Callable[[], None] | None = None

    # -- the connection's side -----------------------------------------------------------------

    def begin(self, cycle: RequestResponseCycle, declared_bytes: int | None) -> None:
        """The head is here; the body will have so many bytes, None: unknown."""
        self.cycle = cycle
        self._declared_bytes = declared_bytes
        limit_bytes = self.connection.state.limits.body_bytes
        if declared_bytes is not None and declared_bytes > limit_bytes:
            self.fail(too_large(limit_bytes))

    def feed(self, chunk: bytes) -> None:
        """More of the body."""
        if self._error is not None or self.gone or self.cycle.response_complete:
            return
        state = self.connection.state
        at, self._size = self._size, self._size + len(chunk)
        state.held_bytes += len(chunk)
        if self._size > state.limits.body_bytes:
            self.fail(too_large(state.limits.body_bytes))
        elif state.held_bytes > state.most_held_bytes:
            self.fail(Unavailable("too many bodies are arriving", hint="try again in a second"))
        elif self._declared_bytes is None or len(chunk) == self._declared_bytes:
            self._chunks.append(chunk)
        else:
            if self._buffer is None:
                # Memory that is not touched until its bytes are there.
                self._buffer = np.empty(self._declared_bytes, np.uint8).data
            self._buffer[at : self._size] = chunk

    def complete(self, at_ms: float) -> None:
        """The last byte is here."""
        self.whole = True
        self.last_ms = at_ms
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def fail(self, error: ServingError) -> None:
        """The body will not be read any further."""
        self._error = error
        self.release()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    def lost(self) -> None:
        """The caller went away: what is done for it ends."""
        self.gone = True
        self.release()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(Gone())
        elif self._task is not None:
            self._task.cancel()
        elif self._leave is not None:
            leave, self._leave = self._leave, None
            leave()

    def release(self) -> None:
        """Forget the body; whoever still uses it has it. May be called again."""
        self.connection.state.held_bytes -= self._size
        self._size = 0
        self._chunks.clear()
        self._buffer = None

    # -- the handler's side: `Exchange` --------------------------------------------------------

    async def body(self) -> bytes | memoryview:
        """As `Exchange.body`."""
        if self._error is None and not self.whole:
            await self._arrival()
        return self.content()

    @property
    def size(self) -> int:
        """Bytes of the body that are here."""
        return self._size

    def content(self) -> bytes | memoryview:
        """The body, which is here.

        Raises: as `Exchange.body`.
        """
        if self._error is not None:
            raise self._error
        if self.gone:
            raise Gone
        if self._buffer is not None:
            return self._buffer.toreadonly()
        return self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)

    async def _arrival(self) -> None:
        if self.gone:
            raise Gone
        if self.cycle.waiting_for_100_continue:
            self.cycle.waiting_for_100_continue = False
            self.connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._waiter = self.connection.loop.create_future()
        self.connection.handling = self
        await self._waiter

    async def watch(self, work: Coroutine[Any, Any, T]) -> T:
        """As `Exchange.watch`: the connection's end cancels the handler's own task."""
        if self.gone:
            work.close()
            raise Gone
        self._task = asyncio.current_task()
        self.connection.handling = self
        try:
            return await work
        except asyncio.CancelledError:
            if self.gone:
                raise Gone from None
            raise
        finally:
            self._task = None

    def hold(self, leave: Callable[[], None]) -> None:
        """Work goes on for it that no task waits for; `leave` ends it if the caller goes away."""
        self._leave = leave
        self.connection.handling = self

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the rest in a task of its own, which the caller's leaving does not end."""
        self.connection.spawn(work)

    def kernel_rtt_ms(self) -> float | None:
        """As `Exchange.kernel_rtt_ms`."""
        return self.connection.rtt_ms()

    async def respond(self, status: int, headers: Headers, body: Parts) -> None:
        """As `Exchange.respond`: head and body in one write."""
        if self.connection.flow.write_paused:
            await self.connection.flow.drain()
        self._write(status, headers, body)

    def reply(self, status: int, headers: Headers, body: Parts) -> None:
        """As `respond`, at once where its caller takes what is written."""
        if self.connection.flow.write_paused:
            self.spawn(self.respond(status, headers, body))
        else:
            self._write(status, headers, body)

    def _write(self, status: int, headers: Headers, body: Parts) -> None:
        self.release()
        self._leave = None
        self.connection.answer(self, status, headers, body)
