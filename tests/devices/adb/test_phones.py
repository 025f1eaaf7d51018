"""Phones that behave and phones that do not, through the real adb client and server."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from edgewise.cli.main import run
from edgewise.devices import registry
from edgewise.devices.adb import recording

Plug = Any
pytestmark = [
    pytest.mark.corpus,
    pytest.mark.skipif(sys.platform != "linux", reason="the phone's double needs Linux"),
]
PIXEL, GALAXY, REDMI, OLD = (
    "pixel-tensor-15", "galaxy-exynos-14", "redmi-snapdragon-13", "old-mediatek-6"
)  # fmt: skip
QUICK = ("--processes", "2", "--quiet", "--json")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The double's runs take no half second each."""
    monkeypatch.setattr("edgewise.devices.adb.measuring.ENVIRONMENT", "BENCHMARK_SECONDS=0.01 ")


@pytest.fixture
def model(digits: Path, tmp_path: Path) -> Any:
    def named(name: str, size: str = "s") -> str:
        return shutil.copy(digits / f"digits-{size}.tflite", tmp_path / f"{name}.tflite")

    return named


def bench(
    capsys: pytest.CaptureFixture[str], *arguments: str, status: int = 0
) -> list[dict[str, Any]]:
    assert run(["bench", *map(str, arguments), *QUICK]) == status
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize("name", [PIXEL, GALAXY, REDMI, OLD])
def test_facts_are_those_that_are_known(plug: Plug, phones: Path, name: str) -> None:
    phone = plug(name)
    expected = json.loads((phones / name / "expected.json").read_text())
    (found,) = (each for each in registry.present() if each.name == f"adb:{phone.serial}")
    facts = json.loads(found.facts.to_json())  # type: ignore[union-attr]
    assert {key: facts[key] for key in expected} == expected


