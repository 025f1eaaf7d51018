"""Intervals from one run, whose requests share a queue and so are not independent."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edgewise import intervals

#: Neighbouring requests are put into batches long enough to be nearly independent.
BATCHES, _FEWEST_IN_BATCH = 20, 25
#: Requests from which there is an interval.
FEWEST = BATCHES * _FEWEST_IN_BATCH


def of_mean(values: NDArray[np.float64], most: float) -> tuple[float, float] | None:
    """95 % interval of the mean of a run's values, in their order, each from 0 to `most`.

    Batch means with Student's quantile (Law, Simulation Modeling and Analysis, 9.5.3), but never
    narrower than Wilson's interval for as many independent requests: where all batches are alike
    (every request in time), their spread would claim certainty. None for fewer than `FEWEST`.
    """
    if len(values) < FEWEST:
        return None
    means = np.array([batch.mean() for batch in np.array_split(values, BATCHES)])
    least, largest = intervals.of_mean(means.tolist())
    low, high = intervals.wilson(float(values.mean()) / most, len(values))
    return (
        max(min(least, low * most), 0.0),
        min(max(largest, high * most), most),
    )
