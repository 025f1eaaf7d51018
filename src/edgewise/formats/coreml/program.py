"""ML programs as plain data, whether from the specification or from text."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.coreml.blob import Storages, size_of
from edgewise.formats.coreml.spec import DATA_TYPES
from edgewise.formats.messages import Message
from edgewise.formats.protobuf import Wire
from edgewise.graph import FreeDim, Shape, Weights

#: A value's name, dtype and shape (None: not a tensor).
Named = tuple[str, str, Shape | None]
_FORMS = {
    "float32": "f", "float64": "d", "float16": "e", "int8": "b", "uint8": "B", "int16": "h",
    "uint16": "H", "int32": "i", "uint32": "I", "int64": "q", "uint64": "Q", "bool": "?",
}  # fmt: skip
#: Values up to this many are kept as numbers.
_SMALL = 16_384


@dataclass(slots=True)
class Constant:
    """A value that the file holds: numbers, texts, or bytes in a storage."""

    dtype: str
    shape: tuple[int, ...]
    weights: Weights | None = None
    texts: list[str] | None = None

    def numbers(self) -> list[Any] | None:
        """Its numbers where they are few, else None."""
        if self.weights is None or self.dtype not in _FORMS or self.weights.nbytes > 8 * _SMALL:
            return None
        form = _FORMS[self.dtype]
        raw = self.weights.load()
        count = len(raw) // struct.calcsize(form)
        return list(struct.unpack_from(f"<{count}{form}", raw))


@dataclass(slots=True)
class Block:
    """A sequence of operations with inputs and outputs."""

    inputs: list[Named]
    outputs: list[str]
    operations: list[Operation]


@dataclass(slots=True)
class Operation:
    """One operation; `inputs` by parameter, each a name or a value of its own."""

    type: str
    inputs: dict[str, list[str | Constant]]
    outputs: list[Named]
    attributes: dict[str, Constant] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)


class FromMessages:
    """Reads blocks out of the messages of a specification."""

    def __init__(self, wire: Wire, storages: Storages) -> None:
        self._wire = wire
        self._storages = storages

    def block(self, message: Message) -> Block:
        """A block with all that is in it."""
        return Block(
            [self.named(one) for one in message.messages("inputs")], message.texts("outputs"),
            [self._operation(one) for one in message.messages("operations")],
        )  # fmt: skip

    def named(self, message: Message) -> Named:
        """A value's name and type."""
        dtype, shape = _type(message.message("type"), message.text("name"))
        return message.text("name"), dtype, shape

    def _operation(self, message: Message) -> Operation:
        inputs: dict[str, list[str | Constant]] = {}
        for one in message.messages("inputs"):
            bindings = one.message("value").messages("arguments")
            inputs[one.text("key")] = [
                self.constant(b.message("value")) if b.has("value") else b.text("name")
                for b in bindings
            ]
        attributes = {
            one.text("key"): self.constant(one.message("value"))
            for one in message.messages("attributes")
        }
        return Operation(
            message.text("type"), inputs, [self.named(one) for one in message.messages("outputs")],
            attributes, [self.block(one) for one in message.messages("blocks")],
        )  # fmt: skip

    def constant(self, message: Message) -> Constant:
        """A value."""
        dtype, shape = _type(message.message("type"), "")
        fixed = tuple(size for size in shape or () if isinstance(size, int))
        if message.has("blobFileValue"):
            place = message.message("blobFileValue")
            name, offset = place.text("fileName"), place.integer("offset")
            return Constant(
                dtype, fixed, self._storages.weights(name, offset, size_of(dtype, fixed))
            )
        immediate = message.message("immediateValue")
        if immediate.has("list"):
            parts = [self.constant(one) for one in immediate.message("list").messages("values")]
            return Constant("list", (len(parts),), None, [t for p in parts for t in p.texts or ()])
        return self._immediate(dtype, fixed, immediate.message("tensor"))

    def _immediate(self, dtype: str, shape: tuple[int, ...], tensor: Message) -> Constant:
        if tensor.has("strings"):
            return Constant(dtype, shape, None, tensor.message("strings").texts("values"))
        for kind, stored in (("floats", "float32"), ("doubles", "float64"), ("bytes", dtype)):
            if tensor.has(kind):
                spans = tensor.message(kind).all("values")
                data = b"".join(bytes(self._wire.data[a:b]) for a, b in spans)
                return Constant(stored, shape, _held(data))
        for kind in ("ints", "bools", "longInts"):
            if tensor.has(kind):
                values = tensor.message(kind).integers("values")
                own = {"ints": "int32", "bools": "bool", "longInts": "int64"}[kind]
                return packed(own, shape, values)
        return Constant(dtype, shape, _held(b""))


def packed(dtype: str, shape: tuple[int, ...], values: list[Any]) -> Constant:
    """A constant of these numbers."""
    try:
        data = struct.pack(f"<{len(values)}{_FORMS[dtype]}", *values)
    except (struct.error, KeyError, OverflowError) as error:
        raise RejectedModel(f"values that are no {dtype}: {error}") from error
    return Constant(dtype, shape, _held(data))


def _held(data: bytes) -> Weights:
    return Weights(len(data), lambda: memoryview(data))


def _type(message: Message, name: str) -> tuple[str, Shape | None]:
    if message.has("stateType"):
        return _type(message.message("stateType").message("wrappedType"), name)
    if not message.has("tensorType"):
        return "unknown", None
    tensor = message.message("tensorType")
    dtype = DATA_TYPES.get(tensor.integer("dataType"), "unknown")
    dims: list[int | FreeDim] = []
    for axis, one in enumerate(tensor.messages("dimensions")):
        if one.has("constant"):
            dims.append(one.message("constant").integer("size"))
        elif one.message("unknown").flag("variadic"):
            return dtype, None
        else:
            dims.append(FreeDim(f"{name}_{axis}"))
    return dtype, tuple(dims)
