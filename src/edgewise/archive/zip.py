"""A zip archive and its entries, read in place."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from functools import cached_property

from edgewise.archive.directory import Row, read_directory, unlisted
from edgewise.archive.files import Source
from edgewise.archive.held import entries_beside, entry_beside
from edgewise.archive.inflate import check, inflate_head, inflate_to_spool, inflate_whole
from edgewise.archive.limits import Budget
from edgewise.archive.packed import escaped
from edgewise.archive.region import Region
from edgewise.errors import LimitExceeded, MalformedArchive

_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 1
_LOCAL_HEADER = struct.Struct("<4s22xHH")
_LOCAL = b"PK\x03\x04"
_CHECKED = 1 << 20
#: Methods of the specification (section 4.4.5) that Android does not read either.
_OTHER_METHODS = {
    1: "shrink", 6: "implode", 9: "deflate64", 12: "bzip2", 14: "LZMA", 20: "zstd", 93: "zstd",
    95: "xz", 98: "PPMd", 99: "AES encryption",
}  # fmt: skip


class Archive:
    """A zip archive over bytes that stay where they are.

    `notes` says what is odd about it. Where a name occurs twice, iteration gives both entries, the
    second one's path ending in `#2`; `get` gives the first, as Android's native reader did before
    it came to refuse such archives, and the second for `name#2`.
    """

    def __init__(self, file: Source, budget: Budget, depth: int = 0) -> None:
        """Read the directory of `file`.

        Raises:
            MalformedArchive: it is none, or broken.
            LimitExceeded: it is nested too deeply, or too large to be inflated.
        """
        if depth > budget.limits.depth:
            raise LimitExceeded(
                f"{file.path}: an archive {depth} levels deep; "
                f"the limit depth is {budget.limits.depth}"
            )
        self.path = file.path
        self.depth = depth
        self.budget = budget
        self.region = file.region()
        if not isinstance(file, Entry):
            budget.admit(file.size)
        try:
            directory = read_directory(self.region.view, budget.limits.entries)
        except MalformedArchive as error:
            raise MalformedArchive(f"{file.path}: {error.message}", hint=error.hint) from error
        self._rows = directory.rows
        self.notes = directory.notes
        self.renamed: list[str] = []

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Entry]:
        """The entries in the order of the directory. What one has inflated goes with it."""
        seen: Counter[str] = Counter()
        for row in self._rows:
            seen[row.name] += 1
            yield Entry(self, row, seen[row.name])

    def __contains__(self, name: str) -> bool:
        return name in self._by_name

    def names(self) -> Iterator[str]:
        """Names of all entries: data, never paths to write to."""
        return (row.name for row in self._rows)

    def get(self, name: str) -> Entry | None:
        """The (first) entry of that name."""
        row = self._by_name.get(name) or self._by_name.get(name.replace("!%2F", "!/"))
        if row is not None:
            return Entry(self, row)
        first, _, number = name.rpartition("#")
        if not number.isdecimal():
            return None
        same = [row for row in self._rows if row.name == first.replace("!%2F", "!/")]
        at = int(number)
        return Entry(self, same[at - 1], at) if 2 <= at <= len(same) else None

    def oddities(self) -> tuple[str, ...]:
        """What came up while entries were read, and entries that the directory lacks."""
        notes = []
        if self.renamed:
            notes.append(
                f"{len(self.renamed):,} entries have another name in their own header than in the "
                f"directory, such as {self.renamed[0]}"
            )
        if hidden := unlisted(self.region.view, self._rows):
            notes.append(
                f"{len(hidden):,} entries stand in the archive that its directory lacks, such as "
                f"{hidden[0]!r}"
            )
        return tuple(notes)

    def nested(self, entry: Entry) -> Archive:
        """Open an entry as an archive. Raises what the constructor does."""
        return Archive(entry, self.budget, self.depth + 1)

    def in_folder(self, folder: str) -> tuple[str, ...]:
        """Last parts of the names directly in a folder of the archive."""
        return tuple(self._by_folder.get(folder, ()))

    @cached_property
    def _by_name(self) -> dict[str, Row]:
        return {row.name: row for row in reversed(self._rows)}

    @cached_property
    def _by_folder(self) -> dict[str, list[str]]:
        folders: dict[str, list[str]] = {}
        for name in self._by_name:
            folder, _, last = name.rpartition("/")
            folders.setdefault(folder, []).append(last)
        return folders


class Entry:
    """An entry of an archive (a `File`). Its content is inflated once, while the entry lives."""

    __slots__ = ("_content", "_row", "archive", "entry_name", "name", "path", "size")

    def __init__(self, archive: Archive, row: Row, number: int = 1) -> None:
        """`number` counts the entries of that name."""
        self.archive = archive
        self.entry_name = row.name
        again = f"#{number}" if number > 1 else ""
        self.path = f"{archive.path}!/{escaped(row.name)}{again}"
        self.name = row.name.rpartition("/")[2]
        self.size = row.size
        self._row = row
        self._content: Region | None = None

    def head(self, count: int) -> bytes:
        """See `File.head`."""
        count = min(count, self.size)
        if self._content is not None or not count:
            return bytes(self.data()[:count])
        try:
            deflated, start, end = self._place()
            packed = self.archive.region.view[start:end]
            return inflate_head(packed, count) if deflated else bytes(packed[:count])
        except MalformedArchive as error:
            raise self._named(error) from error

    def region(self) -> Region:
        """See `Source.region`. Stored content is a view into the archive."""
        if self._content is None:
            try:
                self._content = self._read()
            except MalformedArchive as error:
                raise self._named(error) from error
        return self._content

    def data(self) -> memoryview:
        """See `File.data`."""
        return self.region().view

    def unverified(self) -> memoryview:
        """The content with its checksum unasked, where it is stored: for one part of a large entry.

        Raises:
            MalformedArchive: it cannot be read.
        """
        if self._content is None:
            deflated, packed = self._locate()
            if not deflated:
                return packed.view
        return self.data()

    def sha256(self) -> str:
        """See `File.sha256`."""
        return self.region().sha256()

    def sibling(self, name: str) -> Entry | None:
        """See `File.sibling`."""
        return entry_beside(self.archive, self.entry_name, name)

    def siblings(self, folder: str = "") -> Iterator[str]:
        """See `File.siblings`."""
        return entries_beside(self.archive, self.entry_name, folder)

    def _read(self) -> Region:
        deflated, packed = self._locate()
        row, budget = self._row, self.archive.budget
        if not deflated:
            if row.method == _STORED:
                check(_checksum(packed), row.crc)
            return packed
        budget.charge(self.path, row.size, row.compressed_size)
        if row.size > budget.limits.memory_bytes:
            return inflate_to_spool(packed, row.size, row.crc)
        content = inflate_whole(packed.view, row.size, row.crc)
        packed.release()
        return content

    def _locate(self) -> tuple[bool, Region]:
        """Whether it is deflated, and its bytes as they stand in the archive."""
        deflated, start, end = self._place()
        return deflated, self.archive.region.part(start, end - start)

    def _place(self) -> tuple[bool, int, int]:
        """Whether it is deflated, and where in the archive it begins and ends.

        Sees through methods and encryption bits that were set to mislead tools: Android ignores
        the bit and takes everything that is not deflated as stored.
        """
        row, start = self._row, self._start()
        deflated = row.method == _DEFLATED
        if row.method not in (_STORED, _DEFLATED):
            deflated = self._is_deflated(start)
        end = self._end(start, row.compressed_size if deflated else row.size)
        if row.flags & _ENCRYPTED and not self._is_plain(deflated, start, end):
            raise MalformedArchive("is encrypted", hint="unpack it with its password first")
        return deflated, start, end

    def _start(self) -> int:
        """Where the bytes begin: behind the local header, whose own lengths count."""
        offset, view = self._row.offset, self.archive.region.view
        if offset + _LOCAL_HEADER.size > len(view):
            raise MalformedArchive("lies outside the archive")
        signature, name_size, extra_size = _LOCAL_HEADER.unpack_from(view, offset)
        if signature != _LOCAL:
            raise MalformedArchive("its header is not where the directory says")
        start = int(offset + _LOCAL_HEADER.size)
        self._compare(bytes(view[start : start + name_size]))
        return start + int(name_size + extra_size)

    def _compare(self, local: bytes) -> None:
        """Tools that read local headers see another name than those that read the directory."""
        renamed, name = self.archive.renamed, self._row.name
        if local != name.encode() and local.decode("cp437") != name and len(renamed) < 100:
            text = f"{name!r} ({local[:80].decode('utf-8', 'replace')!r})"
            if text not in renamed:
                renamed.append(text)

    def _end(self, start: int, size: int) -> int:
        if start + size > len(self.archive.region.view):
            raise MalformedArchive("reaches beyond the end of the archive")
        return start + size

    def _is_deflated(self, start: int) -> bool:
        """Of an entry with a method that Android does not know."""
        row = self._row
        if row.compressed_size == row.size:
            return False
        end = self._end(start, row.compressed_size)
        if _inflates(self.archive.region.view[start:end], row.size):
            return True
        if row.method in _OTHER_METHODS:
            raise MalformedArchive(
                f"is compressed with {_OTHER_METHODS[row.method]}, which phones cannot read either"
            )
        return False

    def _is_plain(self, deflated: bool, start: int, end: int) -> bool:
        """Of an entry marked as encrypted. Encrypted data neither inflates nor keeps its sum."""
        row, packed = self._row, self.archive.region.part(start, end - start)
        return _inflates(packed.view, row.size) if deflated else _checksum(packed) == row.crc

    def _named(self, error: MalformedArchive) -> MalformedArchive:
        return MalformedArchive(f"{self.path}: {error.message}", hint=error.hint)


def _inflates(packed: memoryview, size: int) -> bool:
    try:
        inflate_head(packed, min(size, 512))
    except MalformedArchive:
        return False
    return True


def _checksum(content: Region) -> int:
    import deflate

    checksum = 0
    for chunk in content.chunks(_CHECKED):
        checksum = deflate.crc32(chunk, checksum)
    return checksum
