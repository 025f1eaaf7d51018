"""Models that lie somewhere inside a file: several packed into one, behind a header, in a library.

A format that can be told from bytes at a fixed place in it says so (`EMBEDDED`). Wherever these
stand, a strict parse has the last word, which also tells where the model ends (`Graph.extent`).
"""

from __future__ import annotations

from collections.abc import Iterator

from edgewise.archive.files import Source
from edgewise.archive.part import Part
from edgewise.errors import EdgewiseError
from edgewise.formats import registry
from edgewise.formats.contract import Format

#: Bytes looked through at once, and the longest run that marks a format.
_CHUNK, _LONGEST = 1 << 20, 16
#: Places that are parsed at most, and models taken from one file.
_PLACES, _MODELS = 1000, 64

#: How a note ends that tells of bytes behind a model.
BEHIND = "bytes behind the model are not its own"
#: First bytes of what holds no model, and is most of an app: pictures, sounds, fonts, code of the
#: virtual machine, binary XML, resource tables.
_WITHOUT = (
    b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"OggS", b"ID3", b"GIF8", b"dex\n", b"\x03\0\x08\0",
    b"\x02\0\x0c\0", b"\0\x01\0\0\0", b"OTTO", b"wOFF", b"wOF2", b"<?xml", b"<svg", b"{",
)  # fmt: skip
#: The zip behind a model: how it begins, the record that ends it and its size, and the most bytes
#: that it is looked for in.
_ZIP_START, _ZIP_END, _ZIP_END_SIZE, _ARCHIVE = b"PK\x03\x04", b"PK\x05\x06", 22, 4 << 20
#: Fewer bytes than this are no model.
_SMALLEST = 256


def may_hold_models(head: bytes) -> bool:
    """Whether it is worth to look for models inside a file with these first bytes."""
    return len(head) >= _SMALLEST and not head.startswith(_WITHOUT)


def embedded(file: Source, start: int = 0) -> Iterator[tuple[Part, Format]]:
    """The models inside a file from byte `start` on, each with its format, in order.

    Raises:
        InputError: the file cannot be read.
        LimitExceeded: it is larger than the limits allow.
    """
    view = file.region().view
    reached, found = start, 0
    for tried, (at, fmt) in enumerate(_places(view, start)):
        if tried == _PLACES or found == _MODELS:
            return
        if at < reached:
            continue
        size = _extent(Part(file, at, len(view) - at), fmt)
        if size:
            found += 1
            reached = at + size
            yield Part(file, at, size), fmt


def _extent(part: Part, fmt: Format) -> int:
    """How long the model at the beginning of a part is; 0 where there is none."""
    try:
        size = min(fmt.read(part).extent or part.size, part.size)
    except EdgewiseError:
        return 0
    return _with_archive(part.data(), size)


def _with_archive(data: memoryview, size: int) -> int:
    """The size of a model with the zip that may stand behind it, labels and the like."""
    tail = bytes(data[size : size + _ARCHIVE])
    at = tail.find(_ZIP_END) if tail.startswith(_ZIP_START) else -1
    if at < 0 or at + _ZIP_END_SIZE > len(tail):
        return size
    comment = int.from_bytes(tail[at + 20 : at + 22], "little")
    return min(size + at + _ZIP_END_SIZE + comment, len(data))


def _places(view: memoryview, start: int) -> Iterator[tuple[int, Format]]:
    """Where a model may begin, by the bytes that mark its format."""
    marks = [(fmt, *fmt.EMBEDDED) for fmt in registry.formats() if hasattr(fmt, "EMBEDDED")]
    for chunk in range(start, len(view), _CHUNK):
        data = bytes(view[chunk : chunk + _CHUNK + _LONGEST])
        hits = []
        for fmt, offset, mark in marks:
            at = data.find(mark)
            while 0 <= at < _CHUNK:
                if chunk + at - offset >= start:
                    hits.append((chunk + at - offset, fmt))
                at = data.find(mark, at + 1)
        yield from sorted(hits, key=lambda hit: hit[0])
