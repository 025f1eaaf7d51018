"""A bundle's manifest and resources, which are protobuf.

Field numbers: AOSP `tools/aapt2/Resources.proto` (messages XmlNode, XmlElement, XmlAttribute,
ResourceTable, Package, Type, Entry, ConfigValue, Value, Item).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from edgewise.apps.manifest.identity import (
    DECLARED,
    MOST_DECLARED,
    WANTED,
    Attributes,
    Elements,
    Reference,
    Resolver,
)
from edgewise.apps.manifest.plain import text_value
from edgewise.archive import File
from edgewise.errors import InputError, LimitExceeded, RejectedModel
from edgewise.formats.protobuf import Wire, bytes_tag

_NODE_ELEMENT = bytes_tag(1)
_ELEMENT_NAME, _ELEMENT_ATTRIBUTE, _ELEMENT_CHILD = bytes_tag(3), bytes_tag(4), bytes_tag(5)
_ATTRIBUTE_NAME, _ATTRIBUTE_VALUE = bytes_tag(2), bytes_tag(3)
_TABLE_PACKAGE, _PACKAGE_TYPE = bytes_tag(2), bytes_tag(3)
_TYPE_NAME, _TYPE_ENTRY = bytes_tag(2), bytes_tag(3)
_ENTRY_NAME, _ENTRY_VALUE = bytes_tag(2), bytes_tag(6)
_CONFIGURATION, _VALUE = bytes_tag(1), bytes_tag(2)
_CONFIGURATION_LOCALE = bytes_tag(3)
_VALUE_ITEM = bytes_tag(4)
#: Item: a string, a raw string, a styled string; each has its text in field 1.
_ITEM_TEXTS = (bytes_tag(2), bytes_tag(3), bytes_tag(4))
_TEXT = bytes_tag(1)
_ITEM_REFERENCE, _REFERENCE_NAME = bytes_tag(1), bytes_tag(3)
#: A reference may lead to another.
_CHAIN = 8


class Span(NamedTuple):
    """Where a message lies in the file."""

    start: int
    end: int


def elements(data: memoryview) -> Elements:
    """The elements that say who an app is.

    Raises:
        InputError: it is no protobuf.
    """
    wire = Wire(data)
    found: dict[str, Attributes] = {}
    declared: list[tuple[str, Attributes]] = []
    try:
        for root in _within(wire, Span(0, len(data)), _NODE_ELEMENT):
            _add(wire, root, found)
            for element in _children(wire, root):
                _add(wire, element, found)
                for inner in _children(wire, element):
                    _declare(wire, inner, declared)
                    for innermost in _children(wire, inner):
                        _declare(wire, innermost, declared)
    except (RejectedModel, LimitExceeded) as error:
        raise InputError(f"the bundle's manifest is damaged: {error.message}") from error
    return Elements(found, tuple(declared))


def resolver(file: File | None) -> Resolver:
    """Looks references up by name in `resources.pb`."""

    def resolve(reference: Reference) -> str | None:
        if file is None:
            return None
        try:
            return _resolve(Wire(file.data()), reference)
        except (RejectedModel, LimitExceeded) as error:
            raise InputError(f"resources.pb is damaged: {error.message}") from error

    return resolve


def _resolve(wire: Wire, reference: Reference) -> str | None:
    value: str | Reference | None = reference
    for _ in range(_CHAIN):
        if not isinstance(value, Reference):
            return value
        kind, _, name = str(value.target).rpartition(":")[2].partition("/")
        value = _lookup(wire, kind.encode(), name.encode())
    return None


def _children(wire: Wire, element: Span) -> Iterator[Span]:
    for child in _within(wire, element, _ELEMENT_CHILD):
        yield from _within(wire, child, _NODE_ELEMENT)


def _add(wire: Wire, element: Span, found: dict[str, Attributes]) -> None:
    name = _text(wire, element, _ELEMENT_NAME)
    if name in WANTED and name not in found:
        found[name] = _attributes(wire, element)


def _declare(wire: Wire, element: Span, declared: list[tuple[str, Attributes]]) -> None:
    name = _text(wire, element, _ELEMENT_NAME)
    if name in DECLARED and len(declared) < MOST_DECLARED:
        declared.append((name, _attributes(wire, element)))


def _attributes(wire: Wire, element: Span) -> Attributes:
    return {
        _text(wire, attribute, _ATTRIBUTE_NAME): text_value(
            _text(wire, attribute, _ATTRIBUTE_VALUE)
        )
        for attribute in _within(wire, element, _ELEMENT_ATTRIBUTE)
    }


def _lookup(wire: Wire, kind: bytes, name: bytes) -> str | Reference | None:
    """A resource: its value for all languages where there is such a one, else the first."""
    for entry in _entries(wire, kind):
        if _bytes(wire, entry, _ENTRY_NAME) == name:
            values = sorted(
                _within(wire, entry, _ENTRY_VALUE), key=lambda value: _rank(wire, value)
            )
            return next((found for value in values if (found := _item(wire, value))), None)
    return None


def _entries(wire: Wire, kind: bytes) -> Iterator[Span]:
    for package in _within(wire, Span(0, len(wire.data)), _TABLE_PACKAGE):
        for kind_span in _within(wire, package, _PACKAGE_TYPE):
            if _bytes(wire, kind_span, _TYPE_NAME) == kind:
                yield from _within(wire, kind_span, _TYPE_ENTRY)


def _rank(wire: Wire, value: Span) -> tuple[bool, bool]:
    configuration = next(_within(wire, value, _CONFIGURATION), Span(0, 0))
    locale = _bytes(wire, configuration, _CONFIGURATION_LOCALE)
    return configuration.end > configuration.start, bool(locale)


def _item(wire: Wire, value: Span) -> str | Reference | None:
    for inner in _within(wire, value, _VALUE):
        for item in _within(wire, inner, _VALUE_ITEM):
            for tag, start, end in wire.fields(item.start, item.end):
                if tag == _ITEM_REFERENCE:
                    return Reference(_text(wire, Span(start, end), _REFERENCE_NAME))
                if tag in _ITEM_TEXTS:
                    return _text(wire, Span(start, end), _TEXT)
    return None


def _within(wire: Wire, message: Span, wanted: int) -> Iterator[Span]:
    for tag, start, end in wire.fields(message.start, message.end):
        if tag == wanted:
            yield Span(start, end)


def _bytes(wire: Wire, message: Span, wanted: int) -> bytes:
    span = next(_within(wire, message, wanted), Span(0, 0))
    return bytes(wire.data[span.start : span.end])


def _text(wire: Wire, message: Span, wanted: int) -> str:
    return _bytes(wire, message, wanted).decode("utf-8", "replace")
