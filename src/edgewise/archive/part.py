"""A range of a file as a file: a model that lies somewhere inside another one."""

from __future__ import annotations

from edgewise.archive.files import Source
from edgewise.archive.held import Held


class Part(Held):
    """The bytes of a file from `start` on, called `path@start`. They stand alone."""

    __slots__ = ("start",)

    def __init__(self, file: Source, start: int, size: int) -> None:
        super().__init__(f"{file.path}@{start}", file.name, file.region().part(start, size))
        self.start = start
