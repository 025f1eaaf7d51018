"""Earliest deadline first: who fits in, and what the first in the queue should get. Compiled.

Tickets of a pool stand in the order of their deadlines, `due_ms[first:last]`, each with a kind: the
variants that it may get. Whoever is queued was promised an answer in time, so that

- `late` schedules the queue on the workers with each ticket's fastest variant, to see whether all
  promises hold. A finish counts as the sum of the means plus the root of the sum of the squares of
  what each service may exceed its mean by at the promised level. One service alone is thus held
  to its own quantile, many to what their errors add up to. What makes all of them longer together
  comes on top, as far as it was seen (`margin.py`).
- `foresee` is backward induction over the queue: future[j] is the most points that ticket j and
  all behind it can still bring, over the pool's work done until then, the last of them followed by
  what that backlog is worth for requests yet to come (`prices.py`). Those beyond the tickets that
  it looks at are counted with their fastest variants.
- `pick_first` chooses for a worker that is free now, `expected` for a request that arrives.
- `admit` and `choose` are these together, one call each for who is not compiled: handing the arrays
  over takes longer than most of what is done with them.

The backlog per worker stands for k workers, as in `prices.py`.
"""

from __future__ import annotations

import numpy as np

from edgewise.selection.compiled import njit
from edgewise.selection.policies.kernel_arrays import (
    STAGES,
    PoolArrays,
    Queue,
    chance,
    share_below,
    unfinished,
    value_at,
    worth_after,
)
from edgewise.selection.profiles.table import Floats

#: Times that differ by less are equal.
_EPSILON_MS = 1e-6
#: A refusal costs this share of the best answer. Where a fast model makes nearly as much of its
#: time as a better one, refusing one for another's sake brings next to nothing and costs goodput.
_REFUSAL = 0.05


@njit()
def _first_free(free_ms: Floats) -> int:
    first = 0
    for other in range(1, free_ms.shape[0]):
        if free_ms[other] < free_ms[first]:
            first = other
    return first


@njit()
def late(
    queue: Queue,
    at: int,
    due_ms: float,
    kind: int,
    free_ms: Floats,
    square: Floats,
    now_ms: float,
    arrays: PoolArrays,
) -> tuple[bool, int, float]:
    """Whether a new ticket before place `at` would be late, how many of the queue would be, and
    when the new one would start.

    All get their fastest variants. A negative kind adds no ticket.
    """
    free_ms, square = free_ms.copy(), square.copy()
    new_is_late, others, start_ms = False, 0, 0.0
    longer = 1.0 + arrays.slip
    for i in range(queue.first, queue.last + 1):
        if i == at and kind >= 0:
            worker = _first_free(free_ms)
            start_ms = free_ms[worker]
            free_ms[worker] += arrays.fast_ms[kind] * arrays.factor
            square[worker] += (arrays.fast_tail_ms[kind] * arrays.factor) ** 2
            finish_ms = free_ms[worker] * longer + np.sqrt(square[worker])
            new_is_late = finish_ms > due_ms - now_ms + _EPSILON_MS
        if i == queue.last or (queue.due_ms[i] == np.inf and i >= at):
            break
        one = queue.kind[i]
        worker = _first_free(free_ms)
        free_ms[worker] += arrays.fast_ms[one] * arrays.factor
        square[worker] += (arrays.fast_tail_ms[one] * arrays.factor) ** 2
        finish_ms = free_ms[worker] * longer + np.sqrt(square[worker])
        if finish_ms > queue.due_ms[i] - now_ms + _EPSILON_MS:
            others += 1
    return new_is_late, others, start_ms


@njit()
def _planned(queue: Queue, head: int, most: int) -> int:
    """How many tickets from `head` on are planned one by one: none without a deadline but the
    first."""
    count = 0
    while (
        head + count < queue.last
        and count < most
        and (count == 0 or queue.due_ms[head + count] < np.inf)
    ):
        count += 1
    return count


