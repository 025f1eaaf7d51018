"""Break-even points: just left of one the device is faster, just right of it the cloud."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from machines import PHOTO, TENSOR, cloud, link, phone

from edgewise.network.catalogue import links
from edgewise.placement.breakeven import FRONTIER_RTT_MS
from edgewise.placement.model import place
from edgewise.placement.sent import Sent
from edgewise.placement.wire import Usage
from edgewise.records import LinkProfile, Placement, Way

_NEAR = 1e-6


def winner(over: LinkProfile, sent: Sent, usage: Usage, mean_ms: float) -> Way | None:
    return place("net_v1_1", phone(), cloud(mean_ms), over, sent, usage=usage).faster


def crosses(row: Placement, over: LinkProfile, sent: Sent, usage: Usage, mean_ms: float) -> None:
    even = row.break_even

    def faster(**change: float) -> Way | None:
        return winner(link(over.name, **change), sent, usage, mean_ms)

    if even.uplink_mbps is not None:
        assert faster(uplink_mbps=even.uplink_mbps * (1 + _NEAR)) == "cloud"
        assert faster(uplink_mbps=even.uplink_mbps * (1 - _NEAR)) == "device"
    else:
        assert {faster(uplink_mbps=mbps) for mbps in (2e-3, 1.0, 1e4)} == {row.faster}
        assert even.uplink_reason is not None and str(row.faster) in even.uplink_reason
    if even.rtt_ms is not None:
        assert faster(rtt_ms=even.rtt_ms * (1 - _NEAR)) == "cloud"
        assert faster(rtt_ms=even.rtt_ms * (1 + _NEAR)) == "device"
    else:
        assert {faster(rtt_ms=ms) for ms in (0.0, 100.0, 50_000.0)} == {row.faster}
        assert even.rtt_reason is not None and str(row.faster) in even.rtt_reason


@pytest.mark.parametrize("usage", [Usage(), Usage("fresh"), Usage("fresh", "idle")])
@pytest.mark.parametrize("sent", [PHOTO, TENSOR], ids=["photo", "tensor"])
@pytest.mark.parametrize("name", ["wifi", "home", "lte", "3g"])
def test_left_and_right_of_a_point_another_way_is_faster(
    name: str, sent: Sent, usage: Usage
) -> None:
    for mean_ms in (10.0, 350.0):
        row = place("net_v1_1", phone(), cloud(mean_ms), links()[name], sent, usage=usage)
        crosses(row, links()[name], sent, usage, mean_ms)


@settings(max_examples=25, deadline=None)
@given(st.floats(0.1, 450.0), st.floats(1_000, 2e6), st.sampled_from(["warm", "fresh"]))
def test_points_of_any_request(mean_ms: float, payload: float, connection: str) -> None:
    sent = Sent(payload_bytes=payload)
    usage = Usage(connection)  # type: ignore[arg-type]
    row = place("net_v1_1", phone(), cloud(mean_ms), link("home"), sent, usage=usage)
    crosses(row, link("home"), sent, usage, mean_ms)


def test_a_server_that_is_slower_than_the_device_has_no_point_and_a_reason() -> None:
    even = place("net_v1_1", phone(), cloud(500.0), link(), TENSOR).break_even
    assert even.uplink_mbps is even.rtt_ms is None
    assert even.uplink_reason is not None and "the device is faster even" in even.uplink_reason
    assert even.rtt_reason == "the device is faster even without a round trip"


def test_the_frontier_is_the_point_at_every_round_trip() -> None:
    row = place("net_v1_1", phone(), cloud(), link(), PHOTO)
    assert [point.rtt_ms for point in row.frontier] == list(FRONTIER_RTT_MS)
    for point in row.frontier[::4]:
        at = place("net_v1_1", phone(), cloud(), link(rtt_ms=point.rtt_ms), PHOTO).break_even
        assert point.uplink_mbps == pytest.approx(at.uplink_mbps)
    rising = [point.uplink_mbps for point in row.frontier if point.uplink_mbps is not None]
    assert rising == sorted(rising)
