"""The price of time: what a ms of work costs the requests that come after.

Seen at arrivals, the backlog W (unfinished work per worker) of a first-come-first-served queue is
a Markov chain: W' = max(0, W + S − X) with S the service given and X the gap to the next arrival.
Choosing for each request is thus a decision process with one number as its state, and its best
policy maximises gain(m)·P(in time) + E[h(max(0, W + S_m − X))], where h, the relative value,
solves Bellman's equation for the average gain per request:

    h(W) + g = E_budget[ max over m, or refusal, of gain·P + E h(max(0, W + S_m − X)) ].

It is solved on a grid by policy iteration (Howard 1960; Puterman 1994, 8.6), a dense linear
system of the grid's size per step, with the gaps, budgets and service times lately seen. The
difference of the value with and without the work is the price; its slope over W plays the part of
a price λ(W) per ms. Nothing is left to tune, bursts are in the gaps.

For one worker and independent gaps this is optimal. For k workers the same chain runs on the
pooled backlog (a job adds S/k) and the wait that goes with a backlog is taken from the requests
lately seen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgewise.selection import kernels
from edgewise.selection.arrays import Prices
from edgewise.selection.profiles import Floats
from edgewise.selection.recent import Traffic

#: Nodes of the backlog's grid, and points that stand for the distributions of gaps, budgets,
#: services and waits. Doubling all of them changed what 48 cells deliver by 0.01 points in the
#: mean and by 0.1 at most.
_NODES, _GAPS, _BUDGETS, _SERVICES, _WAITS = 48, 64, 32, 8, 32
_MAX_STEPS = 15
#: Policy iteration ends when no value changes by more than this, in points. The average gain
#: settles earlier than the values of backlogs that are seldom seen.
_ENOUGH = 0.02
#: The grid ends beyond the largest budget, or work above it would seem to cost nothing.
_BEYOND = 1.2
#: Chance per request that the queue is found empty by a miracle: what the policy would do in a
#: backlog that never drains (all gaps seen were nearly 0) then still has a value.
_RESTART = 1e-5
#: Fewer requests tell nothing of the gaps between them.
_FEW = 8
#: Shares of the gaps after which `later` looks anew, and how many gaps it takes to do so.
_LULLS, _ENOUGH_GAPS = (0.25, 0.5, 0.7, 0.85, 0.95), 64


def free(prices: Prices) -> Prices:
    """The same with time for nothing: before anything is known about the traffic."""
    return prices._replace(value=np.zeros((_NODES, len(prices.gain) + 1)), reach_ms=1.0)


def solve(prices: Prices, traffic: Traffic, workers: int, left_ms: float = 0.0) -> Prices:
    """Prices with values that are right for the traffic; the old ones are where the search starts.

    `left_ms` is the mean of what is left of a job that runs: see `_drain`.

    The same prices where no request has any time left, or all came at once.
    """
    traffic = _hopeful(prices, traffic)
    reach_ms = _BEYOND * float(traffic.budget_ms.max())
    if reach_ms <= 0 or traffic.gap_ms.max() <= 0:
        return prices
    grid_ms = reach_ms * (np.arange(_NODES) / (_NODES - 1)) ** 2
    wait_ms, spread_ms = _expected(grid_ms, traffic, workers)
    budgets_ms = _groups(traffic.budget_ms, _BUDGETS)
    drain = _drain(grid_ms, traffic.gap_ms, workers, left_ms)
    current = prices._replace(value=_rescaled(prices, grid_ms), reach_ms=reach_ms)
    work = _work(current, grid_ms, workers)
    for _ in range(_MAX_STEPS):
        shares, gains = kernels.act(current, grid_ms, wait_ms, spread_ms, budgets_ms)
        moves = _moves(shares, work, drain)
        value = np.ascontiguousarray((work @ (drain @ _relative(moves, gains))).T)
        settled = np.abs(value - current.value).max() < _ENOUGH
        current = current._replace(value=value)
        if settled:
            break
    return current


def _hopeful(prices: Prices, traffic: Traffic) -> Traffic:
    """The traffic without requests that no model can answer in time even if none waits.

    They are refused, cost nothing and bring nothing, so the chain may pass over them: the gap
    before the next one grows by theirs. Where hopeless requests come at random nothing changes by
    it. Where they come in stretches, as on a network that is bad for a while, the gaps that are
    left tell how close together the requests of a good stretch are.
    """
    hopeful = traffic.budget_ms >= prices.quantiles_ms.min()
    kept = np.flatnonzero(hopeful)
    if len(kept) < _FEW or len(kept) == len(hopeful):
        return traffic
    rows = traffic.rows()[:, kept]
    rows[0] = np.diff(np.cumsum(traffic.gap_ms)[kept], prepend=0.0)
    return Traffic(*rows)


class Later(NamedTuple):
    """What a backlog per worker is worth for requests yet to come: `value` (L, N), by how long
    none has come, `elapsed_ms` (L,) rising from 0, over the `grid_ms` (N,) of backlog."""

    grid_ms: Floats
    elapsed_ms: Floats
    value: Floats


def later(prices: Prices, traffic: Traffic, workers: int, left_ms: float = 0.0) -> Later:
    """Values for who decides between arrivals, under prices that `solve` has fitted.

    A gap that has lasted for `a` ends after the rest of those that are longer: in a burst the next
    request is near, after a lull it is far.
    """
    traffic = _hopeful(prices, traffic)
    nodes = np.arange(_NODES) / (_NODES - 1)
    grid_ms = prices.reach_ms * nodes**2
    gap_ms = np.sort(traffic.gap_ms)
    if len(gap_ms) < _ENOUGH_GAPS or gap_ms[-1] <= 0:
        return Later(grid_ms, np.zeros(1), prices.value[:, -1][None].copy())
    wait_ms, spread_ms = _expected(grid_ms, traffic, workers)
    budgets_ms = _groups(traffic.budget_ms, _BUDGETS)
    shares, gains = kernels.act(prices, grid_ms, wait_ms, spread_ms, budgets_ms)
    drain = _drain(grid_ms, gap_ms, workers, left_ms)
    relative = _relative(_moves(shares, _work(prices, grid_ms, workers), drain), gains)
    lulls_ms = np.unique(np.quantile(gap_ms, _LULLS))
    longer = [ms for ms in lulls_ms if ms > 0 and (gap_ms > ms).sum() >= _ENOUGH_GAPS // 4]
    elapsed_ms = np.array([0.0, *longer])
    rests_ms = [gap_ms, *(gap_ms[gap_ms > ms] - ms for ms in longer)]
    values = [_drain(grid_ms, rest_ms, workers, left_ms) @ relative for rest_ms in rests_ms]
    return Later(grid_ms, elapsed_ms, np.stack(values))


def _drain(grid_ms: Floats, gap_ms: Floats, workers: int, left_ms: float) -> Floats:
    """How the backlog falls in a gap, (N, N).

    With several workers a small backlog keeps only some of them busy. Where a job that runs has
    `left_ms` left in the mean, a backlog of W per worker keeps a share of W / left_ms busy, at most
    all and at least one worker; with 0 all share in the work however little there is.
    """
    gaps_ms = _groups(gap_ms, _GAPS)
    if workers == 1 or left_ms <= 0:
        return kernels.flow(grid_ms, -gaps_ms, float(grid_ms[-1]))
    after_ms = _drained(grid_ms[:, None], gaps_ms[None, :], workers, left_ms)
    place = np.sqrt(after_ms / grid_ms[-1]) * (_NODES - 1)
    cell = np.minimum(place.astype(np.intp), _NODES - 2)
    part = (after_ms - grid_ms[cell]) / (grid_ms[cell + 1] - grid_ms[cell])
    matrix = np.zeros((_NODES, _NODES))
    node = np.arange(_NODES)[:, None]
    np.add.at(matrix, (node, cell), (1 - part) / len(gaps_ms))
    np.add.at(matrix, (node, cell + 1), part / len(gaps_ms))
    return matrix


def _drained(backlog_ms: Floats, gap_ms: Floats, workers: int, left_ms: float) -> Floats:
    """What is left of a backlog after a gap: all work, then ever fewer, then one."""
    all_ms = np.minimum(gap_ms, np.maximum(backlog_ms - left_ms, 0.0))
    some, rest_ms = backlog_ms - all_ms, gap_ms - all_ms
    one = left_ms / workers
    until_one_ms = left_ms * np.log(np.maximum(some / one, 1.0))
    fading_ms = np.minimum(rest_ms, until_one_ms)
    some = some * np.exp(-fading_ms / left_ms)
    return np.maximum(some - (rest_ms - fading_ms) / workers, 0.0)


def _work(prices: Prices, grid_ms: Floats, workers: int) -> Floats:
    """How each model moves the backlog, refusal last: (M + 1, N, N)."""
    rows = [
        kernels.flow(grid_ms, _groups(row, _SERVICES) / workers, prices.reach_ms)
        for row in prices.quantiles_ms
    ]
    return np.stack([*rows, np.eye(_NODES)])


def _moves(shares: Floats, work: Floats, drain: Floats) -> Floats:
    """The chain's transitions under a policy, (N, N)."""
    moves: Floats = (1 - _RESTART) * (np.einsum("nm,mnk->nk", shares, work) @ drain)
    moves[:, 0] += _RESTART
    return moves


