"""How much slower work is than its profile says: while other workers are busy, and in batches.

A factor per count, learned from the ratios of actual to expected times. It starts at what is
assumed (1 for busy workers, the size for a batch), as if that had been seen a few times, and
follows the last ratios, so that it forgets.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

#: Samples that what is assumed counts for, and samples after which old ones fade.
_PRIOR, _MEMORY = 8.0, 60.0
#: How much of each step goes back to what is assumed. Where the count is always the same nothing
#: tells the factor from the profile, and they would wander off together, their product right.
_BACK = 0.02
#: One stalled run says little about the factor: ratios beyond this share of it count as this.
_EXTREME = 3.0


@dataclass
class Factors:
    """Factors by count from 1 on; a count of 1 is the unit that profiles are in."""

    assumed: Callable[[int], float]
    weight: dict[int, float] = field(default_factory=dict)
    mean: dict[int, float] = field(default_factory=dict)

    def at(self, count: int) -> float:
        """The factor for a count; an unseen one is as the next smaller one that was seen."""
        if count <= 1:
            return 1.0
        known = self.mean.get(count)
        if known is not None:
            return known
        below = max((seen for seen in self.mean if seen < count), default=1)
        return self.assumed(count) * self.mean.get(below, 1.0) / self.assumed(below)

    def observe(self, count: int, ratio: float) -> None:
        """A job with this count took `ratio` times what the profile says."""
        if count <= 1:
            return
        before = self.at(count)
        bounded = min(max(ratio, before / _EXTREME), before * _EXTREME)
        weight = min(self.weight.get(count, _PRIOR), _MEMORY)
        step = bounded - before + _BACK * (self.assumed(count) - before)
        self.mean[count] = before + step / (weight + 1)
        self.weight[count] = weight + 1


def by_busy_workers() -> Factors:
    """One per number of busy workers: 1 until seen."""
    return Factors(lambda count: 1.0)


def by_batch_size() -> Factors:
    """One per size of a batch: the size until seen, as if batching saved nothing."""
    return Factors(float)
