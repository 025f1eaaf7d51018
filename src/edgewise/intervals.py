"""What was sampled, in short, and its intervals: Student's t, Wilson's score, batch means, the
next value."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from edgewise.records import Distribution

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

#: Samples that a quantile needs (MLPerf's early-stopping floors).
FLOORS = {"p90": 64, "p95": 128, "p99": 662}
#: 97.5 % quantile of the normal.
Z95 = 1.959963984540054


def described(values: ArrayLike) -> Distribution:
    """Values in short, without an interval; a quantile without enough of them is None."""
    import numpy as np

    samples = np.asarray(values, dtype=np.float64)
    count = int(samples.size)
    if not count:
        return Distribution(n=0)
    quantiles = {
        name: float(np.quantile(samples, int(name[1:]) / 100)) if count >= floor else None
        for name, floor in FLOORS.items()
    }
    return Distribution(
        n=count, mean=float(samples.mean()), std=float(samples.std(ddof=1)) if count > 1 else None,
        min=float(samples.min()), p50=float(np.median(samples)), max=float(samples.max()),
        **quantiles,
    )  # fmt: skip


def wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share of n, at least 1 (JASA 22, 1927); within 0 to 1."""
    below = 1 + Z95**2 / n
    centre = (share + Z95**2 / (2 * n)) / below
    half = Z95 / below * math.sqrt(share * (1 - share) / n + Z95**2 / (4 * n**2))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def of_mean(values: Sequence[float], confidence: float = 0.95) -> tuple[float, float]:
    """Interval of the mean of independent values, two at least, by Student's t: such as of the
    means of batches that are long enough (Law, Simulation Modeling and Analysis, 9.5.3)."""
    error = statistics.stdev(values) / math.sqrt(len(values))
    mean, half = statistics.fmean(values), student_quantile(confidence, len(values) - 1) * error
    return mean - half, mean + half


def of_next(values: Sequence[float], *, least_std: float = 0.0) -> tuple[float, float]:
    """95 % interval of another value, by Student's t; of one value alone nothing is known, and it
    is taken for exact.

    `least_std` is what is known of their standard deviation before any is seen: a few values that
    happen to lie close together do not show that the next one does.
    """
    mean, half = statistics.fmean(values), 0.0
    if len(values) > 1:
        spread = max(statistics.stdev(values), least_std) * math.sqrt(1 + 1 / len(values))
        half = student_quantile(0.95, len(values) - 1) * spread
    return mean - half, mean + half


@cache
def student_quantile(confidence: float, degrees: int) -> float:
    """t with P(|T| ≤ t) = confidence, by bisection of the exact distribution."""
    low, high = 0.0, 1.0
    while _student_probability(high, degrees) < confidence:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        if _student_probability(middle, degrees) < confidence:
            low = middle
        else:
            high = middle
    return high


def _student_probability(t: float, degrees: int) -> float:
    """P(|T| ≤ t) for whole degrees of freedom (Abramowitz & Stegun 26.7.3, 26.7.4)."""
    angle = math.atan2(t, math.sqrt(degrees))
    odd = degrees % 2
    term = math.cos(angle) if odd else 1.0
    total = term if degrees > 1 else 0.0
    for step in range(2 + odd, degrees - 1, 2):
        term *= math.cos(angle) ** 2 * (step - 1) / step
        total += term
    series = math.sin(angle) * total
    return 2 / math.pi * (angle + series) if odd else series
