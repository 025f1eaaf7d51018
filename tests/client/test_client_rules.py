"""The client's reckoning without any network: retries, deadlines, and what the network takes."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.client.due import Due
from edgewise.client.estimate import NetworkEstimate, Observation
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


def exchange(bytes_: int, rtt_ms: float, mbps: float, server_ms: float = 0.0) -> Observation:
    """As an ideal link makes it."""
    waited_ms = rtt_ms + bytes_ / (mbps * 125) + server_ms
    return Observation(bytes_, 300, waited_ms, 0.1, server_ms)


@given(
    rtt_ms=st.floats(1, 300),
    mbps=st.floats(0.5, 200),
    sizes=st.lists(st.integers(10_000, 2_000_000), min_size=1, max_size=20),
    server_ms=st.floats(0, 500),
)
def test_an_ideal_link_is_recovered(
    rtt_ms: float, mbps: float, sizes: list[int], server_ms: float
) -> None:
    network = NetworkEstimate()
    network.learn(exchange(0, rtt_ms, mbps))
    for size in sizes:
        network.learn(exchange(size, rtt_ms, mbps, server_ms))
    assert network.rtt_ms == pytest.approx(rtt_ms)
    assert network.upload_mbps == pytest.approx(mbps, rel=1e-3)
    expected = network.expect(500_000)
    assert expected is not None
    assert expected.upload_ms == pytest.approx(rtt_ms / 2 + 500_000 / (mbps * 125), rel=0.01)
    assert expected.download_ms == pytest.approx(rtt_ms / 2 + 0.1, rel=0.01)


@given(
    waited=st.floats(0, 1000),
    reading=st.floats(0, 100),
    claimed=st.floats(-10, 2000),
    rtt=st.none() | st.floats(0, 500),
)
def test_a_split_adds_up_whatever_the_service_claims(
    waited: float, reading: float, claimed: float, rtt: float | None
) -> None:
    network = NetworkEstimate()
    if rtt is not None:
        network.learn(Observation(0, 0, rtt, 0, 0))
    parts = network.split(Observation(9999, 9, waited, reading, claimed))
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(waited + reading)


def test_nothing_is_expected_before_anything_was_seen() -> None:
    network = NetworkEstimate()
    assert network.expect(1000) is None
    assert network.rtt_quantile_ms(0.5) is None
    network.learn(Observation(100_000, 300, 80.0, 1.0, 30.0))
    expected = network.expect(200_000)
    assert expected is not None
    assert expected.rtt_ms is None
    assert expected.upload_ms == pytest.approx(100.0)


def test_what_is_stated_holds_for_most_requests() -> None:
    """On a link whose time varies, about the stated share of requests is no slower."""
    import random

    draw = random.Random(3)
    network = NetworkEstimate(level=0.9)
    network.learn(Observation(0, 0, 40.0, 0, 0))
    held = 0
    for count in range(600):
        expected = network.expect(100_000)
        took_ms = 40 + 40 * draw.lognormvariate(0, 0.5)
        if expected is not None and count >= 100:
            held += took_ms + 1 <= expected.total_ms
        network.learn(Observation(100_000, 300, took_ms, 1.0, 0))
    assert 0.85 <= held / 500 <= 0.95


def test_a_fresh_connection_does_not_hide_what_a_warm_one_does() -> None:
    network = NetworkEstimate()
    network.learn(Observation(0, 0, 20.0, 0, 0))
    network.learn(Observation(100_000, 300, 220.0, 0, 0, fresh=True))
    assert network.upload_mbps == pytest.approx(4.0)  # better than nothing
    network.learn(Observation(100_000, 300, 60.0, 0, 0))
    assert network.upload_mbps == pytest.approx(20.0)
    network.learn(Observation(100_000, 300, 220.0, 0, 0, fresh=True))
    assert network.upload_mbps == pytest.approx(20.0)
