"""What queued requests need of their wait beyond the plan: learned, bounded and forgotten."""

from __future__ import annotations

import pytest

from edgewise.selection.engine.margin import SafetyMargin


def test_what_all_but_one_needed_is_kept_free() -> None:
    margin = SafetyMargin()
    assert not margin.add(0.0, 10.0, 100.0)  # the first that was late: one may be
    assert margin.share == 0
    assert margin.add(0.0, 5.0, 100.0)
    assert margin.share == pytest.approx(0.05)
    assert margin.add(0.0, 8.0, 100.0)
    assert margin.share == pytest.approx(0.08)


def test_what_was_kept_and_not_needed_is_taken_off() -> None:
    margin = SafetyMargin()
    for _ in range(2):
        margin.add(0.0, 20.0, 100.0)
    assert margin.share == pytest.approx(0.2)
    margin.add(0.2, -10.0, 100.0)  # half of it would have done
    margin.add(0.2, -90.0, 100.0)
    assert sorted(margin._largest) == pytest.approx([0.1, 0.2, 0.2])


def test_what_a_request_kept_counts_no_more_than_what_is_kept_now() -> None:
    margin = SafetyMargin()
    for _ in range(3):
        margin.add(0.9, 3.0, 100.0)
    assert margin.share == pytest.approx(0.03)


def test_requests_in_time_leave_nothing_free_and_one_incident_is_bounded() -> None:
    margin = SafetyMargin()
    for late_ms in (-0.001, -50.0, -200.0):
        assert not margin.add(0.0, late_ms, 100.0)
    assert margin.share == 0
    for _ in range(30):
        margin.add(0.0, 10_000.0, 100.0)
    assert margin.share == 0.25


def test_it_forgets() -> None:
    margin = SafetyMargin()
    for _ in range(3):
        margin.add(0.0, 10.0, 100.0)
    for _ in range(4094):
        margin.add(0.0, -50.0, 100.0)
    assert margin.share == pytest.approx(0.1)
    margin.add(0.0, -50.0, 100.0)
    assert margin.share == 0
    assert len(margin._needed) == 4096
