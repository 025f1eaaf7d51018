"""Streams tell a link's rates, small requests its round trip; in virtual time, over many links."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgewise.errors import InputError
from edgewise.network.capacity import Constant, Recorded
from edgewise.network.shaping.pacing import Flow, Pacer, Shape
from edgewise.network.streams import (
    ENDS_MBPS,
    Mark,
    is_within,
    measured,
    rate,
    round_trip,
    slope,
    stalls,
)


def passed(flow: Flow, at_ms: float, size: int) -> list[Mark]:
    """Marks of a stream that is offered at once."""
    marks, sent = [], 0
    while sent < size:
        at_ms = max(at_ms, flow.ready_ms)
        piece = min(size - sent, flow.allowance(at_ms))
        arrives_ms = flow.offer(at_ms, piece).arrives_ms
        sent += piece
        marks.append(Mark(sent, arrives_ms))
    return marks


def streams(shape: Shape, mbps: float, count: int = 8) -> list[list[Mark]]:
    """After one that opens the window; each takes half a second."""
    flow, at_ms, found = Pacer(shape).connect(0.0).up, 0.0, []
    for _ in range(count + 1):
        found.append(passed(flow, at_ms, int(mbps * 125 * 500)))
        at_ms = found[-1][-1].at_ms
    return found[1:]


@pytest.mark.parametrize("mbps", [0.7, 6.0, 100.0])
@pytest.mark.parametrize("jitter_ms", [0.0, 10.0])
def test_the_interval_of_a_rate_holds_it(mbps: float, jitter_ms: float) -> None:
    held = 0
    for seed in range(6):
        shape = Shape(Constant(mbps), Constant(50), 40.0, jitter_ms, seed=seed)
        found = rate(streams(shape, mbps))
        assert found is not None
        assert found.value == pytest.approx(mbps, rel=0.06)
        held += found.low <= mbps <= found.high
    assert held >= 5


def stalling(mbps: float, seed: int) -> Recorded:
    """Half a minute at a rate, with stalls of 250 ms, on average two seconds apart."""
    flowing_ms = np.random.default_rng(seed).exponential(2000.0, 14) + 1
    edges = np.cumsum(np.stack([flowing_ms, np.full(14, 250.0)], axis=1).ravel())
    return Recorded(np.concatenate([[0.0], edges]), np.tile([mbps, 0.0], 14))


def test_a_link_that_stalls_now_and_then_has_an_interval_that_says_so() -> None:
    held = met = 0
    for seed in range(10):
        ways = [stalling(4, 2 * seed), stalling(8, 2 * seed + 1)]
        up, down = (streams(Shape(way, way, 50.0, 5.0), most, 12)
                    for way, most in zip(ways, (4, 8), strict=True))  # fmt: skip
        found = measured([50.0, 51.0] * 10, up, down)
        for way, seen in zip(ways, (found.uplink_mbps, found.downlink_mbps), strict=True):
            assert seen is not None
            held += seen.low <= way.mean_mbps <= seen.high
        met += stalls([50.0] * 20, [*up, *down]).times
    assert held >= 18
    assert met >= 30


@pytest.mark.parametrize("mbps", [0.7, 6.0, 100.0])
def test_jitter_is_no_stall(mbps: float) -> None:
    shape = Shape(Constant(mbps), Constant(50), 60.0, 30.0)
    pings_ms = np.random.default_rng(1).normal(60, 30, 60).clip(1).tolist()
    assert stalls(pings_ms, streams(shape, mbps)).times == 0


def test_a_small_request_that_is_late_is_a_stall() -> None:
    seen = stalls([50.0] * 19 + [300.0], [])
    assert (seen.times, seen.stalled_ms, seen.watched_ms) == (1, 250, 1250)
    assert stalls([50.0] * 20, []).most == 0 < seen.most < 1


def test_a_rate_at_which_the_ends_show_has_no_upper_bound() -> None:
    slow, fast = (
        [[Mark(1e5 * n, 1e5 * n / (mbps * 125) + number) for n in range(5)] for number in range(6)]
        for mbps in (0.9 * ENDS_MBPS, 1.1 * ENDS_MBPS)
    )
    bounded, at_least = rate(slow), rate(fast)
    assert bounded is not None and bounded.high < 1.05 * bounded.value
    assert at_least is not None and math.isinf(at_least.high)
    assert 0.95 * at_least.value < at_least.low < at_least.value


def test_streams_that_vary_have_no_upper_bound_and_short_ones_no_rate() -> None:
    def stream(ms: float) -> list[Mark]:
        return [Mark(1000.0 * n, ms * n) for n in range(4)]

    wild = rate([stream(ms) for ms in (1, 1, 1, 50)])
    assert wild is not None and math.isinf(wild.high) and not is_within(wild, 0.1)
    assert rate([stream(1)] * 3) is None
    assert slope([Mark(1, 1), Mark(2, 2)]) is None
    assert slope([Mark(1, 3), Mark(2, 2), Mark(3, 1)]) is None
    assert not is_within(None, 0.5)


def test_the_round_trip_is_the_mean_without_single_late_ones() -> None:
    rng = np.random.default_rng(1)
    pings = [*rng.gamma(16, 4, 40), 900.0]
    found = round_trip(pings)
    assert found.low < 64 < found.high
    assert found.value == pytest.approx(np.mean(pings[:-1]), rel=0.01)
    link = measured(pings, [], [])
    assert 12 < link.jitter_ms < 20
    assert link.uplink_mbps is None and link.downlink_mbps is None
    assert link.observations == 41


def test_too_few_round_trips_are_refused() -> None:
    with pytest.raises(InputError, match="too few"):
        measured([1.0] * 7, [], [])
