"""One HTTP connection: uvicorn's protocol with limits, a clock and one write per answer.

What this adds to `HttpToolsProtocol`: bodies are collected here with the times of their first and
last byte, so that the handler wakes once; a caller that leaves ends the work done for it; heads,
bodies and pauses have time limits, kept by one sweep over all connections instead of a timer per
request; connections above the limit are turned away with an answer; and a connection whose body
was not wanted stays open a little so that its caller can read why.

What it takes from uvicorn is not all public: `tests/server/test_uvicorn_seam.py` lists it.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Coroutine
from functools import lru_cache
from http import HTTPStatus
from typing import Any, ClassVar

import httptools
import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from edgewise.server.http import kernel
from edgewise.server.http.app import App, model_of
from edgewise.server.http.exchange import IN_SCOPE, Headers, Parts, declared_bytes, too_slow
from edgewise.server.http.incoming import Incoming
from edgewise.server.settings import Limits

_log = logging.getLogger("edgewise.server.http")

_HEAD_BYTES = 64 * 1024
#: How long a caller may go on sending a body that was refused, to read the answer.
_LINGER_S = 5.0
#: Bodies that are arriving or being worked on may take so much memory together, at least.
_HELD_BYTES = 1024**3
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus
}


class State(ServerState):
    """What all connections of a server share."""

    def __init__(self, limits: Limits) -> None:
        super().__init__()
        self.limits = limits
        self.open: set[HttpConnection] = set()
        self.draining = False
        self.common = b""
        self.held_bytes = 0
        self.most_held_bytes = max(_HELD_BYTES, 4 * limits.body_bytes)


#: An inference asks its exchange for the body: nobody waits for messages.
_NOBODY_WAITS = asyncio.Event()


class _Inference:
    """What uvicorn's protocol knows of a request, for one that goes past ASGI: making a scope and
    a cycle of messages takes longer than reading the head."""

    __slots__ = (
        "disconnected",
        "exchange",
        "headers",
        "keep_alive",
        "model",
        "path",
        "response_complete",
        "response_started",
        "version",
        "waiting_for_100_continue",
    )
    message_event = _NOBODY_WAITS
    scope: ClassVar[dict[str, str]] = {"method": "POST"}

    def __init__(
        self, connection: HttpConnection, exchange: Incoming, path: str, model: str, version: str
    ) -> None:
        self.exchange = exchange
        self.path, self.model, self.version = path, model, version
        self.headers = dict(connection.headers)
        parser = connection.parser
        self.keep_alive = parser.get_http_version() != "1.0" and parser.should_keep_alive()
        self.waiting_for_100_continue = connection.expect_100_continue
        self.disconnected = self.response_started = self.response_complete = False

    async def run_asgi(self, app: App) -> None:
        """The whole of it."""
        await app.infer(self.exchange, self.path, self.headers, self.model, self.version)


class HttpConnection(HttpToolsProtocol):
    """One connection. `deadline` is when, on the monotonic clock in s, the wait for its caller to
    send something ends, `write_deadline` that for it to take something.
    """

    def __init__(
        self,
        config: Config,
        server_state: State,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.logger = _log
        self.access_log = False
        self.state = server_state
        self.deadline = self.write_deadline = math.inf
        self.handling: Incoming | None = None
        self._newest: Incoming | None = None
        self._unbegun: _Inference | None = None
        self._stamp_ms = 0.0
        self._head_bytes = 0
        self._in_head = True
        self._is_lingering = False
        self._unsent_bytes = 0
        self._socket: Any = None
        self._silent_since = time.monotonic()

    # -- what the event loop tells -------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Welcome a caller, or turn it away above the limit of connections."""
        super().connection_made(transport)
        self._socket = transport.get_extra_info("socket")
        self.state.open.add(self)
        limits = self.state.limits
        self.deadline = time.monotonic() + limits.header_seconds
        if len(self.state.open) > limits.connections:
            self._end(503, f"the limit of {limits.connections} connections is reached")

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        if self._is_lingering:
            return
        self._stamp_ms = time.monotonic() * 1000
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            # Not offered: the request is answered as any other, what follows is not HTTP/1.1.
            self.cycle.keep_alive = False
        except httptools.HttpParserError as error:
            self._unbegun = None
            self._end(400, f"no HTTP request: {error}")
            return
        if self._unbegun is not None:
            self._begin(self._unbegun)
        if self._in_head and not self._is_lingering:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self._end(431, f"the request's head is above {_HEAD_BYTES} bytes")

    def _begin(self, one: _Inference) -> None:
        """An inference whose head came, and perhaps all of it: then it may need no task."""
        self._unbegun = None
        what = (one.exchange, one.path, one.headers, one.model, one.version)
        if not (one.exchange.whole and self.app.infer.begin(*what)):
            self.spawn(one.run_asgi(self.app))

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """A task that is waited for at the end."""
        self.tasks.add(task := self.loop.create_task(work))
        task.add_done_callback(self.tasks.discard)

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller left, or we closed."""
        super().connection_lost(exc)
        self.state.open.discard(self)
        self.deadline = self.write_deadline = math.inf
        self._abandon()

    # -- what the parser tells -----------------------------------------------------------------

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._newest = Incoming(self, self._stamp_ms)
        self._in_head = True
        self._head_bytes = 0
        self.deadline = self._stamp_ms / 1000 + self.state.limits.header_seconds

    def on_headers_complete(self) -> None:
        """The whole head: the handler starts, unless another request is before it."""
        assert self._newest is not None
        found = self._inference(self._newest)
        if found is None:
            self._hand_to_asgi()
        else:
            before, self.cycle = self.cycle, found  # type: ignore[assignment]
            if before is None or before.response_complete:
                self._unbegun = found
            else:
                self.flow.pause_reading()
                self.pipeline.appendleft((self.cycle, self.app))
        self._in_head = False
        self.deadline = self._stamp_ms / 1000 + self.state.limits.body_seconds
        self._newest.begin(self.cycle, declared_bytes(self.headers))

    def _inference(self, exchange: Incoming) -> _Inference | None:
        """A request for an inference whose address is plain; all others go the long way."""
        found = _addressed(self.url)
        if found is None or self.parser.get_method() != b"POST":
            return None
        return _Inference(self, exchange, *found)

    def _hand_to_asgi(self) -> None:
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers += headers
        self.scope[IN_SCOPE] = self._newest  # type: ignore[literal-required]
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        if self._newest is not None:
            self._newest.feed(body)

    def on_message_complete(self) -> None:
        """The last byte of a request."""
        self.deadline = math.inf
        if self._newest is not None:
            self._newest.complete(self._stamp_ms)

    # -- answers -------------------------------------------------------------------------------

    def answer(self, exchange: Incoming, status: int, headers: Headers, body: Parts) -> None:
        """Write an answer, head and body at once."""
        cycle = exchange.cycle
        cycle.response_started = cycle.response_complete = True
        if self.transport.is_closing() or self._is_lingering:
            return
        is_last = self.state.draining or not cycle.keep_alive or not exchange.whole
        head = [_STATUS_LINES[status], self.state.common]
        for name, value in headers:
            head += (name, b": ", value, b"\r\n")
        head.append(b"content-length: %d\r\n" % sum(map(len, body)))
        head.append(b"connection: close\r\n\r\n" if is_last else b"\r\n")
        is_bare = cycle.scope["method"] == "HEAD"
        self.transport.writelines([b"".join(head), *(() if is_bare else body)])
        self.handling = None
        if is_last:
            self._close(linger=not exchange.whole)
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """An answer is written: the next request on this connection, or a pause."""
        self.state.total_requests += 1
        if self.transport.is_closing() or self._is_lingering:
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self.spawn(cycle.run_asgi(app))
            if self._newest is not None and not self._newest.whole:
                self.deadline = time.monotonic() + self.state.limits.body_seconds
        elif self._newest is None or self._newest.whole:
            self._silent_since = time.monotonic()
            self.deadline = self._silent_since + self.state.limits.idle_seconds

    def send_400_response(self, msg: str) -> None:
        """What uvicorn answers to what is no request."""
        self._end(400, msg)

    # -- ends ----------------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether it is between requests, everything written."""
        begun = self._newest is not None and not self._newest.whole
        busy = self.cycle is not None and not self.cycle.response_complete
        return not (begun or busy or self._is_lingering)

    def check(self, now: float) -> None:
        """End waits that have lasted too long; called by the sweep."""
        if now >= self.write_deadline:
            self._expect_reading(now)
        if now >= self.deadline:
            self._expire(now)

    def _expire(self, now: float) -> None:
        """What was waited for did not come."""
        self.deadline = math.inf
        if self._is_lingering:
            self.transport.abort()
        elif self.transport.get_write_buffer_size():
            self._expect_reading(now)
            self.deadline = now + self.state.limits.idle_seconds
        elif self.is_idle:
            self.transport.close()
        elif self.pipeline:
            return  # not read while others are before it; its time begins when it is its turn
        elif self._in_head:
            self._end(408, "the request's head did not arrive in time")
        elif self._newest is not None:
            self._newest.fail(too_slow(self.state.limits.body_seconds))

    def _expect_reading(self, now: float) -> None:
        """A caller that takes its answer slowly has time as long as it takes some of it."""
        unsent_bytes = self.unsent_bytes
        if 0 < self._unsent_bytes <= unsent_bytes:
            self.transport.abort()
        self._unsent_bytes = unsent_bytes
        is_waiting = unsent_bytes and not self.transport.is_closing()
        self.write_deadline = now + self.state.limits.idle_seconds if is_waiting else math.inf

    @property
    def unsent_bytes(self) -> int:
        """What its caller has not taken yet of what was written."""
        waiting_bytes = self.transport.get_write_buffer_size()
        if waiting_bytes and self._socket is not None:
            waiting_bytes += kernel.unacknowledged_bytes(self._socket)
        return waiting_bytes

    def pause_writing(self) -> None:
        """More is written than the caller takes."""
        super().pause_writing()
        self._unsent_bytes = self.unsent_bytes
        self.write_deadline = time.monotonic() + self.state.limits.idle_seconds

    def resume_writing(self) -> None:
        """It has taken enough."""
        super().resume_writing()
        self._unsent_bytes = 0
        self.write_deadline = math.inf

    def shutdown(self) -> None:
        """Close it if it is between requests; else it closes with its answer."""
        if self.is_idle:
            self.transport.close()

    def silent_s(self, now: float) -> float:
        """How long it has been between requests."""
        return now - self._silent_since if self.is_idle else 0.0

    def rtt_ms(self) -> float | None:
        """The kernel's round-trip time of this connection."""
        return None if self._socket is None else kernel.rtt_ms(self._socket)

    def _end(self, status: int, message: str) -> None:
        """Answer outside of any exchange and close."""
        if self._is_lingering or self.transport.is_closing():
            return
        body = msgspec.json.encode({"error": message})
        self.transport.write(
            _STATUS_LINES[status]
            + self.state.common
            + b"content-type: application/json\r\n"
            + (b"retry-after: 1\r\n" if status == 503 else b"")
            + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
            + body
        )
        self._abandon()
        self._close(linger=True)

    def _abandon(self) -> None:
        """Nobody waits for what is being done."""
        for exchange in (self.handling, self._newest):
            if exchange is not None and not exchange.gone:
                exchange.lost()
        self.handling = self._newest = None

    def _close(self, *, linger: bool) -> None:
        """Close; lingering: only our side at first, since closing with bytes unread resets the
        connection, which can take the answer away from its caller."""
        if not linger:
            self.deadline = time.monotonic() + self.state.limits.idle_seconds
            self.transport.close()
            return
        self._is_lingering = True
        self.deadline = time.monotonic() + _LINGER_S
        self.flow.resume_reading()
        if self.transport.can_write_eof():
            self.transport.write_eof()


@lru_cache(256)
def _addressed(url: bytes) -> tuple[str, str, str] | None:
    """Path, model and version of an inference's address, where nothing in it is escaped."""
    if not url.endswith(b"/infer") or b"%" in url or b"?" in url or not url.isascii():
        return None
    path = url.decode()
    model = model_of(path)
    return None if model is None else (path, *model)
