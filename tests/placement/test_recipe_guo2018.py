"""The paper's experiment: its parts, its findings, and one short run of it."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from edgewise.devices.emulated import device_name
from edgewise.errors import UsageError
from edgewise.family import load_family
from edgewise.placement import photos, recipes
from edgewise.placement.recipes import guo2018
from edgewise.records import CloudPhases, DevicePhases, Placement, PublishedFinding

SQUEEZENET = "squeezenet-v1.1"


def _row(model: str = "alexnet", link: str = "wifi", connection: str = "warm") -> Placement:
    return Placement(
        model=model, device="d", server="s", link=link, connection=connection,  # type: ignore[arg-type]
        on_device=DevicePhases(load_ms=600.0, inference_ms=300.0, first_total_ms=1000.0),
        cloud=CloudPhases(total_ms=50.0), time_ratio=8.0, first_time_ratio=20.0,
        energy_ratio=4.0, first_energy_ratio=None,
    )  # fmt: skip


def test_findings_are_of_warm_rows_with_shares_of_the_first_answer() -> None:
    (found,) = recipes.findings([_row(), _row(connection="fresh")])
    assert (found.load_share, found.compute_share) == (0.6, 0.3)
    assert (found.first_time_ratio, found.later_time_ratio) == (20.0, 8.0)
    assert (found.first_energy_ratio, found.later_energy_ratio) == (None, 4.0)


def answers(*rows: Placement) -> dict[str, PublishedFinding]:
    found = recipes.beside_paper(rows)
    return {each.query: row for each, row in zip(recipes.PAPER.statement, found, strict=True)}


def test_two_orders_of_magnitude_are_a_hundred_rounded_as_a_power_of_ten() -> None:
    little = answers(_row(), _row("nin", "lte"), _row(connection="fresh"))
    assert (little["time"].ours, little["time"].n, little["time"].agrees) == (20.0, 2, "no")
    assert "later ones 8 to 8" in little["time"].why
    assert "no phone at hand" in little["time"].why
    large = answers(_row(), replace(_row(link="campus"), first_time_ratio=42.0))
    assert (large["time"].ours, large["time"].agrees) == (42.0, "yes")
    assert len(large["time"].details) == 2
    assert (little["energy"].ours, little["energy"].agrees) == (None, "cannot tell")


def test_a_busy_machine_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guo2018.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(guo2018.os, "getloadavg", lambda: (0.4, 9.0, 9.0))
    assert list(guo2018._busy()) == []
    monkeypatch.setattr(guo2018.os, "getloadavg", lambda: (7.0, 0.0, 0.0))
    (note,) = guo2018._busy()
    assert "load 7.0 on 2 cores" in note
    assert note in answers(replace(_row(), notes=("x", note)))["time"].why
    assert "busy" not in answers(_row())["time"].why


def test_bottlenecks_are_the_longest_phases_for_every_network() -> None:
    found = answers(_row(), _row("nin"))
    assert (found["loading"].ours, found["loading"].agrees) == ("60% to 60%", "yes")
    assert (found["computing"].ours, found["computing"].agrees) == ("30% to 30%", "yes")
    phases = DevicePhases(
        load_ms=600.0, preprocess_ms=350.0, inference_ms=50.0, first_total_ms=1000.0
    )
    slow_photo = answers(_row(), replace(_row("nin"), on_device=phases))
    assert (slow_photo["computing"].ours, slow_photo["computing"].agrees) == ("5% to 30%", "no")
    assert "nin: loading 60%, preparing 35%, computing 5%" in slow_photo["computing"].why


def test_a_row_without_numbers_is_a_finding_without_numbers() -> None:
    row = Placement(model="m", device="d", server="s", link="l", reason="nobody answers")
    (found,) = recipes.findings([row])
    assert found.load_share is found.first_time_ratio is None
    for each in (*answers(row).values(), *answers().values()):
        assert (each.ours, each.n, each.agrees) == (None, 0, "cannot tell")


def test_a_declared_phone_gives_power_and_slowness() -> None:
    assert guo2018.Settings().device == device_name(0.167)
    assert guo2018.Settings(phone="pixel-3").device == device_name(0.5)
    assert guo2018.Settings(phone="pixel-3", share=0.25).device == device_name(0.25)
    for phone in ("nobody", "server-haswell"):
        with pytest.raises(UsageError):
            guo2018.Settings(phone=phone)


def test_a_made_up_photo_is_like_a_phones(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    size = photos.Size(640, 480)
    content = photos.photo(size, 1)
    assert image.open(io.BytesIO(content)).size == (640, 480)
    # Photos of phones at this quality: 0.1 to 0.5 bytes per pixel; flat pictures have 0.02.
    assert 0.1 < len(content) / (640 * 480) < 0.5
    assert photos.photo(size, 1) == content != photos.photo(size, 2)
    files = photos.write_photos(tmp_path, (size,), seed=1)
    assert [file.read_bytes() for file in files] == [content]


def test_what_was_built_is_kept(tmp_path: Path) -> None:
    said: list[str] = []
    family = load_family(guo2018.build(tmp_path, (SQUEEZENET,), said.append))
    assert [variant.name for variant in family.variant] == [SQUEEZENET]
    assert family.variant[0].preprocess.size == (227, 227)
    guo2018.build(tmp_path, (SQUEEZENET,), said.append)
    assert said == [f"building {SQUEEZENET}"]


def test_quick_takes_less_where_nothing_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[guo2018.Settings] = []
    monkeypatch.setattr(recipes, "_guo2018", lambda settings, _: iter(told.append(settings) or ()))
    list(recipes.run("guo2018", quick=True, requests=7))
    list(recipes.run("guo2018", links=("3g",)))
    quick, whole = told
    assert (quick.requests, quick.processes, quick.links) == (7, 2, ("campus", "lte"))
    assert quick.whole_phone and whole.whole_phone
    assert (whole.requests, whole.processes, whole.links) == (10, 5, ("3g",))


def test_unknown_names() -> None:
    with pytest.raises(UsageError, match="guo2018"):
        recipes.run("guo2019")
    with pytest.raises(UsageError, match="alexnet"):
        recipes.run("guo2018", models=["resnet"])


@pytest.mark.skipif(sys.platform != "linux", reason="emulated devices need Linux")
def test_the_experiment_in_short(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for peer in ("onnxruntime", "PIL", "uvicorn"):
        pytest.importorskip(peer)
    from edgewise.cli.main import run
    from edgewise.report.plots import figures
    from edgewise.store import Store

    image = tmp_path / "photo.jpg"
    image.write_bytes(photos.photo(photos.Size(320, 240), 0))
    status = run(
        ["place", SQUEEZENET, "--recipe", "guo2018", "--device", device_name(0.5), "--link",
         "wifi", "--power", "pixel-3", "--requests", "2", "--processes", "1", "--input",
         str(image), "--cache", str(tmp_path / "cache"), "--store", str(tmp_path / "store"),
         "--json"]
    )  # fmt: skip
    every = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    rows = [row for row in every if "statement" not in row]
    assert status == 0
    assert [row["paper"] for row in every[len(rows) :]] == ["guo2018"] * len(
        recipes.PAPER.statement
    )
    assert [row["connection"] for row in rows] == ["fresh", "warm"]
    drawn = figures(Store.open(str(tmp_path / "store")))
    # Who is faster is drawn where some uplink makes both ways take the same time.
    assert set(recipes.PAPER.figures) - {"who-is-faster-uplink-and-round-trip"} <= set(drawn)
    assert rows[0]["finding"] is None
    assert rows[1]["finding"]["later_time_ratio"] == rows[1]["time_ratio"]
    for row in rows:
        here, there = row["on_device"], row["cloud"]
        assert row["reason"] is None
        assert (row["model"], row["recipe"], row["link"]) == (SQUEEZENET, "guo2018", "wifi")
        assert row["device"] == "host:emulated=0.5"
        assert here["total_ms"] == pytest.approx(
            here["preprocess_ms"] + here["inference_ms"] + here["postprocess_ms"]
        )
        assert here["energy_j"] > 0
        assert there["radio_j"] > 0
        assert there["base_j"] > 0
        notes = " ".join(row["notes"])
        for word in ("emulated: one core", "as measured", "random", "pixel-3", "whole phone"):
            assert word in notes
