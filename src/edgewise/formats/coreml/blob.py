"""Weights of Core ML: packed in the specification, or in the storage file beside it.

The storage (`weight.bin`): 64 bytes of header, then for each tensor a record of 64 bytes (mark
0xDEADBEEF, type, u64 size, u64 place of the data) and the data (public code: MILBlob).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from edgewise.archive import File
from edgewise.errors import RejectedModel
from edgewise.formats.building import missing, stored
from edgewise.graph import Weights

if TYPE_CHECKING:
    import numpy as np

_MARK = 0xDEADBEEF
#: Bits of types that no array has.
ODD_BITS = {"uint1": 1, "uint3": 3, "uint6": 6, "uint2": 2, "uint4": 4, "int4": 4}


class Storages:
    """The files that a program's constants lie in, below the model's folder."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._found: dict[str, memoryview | None] = {}
        self.companions: dict[str, None] = {}
        self.missing: dict[str, None] = {}

    def weights(self, name: str, offset: int, size: int | None) -> Weights:
        """The data whose record lies at `offset`; `size` is what the type says.

        Raises:
            RejectedModel: there is no record, or it does not fit.
        """
        data = self._storage(name)
        if data is None:
            return missing(size or 0, f"{name!r} is not beside the model")
        if offset < 0 or offset + 64 > len(data):
            raise RejectedModel(f"a constant at {offset:,} lies beyond {name!r}")
        record = data[offset : offset + 32]
        mark = int.from_bytes(record[:4], "little")
        length, start = (int.from_bytes(record[at : at + 8], "little") for at in (8, 16))
        if mark != _MARK or (size is not None and length < size):
            raise RejectedModel(f"no data of {size} bytes is recorded at {offset:,} of {name!r}")
        return stored(data, start, length if size is None else size)

    def _storage(self, name: str) -> memoryview | None:
        path = name.removeprefix("@model_path/")
        if path not in self._found:
            other = self._file.sibling(path) or self._file.sibling(path.rpartition("/")[2])
            (self.missing if other is None else self.companions)[path] = None
            self._found[path] = None if other is None else other.data()
        return self._found[path]


def unpacked(raw: memoryview, bits: int, count: int) -> np.ndarray[Any, Any]:
    """Unsigned numbers of some bits each, low bits first."""
    import numpy as np

    flat = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")[: count * bits]
    weights = (1 << np.arange(bits)).astype(np.uint32)
    return np.asarray((flat.reshape(-1, bits) * weights).sum(1), dtype=np.uint32)


def unpacked_high_first(raw: memoryview, bits: int, count: int) -> np.ndarray[Any, Any]:
    """The same, high bits first, as the specification packs them."""
    import numpy as np

    flat = np.unpackbits(np.frombuffer(raw, np.uint8))[: count * bits]
    weights = (1 << np.arange(bits)[::-1]).astype(np.uint32)
    return np.asarray((flat.reshape(-1, bits) * weights).sum(1), dtype=np.uint32)


def size_of(dtype: str, shape: tuple[int, ...]) -> int | None:
    """How many bytes the storage has for a tensor."""
    from edgewise.formats.building import byte_size

    if dtype in ODD_BITS:
        return (math.prod(shape) * ODD_BITS[dtype] + 7) // 8
    return byte_size(dtype, shape)


Decode = Callable[[memoryview], Any]
