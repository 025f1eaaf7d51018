"""Dex files, made from classes whose methods are lists of instructions."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

#: An instruction once the tables are known: code units.
Written = Callable[["Dexer"], Sequence[int]]


@dataclass
class MethodSource:
    """A method: its name, code and result; its registers, of which the last are parameters."""

    name: str
    code: Sequence[Written]
    result: str = "V"
    registers: int = 8
    ins: int = 1
    flags: int = 1


@dataclass
class ClassSource:
    """A class (`org.example.Main`), what it extends, and its methods."""

    name: str
    methods: Sequence[MethodSource] = ()
    extends: str = "java.lang.Object"


def descriptor(name: str) -> str:
    return f"L{name.replace('.', '/')};" if "." in name else name


@dataclass
class Dexer:
    """Collects what is named, then writes the file: tables sorted as the format wants strings."""

    strings: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)
    protos: list[str] = field(default_factory=list)
    fields: list[tuple[str, str]] = field(default_factory=list)
    methods: list[tuple[str, str, str]] = field(default_factory=list)

    def string(self, text: str) -> int:
        return _place(self.strings, text)

    def type(self, name: str) -> int:
        self.string(descriptor(name))
        return _place(self.types, name)

    def field(self, of: str, name: str) -> int:
        self.type(of), self.string(name), self.type("java.lang.String")
        return _place(self.fields, (of, name))

    def method(self, of: str, name: str, result: str = "V") -> int:
        self.type(of), self.string(name), self.type(result), self.string("V")
        _place(self.protos, result)
        return _place(self.methods, (of, name, result))


def _place(table: list, entry: object) -> int:
    if entry not in table:
        table.append(entry)
    return table.index(entry)


def dex(*classes: ClassSource) -> bytes:
    """The file. It is written twice: what code names is collected, then sorted."""
    known = Dexer()
    _write(known, classes)
    known.strings.sort(key=str.encode)
    return _write(known, classes)


def _write(known: Dexer, classes: Sequence[ClassSource]) -> bytes:
    for one in classes:
        known.type(one.name), known.type(one.extends)
        for method in one.methods:
            known.method(one.name, method.name, method.result)
    code = {}
    for one in classes:
        for method in one.methods:
            units = [unit for each in method.code for unit in each(known)]
            code[one.name, method.name] = (method, units)
    sizes = [len(known.strings) * 4, len(known.types) * 4, len(known.protos) * 12,
             len(known.fields) * 8, len(known.methods) * 8, len(classes) * 32]  # fmt: skip
    starts = [112]
    for size in sizes:
        starts.append(starts[-1] + size)
    body, where, data_at = bytearray(), {}, starts[-1]
    for key, (method, units) in code.items():
        body += bytes(-(data_at + len(body)) % 4)
        where[key] = data_at + len(body) if units else 0
        if units:
            head = (method.registers, method.ins, 5, 0, 0, len(units))
            body += struct.pack("<HHHHII", *head) + struct.pack(f"<{len(units)}H", *units)
    class_data = []
    for one in classes:
        class_data.append(data_at + len(body))
        numbers = sorted(
            (known.method(one.name, m.name, m.result), m) for m in one.methods
        ) if one.methods else []  # fmt: skip
        body += b"".join(map(_uleb128, (0, 0, len(numbers), 0)))
        before = 0
        for number, method in numbers:
            parts = (number - before, method.flags, where[one.name, method.name])
            body += b"".join(map(_uleb128, parts))
            before = number
    texts = []
    for text in known.strings:
        texts.append(data_at + len(body))
        body += _uleb128(len(text)) + text.encode() + b"\0"
    tables = struct.pack(f"<{len(texts)}I", *texts)
    tables += b"".join(
        struct.pack("<I", known.strings.index(descriptor(name))) for name in known.types
    )
    for result in known.protos:
        tables += struct.pack("<III", known.string("V"), known.types.index(result), 0)
    for of, name in known.fields:
        string_type = known.types.index("java.lang.String")
        tables += struct.pack("<HHI", known.types.index(of), string_type, known.string(name))
    for of, name, result in known.methods:
        proto = known.protos.index(result)
        tables += struct.pack("<HHI", known.types.index(of), proto, known.string(name))
    for one, at in zip(classes, class_data, strict=True):
        of, parent = known.types.index(one.name), known.types.index(one.extends)
        tables += struct.pack("<IIIIIIII", of, 1, parent, 0, 0xFFFFFFFF, 0, at, 0)
    counts = (len(known.strings), len(known.types), len(known.protos), len(known.fields),
              len(known.methods), len(classes))  # fmt: skip
    head = b"dex\n035\0" + bytes(24)
    size = 112 + len(tables) + len(body)
    head += struct.pack("<III", size, 112, 0x12345678) + bytes(12)
    for count, start in zip(counts, starts, strict=False):
        head += struct.pack("<II", count, start)
    return head + struct.pack("<II", len(body), data_at) + tables + bytes(body)


def _uleb128(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*found, value))


# Instructions


def const_string(register: int, text: str) -> Written:
    return lambda known: (0x1A | register << 8, known.string(text))


def const(register: int, value: int) -> Written:
    """A small number (`const/4`)."""
    return lambda known: (0x12 | register << 8 | (value & 15) << 12,)


def new(register: int, name: str) -> Written:
    return lambda known: (0x22 | register << 8, known.type(name))


def call(of: str, name: str, *registers: int, result: str = "V", static: bool = False) -> Written:
    def write(known: Dexer) -> Sequence[int]:
        packed = sum(register << 4 * at for at, register in enumerate(registers[:4]))
        op = 0x71 if static else 0x6E
        return (op | len(registers) << 12, known.method(of, name, result), packed)

    return write


def move_result(register: int) -> Written:
    return lambda known: (0x0C | register << 8,)


def put(register: int, of: str, name: str) -> Written:
    """Into a static field."""
    return lambda known: (0x69 | register << 8, known.field(of, name))


def get(register: int, of: str, name: str) -> Written:
    return lambda known: (0x62 | register << 8, known.field(of, name))


def return_object(register: int) -> Written:
    return lambda known: (0x11 | register << 8,)


def return_void() -> Written:
    return lambda known: (0x0E,)


def raw(*units: int) -> Written:
    return lambda known: units
