"""Computed rows against a plain calculation from the documentation's formulas, to the digit.

It shares no code with `placement.model`: the network in steps of whole windows, the energy in sums
as `docs/placement.md` and `docs/network.md` have them, numbers from the tables.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
from machines import cloud, phone

from edgewise.energy.radio import limits
from edgewise.network.catalogue import links, radios
from edgewise.placement.model import place
from edgewise.placement.sent import Sent
from edgewise.placement.wire import Usage
from edgewise.records import LinkProfile

#: Of `machines`: a model of 400 ms on two cores of a Nexus 5, loaded in 900 ms; 10 ± 1 ms there.
CORE_W, SCREEN_W, READING_MS = 1.468, 0.775, 0.03 * 3.0
DEVICE_MS, LOAD_MS, SERVER_MS = 400.0 + READING_MS, 900.0, 10.0
UP, DOWN, BUSY = 200_000.0, 40_000.0, 0.6
QUEUE_MS = BUSY / (1 - BUSY) * (1 + 0.1**2) / 2 * SERVER_MS


class Net(NamedTuple):
    up_ms: float
    down_ms: float
    connect_ms: float
    asleep_ms: float
    waking_ms: float


def one_way(size: float, mbps: float, rtt_ms: float, window: float) -> float:
    """Windows that leave a round trip before they are through, then the rate alone."""
    passed_ms = 0.0
    while size > window and window / (mbps * 125) < rtt_ms:
        size, passed_ms, window = size - window, passed_ms + rtt_ms, 2 * window
    return passed_ms + size / (mbps * 125) + rtt_ms / 2


def network(link: LinkProfile, usage: Usage) -> Net:
    rtt, first = link.rtt_ms, 14_600.0
    timeouts = math.floor(usage.gap_ms / max(2 * rtt, 200.0))
    sleeps = usage.gap_ms > link.tail_ms
    asleep_ms = link.promotion_ms if sleeps else 0.0

    def opened(mbps: float) -> float:
        return max(max(rtt * mbps * 125, first) * 0.5**timeouts, first)

    up_ms = asleep_ms + one_way(UP, link.uplink_mbps, rtt, opened(link.uplink_mbps))
    down_ms = one_way(DOWN, link.downlink_mbps, rtt, opened(link.downlink_mbps))
    fresh_ms = 2 * rtt + (link.promotion_ms if sleeps or usage.radio == "idle" else 0.0)
    fresh_ms += one_way(UP, link.uplink_mbps, rtt, first)
    fresh_ms += one_way(DOWN, link.downlink_mbps, rtt, first)
    waking_ms = link.promotion_ms if usage.radio == "idle" and not sleeps else 0.0
    return Net(up_ms, down_ms, fresh_ms - up_ms - down_ms, asleep_ms, waking_ms)


def radio_j(
    link: LinkProfile, busy_ms: float, *, idle: bool, requests: int, gap_ms: float, capped: bool
) -> float | None:
    if link.radio == "none":
        return 0.0
    row, limit = radios()[str(link.radio)], limits()[str(link.radio)]
    if row["tail_mw"] is None or row["promotion_mw"] is None:
        return None
    joules = sending_ms = 0.0
    for size, mbps, slope, reach in (
        (UP, link.uplink_mbps, row["uplink_mw_per_mbps"], limit.fitted_up_mbps),
        (DOWN, link.downlink_mbps, row["downlink_mw_per_mbps"], limit.fitted_down_mbps),
    ):
        power_mw = (slope or 0) * mbps + (row["base_mw"] or 0)
        if capped:
            at_end_mw = (slope or 0) * reach + (row["base_mw"] or 0)
            power_mw = min(power_mw, max(at_end_mw, limit.transfer_max_mw or 0.0))
        joules += power_mw * size * 8e-6 / mbps / 1e3
        sending_ms += size * 8e-3 / mbps
    promotions = idle + (requests - 1 if gap_ms > link.tail_ms else 0)
    joules += promotions * link.promotion_ms * row["promotion_mw"] / 1e6 / requests
    joules += max(busy_ms - sending_ms, 0.0) * row["tail_mw"] / 1e6
    tails_ms = link.tail_ms + (requests - 1) * min(gap_ms, link.tail_ms)
    return joules + tails_ms * row["tail_mw"] / 1e6 / requests


USAGES = [
    Usage("warm", "active", 100),
    Usage("warm", "idle", 1, capped=False),
    Usage("warm", "idle", 10, gap_ms=700.0),
    Usage("warm", "active", 3, gap_ms=20_000.0),
    Usage("fresh", "active", 3, gap_ms=20_000.0, capped=False),
    Usage("fresh", "idle", 10, gap_ms=700.0),
]


@pytest.mark.parametrize("name", links())
@pytest.mark.parametrize("whole", [False, True])
def test_a_row_is_what_its_formulas_say(name: str, whole: bool) -> None:
    link, screen_w = links()[name], SCREEN_W if whole else 0.0
    device_j = (2 * CORE_W * 400.0 + CORE_W * READING_MS + screen_w * DEVICE_MS) / 1e3
    for usage in USAGES:
        net, fresh = network(link, usage), usage.connection == "fresh"
        total_ms = net.up_ms + net.down_ms + QUEUE_MS + SERVER_MS + READING_MS
        counted_ms = total_ms + (net.connect_ms if fresh else 0.0)
        later_ms = total_ms - READING_MS - net.asleep_ms
        first_ms = later_ms + net.connect_ms - net.waking_ms
        alone = bool(net.asleep_ms) or usage.radio == "idle"
        run, single, first = (
            radio_j(link, busy_ms, idle=idle, requests=n, gap_ms=gap_ms, capped=usage.capped)
            for busy_ms, idle, n, gap_ms in (
                (first_ms if fresh else later_ms, usage.radio == "idle", usage.requests,
                 usage.gap_ms),
                (first_ms if fresh else later_ms, alone, 1, 0.0),
                (first_ms, alone, 1, 0.0),
            )
        )  # fmt: skip
        own_j, base_j = CORE_W * READING_MS / 1e3, screen_w * counted_ms / 1e3
        row = place(
            "net_v1_1", phone(whole_phone=whole), cloud(), link,
            Sent(payload_bytes=UP, reply_bytes=DOWN), usage=usage, utilisation=BUSY,
        )  # fmt: skip
        assert row.on_device is not None and row.cloud is not None
        found = {
            "time": row.time_ratio, "first": row.first_time_ratio, "queue": row.cloud.queue_ms,
            "device_j": row.on_device.energy_j, "run_j": row.cloud.energy_j,
            "single_j": row.cloud.single_energy_j, "first_j": row.cloud.first_energy_j,
        }  # fmt: skip
        first_base_j = own_j + screen_w * (total_ms + net.connect_ms) / 1e3
        expected = {
            "time": DEVICE_MS / counted_ms,
            "first": (DEVICE_MS + LOAD_MS) / (total_ms + net.connect_ms),
            "queue": QUEUE_MS,
            "device_j": device_j,
            "run_j": None if run is None else run + own_j + base_j,
            "single_j": None if single is None else single + own_j + base_j,
            "first_j": None if first is None else first + first_base_j,
        }
        for what, value in expected.items():
            assert found[what] == (value and pytest.approx(value, rel=1e-9)), what
