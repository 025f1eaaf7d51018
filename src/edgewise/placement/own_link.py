"""One's own link, measured against a running server of the Open Inference Protocol.

Over one open connection: small requests for the round trip; bodies that double until they take long
enough, sent to a page that ignores them, for the uplink; and a page of some kilobytes asked for
several times at once, so that its answers follow each other without a gap, for the downlink. What
comes of it is `network.measured`'s: robust lines through times over sizes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

import httptools

from edgewise.errors import InputError
from edgewise.network.measured import Measured, Observation, measure
from edgewise.protocol.http.attempt import now_ms
from edgewise.protocol.http.target import Target, parse
from edgewise.records import LinkProfile

_PINGS = 20
#: A size is large enough when it takes this long beyond a round trip, or cannot be larger.
_LONG_MS = 250.0
_FIRST_BYTES = 16 * 1024
_MOST_BYTES = 8 * 1024 * 1024
_MOST_AT_ONCE = 256
#: Each size as a part of the largest, and how often; large ones first open the window.
_PARTS = (0.25, 0.5, 1.0)
_ROUNDS = 4
_WARM_UPS = 2
#: Pages that a server may have, the first with enough bytes is asked for.
_PAGES = ("/openapi.json", "/", "/metrics", "/v2/models/stats")
_LEAST_PAGE_BYTES = 4096
#: Above this the server's own time for a page shows.
_SERVER_BOUND_MBPS = 200.0
_OK = 200
_REFUSED, _TOKEN = (401, 403), " (give the right --token)"


@dataclass(frozen=True)
class OwnLink:
    """What was found. A rate is None where `notes` say why."""

    url: str
    measured: Measured
    notes: tuple[str, ...]

    def described(self, name: str) -> dict[str, object]:
        """The fields of a `LinkProfile`, with 95 % intervals; None where not known."""
        found = self.measured
        up, down = found.uplink_mbps, found.downlink_mbps
        return {
            "name": name,
            "uplink_mbps": up.value if up else None,
            "downlink_mbps": down.value if down else None,
            "rtt_ms": found.rtt_ms.value,
            "jitter_ms": found.jitter_ms,
            "description": f"measured against {self.url}",
            "uplink_ci95_mbps": (up.low, up.high) if up else None,
            "downlink_ci95_mbps": (down.low, down.high) if down else None,
            "rtt_ci95_ms": (found.rtt_ms.low, found.rtt_ms.high),
            "observations": found.observations,
            "notes": list(self.notes),
        }

    def profile(self, name: str, radio: str | None = None) -> LinkProfile:
        """As a link for everything that takes one; what kind of network it is, no measuring tells.

        Raises:
            InputError: a rate is not known.
        """
        return self.measured.profile(name, radio)


def measure_link(
    url: str,
    *,
    token: str | None = None,
    ca: Path | None = None,
    timeout_s: float = 30.0,
    long_ms: float = _LONG_MS,
) -> OwnLink:
    """The link between here and a server; takes some seconds.

    Args:
        long_ms: how long the largest bodies and pages take; longer is more exact.

    Raises:
        UsageError, InputError: no URL, nobody answers, or not in time.
    """
    target = parse(url, token, ca).resolved()
    prober = _Prober(target, timeout_s, long_ms)
    observations, notes = asyncio.run(prober.observe())
    return OwnLink(target.url, measure(observations), tuple(notes))


class _Reply(NamedTuple):
    """One or several answers in a row, in ms from the first byte sent."""

    status: int
    waited_ms: float
    reading_ms: float
    received_bytes: int


class _Prober:
    """Asks, and notes what it saw."""

    def __init__(self, target: Target, timeout_s: float, long_ms: float) -> None:
        self._target, self._timeout_s, self._long_ms = target, timeout_s, long_ms
        self._wire: _Wire | None = None
        self._notes: list[str] = []

    async def observe(self) -> tuple[list[Observation], list[str]]:
        """All observations, and why some are missing."""
        try:
            pings = [await self._get("/v2/health/live") for _ in range(_PINGS)]
            page = await self._page()
            ups = await self._uplink(min(each.waited_ms for each in pings))
            downs = await self._downlink(page)
        finally:
            if self._wire is not None:
                self._wire.close()
        small = self._request("GET", "/v2/health/live")
        seen = [_seen(len(small), each) for each in pings[1:]]
        return [*seen, *ups, *downs], self._notes

    async def _uplink(self, rtt_ms: float) -> list[Observation]:
        size = _FIRST_BYTES
        while True:
            reply = await self._post(size)
            if reply.status != _OK:
                smaller = "; smaller ones are used" if size > _FIRST_BYTES else ""
                token = _TOKEN if reply.status in _REFUSED else ""
                answered = f"is answered with {reply.status}{token}{smaller}"
                self._notes.append(f"uplink: a body of {size} bytes {answered}")
                size //= 2
                break
            if reply.waited_ms - rtt_ms >= self._long_ms or size >= _MOST_BYTES:
                break
            size *= 2
        if size < _FIRST_BYTES:
            return []
        for _ in range(_WARM_UPS):
            await self._post(size)
        sizes = [int(size * part) for _ in range(_ROUNDS) for part in _PARTS]
        replies = [(each, await self._post(each)) for each in sizes]
        return [_seen(sent, reply) for sent, reply in replies]

    async def _page(self) -> str | None:
        """A page that is worth asking for."""
        refused = None
        for path in _PAGES:
            reply = await self._get(path)
            if reply.status == _OK and reply.received_bytes >= _LEAST_PAGE_BYTES:
                return path
            refused = reply.status if reply.status in _REFUSED else refused
        self._notes.append(
            f"downlink: pages are answered with {refused}{_TOKEN}"
            if refused
            else "downlink: the server has no page that is large enough to tell its rate"
        )
        return None

    async def _downlink(self, page: str | None) -> list[Observation]:
        if page is None:
            return []
        times = 1
        while times < _MOST_AT_ONCE:
            reply = await self._get(page, times)
            if reply.reading_ms >= self._long_ms:
                break
            times *= 2
        for _ in range(_WARM_UPS):
            await self._get(page, times)
        counts = [max(int(times * part), 1) for _ in range(_ROUNDS) for part in _PARTS]
        replies = [await self._get(page, each) for each in counts]
        mbps = max(8e-3 * each.received_bytes / max(each.reading_ms, 1e-3) for each in replies)
        if mbps > _SERVER_BOUND_MBPS:
            self._notes.append(
                "downlink: it may be faster: at such rates the server's own time per page shows"
            )
        # The first answer waits for the first request only.
        sent_bytes = len(self._request("GET", page))
        return [_seen(sent_bytes, reply) for reply in replies]

    async def _get(self, path: str, times: int = 1) -> _Reply:
        return await self._ask(self._request("GET", path), times)

    async def _post(self, size_bytes: int) -> _Reply:
        """A body that the server reads and ignores: the index knows no such member."""
        frame = b'{"ready":false,"ignored":"%s"}'
        body = frame % (b"x" * (size_bytes - len(frame) + 2))
        return await self._ask(self._request("POST", "/v2/repository/index", body))

    def _request(self, method: str, path: str, body: bytes = b"") -> bytes:
        target = self._target
        lines = [f"{method} {target.prefix}{path} HTTP/1.1", f"Host: {target.authority}"]
        if target.token:
            lines.append(f"Authorization: Bearer {target.token}")
        if method == "POST":
            lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body

    async def _ask(self, request: bytes, times: int = 1) -> _Reply:
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

    async def _open(self) -> _Wire:
        if self._wire is None or self._wire.closed:
            target = self._target
            _, self._wire = await asyncio.get_running_loop().create_connection(
                _Wire,
                target.address,
                target.port,
                ssl=target.context(),
                server_hostname=target.host if target.tls else None,
            )
        return self._wire


def _seen(sent_bytes: int, reply: _Reply) -> Observation:
    return Observation(sent_bytes, reply.received_bytes, reply.waited_ms, reply.reading_ms)


@dataclass
class _Pending:
    """Answers that are waited for."""

    left: int
    done: asyncio.Future[None]
    status: int = 0
    first_ms: float = 0.0
    last_ms: float = 0.0
    received_bytes: int = 0


@dataclass(eq=False)
class _Wire(asyncio.Protocol):
    """A connection on which several requests may be sent at once (HTTP/1.1 pipelining)."""

    closed: bool = False
    _transport: asyncio.Transport | None = None
    _pending: _Pending | None = None
    _parser: httptools.HttpResponseParser = field(init=False)

    def __post_init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)

    async def ask(self, request: bytes, times: int) -> _Reply:
        """Send a request so many times, wait for all answers.

        Raises:
            OSError: the connection ended before.
        """
        assert self._transport is not None
        pending = _Pending(times, asyncio.get_running_loop().create_future())
        self._pending = pending
        begun_ms = now_ms()
        self._transport.write(request * times)
        await pending.done
        return _Reply(
            pending.status,
            pending.first_ms - begun_ms,
            pending.last_ms - pending.first_ms,
            pending.received_bytes,
        )

    def close(self) -> None:
        """At once."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._pending is None:
            self.close()
            return
        if not self._pending.received_bytes:
            self._pending.first_ms = now_ms()
        self._pending.received_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail(ConnectionError("something that is no HTTP comes back"))

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(ConnectionError("the server closed the connection"))

    def on_message_complete(self) -> None:
        pending = self._pending
        if pending is None:
            return
        pending.left -= 1
        pending.status = self._parser.get_status_code()
        if not self._parser.should_keep_alive():
            self.closed = True
            if pending.left:
                self._fail(ConnectionError("the server ends connections after an answer"))
        if pending.left == 0 and not pending.done.done():
            pending.last_ms = now_ms()
            self._pending = None
            pending.done.set_result(None)

    def _fail(self, error: ConnectionError) -> None:
        self.closed = True
        if self._pending is not None and not self._pending.done.done():
            self._pending.done.set_exception(error)


def as_toml(links: Sequence[LinkProfile]) -> str:
    """Links as a file that every option for links takes."""
    return "\n".join(_table(link) for link in links)


def _table(link: LinkProfile) -> str:
    fields = {name: getattr(link, name) for name in link.__struct_fields__}
    lines = [f"{name} = {json.dumps(value)}" for name, value in fields.items() if value]
    return "\n".join(["[[link]]", *lines, ""])
