"""The messages that an ONNX file has thousands of: nodes, and what it states of values.

Networks repeat themselves: most nodes do what another does, most values have the type and the shape
of another. What is alike to the byte is decoded once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edgewise.formats.onnx.wire import NodeTag, attribute_name, canonical_domain, dtype_name
from edgewise.formats.protobuf import Span, Wire, bytes_tag, signed, varint_tag
from edgewise.graph import FreeDim, Shape

_INPUT, _OUTPUT, _NAME = NodeTag.INPUT, NodeTag.OUTPUT, NodeTag.NAME
_TENSOR_TYPE, _SEQUENCE, _MAP, _SPARSE, _OPTIONAL = (bytes_tag(n) for n in (1, 4, 5, 8, 9))
_ELEMENT, _SHAPE = varint_tag(1), bytes_tag(2)
_DIMENSION = bytes_tag(1)
_DIM_VALUE, _DIM_PARAM = varint_tag(1), bytes_tag(2)
_VALUE_NAME, _VALUE_TYPE = bytes_tag(1), bytes_tag(2)
#: What exporters write for a dimension without a name; two of them are not the same.
_NO_NAMES = ("", "?", "-1", "None")
#: A longer node holds weights or a body: none is alike, and its bytes stay where they are.
_SHORT = 1024


@dataclass(slots=True)
class Value:
    """A ValueInfoProto: what the file states of a value. `shape` None: nothing.

    `odd` holds remarks about dimensions that cannot be meant as they stand.
    """

    name: str = ""
    dtype: str = "unknown"
    shape: Shape | None = None
    odd: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Operation:
    """What a node does, whatever it reads and gives: that of all nodes that say it in the same
    bytes. `attributes` maps names to where the AttributeProtos lie; `decoded` has the values of
    those that were asked for."""

    op: str = ""
    domain: str = ""
    overload: str = ""
    attributes: dict[str, Span] = field(default_factory=dict)
    decoded: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Node:
    """A NodeProto."""

    name: str
    inputs: list[str]
    outputs: list[str]
    operation: Operation

    @property
    def label(self) -> str:
        """What to call a node that has no name: its first output, or its operator."""
        return self.name or next(filter(None, self.outputs), self.operation.op)


class Decoder:
    """Decodes one file's nodes and values.

    Both methods raise `RejectedModel` where the bytes are no such message.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._types: dict[bytes, tuple[str, Shape | None]] = {}
        self._operations: dict[bytes, Operation] = {}

    def node(self, span: Span) -> Node:
        """The NodeProto in `span`, of its attributes only the names."""
        start, end = span
        if end - start > _SHORT:
            return self._long_node(span)
        raw, fields = self._wire.short(start, end)
        name = ""
        inputs: list[str] = []
        outputs: list[str] = []
        rest: list[bytes] = []
        at = 0
        for tag, a, b in fields:
            if tag == _INPUT:
                inputs.append(_text(raw[a:b]))
            elif tag == _OUTPUT:
                outputs.append(_text(raw[a:b]))
            elif tag == _NAME:
                name = _text(raw[a:b])
            else:
                rest.append(raw[at:b])
            at = b
        key = b"".join(rest)
        operation = self._operations.get(key)
        if operation is None:
            operation = Operation()
            for tag, a, b in fields:
                self._add(operation, tag, start + a, start + b)
            self._operations[key] = operation
        return Node(name, inputs, outputs, operation)

    def _long_node(self, span: Span) -> Node:
        text = self._wire.text
        node = Node("", [], [], Operation())
        for tag, start, end in self._wire.fields(*span):
            if tag == _INPUT:
                node.inputs.append(text(start, end))
            elif tag == _OUTPUT:
                node.outputs.append(text(start, end))
            elif tag == _NAME:
                node.name = text(start, end)
            else:
                self._add(node.operation, tag, start, end)
        return node

    def _add(self, operation: Operation, tag: int, start: int, end: int) -> None:
        """What a field of a node says of its operation."""
        if tag == NodeTag.ATTRIBUTE:
            operation.attributes[attribute_name(self._wire, (start, end))] = start, end
        elif tag == NodeTag.OP_TYPE:
            operation.op = self._wire.text(start, end)
        elif tag == NodeTag.DOMAIN:
            operation.domain = canonical_domain(self._wire.text(start, end))
        elif tag == NodeTag.OVERLOAD:
            operation.overload = self._wire.text(start, end)

    def value(self, span: Span) -> Value:
        """The ValueInfoProto in `span`."""
        start, end = span
        raw, fields = self._wire.short(start, end)
        value = Value()
        types = []
        for tag, a, b in fields:
            if tag == _VALUE_NAME:
                value.name = _text(raw[a:b])
            elif tag == _VALUE_TYPE:
                types.append((a, b))
        key = raw[slice(*types[0])] if len(types) == 1 else b""
        if key in self._types:
            value.dtype, value.shape = self._types[key]
            return value
        for a, b in types:
            self._add_type(value, (start + a, start + b))
        if key and not any(isinstance(size, FreeDim) for size in value.shape or ()):
            self._types[key] = value.dtype, value.shape
        return value

    def _add_type(self, value: Value, span: Span) -> None:
        for tag, start, end in self._wire.fields(*span):
            if tag in (_TENSOR_TYPE, _SPARSE):
                self._add_tensor_type(value, start, end)
            elif tag == _SEQUENCE:
                value.dtype = "sequence"
            elif tag == _OPTIONAL:
                value.dtype = "optional"
            elif tag == _MAP:
                value.dtype = "map"

    def _add_tensor_type(self, value: Value, start: int, end: int) -> None:
        for tag, low, high in self._wire.fields(start, end):
            if tag == _ELEMENT:
                value.dtype = dtype_name(low)
            elif tag == _SHAPE:
                dimensions = [
                    (place[0], place[1])
                    for found, *place in self._wire.fields(low, high)
                    if found == _DIMENSION
                ]
                value.shape = tuple(
                    self._dimension(value, axis, place) for axis, place in enumerate(dimensions)
                )

    def _dimension(self, value: Value, axis: int, span: Span) -> int | FreeDim:
        size: int | None = None
        for tag, start, end in self._wire.fields(*span):
            if tag == _DIM_VALUE:
                size = signed(start)
            elif tag == _DIM_PARAM and (text := self._wire.text(start, end)) not in _NO_NAMES:
                return FreeDim(text)
        if size is None:
            return FreeDim(f"{value.name}_{axis}")
        if size < 0:
            value.odd += (f"{value.name}: size {size} of axis {axis} taken as free",)
            return FreeDim(f"{value.name}_{axis}")
        return size


def _text(raw: bytes) -> str:
    """A string; bytes that are no UTF-8 show as escapes."""
    return raw.decode("utf-8", "backslashreplace")
