"""A bounded walk over protobuf's wire format, for every format that is written in it.

A message is a run of fields, each a tag (field number and wire type) and a value
(https://protobuf.dev/programming-guides/encoding). `Wire` yields tags with the place of their
values and copies nothing, so weights are stepped over in constant time. Readers compare whole tags:
a known number with another wire type is an unknown field, as in protobuf itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from edgewise.errors import LimitExceeded, RejectedModel

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
#: Fields that one file may make a reader look at. A network of 30,000 nodes has about a million.
FIELD_LIMIT = 4_000_000
_HIGHEST_TAG = (1 << 32) - 1
#: Bytes of a message that `Wire.short` copies at most.
_COPIED = 1024
#: Wire types whose value, or its length, is a varint.
_WITH_VARINT = (VARINT, BYTES)


def varint_tag(number: int) -> int:
    """Tag of a field holding an integer, bool or enum."""
    return number << 3 | VARINT


def bytes_tag(number: int) -> int:
    """Tag of a field holding a string, bytes, a message or packed numbers."""
    return number << 3 | BYTES


def fixed32_tag(number: int) -> int:
    """Tag of a field holding a float."""
    return number << 3 | FIXED32


def fixed64_tag(number: int) -> int:
    """Tag of a field holding a double."""
    return number << 3 | FIXED64


#: Where a value lies in the file: from a byte up to, not including, another one.
Span = tuple[int, int]


def signed(value: int) -> int:
    """A 64-bit varint as int32 and int64 fields mean it (two's complement)."""
    return value - (1 << 64) if value >> 63 else value


class Wire:
    """The bytes of one file, and how many more fields may be looked at in them.

    All offsets are into `data`. Every method raises `RejectedModel` where the bytes are no valid
    protobuf, naming the offset.
    """

    __slots__ = ("budget", "data")

    def __init__(self, data: memoryview, limit: int = FIELD_LIMIT) -> None:
        self.data = data
        self.budget = limit

    def fields(self, start: int, end: int) -> Iterator[tuple[int, int, int]]:
        """The fields of the message in [start, end): (tag, a, b), in the file's order.

        A varint's value is a (unsigned); all other values lie in [a, b).

        Raises:
            RejectedModel: a field reaches beyond its message, or is none.
            LimitExceeded: the file has more fields than the limit.
        """
        data = self.data
        position = start
        spent = 0
        try:
            for spent in range(self.budget + 1):  # noqa: B007 (read in finally)
                if position >= end:
                    return
                tag = data[position]
                if 8 <= tag < 0x80:
                    position += 1
                else:
                    tag, position = self._long_tag(position, end)
                kind = tag & 7
                if kind in _WITH_VARINT:
                    # One or two bytes hold most lengths and values: no call for those.
                    if position < end and (value := data[position]) < 0x80:
                        position += 1
                    elif position + 1 < end and (high := data[position + 1]) < 0x80:
                        value += (high - 1) << 7
                        position += 2
                    else:
                        value, position = self.varint(position, end)
                    if kind == VARINT:
                        yield tag, value, position
                        continue
                else:
                    value = _fixed_length(kind, position)
                stop = position + value
                if stop > end:
                    raise _cut_off(tag, position)
                yield tag, position, stop
                position = stop
        finally:
            self.budget -= spent
        raise _too_many()

    def short(self, start: int, end: int) -> tuple[bytes, list[tuple[int, int, int]]]:
        """The first bytes of a message and its fields, as `fields` has them but with places counted
        from its start: in half the time, for messages of which a file has thousands.

        Raises what `fields` does.
        """
        raw = bytes(self.data[start : min(end, start + _COPIED)])
        size, most = end - start, len(raw) - 1
        found: list[tuple[int, int, int]] = []
        position = 0
        while position < most:
            tag, value = raw[position], raw[position + 1]
            # Nearly all: tag and length, or tag and value, of one byte each.
            if 8 <= tag < 0x80 and value < 0x80 and tag & 5 == 0:
                position += 2
                if tag & BYTES:
                    stop = position + value
                    if stop > size:
                        raise _cut_off(tag, start + position)
                    found.append((tag, position, stop))
                    position = stop
                else:
                    found.append((tag, value, position))
                continue
            for tag, a, b in self.fields(start + position, end):
                position = b - start
                found.append((tag, a if tag & 7 == VARINT else a - start, position))
                break
        for tag, a, b in self.fields(start + position, end):
            found.append((tag, a if tag & 7 == VARINT else a - start, b - start))
        self.budget -= len(found)
        if self.budget < 0:
            raise _too_many()
        return raw, found

    def varint(self, position: int, end: int) -> tuple[int, int]:
        """The variable-length integer at `position`, and the place after it."""
        data = self.data
        if position < end:
            value = data[position]
            if value < 0x80:
                return value, position + 1
            value &= 0x7F
            for index in range(1, min(10, end - position)):
                byte = data[position + index]
                value |= (byte & 0x7F) << 7 * index
                if byte < 0x80:
                    return value & 0xFFFFFFFFFFFFFFFF, position + index + 1
        raise RejectedModel(f"no whole number at byte {position}")

    def _long_tag(self, position: int, end: int) -> tuple[int, int]:
        tag, after = self.varint(position, end)
        if not 8 <= tag <= _HIGHEST_TAG:
            raise RejectedModel(f"no protobuf field at byte {position}")
        return tag, after

    def varints(self, start: int, end: int) -> Iterator[int]:
        """The packed integers in [start, end), unsigned. Each counts as a field."""
        position = start
        while position < end:
            if not self.budget:
                raise _too_many()
            self.budget -= 1
            value, position = self.varint(position, end)
            yield value

    def text(self, start: int, end: int) -> str:
        """The string in [start, end); bytes that are no UTF-8 show as escapes."""
        return str(self.data[start:end], "utf-8", "backslashreplace")

    def first(self, span: Span, tag: int) -> Span | None:
        """Where the first field with this tag (not a varint's) lies in a message."""
        for found, start, end in self.fields(*span):
            if found == tag:
                return (start, end)
        return None


def _cut_off(tag: int, position: int) -> RejectedModel:
    return RejectedModel(f"field {tag >> 3} at byte {position} is cut off")


def _too_many() -> LimitExceeded:
    return LimitExceeded(f"more than {FIELD_LIMIT:,} protobuf fields")


def _fixed_length(kind: int, position: int) -> int:
    if kind == FIXED32:
        return 4
    if kind == FIXED64:
        return 8
    raise RejectedModel(f"unknown wire type {kind} at byte {position}")
