"""Protobuf messages as plain trees, from the wire or from protobuf's text form.

A schema, as data, says which field numbers of which message are wanted and under which names; all
other fields are stepped over. Both forms give the same `Message`, so a reader is written once.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any, NamedTuple

from edgewise.errors import RejectedModel
from edgewise.formats.protobuf import (
    Span,
    Wire,
    bytes_tag,
    fixed32_tag,
    fixed64_tag,
    signed,
    varint_tag,
)

#: Messages may be nested this deep.
MAX_DEPTH = 60

#: Fields of a message: number to name and type. A type is `int`, `float`, `double`, `text`, `span`
#: (bytes that stay where they are), or the name of another message of the schema.
Fields = Mapping[int, tuple[str, str]]
Schema = Mapping[str, Fields]


class Word(str):
    """A bare word of the text form: the name of an enum's value."""

    __slots__ = ()


class Message:
    """Fields by name, each with all its values in order."""

    __slots__ = ("fields",)

    def __init__(self, fields: dict[str, list[Any]] | None = None) -> None:
        self.fields: dict[str, list[Any]] = {} if fields is None else fields

    def has(self, name: str) -> bool:
        """Whether the field is there at all."""
        return name in self.fields

    def all(self, name: str) -> list[Any]:
        """All values of a field."""
        return self.fields.get(name, [])

    def last(self, name: str, default: Any = None) -> Any:
        """The value of a field that is not repeated: the last one counts."""
        values = self.fields.get(name)
        return values[-1] if values else default

    def message(self, name: str) -> Message:
        """A message inside; an empty one where it is missing.

        Raises:
            RejectedModel: the field holds something else.
        """
        return _message(self.last(name) or Message(), name)

    def messages(self, name: str) -> list[Message]:
        """All messages of a repeated field. Raises as `message`."""
        return [_message(value, name) for value in self.all(name)]

    def integer(self, name: str, default: int = 0) -> int:
        """A whole number. Raises `RejectedModel` where it is none."""
        return _integer(self.last(name, default), name)

    def integers(self, name: str) -> list[int]:
        """All whole numbers of a repeated field. Raises as `integer`."""
        return [_integer(value, name) for value in self.all(name)]

    def number(self, name: str, default: float = 0.0) -> float:
        """A real number. Raises `RejectedModel` where it is none."""
        value = self.last(name, default)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value)
        raise RejectedModel(f"{name} is {value!r:.60}, no number")

    def flag(self, name: str, default: bool = False) -> bool:
        """A truth."""
        value = self.last(name, default)
        if isinstance(value, Word):
            return value in ("true", "True", "t")
        return bool(value)

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        return _text(self.last(name, default))

    def texts(self, name: str) -> list[str]:
        """All strings of a repeated field."""
        return [_text(value) for value in self.all(name)]


def _message(value: Any, name: str) -> Message:
    if not isinstance(value, Message):
        raise RejectedModel(f"{name} is {value!r:.60}, no message")
    return value


def _integer(value: Any, name: str) -> int:
    if isinstance(value, int):
        return int(value)
    raise RejectedModel(f"{name} is {value!r:.60}, no whole number")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    return str(value)


class _Plan(NamedTuple):
    """How to read the fields of one message, by their tags."""

    scalars: Mapping[int, tuple[str, str]]
    packed: Mapping[int, tuple[str, str]]
    nested: Mapping[int, tuple[str, str]]


def _plan(fields: Fields) -> _Plan:
    scalars: dict[int, tuple[str, str]] = {}
    packed: dict[int, tuple[str, str]] = {}
    nested: dict[int, tuple[str, str]] = {}
    for number, (name, kind) in fields.items():
        if kind == "int":
            scalars[varint_tag(number)] = packed[bytes_tag(number)] = (name, kind)
        elif kind == "float":
            scalars[fixed32_tag(number)] = packed[bytes_tag(number)] = (name, kind)
        elif kind == "double":
            scalars[fixed64_tag(number)] = packed[bytes_tag(number)] = (name, kind)
        else:
            nested[bytes_tag(number)] = (name, kind)
    return _Plan(scalars, packed, nested)


class Decoder:
    """Reads the messages of one schema from one file."""

    def __init__(self, wire: Wire, schema: Schema) -> None:
        self._wire = wire
        self._plans = {name: _plan(fields) for name, fields in schema.items()}

    def decode(self, name: str, span: Span, depth: int = 0) -> Message:
        """The message of type `name` at a place.

        Raises:
            RejectedModel: there is none.
        """
        if depth > MAX_DEPTH:
            raise RejectedModel(f"messages nested deeper than {MAX_DEPTH}")
        wire, plan = self._wire, self._plans[name]
        fields: dict[str, list[Any]] = {}
        for tag, a, b in wire.fields(*span):
            if (found := plan.nested.get(tag)) is not None:
                fields.setdefault(found[0], []).append(self._value(found[1], a, b, depth))
            elif (found := plan.scalars.get(tag)) is not None:
                fields.setdefault(found[0], []).append(self._scalar(found[1], a, b))
            elif (found := plan.packed.get(tag)) is not None:
                fields.setdefault(found[0], []).extend(self._packed(found[1], a, b))
        return Message(fields)

    def _value(self, kind: str, start: int, end: int, depth: int) -> Any:
        if kind == "text":
            return self._wire.text(start, end)
        if kind == "span":
            return (start, end)
        return self.decode(kind, (start, end), depth + 1)

    def _scalar(self, kind: str, a: int, b: int) -> int | float:
        if kind == "int":
            return signed(a)
        (value,) = struct.unpack_from("<f" if kind == "float" else "<d", self._wire.data, a)
        return float(value)

    def _packed(self, kind: str, start: int, end: int) -> list[int | float]:
        if kind == "int":
            return [signed(value) for value in self._wire.varints(start, end)]
        width, form = (4, "f") if kind == "float" else (8, "d")
        count, rest = divmod(end - start, width)
        if rest:
            raise RejectedModel(f"packed numbers at byte {start} are cut off")
        self._wire.budget -= count
        return list(struct.unpack_from(f"<{count}{form}", self._wire.data, start))
