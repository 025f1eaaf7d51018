"""Both ways measured, with real models, a real service, and things that go wrong."""

from __future__ import annotations

import math
import shutil
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fake_server
import pytest
from comparisons import fake, wanted
from fake_server import Fake

from edgewise import sandbox
from edgewise.errors import DeviceError, InputError, UsageError
from edgewise.network.shaper import Shaper
from edgewise.placement import device, photos
from edgewise.placement.compare import measured
from edgewise.placement.process import Device, Job, Report
from edgewise.placement.server import Wanted
from edgewise.records import Placement

for peer in ("ai_edge_litert", "PIL", "httptools", "uvicorn"):
    pytest.importorskip(peer, reason="a comparison runs a model and a service")

#: Without jitter, so that what a test expects is certain.
LINKS = """
[[link]]
name = "near"
uplink_mbps = 50
downlink_mbps = 50
rtt_ms = 4

[[link]]
name = "far"
uplink_mbps = 4
downlink_mbps = 8
rtt_ms = 40
promotion_ms = 100
tail_ms = 5000
radio = "lte-2012"
"""


@pytest.fixture
def lines(tmp_path: Path) -> Callable[[str], str]:
    file = tmp_path / "links.toml"
    file.write_text(LINKS)
    return lambda name: f"{file}:{name}"


#: A few requests, which other work on this machine may disturb, are made again.
ATTEMPTS = 5


def device_sum(row: Placement) -> float:
    here = row.on_device
    assert here is not None
    return sum((here.preprocess_ms or 0, here.inference_ms or 0, here.postprocess_ms or 0))


def cloud_sum(row: Placement) -> float:
    names = ("preprocess", "encode", "upload", "queue", "inference", "download", "postprocess")
    return sum(getattr(row.cloud, f"{name}_ms") or 0.0 for name in names)


def test_both_ways_end_to_end(digits: Path, lines: Callable[[str], str]) -> None:
    of = wanted(digits, links=(lines("far"), "direct"), power="pixel-3")
    for _ in range(ATTEMPTS):
        rows = list(measured(of))
        # The handshakes of the link, which nothing can undercut, are in the difference of means.
        if rows[1].cloud is not None and (rows[1].cloud.connect_ms or 0) > 2 * 40 - 5:
            break
    else:
        pytest.fail("two round trips of 40 ms are in no connecting")
    assert [(row.link, row.connection) for row in rows] == [
        ("far", "fresh"), ("far", "warm"), ("direct", "fresh"), ("direct", "warm")
    ]  # fmt: skip
    for row in rows:
        assert row.reason is None
        assert row.on_device is not None
        assert row.cloud is not None
        assert device_sum(row) == pytest.approx(row.on_device.total_ms, rel=0.01)
        assert cloud_sum(row) == pytest.approx(row.cloud.total_ms, rel=0.01)
        assert row.on_device.first_total_ms == pytest.approx(
            (row.on_device.load_ms or 0) + (row.on_device.total_ms or 0)
        )
        assert row.cloud.queue_ms is not None, row.notes  # the server's word fitted
        assert not any("answer differently" in note for note in row.notes)
        assert row.distributions["cloud.total_ms"].n == 3
        assert row.distributions["on_device.load_ms"].n == 2
        assert row.methods["on_device.inference_ms"] == "measured"
        assert row.methods["cloud.upload_ms"] == "measured"
        assert row.methods["on_device.energy_j"] == "model"
        assert row.faster == "device"
        assert row.verdict
        assert row.sha256
    far, direct = rows[1], rows[3]
    assert far.cloud is not None
    assert direct.cloud is not None
    # The round trip of the link, which nothing can undercut.
    assert (far.cloud.total_ms or 0) > 40
    assert far.cloud.energy_j is not None
    assert far.methods["break_even"] == "model"
    assert direct.cloud.energy_j is None
    assert any("link is not known" in note for note in direct.notes)


def test_a_radio_that_slept_is_woken_first(digits: Path, lines: Callable[[str], str]) -> None:
    common: dict[str, Any] = {
        "links": (lines("far"),), "requests": 1, "processes": 1, "connections": ("fresh",),
        "prepared_by": "cloud",
    }  # fmt: skip
    for _ in range(ATTEMPTS):
        (awake,) = measured(wanted(digits, **common))
        (slept,) = measured(wanted(digits, radio="idle", **common))
        assert awake.reason is slept.reason is None
        assert awake.cloud is not None
        assert slept.cloud is not None
        assert slept.cloud.promotion_ms == 100
        if (slept.cloud.connect_ms or 0) > (awake.cloud.connect_ms or 0) + 50:
            break
    else:
        pytest.fail("a promotion of 100 ms is in no connecting")
    assert any("tail is shortened" in note for note in slept.notes)


