"""Native libraries of Android: the dynamic part and the read-only data of an ELF file.

Only what is needed, with bounds: symbols, versions, names of libraries, data. Section headers are
used where they are sound; files without them (stripped by protectors) are read by their segments.

Layout: System V ABI, chapters 4 and 5; GNU symbol versions: LSB core, 10.7.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from edgewise.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

MAGIC = b"\x7fELF"
#: Names of machines that libraries of apps are built for (ELF `e_machine`), as Android calls them.
MACHINES = {
    3: "x86", 8: "mips", 40: "armeabi-v7a", 62: "x86_64", 164: "hexagon", 183: "arm64-v8a",
    243: "riscv64",
}  # fmt: skip
_LOAD, _DYNAMIC = 1, 2
_NEEDED, _HASH, _STRTAB, _SYMTAB, _STRSZ, _SONAME = 1, 4, 5, 6, 10, 14
_VERDEF, _VERDEFNUM, _GNU_HASH = 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFEF5
_PROGBITS, _NOBITS = 1, 8
_ALLOC, _EXECUTABLE = 2, 4
_EXECUTABLE_SEGMENT = 1
_MOST_HEADERS = 1024
_MOST_DYNAMIC = 4096


class Segment(NamedTuple):
    """A range of the file that is mapped at an address."""

    kind: int
    flags: int
    offset: int
    address: int
    size: int


class Elf:
    """An ELF file over bytes that are not copied."""

    def __init__(self, data: memoryview) -> None:
        """Read the headers.

        Raises:
            InputError: it is no ELF file, or cut off.
        """
        if len(data) < 52 or bytes(data[:4]) != MAGIC:
            raise InputError("is no ELF file")
        self.data = data
        self._wide = data[4] == 2
        self._order = ">" if data[5] == 2 else "<"
        try:
            self._read_headers()
            self._dynamic = self._read_dynamic()
        except (struct.error, IndexError, OverflowError) as error:
            raise InputError("an ELF file that is cut off") from error

    def _read_headers(self) -> None:
        layout = self._order + ("HHIQQQIHHHHHH" if self._wide else "HHIIIIIHHHHHH")
        fields = struct.unpack_from(layout, self.data, 16)
        self.machine = int(fields[1])
        self._sections_at, self._section_size, self._sections = fields[5], fields[10], fields[11]
        at, size, count = fields[4], fields[8], min(fields[9], _MOST_HEADERS)
        self.segments = [self._segment(at + i * size) for i in range(count)]

    def _segment(self, at: int) -> Segment:
        if self._wide:
            kind, flags, offset, address, _, size = struct.unpack_from(
                self._order + "IIQQQQ", self.data, at
            )
        else:
            kind, offset, address, _, size, _, flags = struct.unpack_from(
                self._order + "IIIIIII", self.data, at
            )
        return Segment(kind, flags, offset, address, size)

    def _read_dynamic(self) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        pair = struct.Struct(self._order + ("QQ" if self._wide else "II"))
        for segment in self.segments:
            if segment.kind != _DYNAMIC:
                continue
            for i in range(min(segment.size // pair.size, _MOST_DYNAMIC)):
                at = segment.offset + i * pair.size
                if at + pair.size > len(self.data):
                    break
                tag, value = pair.unpack_from(self.data, at)
                if tag == 0:
                    break
                found.append((tag, value))
        return found

    def _value(self, wanted: int) -> int | None:
        return next((value for tag, value in self._dynamic if tag == wanted), None)

    def _offset(self, address: int | None) -> int | None:
        """Where in the file an address is."""
        if address is None:
            return None
        for segment in self.segments:
            if segment.kind == _LOAD and 0 <= address - segment.address < segment.size:
                return segment.offset + address - segment.address
        return None

    @cached_property
    def names(self) -> memoryview:
        """The table of dynamic strings."""
        start = self._offset(self._value(_STRTAB))
        if start is None:
            return self.data[:0]
        return self.data[start : start + (self._value(_STRSZ) or 0)]

    def name_at(self, offset: int) -> str:
        """A string of that table."""
        part = bytes(self.names[offset : offset + 1024])
        return part.split(b"\0", 1)[0].decode("utf-8", "replace")

    @property
    def soname(self) -> str | None:
        """What the library calls itself."""
        offset = self._value(_SONAME)
        return self.name_at(offset) if offset is not None else None

    @property
    def needed(self) -> tuple[str, ...]:
        """The libraries that it asks for."""
        return tuple(self.name_at(value) for tag, value in self._dynamic if tag == _NEEDED)

    @cached_property
    def symbols(self) -> tuple[NDArray[Any], NDArray[Any]]:
        """Dynamic symbols: where their names begin in `names`, and whether they are defined."""
        import numpy as np

        start = self._offset(self._value(_SYMTAB))
        size = 24 if self._wide else 16
        count = self._symbol_count(start, size)
        if start is None or not count:
            return np.zeros(0, np.int64), np.zeros(0, bool)
        kind = np.dtype(self._order + "u4")
        halves = np.dtype(self._order + "u2")
        table = np.frombuffer(self.data[start : start + count * size], np.uint8)
        rows = table.reshape(-1, size)
        names = np.ascontiguousarray(rows[:, :4]).view(kind)[:, 0].astype(np.int64)
        where = 6 if self._wide else 14
        sections = np.ascontiguousarray(rows[:, where : where + 2]).view(halves)[:, 0]
        return names, sections != 0

    def _symbol_count(self, start: int | None, size: int) -> int:
        """From a hash table; where there is none, the strings usually follow the symbols."""
        if start is None:
            return 0
        most = max(0, (len(self.data) - start) // size)
        table = self._offset(self._value(_HASH))
        if table is not None and table + 8 <= len(self.data):
            return min(int(struct.unpack_from(self._order + "I", self.data, table + 4)[0]), most)
        counted = self._gnu_count(self._offset(self._value(_GNU_HASH)))
        strings = self._offset(self._value(_STRTAB))
        if counted is not None:
            return min(counted, most)
        return min((strings - start) // size, most) if strings and strings > start else 0

    def _gnu_count(self, table: int | None) -> int | None:
        if table is None or table + 16 > len(self.data):
            return None
        buckets, first, bloom, _ = struct.unpack_from(self._order + "4I", self.data, table)
        at = table + 16 + bloom * (8 if self._wide else 4)
        if at + 4 * buckets > len(self.data):
            return None
        last = max(struct.unpack_from(f"{self._order}{buckets}I", self.data, at), default=0)
        if last < first:
            return int(first)
        at += 4 * buckets + 4 * (last - first)
        while at + 4 <= len(self.data):
            last += 1
            if struct.unpack_from(self._order + "I", self.data, at)[0] & 1:
                return int(last)
            at += 4
        return None

    def versions(self) -> Iterator[str]:
        """The symbol versions that the library defines (`VERS_1.17.1`)."""
        at = self._offset(self._value(_VERDEF))
        count = min(self._value(_VERDEFNUM) or 0, 256)
        for _ in range(count):
            if at is None or at + 20 > len(self.data):
                return
            _, _, _, names, _, first, following = struct.unpack_from(
                self._order + "HHHHIII", self.data, at
            )
            if names and at + first + 4 <= len(self.data):
                (name,) = struct.unpack_from(self._order + "I", self.data, at + first)
                yield self.name_at(name)
            if not following:
                return
            at += following

    def constants(self) -> Iterator[memoryview]:
        """Ranges of data that is not code: sections, or segments where there are no sections."""
        ranges = list(self._data_sections())
        if not ranges:
            ranges = [
                (segment.offset, segment.size)
                for segment in self.segments
                if segment.kind == _LOAD and not segment.flags & _EXECUTABLE_SEGMENT
            ] or [(s.offset, s.size) for s in self.segments if s.kind == _LOAD]
        for offset, size in ranges:
            yield self.data[offset : offset + size]

    def _data_sections(self) -> Iterator[tuple[int, int]]:
        layout = struct.Struct(self._order + ("IIQQQQ" if self._wide else "IIIIII"))
        for index in range(min(self._sections, _MOST_HEADERS)):
            at = self._sections_at + index * self._section_size
            if at + layout.size > len(self.data):
                return
            _, kind, flags, _, offset, size = layout.unpack_from(self.data, at)
            if kind != _PROGBITS or not flags & _ALLOC or flags & _EXECUTABLE:
                continue
            if offset + size <= len(self.data):
                yield offset, size
