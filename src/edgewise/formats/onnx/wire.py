"""ONNX's messages on the wire: field numbers and how to decode them.

The numbers are those of onnx.proto (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
Tensors' contents and most attributes stay where they are: a `Span` says where.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.protobuf import (
    Span,
    Wire,
    bytes_tag,
    fixed32_tag,
    signed,
    varint_tag,
)

#: Names of TensorProto.DataType's values, by their number.
DTYPES = (
    "unknown", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool",
    "float16", "float64", "uint32", "uint64", "complex64", "complex128", "bfloat16",
    "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "uint4", "int4",
    "float4_e2m1", "float8_e8m0", "uint2", "int2", "float6_e2m3", "float6_e3m2",
)  # fmt: skip


class ModelTag:
    """Fields of ModelProto."""

    IR_VERSION = varint_tag(1)
    PRODUCER_NAME = bytes_tag(2)
    PRODUCER_VERSION = bytes_tag(3)
    DOMAIN = bytes_tag(4)
    MODEL_VERSION = varint_tag(5)
    DOC_STRING = bytes_tag(6)
    GRAPH = bytes_tag(7)
    OPSET_IMPORT = bytes_tag(8)
    METADATA_PROPS = bytes_tag(14)
    TRAINING_INFO = bytes_tag(20)
    FUNCTIONS = bytes_tag(25)


class GraphTag:
    """Fields of GraphProto."""

    NODE = bytes_tag(1)
    NAME = bytes_tag(2)
    INITIALIZER = bytes_tag(5)
    INPUT = bytes_tag(11)
    OUTPUT = bytes_tag(12)
    VALUE_INFO = bytes_tag(13)
    SPARSE_INITIALIZER = bytes_tag(15)


class FunctionTag:
    """Fields of FunctionProto."""

    NAME = bytes_tag(1)
    INPUT = bytes_tag(4)
    OUTPUT = bytes_tag(5)
    NODE = bytes_tag(7)
    OPSET_IMPORT = bytes_tag(9)
    DOMAIN = bytes_tag(10)
    ATTRIBUTE_DEFAULT = bytes_tag(11)
    VALUE_INFO = bytes_tag(12)
    OVERLOAD = bytes_tag(13)


class NodeTag:
    """Fields of NodeProto."""

    INPUT = bytes_tag(1)
    OUTPUT = bytes_tag(2)
    NAME = bytes_tag(3)
    OP_TYPE = bytes_tag(4)
    ATTRIBUTE = bytes_tag(5)
    DOC_STRING = bytes_tag(6)
    DOMAIN = bytes_tag(7)
    OVERLOAD = bytes_tag(8)


class AttributeTag:
    """Fields of AttributeProto."""

    NAME = bytes_tag(1)
    FLOAT = fixed32_tag(2)
    INT = varint_tag(3)
    STRING = bytes_tag(4)
    TENSOR = bytes_tag(5)
    GRAPH = bytes_tag(6)
    FLOATS = fixed32_tag(7)
    FLOATS_PACKED = bytes_tag(7)
    INTS = varint_tag(8)
    INTS_PACKED = bytes_tag(8)
    STRINGS = bytes_tag(9)
    GRAPHS = bytes_tag(11)
    TYPE = varint_tag(20)
    REFERENCE = bytes_tag(21)
    SPARSE_TENSOR = bytes_tag(22)


class TensorTag:
    """Fields of TensorProto that are not its contents (those are `weights`')."""

    DIMS = varint_tag(1)
    DIMS_PACKED = bytes_tag(1)
    DATA_TYPE = varint_tag(2)
    NAME = bytes_tag(8)
    RAW_DATA = bytes_tag(9)
    EXTERNAL_DATA = bytes_tag(13)
    DATA_LOCATION = varint_tag(14)


_KEY, _VALUE = bytes_tag(1), bytes_tag(2)
_OPSET_DOMAIN, _OPSET_VERSION = bytes_tag(1), varint_tag(2)
#: What an attribute of a type (AttributeProto.AttributeType) means whose value is left out, as
#: writers of proto3 do with zeros.
_EMPTY: Mapping[int, Any] = {1: 0.0, 2: 0, 3: "", 6: (), 7: (), 8: ()}


def dtype_name(code: int) -> str:
    """The dtype of a TensorProto.DataType, `"unknown"` for one of a newer ONNX."""
    return DTYPES[code] if code < len(DTYPES) else DTYPES[0]


def canonical_domain(domain: str) -> str:
    """The default domain has two names."""
    return "" if domain == "ai.onnx" else domain


def attribute_name(wire: Wire, span: Span) -> str:
    """The name of an AttributeProto."""
    start, end = span
    data = wire.data
    # Every writer begins with the name: no walk for those.
    if end - start > 2 and data[start] == AttributeTag.NAME and data[start + 1] < 0x80:
        stop = start + 2 + data[start + 1]
        if stop <= end:
            return wire.text(start + 2, stop)
    place = wire.first(span, AttributeTag.NAME)
    if place is None:
        raise RejectedModel(f"attribute without a name at byte {span[0]}")
    return wire.text(*place)


@dataclass(frozen=True, slots=True)
class Message:
    """An attribute's value that is a message: a tensor, a sparse tensor or a graph."""

    what: str
    span: Span


@dataclass(frozen=True, slots=True)
class Reference:
    """An attribute's value that is its function's attribute of this name."""

    name: str


_MESSAGES: Mapping[int, str] = {
    AttributeTag.TENSOR: "tensor",
    AttributeTag.SPARSE_TENSOR: "sparse tensor",
    AttributeTag.GRAPH: "graph",
}


def decode_attribute(wire: Wire, span: Span) -> Any:
    """The value of an AttributeProto: int, float, str, a tuple of those, Message or Reference.

    None for one without any value, or with one of another type.
    """
    single: Any = None
    many: list[Any] = []
    kind = 0
    for tag, start, end in wire.fields(*span):
        if tag == AttributeTag.INT:
            single = signed(start)
        elif tag == AttributeTag.INTS:
            many.append(signed(start))
        elif tag == AttributeTag.TYPE:
            kind = start
        elif tag == AttributeTag.FLOAT:
            single = struct.unpack("<f", wire.data[start:end])[0]
        elif tag == AttributeTag.STRING:
            single = wire.text(start, end)
        elif tag == AttributeTag.REFERENCE and end > start:
            return Reference(wire.text(start, end))
        elif tag in _MESSAGES:
            single = Message(_MESSAGES[tag], (start, end))
        else:
            many.extend(_decode_many(wire, tag, start, end))
    if single is not None:
        return single
    return tuple(many) or _EMPTY.get(kind)


def _decode_many(wire: Wire, tag: int, start: int, end: int) -> Iterator[Any]:
    """Elements of an attribute's list, but for unpacked ints."""
    if tag == AttributeTag.FLOATS:
        yield from struct.unpack("<f", wire.data[start:end])
    elif tag == AttributeTag.FLOATS_PACKED:
        count = (end - start) // 4
        yield from struct.unpack(f"<{count}f", wire.data[start : start + 4 * count])
    elif tag == AttributeTag.INTS_PACKED:
        yield from (signed(value) for value in wire.varints(start, end))
    elif tag == AttributeTag.STRINGS:
        yield wire.text(start, end)
    elif tag == AttributeTag.GRAPHS:
        yield Message("graph", (start, end))


def decode_pairs(wire: Wire, span: Span) -> tuple[str, str]:
    """A StringStringEntryProto: (key, value)."""
    key = value = ""
    for tag, start, end in wire.fields(*span):
        if tag == _KEY:
            key = wire.text(start, end)
        elif tag == _VALUE:
            value = wire.text(start, end)
    return key, value


def decode_opset(wire: Wire, span: Span) -> tuple[str, int]:
    """An OperatorSetIdProto: (domain, version)."""
    domain, version = "", 0
    for tag, start, end in wire.fields(*span):
        if tag == _OPSET_DOMAIN:
            domain = canonical_domain(wire.text(start, end))
        elif tag == _OPSET_VERSION:
            version = start
    return domain, version
