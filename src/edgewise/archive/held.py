"""What files have in common whose bytes are at hand, and those that lie in an archive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

from edgewise.archive.files import File, leads_down
from edgewise.archive.region import Region

_E_co = TypeVar("_E_co", covariant=True)


class Held:
    """A file (a `Source`) whose whole content is at hand. It stands alone: nothing is beside it."""

    __slots__ = ("_region", "name", "path", "size")

    def __init__(self, path: str, name: str, region: Region) -> None:
        self.path, self.name, self.size = path, name, len(region)
        self._region = region

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
        """None: see the class."""
        return None

    def siblings(self, folder: str = "") -> Iterator[str]:
        """None: see the class."""
        return iter(())


class _Container(Protocol[_E_co]):
    """What an entry asks the archive that it is in."""

    def get(self, name: str) -> _E_co | None: ...

    def in_folder(self, folder: str) -> tuple[str, ...]: ...


def entry_beside(archive: _Container[_E_co], entry: str, name: str) -> _E_co | None:
    """See `File.sibling`: for an entry of an archive, by its whole name."""
    return archive.get(_joined(entry, name)) if leads_down(name) else None


def entries_beside(archive: _Container[object], entry: str, folder: str) -> Iterator[str]:
    """See `File.siblings`: for an entry of an archive, by its whole name."""
    if folder:
        return iter(archive.in_folder(_joined(entry, folder)))
    own, _, last = entry.rpartition("/")
    return (name for name in archive.in_folder(own) if name != last)


def _joined(entry: str, path: str) -> str:
    folder = entry.rpartition("/")[0]
    return f"{folder}/{path}" if folder else path
