"""Bytes that stay where they are: a mapped file, a spool, a buffer, or a part of one."""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from typing import BinaryIO

#: Bytes hashed at once: the interpreter's lock is free meanwhile, and fought for only in between.
_HASHED = 16 << 20
_DROP = getattr(mmap, "MADV_DONTNEED", None)


class Region:
    """A read-only range of bytes. Parts of it are views, never copies.

    Pages of a map count as this process's memory once touched. `chunks` and `release` hand them
    back, so that a package may be read through without ever being resident.
    """

    __slots__ = ("_digest", "_map", "_start", "view")

    def __init__(
        self, view: memoryview, mapped: mmap.mmap | None = None, start: int = 0,
        digest: str | None = None,
    ) -> None:  # fmt: skip
        self.view = view
        self._map = mapped
        self._start = start
        self._digest = digest

    @classmethod
    def of_file(cls, stream: BinaryIO, digest: str | None = None) -> Region:
        """Map an open file. The map outlives the stream.

        `digest` is the content's SHA-256 where the caller knows it already.

        Raises:
            OSError, ValueError: it cannot be mapped.
        """
        if not stream.seek(0, 2):
            return cls(memoryview(b""))
        mapped = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        return cls(memoryview(mapped), mapped, digest=digest)

    def __len__(self) -> int:
        return len(self.view)

    def part(self, start: int, size: int) -> Region:
        """A range inside this one. Both must be within it."""
        return Region(self.view[start : start + size], self._map, self._start + start)

    def chunks(self, size: int) -> Iterator[memoryview]:
        """The bytes in order, `size` at a time; those already passed are released."""
        for start in range(0, len(self.view), size):
            yield self.view[start : start + size]
            self.part(start, size).release()

    def release(self) -> None:
        """Hand the pages back to the system. The bytes stay readable."""
        if self._map is None or _DROP is None:
            return
        first = self._start - self._start % mmap.PAGESIZE
        self._map.madvise(_DROP, first, self._start + len(self.view) - first)

    def sha256(self) -> str:
        """Hex digest of the bytes."""
        if self._digest is None:
            digest = hashlib.sha256()
            for chunk in self.chunks(_HASHED):
                digest.update(chunk)
            self._digest = digest.hexdigest()
        return self._digest
