"""Stored values of an MNN file: floats in the flatbuffer, in a file beside it, or packed.

Packed weights (IDSTQuan, type 1) are: a byte with the number of dimensions, the dimensions (16 or
32 bits each), a byte with the number of different values (0 for 256), those values as signed
bytes, then one index per weight, as few bits as needed, most significant bits first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from edgewise.archive import File
from edgewise.errors import InputError, RejectedModel
from edgewise.formats import mnn, siblings
from edgewise.formats.flatbuffer import Table
from edgewise.formats.mnn.schema import TYPES, BlobSlot, QuantSlot
from edgewise.formats.netlist import Netlist, slice_of
from edgewise.graph import DTYPE_BITS, Quantization, Weights


class Values:
    """The stored values of one file."""

    def __init__(self, file: File, data: memoryview) -> None:
        self._file = file
        self.data = data
        self.name = siblings.expected(file, mnn.SIBLINGS)
        self._beside: File | None = None
        self.looked_for = False

    @property
    def beside(self) -> File | None:
        """The file with the weights that lie outside."""
        if not self.looked_for:
            self.looked_for = True
            self._beside = siblings.find(self._file, mnn.SIBLINGS)
            if self._beside is not None:
                self.name = self._beside.name
        return self._beside

    def floats(self, table: Table, slot: int) -> tuple[Callable[[], memoryview], int]:
        """How to load a vector of 32-bit floats, and how many there are."""
        start, count = table.place(slot, 4)
        return slice_of(self.data, start, 4 * count, "weights"), count

    def outside(self, start: int, nbytes: int) -> Callable[[], memoryview]:
        """How to load bytes of the file beside."""
        other = self.beside
        return siblings.stored(other, self.name, start, nbytes).load

    def packed(
        self, netlist: Netlist, name: str, table: Table, shape: Sequence[int], external: int | None
    ) -> int:
        """Weights that IDSTQuan holds, as a stored tensor. `external`: where they start outside."""
        kind, count = table.int32(QuantSlot.TYPE), math.prod(shape)
        start, length = table.place(QuantSlot.BUFFER, 1)
        load = slice_of(self.data, start, length, name)
        channels = shape[0]
        scales = Quantization(channels, axis=0)
        if kind == QuantSlot.FLOAT16:
            return netlist.weight(name, "float16", shape, self._checked(load, length, 2 * count))
        if kind == QuantSlot.INT8:
            one = self._checked(load, length, count)
            return netlist.weight(name, "int8", shape, one, quantization=scales)
        bits = table.int32(QuantSlot.BITS)
        dtype = "int4" if 0 < bits <= 4 else "int8"
        if external is not None:
            raise_missing = partial(_not_unpacked, name)
            return netlist.weight(name, dtype, shape, raise_missing, quantization=scales)
        wide = table.flag(QuantSlot.WIDE_SHAPE)
        unpack = partial(_unpacked, load, count, wide, dtype == "int4", kind == QuantSlot.SPARSE)
        return netlist.weight(name, dtype, shape, unpack, quantization=scales)

    def _checked(
        self, load: Callable[[], memoryview], have: int, want: int
    ) -> Callable[[], memoryview]:
        if have < want:
            raise RejectedModel(f"{want:,} bytes of weights wanted, {have:,} stored")
        return lambda: load()[:want]

    def blob(self, table: Table) -> tuple[str, tuple[int, ...], Weights | None]:
        """Type, shape and values of a Blob.

        Raises:
            RejectedModel: its values do not fit its shape.
        """
        dtype = TYPES.get(table.int32(BlobSlot.TYPE, 1), "unknown")
        shape = table.int32s(BlobSlot.DIMS)
        if any(size < 0 for size in shape):
            raise RejectedModel(f"a constant of shape {list(shape)}")
        wanted = math.prod(shape) * DTYPE_BITS.get(dtype, 8) // 8
        external = table.int64s(BlobSlot.EXTERNAL)
        if len(external) >= 2:
            return dtype, shape, Weights(wanted, self.outside(external[0], wanted))
        slot, width = BlobSlot.DATA.get(dtype, (3, 1))
        start, count = table.place(slot, width)
        if dtype == "bool":
            dtype, wanted = "int32", 4 * math.prod(shape)
        if not count and not table.has(slot):
            return dtype, shape, Weights(0, lambda: memoryview(b"")) if 0 in shape else None
        if count * width < wanted:
            raise RejectedModel(f"{count * width:,} bytes for a constant of shape {list(shape)}")
        load = slice_of(self.data, start, wanted, "a constant")
        return dtype, shape, Weights(wanted, load)


def _not_unpacked(name: str) -> memoryview:
    raise InputError(f"{name}: packed weights outside the file are not unpacked")


def _unpacked(
    load: Callable[[], memoryview], count: int, wide: bool, narrow: bool, sparse: bool
) -> memoryview:
    """The weights of IDSTQuan: signed bytes, or two to a byte, low bits first."""
    import numpy as np

    raw = load()
    try:
        values = _indexed(np, raw, count, wide) if not sparse else None
    except (IndexError, ValueError) as error:
        raise InputError(f"packed weights that do not unpack: {error}") from error
    if values is None:
        raise InputError("sparse packed weights are not unpacked")
    if not narrow:
        return memoryview(values.tobytes())
    nibbles = np.zeros(count + count % 2, np.uint8)
    nibbles[:count] = values.view(np.uint8) & 15
    return memoryview((nibbles[0::2] | nibbles[1::2] << 4).tobytes())


def _indexed(np: Any, raw: memoryview, count: int, wide: bool) -> Any:
    width = 4 if wide else 2
    at = 1 + raw[0] * width
    different = raw[at] or 256
    table = np.frombuffer(raw[at + 1 : at + 1 + different], np.int8)
    bits = max(1, (different - 1).bit_length())
    packed = np.frombuffer(raw[at + 1 + different :], np.uint8)[: -(-count * bits // 8)]
    flat = np.unpackbits(packed)[: count * bits].reshape(count, bits)
    indices = flat @ (1 << np.arange(bits - 1, -1, -1))
    return table[indices]
