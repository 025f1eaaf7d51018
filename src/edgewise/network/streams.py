"""A link from long transfers that followed each other without a gap.

While a stream passes, the link is its limit: the slope of time over bytes is the inverse of the
rate, whatever the round trip and the ends' work for a single request. Each stream gives one slope
(least squares over its marks, so that the delay of single pieces counts little), all together a
mean with Student's t-interval: streams are apart in time, marks within one are not independent.

The round trip is the mean of small requests without those that are late for another reason; what
both ends do for a request is in it, which its interval allows for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from edgewise.errors import InputError
from edgewise.intervals import of_mean
from edgewise.network.capacity import BYTES_PER_MS, Floats
from edgewise.network.measured import Estimate, Measured

#: Fewer small requests, or streams in a direction, say nothing of their spread.
LEAST_PINGS, LEAST_STREAMS = 8, 4
#: Both ends may need so long for a small request: the round trip may be that much shorter.
ENDS_MS = 2.0
#: From here on what both ends do with a byte may be the limit, not the link: no upper bound.
ENDS_MBPS = 300.0
#: What no repetition shows: reads and stamps are coarse, delays within a stream add up. A part of
#: the rate, found with `benchmarks/bench_links.py`.
_COARSE = 0.015
#: Nothing for so much longer than usual, and than two round trips, is a stall: TCP sends again what
#: was lost after 200 ms or more (RFC 6298 has a second; Linux a fifth).
_STALL_MS = 100.0
#: A small request so many deviations beyond the median is late for a reason of its own.
_LATE = 5.0
#: The deviation of a normal distribution over its median absolute deviation.
_NORMAL_MAD = 1.4826


class Mark(NamedTuple):
    """So many bytes of a stream had arrived at that time."""

    size_bytes: float
    at_ms: float


Stream = Sequence[Mark]


class Stalls(NamedTuple):
    """How often nothing passed for much longer than usual, for how long in all, and while how
    long it was looked at, in ms."""

    times: int
    stalled_ms: float
    watched_ms: float

    @property
    def most(self) -> float:
        """The part of the time that they may take, 97.5 % sure: so many stalls have a deviation of
        the root of their number, and of their sum where they differ, twice that at most."""
        if not self.times:
            return 0.0
        return min(self.stalled_ms / self.watched_ms * (1 + 2 * math.sqrt(2 / self.times)), 0.9)


def stalls(pings_ms: Sequence[float], streams: Sequence[Stream]) -> Stalls:
    """The stalls that small requests, one after the other, and streams met."""
    usual_ms = float(np.median(pings_ms))
    least_ms = max(_STALL_MS, 2 * usual_ms)
    late = np.asarray(pings_ms) - usual_ms
    lost, watched_ms = [late[late > least_ms]], float(np.sum(pings_ms))
    for stream in streams:
        gaps = np.diff([mark.at_ms for mark in stream])
        if len(gaps):
            longer = gaps - np.median(gaps)
            lost.append(longer[longer > least_ms])
            watched_ms += float(gaps.sum())
    each = np.concatenate(lost)
    return Stalls(len(each), float(each.sum()), watched_ms)


def measured(pings_ms: Sequence[float], ups: Sequence[Stream], downs: Sequence[Stream]) -> Measured:
    """The link that small requests and streams in both directions passed.

    Raises:
        InputError: fewer than `LEAST_PINGS` small requests.
    """
    if len(pings_ms) < LEAST_PINGS:
        raise InputError(f"{len(pings_ms)} round trips are too few", hint=f"{LEAST_PINGS} at least")
    usual = _usual(np.asarray(pings_ms, dtype=np.float64))
    # One way may have met none that the other met: they are the path's all the same.
    lost = stalls(pings_ms, [*ups, *downs]).most
    return Measured(
        rtt_ms=round_trip(pings_ms),
        jitter_ms=float(usual.std(ddof=1)),
        uplink_mbps=_at_worst(rate(ups), lost),
        downlink_mbps=_at_worst(rate(downs), lost),
        observations=len(pings_ms) + len(ups) + len(downs),
    )


def round_trip(pings_ms: Sequence[float]) -> Estimate:
    """Mean of what small requests took, in ms, with its 95 % interval."""
    usual = _usual(np.asarray(pings_ms, dtype=np.float64))
    mean, half = _mean(usual)
    return Estimate(mean, max(mean - half - ENDS_MS, 0.0), mean + half)


def rate(streams: Sequence[Stream]) -> Estimate | None:
    """The rate in Mbps that streams show, with its 95 % interval; None where they show none.

    `high` is infinite where the streams' times vary too much for an upper bound, or where they are
    so fast that the ends may have been the limit.
    """
    slopes = np.array([one for each in streams if (one := slope(each)) is not None])
    if len(slopes) < LEAST_STREAMS:
        return None
    mean, half = _mean(slopes)
    half += _COARSE * mean
    value, low = (1 / (each * BYTES_PER_MS) for each in (mean, mean + half))
    bounded = mean > half and value < ENDS_MBPS
    return Estimate(value, low, 1 / ((mean - half) * BYTES_PER_MS) if bounded else math.inf)


def _at_worst(of: Estimate | None, lost: float) -> Estimate | None:
    """With an interval that reaches down to a rate of which stalls take that part."""
    return of and replace(of, low=min(of.low, of.value * (1 - lost)))


def slope(stream: Stream) -> float | None:
    """Milliseconds per byte; None of a stream that is too short to tell."""
    if len(stream) < 3:
        return None
    sizes, times = np.array(stream, dtype=np.float64).T
    sizes, times = sizes - sizes.mean(), times - times.mean()
    spread = float(sizes @ sizes)
    found = float(sizes @ times) / spread if spread > 0 else 0.0
    return found if found > 0 else None


def is_within(estimate: Estimate | None, share: float) -> bool:
    """Whether an interval reaches from its value no farther than that share of it, as far as it
    is bounded."""
    if estimate is None:
        return False
    high = estimate.value if math.isinf(estimate.high) else estimate.high
    return max(high - estimate.value, estimate.value - estimate.low) <= share * estimate.value


def _usual(values: Floats) -> Floats:
    """Without single ones that are far above the others."""
    middle = float(np.median(values))
    deviation = _NORMAL_MAD * float(np.median(np.abs(values - middle)))
    return values[values <= middle + _LATE * max(deviation, 0.02 * middle)]


def _mean(values: Floats) -> tuple[float, float]:
    """Mean and half of its 95 % interval."""
    low, high = of_mean(values.tolist())
    return (low + high) / 2, (high - low) / 2