@njit()
def foresee(
    queue: Queue,
    most: int,
    now_ms: float,
    ahead_ms: float,
    terminal: Floats,
    arrays: PoolArrays,
    future: Floats,
) -> int:
    """Fill future[0…n], (STAGES + 1, N), for the first n tickets, at most so many; n.

    `ahead_ms` is by how much the next worker is free earlier than the mean of all. A promise that
    is not kept costs as much as it would have brought.
    """
    # Out of the tuple: the loops below read them very often.
    head, grid_ms, gain, kinds = (
        queue.first,
        arrays.grid_ms,
        arrays.gain,
        arrays.kinds,
    )
    cells, parts, rows, factor = (
        arrays.cells,
        arrays.parts,
        arrays.quantiles_ms,
        arrays.factor,
    )
    count = _planned(queue, head, most)
    nodes = grid_ms.shape[0]
    rest_ms, limit_ms = 0.0, np.inf
    for i in range(head + count, queue.last):
        if queue.due_ms[i] == np.inf:
            break
        rest_ms += arrays.fast_ms[queue.kind[i]] * arrays.factor * arrays.share
        limit_ms = min(limit_ms, queue.due_ms[i] - now_ms - rest_ms + ahead_ms)
    for node in range(nodes):
        worth = value_at(grid_ms, terminal, grid_ms[node] + rest_ms)
        broken = arrays.gain[arrays.kinds[queue.kind[head + count], 0]] if rest_ms > 0 else 0.0
        future[count, node] = worth - (broken if grid_ms[node] > limit_ms else 0.0)
    for stage in range(count - 1, -1, -1):
        kind = queue.kind[head + stage]
        left_ms = queue.due_ms[head + stage] - now_ms
        errors_ms, at = queue.errors_ms, head + stage
        hopeful_ms, certain = min(errors_ms[at, 0], 0.0), errors_ms[at, -1] == 0.0
        broken = gain[kinds[kind, 0]]
        first = 0  # what is too slow at one node is too slow at all later ones
        for node in range(nodes):
            then = future[stage + 1, node]
            own_ms = left_ms - max(grid_ms[node] - ahead_ms, 0.0)
            limit_ms = (own_ms - hopeful_ms) / factor
            best = then - broken
            for place in range(first, kinds.shape[1]):
                model = kinds[kind, place]
                if model < 0 or gain[model] + then <= best:
                    break
                if limit_ms < rows[model, 0]:
                    first += place == first
                    continue
                likely = chance(rows, model, own_ms, factor, errors_ms, at)
                done = likely if certain else share_below(rows, model, own_ms / factor)
                cell, part = cells[model, node], parts[model, node]
                low = future[stage + 1, cell]
                score = low + part * (future[stage + 1, cell + 1] - low)
                score += gain[model] * likely + broken * (done - 1.0)
                best = max(best, score)
            future[stage, node] = best
    return count


@njit()
def _best(
    arrays: PoolArrays,
    queue: Queue,
    at: int,
    left_ms: float,
    place_ms: float,
    then: Floats,
    loads_ms: Floats,
    refusal: float,
) -> tuple[int, float, float]:
    """The model of most points at a place of the backlog, its P and the points; −1 where that is
    `refusal`. A broken promise costs as much as the refusal."""
    grid_ms, rows, factor = arrays.grid_ms, arrays.quantiles_ms, arrays.factor
    kind, hopeful_ms = queue.kind[at], min(queue.errors_ms[at, 0], 0.0)
    certain = queue.errors_ms[at, -1] == 0.0
    base = value_at(grid_ms, then, place_ms)
    best, chosen, probability = base + refusal, -1, 0.0
    for place in range(arrays.kinds.shape[1]):
        model = arrays.kinds[kind, place]
        # Work never makes the future better: what cannot win by its gain cannot win.
        if model < 0 or arrays.gain[model] + base <= best:
            break
        load_ms = loads_ms[model] if loads_ms.shape[0] > 0 else 0.0
        rest_ms = left_ms - load_ms
        if (rest_ms - hopeful_ms) / factor < rows[model, 0]:
            continue
        likely = chance(rows, model, rest_ms, factor, queue.errors_ms, at)
        done = likely if certain else share_below(rows, model, rest_ms / factor)
        score = worth_after(arrays, then, place_ms, model, factor, load_ms)
        score += arrays.gain[model] * likely + refusal * (1.0 - done)
        if score > best:
            best, chosen, probability = score, model, likely
    return chosen, probability, best - base


