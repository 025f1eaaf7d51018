"""A link is found again from what a client saw over it, in virtual time."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgewise.errors import InputError
from edgewise.network.capacity import Constant
from edgewise.network.estimate import Observation
from edgewise.network.measured import measure
from edgewise.network.shaping.pacing import Flow, Pacer, Shape

SIZES = [(1_000, 1_000), (100_000, 1_000), (400_000, 1_000), (1_000, 100_000), (1_000, 400_000)]


def transfer(flow: Flow, at_ms: float, size: int) -> list[float]:
    """When the pieces of a transfer arrive."""
    arrivals = []
    while size:
        at_ms = max(at_ms, flow.ready_ms)
        piece = min(size, flow.allowance(at_ms))
        arrivals.append(flow.offer(at_ms, piece).arrives_ms)
        size -= piece
    return arrivals


def seen_over(shape: Shape, rounds: int, late: float = 0.0) -> list[Observation]:
    """Requests of several sizes over an open connection; a share of them half a second late."""
    wire = Pacer(shape).connect(0.0)
    now_ms = transfer(wire.down, transfer(wire.up, 0.0, 3_000_000)[-1], 3_000_000)[-1]
    rng, seen = np.random.default_rng(1), []
    for sent, received in SIZES * rounds:
        there_ms = transfer(wire.up, now_ms, sent)[-1]
        back_ms = transfer(wire.down, there_ms, received)
        delay_ms = 500.0 if rng.random() < late else 0.0
        reading_ms = back_ms[-1] - back_ms[0]
        seen.append(Observation(sent, received, back_ms[0] - now_ms + delay_ms, reading_ms))
        now_ms = back_ms[-1] + 100
    return seen


def test_a_steady_link_is_found_exactly() -> None:
    found = measure(seen_over(Shape(Constant(6), Constant(13), 70.0), 4))
    assert found.uplink_mbps is not None and found.downlink_mbps is not None
    assert found.uplink_mbps.value == pytest.approx(6, rel=0.01)
    assert found.downlink_mbps.value == pytest.approx(13, rel=0.01)
    # The first piece of the reply is part of the wait: a millisecond.
    assert found.rtt_ms.value == pytest.approx(70, abs=2.5)
    assert found.jitter_ms < 1.5


@pytest.mark.parametrize("late", [0.0, 0.15])
def test_a_jittery_link_is_found_within_its_intervals(late: float) -> None:
    found = measure(seen_over(Shape(Constant(20), Constant(40), 60.0, jitter_ms=8), 16, late))
    for rate, expected in ((found.uplink_mbps, 20), (found.downlink_mbps, 40)):
        assert rate is not None
        assert rate.low < rate.value < rate.high
        assert rate.value == pytest.approx(expected, rel=0.1)
    assert found.rtt_ms.low - 1 < 60 < found.rtt_ms.high + 1
    assert 4 < found.jitter_ms < 13


def test_a_link_that_was_measured_can_be_used() -> None:
    profile = measure(seen_over(Shape(Constant(6), Constant(13), 70.0), 2)).profile("mine")
    assert (profile.name, profile.source) == ("mine", "measured over 10 requests")
    assert profile.uplink_mbps == pytest.approx(6, rel=0.01)


def test_sizes_that_are_alike_tell_no_rate() -> None:
    seen = [Observation(1000, 1000, 50.0 + number % 3, 0.1) for number in range(20)]
    found = measure(seen)
    assert found.uplink_mbps is None and found.downlink_mbps is None
    assert found.rtt_ms.value == 51
    with pytest.raises(InputError, match="uplink"):
        found.profile("unknown")


def test_noise_leaves_a_fast_rate_without_upper_bound() -> None:
    rng = np.random.default_rng(2)
    sizes = np.tile([1_000, 20_000], 30)
    seen = [
        Observation(int(size), 1000, 50 + size / 125_000 + abs(rng.normal(0, 3)), 0.1)
        for size in sizes
    ]
    rate = measure(seen).uplink_mbps
    assert rate is None or (rate.low < 1000 and math.isinf(rate.high))


@pytest.mark.parametrize(
    "seen", [[], [Observation(1, 1, 1.0, 1.0)] * 7, [Observation(1, 1, math.nan, 1.0)] * 20]
)
def test_what_cannot_be_used_is_refused(seen: list[Observation]) -> None:
    with pytest.raises(InputError, match="observation"):
        measure(seen)
