"""The computed comparison: sums, first and later answers, energy, methods, tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from machines import PHOTO, TENSOR, cloud, link, phone

from edgewise.energy.power import power
from edgewise.energy.radio import radio_of, transfer_energy
from edgewise.errors import InputError, UsageError
from edgewise.network.catalogue import links
from edgewise.network.link import Connection, path
from edgewise.placement.model import place, queue_ms, table
from edgewise.placement.sent import Sent
from edgewise.placement.sides import Machine, machine
from edgewise.placement.wire import Usage
from edgewise.records import (
    CloudPhases,
    DevicePhases,
    Distribution,
    Energy,
    Measurement,
    Model,
    Placement,
    Port,
    Profile,
    Target,
)
from edgewise.store import Store

ALL = [
    Usage(connection, radio, gap_ms=gap)
    for connection in ("warm", "fresh")
    for radio in ("active", "idle")
    for gap in (0.0, 60_000.0)
]


def halves(row: Placement) -> tuple[DevicePhases, CloudPhases]:
    assert row.on_device is not None and row.cloud is not None
    return row.on_device, row.cloud


@pytest.mark.parametrize("usage", ALL)
@pytest.mark.parametrize("sent", [PHOTO, TENSOR])
def test_phases_sum_to_the_totals(usage: Usage, sent: Sent) -> None:
    for row in table(
        [phone()], [cloud()], list(links().values()), sent, usages=[usage], utilisation=0.3
    ):
        here, there = halves(row)
        assert here.total_ms == here.preprocess_ms + here.inference_ms + here.postprocess_ms
        assert here.first_total_ms == here.total_ms + here.load_ms
        assert there.total_ms == sum([
            there.preprocess_ms, there.encode_ms, there.upload_ms, there.queue_ms,
            there.inference_ms, there.download_ms, there.postprocess_ms,
        ])  # fmt: skip
        assert there.first_total_ms == there.total_ms + there.connect_ms
        assert min(there.connect_ms, there.slow_start_ms, there.upload_ms) >= 0


@pytest.mark.parametrize("usage", ALL)
def test_the_network_is_that_of_the_link(usage: Usage) -> None:
    still = link("lte", jitter_ms=0.0)
    _, there = halves(place("net_v1_1", phone(), cloud(), still, TENSOR, usage=usage))
    slept = 1e9 if usage.radio == "idle" or usage.gap_ms else 0.0
    rng = np.random.default_rng(0)
    later = path(still, 1e5, 1e3, Connection("warm", usage.gap_ms)).transfers(1, rng)
    first = path(still, 1e5, 1e3, Connection("fresh", slept)).transfers(1, rng)
    assert there.upload_ms == pytest.approx(later.upload_ms[0])
    assert there.download_ms == pytest.approx(later.download_ms[0])
    network_ms = there.upload_ms + there.download_ms + there.connect_ms
    assert network_ms == pytest.approx(first.upload_ms[0] + first.download_ms[0])


def test_the_worked_example_of_the_rules() -> None:
    """100 kB at 20 Mbps and 60 ms: 100 ms by bandwidth and half the way there and back."""
    known = link("wifi", uplink_mbps=20, downlink_mbps=1e6, rtt_ms=60, jitter_ms=0)
    sent = Sent(payload_bytes=100_000, reply_bytes=0)
    _, there = halves(place("net_v1_1", phone(), cloud(), known, sent))
    assert there.upload_ms + there.download_ms == pytest.approx(100)
    assert there.upload_ms + there.download_ms + there.connect_ms == pytest.approx(322, abs=1)
    assert there.connect_ms == pytest.approx(120 + there.slow_start_ms)


def test_only_the_first_request_wakes_a_radio_unless_all_do() -> None:
    def lte(**usage: object) -> CloudPhases:
        return halves(
            place("net_v1_1", phone(), cloud(), link(), TENSOR, usage=Usage(**usage))  # type: ignore[arg-type]
        )[1]

    awake, first, all_ = lte(), lte(radio="idle"), lte(gap_ms=60_000.0)
    assert awake.promotion_ms == 0
    assert first.connect_ms == pytest.approx(awake.connect_ms + 260)
    assert first.upload_ms == awake.upload_ms
    assert all_.upload_ms > awake.upload_ms + 260 and all_.promotion_ms == 260


def test_a_fresh_row_counts_the_connection() -> None:
    warm = place("net_v1_1", phone(), cloud(), link(), TENSOR)
    fresh = place("net_v1_1", phone(), cloud(), link(), TENSOR, usage=Usage("fresh"))
    here, there = halves(warm)
    assert warm.time_ratio == pytest.approx(here.total_ms / there.total_ms)
    assert fresh.time_ratio == pytest.approx(here.total_ms / there.first_total_ms)
    assert warm.first_time_ratio == fresh.first_time_ratio


def test_the_devices_energy_by_hand() -> None:
    here, _ = halves(place("net_v1_1", phone(), cloud(), link(), PHOTO))
    alone_s = (here.preprocess_ms + here.postprocess_ms) / 1000
    assert here.energy_j == pytest.approx(1.468 * alone_s + 2 * 1.468 * 0.4)
    assert here.first_energy_j == pytest.approx(here.energy_j + 1.468 * 0.9)


def test_the_clouds_energy_is_radio_and_own_work() -> None:
    _, there = halves(place("net_v1_1", phone(), cloud(), link(), TENSOR))
    radio = radio_of(link())
    assert radio is not None
    sizes = {
        "payload_bytes": 1e5, "reply_bytes": 1e3, "uplink_mbps": 6.0, "downlink_mbps": 13.0,
    }  # fmt: skip
    busy_ms = there.upload_ms + there.download_ms + 10.0
    shared = transfer_energy(radio, **sizes, busy_ms=busy_ms, state="active", requests=100)
    alone = transfer_energy(radio, **sizes, busy_ms=busy_ms + there.connect_ms, state="active")
    assert there.radio_j == pytest.approx(shared.total_j)
    assert there.compute_j == pytest.approx(1.468 * there.postprocess_ms / 1000)
    assert there.energy_j == there.radio_j + there.compute_j
    assert there.first_energy_j == pytest.approx(alone.total_j + there.compute_j)


def test_what_is_not_known_is_none_and_said() -> None:
    plain = Profile(model="net_v1_1.0", accuracy=1.0, mean_ms=400.0, std_ms=0.0)
    row = place("net_v1_1", phone(profiles=[plain], power=None), cloud(), link(), TENSOR)
    here, there = halves(row)
    assert here.load_ms is here.first_total_ms is here.energy_j is there.energy_j is None
    assert row.faster == "cloud" and row.frugal is None and row.first_faster is None
    assert "on_device.energy_j" not in row.methods and "on_device.load_ms" not in row.methods
    assert any("no power model" in note for note in row.notes)
    assert any("what loading takes" in note for note in row.notes)
    unknown = place("net_v1_1", phone(), cloud(), link("5g-mmwave"), TENSOR)
    assert unknown.frugal is None and any("tail_mw" in note for note in unknown.notes)


def test_every_value_says_how_it_came_about() -> None:
    row = place("net_v1_1", phone(), cloud(), link(), PHOTO)
    assert row.methods["on_device.inference_ms"] == "profile"
    assert row.methods["cloud.inference_ms"] == "published"
    assert row.methods["cloud.upload_ms"] == row.methods["cloud.energy_j"] == "model"
    here, there = halves(row)
    for side, phases in (("on_device", here), ("cloud", there)):
        for name in ("preprocess_ms", "inference_ms", "postprocess_ms", "energy_j"):
            assert getattr(phases, name) is not None and f"{side}.{name}" in row.methods


def test_the_queue_by_pollaczek_and_khinchine() -> None:
    assert queue_ms(10.0, 0.0, 0.5) == pytest.approx(5.0)  # constant service: half of M/M/1's
    assert queue_ms(10.0, 10.0, 0.5) == pytest.approx(10.0)  # exponential: M/M/1
    assert queue_ms(10.0, 3.0, 0.0) == 0.0
    _, busy = halves(place("net_v1_1", phone(), cloud(), link(), TENSOR, utilisation=0.8))
    assert busy.queue_ms == pytest.approx(queue_ms(10.0, 1.0, 0.8))
    with pytest.raises(UsageError, match="below 1"):
        place("net_v1_1", phone(), cloud(), link(), TENSOR, utilisation=1.0)


def test_a_table_of_published_profiles() -> None:
    over = [links()[name] for name in ("wifi", "lte", "3g")]
    rows = table([machine("pixel3")], [machine("p2"), machine("c5")], over, PHOTO)
    assert len(rows) == 16 * 2 * 3
    by_key = {(row.model, row.server, row.link): row for row in rows}
    slow, fast = by_key["nasnet_large", "p2", "wifi"], by_key["mobilenet_v1_0.25_128", "c5", "3g"]
    assert (slow.faster, fast.faster) == ("cloud", "device")
    assert slow.on_device is not None and slow.on_device.inference_ms == 1170
    one = place("nasnet_large", machine("pixel3"), machine("p2"), over[0], PHOTO)
    assert (one.on_device, one.cloud) == (slow.on_device, slow.cloud)
    assert one.break_even.uplink_mbps == pytest.approx(slow.break_even.uplink_mbps)


def test_models_are_matched_by_their_names_or_by_hand() -> None:
    rows = table([phone()], [cloud()], [link()], TENSOR, models=["net v1 1=NET_V1_1.00"])
    assert [row.model for row in rows] == ["net v1 1=NET_V1_1.00"]
    with pytest.raises(UsageError, match=r"Net_V1_1\.0"):
        table([phone()], [cloud()], [link()], TENSOR, models=["other"])
    stranger = Machine("s", [Profile(model="x", accuracy=1.0, mean_ms=1.0, std_ms=0.0)])
    with pytest.raises(InputError, match="no model in common"):
        table([phone()], [stranger], [link()], TENSOR)


def test_a_store_of_measurements_needs_no_accuracies(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "mine"), create=True)
    for name, ms in (("models/net_v1_1.tflite", 40.0), ("models/other.tflite", 7.0)):
        store.append(
            Measurement(
                model=name, sha256=None, target=Target(threads=2),
                load_ms=Distribution(n=10, mean=90.0), first_ms=Distribution(n=10, mean=60.0),
                latency_ms=Distribution(n=10, mean=ms, std=1.0),
            )
        )  # fmt: skip
    here = machine(store.url, power_model="pixel-3")
    row = place("net_v1_1", here, cloud(), link(), TENSOR)
    on_device, _ = halves(row)
    assert (row.device, here.threads, here.costs.slowdown) == ("mine", 2, 2.0)
    assert on_device.inference_ms == 40 and on_device.load_ms == 110
    assert row.methods["on_device.load_ms"] == "profile"


def test_a_store_knows_what_its_models_take(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "mine"), create=True)
    for name, shape in (("net_v1_1", (1, 96, 64, 3)), ("other", (3, 32, 48)), ("odd", (1, 9))):
        sha256 = name.encode().hex().ljust(64, "0")
        port = Port(name="x", shape=shape, dtype="float32")
        store.append(
            Model(path=f"app.apk!/{name}.tflite", format="tflite", sha256=sha256, size_bytes=1,
                  status="parsed", inputs=(port,))
        )  # fmt: skip
        store.append(
            Measurement(model=f"app.apk!/{name}.tflite", sha256=sha256, target=Target(),
                        latency_ms=Distribution(n=10, mean=5.0))
        )  # fmt: skip
    here = machine(store.url)
    assert [here.input_sizes.get(one.sha256 or "") for one in here.profiles] == [
        (96, 64), (32, 48), None
    ]  # fmt: skip
    assumed = replace(PHOTO, size_assumed=True)
    (of_store, said), (by_hand, _), (stated, _) = (
        (halves(row)[0], row.notes)
        for row in (
            place("net_v1_1", here, cloud(), link(), assumed),
            place("net_v1_1", here, cloud(), link(), replace(PHOTO, input_size=(96, 64))),
            place("net_v1_1", here, cloud(), link(), PHOTO),
        )
    )
    assert of_store == by_hand != stated
    assert not any("--input-size" in note for note in said)
    other = place("odd=net_v1_1", here, cloud(), link(), assumed)
    assert any("input of 224 × 224" in note for note in other.notes)


def test_joules_of_a_store_count_before_declared_ones(tmp_path: Path) -> None:
    """40 ms at 5 W are 200 mJ gross; of 1 W that it takes anyway, 160 mJ are left."""
    store = Store.open(str(tmp_path / "mine"), create=True)
    store.append(
        Measurement(
            model="net_v1_1.tflite", sha256="ab" * 32, target=Target(device="phone", threads=2),
            load_ms=Distribution(n=10, mean=90.0), first_ms=Distribution(n=10, mean=60.0),
            latency_ms=Distribution(n=10, mean=40.0, std=1.0),
            energy=Energy(inference_j=0.2, mean_w=5.0, idle_w=1.0, method="a wall meter"),
        )
    )  # fmt: skip
    row = place("net_v1_1", machine(store.url), cloud(), link(), PHOTO)
    here, there = halves(row)
    others_ms = (here.total_ms or 0) - 40
    assert here.energy_j == pytest.approx(0.16 + 4.0 * others_ms / 1e3)
    assert here.first_energy_j == pytest.approx(here.energy_j + 4.0 * 0.110)
    assert there.compute_j is not None and there.energy_j is not None
    assert row.methods["on_device.energy_j"] == "profile"
    assert row.methods["cloud.energy_j"] == "model"
    assert any("metered on mine (a wall meter), above idle" in note for note in row.notes)
    declared = place("net_v1_1", machine(store.url, power_model="nexus-5"), cloud(), link(), TENSOR)
    with_power, _ = halves(declared)
    others_ms = (with_power.total_ms or 0) - 40
    assert with_power.energy_j == pytest.approx(0.16 + 1.468 * others_ms / 1e3)


@pytest.mark.parametrize(
    "wrong",
    [{}, {"photo": PHOTO.photo, "payload_bytes": 1.0}, {"payload_bytes": -1.0},
     {"payload_bytes": 1.0, "reply_bytes": -1.0}, {"payload_bytes": 1.0, "input_size": (0, 1)}],
)  # fmt: skip
def test_half_given_requests_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Sent(**wrong)  # type: ignore[arg-type]


@pytest.mark.corpus
def test_recorded_samples_bring_their_loading_time(reference_data: object) -> None:
    source = f"{reference_data}/phone_inference.csv.gz"
    recorded = machine(source, name="android", power_model="nexus-5")
    row = place("inception_v3", recorded, machine("p2"), link("wifi"), PHOTO)
    here, _ = halves(row)
    assert here.load_ms == pytest.approx(693.6, abs=0.1)
    assert here.inference_ms == pytest.approx(816.1, abs=0.1)
    assert any("loading" in text or "first answer" in text.lower() for text in row.verdict)


def test_a_link_of_an_unknown_radio_gets_no_energy_verdict_and_a_wired_one_does() -> None:
    """Nobody said what it is: 12 J by LTE's row must not become the 5 mJ of no radio."""
    rows = [
        place("net_v1_1", phone(), cloud(), link("lte", radio=radio), TENSOR)
        for radio in ("lte-2012", None, "none")
    ]
    known, unknown, wired = rows
    assert known.frugal is not None and wired.frugal == "cloud"
    assert unknown.frugal is unknown.energy_ratio is unknown.first_energy_ratio is None
    assert unknown.cloud and unknown.cloud.energy_j is unknown.cloud.radio_j is None
    assert any("which radio lte has is not known" in note for note in unknown.notes)
    assert unknown.faster == known.faster and unknown.on_device == known.on_device