@njit()
def expected(
    queue: Queue,
    at: int,
    now_ms: float,
    work_ms: float,
    ahead_ms: float,
    loads_ms: Floats,
    count: int,
    arrays: PoolArrays,
    future: Floats,
) -> tuple[int, float, float, float, float]:
    """What a request that arrived and stands at place `at` can expect, after `foresee`: its model,
    −1 where its work costs others more than it brings; when it starts; its P; the points that it
    brings, net; the work per worker before it arrived."""
    place_ms = work_ms * arrays.share
    nothing = np.empty(0)
    chosen, start_ms, likely, net = -1, 0.0, 0.0, 0.0
    refusal = -_REFUSAL * arrays.gain[arrays.kinds[queue.kind[at], 0]]
    planned = queue.first + count
    for i in range(queue.first, planned):
        kind, then = queue.kind[i], future[i - queue.first + 1]
        begin_ms = max(place_ms - ahead_ms, 0.0)
        left_ms = queue.due_ms[i] - now_ms - begin_ms
        if i == at:
            start_ms = begin_ms
            chosen, likely, net = _best(
                arrays, queue, at, left_ms, place_ms, then, loads_ms, refusal
            )
            continue
        broken = -arrays.gain[arrays.kinds[kind, 0]]
        model, _, _ = _best(arrays, queue, i, left_ms, place_ms, then, nothing, broken)
        job_ms = arrays.mean_ms[model] if model >= 0 else arrays.fast_ms[kind]
        place_ms += job_ms * arrays.factor * arrays.share
    base_ms = place_ms
    for i in range(planned, queue.last):
        fast_ms = arrays.fast_ms[queue.kind[i]] * arrays.factor * arrays.share
        if i == at:
            # The future counts all of these with their fastest variants, this one among them.
            start_ms = max(place_ms - ahead_ms, 0.0)
            left_ms = queue.due_ms[i] - now_ms - start_ms
            own_ms = fast_ms if queue.due_ms[i] < np.inf else 0.0
            chosen, likely, net = _best(
                arrays,
                queue,
                at,
                left_ms,
                base_ms - own_ms,
                future[count],
                loads_ms,
                refusal,
            )
        elif queue.due_ms[i] < np.inf or i < at:
            place_ms += fast_ms
    return chosen, start_ms, likely, net, place_ms


@njit()
def holds(
    queue: Queue,
    model: int,
    load_ms: float,
    factor: float,
    free_ms: Floats,
    square: Floats,
    now_ms: float,
    arrays: PoolArrays,
) -> int:
    """How many behind the first would be late if it got this model on the next free worker."""
    free_ms, square = free_ms.copy(), square.copy()
    worker = _first_free(free_ms)
    free_ms[worker] += arrays.mean_ms[model] * factor + load_ms
    square[worker] += (arrays.tail_ms[model] * factor) ** 2
    behind = Queue(queue.due_ms, queue.kind, queue.errors_ms, queue.first + 1, queue.last)
    _, others, _ = late(behind, -1, 0.0, -1, free_ms, square, now_ms, arrays)
    return others


@njit()
def pick_first(
    queue: Queue,
    now_ms: float,
    free_ms: Floats,
    square: Floats,
    work_ms: float,
    loads_ms: Floats,
    factor: float,
    attainment: float,
    floor: float,
    arrays: PoolArrays,
    future: Floats,
) -> tuple[int, float]:
    """The model for the first ticket, which starts now, and its P, after `foresee`; −1: no model
    can be in time. `factor` is the slow-down that it will meet.

    Models whose service is done in time with the `attainment` asked for come before others; one
    that would make somebody behind late comes only where nothing else is left.
    """
    kind = queue.kind[queue.first]
    left_ms = queue.due_ms[queue.first] - now_ms
    size = arrays.kinds.shape[1]
    done, likely, score = np.zeros(size), np.zeros(size), np.full(size, -np.inf)
    attained, quickest, least_ms = False, -1, np.inf
    for place in range(size):
        model = arrays.kinds[kind, place]
        if model < 0:
            break
        load_ms = loads_ms[model] if loads_ms.shape[0] > 0 else 0.0
        rest_ms, rows = left_ms - load_ms, arrays.quantiles_ms
        likely[place] = chance(rows, model, rest_ms, factor, queue.errors_ms, queue.first)
        if likely[place] <= floor:
            continue
        done[place] = share_below(rows, model, rest_ms / factor)
        job_ms = arrays.mean_ms[model] * factor + load_ms
        then = worth_after(arrays, future[1], work_ms * arrays.share, model, factor, load_ms)
        score[place] = arrays.gain[model] * likely[place] + then
        attained = attained or done[place] >= attainment
        if job_ms < least_ms:
            quickest, least_ms = place, job_ms
    if quickest < 0:
        return -1, 0.0
    unavoidable = -1
    while True:
        best = -1
        for place in range(size):
            if score[place] == -np.inf or (attained and done[place] < attainment):
                continue
            if best < 0 or score[place] > score[best]:
                best = place
        if best < 0 or best == quickest:
            break
        model = arrays.kinds[kind, best]
        load_ms = loads_ms[model] if loads_ms.shape[0] > 0 else 0.0
        broken = holds(queue, model, load_ms, factor, free_ms, square, now_ms, arrays)
        if broken > 0 and unavoidable < 0:
            first = arrays.kinds[kind, quickest]
            load_ms = loads_ms[first] if loads_ms.shape[0] > 0 else 0.0
            unavoidable = holds(queue, first, load_ms, factor, free_ms, square, now_ms, arrays)
        if broken == 0 or broken <= unavoidable:
            return model, likely[best]
        score[best] = -np.inf
    best = quickest if best < 0 else best
    return arrays.kinds[kind, best], likely[best]


