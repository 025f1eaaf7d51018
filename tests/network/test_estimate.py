"""What a caller knows of its network from its own requests, in virtual time."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.network.estimate import Expected, NetworkEstimate, Observation


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
    claimed=st.none() | st.floats(-10, 2000),
    rtt=st.none() | st.floats(0, 500),
)
def test_a_split_adds_up_whatever_the_service_claims(
    waited: float, reading: float, claimed: float | None, rtt: float | None
) -> None:
    network = NetworkEstimate()
    if rtt is not None:
        network.learn(Observation(0, 0, rtt, 0))
    parts = network.split(Observation(9999, 9, waited, reading, claimed))
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(waited + reading)


def test_nothing_is_expected_before_anything_was_seen() -> None:
    network = NetworkEstimate()
    assert network.expect(1000) is None
    assert network.rtt_ms is network.upload_mbps is None
    network.learn(Observation(100_000, 300, 80.0, 1.0, 30.0))
    assert network.expect(200_000) == Expected(None, pytest.approx(100.0), 1.0)


def test_a_sender_that_sees_its_bytes_leave_learns_both_from_one_request() -> None:
    network = NetworkEstimate()
    network.learn(Observation(10_000, 300, 95.0, 5.0, 35.0, sending_ms=10.0))
    assert network.expect(10_000) == Expected(50, 35, 30)
    assert network.expect(20_000) == Expected(50, 45, 30)


def stated_over(took_ms: list[float]) -> list[tuple[float, Expected]]:
    """What is stated before each of these requests of 100 kB, from the 100th on."""
    network, found = NetworkEstimate(), []
    network.learn(Observation(0, 0, 40.0, 0))
    for count, waited_ms in enumerate(took_ms):
        expected = network.expect(100_000)
        if count >= 100 and expected is not None:
            found.append((waited_ms + 1, expected))
        network.learn(Observation(100_000, 300, waited_ms, 1.0))
    return found


def test_median_and_quantile_hold_for_as_many_requests_as_they_say() -> None:
    draw = random.Random(3)
    found = stated_over([40 + 40 * draw.lognormvariate(0, 0.5) for _ in range(900)])
    median = sum(took <= each.total_ms for took, each in found) / len(found)
    most = sum(
        took <= (each.upload_ms or 0) + (each.download_p90_ms or 0) for took, each in found
    ) / len(found)  # fmt: skip
    assert 0.42 <= median <= 0.58
    assert 0.85 <= most <= 0.95


def test_an_outage_now_and_then_is_stated_as_a_tail() -> None:
    """Expected is about what most see; a mean would be several times that."""
    usual = [each for _, each in stated_over([900.0 if n % 6 == 5 else 30.0 for n in range(200)])]
    assert sorted(each.total_ms for each in usual)[len(usual) // 2] < 60
    assert all((each.upload_ms or 0) + (each.download_p90_ms or 0) > 600 for each in usual)


def test_another_network_is_known_after_few_requests() -> None:
    """From WiFi to a mobile network: a dozen requests."""
    network = NetworkEstimate()
    for rtt_ms in [20.0] * 60 + [90.0] * 12:
        network.learn(Observation(1000, 300, rtt_ms, 0))
    assert network.rtt_ms == pytest.approx(90, rel=0.06)


def test_what_does_not_say_how_long_the_service_had_it_only_lowers_an_estimate() -> None:
    network = NetworkEstimate()
    network.learn(Observation(100, 0, 500, 0, None))
    assert network.expect(100) is None
    network.learn(Observation(100, 0, 500, 0))
    network.learn(Observation(100, 0, 900, 0, None))
    assert network.rtt_ms == 500
    for _ in range(40):
        network.learn(Observation(100, 0, 40, 0, None))
    assert network.rtt_ms == pytest.approx(40, abs=1)


def test_a_fresh_connection_does_not_hide_what_a_warm_one_does() -> None:
    network = NetworkEstimate()
    network.learn(Observation(0, 0, 20.0, 0))
    network.learn(Observation(100_000, 300, 220.0, 0, fresh=True))
    assert network.upload_mbps == pytest.approx(4.0)  # better than nothing
    network.learn(Observation(100_000, 300, 60.0, 0))
    assert network.upload_mbps == pytest.approx(20.0)
    network.learn(Observation(100_000, 300, 220.0, 0, fresh=True))
    assert network.upload_mbps == pytest.approx(20.0)
