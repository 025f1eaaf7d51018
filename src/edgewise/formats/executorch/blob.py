"""What all delegates' blobs have in common."""

from __future__ import annotations

from collections.abc import Mapping

from edgewise.graph import Weights

#: What the program stores for delegates, by name.
NamedData = Mapping[str, Weights]


def parts(blob: memoryview, magic: bytes) -> tuple[memoryview, memoryview]:
    """(flatbuffer, constants) of a blob with a header: magic at 4, then sizes and places.

    Blobs of before the header are a flatbuffer alone.
    """
    if bytes(blob[4:8]) != magic:
        return blob, memoryview(b"")
    start, size, data = (int.from_bytes(blob[at : at + 4], "little") for at in (10, 14, 18))
    length = int.from_bytes(blob[22:30], "little")
    if start + size > len(blob) or data + length > len(blob):
        raise ValueError("a part of the blob lies beyond its end")
    return blob[start : start + size], blob[data : data + length]
