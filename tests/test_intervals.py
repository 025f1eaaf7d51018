"""Intervals, against tables and against the statistics of what they promise."""

from __future__ import annotations

import pytest

from edgewise.intervals import of_mean, of_next, student_quantile, wilson


@pytest.mark.parametrize(
    ("confidence", "degrees", "value"),
    [
        (0.95, 1, 12.7062),
        (0.95, 2, 4.3027),
        (0.95, 4, 2.7764),
        (0.95, 30, 2.0423),
        (0.9, 9, 1.8331),
    ],
)
def test_students_quantiles_are_those_of_the_tables(
    confidence: float, degrees: int, value: float
) -> None:
    assert student_quantile(confidence, degrees) == pytest.approx(value, abs=5e-5)


def test_the_next_value_is_less_certain_than_the_mean() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 5.0]
    low, high = of_mean(values)
    assert (low, high) == pytest.approx((3 - 1.9632, 3 + 1.9632), abs=1e-3)
    assert of_next(values) == pytest.approx((3 - 4.8089, 3 + 4.8089), abs=1e-3)
    assert of_next([0.5]) == (0.5, 0.5)


def test_values_that_agree_by_chance_do_not_make_the_next_one_certain() -> None:
    assert of_next([0.99] * 5) == (0.99, 0.99)
    low, high = of_next([0.99] * 5, least_std=0.001)
    assert low == pytest.approx(0.99 - 2.7764 * 0.001 * (6 / 5) ** 0.5, abs=1e-6)
    assert high - 0.99 == pytest.approx(0.99 - low)
    assert of_next([0.0, 1.0], least_std=0.1) == of_next([0.0, 1.0])


def test_wilsons_interval_stays_within_what_a_share_can_be() -> None:
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)
    assert wilson(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(0.5, 100) == pytest.approx((0.4038, 0.5962), abs=1e-4)
