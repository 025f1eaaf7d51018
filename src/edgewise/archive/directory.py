"""The directory of a zip archive, read as Android reads it and where that fails, as far as it goes.

The standard library's `zipfile` refuses archives that install and run on phones (bogus versions,
encryption bits or methods; see `tests/archive`), cuts names at a NUL, and takes three times as
long. Here a row is data as found; what is odd about the archive becomes a note.

Layout: PKWARE's APPNOTE 6.3.9, sections 4.3.12 (central directory), 4.3.14 to 4.3.16 (its end);
Android's reading: `libziparchive/zip_archive.cc`.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from edgewise.errors import MalformedArchive

_END = b"PK\x05\x06"
_END64 = b"PK\x06\x06"
_LOCATOR64 = b"PK\x06\x07"
_ROW = b"PK\x01\x02"
_LOCAL = b"PK\x03\x04"
_CUT_SHORT = "broken zip archive: it begins as one but its end is missing, so it was cut short"

_END_LAYOUT = struct.Struct("<4sHHHHIIH")
_END64_LAYOUT = struct.Struct("<4s20xQQQQ")
_LOCATOR64_LAYOUT = struct.Struct("<4sIQI")
_ROW_LAYOUT = struct.Struct("<4s4xHH4xIIIHHH8xI")
_ZIP64_EXTRA = 1
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF

#: How far from the end the end record is looked for: a comment is at most 64 KiB, the rest allows
#: for data appended to the archive.
_SEARCHED = 1 << 20


class Row(NamedTuple):
    """One entry as the directory states it. `offset` is where its local header stands."""

    name: str
    flags: int
    method: int
    crc: int
    compressed_size: int
    size: int
    offset: int


@dataclass(frozen=True, slots=True)
class Directory:
    """The rows of an archive in the order of the file, and what is odd about it."""

    rows: tuple[Row, ...]
    notes: tuple[str, ...]


class _End(NamedTuple):
    """`trailing` is what follows the comment: below 0 where the comment reaches past the end."""

    position: int
    entries: int
    size: int
    offset: int
    trailing: int


def read_directory(data: memoryview, limit: int) -> Directory:
    """Read the directory of an archive, at most `limit` rows of it.

    Entries that only stand for a folder (a name ending in `/`, no content) are left out.

    Raises:
        MalformedArchive: there is no directory; says what is there instead. The path is the
            caller's to add.
    """
    end = _find_end(data)
    start, shift = _find_start(data, end)
    if shift and end.trailing and data[: len(_LOCAL)] == _LOCAL:
        # The file begins as an archive that is not the one found: its own end is gone, and this is
        # the end of a smaller archive stored in it.
        raise MalformedArchive(_CUT_SHORT)
    rows, complete, found = _rows(bytes(data[start : end.position]), limit, shift)
    notes = []
    if not complete:
        notes.append(f"more than {limit:,} entries: the rest was not looked at (limit entries)")
    elif found & _FULL16 != end.entries & _FULL16:
        notes.append(f"the zip directory has {found:,} entries but states {end.entries:,}")
    if shift:
        notes.append(f"{shift:,} bytes stand before the zip archive")
    if end.trailing > 0:
        notes.append(f"{end.trailing:,} bytes follow the zip archive")
    return Directory(tuple(rows), (*notes, *_odd_names(rows)))


def _find_end(data: memoryview) -> _End:
    """The last end record whose comment ends with the file, else the last plausible one."""
    base = max(0, len(data) - _SEARCHED)
    tail = bytes(data[base:])
    plausible: _End | None = None
    at = len(tail)
    while (at := tail.rfind(_END, 0, at)) >= 0:
        end = _end_at(data, base + at)
        if end is None:
            continue
        if end.trailing == 0:
            return end
        plausible = plausible or end
    if plausible is None:
        raise MalformedArchive(*_what_it_is(data))
    return plausible


def _end_at(data: memoryview, position: int) -> _End | None:
    if position + _END_LAYOUT.size > len(data):
        return None
    _, _, _, _, count, size, offset, comment = _END_LAYOUT.unpack_from(data, position)
    trailing = len(data) - position - _END_LAYOUT.size - comment
    if count == _FULL16 or _FULL32 in (size, offset):
        position, count, size, offset = _zip64(data, position) or (position, count, size, offset)
    if size > position:
        return None
    return _End(position, count, size, offset, trailing)


def _zip64(data: memoryview, end: int) -> tuple[int, int, int, int] | None:
    """Position, count, size and offset of the 64-bit end record that stands before the end."""
    locator = end - _LOCATOR64_LAYOUT.size
    if locator < 0:
        return None
    signature, _, position, _ = _LOCATOR64_LAYOUT.unpack_from(data, locator)
    if signature != _LOCATOR64 or position + _END64_LAYOUT.size > len(data):
        return None
    signature, _, count, size, offset = _END64_LAYOUT.unpack_from(data, position)
    return (position, count, size, offset) if signature == _END64 else None


def _find_start(data: memoryview, end: _End) -> tuple[int, int]:
    """Where the directory begins, and by how much everything is moved.

    Android believes the offset stated. Data put before an archive moves everything by its length.
    """
    if data[end.offset : end.offset + 4] == _ROW and end.offset < end.position:
        return end.offset, 0
    start = end.position - end.size
    if data[start : start + 4] == _ROW:
        return start, max(start - end.offset, 0)
    if end.entries == 0 and end.size == 0:
        return end.position, 0
    raise MalformedArchive(
        "broken zip archive: its directory is not where the end record says",
        hint="the file is damaged; download it again",
    )


def _rows(directory: bytes, limit: int, shift: int) -> tuple[list[Row], bool, int]:
    """The rows; whether these are all; and how many were walked, folders included."""
    rows: list[Row] = []
    unpack, width, end = _ROW_LAYOUT.unpack_from, _ROW_LAYOUT.size, len(directory)
    at = found = 0
    while at + width <= end:
        signature, flags, method, crc, packed, size, n, extra, comment, offset = unpack(
            directory, at
        )
        if signature != _ROW:
            break
        if len(rows) == limit:
            return rows, False, found
        found += 1
        name_end = at + width + n
        name = directory[at + width : name_end]
        if _FULL32 in (packed, size, offset):
            field = directory[name_end : name_end + extra]
            size, packed, offset = _widened(field, size, packed, offset)
        at = name_end + extra + comment
        if size or not name.endswith(b"/"):
            rows.append(Row(_text(name), flags, method, crc, packed, size, offset + shift))
    return rows, True, found


def _widened(extra: bytes, *values: int) -> list[int]:
    """Replace 32-bit fields that are full by the 64-bit ones of the extra field, in order."""
    wide = list(values)
    at = 0
    while at + 4 <= len(extra):
        tag, size = struct.unpack_from("<HH", extra, at)
        if tag == _ZIP64_EXTRA:
            field = extra[at + 4 : at + 4 + size]
            full = [i for i, value in enumerate(wide) if value == _FULL32]
            for i, (value,) in zip(
                full, struct.iter_unpack("<Q", field[: len(field) & ~7]), strict=False
            ):
                wide[i] = value
            break
        at += 4 + size
    return wide


def _text(name: bytes) -> str:
    """A name as text. Android takes all names as UTF-8; the zip specification's old code page is
    the fallback, and has a character for every byte."""
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name.decode("cp437")


def _odd_names(rows: list[Row]) -> list[str]:
    """Names that make Android refuse the archive."""
    notes = []
    counts = Counter(row.name for row in rows)
    if len(counts) != len(rows):
        twice = [name for name, count in counts.items() if count > 1]
        notes.append(f"{len(twice):,} names occur more than once, such as {twice[0]!r}")
    cut = next((name for name in counts if "\0" in name), None)
    if cut is not None:
        notes.append(f"the name {cut!r} has a NUL in it")
    return notes


def unlisted(data: memoryview, rows: Sequence[Row]) -> list[str]:
    """Names of entries that follow a listed one and are not listed themselves.

    Extractors that walk the local headers unpack them; Android does not see them.
    """
    listed = {row.offset for row in rows}
    found = []
    for row in rows:
        at = row.offset
        if at + 30 > len(data) or data[at : at + 4] != _LOCAL:
            continue
        name, extra = struct.unpack_from("<HH", data, at + 26)
        end = at + 30 + name + extra + row.compressed_size
        for place in (end, end + 12, end + 16, end + 24):  # a data descriptor may stand between
            if data[place : place + 4] != _LOCAL:
                continue
            if place not in listed and place + 30 <= len(data):
                (size,) = struct.unpack_from("<H", data, place + 26)
                text = _text(bytes(data[place + 30 : place + 30 + min(size, 200)]))
                found += [] if text.endswith("/") else [text]  # folders are not kept as rows
            break
    return found


def _what_it_is(data: memoryview) -> tuple[str]:
    if not data:
        return ("is empty",)
    if bytes(data[:2]) == b"PK":
        return (_CUT_SHORT,)
    return (f"not a zip archive: it begins with {bytes(data[:16])!r}",)
