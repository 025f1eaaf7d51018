"""Intervals from one run, whose requests share a queue and so are not independent."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

#: Neighbouring requests are put into batches long enough to be nearly independent.
BATCHES, _FEWEST_IN_BATCH = 20, 25
#: Requests from which there is an interval.
FEWEST = BATCHES * _FEWEST_IN_BATCH
#: 97.5 % quantiles of Student's t with 19 degrees of freedom, and of the normal.
_T19, _Z = 2.0930, 1.9600


def of_mean(values: NDArray[np.float64], most: float) -> tuple[float, float] | None:
    """95 % interval of the mean of a run's values, in their order, each from 0 to `most`.

    Batch means with Student's quantile (Law, Simulation Modeling and Analysis, 9.5.3), but never
    narrower than Wilson's interval for as many independent requests: where all batches are alike
    (every request in time), their spread would claim certainty. None for fewer than `FEWEST`.
    """
    if len(values) < FEWEST:
        return None
    means = np.array([batch.mean() for batch in np.array_split(values, BATCHES)])
    half = _T19 * float(means.std(ddof=1)) / math.sqrt(BATCHES)
    mean = float(values.mean())
    low, high = _wilson(mean / most, len(values))
    return (
        max(min(mean - half, low * most), 0.0),
        min(max(mean + half, high * most), most),
    )


def _wilson(share: float, n: int) -> tuple[float, float]:
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z / (1 + _Z**2 / n) * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2))
    return centre - half, centre + half
