"""What the network takes of a request, by the link's model (`network/link.py`): means.

The same rules that the simulator draws from and the shaper keeps, without their jitter, for many
links at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np

from edgewise.energy.radio import RadioState
from edgewise.errors import UsageError
from edgewise.network.capacity import BYTES_PER_MS, Floats
from edgewise.network.link import HANDSHAKE_ROUND_TRIPS, Connection, Path, Transfers
from edgewise.records import LinkProfile


@dataclass(frozen=True)
class Usage:
    """How requests follow each other.

    `connection`: they find one open (warm) or each opens its own (fresh). `radio`: how the first
    one finds it. `requests` of them share a tail, `gap_ms` of silence before each later one.
    `capped`: the radio takes no more power than its maker states.
    """

    connection: Literal["warm", "fresh"] = "warm"
    radio: RadioState = "active"
    requests: int = 100
    gap_ms: float = 0.0
    capped: bool = True

    def __post_init__(self) -> None:
        if self.requests < 1 or not 0 <= self.gap_ms < np.inf:
            raise UsageError(
                f"{self.requests} requests, {self.gap_ms} ms apart",
                hint="one or more, a gap of zero or more",
            )


@dataclass(frozen=True, eq=False)
class Each:
    """A rate for every request on its own, constant in time; shape (n,)."""

    rate_mbps: Floats
    period_ms: float = 0.0

    @property
    def mean_mbps(self) -> Any:
        """The rates: the link's model takes an array wherever it takes one number."""
        return self.rate_mbps

    def drained_ms(self, start_ms: Floats, size_bytes: Floats | float) -> Floats:
        """start + size / rate."""
        return start_ms + np.asarray(size_bytes) / (self.rate_mbps * BYTES_PER_MS)


class Wire(NamedTuple):
    """Of one request, in ms.

    `connect_ms` is what a new connection takes longer than an open one, `slow_start_ms` the part
    of it that the small window costs. `asleep_ms` is the promotion within `upload_ms`, `waking_ms`
    the one within `connect_ms`.
    """

    upload_ms: float
    download_ms: float
    connect_ms: float
    slow_start_ms: float
    asleep_ms: float
    waking_ms: float


class Lines(NamedTuple):
    """Many links' varying parts, all of shape (n,)."""

    uplink_mbps: Floats
    downlink_mbps: Floats
    rtt_ms: Floats


def network_ms(
    link: LinkProfile, lines: Lines, payload: float, reply: float, usage: Usage
) -> Floats:
    """All that the network takes of a request in this usage, shape (n,), of links that are like
    `link` but for rates and round trips."""
    how = _fresh(link, usage) if usage.connection == "fresh" else _warm(usage)
    over = _transfers(link, lines, payload, reply, how)
    return over.upload_ms + over.download_ms


def _warm(usage: Usage) -> Connection:
    return Connection("warm", usage.gap_ms)


def _fresh(link: LinkProfile, usage: Usage) -> Connection:
    """A first request's connection: the radio slept before it, or did not."""
    slept = usage.radio == "idle" or usage.gap_ms > link.tail_ms
    return Connection("fresh", link.tail_ms + 1.0 if slept else 0.0)


@lru_cache(maxsize=4096)
def wire(link: LinkProfile, payload: float, reply: float, usage: Usage) -> Wire:
    """Of one link: a later request, and what a first one takes longer."""
    one = Lines(*(np.array([x]) for x in (link.uplink_mbps, link.downlink_mbps, link.rtt_ms)))
    warm = _transfers(link, one, payload, reply, _warm(usage))
    fresh = _transfers(link, one, payload, reply, _fresh(link, usage))
    upload_ms, download_ms = float(warm.upload_ms[0]), float(warm.download_ms[0])
    connect_ms = float(fresh.upload_ms[0] + fresh.download_ms[0]) - upload_ms - download_ms
    asleep_ms = link.promotion_ms if usage.gap_ms > link.tail_ms else 0.0
    waking_ms = link.promotion_ms if usage.radio == "idle" and not asleep_ms else 0.0
    handshake_ms = HANDSHAKE_ROUND_TRIPS * link.rtt_ms
    slow_start_ms = max(connect_ms - handshake_ms - waking_ms, 0.0)
    return Wire(upload_ms, download_ms, connect_ms, slow_start_ms, asleep_ms, waking_ms)


def _transfers(
    link: LinkProfile, lines: Lines, payload: float, reply: float, connection: Connection
) -> Transfers:
    over = Path(
        name=link.name,
        uplink=Each(lines.uplink_mbps),
        downlink=Each(lines.downlink_mbps),
        rtt_ms=link.rtt_ms,
        jitter_ms=0.0,
        promotion_ms=link.promotion_ms,
        tail_ms=link.tail_ms,
        payload_bytes=payload,
        reply_bytes=reply,
        connection=connection,
    )
    half_ms = lines.rtt_ms / 2
    return over.transfers_with(np.zeros(len(half_ms)), half_ms, half_ms)
