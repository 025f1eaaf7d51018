"""A proxy on loopback that gives real TCP connections a link's rate, delay and jitter.

No privileges, no kernel module: connect to the shaper's port instead of the target's. What it does
to bytes is what `network.link` says of them (`shaping.pacing`); `docs/network.md` says what it can
and cannot be.

    with shaped("lte", "127.0.0.1", 8000) as port:            # in a process of its own
        httpx.get(f"http://127.0.0.1:{port}/v2/health/ready")

    async with Shaper.from_link(("127.0.0.1", 8000), "lte") as shaper:    # in a thread
        shaper.port, shaper.counters()
        shaper.pause()                                         # the link stalls
"""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any, Self

import msgspec

from edgewise.errors import UsageError, WorkerFailed
from edgewise.network import catalogue
from edgewise.network.capacity import Capacity
from edgewise.network.link import HANDSHAKE_ROUND_TRIPS, Path, path
from edgewise.network.shaping.loop import Loop
from edgewise.network.shaping.meter import Counters
from edgewise.network.shaping.pacing import Shape
from edgewise.network.shaping.proxy import Proxy, addresses
from edgewise.records import LinkProfile

LOOPBACK = "127.0.0.1"
#: How long a thread or a process may take to end.
_FAREWELL_SECONDS = 5.0


def shape_of(link: LinkProfile | Path | str, **changes: Any) -> Shape:
    """What a link, a path or the name of one (see `catalogue.resolve`) does to connections.

    `changes` are fields of `Shape`, such as `seed` or `handshake_round_trips`.

    Raises:
        UsageError: an unknown name, or a published pair: it has times, but no rates.
        InputError: a file that cannot be read.
    """
    found = catalogue.resolve(link) if isinstance(link, str) else link
    if isinstance(found, LinkProfile):
        found = path(found, 0, 0)
    if not isinstance(found, Path):
        raise UsageError(
            f"the network '{link}' has times but no rates, so that it cannot be shaped",
            hint=f"name a link ({', '.join(catalogue.links())}; link:NAME if a pair has the same "
            "name) or a trace",
        )
    known = {
        name: getattr(found, name)
        for name in ("uplink", "downlink", "rtt_ms", "jitter_ms", "promotion_ms", "tail_ms")
    }
    return Shape(**{**known, **changes})


