"""Energy beside worker processes: a meter that runs, one of another package, a declared power."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewise import plugins
from edgewise.bench import metering
from edgewise.bench.plan import Plan, Settings
from edgewise.bench.run import measure
from edgewise.energy import computing
from edgewise.energy.meters import registry
from edgewise.energy.meters.files import Folder
from edgewise.energy.meters.polled import Polled
from edgewise.errors import UsageError
from edgewise.records import Energy, RailEnergy

WATTS = 20.0
SHORT = {
    "processes": 1, "load_processes": 0, "evicted_processes": 0, "runs": 3, "min_time_s": 0.0,
    "warmup_runs": 1, "energy_processes": 2, "energy_s": 0.4,
}  # fmt: skip


@pytest.fixture
def powercap(tmp_path: Path) -> Iterator[Path]:
    """A system's root whose processor takes 20 W for as long as the test runs."""
    zone = tmp_path / "sys/class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    (zone / "name").write_text("package-0\n")
    (zone / "max_energy_range_uj").write_text("262143328850\n")
    begin, stop = time.monotonic(), threading.Event()

    def write() -> None:
        # As the kernel does: a reader finds a whole number, never half a file.
        draft = zone.parent / "draft"
        draft.write_text(f"{round((time.monotonic() - begin) * WATTS * 1e6)}\n")
        draft.replace(zone / "energy_uj")

    def count() -> None:
        while not stop.wait(0.005):
            write()

    write()
    thread = threading.Thread(target=count)
    thread.start()
    yield tmp_path
    stop.set()
    thread.join()


def test_joules_of_a_counter_that_runs(powercap: Path, digits: Path) -> None:
    pytest.importorskip("onnxruntime")
    settings = Settings(**SHORT, meter="rapl", meter_root=powercap)  # type: ignore[arg-type]
    (found,) = measure(Plan(paths=(str(digits / "digits-s.onnx"),), settings=settings))
    energy = found.energy
    assert energy is not None, found.notes
    assert energy.method == "rapl"
    assert energy.mean_w == pytest.approx(WATTS, rel=0.15)
    assert energy.idle_w == pytest.approx(WATTS, rel=0.15)
    assert energy.inferences and energy.inference_j and energy.gross_j
    assert energy.inference_j == pytest.approx(energy.gross_j / energy.inferences)
    assert energy.ci95_low_j is not None and energy.ci95_high_j is not None
    assert energy.ci95_low_j < energy.ci95_high_j
    assert [rail.name for rail in energy.rails] == ["package-0"]


def test_a_meter_that_is_not_there_is_refused_before_anything_runs(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no meter 'rapl' on this machine"):
        Settings(meter="rapl", meter_root=tmp_path)
    with pytest.raises(UsageError, match=r"edgewise energy"):
        Settings(meter="monsoon", meter_root=tmp_path)
    with pytest.raises(UsageError, match="known: rapl"):
        Settings(meter="sundial", meter_root=tmp_path)
    with pytest.raises(UsageError, match="no power model 'sundial'"):
        Settings(meter="model:sundial")


def test_a_declared_power_is_labelled_and_never_taken_for_metered(digits: Path) -> None:
    pytest.importorskip("onnxruntime")
    settings = Settings(**SHORT, meter="model:pixel-3")  # type: ignore[arg-type]
    (found,) = measure(Plan(paths=(str(digits / "digits-s.onnx"),), settings=settings))
    energy = found.energy
    assert energy is not None and energy.method == "model:pixel-3"
    assert energy.inference_j is energy.gross_j is None
    assert energy.net_inference_j and "nothing was metered" in (energy.boundary or "")
    assert computing.metered(energy, 1.0) is None


def test_processes_add_up_and_one_that_cannot_be_known_spoils_the_sum() -> None:
    def part(gross: float, net: float) -> Energy:
        return Energy(
            inference_j=gross / 10, mean_w=gross / 2, idle_w=1.0, method="toy", gross_j=gross,
            net_j=net, active_s=2.0, inferences=10,
            rails=(RailEnergy(name="all", gross_j=gross, net_j=net, idle_w=1.0),),
        )  # fmt: skip

    found = metering.together([part(10.0, 8.0), part(12.0, 10.0)])
    assert found is not None
    assert (found.gross_j, found.net_j, found.inferences) == (22.0, 18.0, 20)
    assert (found.inference_j, found.net_inference_j) == (1.1, 0.9)
    assert (found.mean_w, found.idle_w) == (5.5, 1.0)
    assert found.rails[0].net_j == 18.0
    spoilt = Energy(inference_j=None, mean_w=None, idle_w=None, method="toy", reason="charging")
    assert metering.together([part(10.0, 8.0), spoilt]) is None
    assert metering.reasons([part(10.0, 8.0), spoilt, spoilt]) == ["charging"]
    assert metering.together([]) is None


def test_metered_energy_prefers_what_is_above_idle() -> None:
    energy = Energy(inference_j=0.5, mean_w=5.0, idle_w=1.0, method="rapl", net_inference_j=0.25)
    found = computing.metered(energy, 100.0)
    assert found is not None and found.inference_j == 0.25


TOY = """
from edgewise.energy.meters.contract import Recording, Track

NAME, HELP, HOMES = "toy", "a toy", ("sys/toy",)


class Gauge:
    name, boundary, rate_hz, paths = "toy", "a toy", 50.0, ("watts",)

    def interpret(self, moments, texts):
        watts = [float(text) for text in texts["watts"]]
        return Recording(self.name, self.boundary, (Track("all", "power", list(moments), watts),))


def gauge(files):
    return Gauge() if "watts" in files.names() else None


def read_log(path):
    return None
"""


def test_a_meter_of_another_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_meter_here.py").write_text(TOY)
    info = tmp_path / "toy_meter_here-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy_meter_here\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[edgewise.meters]\ntoy = toy_meter_here\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    plugins.declared.cache_clear()
    try:
        (tmp_path / "sys/toy").mkdir(parents=True)
        (tmp_path / "sys/toy/watts").write_text("3\n")
        assert registry.kinds()[-1].NAME == "toy"
        files = Folder(tmp_path)
        gauge = registry.find(files)
        assert gauge is not None and gauge.name == "toy"
        meter = Polled(gauge, files)
        meter.start()
        meter.stop()
        (track,) = meter.samples().tracks
        assert set(track.values) == {3.0} and len(track.times_s) >= 2
        Settings(meter="toy", meter_root=tmp_path)
    finally:
        plugins.declared.cache_clear()


def test_joules_in_the_table() -> None:
    from edgewise.cli.bench_print import joules_each

    def energy(joules: float | None, method: str = "rapl") -> Energy:
        return Energy(
            inference_j=None, mean_w=None, idle_w=None, method=method, net_inference_j=joules
        )

    assert joules_each(energy(0.25)) == "0.25 J"
    assert joules_each(energy(0.0025, "model:x")) == "2.5 mJ (declared)"
    assert joules_each(energy(3e-9)) == "3 nJ"
    assert joules_each(energy(None)) == joules_each(None) == "–"
