"""The graph in a blob of ExecuTorch's XNNPACK delegate (`XN01`), channels last throughout.

Public schema: backends/xnnpack/serialization/schema.fbs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from edgewise.formats.building import Builder, byte_size, missing, stored
from edgewise.formats.executorch.blob import NamedData, parts
from edgewise.formats.flatbuffer import Flatbuffer, Table
from edgewise.formats.kit import Meaning, function
from edgewise.graph import Graph, Kind, Quantization, Tensor, Weights

MAGIC = b"XH00"
_IDENTIFIERS = (b"XN00", b"XN01")
_DTYPES = (
    "unknown", "float32", "float16", "int8", "uint8", "int32", "int8", "int32", "int4", "int8",
    "int4", "int8", "int32", "float32", "bfloat16",
)  # fmt: skip
_NONE = 0xFFFFFFFF
_LAST = "channels_last"


class Read(NamedTuple):
    """How a node is read: slots of its inputs and outputs, and what it means."""

    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    meaning: Callable[[Table], Meaning]


def _plain(meaning: Meaning) -> Callable[[Table], Meaning]:
    return lambda node: meaning


def _one(kind: Kind, name: str | None = None) -> Read:
    meaning = Meaning(kind) if name is None else function(kind, name)
    return Read((0,), (1,), _plain(meaning))


def _two(name: str) -> Read:
    return Read((0, 1), (2,), _plain(function(Kind.BINARY, name)))


def _numbers(node: Table, *slots: int) -> tuple[int, ...]:
    return tuple(node.uint32(slot) for slot in slots)


def _window(node: Table) -> dict[str, Any]:
    top, right, bottom, left = _numbers(node, 0, 1, 2, 3)
    return {"layout": _LAST, "pads": (top, left, bottom, right)}


def _conv(layout: str) -> Callable[[Table], Meaning]:
    def translate(node: Table) -> Meaning:
        groups = node.uint32(12) or 1
        attributes = _window(node) | {
            "weight_layout": layout, "strides": _numbers(node, 6, 7),
            "dilations": _numbers(node, 8, 9), "groups": groups,
        }  # fmt: skip
        return Meaning(Kind.CONV, attributes)

    return translate


def _deconv(node: Table) -> Meaning:
    return Meaning(Kind.CONV_TRANSPOSE, _window(node) | {
        "weight_layout": "O*I", "strides": _numbers(node, 6, 7),
        "dilations": _numbers(node, 8, 9), "output_padding": _numbers(node, 13, 14),
        "groups": node.uint32(12) or 1,
    })  # fmt: skip


def _pool(name: str, *, strided: bool = True) -> Callable[[Table], Meaning]:
    def translate(node: Table) -> Meaning:
        kernel = _numbers(node, 4, 5)
        strides = _numbers(node, 6, 7) if strided else kernel
        dilations = tuple(size or 1 for size in _numbers(node, 8, 9)) if strided else (1, 1)
        return Meaning(Kind.POOL, _window(node) | {
            "function": name, "kernel": kernel, "strides": strides, "dilations": dilations,
        })  # fmt: skip

    return translate


def _permute(node: Table) -> Meaning:
    return Meaning(Kind.TRANSPOSE, {"permutation": node.uint32s(1)})


def _resize(node: Table) -> Meaning:
    return Meaning(Kind.RESIZE, {"layout": _LAST, "sizes": list(_numbers(node, 0, 1))})


def _pad(node: Table) -> Meaning:
    return Meaning(Kind.PAD, {"order": "begin_end", "pads": (*node.uint32s(0), *node.uint32s(1))})


def _reshape(node: Table) -> Meaning:
    return Meaning(Kind.RESHAPE, {"shape": node.uint32s(1)})


def _slice(node: Table) -> Meaning:
    begin, sizes = node.uint32s(1), node.uint32s(2)
    ends = tuple(at + size for at, size in zip(begin, sizes, strict=True))
    return Meaning(Kind.STRIDED_SLICE, {"onnx": True, "begin": begin, "end": ends})


def _concat(count: int) -> Read:
    slots = (1, 2, 3, 4, 7)[:count]
    return Read(slots, (5,), lambda node: Meaning(Kind.CONCAT, {"axis": node.int32(0)}))


def _softmax(node: Table) -> Meaning:
    return Meaning(Kind.SOFTMAX, {"axis": -1})


_DENSE = Meaning(Kind.DENSE, {"keep_dims": True})
_ATTENTION = Meaning(Kind.ATTENTION, {"heads": None, "packed": False})
#: Nodes in the order of the union, which numbers them from 1.
_NODES: tuple[tuple[str, Read], ...] = (
    ("XNNAdd", _two("add")), ("XNNFullyConnected", Read((0, 1, 2), (3,), _plain(_DENSE))),
    ("XNNSoftmax", Read((0,), (1,), _softmax)), ("XNNSigmoid", _one(Kind.UNARY, "sigmoid")),
    ("XNNStaticTranspose", Read((2,), (3,), _permute)), ("XNNClamp", _one(Kind.UNARY, "clip")),
    ("XNNConv2d", Read((15, 16, 17), (18,), _conv("O*I"))), ("XNNDiv", _two("div")),
    ("XNNStaticResizeBilinear2D", Read((2,), (3,), _resize)),
    ("XNNStaticConstantPad", Read((3,), (4,), _pad)),
    ("XNNAvgPooling2d", Read((10,), (11,), _pool("average"))), ("XNNMinimum", _two("min")),
    ("XNNDepthwiseConv2d", Read((15, 16, 17), (18,), _conv("1*O"))),
    ("XNNMaxPooling2d", Read((10,), (11,), _pool("max"))), ("XNNMultiply", _two("mul")),
    ("XNNSubtract", _two("sub")), ("XNNFloor", _one(Kind.UNARY, "floor")),
    ("XNNConvert", _one(Kind.CAST)),
    ("XNNGlobalAvgPooling2d", Read((0,), (1,), _plain(
        function(Kind.GLOBAL_POOL, "average", layout=_LAST)))),
    ("XNNStaticReshape", Read((2,), (3,), _reshape)),
    ("XNNArgMaxPooling2d", Read((6,), (7, 8), _pool("max", strided=False))),
    ("XNNSquareRoot", _one(Kind.UNARY, "sqrt")), ("XNNCeiling", _one(Kind.UNARY, "ceil")),
    ("XNNHardswish", _one(Kind.UNARY, "hard_swish")),
    ("XNNLeakyReLU", Read((1,), (2,), _plain(function(Kind.UNARY, "leaky_relu")))),
    ("XNNMaximum", _two("max")), ("XNNNegate", _one(Kind.UNARY, "neg")),
    ("XNNSquare", _one(Kind.UNARY, "square")),
    ("XNNELU", Read((1,), (2,), _plain(function(Kind.UNARY, "elu")))),
    ("XNNAbs", _one(Kind.UNARY, "abs")), ("XNNPReLU", _two("prelu")),
    ("XNNConcatenate2", _concat(2)), ("XNNConcatenate3", _concat(3)),
    ("XNNConcatenate4", _concat(4)), ("XNNStaticSlice", Read((3,), (4,), _slice)),
    ("XNNScaledDotProductAttention", Read((0, 1, 2), (5,), _plain(_ATTENTION))),
    ("XNNBatchMatrixMultiply", Read((0, 1), (2,), _plain(Meaning(Kind.MATMUL)))),
    ("XNNConcatenate5", _concat(5)), ("XNNConvTranspose2d", Read((15, 16, 17), (18,), _deconv)),
    ("XNNReciprocalSquareRoot", _one(Kind.UNARY, "rsqrt")), ("XNNLog", _one(Kind.UNARY, "log")),
    ("XNNGelu", _one(Kind.UNARY, "gelu")), ("XNNTanh", _one(Kind.UNARY, "tanh")),
    ("XNNExp", _one(Kind.UNARY, "exp")), ("XNNSin", _one(Kind.UNARY, "sin")),
    ("XNNCopy", _one(Kind.IDENTITY)), ("XNNCos", _one(Kind.UNARY, "cos")),
)  # fmt: skip


def read(blob: memoryview, named: NamedData) -> Graph:
    """The graph of a blob. Raises what a broken flatbuffer does."""
    buffer, constants = parts(blob, MAGIC)
    if bytes(buffer[4:8]) not in _IDENTIFIERS:
        raise ValueError("no graph of XNNPACK")
    return _Reader(Flatbuffer(buffer).root(), constants, named).graph()


class _Reader:
    def __init__(self, root: Table, constants: memoryview, named: NamedData) -> None:
        self._root = root
        self._constants = constants
        self._named = named
        self._builder = Builder("XNNPACK")
        self._outer: dict[int, int] = {}

    def graph(self) -> Graph:
        builder, root = self._builder, self._root
        for value in root.tables(2):
            self._value(value)
        for node in root.tables(1):
            self._node(node)
        order = {
            number: self._outer.get(number, 0) for number in (*root.uint32s(4), *root.uint32s(5))
        }
        inputs = sorted(root.uint32s(4), key=order.__getitem__)
        outputs = sorted(root.uint32s(5), key=order.__getitem__)
        builder.graph.inputs = [builder.use(number, "the blob") for number in inputs]
        builder.graph.outputs = [builder.use(number, "the blob") for number in outputs]
        return builder.graph

    def _value(self, holder: Table) -> None:
        content = holder.table(1)
        if content is None:
            return
        quantization = None
        if holder.uint8(0) == 2:  # quantised: the tensor and how
            quantization = _quantization(content.uint8(1), content.table(2))
            content = content.table(0) or content
        kind = content.int16(0)
        dtype = _DTYPES[kind] if 0 <= kind < len(_DTYPES) else "unknown"
        dims = content.uint32s(2)
        number = content.uint32(6)
        self._outer[number] = content.uint32(4)
        at = content.uint32(3)
        tensor = Tensor(f"value_{number}", dtype, dims, self._stored(at, dtype, dims), quantization)
        self._builder.add(tensor, number)

    def _stored(self, at: int, dtype: str, dims: tuple[int, ...]) -> Weights | None:
        if not at:
            return None
        size = byte_size(dtype, dims) or 0
        held = self._root.tables(8)
        if at < len(held):
            key = held[at].text(2)
            if key:
                weights = self._named.get(key)
                return weights or missing(size, f"the program has no data called {key!r}")
            return stored(self._constants, held[at].uint64(0), held[at].uint64(1))
        data = self._root.tables(6)[at].bytes(0)
        return stored(data, 0, len(data))

    def _node(self, holder: Table) -> None:
        number, node = holder.uint8(0), holder.table(1)
        builder = self._builder
        if node is None or not 1 <= number <= len(_NODES):
            builder.layer(f"node {number}", f"XNNPACK node {number}", Meaning(Kind.UNKNOWN), (), ())
            return
        op, read = _NODES[number - 1]
        numbers = [node.uint32(slot) for slot in read.inputs]
        inputs = [None if one == _NONE else builder.use(one, op) for one in numbers]
        outputs = [builder.use(node.uint32(slot), op) for slot in read.outputs]
        meaning = read.meaning(node)
        if holder.table(3) is not None and meaning.kind is not Kind.UNARY:
            meaning = meaning._replace(attributes={**meaning.attributes, "activation": "clip"})
        builder.layer(f"{op}_{len(builder.graph.layers)}", op, meaning, inputs, outputs)


def _quantization(kind: int, content: Table | None) -> Quantization | None:
    if content is None:
        return None
    if kind == 2:
        return Quantization(1, None, None, content.float32(0), content.int32(1))
    if kind == 1:
        return Quantization(content.count(0, 4) or content.uint32(3) or 1, content.int32(1))
    if kind == 4:
        count = content.count(0, 4) or content.uint32(5) or 1
        return Quantization(count, content.int32(1), content.int32(2))
    return None
