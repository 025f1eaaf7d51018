"""MindSpore Lite's flatbuffer (`MSL2`): tensors, nodes and subgraphs, with all shapes stated."""

from __future__ import annotations

import math
from typing import Any

from edgewise.archive import File
from edgewise.errors import OpaqueModel, RejectedModel
from edgewise.formats.building import Budget, Builder, byte_size, stored
from edgewise.formats.flatbuffer import Flatbuffer, Table
from edgewise.formats.kit import Meaning
from edgewise.formats.mindspore.ops import OPERATORS, Primitive
from edgewise.formats.mindspore.primitives import PRIMITIVES
from edgewise.graph import FreeDim, Graph, Kind, Quantization, Shape, Tensor, Weights

_DTYPES = {
    12: "string", 30: "bool", 32: "int8", 33: "int16", 34: "int32", 35: "int64", 37: "uint8",
    38: "uint16", 39: "uint32", 40: "uint64", 42: "float16", 43: "float32", 44: "float64",
    45: "bfloat16", 48: "complex64", 50: "int4",
}  # fmt: skip
#: A tensor that is stored says so here; others are found while the network runs.
_CONTROL = ("PartialFusion", "Call", "Switch", "SwitchLayer")


class Slots:
    """Field slots of the tables that are read."""

    NAME, VERSION, INPUTS, OUTPUTS, NODES, TENSORS, SUBGRAPHS = 0, 1, 3, 4, 6, 7, 8


def read(file: File) -> Graph:
    """See `contract.Format.read`.

    Raises:
        RejectedModel: an offset or index does not fit, or a tensor does not fill its shape.
        OpaqueModel: a version of before the current schema.
        LimitExceeded: more parts than any known network has.
    """
    head = file.head(8)
    if head[4:8] != b"MSL2":
        version = str(head[4:8], "latin-1") if head[4:7] == b"MSL" else "MSL0"
        if head[4:7] != b"MSL":
            _check_old(file)
        raise OpaqueModel(f"MindSpore Lite's schema {version}: only MSL2 is read")
    root = Flatbuffer(file.data()).root()
    try:
        graph = Model(root).graph()
    except (IndexError, ValueError, TypeError, KeyError) as error:
        raise RejectedModel(f"not a valid MindSpore Lite model: {error!r}"[:200]) from error
    graph.format, graph.name = "mindspore", root.text(Slots.NAME) or ""
    made_by = root.text(Slots.VERSION)
    graph.producer = f"MindSpore Lite {made_by}" if made_by else None
    return graph


def _check_old(file: File) -> None:
    """A file of before identifiers is at least a flatbuffer with a list of nodes or graphs.

    Raises:
        RejectedModel: it is none.
    """
    root = Flatbuffer(file.data()).root()
    if not any(len(root.tables(slot)) for slot in (Slots.INPUTS, Slots.NODES, Slots.TENSORS)):
        raise RejectedModel("not MindSpore Lite: no nodes")


