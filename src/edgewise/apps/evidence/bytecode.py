"""Dalvik code: where indices are used, and the instructions of one method.

Instruction formats: https://source.android.com/docs/core/runtime/dalvik-bytecode
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from edgewise.apps.evidence.dex import Dex

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What an instruction's operand counts in.
STRING, TYPE, FIELD, METHOD = 1, 2, 4, 8
_CODE = struct.Struct("<HHHHII")
#: Methods decoded in one dex; an app that names its models in more is not read further.
MOST_METHODS = 20_000
#: Code units decoded in one dex: methods of a file made so may overlap, and be decoded many times.
MOST_UNITS = 8_000_000

CONST_STRING, CONST_STRING_JUMBO = 0x1A, 0x1B


def _operand_kinds() -> bytes:
    kinds = bytearray(256)
    kinds[CONST_STRING] = kinds[CONST_STRING_JUMBO] = STRING
    for op in (0x1C, 0x1F, 0x20, 0x22, 0x23, 0x24, 0x25):
        kinds[op] = TYPE
    for op in range(0x52, 0x6E):
        kinds[op] = FIELD
    for op in (*range(0x6E, 0x73), *range(0x74, 0x79)):
        kinds[op] = METHOD
    return bytes(kinds)


def _widths() -> bytes:
    """Code units of each instruction."""
    widths = bytearray([1]) * 256
    ranges = {
        2: ["02", "05", "08", "13", "15", "16", "19", "1a", "1c", "1f-20", "22-23", "29", "2d-3d",
            "44-6d", "90-af", "d0-e2", "fe-ff"],
        3: ["03", "06", "09", "14", "17", "1b", "24-26", "2a-2c", "6e-72", "74-78", "fc-fd"],
        4: ["fa-fb"],
        5: ["18"],
    }  # fmt: skip
    for width, spans in ranges.items():
        for span in spans:
            low, _, high = span.partition("-")
            for op in range(int(low, 16), int(high or low, 16) + 1):
                widths[op] = width
    return bytes(widths)


OPERAND_KIND, WIDTH = _operand_kinds(), _widths()


class Instruction(NamedTuple):
    """One instruction: its operation, and its code units from the first on."""

    op: int
    units: tuple[int, ...]

    @property
    def operand(self) -> int:
        """The operand that counts in a table."""
        if self.op == CONST_STRING_JUMBO:
            return self.units[1] | self.units[2] << 16
        return self.units[1]


class Method(NamedTuple):
    """A method that is defined: number, class (a type), registers and parameter words, code."""

    number: int
    type: int
    registers: int
    ins: int
    start: int
    end: int


class Code:
    """All code of a dex."""

    def __init__(self, dex: Dex) -> None:
        self._dex = dex
        bodies = dex.bodies
        coded = bodies.code > 0
        self._code = bodies.code[coded]
        self._method, self._type = bodies.method[coded], bodies.type[coded]
        self._units_left = MOST_UNITS

    def using(self, wanted: Mapping[int, NDArray[Any]], without: set[int]) -> list[Method]:
        """Methods whose code may use one of these indices, by kind of operand.

        `without`: classes (types) whose methods are not wanted. Decode a method to be sure: the
        same units may stand there by chance.
        """
        import numpy as np

        if not len(self._code):
            return []
        start, end = int(self._code[0]) & ~1, len(self._dex.data) & ~1
        units = np.frombuffer(self._dex.data[start:end], "<u2")
        table = np.zeros(1 << 16, np.uint8)
        for kind, indices in wanted.items():
            table[indices & 0xFFFF] |= kind  # a long index is checked by who decodes
        places = np.flatnonzero(table[units[1:]])
        kinds = np.frombuffer(OPERAND_KIND, np.uint8)[units[places] & 0xFF]
        places = places[(table[units[places + 1]] & kinds) > 0]
        rows = np.unique(np.searchsorted(self._code, places * 2 + start, "right") - 1)
        found = []
        for row in rows[rows >= 0].tolist():
            if int(self._type[row]) not in without and (method := self._at(row)) is not None:
                found.append(method)
            if len(found) >= MOST_METHODS:
                break
        return found

    def of(self, methods: NDArray[Any]) -> list[Method]:
        """The methods of these numbers that have code here."""
        import numpy as np

        rows = np.flatnonzero(np.isin(self._method, methods))
        return [m for row in rows.tolist()[:MOST_METHODS] if (m := self._at(row)) is not None]

    def _at(self, row: int) -> Method | None:
        at, data = int(self._code[row]), self._dex.data
        if at + _CODE.size > len(data):
            return None
        registers, ins, _, _, _, size = _CODE.unpack_from(data, at)
        start = at + _CODE.size
        if start + 2 * size > len(data):
            return None
        return Method(
            int(self._method[row]), int(self._type[row]), registers, ins, start, start + 2 * size
        )

    def instructions(self, method: Method) -> Iterator[Instruction]:
        """The instructions of a method in order, up to where they end or make no sense."""
        size = (method.end - method.start) // 2
        self._units_left -= size
        if self._units_left < 0:
            return
        units = struct.unpack_from(f"<{size}H", self._dex.data, method.start)
        at = 0
        while at < size:
            first = units[at]
            op = first & 0xFF
            width = _payload_width(units, at) if op == 0 and first else WIDTH[op]
            if width <= 0 or at + width > size:
                return
            yield Instruction(op, units[at : at + min(width, 5)])
            at += width


def _payload_width(units: tuple[int, ...], at: int) -> int:
    """Tables of switches and arrays stand between instructions; their units are counted here."""
    kind, left = units[at], len(units) - at
    if left < 2:
        return 0
    count = units[at + 1]
    if kind == 0x0100:
        return 4 + 2 * count
    if kind == 0x0200:
        return 2 + 4 * count
    if kind == 0x0300 and left >= 4:
        elements = units[at + 2] | units[at + 3] << 16
        return 4 + (elements * count + 1) // 2
    return 1
