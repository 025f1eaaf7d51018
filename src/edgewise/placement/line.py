"""The link of the cloud's way, put before the server: a shaping proxy, or nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NamedTuple

from edgewise.energy.radio import RadioState
from edgewise.network import catalogue
from edgewise.network.link import HANDSHAKE_ROUND_TRIPS, MIN_TIMEOUT_MS, Path
from edgewise.network.shaper import Shaper, ShaperProcess, shape_of
from edgewise.network.shaping.pacing import Shape
from edgewise.placement.client import Address
from edgewise.protocol.http.target import Target
from edgewise.records import LinkProfile

#: No proxy: whatever lies between here and the server.
DIRECT = "direct"
#: A window is shut for good after so many timeouts of silence (10 segments × 2⁶ is 0.9 MB).
_TIMEOUTS = 7


class Silence(NamedTuple):
    """Pauses before each fresh and each warm request, in ms; whether the radio falls asleep."""

    fresh_ms: float
    warm_ms: float
    fresh_asleep: bool
    warm_asleep: bool
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Line:
    """A link by the name that options use. `profile` is None without a proxy: nothing is known."""

    name: str
    profile: LinkProfile | None = None
    shape: Shape | None = None

    def silent(self, radio: RadioState, gap_ms: float) -> tuple[Line, Silence]:
        """The line with pauses before its requests.

        A sleeping radio is awaited behind a tail that was made short: that changes no request, and
        spares the ten seconds and more that a real tail takes.
        """
        sleeps = self.profile is not None and self.profile.promotion_ms > 0
        warm_asleep = sleeps and self.profile is not None and gap_ms > self.profile.tail_ms
        fresh_asleep = warm_asleep or (sleeps and radio == "idle")
        if self.shape is None or not fresh_asleep:
            return self, Silence(gap_ms, gap_ms, False, False)
        tail_ms = 2 * self.shape.rtt_ms + 8 * self.shape.jitter_ms + MIN_TIMEOUT_MS
        pause_ms = max(tail_ms + 50, _TIMEOUTS * max(2 * self.shape.rtt_ms, MIN_TIMEOUT_MS))
        pause_ms = min(pause_ms, gap_ms) if warm_asleep else pause_ms
        note = (
            f"radio: its tail is shortened to {tail_ms:.0f} ms and the silence before a request to "
            f"{pause_ms:.0f} ms, so that it is asleep as after the real tail"
        )
        short = replace(self, shape=replace(self.shape, tail_ms=tail_ms))
        warm_ms = pause_ms if warm_asleep else gap_ms
        return short, Silence(pause_ms, warm_ms, True, warm_asleep, (note,))

    @contextmanager
    def opened(self, target: Target, *, process: bool = True) -> Iterator[Address]:
        """Where a client reaches the target over the line, while it is entered.

        Raises:
            UsageError, WorkerFailed: the proxy cannot be started.
        """
        host = target.address or target.host
        if self.shape is None:
            yield Address(host, target.port, shaped=False)
            return
        trips = 1 if target.tls else HANDSHAKE_ROUND_TRIPS  # TLS brings flights of its own
        shape = replace(self.shape, handshake_round_trips=trips)
        goal = (host, target.port)
        with ShaperProcess(goal, shape) if process else Shaper.of(goal, shape) as shaper:
            yield Address("127.0.0.1", shaper.port, shaped=True)


def line(spec: str, seed: int = 0) -> Line:
    """A line from the written form of a link: a name, a TOML file, a trace, or `direct`.

    Raises:
        UsageError: an unknown name, or a published pair, which has no rates.
        InputError: a file that cannot be read.
    """
    if spec == DIRECT:
        return Line(DIRECT)
    name = f"link:{spec}" if spec in catalogue.links() else spec
    found = catalogue.resolve(name)
    shape = shape_of(name if not isinstance(found, Path) else found, seed=seed)
    if found.name in catalogue.links() or ".toml" in spec:
        profile = catalogue.link(spec)
    else:
        profile = LinkProfile(
            name=spec, uplink_mbps=shape.uplink.mean_mbps, downlink_mbps=shape.downlink.mean_mbps,
            rtt_ms=shape.rtt_ms, jitter_ms=shape.jitter_ms,
        )  # fmt: skip
    return Line(profile.name, profile, shape)
