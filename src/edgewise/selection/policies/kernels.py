"""The loops that must stay loops, compiled: one choice, the queue, the prices.

Everything here works on the plain arrays of `arrays.py`. Compiled code is cached (`compiled.py`):
only the first run after an installation pays for it.
"""

from __future__ import annotations

import numpy as np

from edgewise.selection.compiled import njit
from edgewise.selection.policies.arrays import (
    FINISH,
    FIRST,
    FREE,
    HELD,
    MODEL,
    QUEUED,
    RING,
    START,
    VARIANCE,
    Outcome,
    Prices,
    Servers,
    Services,
)
from edgewise.selection.policies.kernel_arrays import share_below
from edgewise.selection.policies.protocol import Indices
from edgewise.selection.profiles.table import Floats

#: The mask that wraps an index of the ring of unfinished jobs.
_WRAP = RING - 1
#: Nodes of the three-point Gauss-Hermite rule lie at 0 and ±√3 deviations.
_ROOT3 = 3**0.5


@njit()
def position(backlog_ms: float, reach_ms: float, nodes: int) -> tuple[int, float]:
    """The cell of the quadratic grid, and how far into it: one square root."""
    last = nodes - 1
    if not backlog_ms < reach_ms:
        return last - 1, 1.0
    scale = reach_ms / (last * last)
    cell = min(int(np.sqrt(backlog_ms / scale)), last - 1)
    start = cell * cell * scale
    return cell, (backlog_ms - start) / ((2 * cell + 1) * scale)


@njit(inline="always")
def in_time(sorted_ms: Floats, row: int, left_ms: float, spread_ms: float) -> float:
    """P(service ≤ what is left) where that is uncertain by a normal of the given deviation."""
    away_ms = _ROOT3 * spread_ms
    if left_ms - away_ms >= sorted_ms[row, sorted_ms.shape[1] - 1]:
        return 1.0
    if left_ms + away_ms < sorted_ms[row, 0]:
        return 0.0
    middle = share_below(sorted_ms, row, left_ms)
    if away_ms == 0.0:
        return middle
    left = share_below(sorted_ms, row, left_ms - away_ms)
    right = share_below(sorted_ms, row, left_ms + away_ms)
    return (left + right) / 6 + middle * 2 / 3


@njit(inline="always")
def stretch(prices: Prices, budget_ms: float) -> int:
    """The class of a budget."""
    group = 0
    for edge_ms in prices.edges_ms:
        if budget_ms >= edge_ms:
            group += 1
    return group


@njit()
def worth(prices: Prices, group: int, column: int, backlog_ms: float) -> float:
    """Value of a column at a backlog, linear between the nodes, in a class of budgets."""
    cell, part = position(backlog_ms, prices.reach_ms, prices.value.shape[1])
    low = prices.value[group, cell, column]
    return float(low + part * (prices.value[group, cell + 1, column] - low))


@njit(inline="always")
def pick(
    prices: Prices,
    group: int,
    left_ms: float,
    backlog_ms: float,
    spread_ms: float,
    load_ms: Floats,
) -> tuple[int, float]:
    """The model that maximises gain · P(in time) + value, and its P; −1 refuses.

    `group` is the class of the budget, `left_ms` what the wait leaves of it, `spread_ms` the
    deviation of the wait, `load_ms` (M,) what each model needs before it can run; empty: all are
    resident.
    """
    value = prices.value
    cell, part = position(backlog_ms, prices.reach_ms, value.shape[1])
    low = value[group, cell, -1]
    refusal = low + part * (value[group, cell + 1, -1] - low)
    cold = load_ms.shape[0] > 0
    best, chosen, chance, sure = refusal, -1, 0.0, False
    for model in prices.models:
        load = load_ms[model] if cold else 0.0
        # Work never has a negative price: what cannot win by its gain cannot win.
        if prices.gain[model] + refusal <= best and (sure or prices.attainment == 0.0):
            break
        likely = in_time(prices.quantiles_ms, model, left_ms - load, spread_ms)
        if likely <= prices.floor:
            continue
        attained = likely >= prices.attainment
        if attained and not sure:
            best, chosen, sure = refusal, -1, True
        if sure and not attained:
            continue
        score = prices.gain[model] * likely
        if load > 0.0:
            score += worth(prices, group, model, backlog_ms + load)
        else:
            low = value[group, cell, model]
            score += low + part * (value[group, cell + 1, model] - low)
        if score > best:
            best, chosen, chance = score, model, likely
    return chosen, chance


@njit()
def decide(
    prices: Prices,
    budget_ms: float,
    wait_ms: float,
    backlog_ms: float,
    spread_ms: float,
    load_ms: Floats,
) -> tuple[int, float, float]:
    """`pick` for one request, with the price of what it picked, in points."""
    group = stretch(prices, budget_ms)
    model, likely = pick(prices, group, budget_ms - wait_ms, backlog_ms, spread_ms, load_ms)
    price = 0.0
    if model >= 0:
        load = load_ms[model] if load_ms.shape[0] > 0 else 0.0
        price = worth(prices, group, -1, backlog_ms)
        price -= worth(prices, group, model, backlog_ms + load)
    return model, likely, price


