"""Quantiles that merge: a histogram with logarithmic buckets and a bounded relative error.

The guarantee is DDSketch's (Masson, Rim, Lee, VLDB 2019): with γ = (1 + a) / (1 − a), bucket i
holds the values in (γ^(i−1), γ^i] and answers 2γ^i / (γ + 1), which is within a fraction a of any
of them. Not the `ddsketch` package: its `add` takes one value per call of Python, while the
simulator adds arrays at tens of millions of values a second; and times in ms need no more than a
fixed range of buckets.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

#: Largest relative error of a quantile.
ACCURACY = 0.005
_GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
_PER_LOG = 1 / math.log(_GAMMA)
#: Values outside 1 ns … 1 day (in ms) count as these.
_LOWEST_MS, _HIGHEST_MS = 1e-6, 8.64e7
_OFFSET = math.ceil(math.log(_LOWEST_MS) * _PER_LOG)
_BUCKETS = math.ceil(math.log(_HIGHEST_MS) * _PER_LOG) - _OFFSET + 1


class Sketch:
    """Counts per bucket; 25 kB whatever the number of values."""

    def __init__(self) -> None:
        self.counts: NDArray[np.int64] = np.zeros(_BUCKETS, dtype=np.int64)
        self.n = 0

    def add(self, value_ms: float) -> None:
        """Count one value."""
        bounded = min(max(value_ms, _LOWEST_MS), _HIGHEST_MS)
        self.counts[math.ceil(math.log(bounded) * _PER_LOG) - _OFFSET] += 1
        self.n += 1

    def add_many(self, values_ms: NDArray[np.float64]) -> None:
        """Count an array of values, shape (n,)."""
        bounded = np.clip(values_ms, _LOWEST_MS, _HIGHEST_MS)
        buckets = np.ceil(np.log(bounded) * _PER_LOG).astype(np.int64) - _OFFSET
        self.counts += np.bincount(buckets, minlength=_BUCKETS)
        self.n += len(values_ms)

    def merge(self, other: Sketch) -> None:
        """Count what another one counted."""
        self.counts += other.counts
        self.n += other.n

    def quantile(self, level: float) -> float:
        """The value at a level in [0, 1], within a fraction `ACCURACY`.

        Raises:
            ValueError: nothing was counted.
        """
        return float(self.quantiles(np.array([level]))[0])

    def quantiles(self, levels: NDArray[np.float64]) -> NDArray[np.float64]:
        """The same for an array of levels, shape (k,)."""
        if self.n == 0:
            raise ValueError("a sketch of no values has no quantiles")
        buckets = np.searchsorted(np.cumsum(self.counts), levels * (self.n - 1), side="right")
        values: NDArray[np.float64] = np.exp((buckets + _OFFSET) / _PER_LOG) * (2 / (_GAMMA + 1))
        return values

    def to_sparse(self) -> dict[int, int]:
        """Counts of the buckets that have any, to be kept in a file."""
        filled = np.flatnonzero(self.counts)
        return dict(zip(filled.tolist(), self.counts[filled].tolist(), strict=True))

    @classmethod
    def from_sparse(cls, counts: dict[int, int]) -> Sketch:
        """What `to_sparse` gave.

        Raises:
            ValueError: a bucket that there is not, or a negative count.
        """
        sketch = cls()
        for bucket, count in counts.items():
            if not 0 <= bucket < _BUCKETS or count < 0:
                raise ValueError(f"no bucket {bucket} with {count} values")
            sketch.counts[bucket] = count
        sketch.n = int(sketch.counts.sum())
        return sketch
