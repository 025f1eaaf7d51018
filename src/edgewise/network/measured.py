"""A link from what a client saw of it: round trip, rates and their spread.

Over an open connection a request waits `rtt + sent / uplink` for the first byte of its reply (less
what the server took), and reads it in `received / downlink`. So round trip and rates are intercept
and slopes of two lines over the sizes, fitted such that single late requests do not count:
Theil's and Sen's median of the slopes of all pairs, each weighted by the difference of its sizes
(Sievers 1978), and the median of what is left as intercept. Intervals are bootstrap percentiles.

Sizes have to differ for a rate to show; requests on fresh connections and first large ones (their
windows were not open yet) say something else and are to be left out.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgewise.errors import InputError
from edgewise.network.capacity import BYTES_PER_MS, Floats
from edgewise.network.estimate import Observation
from edgewise.records import LinkProfile

#: With fewer observations, medians and intervals say nothing.
LEAST_OBSERVATIONS = 8
#: All pairs of so many observations are looked at; of more, so many at random.
_MOST_OBSERVATIONS = 200
_RESAMPLES = 300
_LEVELS = (0.025, 0.975)
#: The deviation of a normal distribution over its median absolute deviation.
_NORMAL_MAD = 1.4826


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; `high` is infinite where the data give no upper bound."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Measured:
    """A link as a client saw it. A rate is None where the sizes were too alike, or the times too
    noisy, to tell it from infinitely fast."""

    rtt_ms: Estimate
    jitter_ms: float
    uplink_mbps: Estimate | None
    downlink_mbps: Estimate | None
    observations: int

    def profile(self, name: str, radio: str | None = None) -> LinkProfile:
        """As a link that the simulator and the shaper take, over a radio as `LinkProfile` has it.

        Raises:
            InputError: a rate is not known.
        """
        if self.uplink_mbps is None or self.downlink_mbps is None:
            missing = "uplink" if self.uplink_mbps is None else "downlink"
            raise InputError(
                f"the {missing}'s rate cannot be told from {self.observations} observations",
                hint="measure with larger sizes, or more often",
            )
        return LinkProfile(
            name=name,
            uplink_mbps=self.uplink_mbps.value,
            downlink_mbps=self.downlink_mbps.value,
            rtt_ms=self.rtt_ms.value,
            jitter_ms=self.jitter_ms,
            radio=radio,
            description="measured",
            source=f"measured over {self.observations} requests",
        )


def measure(observations: Sequence[Observation], *, seed: int = 0) -> Measured:
    """The link that explains what was observed.

    Raises:
        InputError: too few observations, or sizes and times that are none.
    """
    rng = np.random.default_rng(seed)
    table = _table(observations, rng)
    sent, received, waited, reading = table.T
    up, rtt_ms = _line(sent, waited)
    down, _ = _line(received, reading)
    ups, rtts, downs = _resampled(table, rng)
    left_ms = waited - rtt_ms - up * sent
    return Measured(
        rtt_ms=Estimate(rtt_ms, *_interval(rtts)),
        jitter_ms=float(_NORMAL_MAD * np.median(np.abs(left_ms - np.median(left_ms)))),
        uplink_mbps=_rate(up, ups),
        downlink_mbps=_rate(down, downs),
        observations=len(observations),
    )


def _table(observations: Sequence[Observation], rng: np.random.Generator) -> Floats:
    """Shape (n, 4), of at most so many rows as all pairs of them can be looked at."""
    if len(observations) < LEAST_OBSERVATIONS:
        raise InputError(
            f"{len(observations)} observations of a link are too few",
            hint=f"{LEAST_OBSERVATIONS} at least",
        )
    table = np.array(
        [(o.sent_bytes, o.received_bytes, o.waited_ms, o.reading_ms) for o in observations],
        dtype=np.float64,
    )
    if not (np.isfinite(table).all() and (table >= 0).all()):
        raise InputError(
            "an observation of a link with a size or time that is negative or no number"
        )
    return table[rng.permutation(len(table))[:_MOST_OBSERVATIONS]]


def _line(sizes: Floats, times_ms: Floats) -> tuple[float, float]:
    """Slope (ms per byte, zero if all sizes are alike) and intercept of times over sizes, (n,)."""
    first, second = np.triu_indices(len(sizes), 1)
    apart = sizes[second] - sizes[first]
    differ = apart != 0
    if not differ.any():
        return 0.0, float(np.median(times_ms))
    slopes = (times_ms[second] - times_ms[first])[differ] / apart[differ]
    slope = _weighted_median(slopes, np.abs(apart[differ]))
    return slope, float(np.median(times_ms - slope * sizes))


def _weighted_median(values: Floats, weights: Floats) -> float:
    order = np.argsort(values)
    half = np.searchsorted(np.cumsum(weights[order]), weights.sum() / 2)
    return float(values[order][half])


def _resampled(table: Floats, rng: np.random.Generator) -> tuple[Floats, Floats, Floats]:
    """Slopes up, round trips and slopes down of resampled observations."""
    found = []
    for _ in range(_RESAMPLES):
        sent, received, waited, reading = table[rng.integers(0, len(table), len(table))].T
        found.append((*_line(sent, waited), _line(received, reading)[0]))
    ups, rtts, downs = np.array(found).T
    return ups, rtts, downs


def _interval(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, _LEVELS)
    return float(low), float(high)


def _rate(slope: float, slopes: Floats) -> Estimate | None:
    """A rate in Mbps from ms per byte; None where not even the slow end tells one."""
    fast, slow = _interval(slopes)
    if slope <= 0 or slow <= 0:
        return None
    high = math.inf if fast <= 0 else 1 / (fast * BYTES_PER_MS)
    return Estimate(1 / (slope * BYTES_PER_MS), 1 / (slow * BYTES_PER_MS), high)
