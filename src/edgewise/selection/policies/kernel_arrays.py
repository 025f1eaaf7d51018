"""The plain arrays of a pool, its queue and its workers that `discipline` works on. Times in ms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgewise.selection.compiled import njit
from edgewise.selection.policies.protocol import Indices
from edgewise.selection.profiles.table import Floats

#: Tickets that are planned one by one. With 32, and half again as many nodes of backlog, 18 cells
#: deliver the same to 0.01 points in the mean.
STAGES = 12
#: Equally likely values that stand for the errors of a predicted network time.
ERRORS = 8
#: Parts of a service's quantiles, from the shortest to the longest, by where each of them begins.
PARTS = np.array([0.0, 0.5, 0.9, 0.98, 1.0])
#: Columns of what runs on a worker, (k, 3): since when, the model, the factor on its time.
START, MODEL, FACTOR = range(3)
#: In the place of the model.
IDLE, LOST = -1.0, -2.0


class PoolArrays(NamedTuple):
    """What is known in a pool of M variants, for K kinds of tickets, on N nodes of backlog.

    `quantiles_ms` (M, Q), `mean_ms` (M,): hot service with one worker busy. `jobs_ms` (M, P): the
    means of its `PARTS`. `tail_ms` (M,): what it may exceed its mean by at the promised level.
    `gain` (M,): points of an answer in time. `kinds` (K, L): variants of each kind, most accurate
    first, −1 ends. `fast_ms`, `fast_tail_ms` (K,): of the fastest of a kind. `grid_ms` (N,): nodes,
    quadratic. `cells`, `parts` (M, N): where a node comes to lie when a job of the model is added.
    `share` is the part of a job that each worker bears, `factor` the slow-down when all are busy,
    `slip` the share of a wait by which requests come later than planned (`margin.py`), `missed` the
    points that a ms of backlog beyond the grid costs.
    """

    quantiles_ms: Floats
    mean_ms: Floats
    jobs_ms: Floats
    tail_ms: Floats
    gain: Floats
    kinds: Indices
    fast_ms: Floats
    fast_tail_ms: Floats
    grid_ms: Floats
    cells: Indices
    parts: Floats
    share: float
    factor: float
    slip: float
    missed: float


class Queue(NamedTuple):
    """Tickets in order of their deadlines: `due_ms`, `kind` (capacity,), from `first` to `last`.
    `errors_ms` (capacity, ERRORS): by how much the way back may take longer than `due_ms` leaves
    for it, rising."""

    due_ms: Floats
    kind: Indices
    errors_ms: Floats
    first: int
    last: int


@njit()
def undominated(quantiles_ms: Floats, candidates: Indices) -> Indices:
    """Of candidates, best first: those that no earlier one beats at every quantile."""
    kept = np.empty(candidates.shape[0], dtype=np.intp)
    count = 0
    for model in candidates:
        beaten = False
        for place in range(count):
            better, level = kept[place], 0
            while (
                level < quantiles_ms.shape[1]
                and quantiles_ms[better, level] <= quantiles_ms[model, level]
            ):
                level += 1
            if level == quantiles_ms.shape[1]:
                beaten = True
                break
        if not beaten:
            kept[count] = model
            count += 1
    return kept[:count]


@njit()
def locate(grid_ms: Floats, place_ms: float) -> tuple[int, float]:
    """The cell of a quadratic grid, and how far into it."""
    last = grid_ms.shape[0] - 1
    if not place_ms < grid_ms[last]:
        return last - 1, 1.0
    if place_ms <= 0.0:
        return 0, 0.0
    cell = min(int(np.sqrt(place_ms / grid_ms[last]) * last), last - 1)
    return cell, (place_ms - grid_ms[cell]) / (grid_ms[cell + 1] - grid_ms[cell])


@njit()
def value_at(grid_ms: Floats, values: Floats, place_ms: float) -> float:
    """Values on the grid, linear between the nodes."""
    cell, part = locate(grid_ms, place_ms)
    return float(values[cell] + part * (values[cell + 1] - values[cell]))


@njit()
def worth_after(
    arrays: PoolArrays, values: Floats, place_ms: float, model: int, factor: float, load_ms: float
) -> float:
    """The mean of values on the grid once a job of the model is added at a place of it. A backlog's
    worth falls the faster the longer it is, so that jobs of two lengths cost more than their mean.
    """
    total = 0.0
    for part in range(arrays.jobs_ms.shape[1]):
        job_ms = arrays.jobs_ms[model, part] * factor + load_ms
        after_ms = place_ms + job_ms * arrays.share
        beyond_ms = max(after_ms - arrays.grid_ms[arrays.grid_ms.shape[0] - 1], 0.0)
        after = value_at(arrays.grid_ms, values, after_ms) - arrays.missed * beyond_ms
        total += (PARTS[part + 1] - PARTS[part]) * after
    return total


@njit(inline="always")
def share_below(sorted_ms: Floats, row: int, limit_ms: float) -> float:
    """Share of a row's sorted values that are at most the limit."""
    # The row is not sliced off: a view costs more here than the comparisons.
    count = sorted_ms.shape[1]
    if limit_ms >= sorted_ms[row, count - 1]:
        return 1.0
    if limit_ms < sorted_ms[row, 0]:
        return 0.0
    low, high = 0, count
    while low < high:
        middle = (low + high) // 2
        if sorted_ms[row, middle] <= limit_ms:
            low = middle + 1
        else:
            high = middle
    return float(low / count)