def test_all_phones_at_once_with_what_the_tool_reports(
    plug: Plug, model: Any, binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phones = [plug(name) for name in (PIXEL, OLD)]
    rows = bench(capsys, model("m"), "--device", "adb:*", "--binary", binary, "--threads", "2")
    assert {row["target"]["device"] for row in rows} == {f"adb:{p.serial}" for p in phones}
    for row in rows:
        assert (row["status"], row["target"]["threads"]) == ("ok", 2)
        latency = row["latency_ms"]
        assert (latency["n"], latency["p50"], latency["mean"]) == (200, 4.0, 4.02)
        assert latency["ci95_low"] is not None
        assert row["load_ms"]["p50"] == 12.5 and row["first_ms"]["p50"] == 8.0
        assert row["peak_memory_bytes"] is None and row["reported"]["overall_memory_mb"] == 10.25
        assert row["state_before"]["wakefulness"] == "Awake"
        assert row["context"]["versions"]["benchmark_model"].startswith("tflite sha256:")
        assert any("no raw samples" in note for note in row["notes"])


def test_what_goes_wrong_is_a_row_with_its_reason(
    plug: Plug, model: Any, binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone = plug(PIXEL)
    device = ("--device", f"adb:{phone.serial}", "--binary", str(binary))
    names = ("crash", "oom", "hang", "partial", "fine")
    models = [model(name) for name in names]
    rows = bench(
        capsys,
        *models,
        *device,
        "--delegate",
        "gpu",
        "--timeout",
        "1.5",
        "--max-time",
        "0.5",
        status=1,
    )
    by_name = {Path(row["model"]).stem: row for row in rows}
    assert "SIGSEGV" in by_name["crash"]["reason"]
    assert "out of memory" in by_name["oom"]["reason"] and "MB were" in by_name["oom"]["reason"]
    assert "hangs" in by_name["hang"]["reason"]
    assert by_name["partial"]["reported"]["delegated"] == "partial"
    assert any("a part of the graph" in note for note in by_name["partial"]["notes"])
    assert by_name["fine"]["status"] == "ok"
    assert not any("hang" in line for _, line in phone.processes())
    (row,) = bench(capsys, model("x"), *device, "--delegate", "nnapi", status=1)
    assert "shows that it applied the nnapi delegate" in row["reason"]


def test_affinity(plug: Plug, model: Any, binary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, without = plug(PIXEL), plug(REDMI)
    given = (model("m"), "--binary", binary, "--affinity", "8")
    (row,) = bench(capsys, *given, "--device", f"adb:{good.serial}")
    assert row["latency_ms"]["p50"] == 9.0
    (row,) = bench(capsys, *given, "--device", f"adb:{without.serial}", status=1)
    assert row["reason"] == "affinity: this phone has no taskset"


def test_one_that_lets_nobody_in_says_what_to_do(
    plug: Plug, model: Any, binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone = plug(GALAXY, 'state = "unauthorized"\n')
    (row,) = bench(capsys, model("m"), "--device", f"adb:{phone.serial}", status=1)
    assert "accept this computer's key on the phone's screen" in row["reason"]
    (row,) = bench(capsys, model("m"), "--device", "adb:nobody", status=1)
    assert "not connected: plug it in" in row["reason"]


def test_three_at_once_one_vanishes_one_fills_up_one_reboots(
    plug: Plug, model: Any, binary: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event = '[[event]]\nwhen = "shell:.*graph=.*{0}"\ndo = "{1}"\nafter_s = 0.1\nfor_s = {2}\n'
    gone = plug(PIXEL, event.format("first", "vanish", 0))
    full = plug(GALAXY, "free_bytes = 10000\n")
    back = plug(REDMI, event.format("first", "reboot", 0.3))
    store = str(tmp_path / "store")
    given = (
        model("first"), model("other", "m"), "--device", "adb:*", "--binary", str(binary),
        "--reconnect", "4", "--store", store,
    )  # fmt: skip
    slow = "BENCHMARK_SECONDS=0.4 "
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgewise.devices.adb.measuring.ENVIRONMENT", slow)
        rows = bench(capsys, *given, status=1)
    found = {(r["target"]["device"], Path(r["model"]).stem): r for r in rows}
    for name in ("first", "other"):
        assert "did not come back" in found[f"adb:{gone.serial}", name]["reason"]
        assert "no room on the phone" in found[f"adb:{full.serial}", name]["reason"]
    assert "went away" in found[f"adb:{back.serial}", "first"]["reason"]
    assert found[f"adb:{back.serial}", "other"]["status"] == "ok"
    full.config.free_bytes = None
    again = bench(capsys, *given, "--resume", "--device", f"adb:{full.serial},adb:{back.serial}")
    assert [Path(row["model"]).stem for row in again].count("first") == 2
    assert len(again) == 3 and all(row["status"] == "ok" for row in again)


def test_two_runs_never_use_one_phone(
    plug: Plug, model: Any, binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone = plug(PIXEL)
    given = ["bench", model("m"), "--device", f"adb:{phone.serial}", "--binary", str(binary)]
    code = "import sys; from edgewise.cli.main import run; sys.exit(run(sys.argv[1:]))"
    other = subprocess.Popen(
        [sys.executable, "-c", code, *given, "--processes", "500", "--quiet"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ | _path(),
    )  # fmt: skip
    try:
        until = time.monotonic() + 20
        while not any("benchmark_model" in line for _, line in phone.processes()):
            assert time.monotonic() < until and other.poll() is None
            time.sleep(0.05)
        (row,) = bench(capsys, *given[1:], status=1)
        assert f"in use by another run (process {other.pid})" in row["reason"]
    finally:
        other.send_signal(signal.SIGINT)
        out, err = other.communicate(timeout=20)
    assert other.returncode == 130, (out, err)
    time.sleep(0.2)
    assert not any("benchmark_model" in line for _, line in phone.processes())


def _path() -> dict[str, str]:
    return {"PYTHONPATH": os.pathsep.join(sys.path)}


def test_a_detached_run_survives_the_cable(
    plug: Plug, model: Any, binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event = '[[event]]\nwhen = "shell:.*cat .*run.status"\ndo = "vanish"\nfor_s = 0.3\n'
    phone = plug(PIXEL, event)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgewise.devices.adb.measuring.ENVIRONMENT", "BENCHMARK_SECONDS=0.5 ")
        (row,) = bench(
            capsys, model("m"), "--device", f"adb:{phone.serial}", "--binary", binary, "--detached",
            "--processes", "1",
        )  # fmt: skip
    assert row["status"] == "ok" and row["latency_ms"]["p50"] == 8.0


def test_one_killed_with_adbd_is_a_sentence(
    plug: Plug, model: Any, binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    event = '[[event]]\nwhen = "shell:.*run.status"\ndo = "kill"\nprocess = "hang"\n'
    phone = plug(PIXEL, event + "after_s = 0.2\n")
    (row,) = bench(
        capsys, model("hang"), "--device", f"adb:{phone.serial}", "--binary", binary,
        "--detached", status=1,
    )  # fmt: skip
    assert "killed with adbd" in row["reason"]


def test_files_are_copied_once(
    plug: Plug, model: Any, binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone = plug(OLD)
    for _ in range(2):
        bench(capsys, model("m"), "--device", f"adb:{phone.serial}", "--binary", binary)
    assert sum("SEND" in line for line in phone.log) <= 2
    left = [each.name for each in phone.host_path("/data/local/tmp/edgewise").iterdir()]
    assert len(left) == 2 and not any(name.endswith(".part") for name in left)


def test_joules_of_a_phones_battery_or_why_there_are_none(
    plug: Plug, model: Any, binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    now = "/sys/class/power_supply/battery/current_now"
    series = f'[[series]]\npath = "{now}"\nevery_s = 0.1\nvalues = [-400000, -420000]\n'
    phone = plug(PIXEL, series)
    given = (
        model("m"), "--device", f"adb:{phone.serial}", "--binary", binary, "--processes", "1",
        "--meter", "battery", "--energy-time", "0.8",
    )  # fmt: skip
    (row,) = bench(capsys, *given)
    assert row["energy"] is None and any("charging" in note for note in row["notes"])
    phone.write("/sys/class/power_supply/battery/status", "Discharging")
    (row,) = bench(capsys, *given, "--detached")
    assert row["energy"]["mean_w"] == pytest.approx(0.41 * 4.105, rel=0.03)
    assert row["energy"]["method"] == "battery" and row["energy"]["inferences"] > 0


def test_a_recordings_log_is_read_and_a_cut_turn_left_out() -> None:
    seen = recording.parse("noise\n@@1.5\n@a\n5\n@b\n@!\n@@2.0\n@a\n6\n@b\n7\n@@2.5\n@a\n")
    assert seen.moments_s == [1.5, 2.0]
    assert seen.texts == {"a": ["5\n", "6\n"], "b": [None, "7\n"]}


def test_it_waits_until_a_phone_is_cool(
    plug: Plug, model: Any, binary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    phone = plug(PIXEL)
    known = (phone.host_path("/answers/dumpsys/thermalservice")).read_text()
    phone.answer("dumpsys", "thermalservice", known.replace("mValue=33.1", "mValue=41.5"))
    cooler = threading.Timer(
        1.0, phone.answer, ("dumpsys", "thermalservice", known.replace("33.1", "30.5"))
    )
    cooler.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgewise.devices.adb.device._COOLING_POLL_S", 0.1)
        (row,) = bench(
            capsys, model("m"), "--device", f"adb:{phone.serial}", "--binary", binary,
            "--cool-to", "35", "--processes", "1",
        )  # fmt: skip
    cooler.join()
    assert row["status"] == "ok"
    assert row["state_after"]["temperature_c"] == 30.5
