"""Scenarios: so many inferences, their joules, mAh and percent of a battery."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgewise.cli.main import run
from edgewise.energy import scenarios
from edgewise.energy.power import power
from edgewise.energy.scenarios import Battery
from edgewise.errors import InputError, UsageError
from edgewise.records import Distribution, Energy, Measurement, Model, Target
from edgewise.store import Store

BATTERY = Battery(mah=4000, volts=4.0)


def measured(ms: float, joules: float | None = None, rate_hz: float | None = None) -> Measurement:
    energy = None
    if joules is not None:
        energy = Energy(
            inference_j=2 * joules, mean_w=1.0, idle_w=0.5, method="battery",
            net_inference_j=joules,
        )  # fmt: skip
    return Measurement(
        model="m.tflite", sha256="ab", target=Target(), energy=energy, rate_hz=rate_hz,
        latency_ms=Distribution(n=10, p50=ms),
    )  # fmt: skip


def test_an_hour_of_video_call() -> None:
    call = scenarios.scenario("video-call")
    found = scenarios.cost(call, measured(20, 0.1, 15), "image segmentation", BATTERY)
    assert found.inferences == 3600 * 15
    assert found.energy_j == pytest.approx(5400)
    assert found.mah == pytest.approx(5400 / 4.0 / 3.6)
    assert found.battery_percent == pytest.approx(100 * 5400 / (4 * 4.0 * 3600))
    assert found.busy_s == pytest.approx(0.02 * 54000)
    assert (found.method, found.notes) == ("battery", ())


def test_what_cannot_be_known_has_a_reason() -> None:
    call = scenarios.scenario("video-call")
    slow = scenarios.cost(call, measured(80, 0.1, 15), None, BATTERY)
    assert slow.energy_j is slow.mah is slow.battery_percent is None
    assert "15 a second leave 66.7 ms" in (slow.reason or "")
    unmetered = scenarios.cost(call, measured(20), None, BATTERY)
    assert unmetered.energy_j is None and "--power" in (unmetered.reason or "")
    untimed = scenarios.cost(
        call, Measurement(model="m", sha256=None, target=Target()), None, BATTERY
    )
    assert untimed.reason == "its time was not measured"


def test_declared_power_and_another_pace_are_said() -> None:
    call = scenarios.scenario("video-call")
    pixel = power("pixel-3")
    found = scenarios.cost(call, measured(20), None, BATTERY, pixel)
    assert found.method == "model:pixel-3"
    assert found.energy_j == pytest.approx(pixel.busy_w(1) * 0.02 * 54000)
    assert "measured back to back" in found.notes[0]
    chat = scenarios.scenario("chat")
    (note,) = scenarios.cost(chat, measured(20, 0.1), None, BATTERY).notes
    assert "prompt=64" in note


@pytest.mark.parametrize(
    ("name", "task", "fits"),
    [
        ("video-call", "image_segmentation", True), ("video-call", "object detection", False),
        ("photos", "image classification", True), ("sound", "keyword spotting", True),
        ("chat", "text generation", True), ("typing", "next-word prediction", True),
        ("photos", None, False),
    ],
)  # fmt: skip
def test_tasks_that_fit(name: str, task: str | None, fits: bool) -> None:
    assert scenarios.scenario(name).fits(task) is fits


def test_scenarios_of_ones_own_are_checked(tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    text = '[[scenario]]\nname="a"\ntitle="A"\ntasks=["x"]\ninferences=5\nsource="us"\n'
    file.write_text(text)
    assert scenarios.read_scenarios(file)["a"].inferences == 5
    for wrong in (text + text, text.replace("5", "0"), text + "speed=1\n", "", "[["):
        file.write_text(wrong)
        with pytest.raises(InputError):
            scenarios.read_scenarios(file)
    with pytest.raises(UsageError, match="known: sound, typing"):
        scenarios.scenario("yodelling")


def test_the_verb_takes_the_models_of_a_store_whose_task_fits(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    store = str(tmp_path / "store")
    opened = Store.open(store, create=True)
    model = Model(
        path="m.tflite", format="tflite", sha256="ab", size_bytes=1, status="parsed",
        task="image segmentation",
    )  # fmt: skip
    opened.append([model, measured(20, 0.1, 15)])
    assert run(["scenarios", store, "--battery", "4000", "--volts", "4", "--json"]) == 0
    (line,) = capfd.readouterr().out.splitlines()
    found = json.loads(line)
    assert (found["scenario"], found["task"]) == ("video-call", "image segmentation")
    assert found["energy_j"] == pytest.approx(5400)
    assert run(["scenarios", store]) == 0
    assert "375 mAh" not in capfd.readouterr().out  # at 3.85 V it is more
    assert run(["scenarios"]) == 0
    assert "a day's typing" in capfd.readouterr().out
