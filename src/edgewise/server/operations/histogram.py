"""Counting times in fixed buckets, with plain numbers: some 0.2 µs each."""

from __future__ import annotations

from bisect import bisect_left

#: Upper bounds of the buckets in ms: three per decade, from a tenth of the fastest demo variant's
#: time on a phone to ten seconds. A value above the last one lies only in "+Inf".
BOUNDS_MS = (
    0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 10000.0,
)  # fmt: skip


class Histogram:
    """Counts by bucket, their sum and number."""

    __slots__ = ("counts", "sum_ms")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_MS) + 1)
        self.sum_ms = 0.0

    def add(self, value_ms: float) -> None:
        """Count one time."""
        self.counts[bisect_left(BOUNDS_MS, value_ms)] += 1
        self.sum_ms += value_ms

    def cumulated(self) -> list[tuple[str, float]]:
        """Prometheus's buckets: the bound in seconds, and how many values lie at or below it."""
        total = 0
        buckets = []
        bounds = [*(repr(bound / 1000) for bound in BOUNDS_MS), "+Inf"]
        for bound, count in zip(bounds, self.counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        return buckets