@njit(inline="always")
def chance(
    sorted_ms: Floats, row: int, left_ms: float, factor: float, errors_ms: Floats, at: int
) -> float:
    """P(service · factor + error ≤ what is left), by one row of the errors."""
    count = errors_ms.shape[1]
    if errors_ms[at, 0] == errors_ms[at, count - 1]:
        return share_below(sorted_ms, row, (left_ms - errors_ms[at, 0]) / factor)
    total = 0.0
    for place in range(count):
        likely = share_below(sorted_ms, row, (left_ms - errors_ms[at, place]) / factor)
        if likely == 0.0:
            break
        total += likely
    return float(total / count)


@njit()
def shifts(grid_ms: Floats, work_ms: float, cells: Indices, parts: Floats, model: int) -> None:
    """Fill one row of a arrays's `cells` and `parts`."""
    for node in range(grid_ms.shape[0]):
        cells[model, node], parts[model, node] = locate(grid_ms, grid_ms[node] + work_ms)


@njit()
def _left(arrays: PoolArrays, model: int, elapsed_ms: float, factor: float) -> tuple[float, float]:
    """Mean of what is left of a service, and what it may exceed that by."""
    mean_ms, tail_ms = arrays.mean_ms[model], arrays.tail_ms[model]
    gone = elapsed_ms / factor
    if gone <= arrays.quantiles_ms[model, 0]:
        return mean_ms * factor - elapsed_ms, tail_ms * factor
    rows = arrays.quantiles_ms
    count = rows.shape[1]
    total, survivors = 0.0, 0
    while survivors < count and rows[model, count - 1 - survivors] > gone:
        total += rows[model, count - 1 - survivors]
        survivors += 1
    if survivors == 0:  # longer than ever seen: about to end, for all that is known
        return 0.0, (gone - mean_ms) * factor
    left_ms = total / survivors
    return (left_ms - gone) * factor, max(mean_ms + tail_ms - left_ms, 0.0) * factor


@njit()
def unfinished(arrays: PoolArrays, running: Floats, now_ms: float) -> tuple[Floats, Floats, float]:
    """Of every live worker the mean time until it is free, and the square of what it may exceed
    that by; the sum of the means. Shapes (live,), (live,)."""
    free_ms, square = np.empty(running.shape[0]), np.empty(running.shape[0])
    live, work_ms = 0, 0.0
    for worker in range(running.shape[0]):
        model = running[worker, MODEL]
        if model == LOST:
            continue
        free_ms[live] = square[live] = 0.0
        if model != IDLE:
            elapsed_ms = now_ms - running[worker, START]
            left_ms, tail_ms = _left(arrays, int(model), elapsed_ms, running[worker, FACTOR])
            free_ms[live], square[live] = left_ms, tail_ms * tail_ms
            work_ms += left_ms
        live += 1
    return free_ms[:live], square[:live], work_ms