@njit()
def _ahead(free_ms: Floats, work_ms: float, share: float) -> float:
    """By how much the next worker is free earlier than the mean of all."""
    return float(max(work_ms * share - free_ms[_first_free(free_ms)], 0.0))


@njit()
def _look_ahead(
    queue: Queue,
    most: int,
    now_ms: float,
    ahead_ms: float,
    terminal: Floats,
    arrays: PoolArrays,
    future: Floats,
) -> int:
    """Fill future[1…] for what stands behind the first; how many are planned, the first among
    them."""
    if queue.last < 2:
        future[1] = terminal
        return 1
    behind = Queue(queue.due_ms, queue.kind, queue.errors_ms, 1, queue.last)
    return 1 + foresee(behind, most, now_ms, ahead_ms, terminal, arrays, future[1:])


@njit()
def admit(
    queue: Queue,
    at: int,
    due_ms: float,
    kind: int,
    errors_ms: Floats,
    running: Floats,
    now_ms: float,
    may_try: bool,
    terminal: Floats,
    loads_ms: Floats,
    arrays: PoolArrays,
    future: Floats,
) -> tuple[bool, float, float, int, float, float, float, float]:
    """Put a request that arrived into the queue at place `at`, if all promises hold with it.

    `may_try`: it may be late itself. `queue` has room for one more. Whether it fits, when it starts
    at the earliest; the root of the square of what the wait may exceed its mean by; and what
    `expected` gives: where it does not fit −1, zeros, and the work per worker.
    """
    free_ms, square, work_ms = unfinished(arrays, running, now_ms)
    spread_ms = np.sqrt(square[_first_free(free_ms)]) if work_ms > 0.0 else 0.0
    is_late, others, start_ms = late(queue, at, due_ms, kind, free_ms, square, now_ms, arrays)
    fits = may_try or not is_late
    if fits and others > 0:
        _, before, _ = late(queue, -1, 0.0, -1, free_ms, square, now_ms, arrays)
        fits = others <= before
    if not fits:
        for i in range(queue.first, queue.last):
            if queue.due_ms[i] < np.inf or i < at:
                work_ms += arrays.fast_ms[queue.kind[i]] * arrays.factor
        return False, start_ms, spread_ms, -1, 0.0, 0.0, 0.0, work_ms * arrays.share
    for i in range(queue.last, at, -1):
        queue.due_ms[i], queue.kind[i] = queue.due_ms[i - 1], queue.kind[i - 1]
        queue.errors_ms[i] = queue.errors_ms[i - 1]
    queue.due_ms[at], queue.kind[at], queue.errors_ms[at] = due_ms, kind, errors_ms
    queue = Queue(queue.due_ms, queue.kind, queue.errors_ms, queue.first, queue.last + 1)
    ahead_ms = _ahead(free_ms, work_ms, arrays.share)
    most = STAGES if at <= STAGES else 0
    count = _look_ahead(queue, most, now_ms, ahead_ms, terminal, arrays, future)
    model, wait_ms, likely, points, backlog_ms = expected(
        queue, at, now_ms, work_ms, ahead_ms, loads_ms, count, arrays, future
    )
    return True, start_ms, spread_ms, model, wait_ms, likely, points, backlog_ms


@njit()
def choose(
    queue: Queue,
    running: Floats,
    now_ms: float,
    terminal: Floats,
    loads_ms: Floats,
    factor: float,
    attainment: float,
    floor: float,
    arrays: PoolArrays,
    future: Floats,
) -> int:
    """The model for the first ticket, which starts now; −1: no model can be in time."""
    free_ms, square, work_ms = unfinished(arrays, running, now_ms)
    ahead_ms = _ahead(free_ms, work_ms, arrays.share)
    _look_ahead(queue, STAGES, now_ms, ahead_ms, terminal, arrays, future)
    model, _ = pick_first(
        queue,
        now_ms,
        free_ms,
        square,
        work_ms,
        loads_ms,
        factor,
        attainment,
        floor,
        arrays,
        future,
    )
    return model
