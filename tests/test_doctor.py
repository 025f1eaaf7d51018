"""`doctor`: every part is told of, and what is missing with how to mend it."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest

from edgewise import doctor, extras
from edgewise.bench import inventory
from edgewise.cli.main import run
from edgewise.devices.adb import client
from edgewise.energy.meters.files import Folder
from edgewise.errors import DeviceError
from edgewise.records import Device, RuntimeInfo

PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


@pytest.fixture(autouse=True)
def _few_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker process per runtime."""
    found = [
        Device(
            name="host", kind="host", description="a machine",
            runtimes=(
                RuntimeInfo(name="fine", version="1.2", delegates=("cpu",), formats=("toy",)),
                RuntimeInfo(name="broken", version=None, available=False, reason="it crashed"),
                RuntimeInfo(name="absent", version=None, available=False,
                            reason="this needs the extra 'ray' (pip install …)"),
            ),
        ),
        Device(name="adb:X", kind="android", description="unauthorized", available=False,
               notes=("allow debugging on its screen",)),
        Device(name="browser", kind="browser", description="any browser", available=False),
    ]  # fmt: skip
    monkeypatch.setattr(inventory, "devices", lambda: found)


def found() -> dict[str, doctor.Finding]:
    return {each.what: each for each in doctor.findings()}


def test_every_extra_is_told_of_and_why_one_wants_it() -> None:
    stated = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    assert set(doctor.EXTRAS) == set(extras.MODULES) == set(stated) - {"all"}
    told = found()
    assert all(told[f"extra {extra}"].needed_for for extra in doctor.EXTRAS)


def test_a_missing_extra_tells_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_is_there", lambda module: module not in ("ray", "grpc"))
    told = found()
    assert told["extra ray"].status == "missing"
    assert told["extra serve"].detail == "not installed: grpc"
    assert "[serve]'" in str(told["extra serve"].mend)
    assert told["extra serve"].mend.startswith("pip install ")  # type: ignore[union-attr]


def test_an_extra_that_is_there_tells_its_version() -> None:
    import PIL

    assert f"pillow {PIL.__version__}" in found()["extra images"].detail


def test_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = {"google-chrome": "/opt/chrome", "ssh": "/bin/ssh"}
    monkeypatch.setattr(shutil, "which", paths.get)

    def none_brought() -> str:
        raise DeviceError("no adb client")

    monkeypatch.setattr(client, "binary", none_brought)
    told = found()
    assert (told["tool ssh"].status, told["tool ssh"].mend) == ("ok", None)
    assert told["tool chromium"].detail == "/opt/chrome"
    assert told["tool adb"].status == "missing"
    assert told["tool uhubctl"].mend == "apt-get install uhubctl"


def test_devices_and_runtimes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_is_there", lambda module: module != "ray")
    told = found()
    assert told["device host"].status == "ok"
    assert told["device adb:X"].status == "problem"
    assert told["device adb:X"].mend == "allow debugging on its screen"
    assert told["device browser"].status == "missing"
    assert told["runtime fine on host"].detail == "1.2; cpu"
    assert told["runtime broken on host"].status == "problem"
    assert "runtime absent on host" not in told, "its extra is missing, and that is told"


def test_a_meter_that_only_root_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zone = tmp_path / "sys/class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    (zone / "energy_uj").write_text("12345\n")
    (zone / "max_energy_range_uj").write_text("262143328850\n")
    told = {each.what: each for each in doctor.meters(tmp_path)}
    assert told["meter rapl"].status == "ok"
    assert told["meter jetson"].status == "missing"
    read = Folder.read

    def refuse(self: Folder, path: str) -> str:
        if path.endswith("energy_uj"):
            raise PermissionError(13, "Permission denied")
        return read(self, path)

    monkeypatch.setattr(Folder, "read", refuse)
    told = {each.what: each for each in doctor.meters(tmp_path)}
    assert told["meter rapl"].status == "problem"
    assert "chmod a+r" in str(told["meter rapl"].mend)


def test_a_cache_that_is_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert found()["cache folder"].status == "ok"
    assert list(tmp_path.iterdir()) == [], "looking makes nothing"
    (tmp_path / "edgewise").write_text("in the way")
    assert found()["cache folder"].status == "problem"


def test_completion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/bin/zsh")
    assert found()["shell completion"].mend == "edgewise --install-completion"
    (tmp_path / ".zfunc").mkdir()
    (tmp_path / ".zfunc" / "_edgewise").touch()
    assert found()["shell completion"].status == "ok"


def test_a_look_that_fails_is_a_finding(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails() -> list[Device]:
        raise DeviceError("the bus is on fire")

    monkeypatch.setattr(inventory, "devices", fails)
    assert run(["doctor", "--json"]) == 0
    told = {row["what"]: row for row in map(json.loads, capfd.readouterr().out.splitlines())}
    assert told["devices"]["status"] == "problem"
    assert told["devices"]["detail"] == "the bus is on fire"
    assert "shell completion" in told, "the looks after it are still taken"
    assert set(told["python"]) == {"what", "status", "needed_for", "detail", "mend"}


def test_for_people(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["doctor"]) == 0
    shown = capfd.readouterr().out
    assert "runtime broken on host" in shown
    assert "device adb:X: allow debugging on its screen" in shown
