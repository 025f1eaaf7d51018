"""What quantisation bought: pairs of one network, before and after."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from edgewise.records import (
    AccuracyRow,
    Context,
    Distribution,
    Energy,
    Measurement,
    Model,
    Target,
    TensorRow,
)
from edgewise.report import quantised
from edgewise.report.parts import Ask
from edgewise.store import Store


def model(name: str, kind: str, weight_bytes: int, macs: int = 1000, **more: Any) -> Model:
    return Model(
        path=f"{name}.tflite", format="tflite", sha256=name, size_bytes=weight_bytes + 50,
        quantization=kind, weight_bytes=weight_bytes, macs=macs, parameters=100, **more,
    )  # fmt: skip


def measured(name: str, ms: float, runtime: str = "litert", joules: float = 0.0) -> Measurement:
    energy = Energy(inference_j=joules, mean_w=1.0, idle_w=None, method="battery")
    return Measurement(
        model=f"{name}.tflite", sha256=name, target=Target(runtime=runtime),
        latency_ms=Distribution(n=100, mean=ms, p50=ms), context=Context(cpu_model="CPU"),
        energy=energy if joules else None,
    )  # fmt: skip


def accuracy(name: str, percent: float, data: str = "held.npz") -> AccuracyRow:
    return AccuracyRow(
        model=name, path=name, data=data, n=200, correct=int(2 * percent), accuracy=percent,
        ci95_low=percent - 1, ci95_high=percent + 1, sha256=name,
    )  # fmt: skip


def pairs(store: Store) -> list[dict[str, Any]]:
    with Ask(store) as ask:
        parts = quantised.parts(ask)
    return parts[-1].numbers.objects() if parts else []


def test_one_number_type_is_no_pair(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([model("a", "none", 400), model("b", "none", 400)])
    assert pairs(store) == []


def test_before_and_after_on_the_same_target(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([model("wide", "none", 400), model("narrow", "full", 100)])
    store.append([
        measured("wide", 1.0, "onnxruntime"), measured("wide", 8.0, joules=0.4),
        measured("narrow", 2.0, joules=0.1), accuracy("wide", 90.0), accuracy("narrow", 89.0),
    ])  # fmt: skip
    (row,) = pairs(store)
    assert (row["before"], row["after"], row["told_by"]) == (
        "wide.tflite", "narrow.tflite", "equal work and parameters"
    )  # fmt: skip
    assert (row["bytes_ratio"], row["time_ratio"], row["energy_ratio"]) == (0.25, 0.25, 0.25)
    assert row["accuracy_points"] == pytest.approx(-1.0)
    assert (row["before_ms"], row["runs"], row["inputs"]) == (8.0, 100, 200)


def test_what_does_not_compare_is_not_compared(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([model("wide", "none", 400), model("narrow", "float16", 200)])
    store.append([accuracy("wide", 90.0), accuracy("narrow", 99.0, data="easier.npz")])
    (row,) = pairs(store)
    assert row["bytes_ratio"] == 0.5
    assert {row[name] for name in ("time_ratio", "accuracy_points", "energy_ratio")} == {None}


def test_two_networks_of_equal_work_are_not_told_apart_by_it(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([model("a", "none", 400), model("b", "none", 404), model("c", "full", 100)])
    assert pairs(store) == []


def test_weights_tell_where_work_does_not(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)

    def layers(dtype: str, training: int, off: float = 0.0) -> tuple[TensorRow, ...]:
        sketches = [[math.cos(training * (12 * i + k)) + off for k in range(12)] for i in range(4)]
        return tuple(
            TensorRow(name=f"w{i}", dtype=dtype, shape=(90 + i,), elements=90 + i,
                      size_bytes=400, sketch=tuple(sketch))
            for i, sketch in enumerate(sketches)
        )  # fmt: skip

    store.append([
        model("wide", "none", 400, tensors=layers("float32", 1)),
        model("other", "none", 400, tensors=layers("float32", 2)),
        model("narrow", "full", 100, macs=2000, tensors=layers("int8", 1, 0.01)),
    ])  # fmt: skip
    (row,) = pairs(store)
    assert (row["before"], row["after"], row["told_by"]) == (
        "wide.tflite", "narrow.tflite", "weights"
    )  # fmt: skip
