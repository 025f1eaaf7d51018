"""Weights in a file of their own (`.ptd`, FlatTensor): named tensors in segments.

Public schema: extension/flat_tensor/serialize/flat_tensor.fbs.
"""

from __future__ import annotations

from edgewise.archive import File
from edgewise.errors import RejectedModel
from edgewise.formats.building import missing, stored
from edgewise.formats.flatbuffer import Flatbuffer
from edgewise.graph import Weights

_MAGIC = b"FH01"


def external_weights(file: File, name: str, size: int) -> Weights:
    """The bytes of the tensor of that name in the file."""
    data = file.data()
    if bytes(data[8:12]) != _MAGIC:
        return missing(size, f"{file.name!r} is no file of tensors")
    start, length, base = (int.from_bytes(data[at : at + 8], "little") for at in (16, 24, 32))
    if start + length > len(data):
        raise RejectedModel(f"{file.name}: its directory lies beyond its end")
    root = Flatbuffer(data[start : start + length] if start else data[:length]).root()
    segments = [(one.uint64(0), one.uint64(1)) for one in root.tables(1)]
    for one in root.tables(2):
        if one.text(0) == name and one.uint32(1) < len(segments):
            offset, held = segments[one.uint32(1)]
            return stored(data, base + offset, min(size, held))
    return missing(size, f"{file.name!r} has no tensor {name!r}")
