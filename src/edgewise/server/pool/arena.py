"""Tensors in memory that two processes share.

An `Area` is an anonymous file that both map: one writes, the other reads, by turns. It grows when
a tensor does not fit; both ends hold the same file, so nothing but its new size has to be told. On
Linux it is sealed against shrinking: a peer gone mad cannot take away pages that are being read.
"""

from __future__ import annotations

import contextlib
import fcntl
import math
import mmap
import os
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewise.protocol.messages import DATATYPES, Tensor
from edgewise.server.pool.frames import Head

#: Every tensor begins at a multiple of this: a cache line, and what vector units like.
ALIGNMENT = 64
#: Memory that an area keeps between jobs.
KEPT_BYTES = 16 * 1024 * 1024
#: The largest area.
AREA_BYTES = 4 * 1024**3
_START_BYTES = 256 * 1024
_LENGTH_BYTES = 4
_SMALL_BYTES = 4096
_DTYPES = {name: np.dtype(numpy) for name, numpy in DATATYPES.items()}


class Area:
    """One shared file, mapped."""

    def __init__(self, descriptor: int) -> None:
        """Over an open file, which it owns from now on."""
        self.descriptor = descriptor
        self.size = os.fstat(descriptor).st_size
        self.map = mmap.mmap(descriptor, self.size)

    @classmethod
    def create(cls, name: str) -> Area:
        """A new one; `name` is for whoever looks at the process."""
        descriptor = _anonymous_file(name)
        os.ftruncate(descriptor, _START_BYTES)
        if sys.platform == "linux":
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
        return cls(descriptor)

    def reserve(self, size: int) -> None:
        """Have room for `size` bytes.

        Raises:
            ValueError: more than any area has.
        """
        if size <= self.size:
            return
        if size > AREA_BYTES:
            raise ValueError(f"{size} bytes of tensors, at most {AREA_BYTES} are exchanged")
        os.ftruncate(self.descriptor, 1 << (size - 1).bit_length())
        self._remap()

    def follow(self, size: int) -> None:
        """See what the peer says to have reserved.

        Raises:
            ValueError: the file is smaller than that.
        """
        if size <= self.size:
            return
        self._remap()
        if size > self.size:
            raise ValueError(f"an area of {size} bytes was announced, it has {self.size}")

    def _remap(self) -> None:
        # The old map goes when the last array over it goes.
        self.size = os.fstat(self.descriptor).st_size
        self.map = mmap.mmap(self.descriptor, self.size)

    def trim(self) -> None:
        """Give back the memory of an area that one large job has grown. Its content is lost."""
        if self.size > KEPT_BYTES and sys.platform == "linux":
            self.map.madvise(mmap.MADV_REMOVE, KEPT_BYTES, self.size - KEPT_BYTES)

    def close(self) -> None:
        """Give everything back; what arrays look at stays until they go."""
        os.close(self.descriptor)
        with contextlib.suppress(BufferError):
            self.map.close()


def _anonymous_file(name: str) -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    descriptor, path = tempfile.mkstemp(prefix=f"{name}-")
    os.unlink(path)  # noqa: PTH108  the same as a path object's, without one
    return descriptor


def write(area: Area, requests: Sequence[Sequence[Tensor]]) -> tuple[tuple[Head, ...], ...]:
    """Copy the tensors of several requests into an area; where each lies.

    Raises:
        ValueError: they are too large.
    """
    offset = 0
    planned = []
    for tensors in requests:
        heads = []
        for tensor in tensors:
            size = _size(tensor)
            heads.append(Head(tensor.name, tensor.datatype, tensor.shape, offset, size))
            offset += -(-size // ALIGNMENT) * ALIGNMENT
        planned.append(tuple(heads))
    area.reserve(offset)
    for tensors, heads_of in zip(requests, planned, strict=True):
        for tensor, head in zip(tensors, heads_of, strict=True):
            _put(area.map, head, tensor)
    return tuple(planned)


def _size(tensor: Tensor) -> int:
    if isinstance(tensor.values, tuple):
        return sum(map(len, tensor.values)) + _LENGTH_BYTES * len(tensor.values)
    return tensor.values.nbytes


def _put(memory: mmap.mmap, head: Head, tensor: Tensor) -> None:
    offset, size = head.offset, head.size
    if not isinstance(tensor.values, tuple):
        if size:
            memory[offset : offset + size] = _bytes(tensor.values)
        return
    for element in tensor.values:
        memory[offset : offset + _LENGTH_BYTES] = len(element).to_bytes(_LENGTH_BYTES, "little")
        offset += _LENGTH_BYTES
        memory[offset : offset + len(element)] = element
        offset += len(element)


def _bytes(values: NDArray[Any]) -> bytes | memoryview:
    """What an array's memory holds; of a small one a copy, which is made sooner than a view."""
    if values.nbytes <= _SMALL_BYTES:
        return values.tobytes()
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8).data


def read(area: Area, heads: Sequence[Head], *, copy: bool) -> tuple[Tensor, ...]:
    """The tensors at `heads`; without `copy`, arrays are views of the area.

    Raises:
        ValueError: a head is no tensor of this area.
    """
    return tuple(_get(area, head, copy) for head in heads)


def _get(area: Area, head: Head, copy: bool) -> Tensor:
    end = head.offset + head.size
    if head.offset < 0 or head.size < 0 or end > area.size or min(head.shape, default=0) < 0:
        raise ValueError(f"the tensor {head.name!r} lies outside of its area")
    values: NDArray[Any] | tuple[bytes, ...]
    if head.datatype == "BYTES":
        values = _elements(area.map[head.offset : end])
        if len(values) != math.prod(head.shape):
            raise ValueError(f"the tensor {head.name!r} has {len(values)} elements")
    else:
        dtype = _DTYPES.get(head.datatype)
        if dtype is None:
            raise ValueError(f"the tensor {head.name!r} is {head.datatype!r}")
        count = math.prod(head.shape)
        if count * dtype.itemsize != head.size:
            raise ValueError(f"the tensor {head.name!r} has {head.size} bytes")
        if copy:
            values = np.ndarray(head.shape, dtype, area.map[head.offset : end])
        else:
            values = np.ndarray(head.shape, dtype, area.map, head.offset)
    return Tensor(head.name, head.datatype, head.shape, values)


def _elements(content: bytes) -> tuple[bytes, ...]:
    found = []
    offset = 0
    while offset < len(content):
        start = offset + _LENGTH_BYTES
        offset = start + int.from_bytes(content[offset:start], "little")
        found.append(content[start:offset])
    if offset != len(content):
        raise ValueError("an element goes beyond the end of its tensor")
    return tuple(found)
