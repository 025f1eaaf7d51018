"""What ONNX Runtime's quantiser and optimiser write is the same network to us."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import model, node, onnx, value

from edgewise.archive import DiskFile
from edgewise.formats import onnx as reader
from edgewise.graph import Graph, Kind

ort = pytest.importorskip("onnxruntime")
quantization = pytest.importorskip("onnxruntime.quantization")

_COMPUTE = (Kind.CONV, Kind.MATMUL)


def _network(path: Path) -> None:
    chance = np.random.default_rng(1)
    weights = {
        "w1": (8, 3, 3, 3), "b1": (8,), "w2": (8, 1, 3, 3), "w3": (8, 4),
    }  # fmt: skip
    proto = model(
        [
            node("Conv", "x w1 b1", "a", pads=[1, 1, 1, 1], kernel_shape=[3, 3]),
            node("Relu", "a", "b"),
            node("Conv", "b w2", "c", pads=[1, 1, 1, 1], kernel_shape=[3, 3], group=8),
            node("Add", "b c", "d"),
            node("GlobalAveragePool", "d", "e"),
            node("Flatten", "e", "f"),
            node("MatMul", "f w3", "y"),
        ],
        [value("x", [1, 3, 16, 16])], [value("y", [1, 4])],
        {name: chance.normal(size=shape).astype(np.float32) for name, shape in weights.items()},
        opset=17, ir_version=8, domains=(),
    )  # fmt: skip
    onnx.save(proto, path)


class _OneSample:
    """The data a quantiser calibrates with."""

    def __init__(self) -> None:
        self._left = [{"x": np.ones((1, 3, 16, 16), np.float32)}]

    def get_next(self) -> Any:
        return self._left.pop() if self._left else None


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Graph]:
    """The network as it is, quantised in three ways, and each of those optimised."""
    folder = tmp_path_factory.mktemp("onnx")
    plain = folder / "plain.onnx"
    _network(plain)
    quantization.quantize_dynamic(plain, folder / "dynamic.onnx")
    for style in quantization.QuantFormat:
        target = folder / f"{style.name}.onnx"
        quantization.quantize_static(plain, target, _OneSample(), quant_format=style)
    options = ort.SessionOptions()
    options.log_severity_level = 4
    for path in list(folder.glob("*.onnx")):
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        options.optimized_model_filepath = str(folder / f"{path.stem}_optimised.onnx")
        ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return {path.stem: reader.read(DiskFile(path)) for path in folder.glob("*.onnx")}


def test_nothing_that_it_writes_is_unknown(written: dict[str, Graph]) -> None:
    assert len(written) == 8
    for name, graph in written.items():
        assert all(layer.kind is not Kind.UNKNOWN for layer in graph.layers), name
        assert all(tensor.dtype != "unknown" for tensor in graph.tensors), name


def test_the_layers_that_multiply_stay_with_weights_of_the_same_shapes(
    written: dict[str, Graph],
) -> None:
    for name, graph in written.items():
        layers = [layer for layer in graph.layers if layer.kind in _COMPUTE]
        shapes = []
        for layer in layers:
            assert layer.inputs[1] is not None
            shapes.append(graph.tensors[layer.inputs[1]].shape)
        expected = [(8, 3, 3, 3), (8, 1, 3, 3), (8, 4)]
        stated = [shape for shape in shapes if shape is not None]
        assert len(layers) == 3, name
        assert all(shape in expected for shape in stated), name


def test_stored_integers_know_their_scales(written: dict[str, Graph]) -> None:
    for name in ("dynamic", "QOperator", "QDQ"):
        graph = written[name]
        weights = [t for t in graph.tensors if t.weights and t.dtype in ("int8", "uint8")]
        matrices = [tensor for tensor in weights if tensor.shape and len(tensor.shape) > 1]
        assert matrices, name
        if name != "dynamic":  # ConvInteger's scales are applied by a later Mul
            assert all(tensor.quantization is not None for tensor in matrices), name
