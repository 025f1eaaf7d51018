"""Native code of iOS: the load commands, symbols and constants of a Mach-O file.

Layout: Apple's `mach-o/loader.h` and `mach-o/fat.h`. Of a universal file the first 64-bit part is
read: its parts are the same code for several processors.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from edgewise.errors import InputError

_THIN = {b"\xcf\xfa\xed\xfe": True, b"\xce\xfa\xed\xfe": False}
_FAT = (b"\xca\xfe\xba\xbe", b"\xca\xfe\xba\xbf")
MAGICS = (*_THIN, *_FAT)
_MACHINES = {7: "x86", 0x01000007: "x86_64", 12: "armv7", 0x0100000C: "arm64"}
_SEGMENT, _SEGMENT64, _SYMTAB = 0x1, 0x19, 0x2
_DYLIBS = (0xC, 0x80000018, 0x8000001F, 0x20, 0x80000023)
_MOST_COMMANDS = 4096
_MOST_ARCHITECTURES = 16
_CODE = (b"__text", b"__stubs", b"__stub_helper")
_DEFINED = 0x0E


class MachO:
    """A Mach-O file over bytes that are not copied.

    Attributes:
        machine: the processor.
        needed: libraries and frameworks that it links.
        names: its symbols' names, between NULs; `defined` where in it those of its own begin.
    """

    def __init__(self, data: memoryview) -> None:
        """Read the load commands.

        Raises:
            InputError: it is no Mach-O file, or cut off.
        """
        try:
            self.data = _part(data)
            self._read()
        except (struct.error, IndexError) as error:
            raise InputError("a Mach-O file that is cut off") from error

    def _read(self) -> None:
        data = self.data
        wide = _THIN.get(bytes(data[:4]))
        if wide is None:
            raise InputError("is no Mach-O file")
        kind, _, _, count = struct.unpack_from("<IIII", data, 4)
        self.machine = _MACHINES.get(kind, str(kind))
        self.needed: list[str] = []
        self.names = data[:0]
        self.defined: set[int] = set()
        self._sections: list[tuple[int, int]] = []
        at = 32 if wide else 28
        for _ in range(min(count, _MOST_COMMANDS)):
            if at + 8 > len(data):
                return
            command, size = struct.unpack_from("<II", data, at)
            if command in _DYLIBS:
                (name,) = struct.unpack_from("<I", data, at + 8)
                text = bytes(data[at + name : at + size]).split(b"\0", 1)[0]
                self.needed.append(text.decode("utf-8", "replace"))
            elif command in (_SEGMENT, _SEGMENT64):
                self._add_sections(at, command == _SEGMENT64)
            elif command == _SYMTAB:
                self._add_symbols(at, wide)
            if size < 8:
                return
            at += size

    def _add_sections(self, at: int, wide: bool) -> None:
        (count,) = struct.unpack_from("<I", self.data, at + (64 if wide else 48))
        start, size = (at + 72, 80) if wide else (at + 56, 68)
        for index in range(min(count, 256)):
            here = start + index * size
            name = bytes(self.data[here : here + 16]).rstrip(b"\0")
            if wide:
                length, offset = struct.unpack_from("<QI", self.data, here + 40)
            else:
                length, offset = struct.unpack_from("<II", self.data, here + 36)
            if name not in _CODE and offset and offset + length <= len(self.data):
                self._sections.append((offset, length))

    def _add_symbols(self, at: int, wide: bool) -> None:
        symbols, count, strings, size = struct.unpack_from("<IIII", self.data, at + 8)
        self.names = self.data[strings : strings + size]
        width = 16 if wide else 12
        end = min(symbols + count * width, len(self.data))
        for here in range(symbols, end - width + 1, width):
            name, kind = struct.unpack_from("<IB", self.data, here)
            if kind & _DEFINED:
                self.defined.add(name)

    def constants(self) -> Iterator[memoryview]:
        """Sections that are not code."""
        for offset, size in self._sections:
            yield self.data[offset : offset + size]


def _part(data: memoryview) -> memoryview:
    """The part of a universal file that is read; a plain file as it is."""
    if bytes(data[:4]) not in _FAT:
        return data
    wide = bytes(data[:4]) == _FAT[1]
    (count,) = struct.unpack_from(">I", data, 4)
    parts = []
    for index in range(min(count, _MOST_ARCHITECTURES)):
        if wide:
            machine, _, offset, size = struct.unpack_from(">IIQQ", data, 8 + index * 32)
        else:
            machine, _, offset, size = struct.unpack_from(">IIII", data, 8 + index * 20)
        parts.append((not machine & 0x01000000, data[offset : offset + size]))
    if not parts:
        raise InputError("a universal Mach-O file without parts")
    return min(parts, key=lambda part: part[0])[1]
