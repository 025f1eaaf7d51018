"""The tables of a dex file: strings, types, methods, fields, classes, and where their code is.

Tables are read as arrays; a string is decoded only when something asks for it. Every offset comes
from a stranger and is checked.

Layout: https://source.android.com/docs/core/runtime/dex-format
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from edgewise.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgewise.apps.evidence.matching import Patterns

MAGIC = b"dex\n"
_HEADER = struct.Struct("<32xIII8x4xIIIIIIIIIIII")
_HEADER_BYTES = 112
_LITTLE = 0x12345678
#: Longest string that is decoded: a URL or a path is shorter, a blob put into a string is not.
_STRING_BYTES = 4096


class Hit(NamedTuple):
    """A pattern found in a string: which pattern, which string, how far into it."""

    pattern: int
    string: int
    offset: int


class Dex:
    """A dex file over bytes that are not copied. All indices are those of the file's own tables.

    Attributes:
        size: bytes that the file says it has; what stands behind is `trailing`.
    """

    def __init__(self, data: memoryview) -> None:
        """Read the header and map the tables.

        Raises:
            InputError: it is no dex file, or its tables lie outside of it.
        """
        if len(data) < _HEADER_BYTES or bytes(data[:4]) != MAGIC:
            raise InputError("is no dex file")
        fields = _HEADER.unpack_from(data, 0)
        self.size, _, endian = fields[:3]
        if endian != _LITTLE:
            raise InputError("a dex file of another byte order, which phones do not run")
        self.data = data
        self._tables = fields[3:]
        try:
            self._string_offsets = self._table(0, "<u4")
            self.type_strings = self._table(1, "<u4")
            self._protos = self._table(2, "<u4", 3)
            self._fields = self._table(3, "<u2", 4)
            self._methods = self._table(4, "<u2", 4)
            self._classes = self._table(5, "<u4", 8)
        except ValueError as error:
            raise InputError(f"a dex file whose tables lie outside of it: {error}") from error

    @property
    def trailing(self) -> memoryview:
        """What follows the end that the file states."""
        return self.data[self.size :]

    def _table(self, number: int, dtype: str, columns: int = 1) -> NDArray[Any]:
        import numpy as np

        count, offset = self._tables[2 * number : 2 * number + 2]
        kind = np.dtype(dtype)
        if count and offset + count * columns * kind.itemsize > len(self.data):
            raise ValueError(f"table {number}")
        table = np.frombuffer(self.data, kind, count * columns, offset if count else 0)
        return table if columns == 1 else table.reshape(-1, columns)

    # Strings

    def string(self, index: int) -> str:
        """A string, at most its first 4096 bytes; empty where there is none of this number."""
        return self.raw_string(index).decode("utf-8", "replace")

    def raw_string(self, index: int) -> bytes:
        """The same as it is written (Java's UTF-8)."""
        if not 0 <= index < len(self._string_offsets):
            return b""
        start = self._text_start(int(self._string_offsets[index]))
        part = bytes(self.data[start : start + _STRING_BYTES])
        end = part.find(b"\0")
        return part if end < 0 else part[:end]

    def _text_start(self, at: int) -> int:
        """Behind the length (uleb128, at most five bytes)."""
        for position in range(at, min(at + 5, len(self.data))):
            if self.data[position] < 0x80:
                return position + 1
        return at

    def find_string(self, text: str) -> int | None:
        """The index of a string by halving: the table is sorted."""
        wanted, low, high = text.encode(), 0, len(self._string_offsets)
        while low < high:
            middle = (low + high) // 2
            found = self.raw_string(middle)
            if found == wanted:
                return middle
            low, high = (middle + 1, high) if found < wanted else (low, middle)
        return None

    def search(self, patterns: Patterns) -> Iterator[Hit]:
        """Where patterns stand in strings; of those that overlap, one. Only the bytes between the
        first and last string are searched."""
        import numpy as np

        offsets = self._string_offsets
        if not len(offsets):
            return
        ordered = bool(np.all(offsets[1:] > offsets[:-1]))
        order = None if ordered else np.argsort(offsets)
        places = offsets if order is None else offsets[order]
        first, last = int(places[0]), int(places[-1])
        end = min(len(self.data), last + 4 + 4 * _STRING_BYTES)
        hits = patterns.find(self.data[first:end], all_of_them=False)
        if not hits:
            return
        starts = np.array([start for _, start in hits], np.int64) + first
        rows = np.searchsorted(places, starts, "right") - 1
        for (pattern, _), at, row in zip(hits, starts.tolist(), rows.tolist(), strict=True):
            index = row if order is None else int(order[row])
            text = self._text_start(int(places[row]))
            if at >= text and not self._ends_before(text, at):
                yield Hit(pattern, index, at - text)

    def _ends_before(self, start: int, at: int) -> bool:
        """Whether the string that begins at `start` ends before `at`: only behind the last one."""
        return b"\0" in bytes(self.data[start:at]) if at > start else False

    # Types, classes, methods, fields

    def types_of(self, strings: Iterable[int]) -> NDArray[np.intp]:
        """The types whose descriptors these strings are."""
        import numpy as np

        return np.flatnonzero(np.isin(self.type_strings, np.fromiter(strings, np.uint32)))

    def type_name(self, index: int) -> str:
        """`Lorg/example/Main;` as `org.example.Main`."""
        if not 0 <= index < len(self.type_strings):
            return ""
        return java_name(self.string(int(self.type_strings[index])))

    @cached_property
    def class_types(self) -> NDArray[np.uint32]:
        """The type of each class that is defined here."""
        return self._classes[:, 0]

    @cached_property
    def superclasses(self) -> NDArray[np.uint32]:
        """The type that each class defined here extends."""
        return self._classes[:, 2]

    def methods_of(self, types: NDArray[Any]) -> NDArray[np.intp]:
        """Methods (called or defined) whose class is one of these types."""
        return self._members_of(self._methods, types)

    def fields_of(self, types: NDArray[Any]) -> NDArray[np.intp]:
        """Fields (used or defined) whose class is one of these types."""
        return self._members_of(self._fields, types)

    def _members_of(self, table: NDArray[Any], types: NDArray[Any]) -> NDArray[np.intp]:
        import numpy as np

        wanted = np.zeros(1 << 16, bool)
        wanted[types[types < 1 << 16]] = True
        return np.flatnonzero(wanted[table[:, 0]])

    def method_class(self, index: int) -> int:
        """The type that a method belongs to."""
        return int(self._methods[index, 0]) if index < len(self._methods) else -1

    def method_name(self, index: int) -> str:
        """A method's own name."""
        return self.string(self._name_string(self._methods, index))

    def field_name(self, index: int) -> str:
        """A field's own name."""
        return self.string(self._name_string(self._fields, index))

    def field_class(self, index: int) -> int:
        """The type that a field belongs to."""
        return int(self._fields[index, 0]) if index < len(self._fields) else -1

    def _name_string(self, table: NDArray[Any], index: int) -> int:
        if not 0 <= index < len(table):
            return -1
        return int(table[index, 2]) | int(table[index, 3]) << 16

    def methods_called(self, name: str) -> NDArray[np.intp]:
        """All methods of a name."""
        import numpy as np

        string = self.find_string(name)
        if string is None:
            return np.zeros(0, np.intp)
        names = self._methods[:, 2].astype(np.uint32) | self._methods[:, 3].astype(np.uint32) << 16
        return np.flatnonzero(names == string)

    def result_type(self, method: int) -> str:
        """The descriptor of what a method returns."""
        if not 0 <= method < len(self._methods):
            return ""
        proto = int(self._methods[method, 1])
        if proto >= len(self._protos):
            return ""
        result = int(self._protos[proto, 1])
        if result >= len(self.type_strings):
            return ""
        return self.string(int(self.type_strings[result]))

    # Code

    @cached_property
    def bodies(self) -> Bodies:
        """All methods that are defined here: their class, number, flags and where their code is."""
        return _bodies(self.data, self._classes)


class Bodies(NamedTuple):
    """Methods defined in a dex, in the order of their code; `code` is 0 for native and abstract."""

    code: NDArray[np.int64]
    method: NDArray[np.int64]
    type: NDArray[np.int64]
    flags: NDArray[np.int64]


def java_name(descriptor: str) -> str:
    """`Lorg/example/Main;` as `org.example.Main`; other descriptors as they are."""
    if descriptor[:1] == "L" and descriptor[-1:] == ";":
        return descriptor[1:-1].replace("/", ".")
    return descriptor


def _bodies(data: memoryview, classes: NDArray[Any]) -> Bodies:
    """Decode all class data at once: a stream of uleb128 numbers, read as arrays.

    Where a class's data does not begin at a number (files made to mislead), it is left out.
    """
    import numpy as np

    offsets = classes[:, 6].astype(np.int64)
    types = classes[:, 0].astype(np.int64)
    present = (offsets > 0) & (offsets < len(data))
    offsets, types = offsets[present], types[present]
    if not len(offsets):
        empty = np.zeros(0, np.int64)
        return Bodies(empty, empty, empty, empty)
    first = int(offsets.min())
    # Class data is one stretch in practice; the map's next section begins soon after the last one.
    end = min(len(data), _stretch_end(data, int(offsets.max())))
    numbers, starts = _uleb128(np.frombuffer(data[first:end], np.uint8))
    row = np.searchsorted(starts, offsets - first)
    sound = (row + 4 <= len(starts)) & (starts[np.minimum(row, len(starts) - 1)] == offsets - first)
    row, types = row[sound], types[sound]
    counts = numbers[row[:, None] + np.arange(4)]
    fields, direct, virtual = counts[:, 0] + counts[:, 1], counts[:, 2], counts[:, 3]
    start = row + 4 + 2 * fields
    sound = start + 3 * (direct + virtual) <= len(numbers)
    parts = [
        _methods_at(numbers, start[sound], direct[sound], types[sound]),
        _methods_at(numbers, (start + 3 * direct)[sound], virtual[sound], types[sound]),
    ]
    joined = [np.concatenate(columns) for columns in zip(*parts, strict=True)]
    order = np.argsort(joined[0], kind="stable")
    return Bodies(*(column[order] for column in joined))


def _stretch_end(data: memoryview, last: int) -> int:
    """Where the numbers of the class that begins at `last` end, at most 1 MiB on."""
    values: list[int] = []
    at, value, shift, wanted = last, 0, 0, 4
    while at < len(data) and at - last < 1 << 20:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            values.append(value)
            value = shift = 0
            if len(values) == 4:
                wanted = 4 + 2 * (values[0] + values[1]) + 3 * (values[2] + values[3])
            if len(values) >= wanted:
                break
    return at


def _uleb128(stream: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The numbers in a stream of bytes, and where each begins."""
    import numpy as np

    ends = np.flatnonzero(stream < 0x80)
    starts = np.concatenate((np.zeros(1, np.int64), ends[:-1] + 1))
    numbers = np.zeros(len(ends), np.int64)
    for k in range(5):
        at = starts + k
        inside = at <= ends
        byte = stream[np.minimum(at, len(stream) - 1)].astype(np.int64) & 0x7F
        numbers += np.where(inside, byte << (7 * k), 0)
    return numbers, starts


def _methods_at(
    numbers: NDArray[np.int64], start: NDArray[np.int64], count: NDArray[np.int64],
    types: NDArray[np.int64],
) -> tuple[NDArray[np.int64], ...]:  # fmt: skip
    """Code, method number, type and flags of lists of encoded methods (triples of numbers)."""
    import numpy as np

    total = int(count.sum())
    owner = np.repeat(np.arange(len(count)), count)
    before = np.concatenate((np.zeros(1, np.int64), np.cumsum(count)[:-1])) if len(count) else count
    place = np.arange(total) - before[owner]
    at = start[owner] + 3 * place
    steps = numbers[at]  # each number is a difference from the one before, in its list
    running = np.cumsum(steps)
    base = running[before[owner]] - steps[before[owner]] if total else running
    return numbers[at + 2], running - base, types[owner], numbers[at + 1]
