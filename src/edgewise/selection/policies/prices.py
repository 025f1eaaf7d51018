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

Where a network is good and bad in stretches, the state is the backlog with the class of the last
budget: each class has values of its own. And work beyond the longest budget leaves the grid: until
it is done everything is refused, so that h + g·(1 + requests missed meanwhile) stands on the left.

For one worker, independent gaps and budgets that depend on the last one only this is optimal. For k
workers the same chain runs on the pooled backlog (a job adds S/k) and the wait that goes with a
backlog is taken from the requests lately seen.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgewise.selection.policies import kernels
from edgewise.selection.policies.arrays import Prices
from edgewise.selection.policies.protocol import Indices
from edgewise.selection.policies.recent import Traffic
from edgewise.selection.profiles.table import Floats

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
#: Classes of budgets with a hope where they come in stretches, points that stand for the budgets of
#: one, and the least number of requests seen in one.
_CLASSES, _IN_CLASS, _FEW = 3, 12, 16
#: A request whose best chance to be in time is not above this has no hope.
_HOPELESS = 0.01
#: Budgets come in stretches where the classes of neighbours correlate by more than this, and by so
#: many times what chance brings about.
_ALIKE, _CHANCE = 0.1, 4.0
#: The first prices, over what a ms brings at the most.
_DEAR = 1.01
#: Shares of the gaps after which `later` looks anew, and how many gaps it takes to do so.
_LULLS, _ENOUGH_GAPS = (0.25, 0.5, 0.7, 0.85, 0.95), 64


def start(prices: Prices) -> Prices:
    """Prices before anything is known about the traffic: of a ms beyond the fastest model, a little
    more than it brings at the most. That is right where the fastest is just fast enough for all
    that come, and too high below; above, no more than the first few requests are queued too many.
    """
    mean_ms, gain = prices.service_ms.mean(axis=1), prices.gain
    longer_ms = mean_ms - mean_ms.min()
    value = np.zeros((1, _NODES, len(gain) + 1))
    value[:, :, :-1] = -dear(mean_ms, gain) * longer_ms
    return prices._replace(value=value, reach_ms=1.0, edges_ms=np.empty(0))


def dear(mean_ms: Floats, gain: Floats) -> float:
    """A little more than a ms beyond the fastest model brings at the most, in points."""
    fastest = int(np.argmin(mean_ms))
    longer_ms = mean_ms - mean_ms[fastest]
    slower = longer_ms > 0
    return float(_DEAR * ((gain - gain[fastest])[slower] / longer_ms[slower]).max(initial=0.0))


def solve(prices: Prices, traffic: Traffic, workers: int, left_ms: float = 0.0) -> Prices:
    """Prices with values that are right for the traffic; the old ones are where the search starts.

    `left_ms` is the mean of what is left of a job that runs: see `_drain`.

    The same prices where no request has any time left, or all came at once.
    """
    reach_ms = _BEYOND * float(traffic.budget_ms.max())
    if reach_ms <= 0 or traffic.gap_ms.max() <= 0:
        return prices
    grid_ms = reach_ms * (np.arange(_NODES) / (_NODES - 1)) ** 2
    budgets, traffic = _classes(prices, traffic)
    if traffic.gap_ms.max() <= 0:
        return prices
    wait_ms, spread_ms = _expected(grid_ms, traffic, workers)
    current = prices._replace(
        value=_rescaled(prices, grid_ms, budgets),
        reach_ms=reach_ms,
        edges_ms=budgets.edges_ms,
    )
    chain = _chain(current, budgets, grid_ms, traffic.gap_ms, workers, left_ms)
    for _ in range(_MAX_STEPS):
        shares, gains = kernels.act(current, grid_ms, wait_ms, spread_ms, budgets.members_ms)
        relative, gain = _relative(shares, gains, chain)
        after = chain.drain @ (budgets.follow @ relative).T
        lost = gain * chain.missed[:, :, None]
        value = np.ascontiguousarray((chain.work @ after - lost).transpose(2, 1, 0))
        settled = np.abs(value - current.value).max() < _ENOUGH
        current = current._replace(value=value)
        if settled:
            break
    return current


class _Chain(NamedTuple):
    """What does not depend on the policy: the classes of budgets; how a gap and each model's work,
    refusal last, move the backlog, (N, N) and (M + 1, N, N); and how many requests are missed while
    work beyond the grid is done, (M + 1, N)."""

    budgets: _Budgets
    drain: Floats
    work: Floats
    missed: Floats


class _Budgets(NamedTuple):
    """Budgets in C classes: what divides them (C − 1,), budgets that stand for each, (C, B), and
    how often each follows on each, (C, C)."""

    edges_ms: Floats
    members_ms: Floats
    follow: Floats


