"""A plan refuses what is half-given or impossible, and spans its targets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgewise.bench.plan import QUICK, Plan, Settings
from edgewise.errors import UsageError


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"processes": 0}, "processes must be at least 1"),
        ({"runs": 0}, "runs must be at least 1"),
        ({"min_time_s": -1}, "min_time_s must be at least 0"),
        ({"max_time_s": 0}, "max_time_s must be above 0"),
        ({"timeout_s": 0}, "timeout_s must be above 0"),
        ({"warmup_runs": -1}, "warmup_runs must be at least 0"),
        ({"max_time_s": float("nan")}, "max_time_s"),
        ({"memory_bytes": 0}, "memory_bytes"),
    ],
)
def test_impossible_settings(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Settings(**setting)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"paths": ()}, "paths: nothing given"),
        ({"threads": (0,)}, "threads must be at least 1"),
        ({"batches": (1, 1)}, "batches: something is given twice"),
        ({"runtimes": ("abacus",)}, "no runtime 'abacus'"),
        ({"affinity": (100_000,)}, "no CPU"),
        ({"affinity": ()}, "no CPU"),
        ({"input_path": Path("x.txt")}, r"\.npy or \.npz"),
        ({"input_path": Path("missing.npy")}, "no such file"),
    ],
)
def test_impossible_plans(part: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Plan(**({"paths": ("m.tflite",)} | part))


def test_targets_are_all_combinations() -> None:
    plan = Plan(paths=("m",), delegates=("xnnpack", "none"), threads=(1, 2), batches=(1, 4))
    targets = plan.targets("tflite")
    assert len(targets) == len(set(targets)) == 8
    assert {target.runtime for target in targets} == {"litert"}


def test_auto_is_the_preferred_runtime_with_its_default() -> None:
    (target,) = Plan(paths=("m",)).targets("onnx")
    assert (target.runtime, target.delegate) == ("onnxruntime", "cpu")
    (target,) = Plan(paths=("m",), runtimes=("auto", "onnxruntime")).targets("onnx")
    assert target.runtime == "onnxruntime"


def test_no_target_where_no_wanted_runtime_runs_the_format() -> None:
    assert Plan(paths=("m",), runtimes=("litert",)).targets("onnx") == ()
    assert Plan(paths=("m",)).targets("unheard-of") == ()


def test_quick_is_quicker_and_changes_win() -> None:
    default = Settings()
    assert QUICK.processes < default.processes
    assert QUICK.max_time_s < default.max_time_s
    plan = Plan(paths=("m",), settings=QUICK).with_settings(runs=7)
    assert (plan.settings.runs, plan.settings.processes) == (7, QUICK.processes)
