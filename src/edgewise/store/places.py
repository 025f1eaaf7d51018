"""Where a store's files lie: a folder, or any place that fsspec reaches.

Both put a file there whole or not at all. Names are relative to the store, parted by `/`.
"""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from edgewise.errors import MissingExtra, StoreError


class Place(Protocol):
    """Files by name. All methods raise `StoreError` where the place cannot do it."""

    url: str

    def check_writable(self) -> None:
        """Put a hidden file there and remove it."""
        ...

    def names(self, folder: str = "") -> set[str]:
        """The visible files and folders in a folder; none where there is no such folder."""
        ...

    def exists(self, name: str) -> bool:
        """Whether a file is there."""
        ...

    def read(self, name: str) -> bytes:
        """A file's content."""
        ...

    def write(self, name: str, content: memoryview) -> None:
        """Put a file there, in place of one of that name: whole, or not at all."""
        ...

    def delete(self, name: str) -> None:
        """Remove a file; one that is gone is no error."""
        ...

    def location(self, name: str) -> str:
        """The file's path in `filesystem`."""
        ...

    @property
    def filesystem(self) -> Any:
        """What pyarrow reads through: an fsspec file system, or None for the local one."""
        ...


def place(url: str) -> Place:
    """The place that a path or URL names.

    Raises:
        StoreError: no library here reaches it.
    """
    if url.startswith("file://"):
        return Folder(url.removeprefix("file://"))
    return Bucket(url) if "://" in url else Folder(url)


def _probe(where: Place) -> None:
    name = f".writable-{uuid.uuid4().hex}"
    where.write(name, memoryview(b"1"))
    where.delete(name)


class Folder:
    """A folder on disk. A file is written beside under a hidden name, synced and renamed."""

    filesystem: Any = None

    def __init__(self, path: str) -> None:
        self.url = path
        self._root = Path(path)

    def check_writable(self) -> None:
        """See `Place.check_writable`."""
        _probe(self)

    def names(self, folder: str = "") -> set[str]:
        """See `Place.names`."""
        try:
            names = {path.name for path in (self._root / folder).iterdir()}
        except FileNotFoundError:
            return set()
        except OSError as error:
            raise _cannot("read", self.location(folder), error) from error
        return {name for name in names if not name.startswith(".")}

    def exists(self, name: str) -> bool:
        """See `Place.exists`."""
        return (self._root / name).exists()

    def read(self, name: str) -> bytes:
        """See `Place.read`."""
        try:
            return (self._root / name).read_bytes()
        except OSError as error:
            raise _cannot("read", self.location(name), error) from error

    def write(self, name: str, content: memoryview) -> None:
        """See `Place.write`."""
        target = self._root / name
        beside = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                _write_through(beside, content)
                beside.replace(target)
            finally:
                beside.unlink(missing_ok=True)
            _sync_folder(target.parent)
        except OSError as error:
            raise _cannot("write", str(target), error) from error

    def delete(self, name: str) -> None:
        """See `Place.delete`."""
        try:
            (self._root / name).unlink(missing_ok=True)
        except OSError as error:
            raise _cannot("delete", self.location(name), error) from error

    def location(self, name: str) -> str:
        """See `Place.location`."""
        return str(self._root / name)


def _write_through(path: Path, content: memoryview) -> None:
    with path.open("xb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _sync_folder(path: Path) -> None:
    """Make the rename last through a power cut, where the system lets folders be synced."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Bucket:
    """A place behind fsspec. One put of a whole object: object stores make that atomic."""

    def __init__(self, url: str) -> None:
        try:
            import fsspec
        except ModuleNotFoundError as error:
            raise MissingExtra("store", "a store at a URL") from error
        self.url = url
        try:
            self.filesystem, root = fsspec.url_to_fs(url)
        except (ImportError, ValueError) as error:
            raise StoreError(
                f"{url}: {error}", hint="a store is a folder or a URL that fsspec can open"
            ) from error
        self._root = root.rstrip("/")

    def check_writable(self) -> None:
        """See `Place.check_writable`."""
        _probe(self)

    def names(self, folder: str = "") -> set[str]:
        """See `Place.names`."""
        self.filesystem.invalidate_cache()
        try:
            paths = self.filesystem.ls(self.location(folder), detail=False)
        except FileNotFoundError:
            return set()
        except Exception as error:
            raise _cannot("read", f"{self.url}/{folder}", error) from error
        names = {path.rstrip("/").rpartition("/")[2] for path in paths}
        return {name for name in names if name and not name.startswith(".")}

    def exists(self, name: str) -> bool:
        """See `Place.exists`."""
        self.filesystem.invalidate_cache()
        try:
            return bool(self.filesystem.exists(self.location(name)))
        except Exception as error:
            raise _cannot("read", f"{self.url}/{name}", error) from error

    def read(self, name: str) -> bytes:
        """See `Place.read`."""
        try:
            content: bytes = self.filesystem.cat_file(self.location(name))
        except Exception as error:
            raise _cannot("read", f"{self.url}/{name}", error) from error
        return content

    def write(self, name: str, content: memoryview) -> None:
        """See `Place.write`."""
        try:
            self.filesystem.pipe_file(self.location(name), bytes(content))
        except Exception as error:
            raise _cannot("write", f"{self.url}/{name}", error) from error

    def delete(self, name: str) -> None:
        """See `Place.delete`."""
        try:
            self.filesystem.rm_file(self.location(name))
        except FileNotFoundError:
            return
        except Exception as error:
            raise _cannot("delete", f"{self.url}/{name}", error) from error

    def location(self, name: str) -> str:
        """See `Place.location`."""
        return f"{self._root}/{name}".rstrip("/")


def _cannot(do: str, where: str, error: Exception) -> StoreError:
    """A failure of the place (fsspec's back ends raise all kinds) as what a user can act on."""
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return StoreError(f"cannot {do} {where}: {reason}")
