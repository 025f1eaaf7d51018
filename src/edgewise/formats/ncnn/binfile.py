"""The weights: tensors one after the other, in the order of the layers, without an index.

A tensor that may be stored in several ways starts with a 32-bit tag: 0 is float32, others stand in
`TAGS`, and any other one means 256 float32 values followed by one byte per element that picks
among them. All start at a multiple of 4 bytes. Only the tags are read here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial

from edgewise.archive import File
from edgewise.errors import RejectedModel
from edgewise.formats.netlist import Netlist, absent, slice_of

#: Types of tensors by their tag.
TAGS = {0: "float32", 0x01306B47: "float16", 0x000D4B38: "int8", 0x0002C056: "float32"}
_BYTES = {"float32": 4, "float16": 2, "int8": 1}
_TABLE = 1024


class BinFile:
    """The weights of one network while its layers are read, in order."""

    def __init__(self, builder: Netlist, model: File, weights: File | None, name: str) -> None:
        self._builder = self._tensors = builder
        self._absent = absent(model, name)
        self._name = name
        self._data = None if weights is None else weights.data()
        self._at = 0

    def take(self, name: str, shape: Sequence[int], tagged: bool = True) -> int:
        """The next tensor, as the index of a stored one. `tagged`: it starts with a tag."""
        if self._data is not None:
            try:
                return self._stored(self._data, name, shape, tagged)
            except RejectedModel:
                self._lose(f"{self._name!r} holds other weights than these layers need: not read")
        return self._tensors.weight(name, "float32", shape, self._absent)

    def build_in(self, builder: Netlist) -> None:
        """Put the tensors that follow into this graph (a body of the network, or it itself)."""
        self._tensors = builder

    def skip_unknown(self, op: str) -> None:
        """A layer that may have weights of any size: what follows cannot be found."""
        if self._data is not None:
            self._lose(f"weights behind the first {op} cannot be found in {self._name!r}: not read")

    def is_used_up(self) -> bool:
        """Whether the layers took all that there is, and found all that they need."""
        return self._data is not None and self._at == len(self._data) > 0

    def close(self) -> None:
        """All layers are read: tell where bytes are left over."""
        if self._data is not None and self._at < len(self._data):
            rest = len(self._data) - self._at
            self._builder.graph.notes.append(f"{rest:,} bytes of {self._name!r} belong to no layer")

    def _lose(self, why: str) -> None:
        self._data = None
        self._builder.graph.notes.append(why)

    def _stored(self, data: memoryview, name: str, shape: Sequence[int], tagged: bool) -> int:
        count = math.prod(shape)
        tag = 0
        if tagged:
            tag = int.from_bytes(slice_of(data, self._at, 4, name)(), "little")
            self._at += 4
        dtype = TAGS.get(tag)
        load: Callable[[], memoryview]
        if dtype is None:
            nbytes = _TABLE + count
            stored = slice_of(data, self._at, nbytes, name)
            load, dtype = partial(_looked_up, stored), "float32"
        else:
            nbytes = count * _BYTES[dtype]
            load = slice_of(data, self._at, nbytes, name)
        self._at += -(-nbytes // 4) * 4
        return self._tensors.weight(name, dtype, shape, load, nbytes)


def _looked_up(stored: Callable[[], memoryview]) -> memoryview:
    """Values that bytes pick from a table of 256."""
    import numpy as np

    raw = stored()
    table = np.frombuffer(raw[:_TABLE], "<f4")
    return memoryview(table[np.frombuffer(raw[_TABLE:], np.uint8)].tobytes())