class Shaper:
    """A shaped way to one target, for any number of connections: one device's link.

    Its event loop is a thread of its own, so that the caller's loop neither delays it nor is
    delayed. All methods may be called from any thread; `start` and `close` are for asyncio,
    `open` and `shut` (and `with`) for everybody else.
    """

    def __init__(
        self,
        target: tuple[str, int],
        uplink: Capacity,
        downlink: Capacity,
        rtt_ms: float,
        jitter_ms: float = 0.0,
        *,
        promotion_ms: float = 0.0,
        tail_ms: float = 0.0,
        handshake_round_trips: int = HANDSHAKE_ROUND_TRIPS,
        trace_ms: float = 0.0,
        seed: int = 0,
        listen: tuple[str, int] = (LOOPBACK, 0),
    ) -> None:
        """See `Shape` for the values. `listen`: port 0 is any that is free.

        Raises:
            UsageError: a value that no link has.
        """
        self._shape = Shape(
            uplink, downlink, rtt_ms, jitter_ms, promotion_ms, tail_ms,
            handshake_round_trips, trace_ms, seed,
        )  # fmt: skip
        self._target, self._listen = target, listen
        self._loop: Loop | None = None
        self._proxy: Proxy | None = None
        self._thread: threading.Thread | None = None

    @classmethod
    def from_link(
        cls,
        target: tuple[str, int],
        link: LinkProfile | Path | str,
        *,
        listen: tuple[str, int] = (LOOPBACK, 0),
        **changes: Any,
    ) -> Self:
        """A shaper that is a link, a path, or what a name stands for; see `shape_of`."""
        return cls.of(target, shape_of(link, **changes), listen=listen)

    @classmethod
    def of(
        cls, target: tuple[str, int], shape: Shape, *, listen: tuple[str, int] = (LOOPBACK, 0)
    ) -> Self:
        """A shaper with a shape that is at hand."""
        fields = {name: getattr(shape, name) for name in Shape.__dataclass_fields__}
        return cls(target, listen=listen, **fields)

    @property
    def port(self) -> int:
        """Where clients connect."""
        return self._running()[1].port

    def open(self) -> int:
        """Listen, and serve in a thread of its own until `shut`; returns the port.

        Raises:
            UsageError: the target's host is unknown, or the port to listen at is taken.
        """
        if self._proxy is not None:
            raise UsageError("a shaper that runs already", hint="make another one")
        targets, [listen, *_] = addresses(*self._target), addresses(*self._listen)
        loop = Loop()
        try:
            proxy = Proxy(loop, self._shape, targets, listen)
        except UsageError:
            loop.close()
            raise
        self._loop, self._proxy = loop, proxy
        self._thread = threading.Thread(target=self._serve, name="edgewise-shaper", daemon=True)
        self._thread.start()
        return proxy.port

    def shut(self) -> None:
        """Reset what is open, and end."""
        if self._loop is None or self._thread is None:
            return
        self._loop.stop()
        self._thread.join(_FAREWELL_SECONDS)
        self._thread = None

    async def start(self) -> int:
        """`open`, for asyncio."""
        return await asyncio.to_thread(self.open)

    async def close(self) -> None:
        """`shut`, for asyncio."""
        await asyncio.to_thread(self.shut)

    def pause(self) -> None:
        """The link stalls: nothing moves, and its time, handshakes and trace stand still."""
        self._running()[0].pause()

    def resume(self) -> None:
        """The link goes on where it stalled."""
        self._running()[0].resume()

    def counters(self) -> Counters:
        """What went through until now."""
        return self._running()[1].counters()

    def _running(self) -> tuple[Loop, Proxy]:
        if self._loop is None or self._proxy is None:
            raise UsageError("a shaper that does not run", hint="start it first")
        return self._loop, self._proxy

    def _serve(self) -> None:
        loop, proxy = self._running()
        try:
            loop.run()
        finally:
            proxy.close()
            loop.close()

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


class ShaperProcess:
    """A shaper in a process of its own, so that it shares no interpreter lock with a load
    generator. It ends with its parent."""

    def __init__(
        self,
        target: tuple[str, int],
        shape: Shape,
        *,
        listen: tuple[str, int] = (LOOPBACK, 0),
    ) -> None:
        """As `Shaper`; `shape_of` makes a shape of a link's name."""
        self._settings = target, shape, listen
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    def open(self) -> int:
        """Start; returns the port.

        Raises:
            UsageError: the target's host is unknown, or the port to listen at is taken.
            WorkerFailed: the process ended at once.
        """
        command = [sys.executable, "-m", "edgewise.network.shaper_process"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        try:
            self.port = int(self._ask(pickle.dumps(self._settings))["port"])
        except BaseException:
            self.shut()
            raise
        return self.port

    def shut(self) -> None:
        """Reset what is open, and end."""
        if self._process is None:
            return
        process, self._process = self._process, None
        assert process.stdin is not None and process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            process.wait(_FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()

    def pause(self) -> None:
        """As `Shaper.pause`."""
        self._ask(b"pause\n")

    def resume(self) -> None:
        """As `Shaper.resume`."""
        self._ask(b"resume\n")

    def counters(self) -> Counters:
        """As `Shaper.counters`."""
        return msgspec.convert(self._ask(b"counters\n"), Counters)

    def _ask(self, request: bytes) -> dict[str, Any]:
        if self._process is None:
            raise UsageError("a shaper that does not run", hint="start it first")
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = b""
        if not answer:
            raise WorkerFailed("the shaper's process has ended")
        values: dict[str, Any] = msgspec.json.decode(answer)
        if "error" in values:
            raise UsageError(values["error"], hint=values["hint"])
        return values

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()


@contextlib.contextmanager
def shaped(
    link: LinkProfile | Path | str, host: str, port: int, *, process: bool = True, **changes: Any
) -> Iterator[int]:
    """The port behind which `host:port` is as far away as a link is long; see `shape_of`.

    `process`: in a process of its own, which takes a quarter of a second to start, else in a
    thread of this one.
    """
    shape = shape_of(link, **changes)
    shaper = ShaperProcess((host, port), shape) if process else Shaper.of((host, port), shape)
    with shaper:
        yield shaper.port
