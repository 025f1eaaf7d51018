"""Joules from recordings with exactly known energy, and refusals where nothing can be known."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path

import pytest

from edgewise.energy import reckoning, recorded
from edgewise.energy.meters import registry
from edgewise.energy.meters.contract import Track
from edgewise.energy.reckoning import Windows
from edgewise.errors import DeviceError, InputError, UsageError
from edgewise.records import Energy

SHARED = Path(__file__).resolve().parents[3] / "shared/devices/energy/cases"
CASES = sorted(each.name for each in SHARED.iterdir()) if SHARED.is_dir() else []
#: A third of how long each kind of case takes, in s: idle, active, idle.
THIRD = {"rapl": 20, "battery": 30, "odpm": 15, "monsoon": 2, "jetson": 10, "perfetto": 10}


def measured(folder: Path, third: float, inferences: int | None = 100) -> Energy:
    recording = recorded.read(folder)
    windows = reckoning.around((third, 2 * third), recording)
    return reckoning.energy(recording, windows, inferences)


def assert_joules(found: object, wanted: dict[str, float], tolerance: float) -> None:
    for name in ("gross_j", "net_j", "idle_w"):
        if name in wanted:
            assert getattr(found, name) == pytest.approx(wanted[name], rel=tolerance), name


@pytest.mark.corpus
@pytest.mark.parametrize("name", CASES)
def test_known_joules_come_out_and_what_cannot_be_known_is_refused(name: str) -> None:
    expected = json.loads((SHARED / name / "case.json").read_text())["expected"]
    found = measured(SHARED / name, THIRD[name.partition("-")[0]])
    if not expected["valid"]:
        assert found.gross_j is found.net_j is found.inference_j is found.mean_w is None
        assert found.reason
        return
    assert found.reason is None
    assert found.boundary
    tolerance = expected.get("tolerance", 0.01)
    assert_joules(found, expected, tolerance)
    rails = {rail.name: rail for rail in found.rails}
    for rail, wanted in (expected.get("rails") or expected.get("zones") or {}).items():
        assert_joules(rails[rail], wanted, tolerance)
    if total := expected.get("total_rail"):
        assert_joules(found, expected["rails"][total], tolerance)
    if summed := expected.get("sum_of"):
        assert [rail.name for rail in found.rails if rail.counted] == summed
    for detail in ("unit", "discharging_is"):
        if detail in expected:
            assert recorded.read(SHARED / name).details[detail] == expected[detail]
    if "refresh_s" in expected:
        assert recorded.read(SHARED / name).refresh_s == pytest.approx(expected["refresh_s"])


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "because"),
    [
        ("rapl-wraps-twice", "more than once between two readings"),
        ("rapl-no-range", "its range is unknown"),
        ("rapl-reset", "more than a wrap at this power"),
        ("rapl-frozen", "did not move"),
        ("battery-plugged-in-at-40s", "charging"),
        ("battery-full-on-usb", "external power"),
        ("battery-stuck", "never changes"),
        ("battery-charge-counter", "measure longer, from 67 s on"),
        ("odpm-rail-swapped", r"CPU\(MID\).*swapped"),
    ],
)
def test_a_refusal_says_why(name: str, because: str) -> None:
    found = measured(SHARED / name, THIRD[name.partition("-")[0]])
    assert re.search(because, found.reason or "")


@pytest.mark.corpus
def test_the_verb_gives_joules_and_refusals(capfd: pytest.CaptureFixture[str]) -> None:
    from edgewise.cli.main import run

    arguments = ["--active", "20:40", "--inferences", "2000", "--json"]
    assert run(["energy", str(SHARED / "rapl-plain"), *arguments]) == 0
    found = json.loads(capfd.readouterr().out)
    assert found["valid"] and found["gross_j"] == pytest.approx(841.3, rel=0.01)
    assert run(["energy", str(SHARED / "rapl-reset"), "nothing.csv", *arguments]) == 1
    refused, missing = map(json.loads, capfd.readouterr().out.splitlines())
    assert not refused["valid"] and refused["gross_j"] is None and refused["reason"]
    assert "no such file" in missing["error"]
    assert run(["energy", str(SHARED / "rapl-plain"), "--active", "40:20"]) == 2


# -- recordings made here ---------------------------------------------------------------------


def record(folder: Path, series: list[tuple[float, str, object]], fixed: dict[str, object]) -> Path:
    """A recording: files as they were at first, and what was written when."""
    (folder / "tree").mkdir()
    with (folder / "series.jsonl").open("w") as out:
        for at, path, content in series:
            out.write(json.dumps([at, path, content]) + "\n")
    for path, content in [*((p, c) for _, p, c in reversed(series)), *fixed.items()]:
        file = folder / "tree" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{content}\n")
    return folder


def watts_at(at: float, third: float, idle: float, active: float) -> float:
    return active if third <= at < 2 * third else idle


def battery(
    folder: Path, scale: float, idle: float, active: float, charge: float | None = None
) -> Path:
    """90 s of a discharging battery at 4 V; `charge`: µAh that the counter really loses per C."""
    series: list[tuple[float, str, object]] = []
    used = 0.0
    for at in range(91):
        amperes = watts_at(at, 30, idle, active) / 4
        series.append((at, "battery/current_now", round(amperes * scale)))
        if charge is not None:
            left = 3e6 - used * charge
            series.append((at, "battery/charge_counter", round(left // 250 * 250)))
        used += amperes
    return record(folder, series, {"battery/status": "Discharging", "battery/voltage_now": 4000})


@pytest.mark.parametrize(("scale", "unit"), [(1e6, "uA"), (1e3, "mA"), (1e4, "0.1 mA")])
def test_a_batterys_unit_is_found_and_its_millivolts(
    tmp_path: Path, scale: float, unit: str
) -> None:
    folder = battery(tmp_path, scale, 0.6, 6.0)
    found = measured(folder, 30)
    assert recorded.read(folder).details["unit"] == unit
    assert found.gross_j == pytest.approx(180, rel=0.01)
    assert found.net_j == pytest.approx(180 - 18, rel=0.01)
    assert found.inference_j == pytest.approx(1.8, rel=0.01)


def test_a_unit_that_two_would_fit_is_refused_but_for_the_charge_counter(tmp_path: Path) -> None:
    for name in ("without", "with", "against"):
        (tmp_path / name).mkdir()
    # In 0.1 mA these are 0.3 and 1 W, in mA 3 and 10: both may be.
    found = measured(battery(tmp_path / "without", 1e4, 0.3, 1.0), 30)
    assert found.gross_j is None and "would both be plausible" in (found.reason or "")
    confirmed = battery(tmp_path / "with", 1e4, 0.3, 1.0, charge=1 / 3.6e-3)
    assert measured(confirmed, 30).gross_j == pytest.approx(30, rel=0.01)
    assert recorded.read(confirmed).details["unit_found_by"] == "the charge counter"
    found = measured(battery(tmp_path / "against", 1e3, 1.0, 4.0, charge=1e3), 30)
    assert found.gross_j is None and "charge counter agrees with none" in (found.reason or "")


def test_a_sign_that_flips_while_discharging_is_refused(tmp_path: Path) -> None:
    series = [(at, "battery/current_now", -300000 if at < 40 else 350000) for at in range(91)]
    fixed = {"battery/status": "Discharging", "battery/voltage_now": 4000000}
    found = measured(record(tmp_path, list(series), fixed), 30)
    assert found.gross_j is None and "sign changes" in (found.reason or "")


def test_a_charge_counter_counts_when_the_active_part_is_long_enough(tmp_path: Path) -> None:
    series, used = [], 0.0
    for at in range(361):
        series.append((at, "battery/charge_counter", int((2.9e6 - used / 3.6e-3) // 250 * 250)))
        used += watts_at(at, 120, 1.1, 5.3) / 3.85
    fixed = {"battery/status": "Discharging", "battery/voltage_now": 3850000}
    found = measured(record(tmp_path, list(series), fixed), 120)
    assert found.gross_j == pytest.approx(5.3 * 120, rel=0.01)
    assert found.net_j == pytest.approx(4.2 * 120, rel=0.02)
    assert found.quantum_j == pytest.approx(250 * 3.6e-3 * 3.85)


def rapl(folder: Path, zones: dict[str, tuple[str, float]], every: float = 0.5) -> Path:
    """60 s of constant power by zone: its folder, and its name and W."""
    series = [
        (step * every, f"{folder_}/energy_uj", round(step * every * watts * 1e6))
        for step in range(int(60 / every) + 1)
        for folder_, (_, watts) in zones.items()
    ]
    fixed: dict[str, object] = {f"{each}/name": name for each, (name, _) in zones.items()}
    fixed |= {f"{each}/max_energy_range_uj": 262_143_328_850 for each in zones}
    return record(folder, list(series), fixed)


def test_the_platform_and_parts_are_not_added_to_packages(tmp_path: Path) -> None:
    zones = {
        "intel-rapl:0": ("package-0", 20.0), "intel-rapl:0:0": ("uncore", 3.0),
        "intel-rapl:0:1": ("dram", 2.0), "intel-rapl:1": ("psys", 40.0),
        "intel-rapl-mmio:0": ("package-0", 20.0),
    }  # fmt: skip
    found = measured(rapl(tmp_path, zones), 20)
    assert found.mean_w == pytest.approx(22)
    assert {rail.name: rail.counted for rail in found.rails} == {
        "package-0": True, "uncore": False, "dram": True, "psys": False,
    }  # fmt: skip


def test_parts_of_the_same_name_tell_their_package(tmp_path: Path) -> None:
    zones = {
        "intel-rapl:0": ("package-0", 20.0), "intel-rapl:0:0": ("dram", 3.0),
        "intel-rapl:1": ("package-1", 10.0), "intel-rapl:1:0": ("dram", 1.0),
    }  # fmt: skip
    found = measured(rapl(tmp_path, zones), 20)
    names = {rail.name for rail in found.rails}
    assert names == {"package-0", "dram of package-0", "package-1", "dram of package-1"}
    assert found.mean_w == pytest.approx(34)


def test_readings_that_end_too_early_are_refused(tmp_path: Path) -> None:
    recording = recorded.read(rapl(tmp_path, {"intel-rapl:0": ("package-0", 20.0)}))
    found = reckoning.energy(recording, Windows((40, 80), ((0, 40),)), None)
    assert found.gross_j is None and "do not reach over" in (found.reason or "")
    assert reckoning.energy(recording, Windows((20, 40), ()), None).net_j is None


def test_a_counter_that_may_be_read_by_root_only_says_how(tmp_path: Path) -> None:
    class Locked:
        def names(self, folder: str = "") -> list[str]:
            return [] if folder else ["intel-rapl:0"]

        def read(self, path: str) -> str:
            raise PermissionError(13, "Permission denied", path)

    with pytest.raises(DeviceError, match=r"root only.*chmod"):
        registry.find(Locked(), "rapl")


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="neither"):
        recorded.read(tmp_path)
    with pytest.raises(InputError, match="no log of a meter"):
        recorded.read(tmp_path / "notes.csv")
    with pytest.raises(UsageError, match="known: rapl"):
        recorded.read(tmp_path / "notes.csv", "thermometer")
    (tmp_path / "cut.perfetto-trace").write_bytes(b"\x0a\xff\xff\xff\xff\x0f\x08")
    with pytest.raises(InputError):
        recorded.read(tmp_path / "cut.perfetto-trace")
    (tmp_path / "series.jsonl").write_text("[1.0, \n")
    (tmp_path / "battery").mkdir()
    (tmp_path / "battery/current_now").write_text("1\n")
    with pytest.raises(InputError, match="moment, path, content"):
        recorded.read(tmp_path)


def test_long_gaps_are_filled_in_and_said_or_refused(tmp_path: Path) -> None:
    def csv(gap: float) -> Path:
        path = tmp_path / f"{gap}.csv"
        rows = ["Time(ms),Main(mA),Main Voltage(V),"]
        rows += [f"{at / 100},500,4,," for at in range(601) if not 250 <= at < 250 + 100 * gap]
        path.write_text("\n".join(rows))
        return path

    recording = recorded.read(csv(0.2))
    found = reckoning.energy(recording, reckoning.around((2, 4), recording), 10)
    assert found.gross_j == pytest.approx(4, rel=1e-3)
    assert found.missing_s == pytest.approx(0.2, abs=0.01)
    recording = recorded.read(csv(1.0))
    found = reckoning.energy(recording, reckoning.around((2, 4), recording), 10)
    assert found.gross_j is None and "too many to fill in" in (found.reason or "")


def test_a_meter_without_rails_or_inferences_gives_no_number(tmp_path: Path) -> None:
    recording = recorded.read(rapl(tmp_path, {"intel-rapl:0": ("package-0", 20.0)}))
    found = reckoning.energy(recording, reckoning.around((20, 40), recording), None)
    assert found.gross_j == pytest.approx(400) and found.inference_j is None
    assert isinstance(recording.tracks[0], Track) and math.isfinite(found.net_j or 0)
