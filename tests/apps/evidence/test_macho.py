"""Mach-O files made for the test: what they link, name and hold; and those that are broken."""

from __future__ import annotations

import struct

import pytest

from edgewise.apps.evidence.macho import MachO
from edgewise.errors import InputError

ARM64, ARMV7, X86_64 = 0x0100000C, 12, 0x01000007
DYLIB, WEAK, SEGMENT, SEGMENT64, SYMTAB = 0xC, 0x80000018, 0x1, 0x19, 0x2
EXTERNAL, UNDEFINED = 0x0F, 0x01


def command(kind: int, body: bytes, size: int | None = None) -> bytes:
    padded = body + bytes(-len(body) % 8)
    return struct.pack("<II", kind, 8 + len(padded) if size is None else size) + padded


def dylib(path: bytes, kind: int = DYLIB) -> bytes:
    return command(kind, struct.pack("<IIII", 24, 0, 0, 0) + path + b"\0")


def segment(*sections: tuple[bytes, int, int], count: int | None = None) -> bytes:
    """Sections by name, place and size."""
    rows = b"".join(
        struct.pack("<16s16sQQIIIIIIII", name, b"__TEXT", 0, size, at, *[0] * 7)
        for name, at, size in sections
    )
    head = struct.pack("<16sQQQQIIII", b"__TEXT", 0, 0, 0, 0, 0, 0, len(sections), 0)
    if count is not None:
        head = head[:-8] + struct.pack("<II", count, 0)
    return command(SEGMENT64, head + rows)


def macho(*commands: bytes, machine: int = ARM64, count: int | None = None) -> bytes:
    body = b"".join(commands)
    number = len(commands) if count is None else count
    return struct.pack("<IIIIIIII", 0xFEEDFACF, machine, 0, 2, number, len(body), 0, 0) + body


def opened(data: bytes) -> MachO:
    return MachO(memoryview(data))


def universal(*parts: tuple[int, bytes], wide: bool = False, count: int | None = None) -> bytes:
    """A universal file. Its head is in the other byte order."""
    row = ">IIQQII" if wide else ">IIIII"
    at = 8 + struct.calcsize(row) * len(parts)
    head, body = b"", b""
    for machine, part in parts:
        more = (0, 0) if wide else (0,)
        head += struct.pack(row, machine, 0, at + len(body), len(part), *more)
        body += part
    number = len(parts) if count is None else count
    return struct.pack(">II", 0xCAFEBABF if wide else 0xCAFEBABE, number) + head + body


def test_libraries_that_it_links() -> None:
    found = opened(macho(dylib(b"@rpath/TensorFlowLiteC.framework/TensorFlowLiteC"),
                         dylib(b"/System/CoreML", WEAK), command(0x32, b"")))  # fmt: skip
    assert found.machine == "arm64"
    assert found.needed == ["@rpath/TensorFlowLiteC.framework/TensorFlowLiteC", "/System/CoreML"]


def test_constants_are_the_sections_that_are_no_code() -> None:
    size = len(macho(segment((b"__text", 0, 0), (b"__cstring", 0, 0), (b"__bss", 0, 0))))
    sections = ((b"__text", size, 4), (b"__cstring", size + 4, 5), (b"__bss", 0, 99))
    data = macho(segment(*sections)) + b"codehello"
    assert [bytes(part) for part in opened(data).constants()] == [b"hello"]


def test_symbols_of_its_own_are_told_from_those_of_others() -> None:
    names = b"\0_own\0_other\0"
    start = 32 + 24
    table = struct.pack("<IBBHQ", 1, EXTERNAL, 1, 0, 0) + struct.pack(
        "<IBBHQ", 6, UNDEFINED, 0, 0, 0
    )
    symtab = command(SYMTAB, struct.pack("<IIII", start, 2, start + 32, len(names)))
    found = opened(macho(symtab) + table + names)
    assert (bytes(found.names), found.defined) == (names, {1})


def test_32_bits() -> None:
    head = struct.pack("<IIIIIII", 0xFEEDFACE, ARMV7, 0, 2, 1, 124, 0)
    body = struct.pack("<16sIIIIIIII", b"__DATA", 0, 0, 0, 0, 0, 0, 1, 0)
    body += struct.pack("<16s16sIIIIIIIII", b"__const", b"__DATA", 0, 3, 156, *[0] * 6)
    found = opened(head + command(SEGMENT, body) + b"abc")
    assert found.machine == "armv7"
    assert [bytes(part) for part in found.constants()] == [b"abc"]


@pytest.mark.parametrize("wide", [False, True])
def test_of_a_universal_file_the_64_bit_part_is_read(wide: bool) -> None:
    old, new = macho(machine=ARMV7), macho(dylib(b"/x"), machine=ARM64)
    found = opened(universal((ARMV7, old), (ARM64, new), wide=wide))
    assert (found.machine, found.needed) == ("arm64", ["/x"])


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\xcf\xfa\xed", b"\x7fELF" + bytes(60),
        macho()[:18],
        macho(command(SYMTAB, bytes(8))),  # a command of this kind is longer
        universal(),  # no part
        universal(count=3),  # parts beyond the end
        universal((ARM64, b"")),
        universal((ARM64, universal((ARM64, macho())))),  # a universal file in a universal file
    ],
)  # fmt: skip
def test_what_is_none_or_cut_is_refused(data: bytes) -> None:
    with pytest.raises(InputError):
        opened(data)


def test_commands_that_are_cut_off_are_read_as_far_as_they_go() -> None:
    whole = macho(dylib(b"/x"), dylib(b"/y"))
    assert opened(whole[:-28]).needed == ["/x"]


def test_counts_beyond_all_bounds_end() -> None:
    assert opened(macho(dylib(b"/x"), count=0xFFFFFFFF)).needed == ["/x"]
    looping = macho(command(DYLIB, struct.pack("<I", 24) + bytes(20), size=0), count=0xFFFFFFFF)
    assert len(opened(looping).needed) == 1
    symtab = command(SYMTAB, struct.pack("<IIII", 32, 0xFFFFFFFF, 0, 0xFFFFFFFF))
    assert len(opened(macho(symtab)).defined) <= 4
    with pytest.raises(InputError, match="cut off"):
        opened(macho(segment((b"__const", 32, 8), count=0xFFFFFFFF)))


def test_sections_beyond_the_end_are_left_out() -> None:
    found = opened(macho(segment((b"__const", 32, 1 << 62), (b"__cstring", 1 << 31, 8))))
    assert list(found.constants()) == []