def _relative(moves: Floats, gains: Floats) -> Floats:
    """Relative value h of a policy: h + g = gains + moves·h with h[0] = 0."""
    system = np.eye(len(gains)) - moves
    system[:, 0] = 1.0  # the unknown average gain g in the place of h[0]
    value: Floats = np.linalg.solve(system, gains).astype(np.float64, copy=False)
    value[0] = 0.0
    return value


def _groups(values: Floats, groups: int) -> Floats:
    """Means of the sorted values in groups of equal size: they keep the mean, as quantiles of a
    heavy tail would not."""
    ordered = np.sort(values)
    if len(ordered) <= groups:
        return ordered
    bounds = np.arange(groups) * len(ordered) // groups
    sizes = np.diff(np.append(bounds, len(ordered)))
    return np.asarray(np.add.reduceat(ordered, bounds) / sizes)


def _expected(grid_ms: Floats, traffic: Traffic, workers: int) -> tuple[Floats, Floats]:
    """The mean wait that goes with a backlog, and its deviation; beyond what was seen, the wait
    grows as the backlog does."""
    order = np.argsort(traffic.backlog_ms, kind="stable")
    groups = min(_WAITS, len(order))
    bounds = np.arange(groups) * len(order) // groups
    sizes = np.diff(np.append(bounds, len(order)))
    backlog, wait, spread = (
        np.add.reduceat(column[order], bounds) / sizes
        for column in (traffic.backlog_ms, traffic.wait_ms, traffic.spread_ms)
    )
    spread_ms = np.interp(grid_ms, backlog, spread)
    if workers == 1:
        return grid_ms, spread_ms
    beyond_ms = np.maximum(grid_ms - backlog[-1], 0.0)
    return np.interp(grid_ms, backlog, wait) + beyond_ms, spread_ms


def _rescaled(prices: Prices, grid_ms: Floats) -> Floats:
    """The old values on a new grid."""
    if prices.reach_ms == grid_ms[-1]:
        return prices.value
    old_ms = prices.reach_ms * (np.arange(_NODES) / (_NODES - 1)) ** 2
    return np.stack([np.interp(grid_ms, old_ms, column) for column in prices.value.T], axis=1)
