"""Battery by scenario: the energy room's figures, of metered models whose task fits."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs

from edgewise.energy.scenarios import Battery
from edgewise.records import Context, Distribution, Energy, Measurement, Model, Target
from edgewise.report import battery
from edgewise.report.parts import Ask, Figure
from edgewise.store import Store


def measured(name: str, ms: float, joules: float | None) -> Measurement:
    energy = Energy(inference_j=joules, mean_w=2.0, idle_w=None, method="battery",
                    net_inference_j=joules)  # fmt: skip
    return Measurement(
        model=f"{name}.tflite", sha256=name, target=Target(device="phone"),
        latency_ms=Distribution(n=100, mean=ms, p50=ms), context=Context(cpu_model="SoC"),
        energy=energy if joules else None,
    )  # fmt: skip


def model(name: str, task: str | None) -> Model:
    return Model(path=f"{name}.tflite", format="tflite", sha256=name, size_bytes=9, task=task)


def test_scenarios_of_the_task_and_why_one_cannot_be(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([model("cut", "image-segmentation"), model("slow", "segmentation")])
    store.append([model("eyes", "image classification"), model("dark", None)])
    store.append([
        measured("cut", 20.0, 0.05), measured("slow", 200.0, 0.5), measured("eyes", 9.0, None),
        measured("dark", 5.0, 0.01),
    ])  # fmt: skip
    with Ask(store) as ask:
        figure, table, unmetered = battery.parts(ask)
    assert [row["models"] for row in unmetered.numbers.objects()] == [1]
    assert isinstance(figure, Figure)
    call, slow = table.numbers.objects()
    assert call["scenario"].startswith("an hour of video call")
    assert call["energy_j"] == pytest.approx(54_000 * 0.05)
    assert call["percent_of_battery"] == pytest.approx(5400 * 0.05 * 1000 / Battery().joules)
    assert slow["energy_j"] is None
    assert "too slow" in slow["why_not"]


def test_without_a_meter_it_says_which_would_tell(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([model("cut", "image-segmentation"), measured("cut", 20.0, None)])
    with Ask(store) as ask:
        (unmetered,) = battery.parts(ask)
    (row,) = unmetered.numbers.objects()
    assert (row["device"], row["measurements"]) == ("phone", 1)
    assert "perfetto" in row["meter_needed"]


def test_a_declared_power_gives_a_modelled_figure(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    slow, fast = (
        structs.replace(measured("eyes", ms, None), target=Target(device="Pixel 3"))
        for ms in (90.0, 9.0)
    )
    store.append([model("eyes", "image classification"), slow, fast])
    with Ask(store) as ask:
        figure, table, _ = battery.parts(ask)
    assert isinstance(figure, Figure)
    assert figure.origin.startswith("modelled energy (declared power)")
    (row, *_) = table.numbers.objects()
    assert row["by"] == "model:pixel-3"
    assert row["energy_j"] == pytest.approx(row["inferences"] * 0.009 * (0.977 + 0.105))
