"""Raw tensors cut out of and put into serialised messages, past the protobuf library.

The library copies a field of bytes twice on its way in, once into its own memory and once out of
it, and twice on its way out. Raw contents are the bulk of a message, top-level and of known number,
so they are taken as views of the message, and written behind what the library has serialised: the
order of fields on the wire is free.
"""

from __future__ import annotations

from collections.abc import Sequence

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_LONGEST_VARINT = 10


class MalformedMessage(ValueError):
    """No serialised message."""


def split(message: bytes, number: int) -> tuple[bytes, list[memoryview]]:
    """The message without its top-level fields of bytes with this number, and views of those.

    Raises:
        MalformedMessage: it is cut off, or no message.
    """
    view = memoryview(message)
    wanted = number << 3 | _BYTES
    taken: list[memoryview] = []
    rest: list[memoryview] = []
    at = kept = 0
    while at < len(message):
        start = at
        key, at = _varint(message, at)
        content, at = _skip(message, at, key & 7)
        if key == wanted:
            taken.append(view[content:at])
            rest.append(view[kept:start])
            kept = at
    if not taken:
        return message, taken
    rest.append(view[kept:])
    return b"".join(rest), taken


def join(message: bytes, number: int, contents: Sequence[bytes | memoryview]) -> bytes:
    """The message with further top-level fields of bytes of this number."""
    if not contents:
        return message
    key = _encoded(number << 3 | _BYTES)
    parts: list[bytes | memoryview] = [message]
    for content in contents:
        parts += (key, _encoded(len(content)), content)
    return b"".join(parts)


def _skip(message: bytes, at: int, kind: int) -> tuple[int, int]:
    """Where a field's content begins and ends."""
    if kind == _BYTES:
        length, at = _varint(message, at)
        end = at + length
    elif kind == _VARINT:
        end = _varint(message, at)[1]
    elif kind == _FIXED64:
        end = at + 8
    elif kind == _FIXED32:
        end = at + 4
    else:
        raise MalformedMessage(f"a field of the kind {kind} at byte {at}")
    if end > len(message):
        raise MalformedMessage(f"the field at byte {at} goes beyond the end")
    return at, end


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits per byte, and where it ends."""
    number = shift = 0
    for position in range(at, min(at + _LONGEST_VARINT, len(message))):
        byte = message[position]
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position + 1
        shift += 7
    raise MalformedMessage(f"the number at byte {at} does not end")


def _encoded(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
