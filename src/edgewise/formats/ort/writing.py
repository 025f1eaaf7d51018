"""Protobuf's wire format, written: as much as an ONNX model needs."""

from __future__ import annotations

import struct
from collections.abc import Iterable


def varint(number: int) -> bytes:
    """A number of variable length; negative ones in two's complement, as int64 is."""
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class Message:
    """A message that is being written. Tags are those of `protobuf.py`."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def number(self, tag: int, value: int) -> Message:
        """A whole number."""
        self._parts += (varint(tag), varint(value))
        return self

    def real(self, tag: int, value: float) -> Message:
        """A 32-bit float."""
        self._parts += (varint(tag), struct.pack("<f", value))
        return self

    def data(self, tag: int, value: bytes) -> Message:
        """Bytes, or a message within."""
        self._parts += (varint(tag), varint(len(value)), value)
        return self

    def text(self, tag: int, value: str) -> Message:
        """A string."""
        return self.data(tag, value.encode())

    def texts(self, tag: int, values: Iterable[str]) -> Message:
        """Strings, one field each."""
        for value in values:
            self.text(tag, value)
        return self

    def inside(self, tag: int, value: Message) -> Message:
        """A message within."""
        return self.data(tag, value.content())

    def content(self) -> bytes:
        """The message."""
        return b"".join(self._parts)
