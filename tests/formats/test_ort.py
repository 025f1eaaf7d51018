"""ONNX Runtime's own format: written by ONNX Runtime, read as the ONNX model it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import FLOAT, MemoryFile, graph, helper, model, node, value

from edgewise.analysis.summary import summarise
from edgewise.archive import DiskFile
from edgewise.errors import EdgewiseError
from edgewise.formats import ort
from edgewise.graph import Kind
from edgewise.records import Model


def saved(proto: Any, folder: Path, optimise: bool = False) -> Path:
    """The model as ONNX Runtime saves it in its own format."""
    runtime = pytest.importorskip("onnxruntime")
    path = folder / "m.ort"
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(path)
    options.add_session_config_entry("session.save_model_format", "ORT")
    level = runtime.GraphOptimizationLevel
    options.graph_optimization_level = (
        level.ORT_ENABLE_EXTENDED if optimise else level.ORT_DISABLE_ALL
    )
    runtime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return path


def small() -> Any:
    """Convolution, activation, reshape, product."""
    weights = {
        "w": np.arange(4 * 3 * 9, dtype=np.float32).reshape(4, 3, 3, 3),
        "s": np.array([1, -1], np.int64),
        "d": np.ones((4 * 36, 5), np.float32),
    }
    return model(
        [node("Conv", "x w", "c", pads=[0, 0, 0, 0]), node("Relu", "c", "r"),
         node("Reshape", "r s", "f"), node("MatMul", "f d", "y")],
        [value("x", ["N", 3, 8, 8])], [value("y", None)], weights, opset=17,
    )  # fmt: skip


def summary(path: Path) -> Model:
    return summarise(DiskFile(path), weights=True)


@pytest.mark.parametrize("optimise", [False, True])
def test_is_the_model_it_was_made_from(tmp_path: Path, optimise: bool) -> None:
    (tmp_path / "m.onnx").write_bytes(small().SerializeToString())
    made, source = summary(saved(small(), tmp_path, optimise)), summary(tmp_path / "m.onnx")
    assert (made.format, made.status, made.level) == ("ort", "parsed", "graph")
    assert made.macs == source.macs == 36 * 4 * 27 + 144 * 5
    assert made.parameters == source.parameters and made.inputs == source.inputs
    assert made.companions == () and made.tensors is not None and source.tensors is not None
    kept = {row.fingerprint for row in made.tensors}
    assert {row.fingerprint for row in source.tensors} <= kept


def test_branches_are_bodies(tmp_path: Path) -> None:
    branches = {
        f"{name}_branch": graph(
            [node("MatMul", "x w", name)],
            [],
            [helper.make_tensor_value_info(name, FLOAT, [2, 3])],
            {"w": np.ones((4, 3), np.float32)},
        )
        for name in ("then", "else")
    }
    proto = model(
        [node("If", "b", "y", **branches)],
        [value("x", [2, 4]), value("b", [], 9)], [value("y", None)], opset=17,
    )  # fmt: skip
    path = saved(proto, tmp_path)
    (layer,) = (each for each in ort.read(DiskFile(path)).layers if each.kind is Kind.IF)
    assert len(layer.bodies) == 2 and summary(path).macs == 2 * 4 * 3


def test_what_is_cut_or_changed_is_refused_with_a_reason(tmp_path: Path) -> None:
    content = saved(small(), tmp_path).read_bytes()
    for size in (4, 8, 40, len(content) // 2, len(content) - 200):
        with pytest.raises(EdgewiseError):
            ort.read(MemoryFile(content[:size], "m.ort"))
    for at in range(8, len(content), 61):
        changed = bytearray(content)
        changed[at] ^= 0xFF
        try:
            ort.read(MemoryFile(bytes(changed), "m.ort"))
        except EdgewiseError as error:
            assert error.message