def _classes(prices: Prices, traffic: Traffic) -> tuple[_Budgets, Traffic]:
    """Budgets by how good they are, as far as one tells of the next; else in one class, without
    those that no model can meet.

    On a network that is good and bad in stretches a request with much time is followed by others
    like it: in a good stretch they come as close together as if there were nothing else, and in a
    bad one hardly any that could be in time is near.
    """
    budget_ms = traffic.budget_ms
    hope_ms = np.quantile(prices.quantiles_ms, _HOPELESS, axis=1, method="higher").min()
    edges_ms = _edges(np.sort(budget_ms), float(hope_ms))
    group = np.searchsorted(edges_ms, budget_ms, side="right")
    if not _in_stretches(group):
        traffic = _hopeful(traffic, hope_ms)
        members_ms = _groups(traffic.budget_ms, _BUDGETS)[None]
        return _Budgets(np.empty(0), members_ms, np.ones((1, 1))), traffic
    classes = len(edges_ms) + 1
    pairs = np.bincount(group[:-1] * classes + group[1:], minlength=classes**2)
    counts = pairs.reshape(classes, classes).astype(np.float64)
    shares = np.bincount(group, minlength=classes) / len(group)
    follow = (counts + shares) / (counts.sum(axis=1, keepdims=True) + 1)
    members_ms = np.stack([_groups(budget_ms[group == each], _IN_CLASS) for each in range(classes)])
    return _Budgets(edges_ms, members_ms, follow), traffic


def _edges(ordered_ms: Floats, hope_ms: float) -> Floats:
    """What divides sorted budgets: those without hope, and the others in parts of equal size."""
    first = int(np.searchsorted(ordered_ms, hope_ms))
    places = first + np.arange(_CLASSES) * (len(ordered_ms) - first) // _CLASSES
    edges_ms, below = [], 0
    for edge_ms in ordered_ms[places[places < len(ordered_ms)]]:
        # Of equal budgets all lie in one class.
        place = int(np.searchsorted(ordered_ms, edge_ms))
        if place - below >= _FEW and len(ordered_ms) - place >= _FEW:
            edges_ms.append(edge_ms)
            below = place
    return np.array(edges_ms)


def _hopeful(traffic: Traffic, hope_ms: float) -> Traffic:
    """The traffic without requests that no model can answer in time even if none waits.

    They are refused, cost nothing and bring nothing, so the chain may pass over them: the gap
    before the next one grows by theirs.
    """
    kept = np.flatnonzero(traffic.budget_ms >= hope_ms)
    if len(kept) < _FEW or len(kept) == len(traffic.budget_ms):
        return traffic
    rows = traffic.rows()[:, kept]
    rows[0] = np.diff(np.cumsum(traffic.gap_ms)[kept], prepend=0.0)
    return Traffic(*rows)


def _in_stretches(group: Indices) -> bool:
    """Whether neighbours are alike by more than chance."""
    before, after = group[:-1] - group.mean(), group[1:] - group.mean()
    square = float((before**2).sum() * (after**2).sum()) ** 0.5
    alike = float((before * after).sum()) / square if square > 0 else 0.0
    return bool(alike > max(_ALIKE, _CHANCE / len(group) ** 0.5))


class Later(NamedTuple):
    """What a backlog per worker is worth for requests yet to come: `value` (C, L, N), by the class
    of the last budget, divided by `edges_ms` (C − 1,), and by how long none has come, `elapsed_ms`
    (L,) rising from 0, over the `grid_ms` (N,) of backlog. Beyond the grid everything is refused:
    each further ms of it costs `missed` points."""

    grid_ms: Floats
    elapsed_ms: Floats
    value: Floats
    edges_ms: Floats
    missed: float = 0.0