def test_one_request_over_lte_and_a_run_of_them_are_both_told() -> None:
    """One tail of 12 J outweighs an inference of 1.2 J; a hundredth of it does not."""
    of = (phone(), cloud(), link(), TENSOR)
    run = place("net_v1_1", *of)
    one = place("net_v1_1", *of, usage=Usage(requests=1))
    assert (run.frugal, run.single_frugal, one.frugal) == ("cloud", "device", "device")
    assert run.single_energy_ratio == pytest.approx(one.energy_ratio)
    said = [text for text in run.verdict if "Of one request alone the device spares it" in text]
    assert len(said) == 1 and "Of one request alone" not in " ".join(one.verdict)


def test_the_whole_phone_counts_over_the_whole_answer_of_both_ways() -> None:
    """0.775 W more while each way answers, loading and connecting with it."""
    plain = place("net_v1_1", phone(), cloud(), link(), PHOTO)
    whole = place("net_v1_1", phone(whole_phone=True), cloud(), link(), PHOTO)
    fresh = place("net_v1_1", phone(whole_phone=True), cloud(), link(), PHOTO, usage=Usage("fresh"))
    (here, there), (base_here, base_there) = halves(whole), halves(plain)
    for mine, base in ((here, base_here), (there, base_there)):
        assert mine.energy_j == pytest.approx(base.energy_j + 0.775 * mine.total_ms / 1e3)
        first_j = base.first_energy_j + 0.775 * mine.first_total_ms / 1e3
        assert mine.first_energy_j == pytest.approx(first_j)
    assert there.base_j == pytest.approx(0.775 * there.total_ms / 1e3) and base_there.base_j is None
    assert there.energy_j == pytest.approx(there.radio_j + there.compute_j + there.base_j)
    assert halves(fresh)[1].base_j == pytest.approx(0.775 * there.first_total_ms / 1e3)
    assert "whole phone: 0.78 W of base and screen" in whole.notes[0]
    assert "screen" in plain.notes[0] and "left out" in plain.notes[0]


def test_the_whole_phone_of_nobodys_declaring_is_refused() -> None:
    with pytest.raises(UsageError, match="what server-haswell takes"):
        place(
            "net_v1_1", phone(whole_phone=True, power=power("server-haswell")), cloud(), link(),
            PHOTO,
        )  # fmt: skip
