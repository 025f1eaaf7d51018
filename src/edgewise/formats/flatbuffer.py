"""Reading flatbuffer tables from untrusted bytes.

A table is a position; its fields are found through a vtable, by slot. Every read is checked against
the end of the buffer, and all reads together against a budget: a small file can refer to the same
table a million times, so the size of the file bounds nothing.

The layout is described in the FlatBuffers project's "FlatBuffer Internals".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from struct import Struct, error, unpack_from
from typing import Any, NoReturn, overload

from edgewise.errors import LimitExceeded, RejectedModel

#: Work allowed on one buffer: a table costs 8, an element of a vector 1, 8 bytes of text 1. A
#: language model of 100,000 tensors and 70,000 operators costs less than half of it.
BUDGET = 12_000_000
_TABLE_COST = 8

_INT8, _UINT8, _BOOL = Struct("<b"), Struct("<B"), Struct("<?")
_UINT16_PAIR, _INT32, _UINT32 = Struct("<HH"), Struct("<i"), Struct("<I")
_INT64, _UINT64, _FLOAT32 = Struct("<q"), Struct("<Q"), Struct("<f")
_FLOAT64, _INT16 = Struct("<d"), Struct("<h")


class Flatbuffer:
    """One buffer of flatbuffer tables."""

    def __init__(self, data: memoryview, budget: int = BUDGET) -> None:
        self.data = data
        self._budget = self._left = budget
        self._vtables: dict[int, tuple[int, ...]] = {}
        #: The end of the farthest string or vector that was read.
        self.reach = 0

    def root(self) -> Table:
        """The table that the buffer starts with.

        Raises:
            RejectedModel: there is none.
        """
        return self.table(self.unpack(_UINT32, 0))

    def table(self, at: int) -> Table:
        """The table at byte `at`."""
        self.charge(_TABLE_COST)
        vtable = at - self.unpack(_INT32, at)
        fields = self._vtables.get(vtable)
        if fields is None:  # most tables of a file share a few dozen layouts
            fields = self._vtables[vtable] = self._read_vtable(vtable, at)
        return Table(self, at, fields)

    def missing_table(self) -> Table:
        """A table that has no fields: every read gives the default."""
        return Table(self, 0, ())

    def unpack(self, form: Struct, at: int) -> Any:
        """The scalar at byte `at`."""
        try:
            return form.unpack_from(self.data, at)[0]
        except error:
            self.broken(at, f"{form.size} bytes are wanted")

    def charge(self, cost: int) -> None:
        """Take `cost` from the budget.

        Raises:
            LimitExceeded: the budget is spent.
        """
        self._left -= cost
        if self._left < 0:
            raise LimitExceeded(
                f"more than {self._budget:,} tables and elements in one flatbuffer",
                hint="larger than any known model: the file refers to the same data many times",
            )

    def broken(self, at: int, why: str) -> NoReturn:
        """Reject the buffer, naming the place."""
        raise RejectedModel(f"broken at byte {at:,} of {len(self.data):,}: {why}")

    def text_at(self, at: int) -> str:
        """The string that the offset at byte `at` leads to."""
        start = at + self.unpack(_UINT32, at)
        size = self.unpack(_UINT32, start)
        if start + 4 + size > len(self.data):
            self.broken(start, f"a string of {size:,} bytes does not fit")
        self.charge(size >> 3)
        return str(self.data[start + 4 : start + 4 + size], "utf-8", "replace")

    def _read_vtable(self, at: int, table: int) -> tuple[int, ...]:
        if at < 0:
            self.broken(table, "a table whose layout lies before the file")
        try:
            size, inline = _UINT16_PAIR.unpack_from(self.data, at)
            self.reach = max(self.reach, at + size, table + inline)
            if size < 4 or size % 2:
                self.broken(at, f"a table layout of {size} bytes")
            count = size // 2 - 2
            self.charge(count)
            return unpack_from(f"<{count}H", self.data, at + 4)
        except error:
            self.broken(at, "a table layout beyond the end")


class Table:
    """A table. A field that it does not have reads as the default given."""

    __slots__ = ("_at", "_buffer", "_fields")

    def __init__(self, buffer: Flatbuffer, at: int, fields: tuple[int, ...]) -> None:
        self._buffer = buffer
        self._at = at
        self._fields = fields

    def int8(self, slot: int, default: int = 0) -> int:
        """A signed byte."""
        value: int = self._scalar(_INT8, slot, default)
        return value

    def uint8(self, slot: int, default: int = 0) -> int:
        """A byte, such as the type of a union."""
        value: int = self._scalar(_UINT8, slot, default)
        return value

    def flag(self, slot: int, default: bool = False) -> bool:
        """A boolean."""
        value: bool = self._scalar(_BOOL, slot, default)
        return value

    def int16(self, slot: int, default: int = 0) -> int:
        """A signed 16-bit integer."""
        value: int = self._scalar(_INT16, slot, default)
        return value

    def int32(self, slot: int, default: int = 0) -> int:
        """A signed 32-bit integer."""
        value: int = self._scalar(_INT32, slot, default)
        return value

    def uint32(self, slot: int, default: int = 0) -> int:
        """An unsigned 32-bit integer."""
        value: int = self._scalar(_UINT32, slot, default)
        return value

    def int64(self, slot: int, default: int = 0) -> int:
        """A signed 64-bit integer."""
        value: int = self._scalar(_INT64, slot, default)
        return value

    def uint64(self, slot: int, default: int = 0) -> int:
        """An unsigned 64-bit integer."""
        value: int = self._scalar(_UINT64, slot, default)
        return value

    def has(self, slot: int) -> bool:
        """Whether the table has the field at all."""
        return slot < len(self._fields) and self._fields[slot] != 0

    def table(self, slot: int) -> Table | None:
        """A table inside this one, or None."""
        at = self._follow(slot)
        return None if at is None else self._buffer.table(at)

    def empty(self) -> Table:
        """A table without fields, for one that is left out: every read gives the default."""
        return self._buffer.missing_table()

    def tables(self, slot: int) -> Tables:
        """A vector of tables, read as they are asked for; empty where there is none."""
        start, count = self._vector(slot, 4)
        return Tables(self._buffer, start, count)

    def text(self, slot: int) -> str | None:
        """A string, or None. Bytes that are no UTF-8 are replaced."""
        if not self.has(slot):
            return None
        start, count = self._vector(slot, 1)
        if start + count == self._buffer.reach:
            self._buffer.reach += 1  # a string ends with a zero byte
        self._buffer.charge(count >> 3)
        return str(self._buffer.data[start : start + count], "utf-8", "replace")

    def place(self, slot: int, width: int) -> tuple[int, int]:
        """Where the elements of a vector start in the buffer, and how many there are."""
        return self._vector(slot, width)

    def bytes(self, slot: int) -> memoryview:
        """A vector of bytes, not copied; empty where there is none."""
        start, count = self._vector(slot, 1)
        return self._buffer.data[start : start + count]

    def struct(self, slot: int, size: int) -> memoryview:
        """The bytes of a struct that a union's field points to; empty where there is none."""
        at = self._follow(slot)
        if at is None:
            return memoryview(b"")
        if at + size > len(self._buffer.data):
            self._buffer.broken(at, f"{size} bytes are wanted")
        return self._buffer.data[at : at + size]

    def structs(self, slot: int, size: int) -> memoryview:
        """The bytes of a vector of structs of `size` bytes each, one behind the other."""
        start, count = self._vector(slot, size)
        self._buffer.charge(count)
        return self._buffer.data[start : start + count * size]

    def float32(self, slot: int, default: float = 0.0) -> float:
        """A 32-bit float."""
        value: float = self._scalar(_FLOAT32, slot, default)
        return value

    def float64(self, slot: int, default: float = 0.0) -> float:
        """A 64-bit float."""
        value: float = self._scalar(_FLOAT64, slot, default)
        return value

    def uint32s(self, slot: int) -> tuple[int, ...]:
        """A vector of unsigned 32-bit integers."""
        return self._elements(slot, 4, "I")

    def float32s(self, slot: int) -> tuple[float, ...]:
        """A vector of 32-bit floats."""
        return self._elements(slot, 4, "f")

    def float64s(self, slot: int) -> tuple[float, ...]:
        """A vector of 64-bit floats."""
        return self._elements(slot, 8, "d")

    def texts(self, slot: int) -> list[str]:
        """A vector of strings."""
        start, count = self._vector(slot, 4)
        self._buffer.charge(count)
        return [self._buffer.text_at(start + 4 * at) for at in range(count)]

    def int32s(self, slot: int) -> tuple[int, ...]:
        """A vector of signed 32-bit integers."""
        return self._elements(slot, 4, "i")

    def int64s(self, slot: int) -> tuple[int, ...]:
        """A vector of signed 64-bit integers."""
        return self._elements(slot, 8, "q")

    def flags(self, slot: int) -> tuple[bool, ...]:
        """A vector of booleans."""
        return self._elements(slot, 1, "?")

    def count(self, slot: int, width: int) -> int:
        """How many elements of `width` bytes a vector has; 0 where there is none."""
        return self._vector(slot, width)[1]

    def first_float32(self, slot: int) -> float | None:
        """The first element of a vector of 32-bit floats, or None where it is empty."""
        start, count = self._vector(slot, 4)
        return float(self._buffer.unpack(_FLOAT32, start)) if count else None

    def first_int64(self, slot: int) -> int | None:
        """The first element of a vector of signed 64-bit integers, or None where it is empty."""
        start, count = self._vector(slot, 8)
        return int(self._buffer.unpack(_INT64, start)) if count else None

    def _scalar(self, form: Struct, slot: int, default: Any) -> Any:
        fields = self._fields
        if slot >= len(fields) or not fields[slot]:
            return default
        return self._buffer.unpack(form, self._at + fields[slot])

    def _follow(self, slot: int) -> int | None:
        """Where the offset in a field points to."""
        fields = self._fields
        if slot >= len(fields) or not fields[slot]:
            return None
        at = self._at + fields[slot]
        offset: int = self._buffer.unpack(_UINT32, at)
        return at + offset

    def _vector(self, slot: int, width: int) -> tuple[int, int]:
        """Where the elements of a vector start, and how many there are."""
        at = self._follow(slot)
        if at is None:
            return 0, 0
        count: int = self._buffer.unpack(_UINT32, at)
        if at + 4 + count * width > len(self._buffer.data):
            self._buffer.broken(at, f"{count:,} elements of {width} bytes do not fit")
        end = at + 4 + count * width
        if end > self._buffer.reach:
            self._buffer.reach = end
        return at + 4, count

    def _elements(self, slot: int, width: int, form: str) -> tuple[Any, ...]:
        start, count = self._vector(slot, width)
        if not count:
            return ()
        self._buffer.charge(count)
        return unpack_from(f"<{count}{form}", self._buffer.data, start)


class Tables(Sequence[Table]):
    """A vector of tables. Each is read when it is asked for."""

    def __init__(self, buffer: Flatbuffer, start: int, count: int) -> None:
        self._buffer = buffer
        self._start = start
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Table: ...
    @overload
    def __getitem__(self, index: slice) -> list[Table]: ...
    def __getitem__(self, index: int | slice) -> Table | list[Table]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        at = self._start + 4 * index
        offset: int = self._buffer.unpack(_UINT32, at)
        return self._buffer.table(at + offset)

    def __iter__(self) -> Iterator[Table]:
        return (self[index] for index in range(self._count))
