"""The radio's energy, recomputed by hand from the table's rows."""

from __future__ import annotations

import pytest

from edgewise.energy.radio import NO_RADIO, limits, radio, radio_of, transfer_energy
from edgewise.errors import UsageError
from edgewise.network.catalogue import links, radios

#: 100 kB up and 1 kB down over LTE of 2012, as Huang et al. measured it.
LTE = {
    "payload_bytes": 100_000, "reply_bytes": 1_000, "uplink_mbps": 6.0, "downlink_mbps": 13.0,
}  # fmt: skip
PROMOTION_J = 0.260 * 1.210
#: 0.8 Mbit at 6 Mbps and 0.008 Mbit at 13 Mbps, at slope · rate + base.
UP_S, DOWN_S = 0.8 / 6, 0.008 / 13
TRANSFER_J = UP_S * (0.43839 * 6 + 1.288) + DOWN_S * (0.05197 * 13 + 1.288)
TAIL_J = 11.6 * 1.060


def test_a_lone_transfer_over_an_idle_lte_radio_by_hand() -> None:
    busy_ms = 1000 * (UP_S + DOWN_S) + 166.0
    found = transfer_energy(radio("lte-2012"), **LTE, busy_ms=busy_ms)
    assert found.promotion_j == pytest.approx(PROMOTION_J)
    assert found.transfer_j == pytest.approx(TRANSFER_J)
    assert found.waiting_j == pytest.approx(0.166 * 1.060)
    assert found.tail_j == pytest.approx(TAIL_J)
    assert found.total_j == pytest.approx(PROMOTION_J + TRANSFER_J + 0.166 * 1.060 + TAIL_J)


@pytest.mark.parametrize(
    ("name", "promotion_j", "per_mbit_j", "base_w", "tail_j"),
    [
        ("3g-2012", 0.582 * 0.659, 0.86898, 0.818, 8.1 * 0.804),
        ("wifi-2012", 0.079 * 0.124, 0.28317, 0.133, 0.238 * 0.119),
    ],
)
def test_the_other_radios_by_hand(
    name: str, promotion_j: float, per_mbit_j: float, base_w: float, tail_j: float
) -> None:
    found = transfer_energy(
        radio(name), payload_bytes=250_000, reply_bytes=0, uplink_mbps=2.0, downlink_mbps=1.0,
        busy_ms=1000.0,
    )  # fmt: skip
    by_hand = promotion_j + 2 * per_mbit_j + 1.0 * base_w + tail_j
    assert found.total_j == pytest.approx(by_hand)


@pytest.mark.parametrize("uplink_mbps", [4.0, 100.0])
def test_energies_follow_the_row_unless_capped(uplink_mbps: float) -> None:
    """The row reaches the maker's 1.295 W (350 mA at 3.7 V) at 4.1 Mbps."""
    by_row_w = 0.28317 * uplink_mbps + 0.133
    for capped, power_w in ((False, by_row_w), (True, min(by_row_w, 0.350 * 3.7))):
        found = transfer_energy(
            radio("wifi-2012"), payload_bytes=500_000, reply_bytes=0, uplink_mbps=uplink_mbps,
            downlink_mbps=150.0, busy_ms=0.0, capped=capped,
        )  # fmt: skip
        assert found.transfer_j == pytest.approx(4.0 / uplink_mbps * power_w)


@pytest.mark.parametrize(
    ("name", "up_mbps", "sending_w", "down_mbps", "receiving_w"),
    [
        # Within its range the row itself, beyond it what it says at the end of that.
        ("lte-2012", 6.0, 0.43839 * 6 + 1.288, 13.0, 0.05197 * 13 + 1.288),
        ("lte-2012", 50.0, 0.43839 * 6 + 1.288, 100.0, 0.05197 * 13 + 1.288),
        ("3g-2012", 0.7, 0.86898 * 0.7 + 0.818, 1.5, 0.12212 * 1.5 + 0.818),
        ("3g-2012", 20.0, 0.86898 * 2 + 0.818, 40.0, 0.12212 * 4 + 0.818),
        # What a maker states, where that is more.
        ("wifi-2012", 900.0, 1.295, 900.0, 1.295),
    ],
)
def test_beyond_its_range_no_row_goes_on(
    name: str, up_mbps: float, sending_w: float, down_mbps: float, receiving_w: float
) -> None:
    found = transfer_energy(
        radio(name), payload_bytes=500_000, reply_bytes=250_000, uplink_mbps=up_mbps,
        downlink_mbps=down_mbps, busy_ms=0.0,
    )  # fmt: skip
    assert found.transfer_j == pytest.approx(4 / up_mbps * sending_w + 2 / down_mbps * receiving_w)


def test_every_row_says_how_far_it_reaches_and_why() -> None:
    assert set(limits()) == set(radios())
    assert all(each.source and each.fitted_up_mbps > 0 for each in limits().values())


def test_links_are_within_the_range_of_their_row_but_for_wifi() -> None:
    for link in links().values():
        of = radio_of(link)
        if of is None or of.name == "wifi-2012":
            continue
        assert of.sending_mw(link.uplink_mbps) == of.sending_mw(link.uplink_mbps, capped=False)
        down = link.downlink_mbps
        assert of.receiving_mw(down) == of.receiving_mw(down, capped=False)


def test_requests_in_a_row_share_promotion_and_tail() -> None:
    lte = radio("lte-2012")
    alone = transfer_energy(lte, **LTE, busy_ms=200)
    ten = transfer_energy(lte, **LTE, busy_ms=200, requests=10, gap_ms=2_000)
    assert ten.promotion_j == pytest.approx(PROMOTION_J / 10)
    assert ten.tail_j == pytest.approx((9 * 2.0 * 1.060 + TAIL_J) / 10)
    assert ten.transfer_j == alone.transfer_j


def test_requests_farther_apart_than_the_tail_share_nothing() -> None:
    lte = radio("lte-2012")
    alone = transfer_energy(lte, **LTE, busy_ms=200)
    assert transfer_energy(lte, **LTE, busy_ms=200, requests=10, gap_ms=60_000) == pytest.approx(
        alone
    )


def test_a_radio_that_is_awake_needs_no_promotion() -> None:
    found = transfer_energy(radio("lte-2012"), **LTE, busy_ms=200, state="active")
    assert found.promotion_j == 0.0


def test_what_the_table_does_not_know_stays_unknown() -> None:
    found = transfer_energy(radio("4g-2021"), **LTE, busy_ms=200)
    assert found.tail_j is None and found.total_j is None
    assert found.transfer_j == pytest.approx(0.8 * 0.0767 + 0.008 * 0.0115 + 2.84 * (UP_S + DOWN_S))
    assert radio("4g-2021").missing() == ("promotion_ms", "promotion_mw", "tail_ms", "tail_mw")


def test_a_link_fills_the_times_that_its_radio_lacks() -> None:
    found = radio_of(links()["5g-mmwave"])
    assert found is not None and found.promotion_ms == 260 and found.tail_mw is None
    assert radio_of(links()["ethernet"]) is None and NO_RADIO.total_j == 0


@pytest.mark.parametrize("wrong", [{"requests": 0}, {"gap_ms": -1}, {"uplink_mbps": 0}])
def test_settings_that_are_none_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        transfer_energy(radio("lte-2012"), **(LTE | {"busy_ms": 200} | wrong))  # type: ignore[arg-type]


def test_an_unknown_radio_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match="lte-2012"):
        radio("6g")
