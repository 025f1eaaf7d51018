"""Measurements against the first: a ratio with its interval, and "can't tell" where it holds 1."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgewise.bench import comparing
from edgewise.bench.plan import Plan, Settings
from edgewise.bench.run import Outline, measure
from edgewise.devices import cores
from edgewise.errors import DeviceError, UsageError
from edgewise.records import Context, DeviceFacts, Measurement, Sample, Target


def measured(scale: float, rounds: int, seed: int, **context: object) -> Measurement:
    """A model of 1 ms × scale; rounds of all seeds share what the machine did meanwhile."""
    machine, own = np.random.default_rng(1), np.random.default_rng(seed)
    samples = tuple(
        Sample(process=number, phase="timed", index=index, ms=scale * level * own.normal(1, 0.005))
        for number, level in enumerate(machine.normal(1, 0.1, rounds))
        for index in range(20)
    )
    return Measurement(
        model="m.tflite", sha256="ab", target=Target(), stability="stable", samples=samples,
        context=Context(cpu_model="a", **context),  # type: ignore[arg-type]
    )  # fmt: skip


def test_three_percent_are_found_and_nothing_is_not() -> None:
    found = comparing.against_first(
        [measured(1.0, 10, 2), measured(1.03, 10, 3), measured(1.0, 10, 4)]
    )
    assert [each.verdict for each in found] == ["slower", "can't tell"]
    slower, same = found
    assert slower.low and slower.high and slower.low < 1.03 < slower.high
    assert same.low and same.high and same.low < 1 < same.high
    assert slower.rounds == 10 and not slower.notes


def test_what_weakens_a_comparison_is_said() -> None:
    (few,) = comparing.against_first([measured(1.0, 3, 2), measured(1.0, 3, 3)])
    assert any("large differences only" in note for note in few.notes)
    (one,) = comparing.against_first([measured(1.0, 1, 2), measured(2.0, 1, 3)])
    assert one.verdict == "can't tell" and one.ratio is None
    (other,) = comparing.against_first(
        [measured(1.0, 10, 2), measured(1.0, 10, 3, governor="powersave")]
    )
    assert any("governor" in note for note in other.notes)
    runtimes = [
        measured(1.0, 10, 2, versions={"litert": "2", "edgewise": "1"}),
        measured(1.0, 10, 3, versions={"openvino": "5", "edgewise": "1"}),
    ]
    assert not comparing.against_first(runtimes)[0].notes
    with pytest.raises(UsageError, match="two measurements"):
        comparing.against_first([measured(1.0, 10, 2)])


def test_the_verb_compares_what_it_measured(
    digits: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    from edgewise.cli.main import run

    pytest.importorskip("onnxruntime")
    short = ["--processes", "2", "--load-processes", "0", "--evicted-processes", "0", "--runs",
             "3", "--min-time", "0", "--warmup", "1"]  # fmt: skip
    files = [str(digits / f"digits-{size}.onnx") for size in ("s", "xl")]
    assert run(["bench", *files, *short, "--compare", "--json"]) == 0
    *_, line = capfd.readouterr().out.splitlines()
    found = json.loads(line)["comparison"]
    assert found["model"].endswith("xl.onnx") and found["ratio"] > 1
    assert run(["bench", *files, *short, "--compare"]) == 0
    captured = capfd.readouterr()
    assert "2 targets, 4 processes in random order: " in captured.err
    assert "against digits-s.onnx" in captured.out


def test_groups_of_cpus_by_name(digits: Path) -> None:
    facts = DeviceFacts(big=(4, 5), little=(0, 1, 2, 3))
    assert cores.named("big", facts) == (4, 5)
    assert cores.named("1-2", facts) == (1, 2)
    with pytest.raises(DeviceError, match="no little CPUs"):
        cores.named("little", DeviceFacts())
    with pytest.raises(UsageError, match="like 0-3"):
        Plan(paths=("m",), cpus=("upper",))
    with pytest.raises(UsageError, match="give one"):
        Plan(paths=("m",), cpus=("0",), affinity=(0,))
    plan = Plan(paths=("m",), cpus=("big", "0"))
    affinities = plan.affinities(facts)
    targets = plan.targets("onnx", affinities=affinities)
    assert [each.affinity for each in targets] == [(4, 5), (0,)]


def test_what_is_to_come_is_told_first(digits: Path) -> None:
    pytest.importorskip("onnxruntime")
    settings = Settings(
        processes=1, load_processes=0, evicted_processes=0, runs=1, min_time_s=0, max_time_s=7
    )
    told: list[Outline] = []
    path = str(digits / "digits-s.onnx")
    measure(Plan(paths=(path,), threads=(1, 2), settings=settings), on_start=told.append)
    (outline,) = told
    assert (outline.targets, outline.processes) == (2, 2)
    assert 0 < outline.least_s < outline.most_s and outline.most_s >= 14
