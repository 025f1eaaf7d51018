"""Whether the traffic is no longer what it was, compiled."""

from __future__ import annotations

import numpy as np

from edgewise.selection.compiled import njit
from edgewise.selection.policies.protocol import Indices
from edgewise.selection.profiles.table import Floats


@njit()
def changed(
    rows: Floats,
    row: int,
    count: int,
    known: int,
    before: Floats,
    windows: Indices,
    deviations: float,
    share: float,
) -> int:
    """The first window of the last requests in which a mean is no longer what it was, 0: none.

    `rows` (R, a power of two) is a ring that `count` values of each `row` went into, the last
    `known` of them alike; `before` (3,) mean, variance and number of what to compare with. A change
    is more than so many standard errors and a share of the mean. Few values of a heavy tail show
    too little variance, so the larger of the two counts for both.
    """
    wrap = rows.shape[1] - 1
    for window in windows:
        n = min(window, known)
        mean = 0.0
        for back in range(1, n + 1):
            mean += rows[row, (count - back) & wrap]
        mean /= n
        square = 0.0
        for back in range(1, n + 1):
            square += (rows[row, (count - back) & wrap] - mean) ** 2
        error = np.sqrt(max(before[1], square / n) * (1 / before[2] + 1 / n))
        if abs(mean - before[0]) > deviations * error + share * abs(before[0]):
            return int(n)
    return 0
