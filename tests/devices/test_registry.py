"""Devices by name; a toy one of another package is found, listed and measured on."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewise import plugins
from edgewise.cli.main import run
from edgewise.devices import registry
from edgewise.devices.cores import big_and_little, groups, parse_list
from edgewise.errors import UsageError

TOY = """
from pathlib import Path

from edgewise import records
from edgewise.devices.contract import Offer
from edgewise.devices.job import Report
from edgewise.errors import DeviceGone

NAME, SYNTAX, RUNTIMES = "toy", "toy:NAME", ("abacus",)

class Toy:
    kind, phases = "toy", frozenset()
    offers = (Offer("abacus", ("tflite",), ("beads",), "beads"),)

    def __init__(self, name):
        self.name = self.place = name
        self.there, self.asked = {}, 0

    def describe(self):
        return records.Device(name=self.name, kind="toy", description="a frame of beads")

    def context(self, *, affinity=None):
        return records.Context(cpu_model="wood")

    def state(self):
        return records.DeviceState(temperature_c=21.0)

    def put(self, file, sha256, *, beside=None):
        self.there[sha256] = Path(file).read_bytes()
        return "/beads/" + sha256

    def measure(self, job, limits):
        self.asked += 1
        if self.name == "toy:short-lived" and self.asked > 1:
            raise DeviceGone("the beads fell off")
        assert job.path.removeprefix("/beads/") in self.there
        return Report(versions={"abacus": "1"}, load_ns=5_000_000, first_ns=3_000_000,
                      evicted=False, timed_ns=[2_000_000] * job.runs)

    def close(self):
        self.there.clear()

def open(name, options=None):
    return [Toy(f"toy:{each}") for each in ("a", "b")] if name == "toy:*" else [Toy(name)]

def present():
    return [each.describe() for each in open("toy:*")]

def check_affinity(name, affinity):
    pass
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "toy_device_here.py").write_text(TOY)
    info = tmp_path / "toy_device_here-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[edgewise.devices]\ntoy = toy_device_here\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    plugins.declared.cache_clear()
    yield
    plugins.declared.cache_clear()


def bench(
    *arguments: str, capsys: pytest.CaptureFixture[str]
) -> tuple[int, list[dict[str, object]]]:
    status = run(["bench", *arguments, "--quick", "--json", "--quiet"])
    return status, [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_device_of_another_package_is_listed_and_measured_on(
    toy: None, digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [each.name for each in registry.present()]
    assert names[0] == "host" and names[-2:] == ["toy:a", "toy:b"]
    assert run(["devices", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert listed[-1]["description"] == "a frame of beads"
    model = str(digits / "digits-s.tflite")
    status, rows = bench(model, "--device", "toy:b,toy:*", capsys=capsys)
    assert status == 0 and len(rows) == 2
    assert {each["target"]["device"] for each in rows} == {"toy:a", "toy:b"}  # type: ignore[index]
    for each in rows:
        assert each["target"]["runtime"] == "abacus"  # type: ignore[index]
        assert each["latency_ms"]["p50"] == 2.0  # type: ignore[index]
        assert each["state_before"]["temperature_c"] == 21.0  # type: ignore[index]
        assert each["context"]["cpu_model"] == "wood"  # type: ignore[index]


def test_one_that_goes_away_is_a_failed_row_and_the_others_go_on(
    toy: None, digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [str(digits / f"digits-{size}.tflite") for size in "sm"]
    status, rows = bench(*models, "--device", "toy:short-lived,toy:a", capsys=capsys)
    by_device = {(row["target"]["device"], row["status"]) for row in rows}  # type: ignore[index]
    assert by_device == {("toy:short-lived", "failed"), ("toy:a", "ok")}
    assert len(rows) == 4 and status == 0
    reasons = [row["reason"] for row in rows if row["status"] == "failed"]
    assert all("the beads fell off" in str(reason) for reason in reasons)


def test_a_name_that_no_kind_knows(toy: None) -> None:
    with pytest.raises(UsageError, match=r"unknown device 'toaster:1'.*toy:NAME"):
        registry.find("toaster:1")
    with pytest.raises(UsageError, match="host:emulated="):
        registry.find("host:here")


def test_an_emulated_device_is_slower(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ai_edge_litert")
    model = str(digits / "digits-m.tflite")
    asked = ("--device", "host,host:emulated=0.2", "--processes", "1", "--load-processes", "0")
    status, rows = bench(model, *asked, capsys=capsys)
    own, slow = sorted(rows, key=lambda row: row["context"]["emulated"] is not None)  # type: ignore[index]
    assert status == 0 and slow["target"]["device"] == "host:emulated=0.2"  # type: ignore[index]
    assert slow["latency_ms"]["mean"] > 3 * own["latency_ms"]["min"]  # type: ignore[index]


def test_cores_are_grouped_by_their_top_frequency() -> None:
    tensor = [1_704_000] * 4 + [2_367_000] * 4 + [2_914_000]
    assert groups(tensor) == [(0, 1, 2, 3), (4, 5, 6, 7), (8,)]
    assert big_and_little(tensor) == ((8,), (0, 1, 2, 3))
    assert big_and_little([1_300_000] * 8) == (None, None)
    assert big_and_little([None, 2, None, 1]) == ((1,), (3,))
    assert parse_list("0-2,5") == (0, 1, 2, 5)
    for wrong in ("", "a", "3-1", "0-99999", "1,,2"):
        with pytest.raises(UsageError):
            parse_list(wrong)
