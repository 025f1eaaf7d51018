"""A range of a file as a file: a model that lies somewhere inside another one."""

from __future__ import annotations

from collections.abc import Iterator

from edgewise.archive.files import File, Source
from edgewise.archive.region import Region


class Part:
    """The bytes of a file from `start` on, called `path@start`. They stand alone."""

    def __init__(self, file: Source, start: int, size: int) -> None:
        self.path = f"{file.path}@{start}"
        self.name = file.name
        self.size = size
        self.start = start
        self._region = file.region().part(start, size)

    def head(self, count: int) -> bytes:
        """See `File.head`."""
        return bytes(self._region.view[:count])

    def region(self) -> Region:
        """See `Source.region`."""
        return self._region

    def data(self) -> memoryview:
        """See `File.data`."""
        return self._region.view

    def sha256(self) -> str:
        """See `File.sha256`."""
        return self._region.sha256()

    def sibling(self, name: str) -> File | None:
        """None: what lies beside is the file's that it is in."""
        return None

    def siblings(self, folder: str = "") -> Iterator[str]:
        """See `sibling`."""
        return iter(())
