"""The resource table of an APK (`resources.arsc`): what a reference in the manifest stands for.

Layout: AOSP `libs/androidfw/include/androidfw/ResourceTypes.h`.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from edgewise.apps.manifest.binary import STRING_POOL, Chunk, StringPool, chunk_at, chunks, typed
from edgewise.apps.manifest.identity import Reference, Resolver, Value
from edgewise.archive import File
from edgewise.errors import InputError

_PACKAGE, _TYPE = 0x0200, 0x0201
_SPARSE, _OFFSETS16 = 0x01, 0x02
_COMPLEX, _COMPACT = 0x0001, 0x0008
#: A reference may lead to another; real chains have one or two links.
_CHAIN = 8

_TYPE_HEADER = struct.Struct("<8xBB2xII")
_CONFIG = struct.Struct("<I4x2s2s")
_ENTRY = struct.Struct("<HHI")
_VALUE = struct.Struct("<3xBI")


def resolver(file: File | None) -> Resolver:
    """Looks references up in a table, which is read when the first one comes."""
    table: Table | None = None

    def resolve(reference: Reference) -> str | int | None:
        nonlocal table
        if file is None or not isinstance(reference.target, int):
            return None
        try:
            table = table or Table(file.data())
            return table.resolve(reference.target)
        except (struct.error, IndexError) as error:
            raise InputError("resources.arsc is damaged") from error

    return resolve


class _Type(NamedTuple):
    """The values of one type of resource (all strings, say) in one configuration."""

    chunk: Chunk
    flags: int
    size: int
    entries: int
    rank: tuple[bool, bool, bool]


class Table:
    """A resource table over bytes that are not copied."""

    def __init__(self, data: memoryview) -> None:
        """Find the types.

        Raises:
            struct.error, IndexError: the table is damaged.
        """
        self._data = data
        self._pool: StringPool | None = None
        self._types: dict[int, list[_Type]] = {}
        outer = chunk_at(data, 0, len(data))
        if outer is None:
            raise InputError("resources.arsc is no resource table")
        for chunk in chunks(data, outer.body, len(data)):
            if chunk.kind == STRING_POOL and self._pool is None:
                self._pool = StringPool(data, chunk)
            elif chunk.kind == _PACKAGE:
                self._add_package(chunk)

    def resolve(self, resource: int) -> str | int | None:
        """The string or number that a resource id stands for, or None.

        Of several configurations the default one counts, as on a device of no particular language;
        else one that is for all languages, else English, else the first.

        Raises:
            struct.error, IndexError: the table is damaged.
        """
        value: Value | None = Reference(resource)
        for _ in range(_CHAIN):
            if not isinstance(value, Reference) or not isinstance(value.target, int):
                return None if isinstance(value, Reference) else value
            value = self._best(value.target)
        return None

    def _add_package(self, package: Chunk) -> None:
        identifier = self._data[package.start + 8]
        for chunk in chunks(self._data, package.body, package.end):
            if chunk.kind == _TYPE:
                number, flags, count, entries = _TYPE_HEADER.unpack_from(self._data, chunk.start)
                found = _Type(chunk, flags, count, chunk.start + entries, self._rank(chunk))
                self._types.setdefault(identifier << 8 | number, []).append(found)

    def _rank(self, chunk: Chunk) -> tuple[bool, bool, bool]:
        """Lower is better: see `resolve`."""
        start = chunk.start + _TYPE_HEADER.size
        size, language, _ = _CONFIG.unpack_from(self._data, start)
        end = min(start + size, chunk.body)
        special = any(self._data[start + 4 : end])
        return special, language != b"\0\0", language != b"en"

    def _best(self, resource: int) -> Value | None:
        candidates = self._types.get(resource >> 16, ())
        for candidate in sorted(candidates, key=lambda found: found.rank):
            value = self._value(candidate, resource & 0xFFFF)
            if value is not None:
                return value
        return None

    def _value(self, found: _Type, index: int) -> Value | None:
        offset = self._offset(found, index)
        if offset is None or found.entries + offset + _ENTRY.size > found.chunk.end:
            return None
        at = found.entries + offset
        size, flags, data = _ENTRY.unpack_from(self._data, at)
        if flags & _COMPACT:
            return typed(flags >> 8, data, self._pool)
        if flags & _COMPLEX:
            return None
        kind, data = _VALUE.unpack_from(self._data, at + size)
        return typed(kind, data, self._pool)

    def _offset(self, found: _Type, index: int) -> int | None:
        """Where an entry stands behind `entries`; None where this configuration lacks it."""
        offsets = found.chunk.body
        if found.flags & _SPARSE:
            return self._sparse_offset(found, index)
        if index >= found.size:
            return None
        if found.flags & _OFFSETS16:
            (short,) = struct.unpack_from("<H", self._data, offsets + 2 * index)
            return None if short == 0xFFFF else 4 * int(short)
        (offset,) = struct.unpack_from("<I", self._data, offsets + 4 * index)
        return None if offset == 0xFFFFFFFF else int(offset)

    def _sparse_offset(self, found: _Type, index: int) -> int | None:
        start = found.chunk.body
        end = min(start + 4 * found.size, found.chunk.end)
        pairs = self._data[start : start + (end - start) // 4 * 4]
        return next((4 * o for i, o in struct.iter_unpack("<HH", pairs) if i == index), None)
