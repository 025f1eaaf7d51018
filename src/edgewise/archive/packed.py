"""Files packed with gzip, xz or bzip2, and tar archives, packed so or not.

A packed file is a container of one entry, or, where that entry is a tar archive, of the archive's:
`x.tgz!/package/index.js`. Its content is unpacked once into a temporary file without a name, within
the limits; the ratio is watched while it grows, since such files do not state their size.
"""

from __future__ import annotations

import bz2
import io
import lzma
import tarfile
import tempfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from isal import isal_zlib

from edgewise.archive.files import Source
from edgewise.archive.held import Held, entries_beside, entry_beside
from edgewise.archive.limits import Budget
from edgewise.archive.region import Region
from edgewise.errors import LimitExceeded, MalformedArchive

_FED, _TAKEN = 1 << 18, 1 << 20
_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: isal_zlib.decompressobj(zlib.MAX_WBITS | 16),
    "xz": lzma.LZMADecompressor,
    "bzip2": bz2.BZ2Decompressor,
}
#: What `packed_as` calls the kinds that are opened.
OPENED = (*_DECOMPRESSORS, "tar")
_TAR, _TAR_AT = b"ustar", 257
#: How a packed file's name ends, and how that of its content does.
_ENDINGS = {".tgz": ".tar", ".txz": ".tar", ".tbz2": ".tar", ".tbz": ".tar", ".gz": "", ".xz": "",
            ".bz2": ""}  # fmt: skip


class Bundle:
    """A packed file or a tar archive: what `Archive` offers, over its content.

    Attributes:
        kind: what it is, in words.
    """

    def __init__(self, file: Source, packing: str, budget: Budget, depth: int = 0) -> None:
        """Unpack `file`, and list what is in it.

        Raises:
            MalformedArchive: it is broken.
            LimitExceeded: it is nested too deeply, or too large when unpacked.
        """
        if depth > budget.limits.depth:
            raise LimitExceeded(
                f"{file.path}: an archive {depth} levels deep; "
                f"the limit depth is {budget.limits.depth}"
            )
        self.path, self.depth, self.budget = file.path, depth, budget
        self.notes: tuple[str, ...] = ()
        self.kind = "a tar archive" if packing == "tar" else f"packed with {packing}"
        region = file.region()
        if depth == 0:
            budget.admit(file.size)
        content = region if packing == "tar" else _unpacked(file, region, packing, budget)
        if bytes(content.view[_TAR_AT : _TAR_AT + len(_TAR)]) == _TAR:
            self._entries = self._members(content)
            if packing != "tar":
                self.kind = f"a tar archive packed with {packing}"
        else:
            self._entries = {_name_inside(file.name): content}

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Member]:
        for name in self._entries:
            yield Member(self, name, self._entries[name])

    def names(self) -> Iterator[str]:
        """Names of all entries: data, never paths to write to."""
        return iter(self._entries)

    def get(self, name: str) -> Member | None:
        """The entry of that name."""
        content = self._entries.get(name)
        return None if content is None else Member(self, name, content)

    def oddities(self) -> tuple[str, ...]:
        """What came up while entries were read: nothing."""
        return ()

    def in_folder(self, folder: str) -> tuple[str, ...]:
        """Last parts of the names directly in a folder of the archive."""
        return tuple(
            name.rpartition("/")[2] for name in self._entries if name.rpartition("/")[0] == folder
        )

    def _members(self, content: Region) -> dict[str, Region]:
        """The files of a tar archive; links and devices are none."""
        found: dict[str, Region] = {}
        limit = self.budget.limits.entries
        try:
            with tarfile.open(fileobj=cast(BinaryIO, _Reader(content.view)), mode="r:") as tar:
                for member in tar:
                    if len(found) == limit:
                        self.notes = (f"more than {limit:,} entries (limit entries)",)
                        break
                    if not member.isreg() or member.sparse:
                        continue
                    if member.offset_data + member.size > len(content):
                        self.notes = (f"{member.name!r} is cut off",)
                        break
                    name = member.name.removeprefix("./")
                    found.setdefault(name, content.part(member.offset_data, member.size))
        except (tarfile.TarError, ValueError, OverflowError, OSError) as error:
            if not found:
                raise MalformedArchive(f"{self.path}: broken tar archive: {error}") from error
            self.notes = (f"the tar archive is damaged behind its {len(found):,} files: {error}",)
        return found


class Member(Held):
    """An entry of a `Bundle` (a `File`). Its bytes are a view into the content."""

    __slots__ = ("archive", "entry_name")

    def __init__(self, archive: Bundle, name: str, region: Region) -> None:
        super().__init__(f"{archive.path}!/{escaped(name)}", name.rpartition("/")[2], region)
        self.archive, self.entry_name = archive, name

    def sibling(self, name: str) -> Member | None:
        """See `File.sibling`."""
        return entry_beside(self.archive, self.entry_name, name)

    def siblings(self, folder: str = "") -> Iterator[str]:
        """See `File.siblings`."""
        return entries_beside(self.archive, self.entry_name, folder)


def escaped(name: str) -> str:
    """An entry's name as a path has it: `!/` in it is no step into a container."""
    return name.replace("!/", "!%2F")


class _Reader(io.RawIOBase):
    """Bytes as a file that nobody copies."""

    def __init__(self, view: memoryview) -> None:
        self._view, self._at = view, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        self._at = max(0, offset + (0, self._at, len(self._view))[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = len(self._view) if size is None or size < 0 else self._at + size
        part = bytes(self._view[self._at : end])
        self._at += len(part)
        return part


def _unpacked(file: Source, region: Region, packing: str, budget: Budget) -> Region:
    """The content, in a temporary file."""
    stream = _DECOMPRESSORS[packing]()
    read = written = 0
    with tempfile.TemporaryFile(prefix="edgewise-") as spool:
        try:
            for chunk in region.chunks(_FED):
                read += len(chunk)
                pending: bytes | memoryview = bytes(chunk)
                while not stream.eof:
                    piece = stream.decompress(pending, _TAKEN)
                    written += len(piece)
                    budget.check(file.path, written, read)
                    spool.write(piece)
                    pending = getattr(stream, "unconsumed_tail", b"")
                    if len(piece) < _TAKEN and not pending:
                        break
                if stream.eof:
                    break
        except (isal_zlib.error, lzma.LZMAError, OSError, EOFError) as error:  # type: ignore[misc]
            raise MalformedArchive(
                f"{file.path}: cannot be unpacked ({packing}): {error}"
            ) from error
        if not stream.eof:
            raise MalformedArchive(f"{file.path}: the packed data ends too early ({packing})")
        budget.charge(file.path, written, read)
        spool.flush()
        return Region.of_file(cast(BinaryIO, spool))


def _name_inside(name: str) -> str:
    lower = name.lower()
    for ending, other in _ENDINGS.items():
        if lower.endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)] + other
    return "content"
