"""A connection on which requests follow each other without a gap, and when their answers came."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import cast

import httptools

from edgewise.network.streams import Mark
from edgewise.protocol.http.attempt import now_ms

_OK = 200


@dataclass
class Answers:
    """Those to one kind of request, sent several times in a row.

    `status` is the last one's, or of the first that was no success. Times are ms of the monotonic
    clock: `arrivals` has a mark per read with the bytes until then, `answered_ms` one per answer.
    """

    begun_ms: float
    status: int = 0
    arrivals: list[Mark] = field(default_factory=list)
    answered_ms: list[float] = field(default_factory=list)

    @property
    def received_bytes(self) -> int:
        """Of all answers."""
        return int(self.arrivals[-1].size_bytes) if self.arrivals else 0

    @property
    def first_ms(self) -> float:
        """From the first byte sent to the first byte received."""
        return self.arrivals[0].at_ms - self.begun_ms

    @property
    def flowing_ms(self) -> float:
        """From the first byte received to the last."""
        return self.arrivals[-1].at_ms - self.arrivals[0].at_ms

    @property
    def answering_ms(self) -> float:
        """From the first answer to the last."""
        return self.answered_ms[-1] - self.answered_ms[0]


@dataclass(eq=False)
class Wire(asyncio.Protocol):
    """A connection (HTTP/1.1), with one batch of requests at a time."""

    closed: bool = False
    _transport: asyncio.Transport | None = None
    _answers: Answers | None = None
    _left: int = 0
    _done: asyncio.Future[None] | None = None
    _parser: httptools.HttpResponseParser = field(init=False)

    def __post_init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)

    async def ask(self, request: bytes, times: int) -> Answers:
        """Send a request so many times, wait for all answers.

        Raises:
            OSError: the connection ended before.
        """
        assert self._transport is not None
        self._left, self._done = times, asyncio.get_running_loop().create_future()
        self._answers = answers = Answers(now_ms())
        self._transport.writelines([request] * times)
        await self._done
        return answers

    def close(self) -> None:
        """At once."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._answers is None:
            self.close()
            return
        self._answers.arrivals.append(Mark(self._answers.received_bytes + len(data), now_ms()))
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(ConnectionError("something that is no HTTP comes back"))

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(ConnectionError("the server closed the connection"))

    def on_message_complete(self) -> None:
        answers = self._answers
        if answers is None:
            return
        answers.answered_ms.append(now_ms())
        status = self._parser.get_status_code()
        if answers.status in (0, _OK):
            answers.status = status
        self._left -= 1
        if not self._parser.should_keep_alive():
            self.closed = True
            if self._left and status == _OK:
                self._fail(ConnectionError("the server ends connections after an answer"))
            self._left = 0
        if self._left == 0 and self._done is not None and not self._done.done():
            self._answers = None
            self._done.set_result(None)

    def _fail(self, error: ConnectionError) -> None:
        self.closed = True
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)