@njit()
def _service(
    moments: Floats,
    quantiles_ms: Floats,
    samples: Floats,
    noise: float,
    row: int,
    model: int,
) -> float:
    if samples.shape[0] > 0:
        return float(samples[row, model])
    time_ms = moments[model, 0] + moments[model, 1] * noise
    if time_ms > 0.0:
        return float(time_ms)
    # A redraw that keeps one number per request: its far digits are as good as uniform.
    digits = abs(noise) * 1e6
    levels = quantiles_ms.shape[1]
    return float(quantiles_ms[model, int((digits - np.floor(digits)) * levels)])


@njit()
def residual(
    quantiles_ms: Floats, tails_ms: Floats, model: int, elapsed_ms: float
) -> tuple[float, float]:
    """Mean and variance of what is left of a service that has lasted so long already."""
    count = quantiles_ms.shape[1]
    place = int(share_below(quantiles_ms, model, elapsed_ms) * count + 0.5)
    if place == count:
        return 0.0, 0.0
    mean_ms = tails_ms[0, model, place] / (count - place)
    square = tails_ms[1, model, place] / (count - place)
    return mean_ms - elapsed_ms, max(square - mean_ms * mean_ms, 0.0)


@njit()
def _first_free(workers: Floats) -> int:
    first = 0
    for other in range(1, workers.shape[0]):
        if workers[other, FREE] < workers[first, FREE]:
            first = other
    return first


@njit()
def _expected(
    workers: Floats,
    ring: Floats,
    moments: Floats,
    quantiles_ms: Floats,
    tails_ms: Floats,
    worker: int,
    now_ms: float,
) -> tuple[float, float]:
    """Mean and variance of a worker's unfinished work, as far as can be known."""
    first, held = int(workers[worker, FIRST]), int(workers[worker, HELD])
    while held > 0 and ring[worker, first, FINISH] <= now_ms:
        first, held = (first + 1) & _WRAP, held - 1
        if held > 0:  # the next one begins
            begun = int(ring[worker, first, MODEL])
            workers[worker, QUEUED] -= moments[begun, 0]
            workers[worker, VARIANCE] -= moments[begun, 1] ** 2
    workers[worker, FIRST], workers[worker, HELD] = first, held
    if held == 0:
        return 0.0, 0.0
    if held == 1:  # no rounding error outlives a queue
        workers[worker, QUEUED] = workers[worker, VARIANCE] = 0.0
    elapsed_ms = now_ms - ring[worker, first, START]
    running = int(ring[worker, first, MODEL])
    left_ms, variance = residual(quantiles_ms, tails_ms, running, elapsed_ms)
    newest = (first + held - 1) & _WRAP
    untracked_ms = workers[worker, FREE] - ring[worker, newest, FINISH]
    mean_ms = max(left_ms + workers[worker, QUEUED], 0.0) + untracked_ms
    return mean_ms, max(variance + workers[worker, VARIANCE], 0.0)


@njit()
def _queue(
    workers: Floats,
    ring: Floats,
    moments: Floats,
    worker: int,
    model: int,
    now_ms: float,
    time_ms: float,
) -> float:
    """Give a worker a job that will take `time_ms`; wait + service."""
    start_ms = max(workers[worker, FREE], now_ms)
    finish_ms = start_ms + time_ms
    workers[worker, FREE] = finish_ms
    held = int(workers[worker, HELD])
    # A longer queue than the ring holds: its tail counts as known, behind hundreds of others.
    if held < RING:
        slot = (int(workers[worker, FIRST]) + held) & _WRAP
        ring[worker, slot, START] = start_ms
        ring[worker, slot, FINISH] = finish_ms
        ring[worker, slot, MODEL] = model
        workers[worker, HELD] = held + 1
        if held > 0:
            workers[worker, QUEUED] += moments[model, 0]
            workers[worker, VARIANCE] += moments[model, 1] ** 2
    return float(finish_ms - now_ms)


@njit()
def serve_chosen(arrival_ms: Floats, services: Services, state: Servers, out: Outcome) -> None:
    """Serve n requests in their order of arrival, each by the worker that is free first, with the
    models that `out` names. Fills `out`, advances `state`."""
    workers, moments, quantiles_ms = state.workers, services.moments, services.quantiles_ms
    samples, noise, rows = services.samples, services.noise, services.rows
    chosen, sojourn_ms = out.model, out.sojourn_ms
    for i in range(arrival_ms.shape[0]):
        model = chosen[i]
        if model >= 0:
            worker = _first_free(workers)
            time_ms = _service(moments, quantiles_ms, samples, noise[i], rows[i], model)
            finish_ms = max(workers[worker, FREE], arrival_ms[i]) + time_ms
            workers[worker, FREE] = finish_ms
            sojourn_ms[i] = finish_ms - arrival_ms[i]


