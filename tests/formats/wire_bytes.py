"""Protobuf bytes for tests: `message((2, "name"), (3, 7), (5, 1.5), (6, message(…)))`."""

from __future__ import annotations

import struct

Field = tuple[int, "int | float | str | bytes"]


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number: int, value: float | str | bytes) -> bytes:
    """An integer is a varint, a real number 32 bits, all else has a length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    if isinstance(value, float):
        return varint(number << 3 | 5) + struct.pack("<f", value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def message(*fields: Field) -> bytes:
    return b"".join(field(number, value) for number, value in fields)
