"""The contract: options by name, coverage, and a runtime that another package brings."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from edgewise import plugins
from edgewise.bench.plan import Plan, Settings
from edgewise.bench.run import measure
from edgewise.errors import RuntimeRefused
from edgewise.records import RuntimeOption
from edgewise.runtimes import contract, registry, runner

TOY = """
from edgewise.records import Delegation, Port, RuntimeInfo, RuntimeOption
from edgewise.runtimes.contract import Session, checked

NAME, EXTRA, FORMATS, DEFAULT_DELEGATE = "toy", "toy", ("onnx",), "abacus"
OPTIONS = (RuntimeOption(name="beads", help="how many", values=("7", "10"), default="10"),)


def info():
    return RuntimeInfo(name=NAME, version="1", delegates=("abacus",), formats=FORMATS)


def load(path, *, threads, delegate, options=None, profile=None):
    return Loaded(checked(NAME, OPTIONS, options))


class Loaded(Session):
    inputs = (Port(name="x", shape=(1, 2), dtype="float32"),)
    outputs = (Port(name="y", shape=(1, 2), dtype="float32"),)

    def __init__(self, options):
        self.options = options

    def resize(self, shapes):
        pass

    def feed(self, values):
        self.values = values

    def invoke(self):
        return sum(range(1000))

    def results(self):
        return {"y": self.values["x"] * 2}

    def coverage(self):
        return Delegation(delegate="abacus", operators=3, delegated=2, partitions=1,
                          fell_back={"Softmax": 1})

    def used(self):
        return {"beads": self.options["beads"]}
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """A package outside this one that brings a runtime, for this process and its workers."""
    (tmp_path / "toy_runtime_here.py").write_text(TOY)
    info = tmp_path / "toy_runtime_here-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy_runtime_here\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[edgewise.runtimes]\ntoy = toy_runtime_here\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv(
        "PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    )
    plugins.declared.cache_clear()
    yield tmp_path
    plugins.declared.cache_clear()


def test_a_runtime_of_another_package_is_listed_last_and_measured(toy: Path, digits: Path) -> None:
    assert registry.runtimes()[-1].NAME == "toy"
    assert registry.names_for("onnx")[-1] == "toy"
    settings = Settings(
        processes=1, load_processes=0, evicted_processes=0, runs=3, min_time_s=0, warmup_runs=0
    )
    plan = Plan(paths=(str(digits / "digits-s.onnx"),), runtimes=("toy",), settings=settings)
    (found,) = measure(plan)
    assert found.status == "ok", found.reason
    assert (found.target.runtime, found.target.delegate) == ("toy", "abacus")
    assert found.coverage is not None and found.coverage.fell_back == {"Softmax": 1}
    assert "abacus took 2 of 3 operators in 1 piece; not 1 Softmax" in found.notes
    assert found.context.versions["toy"] == "1"


def test_options_are_checked_by_name_and_value() -> None:
    offered = (
        RuntimeOption(name="mode", help="how", values=("a", "b"), default="a"),
        RuntimeOption(name="file", help="where"),
    )
    assert contract.checked("toy", offered, None) == {"mode": "a"}
    assert contract.checked("toy", offered, {"mode": "b", "file": "f"}) == {
        "mode": "b",
        "file": "f",
    }
    with pytest.raises(RuntimeRefused, match=r"no option 'colour'; it has mode, file"):
        contract.checked("toy", offered, {"colour": "red"})
    with pytest.raises(RuntimeRefused, match=r"option mode takes a, b, not 'c'"):
        contract.checked("toy", offered, {"mode": "c"})


def test_the_runner_resizes_only_when_shapes_change(digits: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    model = runner.load("litert", digits / "digits-s.tflite")
    asked: list[object] = []
    resize = model.session.resize
    model.session.resize = lambda shapes: (asked.append(shapes), resize(shapes))[1]  # type: ignore
    (port,) = model.session.inputs
    shape = port.shape or ()
    for batch in (1, 1, 2):
        values = {port.name: np.zeros((batch, *shape[1:]), "float32")}
        model.run(values)
        (result,) = model.session.results().values()
        assert len(result) == batch
        assert model.invoke_ns > 0
    assert len(asked) == 2


def test_litert_without_a_delegate_has_nothing_that_fell_back(digits: Path) -> None:
    pytest.importorskip("ai_edge_litert")
    found = {}
    for delegate in ("xnnpack", "none"):
        model = runner.load("litert", digits / "digits-s.tflite", delegate=delegate)
        model.resize({p.name: p.shape or () for p in model.session.inputs})
        found[delegate] = model.session.coverage()
    took, own = found["xnnpack"], found["none"]
    assert took is not None and own is not None
    assert took.operators == own.operators
    assert took.delegated is not None and took.operators is not None
    assert took.delegated + sum(took.fell_back.values()) == took.operators
    # The arithmetic on shapes between the partitions is LiteRT's own.
    assert took.partitions == 2 and "SHAPE" in took.fell_back
    assert (own.delegated, own.partitions, own.fell_back) == (0, 0, {})
    assert own.reason is not None


@pytest.mark.corpus
def test_a_graph_that_is_taken_in_pieces_says_what_was_left(corpus: Path) -> None:
    path = next((corpus / "models/tflite").glob("*hed_lite_model_quantize*"))
    model = runner.load("litert", path)
    model.resize({p.name: p.shape or () for p in model.session.inputs})
    found = model.session.coverage()
    assert found is not None
    assert (found.operators, found.delegated, found.partitions) == (81, 52, 9)
    assert found.fell_back == {"CONV_2D": 20, "DEPTHWISE_CONV_2D": 9}
