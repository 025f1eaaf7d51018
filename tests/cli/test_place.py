"""`place` and `links measure` as commands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgewise.cli.main import run
from edgewise.records import CloudPhases, DevicePhases, Placement
from edgewise.store import Store

#: What cli.md promises of every object.
FIELDS = {
    "model", "device", "server", "link", "connection", "on_device", "cloud", "faster", "frugal",
    "time_ratio", "energy_ratio", "break_even", "methods",
}  # fmt: skip
ON_DEVICE = {
    "load_ms", "preprocess_ms", "inference_ms", "postprocess_ms", "total_ms", "first_total_ms",
    "energy_j",
}  # fmt: skip
IN_CLOUD = {
    "preprocess_ms", "encode_ms", "connect_ms", "upload_ms", "queue_ms", "inference_ms",
    "download_ms", "postprocess_ms", "total_ms", "first_total_ms", "energy_j",
}  # fmt: skip


def objects(capfd: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def needs_both_ways() -> None:
    for peer in ("ai_edge_litert", "PIL", "httptools", "uvicorn"):
        pytest.importorskip(peer, reason="a comparison runs a model and a service")


def test_measured_rows_are_json_and_in_the_store(
    digits: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    needs_both_ways()
    model, photos = str(digits / "digits-xs.tflite"), str(digits / "heldout.npz")
    store = str(tmp_path / "store")
    status = run(
        ["place", model, str(tmp_path / "none.onnx"), "--input", photos, "--scale", "255",
         "--link", "wifi", "--quick", "--requests", "2", "--processes", "1", "--power", "pixel-3",
         "--json", "--store", store]
    )  # fmt: skip
    rows = objects(capfd)
    assert status == 1  # one of the models is not there
    assert [(row["connection"], row["reason"] is None) for row in rows] == [
        ("fresh", True), ("warm", True), ("fresh", False), ("warm", False)
    ]  # fmt: skip
    assert set(rows[0]) >= FIELDS
    assert set(rows[0]["on_device"]) >= ON_DEVICE  # type: ignore[call-overload]
    assert set(rows[0]["cloud"]) >= IN_CLOUD  # type: ignore[call-overload]
    assert rows[0]["methods"]["on_device.inference_ms"] == "measured"  # type: ignore[index]
    stored = Store.open(store).read(Placement)
    assert len(stored) == 4
    compared = [row for row in stored if row.reason is None]
    assert all(isinstance(row.on_device, DevicePhases) for row in compared)
    assert all(isinstance(row.cloud, CloudPhases) and row.verdict for row in compared)


def test_measured_rows_for_people(
    digits: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    needs_both_ways()
    model = str(digits / "digits-xs.tflite")
    arguments = ["--input", str(digits / "heldout.npz"), "--scale", "255"]
    assert run(["place", model, *arguments, "--quick", "--connection", "warm"]) == 0
    text = capfd.readouterr().out
    assert "digits-xs.tflite" in text
    assert "The device is faster" in text
    assert "note: " in text


def test_without_inputs_they_are_made_up_and_a_folder_may_hold_what_fails(
    digits: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    needs_both_ways()
    (tmp_path / "m.tflite").write_bytes((digits / "digits-xs.tflite").read_bytes())
    (tmp_path / "broken.tflite").write_bytes(b"\0\0\0\0TFL3" + bytes(64))
    arguments = ["--connection", "warm", "--requests", "1", "--processes", "1", "--json"]
    assert run(["place", str(tmp_path), *arguments]) == 0
    broken, fine = objects(capfd)
    assert broken["reason"] and fine["reason"] is None
    assert any("made up: random numbers" in note for note in fine["notes"])  # type: ignore[attr-defined]
    assert run(["place", str(tmp_path / "broken.tflite"), *arguments]) == 1


def test_a_dead_server_says_so(digits: Path, capfd: pytest.CaptureFixture[str]) -> None:
    needs_both_ways()
    model = str(digits / "digits-xs.tflite")
    arguments = ["--input", str(digits / "heldout.npz"), "--scale", "255", "--quick"]
    assert run(["place", model, *arguments, "--server", "127.0.0.1:9", "--connection", "warm"]) == 1
    text = capfd.readouterr().err
    assert "failed digits-xs.tflite: cloud: no connection to" in text


def test_a_failure_is_told_once_and_where(capfd: pytest.CaptureFixture[str]) -> None:
    from edgewise.cli import place_print

    def row(model: str, link: str, reason: str | None) -> Placement:
        return Placement(model=model, device="d", server="s", link=link, reason=reason)

    place_print.rows(
        [row("a", "wifi", "gone"), row("a", "lte", "gone"), row("b", "wifi", None),
         row("b", "lte", "it stalls")]
    )  # fmt: skip
    assert capfd.readouterr().err.splitlines() == [
        "edgewise: failed a: gone", "edgewise: failed b over lte, warm: it stalls"
    ]  # fmt: skip


def test_computed_from_published_profiles(capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["place", "--profiles", "pixel3", "--server", "p2", "--link", "wifi,lte"]
    assert run([*arguments, "--json"]) == 0
    rows = objects(capfd)
    assert set(rows[0]) >= FIELDS
    assert {row["link"] for row in rows} == {"wifi", "lte"}
    assert {row["connection"] for row in rows} == {"fresh", "warm"}
    assert rows[0]["methods"]["cloud.inference_ms"] == "published"  # type: ignore[index]
    assert run([*arguments, "SqueezeNet=nasnet_large", "--connection", "warm"]) == 0
    text = capfd.readouterr().out
    assert "squeezenet" in text.lower()
    assert "The device is faster" in text


def test_who_of_many_users_is_served_where(capfd: pytest.CaptureFixture[str]) -> None:
    mix = ["--mix", "wifi=0.6,lte=0.3,3g=0.1", "--price", "0.05", "--connection", "warm"]
    common = ["place", "Inception_V4", "--profiles", "pixel3", "--server", "p2"]
    assert run([*common, *mix, "--json"]) == 0
    (row,) = objects(capfd)
    assert row["by_link"] == {"wifi": 0.6, "lte": 0.3, "3g": 0.1}
    assert row["utilisation"] == 0.5
    assert run([*common, *mix]) == 0
    text = capfd.readouterr().out
    assert "a million requests cost" in text


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--connection", "lukewarm"], "'lukewarm' is not one of"),
        (["--radio", "off"], "'off' is not one of"),
        (["--prepare", "nobody"], "'nobody' is not one of"),
        (["--mix", "wifi=1", "--delegate", "gpu"], "--delegate, --mix: not without --profiles"),
        (
            ["--profiles", "pixel3", "--server", "p2", "--link", "lte", "--quick", "--recipe", "x"],
            "--profiles: not with --recipe",
        ),
        (["--profiles", "pixel3", "--server", "p2", "--link", "lte", "--seed", "1"], "--seed: not"),
        (
            ["--recipe", "guo2018", "--photo", "64x64", "--gap", "1", "--quick"],
            "--gap, --photo: not with --recipe",
        ),
        (["--input", "x.npz"], "nothing to place: no models"),
        (["--profiles", "pixel3", "--link", "lte"], "the server has profiles too"),
        (["--profiles", "pixel3", "--server", "p2"], "without a --link"),
        (["--profiles", "pixel3", "--server", "p2", "--price", "1"], "--price goes with --mix"),
        (["--profiles", "pixel3,pixel3-gpu", "--device", "x", "--link", "lte"], "names one of 2"),
        (["--profiles", "pixel3", "--server", "p2", "--photo", "big"], "--photo big"),
        (["--profiles", "pixel3", "--server", "p2", "--input-size", "9"], "--input-size 9"),
    ],
)
def test_wrong_usage(arguments: list[str], words: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["place", *arguments]) == 2
    assert words in capfd.readouterr().err


def test_links_measure_wants_one_url(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["links", "measure"]) == 2
    assert "takes one URL" in capfd.readouterr().err
    assert run(["links", "--write", "x.toml"]) == 2
    assert "--write goes with measure" in capfd.readouterr().err
    assert run(["links", "measure", "http://127.0.0.1:9"]) == 1
    assert "no connection to http://127.0.0.1:9" in capfd.readouterr().err
