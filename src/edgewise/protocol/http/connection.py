"""One HTTP/1.1 connection that carries one request at a time and notes when what happened."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import cast

from edgewise.errors import MissingExtra
from edgewise.protocol.http.attempt import Attempt, now_ms, total_ms
from edgewise.protocol.http.prepared import JSON_LENGTH

try:
    import httptools
except ImportError as error:
    raise MissingExtra("serve", "asking a service over HTTP") from error

_JSON_LENGTH = JSON_LENGTH.lower().encode()
_TIMING = b"server-timing"
_LARGEST_ANSWER = 64 * 1024 * 1024
#: Of a shaped connection: what the kernel may hide from the upload's clock.
_SHAPED_BUFFER_BYTES = 16 * 1024

#: Called once per exchange, with the body and how much of it is JSON (None: all).
Answered = Callable[["ClientConnection", Attempt, bytes, int | None], None]


class ClientConnection(asyncio.Protocol):
    """`answered` is called when an exchange has its answer or can have none any more (its `error`
    says why); `lost` when the connection is gone."""

    def __init__(
        self, answered: Answered, lost: Callable[[ClientConnection], None], *, shaped: bool
    ) -> None:
        self._answered, self._lost, self._shaped = answered, lost, shaped
        self._transport: asyncio.Transport | None = None
        self._exchange: Attempt | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._size = 0
        self._json_length: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether a request may be sent."""
        return self._transport is not None and not self._transport.is_closing()

    def send(self, exchange: Attempt, parts: Sequence[bytes]) -> None:
        """Send a request; the one before has its answer."""
        assert self._transport is not None
        self._exchange = exchange
        exchange.sent_ms = now_ms()
        self._transport.writelines(parts)
        if self._transport.get_write_buffer_size() == 0:
            exchange.uploaded_ms = now_ms()

    def close(self) -> None:
        """Close at once. An exchange that is still waiting is told to nobody."""
        self._exchange = None
        if self._transport is not None:
            self._transport.abort()

    # -- what the event loop calls -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none by inheritance.
        self._transport = cast(asyncio.Transport, transport)
        # Then pausing and resuming tell when the last byte has left this process.
        self._transport.set_write_buffer_limits(high=0)
        plain = transport.get_extra_info("socket")
        if self._shaped and plain is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SHAPED_BUFFER_BYTES)

    def resume_writing(self) -> None:
        if self._exchange is not None and self._exchange.uploaded_ms != self._exchange.uploaded_ms:
            self._exchange.uploaded_ms = now_ms()

    def pause_writing(self) -> None:
        """A request is always written whole."""

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None:  # a server that speaks unasked: 408 before it closes, for instance
            self._abort()
            return
        if exchange.first_ms != exchange.first_ms:
            exchange.first_ms = now_ms()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail("no HTTP")

    def connection_lost(self, error: Exception | None) -> None:
        self._fail("reset" if error else "closed")
        self._lost(self)

    # -- what the parser calls -----------------------------------------------------------------

    def on_message_begin(self) -> None:
        self._body.clear()
        self._size = 0
        self._json_length = None

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == len(_JSON_LENGTH) and name.lower() == _JSON_LENGTH:
            self._json_length = int(value) if value.isdigit() else None
        elif len(name) == len(_TIMING) and name.lower() == _TIMING and self._exchange is not None:
            self._exchange.server_ms = total_ms(value.decode("latin-1"))

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > _LARGEST_ANSWER:
            self._fail("answer too large")
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        exchange = self._exchange
        if exchange is None:
            return
        exchange.last_ms = now_ms()
        exchange.status = self._parser.get_status_code()
        self._exchange = None
        if not self._parser.should_keep_alive() and self._transport is not None:
            self._transport.close()
        self._answered(self, exchange, b"".join(self._body), self._json_length)

    def _fail(self, kind: str) -> None:
        exchange, self._exchange = self._exchange, None
        self._abort()
        if exchange is not None:
            exchange.error = kind
            self._answered(self, exchange, b"", None)

    def _abort(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.abort()
