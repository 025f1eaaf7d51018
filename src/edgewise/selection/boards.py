"""The plain arrays of a pool, its queue and its workers that `discipline` works on. Times in ms."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgewise.selection.compiled import njit
from edgewise.selection.profiles import Floats
from edgewise.selection.protocol import Indices

#: Tickets that are planned one by one. With 32, and half again as many nodes of backlog, 18 cells
#: deliver the same to 0.01 points in the mean.
STAGES = 12
#: Columns of what runs on a worker, (k, 3): since when, the model, the factor on its time.
START, MODEL, FACTOR = range(3)
#: In the place of the model.
IDLE, LOST = -1.0, -2.0


class Desk(NamedTuple):
    """What is known in a pool of M variants, for K kinds of tickets, on N nodes of backlog.

    `quantiles_ms` (M, Q), `mean_ms` (M,): hot service with one worker busy. `tail_ms` (M,): what
    the service may exceed its mean by at the promised level. `gain` (M,): points of an answer in
    time. `kinds` (K, L): variants of each kind, most accurate first, −1 ends. `fast_ms`,
    `fast_tail_ms` (K,): of the fastest of a kind. `grid_ms` (N,): nodes, quadratic. `cells`,
    `parts` (M, N): where a node comes to lie when a job of the model is added. `share` is the part
    of a job that each worker bears, `factor` the slow-down when all are busy.
    """

    quantiles_ms: Floats
    mean_ms: Floats
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


class Queue(NamedTuple):
    """Tickets in order of their deadlines: `due_ms`, `kind` (capacity,), from `first` to `last`."""

    due_ms: Floats
    kind: Indices
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
