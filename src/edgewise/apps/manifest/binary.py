"""Android's compiled resource files: chunks, string pools, and XML made of them.

Layout: AOSP `libs/androidfw/include/androidfw/ResourceTypes.h`. Files made to mislead tools (wrong
magic, wrong counts, chunks of unknown type, names stripped) are read the way Android itself reads
them: chunk by chunk, attributes known by resource id.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from edgewise.apps.manifest.identity import (
    ATTRIBUTE_IDS,
    DECLARED,
    MOST_DECLARED,
    WANTED,
    Elements,
    Reference,
    Value,
)
from edgewise.errors import InputError

STRING_POOL, RESOURCE_MAP = 0x0001, 0x0180
_START_ELEMENT, _END_ELEMENT = 0x0102, 0x0103

_REFERENCE, _STRING, _FLOAT, _DYNAMIC_REFERENCE = 0x01, 0x03, 0x04, 0x07
_FIRST_INT, _HEXADECIMAL, _LAST_INT = 0x10, 0x11, 0x1F
_UTF8 = 1 << 8
_NONE = 0xFFFFFFFF

_CHUNK = struct.Struct("<HHI")
_POOL = struct.Struct("<8xI4xII")
_ELEMENT = struct.Struct("<4xIHHH")
_ATTRIBUTE = struct.Struct("<4xII3xBI")
_U32 = struct.Struct("<I")


class Chunk(NamedTuple):
    """A typed range: its header begins at `start`, its content at `body`."""

    kind: int
    start: int
    body: int
    end: int


def chunk_at(data: memoryview, at: int, end: int) -> Chunk | None:
    """The chunk at a place, or None where there is no valid one."""
    if at + _CHUNK.size > end:
        return None
    kind, header, size = _CHUNK.unpack_from(data, at)
    if not _CHUNK.size <= header <= size:
        return None
    return Chunk(kind, at, min(at + header, end), min(at + size, end))


def chunks(data: memoryview, start: int, end: int) -> Iterator[Chunk]:
    """The chunks in a range, up to its end or to where it is damaged."""
    while (chunk := chunk_at(data, start, end)) is not None:
        yield chunk
        start = chunk.end


class StringPool:
    """The strings of a file, each decoded when asked for."""

    def __init__(self, data: memoryview, chunk: Chunk) -> None:
        """Raises struct.error where the header is cut off."""
        _, flags, strings = _POOL.unpack_from(data, chunk.start)
        self._data, self._chunk = data, chunk
        self._utf8 = bool(flags & _UTF8)
        self._strings = chunk.start + strings

    def __getitem__(self, index: int) -> str | None:
        """The string, or None where there is none of this number."""
        slot = self._chunk.body + 4 * index
        if index < 0 or slot + 4 > self._chunk.end:
            return None
        at = self._strings + _U32.unpack_from(self._data, slot)[0]
        if at + 4 > self._chunk.end:
            return None
        return self._utf8_at(at) if self._utf8 else self._utf16_at(at)

    def _utf8_at(self, at: int) -> str:
        at += 2 if self._data[at] & 0x80 else 1  # its length in UTF-16, not needed
        size = self._data[at]
        at += 1
        if size & 0x80:
            size = (size & 0x7F) << 8 | self._data[at]
            at += 1
        return _modified_utf8(bytes(self._data[at : at + size]))

    def _utf16_at(self, at: int) -> str:
        units, low = struct.unpack_from("<HH", self._data, at)
        at += 2
        if units & 0x8000:
            units = (units & 0x7FFF) << 16 | low
            at += 2
        end = min(at + 2 * units, self._chunk.end)
        return bytes(self._data[at:end]).decode("utf-16-le", "replace")


def _modified_utf8(text: bytes) -> str:
    """Java's UTF-8: what lies beyond 16 bits is written as two surrogates."""
    try:
        pairs = text.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return text.decode("utf-8", "replace")
    return pairs.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def typed(kind: int, value: int, pool: StringPool | None) -> Value | None:
    """A `Res_value`: a string, a number, a reference, or None for what is none of these."""
    if kind == _STRING:
        return None if pool is None else pool[value]
    if kind in (_REFERENCE, _DYNAMIC_REFERENCE):
        return Reference(value) if value else None
    if kind == _FLOAT:
        return f"{struct.unpack('<f', _U32.pack(value))[0]:.7g}"
    if _FIRST_INT <= kind <= _LAST_INT:
        return value if kind == _HEXADECIMAL or value < 1 << 31 else value - (1 << 32)
    return None


def elements(data: memoryview) -> Elements:
    """The elements that say who an app is, from a compiled manifest.

    Raises:
        InputError: it is damaged, or no compiled XML at all.
    """
    try:
        return _Document(data).read()
    except (struct.error, IndexError) as error:
        raise InputError("the compiled manifest is damaged") from error


class _Document:
    def __init__(self, data: memoryview) -> None:
        self._data = data
        self._pool: StringPool | None = None
        self._ids: tuple[int, ...] = ()

    def read(self) -> Elements:
        data = self._data
        outer = chunk_at(data, 0, len(data))
        if outer is None:
            raise InputError("the manifest is neither compiled nor text XML")
        found: dict[str, dict[str, Value]] = {}
        declared: list[tuple[str, dict[str, Value]]] = []
        depth = 0
        for chunk in chunks(data, outer.body, len(data)):
            if chunk.kind == STRING_POOL and self._pool is None:
                self._pool = StringPool(data, chunk)
            elif chunk.kind == RESOURCE_MAP:
                size = (chunk.end - chunk.body) // 4 * 4
                self._ids = tuple(x for (x,) in _U32.iter_unpack(data[chunk.body :][:size]))
            elif chunk.kind == _START_ELEMENT:
                depth += 1
                name = self._text(_ELEMENT.unpack_from(data, chunk.body)[0])
                # Who the app is stands in the root and in its children.
                if name in WANTED and name not in found and depth <= 2:
                    found[name] = self._attributes(chunk)
                elif name in DECLARED and len(declared) < MOST_DECLARED:
                    declared.append((name, self._attributes(chunk)))
            elif chunk.kind == _END_ELEMENT:
                depth -= 1
        return Elements(found, tuple(declared))

    def _attributes(self, chunk: Chunk) -> dict[str, Value]:
        _, first, size, count = _ELEMENT.unpack_from(self._data, chunk.body)
        found: dict[str, Value] = {}
        for index in range(count):
            at = chunk.body + first + index * size
            if at + _ATTRIBUTE.size > chunk.end:
                break
            name_index, raw, kind, data = _ATTRIBUTE.unpack_from(self._data, at)
            name = self._attribute_name(name_index)
            if name is None or name in found:
                continue
            value = typed(kind, data, self._pool)
            if value is None or kind == _FLOAT:
                value = self._text(raw) or value  # as it was written
            if value is not None:
                found[name] = value
        return found

    def _attribute_name(self, index: int) -> str | None:
        """By resource id where it has one: names may be stripped or misleading."""
        if index < len(self._ids) and self._ids[index]:
            return ATTRIBUTE_IDS.get(self._ids[index])
        return self._text(index)

    def _text(self, index: int) -> str | None:
        return None if self._pool is None or index == _NONE else self._pool[index]
