"""How fast a direction of a path drains bytes: at a constant rate, or as a trace recorded it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from edgewise.errors import InputError

Floats = NDArray[np.float64]

#: Bytes per millisecond that one Mbps carries.
BYTES_PER_MS = 125.0


class Capacity(Protocol):
    """One direction of a path, without its delay."""

    @property
    def period_ms(self) -> float:
        """Length of the recording that repeats; 0 where time does not matter."""

    @property
    def mean_mbps(self) -> float:
        """Long-run rate."""

    def drained_ms(self, start_ms: Floats, size_bytes: Floats | float) -> Floats:
        """When the last of `size_bytes` has passed, if the first may pass at `start_ms`."""


@dataclass(frozen=True)
class Constant:
    """The same rate always."""

    mean_mbps: float
    period_ms: float = 0.0

    def drained_ms(self, start_ms: Floats, size_bytes: Floats | float) -> Floats:
        """start + size / rate."""
        return start_ms + np.asarray(size_bytes) / (self.mean_mbps * BYTES_PER_MS)


@dataclass(frozen=True, eq=False)
class Recorded:
    """A bandwidth trace that repeats: `rate_mbps[i]` holds from `edges_ms[i]` to `edges_ms[i+1]`.

    Shapes (K + 1,) and (K,); `edges_ms` starts at 0 and rises.
    """

    edges_ms: Floats
    rate_mbps: Floats

    def __post_init__(self) -> None:
        if not (np.diff(self.edges_ms) > 0).all():
            raise InputError("a trace whose times do not rise")
        if not (np.isfinite(self.rate_mbps).all() and (self.rate_mbps >= 0).all()):
            raise InputError("a trace with a rate that is negative or not finite")
        if not self.rate_mbps.any():
            raise InputError("a trace that never delivers a byte")

    @property
    def period_ms(self) -> float:
        """Length of the recording."""
        return float(self.edges_ms[-1])

    @cached_property
    def _passed_bytes(self) -> Floats:
        """Bytes that could have passed until each edge, shape (K + 1,)."""
        steps = np.diff(self.edges_ms) * self.rate_mbps * BYTES_PER_MS
        return np.concatenate([[0.0], np.cumsum(steps)])

    @property
    def mean_mbps(self) -> float:
        """Mean over the recording."""
        return float(self._passed_bytes[-1] / (self.period_ms * BYTES_PER_MS))

    def drained_ms(self, start_ms: Floats, size_bytes: Floats | float) -> Floats:
        """By the cumulated capacity: find where it is `size_bytes` above that at `start_ms`."""
        per_period = self._passed_bytes[-1]
        cycle, offset_ms = np.divmod(start_ms, self.period_ms)
        target = np.interp(offset_ms, self.edges_ms, self._passed_bytes) + size_bytes
        # A target at the very end of a period belongs to it, not to the start of the next.
        more_cycles = np.maximum(np.ceil(target / per_period) - 1, 0)
        end_ms = (cycle + more_cycles) * self.period_ms + self._reached_ms(
            target - more_cycles * per_period
        )
        drained_ms: Floats = np.maximum(end_ms, start_ms)
        return drained_ms

    def _reached_ms(self, target_bytes: Floats) -> Floats:
        """The first time within a period at which so many bytes have passed."""
        segment = np.searchsorted(self._passed_bytes, target_bytes, side="left")
        segment = np.clip(segment - 1, 0, len(self.rate_mbps) - 1)
        rate = self.rate_mbps[segment] * BYTES_PER_MS
        missing = target_bytes - self._passed_bytes[segment]
        # Zero bytes need no time even where nothing passes.
        waited = np.divide(missing, rate, out=np.zeros_like(missing), where=rate > 0)
        reached_ms: Floats = self.edges_ms[segment] + waited
        return reached_ms
