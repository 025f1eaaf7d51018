"""The client's reckoning without any network: retries, deadlines, and what the network takes."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.client.due import Due
from edgewise.client.retries import Failure, retry_after_ms, wait_ms
from edgewise.errors import UsageError

times = st.floats(0, 1e5)
kinds = st.sampled_from(["connect", "tls", "dropped", "status", "begun"])


@given(
    kind=kinds,
    status=st.sampled_from([400, 408, 429, 500, 503]),
    after=st.none() | times,
    reused=st.booleans(),
    attempt=st.integers(1, 9),
    retries=st.integers(0, 8),
    left=times,
    needed=times,
    spread=st.floats(0, 1),
)
def test_a_retry_is_within_the_deadline_and_the_number_allowed(
    kind: str,
    status: int,
    after: float | None,
    reused: bool,
    attempt: int,
    retries: int,
    left: float,
    needed: float,
    spread: float,
) -> None:
    failure = Failure(kind, status, after, reused)  # type: ignore[arg-type]
    wait = wait_ms(
        failure, attempt=attempt, retries=retries, left_ms=left, needed_ms=needed, spread=spread
    )
    if wait is None:
        return
    assert attempt <= retries
    assert 0 <= wait < left - needed
    assert kind in ("connect", "dropped", "status")
    if kind == "status":
        assert status in (408, 429, 503)
        assert after is None or wait == after


def test_a_503_without_retry_after_is_final() -> None:
    def again(failure: Failure) -> float | None:
        return wait_ms(failure, attempt=1, retries=9, left_ms=math.inf, needed_ms=0)

    assert again(Failure("status", 503)) is None
    assert again(Failure("status", 503, 20.0)) == 20
    assert again(Failure("status", 503, 3_600_000.0)) is None
    assert again(Failure("status", 400, 20.0)) is None
    assert again(Failure("dropped", reused=True)) == 0
    assert again(Failure("dropped")) is not None


def test_retry_after_is_read_as_seconds_or_a_date() -> None:
    now = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
    assert retry_after_ms("2", now) == 2000
    assert retry_after_ms("0.25", now) == 250
    assert retry_after_ms("Fri, 01 May 2026 12:00:03 GMT", now) == 3000
    assert retry_after_ms("Fri, 01 May 2026 11:00:00 GMT", now) == 0
    for wrong in (None, "", "soon", "-1", "nan", "inf", "1" * 400):
        assert retry_after_ms(wrong, now) is None


def test_a_deadline_counts_what_was_spent_before() -> None:
    due = Due(started_ms=1000, sla_ms=100, elapsed_ms=30, grace_ms=5, timeout_ms=50)
    assert due.left_ms(1000) == 70
    assert due.trying_ms(1040) == 35  # the timeout is for calls without a deadline
    assert (due.in_time(1070), due.in_time(1071)) == (True, False)
    free = Due(started_ms=1000, sla_ms=None, elapsed_ms=0, grace_ms=5, timeout_ms=50)
    assert free.left_ms(5000) == math.inf
    assert free.trying_ms(1020) == 30
    assert free.in_time(5000) is None
    with pytest.raises(UsageError):
        Due(started_ms=0, sla_ms=100, elapsed_ms=-1, grace_ms=0, timeout_ms=1)
