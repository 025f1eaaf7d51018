"""A placement in sentences, and what a decision is made of."""

from __future__ import annotations

import pytest
from machines import PHOTO, TENSOR, cloud, link, phone
from msgspec.structs import replace

from edgewise.placement.decide import decided, summed_cloud, summed_device
from edgewise.placement.model import place, table
from edgewise.placement.preprocess import costs
from edgewise.placement.sent import Sent
from edgewise.placement.wire import Usage
from edgewise.placement.words import verdict
from edgewise.records import CloudPhases, DevicePhases, Placement


def row(**more: object) -> Placement:
    """Loading is 71 % of the first answer on the device."""
    here = summed_device(
        DevicePhases(
            load_ms=710.0, preprocess_ms=10.0, inference_ms=270.0, postprocess_ms=10.0,
            energy_j=2.0, first_energy_j=4.0,
        )
    )  # fmt: skip
    there = summed_cloud(
        CloudPhases(
            preprocess_ms=5.0, encode_ms=5.0, connect_ms=100.0, upload_ms=250.0, queue_ms=0.0,
            inference_ms=20.0, download_ms=30.0, postprocess_ms=0.0, energy_j=1.0,
            first_energy_j=9.0, radio_j=0.9, compute_j=0.1,
        )
    )  # fmt: skip
    given = {
        "model": "net", "device": "phone", "server": "s", "link": "lte", "on_device": here,
        "cloud": there, "requests": 100,
    }  # fmt: skip
    return decided(Placement(**given | more))  # type: ignore[arg-type]


def test_sums_winners_and_ratios() -> None:
    found = row()
    assert (found.faster, found.first_faster, found.frugal) == ("device", "cloud", "cloud")
    assert found.time_ratio == pytest.approx(290 / 310)
    assert found.first_time_ratio == pytest.approx(1000 / 410)
    assert (found.energy_ratio, found.first_energy_ratio) == (2.0, pytest.approx(4 / 9))


def test_a_missing_phase_leaves_the_sum_and_the_winner_open() -> None:
    here = summed_device(DevicePhases(preprocess_ms=1.0, inference_ms=2.0))
    assert here.total_ms is here.first_total_ms is None
    found = row(on_device=here)
    assert found.faster is found.time_ratio is None
    assert "what the device takes is not known" in found.verdict[0]


def test_a_row_without_numbers_says_nothing() -> None:
    gone = Placement(model="n", device="d", server="s", link="l", reason="the server is dead")
    assert verdict(gone) == () and decided(gone).faster is None


def test_the_verdict_names_winner_bottlenecks_and_what_turns_it() -> None:
    text = " ".join(row().verdict)
    assert "The device is faster: 1.07 times as fast (290 ms on phone, 310 ms over lte" in text
    assert "On the device inference is 93% of an answer." in text
    assert "In the cloud's way the upload is 81% of an answer." in text
    assert "1.0 s on the device (loading is 71% of it)" in text
    assert "410 ms from the cloud (the upload is 61% of it): there the cloud is faster." in text
    assert "The cloud spares the battery: an answer of 100 in a row takes 2 J" in text
    assert "1 J over lte, 90% of it for the radio." in text
    assert "A first answer by itself turns that round: 4 J on the device, 9 J over lte" in text


def test_in_sum_the_later_winner_overtakes_where_it_says() -> None:
    """590 ms behind after the first answer, 20 ms gained with each later one."""
    assert "In sum the device is ahead from answer 31 on." in row().verdict
    here, there = row().on_device, row().cloud
    assert here is not None and there is not None
    for answers, ahead in ((30, False), (31, True)):
        device_ms = here.first_total_ms + (answers - 1) * here.total_ms
        cloud_ms = there.first_total_ms + (answers - 1) * there.total_ms
        assert (device_ms < cloud_ms) is ahead


def test_break_even_is_told_or_why_there_is_none() -> None:
    told = place("net_v1_1", phone(), cloud(), link(), TENSOR)
    sentence = next(text for text in told.verdict if "all else as it is" in text)
    assert f"{told.break_even.uplink_mbps:.3g} Mbps" in sentence
    none = place("net_v1_1", phone(), cloud(500.0), link(), TENSOR)
    assert any(text.startswith("Neither uplink nor round trip") for text in none.verdict)


def test_flips_name_links_devices_and_servers() -> None:
    """The new phone takes 42 ms: less than any link. The old server takes as long as the phone."""
    (known,) = phone().profiles
    quick = phone(name="new phone", costs=costs(0.1), profiles=[replace(known, mean_ms=4.0)])
    rows = table(
        [phone(), quick], [cloud(), cloud(390.0, name="old")], [link("wifi"), link("3g")], TENSOR
    )
    said = {(one.device, one.server, one.link): one for one in rows}
    slow = said["phone", "server", "wifi"]
    assert slow.faster == "cloud"
    assert slow.verdict[-3:] == (
        "Over 3g the device is faster.",
        "On new phone the device is faster.",
        "Against old the device is faster.",
    )
    fast = said["new phone", "server", "wifi"]
    assert fast.faster == "device" and fast.verdict[-1] == "On phone the cloud is faster."


def test_rows_of_different_usages_are_not_compared() -> None:
    rows = table(
        [phone()], [cloud(290.0)], [link("wifi")], Sent(payload_bytes=1e6),
        usages=[Usage(), Usage("fresh")],
    )  # fmt: skip
    assert [row.faster for row in rows] == ["cloud", "device"]
    assert not any("Over wifi the" in text for row in rows for text in row.verdict)


@pytest.mark.parametrize(
    ("over", "words"),
    [("3g", "Resize the photo on the device"), ("ethernet", "Send the original photo")],
)
def test_who_prepares_the_photo_is_part_of_the_verdict(over: str, words: str) -> None:
    row = place("net_v1_1", phone(), cloud(), link(over), PHOTO)
    assert any(words in text for text in row.verdict)


@pytest.mark.parametrize(
    ("device_ms", "words"),
    [(0.0004, "0.4 µs on phone"), (0.28, "280 µs on phone"), (9.96, "10 ms on phone"),
     (280.4, "280 ms on phone"), (1234.0, "1.2 s on phone"), (123_456.0, "123 s on phone")],
)  # fmt: skip
def test_times_are_told_without_powers_of_ten(device_ms: float, words: str) -> None:
    here = summed_device(
        DevicePhases(preprocess_ms=0.0, inference_ms=device_ms, postprocess_ms=0.0)
    )
    assert words in row(on_device=here).verdict[0]


@pytest.mark.parametrize(
    ("joules", "words"),
    [(0.0, "nothing on"), (3e-5, "30 µJ on"), (0.0996, "100 mJ on"), (123.4, "123 J on")],
)
def test_energies_are_told_without_powers_of_ten(joules: float, words: str) -> None:
    here = summed_device(
        DevicePhases(preprocess_ms=1.0, inference_ms=1.0, postprocess_ms=1.0, energy_j=joules)
    )
    assert any(words in sentence for sentence in row(on_device=here).verdict)
