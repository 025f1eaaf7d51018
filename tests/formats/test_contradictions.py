"""Layers whose sizes contradict each other, and those that only look so: as the runtimes judge.

Every case is given to the runtime too: what it refuses has no count and a reason, what it runs has
the shape that it gives. Each line stands for a check of a rule.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_models import MemoryFile, model, node, value

from edgewise.analysis.cost import layer_costs, total
from edgewise.analysis.shapes import propagate
from edgewise.formats import onnx as onnx_format
from edgewise.formats import tflite as tflite_format
from edgewise.graph import Graph


def w(*shape: int) -> Any:
    """Weights: zeros."""
    return np.zeros(shape, np.float32)


def n(*values: int) -> Any:
    """A small constant of whole numbers."""
    return np.array(values, np.int64)


def f(*values: float) -> Any:
    """A small constant of reals."""
    return np.array(values, np.float32)


ONNX: list[tuple[str, list[Any], dict[str, Any]]] = [
    ("Conv", [[1, 3, 5, 5], w(4, 2, 3, 3)], {"group": 3}),
    ("Conv", [[1, 4, 5, 5], w(3, 2, 3, 3)], {"group": 2}),
    ("Conv", [[1, 3, 1, 5], w(4, 3, 2, 2)], {}),
    ("Conv", [[1, 3, 5, 5], w(4, 3, 3)], {}),
    ("Conv", [[1, 3, 5, 5], w(4, 3, 3, 3), w(3)], {}),
    ("Conv", [[1, 3, 5, 5], w(4, 3, 3, 3), w(4)], {"strides": [2, 2], "pads": [1, 0, 1, 0]}),
    ("ConvTranspose", [[1, 3, 5, 5], w(4, 2, 3, 3)], {}),
    ("ConvTranspose", [[1, 3, 2, 2], w(3, 2, 3, 3)], {"pads": [3, 3, 3, 3]}),
    ("ConvTranspose", [[1, 3, 2, 2], w(3, 2, 3, 3)], {"output_padding": [2, 2]}),
    ("ConvTranspose", [[1, 4, 5, 4], w(4, 1, 2, 1)], {"output_shape": [5, 8]}),
    ("ConvTranspose", [[1, 2, 2, 1], w(2, 1, 3, 1)],
     {"strides": [1, 2], "auto_pad": "SAME_UPPER"}),
    ("MaxPool", [[1, 1, 1, 4]], {"kernel_shape": [2, 2], "strides": [2, 2]}),
    ("MaxPool", [[1, 1, 1, 4]], {"kernel_shape": [3, 2]}),
    ("MaxPool", [[1, 1, 4, 4]], {"kernel_shape": [2, 2], "pads": [2, 0, 0, 0]}),
    ("AveragePool", [[1, 1, 2, 4]], {"kernel_shape": [3, 3], "strides": [2, 2]}),
    ("AveragePool", [[1, 1, 4, 4]], {"kernel_shape": [3]}),
    ("GlobalAveragePool", [[2, 3]], {}),
    ("Add", [[2, 3], [3, 3]], {}),
    ("Add", [[2, 3], [2, 1]], {}),
    ("Where", [np.ones((2, 2), bool), [2, 3], [1]], {}),
    ("MatMul", [[2, 3], [2, 3]], {}),
    ("MatMul", [[2, 2, 3], [3, 3, 4]], {}),
    ("MatMul", [[3], [3, 4]], {}),
    ("Gemm", [[2, 3], [3, 4], w(2, 3)], {}),
    ("Gemm", [[2, 3, 3], [3, 4]], {}),
    ("Gemm", [[2, 3], [4, 3], w(4)], {"transB": 1}),
    ("LSTM", [[5, 1, 7], w(1, 32, 8), w(1, 32, 8)], {"hidden_size": 8}),
    ("LSTM", [[5, 1, 8], w(1, 32, 8), w(1, 32, 8)], {"hidden_size": 16}),
    ("GRU", [[5, 1, 8], w(1, 24, 8), w(1, 24, 8), w(1, 24)], {"hidden_size": 8}),
    ("Reshape", [[2, 5], n(1, 5)], {}),
    ("Reshape", [[2, 5], n(-1, 4)], {}),
    ("Reshape", [[2, 5], n(-1, -1)], {}),
    ("Reshape", [[2, 6], n(0, -1, 3)], {}),
    ("Squeeze", [[1, 7, 1], n(1)], {}),
    ("Unsqueeze", [[2, 3], n(0, 0)], {}),
    ("Flatten", [[2, 3]], {"axis": 3}),
    ("Transpose", [[2, 3, 4]], {"perm": [0, 1, 1]}),
    ("Concat", [[1, 2], [2, 2]], {"axis": 1}),
    ("Concat", [[1, 2], [2, 2]], {"axis": 0}),
    ("Concat", [[1, 2], [1, 2, 3]], {"axis": 0}),
    ("Split", [[10, 2], n(4, 4)], {"axis": 0, "outputs": 2}),
    ("Split", [[10, 2], n(4, 6)], {"axis": 0, "outputs": 2}),
    ("Slice", [[5], n(0), n(2**62), n(0), n(-1)], {}),
    ("Slice", [[5], n(1), n(9), n(0), n(0)], {}),
    ("Gather", [[3, 2], n(3)], {"axis": 0}),
    ("Gather", [[3, 2], n(-3)], {"axis": 0}),
    ("Gather", [[3, 2], n(0)], {"axis": 2}),
    ("GatherElements", [[2, 3], np.zeros((3, 3), np.int64)], {"axis": 1}),
    ("GatherND", [[2, 3], np.zeros((2, 3), np.int64)], {}),
    ("ScatterElements", [[2, 3], np.zeros((1, 2), np.int64), w(2, 2)], {"axis": 1}),
    ("ScatterND", [[2, 3], np.zeros((1, 1), np.int64), w(1, 2)], {}),
    ("Pad", [[2, 3], n(0, -4, 0, 0)], {}),
    ("Pad", [[2, 3], n(0, 0, 1)], {}),
    ("Tile", [[2, 3], n(2)], {}),
    ("Expand", [[2, 3], n(3, 3)], {}),
    ("SpaceToDepth", [[1, 3, 5, 5]], {"blocksize": 2}),
    ("DepthToSpace", [[1, 6, 2, 2]], {"blocksize": 2}),
    ("ReduceSum", [[2, 3], n(2)], {}),
    ("ArgMax", [[2, 3]], {"axis": 2}),
    ("Softmax", [[2, 3]], {"axis": 2}),
    ("CumSum", [[2, 3], np.array(2)], {}),
    ("LayerNormalization", [[2, 3, 4], w(3)], {"axis": -1}),
    ("LayerNormalization", [[2, 3, 4], w(3, 4)], {"axis": -1}),
    ("BatchNormalization", [[1, 3, 4], w(3), w(3), w(2), w(3)], {}),
    ("TopK", [[2, 3], n(4)], {"outputs": 2}),
    ("OneHot", [np.zeros(2, np.int64), n(0), f(0, 1)], {}),
    ("Resize", [[1, 1, 5, 5], None, f(1, 1, 2)], {}),
    ("Resize", [[1, 1, 65, 3], None, f(1, 1, 1.4, 1)], {"mode": "nearest"}),
    ("GridSample", [[1, 1, 4, 4], w(1, 2, 2, 3)], {}),
    ("Det", [[2, 3, 4]], {}),
    ("Trilu", [[3]], {}),
    ("RoiAlign", [[1, 2, 4, 4], w(3, 5), np.zeros(3, np.int64)], {}),
    ("ReverseSequence", [[3, 2], np.ones(3, np.int64)], {}),
    ("Einsum", [[2, 3], [4, 5]], {"equation": "ij,jk->ik"}),
    ("Einsum", [[2, 3], [3, 5]], {"equation": "ij,jk->ik"}),
]  # fmt: skip


def _judged(graph: Graph) -> tuple[bool, list[tuple[int, ...] | None]]:
    """Whether all layers run, and the shapes of the outputs."""
    found = propagate(graph)
    cost = total(layer_costs(graph, found))
    if found.impossible:
        assert cost.macs is None and any("cannot run" in why for why in cost.why)
    dims = [found.dims[index] for index in graph.outputs]
    return not found.impossible, [None if d is None else tuple(map(int, d)) for d in dims]


@pytest.mark.parametrize(
    ("op", "inputs", "attributes"), ONNX, ids=[f"{k}-{case[0]}" for k, case in enumerate(ONNX)]
)
def test_onnx_as_onnx_runtime(op: str, inputs: list[Any], attributes: dict[str, Any]) -> None:
    runtime = pytest.importorskip("onnxruntime")
    attributes = dict(attributes)
    made = [f"o{k}" for k in range(attributes.pop("outputs", 1))]
    named = ["-" if given is None else f"i{k}" for k, given in enumerate(inputs)]
    stored = {f"i{k}": x for k, x in enumerate(inputs) if isinstance(x, np.ndarray)}
    shapes = {f"i{k}": x for k, x in enumerate(inputs) if isinstance(x, list)}
    content = model(
        [node(op, " ".join(named), " ".join(made), **attributes)],
        [value(name, shape) for name, shape in shapes.items()],
        [value(name, None) for name in made], stored, opset=17, domains=(),
    ).SerializeToString()  # fmt: skip
    options = runtime.SessionOptions()
    options.log_severity_level = 4
    try:
        session = runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        feeds = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
        wanted = [tuple(each.shape) for each in session.run(None, feeds)]
    except Exception:  # noqa: BLE001 - the runtime has no type of its own for a refusal
        wanted = None
    runs, dims = _judged(onnx_format.read(MemoryFile(content)))
    assert runs is (wanted is not None)
    if wanted is not None:
        assert dims == wanted


def _tflite_cases() -> list[tuple[str, list[Any], Any]]:
    from tflite_models import options as o

    same, valid = 0, 1
    two = {"padding": valid, "strideW": 1, "strideH": 1}
    ints = [np.array(v, np.int32) for v in (0, 1, 2, 3)]
    return [
        ("CONV_2D", [[1, 5, 5, 3], w(4, 3, 3, 3), w(3)], o("Conv2D", **two)),
        ("CONV_2D", [[1, 5, 5, 3], w(4, 3, 3, 3), w(4)], o("Conv2D", **two)),
        ("DEPTHWISE_CONV_2D", [[1, 5, 5, 4], w(2, 3, 3, 4), w(4)], o("DepthwiseConv2D", **two)),
        ("MAX_POOL_2D", [[1, 1, 5, 2]],
         o("Pool2D", padding=valid, strideW=2, strideH=2, filterWidth=2, filterHeight=2)),
        ("FULLY_CONNECTED", [[2, 3], w(4, 2), None], o("FullyConnected", keepNumDims=True)),
        ("BATCH_MATMUL", [[2, 3], [2, 3]], o("BatchMatMul")),
        ("ADD", [[2, 3], [3, 3]], None),
        ("ADD_N", [[2, 1], [2, 2]], None),
        ("PRELU", [[2, 1], [2, 2]], None),
        ("CONCATENATION", [[1, 2], [2, 2]], o("Concatenation", axis=1)),
        ("PACK", [[1, 2], [2, 2]], o("Pack", axis=0, valuesCount=2)),
        ("SPLIT", [ints[0], [5, 2]], o("Split", numSplits=2)),
        ("SPLIT_V", [[5, 2], np.array([2, 2], np.int32), ints[0]], o("SplitV", numSplits=2)),
        ("SLICE", [[3, 3], np.array([0, 2], np.int32), np.array([2, 2], np.int32)], o("Slice")),
        ("GATHER", [[3, 2], np.array([3], np.int32)], o("Gather", axis=0)),
        ("RESHAPE", [[2, 5], np.array([1, 5], np.int32)], None),
        ("SQUEEZE", [[1, 7]], o("Squeeze", squeezeDims=[1])),
        ("PAD", [[2, 2], np.array([[0, -1], [0, 0]], np.int32)], None),
        ("MIRROR_PAD", [[2, 2], np.array([[2, 0], [0, 0]], np.int32)], o("MirrorPad", mode=0)),
        ("TILE", [[2, 2], np.array([2], np.int32)], None),
        ("BROADCAST_TO", [[2, 2], np.array([3, 2], np.int32)], None),
        ("SPACE_TO_DEPTH", [[1, 5, 4, 1]], o("SpaceToDepth", blockSize=2)),
        ("DEPTH_TO_SPACE", [[1, 2, 2, 6]], o("DepthToSpace", blockSize=2)),
        ("SPACE_TO_BATCH_ND",
         [[1, 5, 4, 1], np.array([2, 2], np.int32), np.zeros((2, 2), np.int32)], None),
        ("BATCH_TO_SPACE_ND",
         [[3, 2, 2, 1], np.array([2, 2], np.int32), np.zeros((2, 2), np.int32)], None),
        ("MEAN", [[2, 3], ints[2]], o("Reducer", keepDims=False)),
        ("SOFTMAX", [[2, 3]], o("Softmax", beta=1.0)),
        ("RESIZE_BILINEAR", [[2, 4, 4], np.array([2, 2], np.int32)], o("ResizeBilinear")),
        ("TRANSPOSE_CONV", [np.array([1, 9, 9, 4], np.int32), w(4, 3, 3, 3), [1, 2, 2, 3]],
         o("TransposeConv", padding=same, strideW=2, strideH=2)),
    ]  # fmt: skip


@pytest.mark.parametrize("case", range(29))
def test_tflite_as_litert(case: int) -> None:
    pytest.importorskip("ai_edge_litert")
    from ai_edge_litert.interpreter import Interpreter, OpResolverType
    from tflite_models import one_op

    op, inputs, options = _tflite_cases()[case]
    outputs = getattr(options, "numSplits", 1)
    content = one_op(op, inputs, [[1]] * outputs, options).content()
    without = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    try:
        session = Interpreter(model_content=content, experimental_op_resolver_type=without)
        session.allocate_tensors()
        session.invoke()
        details = session.get_output_details()
        wanted = [tuple(session.get_tensor(each["index"]).shape) for each in details]
    except (RuntimeError, ValueError):
        wanted = None
    runs, dims = _judged(tflite_format.read(MemoryFile(content, "m.tflite")))
    assert runs is (wanted is not None), op
    if wanted is not None:
        assert dims == wanted
