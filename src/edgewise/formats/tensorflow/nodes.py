"""A node of a graph, and the tensors that nodes store."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from edgewise.errors import InputError, RejectedModel
from edgewise.formats.messages import Message, Word
from edgewise.formats.netlist import Netlist, checked
from edgewise.formats.tensorflow.schema import TYPE_NAMES, TYPES, VALUES
from edgewise.graph import DTYPE_BITS, FreeDim, Shape

_MAX_DENSE = 1 << 28


@dataclass(slots=True)
class Node:
    """One node: its inputs without control edges, and its attributes as messages."""

    name: str
    op: str
    inputs: list[str]
    attributes: dict[str, Message] = field(default_factory=dict)

    def integer(self, key: str, default: int = 0) -> int:
        """A whole number."""
        value = self.attributes.get(key)
        return default if value is None or not value.has("i") else value.integer("i")

    def flag(self, key: str, default: bool = False) -> bool:
        """A truth."""
        value = self.attributes.get(key)
        return default if value is None else value.flag("b", default)

    def text(self, key: str, default: str = "") -> str:
        """A string."""
        value = self.attributes.get(key)
        return default if value is None else value.text("s", default)

    def integers(self, key: str) -> list[int]:
        """A list of whole numbers; empty where it is missing."""
        value = self.attributes.get(key)
        return [] if value is None else value.message("list").integers("i")

    def dtype(self, key: str, default: str = "float32") -> str:
        """A type of data."""
        value = self.attributes.get(key)
        return default if value is None else type_of(value.last("type"))

    def function(self, key: str) -> str:
        """The name of a function."""
        value = self.attributes.get(key)
        return "" if value is None else value.message("func").text("name")

    def shape(self, key: str) -> list[int] | None:
        """Sizes, −1 for a free one; None where the rank is unknown or nothing is said."""
        value = self.attributes.get(key)
        return None if value is None else sizes(value.last("shape"))


def node_of(message: Message) -> Node:
    """The node that a message describes."""
    attributes = {entry.text("key"): entry.message("value") for entry in message.messages("attr")}
    inputs = [name for name in message.texts("input") if not name.startswith("^")]
    return Node(message.text("name"), message.text("op"), inputs, attributes)


def type_of(value: Any) -> str:
    """The name of a DataType, given by number or by name."""
    number = TYPE_NAMES.get(value.removesuffix("_REF"), 0) if isinstance(value, Word) else value
    if not isinstance(number, int):
        return "unknown"
    return TYPES.get(number - 100 if number > 100 else number, "unknown")


def sizes(shape: Any) -> list[int] | None:
    """The sizes of a TensorShapeProto; None where its rank is unknown."""
    if not isinstance(shape, Message) or shape.flag("unknown_rank"):
        return None
    return [dim.integer("size", 0) for dim in shape.messages("dim")]


def open_shape(name: str, stated: list[int] | None) -> Shape | None:
    """A shape with its free dimensions, the first of several of which is the batch."""
    if stated is None:
        return None
    return checked(
        size if size >= 0
        else FreeDim("batch" if axis == 0 and len(stated) > 1 else f"{name}_{axis}")
        for axis, size in enumerate(stated)
    )  # fmt: skip


def store(netlist: Netlist, name: str, tensor: Message, data: memoryview) -> int:
    """A stored tensor, as what its name means.

    Raises:
        RejectedModel: its values do not fit its shape.
    """
    dtype, stated = type_of(tensor.last("dtype")), sizes(tensor.last("tensor_shape"))
    shape = stated or []
    if any(size < 0 for size in shape):
        raise RejectedModel(f"constant {name!r} of shape {shape}")
    load, nbytes = _content(name, tensor, data, dtype, math.prod(shape))
    return netlist.weight(name, dtype, shape, load, nbytes, bind=True)


def _content(
    name: str, tensor: Message, data: memoryview, dtype: str, count: int
) -> tuple[Callable[[], memoryview], int]:
    content = tensor.last("tensor_content")
    wanted = count * DTYPE_BITS.get(dtype, 0) // 8
    if content is not None and len(content):
        raw = data[content[0] : content[1]] if isinstance(content, tuple) else memoryview(content)
        if len(raw) != wanted and dtype in VALUES:
            raise RejectedModel(f"constant {name!r}: {len(raw):,} bytes, its shape needs {wanted}")
        return (lambda: raw), len(raw)
    if dtype not in VALUES:
        return (lambda: memoryview(b"")), 0
    where, form = VALUES[dtype]
    values = tensor.all(where)
    if len(values) > max(count, 1):
        raise RejectedModel(f"constant {name!r}: {len(values):,} values for {count:,} places")
    return partial(_spread, name, values, form, count), wanted


def _spread(name: str, values: list[Any], form: str, count: int) -> memoryview:
    """Values written out; the last one stands for all that are left out."""
    if count * 8 > _MAX_DENSE:
        raise InputError(f"constant {name!r} of {count:,} values that are all alike")
    values = [value in ("true", 1, True) for value in values] if form == "?" else values
    values = values or [0]
    try:
        full = [*values, *values[-1:] * (count - len(values))][:count]
        return memoryview(struct.pack(f"<{count}{form}", *full))
    except (struct.error, OverflowError, TypeError) as error:
        raise InputError(f"constant {name!r}: {error}") from error