def later(prices: Prices, traffic: Traffic, workers: int, left_ms: float = 0.0) -> Later:
    """Values for who decides between arrivals, under prices that `solve` has fitted.

    A gap that has lasted for `a` ends after the rest of those that are longer: in a burst the next
    request is near, after a lull it is far.
    """
    nodes = np.arange(_NODES) / (_NODES - 1)
    grid_ms = prices.reach_ms * nodes**2
    budgets, traffic = _classes(prices, traffic)
    gap_ms = np.sort(traffic.gap_ms)
    if len(gap_ms) < _ENOUGH_GAPS or gap_ms[-1] <= 0:
        return Later(grid_ms, np.zeros(1), prices.value[:, None, :, -1].copy(), prices.edges_ms)
    wait_ms, spread_ms = _expected(grid_ms, traffic, workers)
    if not np.array_equal(budgets.edges_ms, prices.edges_ms):  # they were not fitted to this
        return Later(grid_ms, np.zeros(1), prices.value[:, None, :, -1].copy(), prices.edges_ms)
    shares, gains = kernels.act(prices, grid_ms, wait_ms, spread_ms, budgets.members_ms)
    chain = _chain(prices, budgets, grid_ms, gap_ms, workers, left_ms)
    relative, gain = _relative(shares, gains, chain)
    relative = budgets.follow @ relative
    lulls_ms = np.unique(np.quantile(gap_ms, _LULLS))
    longer = [ms for ms in lulls_ms if ms > 0 and (gap_ms > ms).sum() >= _ENOUGH_GAPS // 4]
    elapsed_ms = np.array([0.0, *longer])
    rests_ms = [gap_ms, *(gap_ms[gap_ms > ms] - ms for ms in longer)]
    values = [relative @ _drain(grid_ms, rest_ms, workers, left_ms).T for rest_ms in rests_ms]
    missed = gain / float(gap_ms.mean())
    return Later(grid_ms, elapsed_ms, np.stack(values, axis=1), prices.edges_ms, missed)


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


def _chain(
    prices: Prices,
    budgets: _Budgets,
    grid_ms: Floats,
    gap_ms: Floats,
    workers: int,
    left_ms: float,
) -> _Chain:
    """Work that reaches beyond the grid ends there, and everything is refused until it is done."""
    work, beyond_ms = [], []
    for row in prices.service_ms:
        jobs_ms = _groups(row, _SERVICES) / workers
        work.append(kernels.flow(grid_ms, jobs_ms, prices.reach_ms))
        beyond_ms.append(np.maximum(grid_ms[:, None] + jobs_ms - prices.reach_ms, 0.0).mean(axis=1))
    drain = _drain(grid_ms, gap_ms, workers, left_ms)
    missed = np.stack([*beyond_ms, np.zeros(_NODES)]) / float(gap_ms.mean())
    return _Chain(budgets, drain, np.stack([*work, np.eye(_NODES)]), missed)


def _relative(shares: Floats, gains: Floats, chain: _Chain) -> tuple[Floats, float]:
    """Relative value h of a policy, (C, N), and its average gain g per request: h + g·steps =
    gains + moves·h with h[0] = 0, where so many requests go by until the next one counts.

    With x and y the sums of gains and of steps until the chain comes to h[0], h = x − g·y and
    g = x[0] / y[0]. They are found block by block: one system of all classes would be taken apart
    by several threads, which on a busy machine wait for one another for longer than it takes.
    """
    follow = chain.budgets.follow
    classes = len(follow)
    backlog = np.matmul(shares.transpose(1, 0, 2), chain.work.transpose(1, 0, 2)).transpose(1, 0, 2)
    backlog = (1 - _RESTART) * (backlog @ chain.drain)
    backlog[:, :, 0] += _RESTART
    rows = [[-follow[row, column] * backlog[row] for column in range(classes)]
            for row in range(classes)]  # fmt: skip
    for row in range(classes):
        rows[row][0][:, 0] = 0.0
        rows[row][row] += np.eye(_NODES)
    steps = 1 + np.einsum("cnm,mn->cn", shares, chain.missed)
    sums = np.stack([gains, steps], axis=2)
    for row in range(classes):
        right = np.linalg.solve(
            rows[row][row], np.concatenate([*rows[row][row + 1 :], sums[row]], axis=1)
        )
        sums[row] = right[:, -2:]
        for at, column in enumerate(range(row + 1, classes)):
            rows[row][column] = right[:, at * _NODES : (at + 1) * _NODES]
        for below in range(row + 1, classes):
            factor = rows[below][row]
            for column in range(row + 1, classes):
                rows[below][column] = rows[below][column] - factor @ rows[row][column]
            sums[below] -= factor @ sums[row]
    for row in reversed(range(classes)):
        for column in range(row + 1, classes):
            sums[row] -= rows[row][column] @ sums[column]
    gain = float(sums[0, 0, 0] / sums[0, 0, 1])
    relative: Floats = sums[:, :, 0] - gain * sums[:, :, 1]
    return relative, gain


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
    """The mean wait that goes with a backlog, and its deviation. Above what was seen the wait grows
    as the backlog does; below it falls to 0 with it, or a queue that was never seen short would
    seem to be worth nothing when it is, and stay long for ever."""
    order = np.argsort(traffic.backlog_ms, kind="stable")
    groups = min(_WAITS, len(order))
    bounds = np.arange(groups) * len(order) // groups
    sizes = np.diff(np.append(bounds, len(order)))
    backlog, wait, spread = (
        np.concatenate([[0.0], np.add.reduceat(column[order], bounds) / sizes])
        for column in (traffic.backlog_ms, traffic.wait_ms, traffic.spread_ms)
    )
    spread_ms = np.interp(grid_ms, backlog, spread)
    if workers == 1:
        return grid_ms, spread_ms
    beyond_ms = np.maximum(grid_ms - backlog[-1], 0.0)
    return np.interp(grid_ms, backlog, wait) + beyond_ms, spread_ms


def _rescaled(prices: Prices, grid_ms: Floats, budgets: _Budgets) -> Floats:
    """The old values on a new grid, in new classes."""
    old = prices.value
    if prices.reach_ms != grid_ms[-1]:
        old_ms = prices.reach_ms * (np.arange(_NODES) / (_NODES - 1)) ** 2
        columns = old.transpose(0, 2, 1).reshape(-1, _NODES)
        moved = np.stack([np.interp(grid_ms, old_ms, column) for column in columns])
        old = moved.reshape(len(old), -1, _NODES).transpose(0, 2, 1)
    middle_ms = np.median(budgets.members_ms, axis=1)
    group = np.searchsorted(prices.edges_ms, middle_ms, side="right")
    return np.ascontiguousarray(old[group])
