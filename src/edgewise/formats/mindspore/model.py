"""A model of MindSpore Lite's while it is read: its tensors, and nodes that are no control flow."""

from __future__ import annotations

import math
from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.building import (
    Budget,
    Builder,
    byte_size,
    meaning_of,
    missing,
    stored,
)
from edgewise.formats.flatbuffer import Table
from edgewise.formats.kit import Meaning
from edgewise.formats.mindspore.ops import OPERATORS, Primitive
from edgewise.formats.mindspore.primitives import PRIMITIVES
from edgewise.graph import FreeDim, Kind, Quantization, Shape, Tensor, Weights

_DTYPES = {
    12: "string", 30: "bool", 32: "int8", 33: "int16", 34: "int32", 35: "int64", 37: "uint8",
    38: "uint16", 39: "uint32", 40: "uint64", 42: "float16", 43: "float32", 44: "float64",
    45: "bfloat16", 48: "complex64", 50: "int4",
}  # fmt: skip


class Slots:
    """Field slots of the tables that are read."""

    NAME, VERSION, INPUTS, OUTPUTS, NODES, TENSORS, SUBGRAPHS = 0, 1, 3, 4, 6, 7, 8


class Model:
    """A model while it is read."""

    def __init__(self, root: Table) -> None:
        self.root = root
        self.nodes = root.tables(Slots.NODES)
        self.tensors = root.tables(Slots.TENSORS)
        self.subgraphs = root.tables(Slots.SUBGRAPHS)
        self.budget = Budget()

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
        if content is not None:
            meaning = meaning_of(OPERATORS, op, Primitive(content, numbers, list(shapes)))
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