def test_a_family_and_a_file_in_a_package(digits: Path, tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "app.apk", "w") as package:
        package.write(digits / "digits-xs.tflite", "assets/m.tflite")
    family = tmp_path / "family.toml"
    text = (digits / "family.toml").read_text()
    head, first, second, *_ = text.split("[[variant]]")
    family.write_text(f"{head}[[variant]]{first}[[variant]]{second}")
    for name in ("labels.txt", "digits-xxs.tflite", "digits-xs.tflite"):
        shutil.copy(digits / name, tmp_path)
    server = Fake()
    with fake_server.running(server):
        of = fake(
            digits, server, models=(f"{tmp_path}/app.apk!/assets/m.tflite", str(family)),
            connections=("warm",), links=("direct",),
        )  # fmt: skip
        rows = list(measured(of))
    assert [Path(row.model).name for row in rows] == [
        "m.tflite", "digits-xxs.tflite", "digits-xs.tflite"
    ]  # fmt: skip
    assert [row.family for row in rows] == [None, "digits", "digits"]
    assert all(row.cloud is not None and row.on_device is not None for row in rows)


def test_a_server_of_somebody_else_that_takes_tensors(digits: Path) -> None:
    server = Fake(takes=({"name": "in", "datatype": "FP32", "shape": [1, 16, 16, 1]},))
    with fake_server.running(server):
        rows = list(measured(fake(digits, server, connections=("warm",))))
    (row,) = rows
    assert row.reason is None
    assert row.where_to_preprocess == "device"
    assert b'"name":"in"' in server.asked[0]
    assert row.cloud is not None
    assert row.cloud.queue_ms is None
    assert cloud_sum(row) == pytest.approx(row.cloud.total_ms)
    assert any("does not say how long" in note for note in row.notes)
    assert any("answer differently" in note for note in row.notes)  # it always says 1


@pytest.mark.parametrize("name", ["edgewise", "triton"])
def test_a_variant_of_edgewise_takes_photos_although_it_states_tensors(
    digits: Path, name: str
) -> None:
    server = Fake(name, takes=({"name": "in", "datatype": "FP32", "shape": [1, 16, 16, 1]},))
    with fake_server.running(server):
        (row,) = measured(fake(digits, server, connections=("warm",), prepared_by="cloud"))
    assert row.reason is None
    assert row.where_to_preprocess == ("cloud" if name == "edgewise" else "device")
    assert (b"PNG" in server.asked[-1] or b"BYTES" in server.asked[-1]) == (name == "edgewise")
    assert any("takes tensors, no images" in note for note in row.notes) == (name == "triton")


def test_tls_is_spoken_through_the_link(
    digits: Path, tmp_path: Path, lines: Callable[[str], str]
) -> None:
    authority = pytest.importorskip("trustme", reason="makes the certificate").CA()
    tls, trusted = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tmp_path / "ca.pem"
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(trusted))
    server = Fake()
    with fake_server.running(server, tls):
        common: dict[str, Any] = {"links": (lines("far"),), "processes": 1, "prepared_by": "cloud"}
        for _ in range(ATTEMPTS):
            known = wanted(digits, server=Wanted(server.url, "m", ca=trusted), **common)
            fresh, warm = measured(known)
            assert fresh.reason is warm.reason is None
            assert warm.cloud is not None and warm.cloud.connect_ms is not None
            # TCP's and TLS 1.3's handshakes are a round trip each, of 40 ms.
            if 2 * 40 - 5 < warm.cloud.connect_ms < 2 * 40 + 60:
                break
        else:
            pytest.fail(f"two round trips of 40 ms take {warm.cloud.connect_ms:.0f} ms")
        strangers = list(measured(wanted(digits, server=Wanted(server.url, "m"), **common)))
    assert all("certificate" in str(row.reason) for row in strangers)
    assert all("--ca" in str(row.reason) for row in strangers)


def test_a_link_that_stalls_is_a_reason_and_the_next_link_goes_on(digits: Path) -> None:
    server = Fake()
    with fake_server.running(server):
        port = int(server.url.rpartition(":")[2])
        with Shaper.from_link(("127.0.0.1", port), "ethernet") as stalling:
            of = wanted(
                digits, server=Wanted(f"http://127.0.0.1:{stalling.port}", "m"), processes=1,
                links=("wifi", "direct"), connections=("warm",), timeout_s=2.0, prepared_by="cloud",
            )  # fmt: skip

            def step(what: str) -> None:
                stalling.pause() if "over wifi" in what else stalling.resume()

            stalled, direct = measured(of, step)
    assert stalled.reason == "cloud: no answer within 2 s"
    assert stalled.on_device is not None
    assert direct.reason is None


def test_a_few_failures_are_a_note(digits: Path) -> None:
    # Fresh ones are asked first, then two warm-ups, for each of two ways to send.
    server = Fake(hangs_from=3 + 2 + 2)
    with fake_server.running(server):
        of = fake(digits, server, connections=("warm",), timeout_s=2.0, prepared_by="cloud")
        (row,) = measured(of)
    assert row.cloud is not None
    assert row.distributions["cloud.total_ms"].n == 1
    assert any("2 of 6 requests failed: no answer within 2 s" in note for note in row.notes)