class Model:
    """A model while it is read."""

    def __init__(self, root: Table) -> None:
        self.root = root
        self.nodes = root.tables(Slots.NODES)
        self.tensors = root.tables(Slots.TENSORS)
        self.subgraphs = root.tables(Slots.SUBGRAPHS)
        self.budget = Budget()

    def graph(self) -> Graph:
        """The graph of the first subgraph."""
        if not len(self.tensors):
            raise RejectedModel("a model without tensors")
        builder = Builder("", self.budget)
        for index in self.root.uint32s(Slots.INPUTS):
            builder.graph.inputs.append(self.define(builder, index))
        nodes = range(len(self.nodes))
        if len(self.subgraphs):
            nodes = self.subgraphs[0].uint32s(3)  # type: ignore[assignment]
        from edgewise.formats.mindspore.control import Follower

        follower = Follower(self, builder)
        for number in nodes:
            follower.node(self.nodes[number])
        outputs = self.root.uint32s(Slots.OUTPUTS)
        builder.graph.outputs = [self.use(builder, index) for index in outputs]
        return builder.graph

    def use(self, builder: Builder, index: int) -> int:
        """The tensor of a number, made where it is stored."""
        known = builder.find(index)
        return self.define(builder, index) if known is None else known

    def define(self, builder: Builder, index: int) -> int:
        """A tensor as the file has it."""
        made = self.tensor(index)
        at = builder.add(made)
        builder.rebind(index, at)
        return at

    def tensor(self, index: int) -> Tensor:
        """A tensor with its weights, if it is stored."""
        table = self.tensors[index]
        dtype = _DTYPES.get(table.int32(1), "unknown")
        dims = table.int32s(2)
        name = table.text(9) or f"tensor_{index}"
        data = table.bytes(6)
        outside = table.tables(12)
        if len(data) or len(outside):
            return self._stored(name, dtype, dims, table, data)
        shape: Shape = tuple(
            size if size >= 0 else FreeDim(f"{name}_{axis}") for axis, size in enumerate(dims)
        )
        return Tensor(name, dtype, shape)

    def _stored(
        self, name: str, dtype: str, dims: tuple[int, ...], table: Table, data: memoryview
    ) -> Tensor:
        size = byte_size(dtype, dims)
        packed = table.flag(10) or table.int32(11) != 0 or (size is not None and len(data) < size)
        if any(extent < 0 for extent in dims):
            raise RejectedModel(f"tensor {name!r} of a negative size")
        if not len(data):
            where = table.tables(12)[0]
            reason = f"{where.text(1)!r}: weights outside the model are not read"
            from edgewise.formats.building import missing

            return Tensor(name, dtype, dims, missing(size or 0, reason))
        if packed and not (table.flag(10) or table.int32(11)):
            raise RejectedModel(f"tensor {name!r}: {len(data):,} bytes do not fill {dims}")
        weights = stored(data, 0, len(data) if packed or size is None else size)
        if packed:
            weights = Weights(weights.nbytes, weights.load, _not_unpacked)
        return Tensor(name, dtype, dims, weights, _quantization(table))

    def add_node(self, builder: Builder, node: Table) -> None:
        """A node that is no control flow."""
        primitive = node.table(2)
        op = operator(node)
        content = primitive.table(1) if primitive is not None else None
        inputs = [self.use(builder, index) for index in node.uint32s(3)]
        shapes = [
            tuple(s for s in builder.graph.tensors[i].shape or () if isinstance(s, int))
            for i in inputs
        ]  # fmt: skip

        def numbers(place: int) -> list[object] | None:
            return builder.numbers(inputs[place]) if place < len(inputs) else None

        meaning = Meaning(Kind.UNKNOWN)
        if content is not None and op in OPERATORS:
            meaning = OPERATORS[op](Primitive(content, numbers, list(shapes)))
        if op == "Custom" and content is not None:
            op = f"Custom {content.text(0) or ''}".strip()
        outputs = [self.define(builder, index) for index in node.uint32s(4)]
        if meaning.kind in (Kind.SLICE, Kind.CONCAT):  # never scalars: the file does not know
            for index in outputs:
                made = builder.graph.tensors[index]
                made.shape = made.shape or None
        builder.layer(node.text(0) or op, op, meaning, inputs, outputs)


def operator(node: Table) -> str:
    """The name of a node's primitive."""
    primitive = node.table(2)
    number = primitive.uint8(0) if primitive is not None else 0
    return PRIMITIVES[number - 1] if 1 <= number <= len(PRIMITIVES) else f"primitive {number}"


def _not_unpacked(raw: memoryview) -> Any:
    raise ValueError("weights compressed by MindSpore Lite are not unpacked")


def _quantization(table: Table) -> Quantization | None:
    parameters = table.tables(7)
    if not len(parameters):
        return None
    if len(parameters) == 1:
        one = parameters[0]
        return Quantization(1, None, None, one.float64(0, 1.0), one.int32(1))
    dims = table.int32s(2)
    axis = next((at for at, size in enumerate(dims) if size == len(parameters)), None)
    return Quantization(math.prod((len(parameters),)), axis)
