"""Writes compiled manifests and resource tables, also ones that no tool would write."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

IDS = {"label": 0x01010001, "minSdkVersion": 0x0101020C, "versionCode": 0x0101021B,
       "versionName": 0x0101021C, "targetSdkVersion": 0x01010270,
       "versionCodeMajor": 0x01010576}  # fmt: skip
NONE = 0xFFFFFFFF
REFERENCE, STRING, FLOAT, DECIMAL = 1, 3, 4, 16

#: (type, data); for a string the text.
Typed = tuple[int, int | str]
Element = tuple[str, Mapping[str, Typed]]


def chunk(kind: int, header: bytes, body: bytes) -> bytes:
    size = 8 + len(header) + len(body)
    return struct.pack("<HHI", kind, 8 + len(header), size) + header + body


def pool(strings: Sequence[str], utf8: bool = True) -> bytes:
    data, offsets = b"", []
    for text in strings:
        offsets.append(len(data))
        data += _utf8(text) if utf8 else _utf16(text)
    data += bytes(-len(data) % 4)
    header = struct.pack("<IIIII", len(strings), 0, utf8 << 8, 28 + 4 * len(strings), 0)
    return chunk(1, header, struct.pack(f"<{len(offsets)}I", *offsets) + data)


def manifest(
    elements: Sequence[Element], *, utf8: bool = True, names: bool = True, ids: bool = True,
    between: bytes = b"", magic: int = 3,
) -> bytes:  # fmt: skip
    """A compiled manifest: the first element is the root, the others are its children.

    Without `names` the names of attributes that have an id are empty; without `ids` there is no
    resource map. `between` stands between the string pool and the rest.
    """
    attributes = list(dict.fromkeys(name for _, found in elements for name in found))
    attributes.sort(key=lambda name: name not in IDS)
    texts = [name if names or name not in IDS else "" for name in attributes]
    values = [v for _, found in elements for _, v in found.values() if isinstance(v, str)]
    texts += list(dict.fromkeys([name for name, _ in elements] + values))
    index = {text: i for i, text in enumerate(texts)} | {n: i for i, n in enumerate(attributes)}
    body = pool(texts, utf8) + between
    if ids:
        known = [IDS[name] for name in attributes if name in IDS]
        body += chunk(0x0180, b"", struct.pack(f"<{len(known)}I", *known))
    starts = [_start(name, found, index) for name, found in elements]
    ends = [_end(name, index) for name, _ in elements]
    body += starts[0]
    for start, end in zip(starts[1:], ends[1:], strict=True):
        body += start + end
    return chunk(magic, b"", body + ends[0])


def _start(name: str, attributes: Mapping[str, Typed], index: Mapping[str, int]) -> bytes:
    body = struct.pack("<IIHHHHHH", NONE, index[name], 20, 20, len(attributes), 0, 0, 0)
    for attribute, (kind, value) in attributes.items():
        raw = index[value] if isinstance(value, str) else NONE
        data = raw if isinstance(value, str) else value & NONE
        body += struct.pack("<IIIHBBI", NONE, index[attribute], raw, 8, 0, kind, data)
    return chunk(0x0102, struct.pack("<II", 1, NONE), body)


def _end(name: str, index: Mapping[str, int]) -> bytes:
    return chunk(0x0103, struct.pack("<II", 1, NONE), struct.pack("<II", NONE, index[name]))


def table(values: Mapping[str, Mapping[int, Typed]]) -> bytes:
    """Resources 0x7f01nnnn: by configuration ("" the default, else a language) and number."""
    texts = list(dict.fromkeys(
        value for found in values.values() for _, value in found.values() if isinstance(value, str)
    ))  # fmt: skip
    body = b"".join(_type(language, found, texts) for language, found in values.items())
    package = chunk(0x0200, struct.pack("<I256s5I", 0x7F, b"", 0, 0, 0, 0, 0), body)
    return chunk(2, struct.pack("<I", 1), pool(texts) + package)


def _type(language: str, values: Mapping[int, Typed], texts: Sequence[str]) -> bytes:
    offsets, entries = [], b""
    for number in range(max(values) + 1):
        if number not in values:
            offsets.append(NONE)
            continue
        offsets.append(len(entries))
        kind, value = values[number]
        data = texts.index(value) if isinstance(value, str) else value
        entries += struct.pack("<HHIHBBI", 8, 0, 0, 8, 0, kind, data)
    config = struct.pack("<I4x2s", 28, language.encode()).ljust(28, b"\0")
    header = struct.pack("<BBHII", 1, 0, 0, len(offsets), 20 + 28 + 4 * len(offsets)) + config
    return chunk(0x0201, header, struct.pack(f"<{len(offsets)}I", *offsets) + entries)


def _utf8(text: str) -> bytes:
    """Java's: what is beyond 16 bits as two surrogates of three bytes each."""
    units = text.encode("utf-16-le")
    data = "".join(map(chr, struct.unpack(f"<{len(units) // 2}H", units)))
    written = data.encode("utf-8", "surrogatepass")
    return _length8(len(units) // 2) + _length8(len(written)) + written + b"\0"


def _length8(length: int) -> bytes:
    return bytes([length >> 8 | 0x80, length & 0xFF]) if length > 0x7F else bytes([length])


def _utf16(text: str) -> bytes:
    data = text.encode("utf-16-le")
    units = len(data) // 2
    long = units > 0x7FFF
    size = struct.pack("<HH", units >> 16 | 0x8000, units & 0xFFFF) if long else b""
    return (size or struct.pack("<H", units)) + data + b"\0\0"