def test_what_a_runtime_refuses_is_a_reason_and_the_rest_goes_on(
    digits: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.tflite"
    content = (digits / "digits-s.tflite").read_bytes()
    broken.write_bytes(content[:64] + bytes(len(content) - 64))
    server = Fake()
    with fake_server.running(server):
        of = fake(
            digits, server, connections=("warm",),
            models=(str(broken), str(tmp_path / "none.tflite"), str(digits / "digits-s.tflite")),
        )  # fmt: skip
        refused, missing, fine = measured(of)
    assert refused.reason
    assert refused.sha256
    assert refused.on_device is None
    assert missing.reason
    assert fine.reason is None


def gone(job: Job, limits: sandbox.Limits) -> Report:
    raise DeviceError("the cable was pulled")


def test_a_device_that_disappears_is_a_reason(digits: Path) -> None:
    server = Fake()
    with fake_server.running(server):
        of = fake(digits, server, on=Device("phone", gone), connections=("warm",))
        (row,) = measured(of)
    assert row.device == "phone"
    assert row.reason == "device: the cable was pulled"
    assert row.on_device is None
    assert row.cloud is not None


def test_a_device_that_disappears_late_keeps_what_it_said(digits: Path) -> None:
    on, runs = device.device("host"), 0

    def run(job: Job, limits: sandbox.Limits) -> Report:
        nonlocal runs
        runs += 1
        return on.run(job, limits) if runs < 3 else gone(job, limits)

    server = Fake()
    with fake_server.running(server):
        of = fake(digits, server, on=Device("phone", run), processes=5, connections=("warm",))
        (row,) = measured(of)
    assert row.reason is None
    assert row.distributions["on_device.load_ms"].n == 2
    assert any("process 3 of 5: the cable was pulled" in note for note in row.notes)


def test_ctrl_c_keeps_the_links_that_are_done(digits: Path) -> None:
    server = Fake()

    def step(what: str) -> None:
        if "over wifi" in what:
            raise KeyboardInterrupt

    kept = []
    with fake_server.running(server):
        of = fake(digits, server, links=("direct", "wifi"), connections=("warm",))
        with pytest.raises(KeyboardInterrupt):
            for row in measured(of, step):
                kept.append(row)  # noqa: PERF402  a list would be lost with the exception
    assert [row.link for row in kept] == ["direct"]


def test_a_photo_that_is_none_is_left_out_and_told(digits: Path, tmp_path: Path) -> None:
    whole = photos.photo(photos.Size(320, 240), 0)
    for name, content in (("a", whole), ("b", b"no photo"), ("c", whole[: len(whole) // 2])):
        (tmp_path / f"{name}.jpg").write_bytes(content)
    server = Fake()
    with fake_server.running(server):
        common: dict[str, Any] = {"connections": ("warm",)}
        (row,) = measured(fake(digits, server, given=(tmp_path,), **common))
        (none,) = measured(fake(digits, server, given=(tmp_path / "b.jpg",), **common))
    assert row.reason is None
    assert any("inputs: 2 of 3 left out" in note for note in row.notes)
    assert "no image that can be decoded" in str(none.reason)


def test_tensors_go_as_they_are(tmp_path: Path, digits: Path) -> None:
    import numpy as np

    rows = np.random.default_rng(0).random((4, 16, 16, 1), np.float32)
    np.savez(tmp_path / "x.npz", x=rows)
    server = Fake(takes=({"name": "x", "datatype": "FP32", "shape": [1, 16, 16, 1]},))
    with fake_server.running(server):
        of = fake(digits, server, given=(tmp_path / "x.npz",), connections=("warm",))
        (row,) = measured(of)
    assert row.reason is None
    assert row.where_to_preprocess is None


def test_what_cannot_be_compared_is_refused_at_once(digits: Path, tmp_path: Path) -> None:
    for wrong, error in (
        ({"links": ("nowhere",)}, UsageError),
        ({"links": ("university",)}, UsageError),
        ({"power": "nothing"}, UsageError),
        ({"given": (tmp_path,)}, InputError),
        ({"server": Wanted("ftp://x")}, UsageError),
        ({"server": Wanted("https://x", ca=tmp_path / "none.pem")}, InputError),
    ):
        with pytest.raises(error):
            list(measured(wanted(digits, **wrong)))
    for wrong in ({"models": ()}, {"requests": 0}, {"timeout_s": 0}, {"timeout_s": math.inf},
                  {"gap_ms": -1}, {"gap_ms": math.nan}):  # fmt: skip
        with pytest.raises(UsageError):
            wanted(digits, **wrong)
    with pytest.raises(UsageError):
        device.device("phone")
