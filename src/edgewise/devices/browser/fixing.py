"""A TFLite file whose free dimensions are fixed at what the file has now: LiteRT.js takes no other.

In the flatbuffer, a table's fields are found through its vtable; the slot of `shape_signature` is
set to 0 there, which reads as absent. Nothing moves.
"""

from __future__ import annotations

import struct

from edgewise.errors import RuntimeRefused

#: Field numbers: Model.subgraphs, SubGraph.tensors, Tensor.shape_signature.
_SUBGRAPHS, _TENSORS, _SIGNATURE = 2, 0, 7
_MOST_TABLES = 1_000_000


def fixed(data: bytes) -> tuple[bytes, bool]:
    """The file with its shapes fixed, and whether any was free.

    Raises:
        RuntimeRefused: it is no whole TFLite file.
    """
    buffer = bytearray(data)
    changed = False
    try:
        model = _u32(buffer, 0)
        for graph in _tables(buffer, model, _SUBGRAPHS):
            for tensor in _tables(buffer, graph, _TENSORS):
                slot = _slot(buffer, tensor, _SIGNATURE)
                if slot is not None and _u16(buffer, slot):
                    struct.pack_into("<H", buffer, slot, 0)
                    changed = True
    except (struct.error, IndexError) as error:
        raise RuntimeRefused("not a whole TFLite file") from error
    return bytes(buffer), changed


def _u16(buffer: bytearray, at: int) -> int:
    return int(struct.unpack_from("<H", buffer, at)[0])


def _u32(buffer: bytearray, at: int) -> int:
    if at < 0:
        raise IndexError
    return int(struct.unpack_from("<I", buffer, at)[0])


def _slot(buffer: bytearray, table: int, field: int) -> int | None:
    """Where a table's vtable has the offset of a field, None where it does not reach so far."""
    vtable = table - int(struct.unpack_from("<i", buffer, table)[0])
    if vtable < 0:
        raise IndexError
    slot = 4 + 2 * field
    return vtable + slot if slot < _u16(buffer, vtable) else None


def _tables(buffer: bytearray, table: int, field: int) -> list[int]:
    """The tables in a vector field."""
    slot = _slot(buffer, table, field)
    offset = _u16(buffer, slot) if slot is not None else 0
    if not offset:
        return []
    vector = table + offset
    vector += _u32(buffer, vector)
    count = _u32(buffer, vector)
    if count > min(_MOST_TABLES, len(buffer) // 4):
        raise IndexError
    places = range(vector + 4, vector + 4 + 4 * count, 4)
    return [place + _u32(buffer, place) for place in places]
