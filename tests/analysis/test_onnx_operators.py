"""ONNX's own tests of every operator: the shapes we propagate are those of their outputs.

The models state no intermediate shapes here; integer inputs are given as constants, as an exporter
writes axes and sizes. An operator without a rule may leave a shape unknown; none may be wrong.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewise.analysis.cost import layer_costs, total
from edgewise.analysis.shapes import propagate
from edgewise.archive import DiskFile
from edgewise.formats import onnx as reader
from edgewise.graph import Graph, Weights

onnx = pytest.importorskip("onnx")

#: Operators whose output sizes depend on data, or that nobody's mobile model holds, leave shapes
#: unknown. More than this share of all outputs unknown means that rules were lost.
MOST_UNKNOWN = 0.2


def cases() -> Iterator[tuple[str, Any, list[Any], list[Any]]]:
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in collect_testcases(None):
            if case.model is not None and case.data_sets:
                inputs, outputs = case.data_sets[0]
                yield case.name, case.model, list(map(array, inputs)), list(map(array, outputs))


def array(value: Any) -> Any:
    return onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def give(graph: Graph, inputs: list[Any]) -> None:
    for index, value in zip(graph.inputs, inputs, strict=False):
        if not isinstance(value, np.ndarray):
            continue
        tensor = graph.tensors[index]
        tensor.shape = value.shape
        if value.size <= 64 and str(value.dtype) in ("int32", "int64", "float32", "bool"):
            raw = np.ascontiguousarray(value).tobytes()
            tensor.dtype = str(value.dtype)
            tensor.weights = Weights(len(raw), lambda raw=raw: memoryview(raw))
    for index in graph.outputs:
        graph.tensors[index].shape = None


def test_no_operator_gives_a_wrong_shape(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    wrong: list[str] = []
    known = unknown = 0
    for name, model, inputs, outputs in cases():
        path.write_bytes(model.SerializeToString())
        graph = reader.read(DiskFile(path))
        give(graph, inputs)
        shapes = propagate(graph)
        total(layer_costs(graph, shapes))
        for index, expected in zip(graph.outputs, outputs, strict=False):
            if not hasattr(expected, "shape"):
                continue
            dims = shapes.dims[index]
            if dims is None:
                unknown += 1
            elif tuple(map(int, dims)) != np.shape(expected):
                wrong.append(f"{name}: {dims}, not {np.shape(expected)}")
            else:
                known += 1
    assert not wrong
    assert known > 1000
    assert unknown < MOST_UNKNOWN * (known + unknown)
