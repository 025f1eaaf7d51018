"""Measuring variants at the start: first profiles where none are given."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgewise.server.pool.model_cache import ModelCache

#: A worker is not kept from jobs for longer than this at a time (but for one inference).
_SLICE_S = 0.05
#: How often a variant that was evicted meanwhile is loaded again.
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a variant costs on this machine, in ms and bytes.

    `hot_ms` are service times (preprocessing, inference, outputs) of a worker alone; `by_busy`
    those with so many workers at the same variant at once, which share caches and memory. Empty
    where the file leaves a dimension open and no input can be made up. `cold_ms` is what a first
    inference takes more than a later one, loading included.
    """

    hot_ms: tuple[float, ...]
    cold_ms: float
    resident_bytes: int
    by_busy: Mapping[int, tuple[float, ...]]


async def calibrate(
    cache: ModelCache, workers: int, keys: Sequence[str], samples: int, seconds: float
) -> dict[str, Calibration]:
    """See `Pool.calibrate`."""
    counts = busy_counts(workers)
    share_s = seconds / max(1, len(keys) * len(counts))
    return {key: await _one(cache, key, counts, samples, share_s) for key in keys}


def busy_counts(workers: int) -> list[int]:
    """1, 2, 4, … and all: between them service times are interpolated."""
    counts = [1]
    while counts[-1] * 2 < workers:
        counts.append(counts[-1] * 2)
    return [*counts, workers] if workers > 1 else counts


async def _one(
    cache: ModelCache, key: str, counts: Sequence[int], samples: int, share_s: float
) -> Calibration:
    if cache.residency.is_resident(0, key):
        await cache.evict(0, key)
    loaded = await cache.load(0, key)
    by_busy: dict[int, tuple[float, ...]] = {}
    for busy in counts:
        if cache.residency.copies_that_fit(key, busy) == busy:
            by_busy[busy] = await _together(cache, key, busy, samples, share_s)
    hot_ms = by_busy.get(1, ())
    first_ms = loaded.first_ms or 0.0
    usual_ms = statistics.median(hot_ms) if hot_ms else 0.0
    return Calibration(
        hot_ms=hot_ms,
        cold_ms=loaded.load_ms + max(0.0, first_ms - usual_ms),
        resident_bytes=loaded.resident_bytes,
        by_busy=by_busy,
    )


async def _together(
    cache: ModelCache, key: str, busy: int, samples: int, share_s: float
) -> tuple[float, ...]:
    """The times of `busy` workers that do the same at the same time."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + share_s
    times: list[float] = []
    needed, fruitless = True, 0
    while len(times) < samples and (not times or loop.time() < end_s) and fruitless < _ATTEMPTS:
        if needed:  # at first, and where traffic had it evicted
            await asyncio.gather(*(cache.load(worker, key) for worker in range(busy)))
        runs = -(-(samples - len(times)) // busy)
        slice_s = min(_SLICE_S, max(0.001, end_s - loop.time()))
        seed = len(times)
        parts = await asyncio.gather(
            *(cache.calibrate(worker, key, runs, slice_s, seed + worker)
              for worker in range(busy))
        )  # fmt: skip
        needed = not all(parts)
        fruitless += needed
        times += [time for part in parts for time in part]
    return tuple(times)
