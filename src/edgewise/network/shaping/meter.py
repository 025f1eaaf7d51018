"""Counters that one thread writes and any thread reads."""

from __future__ import annotations

import math
from dataclasses import dataclass

_BIN_MS = 100.0
_BINS = 10


@dataclass(frozen=True)
class Counters:
    """What went through a shaper until now; the rates are those of the last second."""

    connections: int
    open_connections: int
    refused: int
    uplink_bytes: int
    downlink_bytes: int
    uplink_mbps: float
    downlink_mbps: float


class Meter:
    """Bytes of one direction, in all and in the last second."""

    def __init__(self) -> None:
        self.total_bytes = 0
        # A bin is replaced as a whole, so that a reader never sees half of a change.
        self._bins: list[tuple[int, int]] = [(-1, 0)] * (_BINS + 1)

    def add(self, now_ms: float, size_bytes: int) -> None:
        """So many bytes have passed."""
        self.total_bytes += size_bytes
        number = math.floor(now_ms / _BIN_MS)
        place = number % len(self._bins)
        known, sofar = self._bins[place]
        self._bins[place] = (number, size_bytes + (sofar if known == number else 0))

    def mbps(self, now_ms: float) -> float:
        """Mean rate over the last whole second's bins, in Mbps."""
        last = math.floor(now_ms / _BIN_MS)
        recent = sum(size for number, size in self._bins if last - _BINS <= number < last)
        return recent / (_BINS * _BIN_MS) * 8e-3