@njit()
def _steps_below(edges_ms: Floats, value_ms: float) -> int:
    low, high = 0, edges_ms.shape[0]
    while low < high:
        middle = (low + high) // 2
        if edges_ms[middle] < value_ms:
            low = middle + 1
        else:
            high = middle
    return low


@njit()
def serve_stepped(
    arrival_ms: Floats,
    budget_ms: Floats,
    edges_ms: Floats,
    choices: Indices,
    services: Services,
    state: Servers,
    out: Outcome,
) -> None:
    """The same where `choices[i]` is taken if i of `edges_ms` lie below the budget less the
    expected wait."""
    workers, ring = state.workers, state.ring
    moments, quantiles_ms, tails_ms = services.moments, services.quantiles_ms, services.tails_ms
    samples, noise, rows = services.samples, services.noise, services.rows
    for i in range(arrival_ms.shape[0]):
        now_ms, worker = arrival_ms[i], _first_free(workers)
        wait_ms, _ = _expected(workers, ring, moments, quantiles_ms, tails_ms, worker, now_ms)
        model = choices[_steps_below(edges_ms, budget_ms[i] - wait_ms)]
        out.model[i] = model
        if model >= 0:
            time_ms = _service(moments, quantiles_ms, samples, noise[i], rows[i], model)
            out.sojourn_ms[i] = _queue(workers, ring, moments, worker, model, now_ms, time_ms)


@njit()
def serve_priced(
    arrival_ms: Floats,
    budget_ms: Floats,
    prices: Prices,
    services: Services,
    state: Servers,
    out: Outcome,
) -> None:
    """The same where `pick` chooses; `out` also tells what it expected."""
    workers, ring = state.workers, state.ring
    moments, quantiles_ms, tails_ms = services.moments, services.quantiles_ms, services.tails_ms
    samples, noise, rows = services.samples, services.noise, services.rows
    load_ms = np.empty(0)
    for i in range(arrival_ms.shape[0]):
        now_ms, worker = arrival_ms[i], _first_free(workers)
        work_ms = wait_ms = variance = 0.0
        for other in range(workers.shape[0]):
            left_ms, hidden = _expected(
                workers, ring, moments, quantiles_ms, tails_ms, other, now_ms
            )
            work_ms += left_ms
            if other == worker:
                wait_ms, variance = left_ms, hidden
        backlog_ms, spread_ms = work_ms / workers.shape[0], np.sqrt(variance)
        group, left_ms = stretch(prices, budget_ms[i]), budget_ms[i] - wait_ms
        model, _ = pick(prices, group, left_ms, backlog_ms, spread_ms, load_ms)
        out.model[i], out.backlog_ms[i] = model, backlog_ms
        out.wait_ms[i], out.spread_ms[i] = wait_ms, spread_ms
        if model >= 0:
            time_ms = _service(moments, quantiles_ms, samples, noise[i], rows[i], model)
            out.sojourn_ms[i] = _queue(workers, ring, moments, worker, model, now_ms, time_ms)


@njit()
def flow(grid_ms: Floats, shifts_ms: Floats, reach_ms: float) -> Floats:
    """How the grid's nodes move when one of the shifts, equally likely, is added: a stochastic
    matrix, (N, N); below 0 stays 0."""
    nodes = grid_ms.shape[0]
    matrix = np.zeros((nodes, nodes))
    weight = 1.0 / shifts_ms.shape[0]
    for node in range(nodes):
        for shift_ms in shifts_ms:
            cell, part = position(max(grid_ms[node] + shift_ms, 0.0), reach_ms, nodes)
            matrix[node, cell] += weight * (1 - part)
            matrix[node, cell + 1] += weight * part
    return matrix


@njit()
def act(
    prices: Prices, grid_ms: Floats, wait_ms: Floats, spread_ms: Floats, budgets_ms: Floats
) -> tuple[Floats, Floats]:
    """What `pick` does at each backlog: the share of each model, refusal last, (C, N, M + 1), and
    the mean gain, (C, N), over equally likely budgets of each class, (C, B)."""
    refusal, classes = prices.gain.shape[0], budgets_ms.shape[0]
    shares = np.zeros((classes, grid_ms.shape[0], refusal + 1))
    gains = np.zeros((classes, grid_ms.shape[0]))
    load_ms = np.empty(0)
    weight = 1.0 / budgets_ms.shape[1]
    for group in range(classes):
        for node in range(grid_ms.shape[0]):
            backlog_ms, spread = grid_ms[node], spread_ms[node]
            for budget_ms in budgets_ms[group]:
                left_ms = budget_ms - wait_ms[node]
                model, likely = pick(prices, group, left_ms, backlog_ms, spread, load_ms)
                shares[group, node, model] += weight
                if model >= 0:
                    gains[group, node] += weight * prices.gain[model] * likely
    return shares, gains
