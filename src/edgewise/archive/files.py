"""What every reader of bytes gets, and files on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from edgewise.archive.region import Region
from edgewise.errors import InputError

#: Folders that hold a repository's history, not an app's files.
_NOT_WALKED = {".git"}


class File(Protocol):
    """Bytes with a name. `path` joins nested containers by `!/`; `name` is its last part."""

    path: str
    name: str
    size: int

    def head(self, count: int) -> bytes:
        """The first `count` bytes, or all where there are fewer. Cheap: nothing more is read.

        Raises:
            InputError: it cannot be read.
        """
        ...

    def data(self) -> memoryview:
        """The whole content, mapped or spooled. Read-only.

        Raises:
            InputError: it cannot be read.
            LimitExceeded: it is larger than the limits allow.
        """
        ...

    def sha256(self) -> str:
        """Hex digest of the whole content. Raises what `data` does."""
        ...

    def sibling(self, name: str) -> File | None:
        """The file of that name beside this one (same folder, or same folder of the archive).

        A model that is a folder has files below its own: `name` may be a path downwards, such as
        `weights/weight.bin`. Names come from files: any other path gives None.
        """
        ...

    def siblings(self, folder: str = "") -> Iterator[str]:
        """Names of the files beside this one, or of those in a folder beside it."""
        ...


class Source(File, Protocol):
    """A `File` of this room: it can also be opened as an archive, in place."""

    def region(self) -> Region:
        """The whole content. Raises what `data` does."""
        ...


class DiskFile:
    """A file on disk, mapped on first use."""

    def __init__(self, path: str | Path) -> None:
        self._location = Path(path)
        self.path = _text(str(path))
        self.name = _text(self._location.name)
        try:
            self.size = self._location.stat().st_size
        except (OSError, ValueError) as error:
            raise _unreadable(self.path, error) from error
        if self._location.is_dir():
            raise InputError(f"{path}: is a folder")
        if not self._location.is_file():
            raise InputError(f"{path}: is not a regular file")
        self._region: Region | None = None

    @property
    def location(self) -> str:
        """Where it is found on disk; unlike `path` with bytes in it that are no text."""
        return str(self._location)

    def region(self) -> Region:
        """See `Source.region`."""
        if self._region is None:
            try:
                with self._location.open("rb") as stream:
                    self._region = Region.of_file(stream)
            except (OSError, ValueError) as error:
                raise _unreadable(self.path, error) from error
        return self._region

    def head(self, count: int) -> bytes:
        """See `File.head`."""
        try:
            with self._location.open("rb") as stream:
                return stream.read(count)
        except OSError as error:
            raise _unreadable(self.path, error) from error

    def data(self) -> memoryview:
        """See `File.data`."""
        return self.region().view

    def sha256(self) -> str:
        """See `File.sha256`."""
        return self.region().sha256()

    def sibling(self, name: str) -> DiskFile | None:
        """See `File.sibling`."""
        if not leads_down(name):
            return None
        other = self._location.parent / name
        return DiskFile(other) if other.is_file() else None

    def siblings(self, folder: str = "") -> Iterator[str]:
        """See `File.siblings`."""
        where = self._location.parent / folder
        if (folder and not leads_down(folder)) or not where.is_dir():
            return
        for other in where.iterdir():
            if (folder or other.name != self.name) and other.is_file():
                yield other.name


def leads_down(path: str) -> bool:
    """Whether a relative path stays below where it starts."""
    parts = path.split("/")
    return not any(part in ("", ".", "..") for part in parts) and not set(path) & {"\\", "\0"}


class _ClosedFolder(DiskFile):
    """A folder that cannot be read, in the place of the files in it: reading it says why."""

    def __init__(self, error: OSError) -> None:
        self._location = Path(error.filename)
        self.path, self.name = _text(str(error.filename)), _text(self._location.name)
        self.size = 0
        self._error = error

    def region(self) -> Region:
        """See `Source.region`. Raises."""
        raise _unreadable(self.path, self._error)

    def head(self, count: int) -> bytes:
        """See `File.head`. Raises."""
        raise _unreadable(self.path, self._error)


def _text(path: str) -> str:
    """A path for records. Bytes in it that are no UTF-8 cannot be written down anywhere."""
    return path.encode(errors="surrogateescape").decode(errors="replace")


def _unreadable(path: str, error: OSError | ValueError) -> InputError:
    return InputError(f"{path}: {getattr(error, 'strerror', None) or error}")


def walk_files(folder: str | Path) -> Iterator[DiskFile]:
    """The regular files below a folder, in the order of their names.

    Hidden files are included, the history of a repository (`.git`) is not. Links to folders are
    not followed, so there are no loops; links to files are. A folder inside that cannot be read
    comes as if it were a file: whoever reads it says why it cannot.

    Raises:
        InputError: the folder itself cannot be read.
    """
    closed: list[_ClosedFolder] = []

    def fail(error: OSError) -> None:
        if str(error.filename) == str(folder):
            raise _unreadable(_text(str(folder)), error) from error
        closed.append(_ClosedFolder(error))

    for parent, folders, names in os.walk(folder, onerror=fail):
        folders[:] = sorted(name for name in folders if name not in _NOT_WALKED)
        for name in sorted(names):
            path = os.path.join(parent, name)  # noqa: PTH118 (pathlib is slow on large trees)
            if os.path.isfile(path):  # noqa: PTH113
                yield DiskFile(path)
    yield from closed
