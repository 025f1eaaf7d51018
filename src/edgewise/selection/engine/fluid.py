"""Upper bounds of what any policy can deliver under load.

The *fluid bound* treats requests as a liquid: no time is ever wasted and deadlines are ignored.
It is the linear program max Σ xₘAₘ with Σ xₘ ≤ 1, xₘ ≥ 0 and rate · Σ xₘμₘ ≤ workers. Its
optimum is the upper concave hull of the points (μₘ, Aₘ) and (0, 0), read off at the time that
each request can have, workers / rate.

The *bound in time* keeps the deadlines and only drops the waiting: a model m given to a request
with budget u is worth Aₘ·P(service ≤ u). By Lagrangian duality it is
min over λ ≥ 0 of λ·workers/rate + E_u[max(0, maxₘ Aₘ·Pₘ(u) − λμₘ)], and it is never above the
fluid bound. No policy beats it that must choose before it knows the service time.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgewise.errors import UsageError
from edgewise.selection.profiles.table import Floats, ProfileTable

#: Budgets that stand for the distribution of all in the bound in time.
_BUDGETS = 512


def hull(accuracy: Floats, mean_ms: Floats) -> tuple[Floats, Floats]:
    """Corners of the upper concave hull of accuracy over time, from (0, 0) on.

    Args:
        accuracy: percent, shape (M,).
        mean_ms: mean service times, shape (M,).

    Returns:
        Times and accuracies of the corners, both rising. A slope between two neighbours is the
        accuracy that a further ms buys there, in points.
    """
    corners = [(0.0, 0.0)]
    for time, value in sorted(zip(mean_ms.tolist(), accuracy.tolist(), strict=True)):
        if value <= corners[-1][1]:
            continue
        while len(corners) > 1 and _slope(corners[-2], corners[-1]) <= _slope(
            corners[-1], (time, value)
        ):
            corners.pop()
        corners.append((time, value))
    times, values = zip(*corners, strict=True)
    return np.array(times), np.array(values)


def _slope(start: tuple[float, float], end: tuple[float, float]) -> float:
    rise, run = end[1] - start[1], end[0] - start[0]
    return rise / run if run > 0 else np.inf


def fluid_bound(
    table: ProfileTable, rate_per_s: float, workers: int = 1, fallback: float = 0.0
) -> float:
    """The linear program's optimum in percent.

    `fallback` is what a request scores that no worker answers in time, as its caller's device
    has an answer of its own.

    Raises:
        UsageError: a rate that is not positive, or no worker.
    """
    times, values = hull(table.accuracy - fallback, table.mean_ms)
    return fallback + float(np.interp(_time_each_ms(rate_per_s, workers), times, values))


def bound_in_time(
    table: ProfileTable, budget_ms: Floats, rate_per_s: float, workers: int = 1
) -> float:
    """The bound that knows the deadlines, in percent.

    Args:
        table: the profiles, with their quantiles.
        budget_ms: a sample of what is left of the deadline when requests arrive, shape (n,).
        rate_per_s: requests offered per second.
        workers: servers that work on one request each.

    Raises:
        UsageError: a rate that is not positive, or no worker.
    """
    each_ms = _time_each_ms(rate_per_s, workers)
    budgets = np.quantile(budget_ms, (np.arange(_BUDGETS) + 0.5) / _BUDGETS)
    in_time = np.stack(
        [np.searchsorted(row, budgets, side="right") / len(row) for row in table.quantiles_ms]
    )
    worth = table.accuracy[:, None] * in_time

    def dual(price: float) -> float:
        gains = worth - price * table.mean_ms[:, None]
        return price * each_ms + float(np.maximum(gains.max(axis=0), 0.0).mean())

    return _smallest(dual, float(table.accuracy.max() / table.mean_ms.min()))


def _smallest(convex: Callable[[float], float], highest: float) -> float:
    """Smallest value on [0, highest] by ternary search; any point of it is a valid bound."""
    low, high = 0.0, highest
    for _ in range(100):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if convex(left) <= convex(right):
            high = right
        else:
            low = left
    return convex((low + high) / 2)


def _time_each_ms(rate_per_s: float, workers: int) -> float:
    if not 0 < rate_per_s < np.inf:
        raise UsageError(f"a rate of {rate_per_s} requests a second", hint="it is positive")
    if workers < 1:
        raise UsageError(f"{workers} workers", hint="there is at least one")
    return workers * 1000.0 / rate_per_s
