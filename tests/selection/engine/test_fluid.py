"""The bounds against brute force over the linear program's vertices."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import UsageError
from edgewise.records import Profile
from edgewise.selection.engine.fluid import bound_in_time, fluid_bound, hull
from edgewise.selection.profiles.sources import load
from edgewise.selection.profiles.table import ProfileTable, table


def family(points: list[tuple[float, float]]) -> ProfileTable:
    return table(
        "family",
        [
            Profile(model=f"m{i}", accuracy=accuracy, mean_ms=mean, std_ms=mean / 10)
            for i, (accuracy, mean) in enumerate(points)
        ],
    )


def brute(points: list[tuple[float, float]], each_ms: float) -> float:
    """A vertex of {Σx ≤ 1, Σxμ ≤ each} has at most two models: try them all."""
    best = 0.0
    for accuracy, mean in points:
        best = max(best, accuracy * min(1.0, each_ms / mean))
    for (a, m), (b, n) in combinations(points, 2):
        if m != n:
            share = (each_ms - n) / (m - n)
            if 0 <= share <= 1:
                best = max(best, share * a + (1 - share) * b)
    return best


points = st.lists(
    st.tuples(st.floats(0, 100), st.floats(0.5, 500)), min_size=1, max_size=7, unique=True
)


@given(points, st.floats(0.1, 5000), st.integers(1, 8))
@settings(max_examples=200, deadline=None)
def test_fluid_bound_is_the_best_vertex(
    models: list[tuple[float, float]], rate: float, workers: int
) -> None:
    expected = brute(models, workers * 1000 / rate)
    assert fluid_bound(family(models), rate, workers) == pytest.approx(expected, abs=1e-6)


@given(points)
@settings(max_examples=100, deadline=None)
def test_hull_is_concave_and_covers(models: list[tuple[float, float]]) -> None:
    accuracy, mean = np.array(models).T
    times, values = hull(accuracy, mean)
    slopes = np.diff(values) / np.maximum(np.diff(times), 1e-300)
    assert (np.diff(slopes) <= 1e-9 * np.abs(slopes[:-1])).all()
    assert (np.interp(mean, times, values) >= accuracy - 1e-9).all()


def test_published_numbers_of_the_specification() -> None:
    p2 = load("p2").table
    bounds = [fluid_bound(p2, rate) for rate in (1, 10, 40, 80, 150, 300, 450)]
    assert bounds == pytest.approx([82.6, 82.0, 76.3, 72.9, 71.3, 56.8, 37.9], abs=0.06)


def test_a_fallback_raises_the_bound_where_time_is_short() -> None:
    p2 = load("p2").table
    assert fluid_bound(p2, 450, fallback=60) > max(fluid_bound(p2, 450), 60)
    assert fluid_bound(p2, 0.001, fallback=60) == pytest.approx(82.6)


@pytest.mark.parametrize("rate", [1.0, 40.0, 300.0])
def test_bound_in_time_is_below_and_meets_the_fluid_bound(rate: float) -> None:
    p2 = load("p2").table
    tight = np.random.default_rng(0).normal(100, 60, 5000)
    assert bound_in_time(p2, tight, rate) <= fluid_bound(p2, rate) + 1e-9
    assert bound_in_time(p2, np.full(10, 1e4), rate) == pytest.approx(
        fluid_bound(p2, rate), abs=0.01
    )


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="rate"):
        fluid_bound(load("p2").table, rate)


def test_no_worker_is_refused() -> None:
    with pytest.raises(UsageError, match="workers"):
        fluid_bound(load("p2").table, 1, workers=0)
