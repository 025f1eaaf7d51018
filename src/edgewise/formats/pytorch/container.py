"""A PyTorch zip: its pickles, and the storages that they refer to by number."""

from __future__ import annotations

import math
from collections.abc import Callable

from edgewise.archive import Entry, File
from edgewise.errors import InputError, RejectedModel
from edgewise.formats.pytorch.pickled import Stored
from edgewise.formats.pytorch.unpickle import Pickle, unpickle
from edgewise.formats.zipped import open_zip
from edgewise.graph import DTYPE_BITS, Quantization, Tensor, Weights

#: A tensor that repeats its storage may grow up to this.
EXPANDED_LIMIT = 1 << 31
#: The bytes of a storage, and how many there are.
Bytes = tuple[int, Callable[[], memoryview]]


class Container:
    """The zip, whose entries lie in one folder that is called like the file once was."""

    def __init__(self, file: File) -> None:
        self.archive = open_zip(file)
        self.names = list(self.archive.names())
        self.notes: list[str] = []
        self.stem = self._stem()

    def _stem(self) -> str:
        for ending in ("data.pkl", "models/model.json", "archive_format"):
            found = [name for name in self.names if f"/{name}".endswith(f"/{ending}")]
            if found:
                shortest = min(found, key=len)
                return shortest[: len(shortest) - len(ending)]
        raise RejectedModel("a zip, but not PyTorch's: it has no data.pkl")

    def has(self, name: str) -> bool:
        """Whether there is an entry of that name."""
        return self.stem + name in self.archive

    def content(self, name: str) -> memoryview:
        """The bytes of an entry. A checksum that does not fit is told, as PyTorch passes over it.

        Raises:
            RejectedModel: there is no such entry, or it cannot be read.
        """
        entry = self.archive.get(self.stem + name)
        if entry is None:
            raise RejectedModel(f"the archive has no {name}")
        try:
            return entry.data()
        except InputError as error:
            return self._unverified(entry, error)

    def _unverified(self, entry: Entry, error: InputError) -> memoryview:
        try:
            data = entry.unverified()
        except InputError as worse:
            raise RejectedModel(worse.message) from worse
        self.notes.append(error.message)
        return data

    def pickle(self, name: str) -> Pickle:
        """An entry that is a pickle, as a description."""
        return unpickle(self.content(name))

    def storage(self, folder: str, key: str) -> Bytes:
        """A storage: how many bytes it has, and how to get them."""
        entry = self.archive.get(f"{self.stem}{folder}/{key}")
        if entry is None:
            raise RejectedModel(f"the archive has no storage {key!r}")
        return entry.size, entry.unverified


def tensor(name: str, found: Stored, storage: Bytes) -> Tensor:
    """A tensor over a storage, its bytes unread.

    Raises:
        RejectedModel: it reaches beyond its storage.
    """
    dtype = found.storage.dtype
    bits = DTYPE_BITS.get(dtype)
    size, load = storage
    elements = math.prod(found.shape)
    quantization = None
    if found.scales is not None:
        quantization = Quantization(*found.scales, None, found.scale, found.zero_point)
    if bits is None or bits < 8:
        whole = Weights(size, load)
        return Tensor(name, dtype, found.shape, whole, quantization)
    width = bits // 8
    reach = found.offset + 1 + sum(
        (extent - 1) * stride for extent, stride in zip(found.shape, found.strides, strict=False)
    )  # fmt: skip
    fits = found.offset >= 0 and (not elements or reach * width <= size)
    if len(found.shape) != len(found.strides) or not fits:
        raise RejectedModel(f"tensor {name!r} reaches beyond its storage of {size:,} bytes")
    start, length = found.offset * width, elements * width

    def contiguous() -> memoryview:
        return load()[start : start + length]

    def gathered() -> memoryview:
        import numpy as np

        if length > EXPANDED_LIMIT:
            raise InputError(f"a tensor of {length:,} bytes that repeats a smaller one")
        flat = np.frombuffer(load(), f"V{width}")[found.offset :]
        steps = tuple(stride * width for stride in found.strides)
        view = np.lib.stride_tricks.as_strided(flat, found.shape, steps)
        return memoryview(view.tobytes())

    fetch = contiguous if _is_contiguous(found) else gathered
    return Tensor(name, dtype, found.shape, Weights(length, fetch), quantization)


def _is_contiguous(found: Stored) -> bool:
    expected = 1
    for extent, stride in zip(reversed(found.shape), reversed(found.strides), strict=True):
        if extent != 1 and stride != expected:
            return False
        expected *= extent
    return True
