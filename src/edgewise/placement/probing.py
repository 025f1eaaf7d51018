"""What a link does to requests, asked of a running server over one open connection.

Small requests, one after the other, for the round trip. For a rate, streams: equal requests sent
without waiting for answers, bodies that the server ignores for the uplink, a page of it for the
downlink. A stream is made longer until it takes long enough, and streams are sent until their
interval is tight or the time is up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from edgewise.errors import InputError
from edgewise.network.streams import (
    LEAST_PINGS,
    LEAST_STREAMS,
    Mark,
    Stream,
    is_within,
    rate,
    round_trip,
    stalls,
)
from edgewise.placement.pipelined import Answers, Wire
from edgewise.protocol.http.attempt import now_ms
from edgewise.protocol.http.target import Target

#: A stream lasts so many round trips at least, and has no more bytes than that.
_ROUND_TRIPS = 6
_MOST_BYTES = 16 * 1024 * 1024
#: Bodies of a stream: this long at first, then up to that; a stream has so many at least.
_FIRST_BYTES, _LARGE_BYTES, _BODIES = 4 * 1024, 256 * 1024, 8
#: Of a stream's marks so many have to be left after its first round trip.
_LEAST_MARKS = 4
#: Pages that a server may have, the first with enough bytes is asked for.
_PAGES = ("/openapi.json", "/", "/metrics", "/v2/models/stats")
_LEAST_PAGE_BYTES = 4096
_LIVE = "/v2/health/live"
_OK = 200
_REFUSED, _TOKEN = (401, 403), " (give the right --token)"

#: Sends a stream.
_Streaming = Callable[[], Awaitable[Stream]]


@dataclass(frozen=True)
class Effort:
    """How much is done: streams of `stream_ms`, until intervals reach no farther than `share` of
    the value or, of each direction, `seconds` are over; round trips a third of that. Where nothing
    passed for a while, streams go on until they have lasted so long."""

    stream_ms: float = 300.0
    share: float = 0.035
    seconds: float = 6.0
    streams: int = 6
    pings: int = 24


USUAL = Effort()


class Prober:
    """Asks, and notes what it could not ask."""

    def __init__(self, target: Target, timeout_s: float, effort: Effort) -> None:
        self._target, self._timeout_s, self._effort = target, timeout_s, effort
        self._wire: Wire | None = None
        self.notes: list[str] = []
        self.pings_ms: list[float] = []
        self.ups: list[Stream] = []
        self.downs: list[Stream] = []

    async def observe(self) -> None:
        """Fill `pings_ms`, `ups` and `downs`.

        Raises:
            InputError: nobody answers, or not in time.
        """
        try:
            await self._ping()
            page = await self._page()
            ways = [(await self._uplink(), self.ups)]
            await self._enough(*ways[0])
            ways.append((None if page is None else await self._downlink(page), self.downs))
            await self._enough(*ways[1])
            if stalls(self.pings_ms, [*self.ups, *self.downs]).times:
                for way in ways:
                    await self._long(*way)
        finally:
            if self._wire is not None:
                self._wire.close()

    async def _ping(self) -> None:
        await self._get(_LIVE)  # opens the connection
        until_ms = now_ms() + self._effort.seconds * 1000 / 3
        wanted = max(self._effort.pings, LEAST_PINGS)
        while len(self.pings_ms) < wanted:
            self.pings_ms.append((await self._get(_LIVE)).first_ms)
            if len(self.pings_ms) == wanted and now_ms() < until_ms:
                near = is_within(round_trip(self.pings_ms), self._effort.share)
                wanted *= 1 if near else 2
        self._rtt_ms = min(self.pings_ms)

    async def _uplink(self) -> _Streaming | None:
        """Streams whose marks are the bytes of a body per answer after the first; None: refused."""
        size, times, smaller = _FIRST_BYTES, _BODIES, None
        # One body of a new size first: who refuses it may close with the others unread.
        while (answers := await self._post(size, 1)).status == _OK:
            answers = await self._post(size, times)
            if self._is_long(answers.answering_ms, size * times):
                break
            if size < _LARGE_BYTES:
                size, smaller = 2 * size, size
            else:
                times *= 2
        if answers.status != _OK:
            token = _TOKEN if answers.status in _REFUSED else ""
            self.notes.append(
                f"uplink: a body of {size} bytes is answered with {answers.status}{token}"
                + ("; smaller ones are used" if smaller else "")
            )
            if smaller is None:
                return None
            size = smaller
            if self._wire is not None:
                self._wire.close()  # as whoever refused it may

        async def stream() -> Stream:
            answers = await self._post(size, times)
            sent = len(self._body(size))
            marks = enumerate(answers.answered_ms if answers.status == _OK else ())
            return [Mark(sent * n, at_ms) for n, at_ms in marks]

        return stream

    async def _page(self) -> str | None:
        """A page that is worth asking for."""
        refused = None
        for path in _PAGES:
            answers = await self._get(path)
            if answers.status == _OK and answers.received_bytes >= _LEAST_PAGE_BYTES:
                return path
            refused = answers.status if answers.status in _REFUSED else refused
        self.notes.append(
            f"downlink: pages are answered with {refused}{_TOKEN}"
            if refused
            else "downlink: the server has no page that is large enough to tell its rate"
        )
        return None

    async def _downlink(self, page: str) -> _Streaming:
        """Streams whose marks are the bytes of each read after the first."""
        times = 2
        while True:
            answers = await self._get(page, times)
            if self._is_long(answers.flowing_ms, answers.received_bytes):
                break
            times *= 2

        async def stream() -> Stream:
            return (await self._get(page, times)).arrivals

        return stream

    def _is_long(self, took_ms: float, size_bytes: float) -> bool:
        """Whether a stream tells a rate, or must not be longer."""
        wanted_ms = max(self._effort.stream_ms, _ROUND_TRIPS * self._rtt_ms)
        return took_ms >= wanted_ms or 2 * size_bytes > _MOST_BYTES

    async def _long(self, stream: _Streaming | None, found: list[Stream]) -> None:
        """As many as there is time for: what now and then stops a link is met by chance."""
        wanted_ms = self._effort.seconds * 1000
        until_ms = now_ms() + wanted_ms
        while stream is not None and now_ms() < until_ms and _lasted_ms(found) < wanted_ms:
            found.append(self._flowing(await stream()))

    async def _enough(self, stream: _Streaming | None, found: list[Stream]) -> None:
        """As many as are needed, or as there is time for."""
        if stream is None:
            return
        until_ms = now_ms() + self._effort.seconds * 1000
        wanted = max(self._effort.streams, LEAST_STREAMS)
        while len(found) < wanted and (len(found) < LEAST_STREAMS or now_ms() < until_ms):
            found.append(self._flowing(await stream()))
            if len(found) == wanted and not is_within(rate(found), self._effort.share):
                wanted *= 2

    def _flowing(self, stream: Stream) -> Stream:
        """Without the first round trip, in which windows open and both ends wake up."""
        later = [each for each in stream if each.at_ms >= stream[0].at_ms + self._rtt_ms]
        return later if len(later) >= _LEAST_MARKS else stream

    async def _get(self, path: str, times: int = 1) -> Answers:
        return await self._ask(self._request("GET", path), times)

    async def _post(self, size_bytes: int, times: int) -> Answers:
        return await self._ask(self._body(size_bytes), times)

    def _body(self, size_bytes: int) -> bytes:
        """A body that the server reads and ignores: the index knows no such member."""
        frame = b'{"ready":false,"ignored":"%s"}'
        body = frame % (b"x" * (size_bytes - len(frame) + 2))
        return self._request("POST", "/v2/repository/index", body)

    def _request(self, method: str, path: str, body: bytes = b"") -> bytes:
        target = self._target
        lines = [f"{method} {target.prefix}{path} HTTP/1.1", f"Host: {target.authority}"]
        if target.token:
            lines.append(f"Authorization: Bearer {target.token}")
        if method == "POST":
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

    async def _ask(self, request: bytes, times: int) -> Answers:
        try:
            async with asyncio.timeout(self._timeout_s):
                wire = await self._open()
                return await wire.ask(request, times)
        except TimeoutError:
            raise InputError(
                f"{self._target.url}: no answer within {self._timeout_s:g} s",
                hint="a longer --timeout, or another server",
            ) from None
        except OSError as error:
            raise InputError(f"{self._target.url}: {error or type(error).__name__}") from error

    async def _open(self) -> Wire:
        if self._wire is None or self._wire.closed:
            target = self._target
            _, self._wire = await asyncio.get_running_loop().create_connection(
                Wire,
                target.address,
                target.port,
                ssl=target.context(),
                server_hostname=target.host if target.tls else None,
            )
        return self._wire


def _lasted_ms(streams: list[Stream]) -> float:
    return sum(stream[-1].at_ms - stream[0].at_ms for stream in streams if stream)
