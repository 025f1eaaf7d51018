"""From a path as users write it to a `File`."""

from __future__ import annotations

from pathlib import Path

from edgewise.archive.files import DiskFile, Source
from edgewise.archive.limits import Budget, Limits
from edgewise.archive.packed import OPENED, Bundle
from edgewise.archive.remote import RemoteFile, is_url
from edgewise.archive.zip import Archive
from edgewise.errors import InputError

#: Between a container and what is in it: `base.apks!/base.apk!/assets/m.tflite`.
INSIDE = "!/"
_ZIP_HEADS = (b"PK\x03\x04", b"PK\x05\x06")
#: Other ways of packing files, by what stands where: RFC 1952 (gzip), RFC 8878 (zstd), POSIX's
#: ustar; for the rest their formats' own descriptions.
_TAR, _TAR_AT = b"ustar", 257
_PACKED = (
    ("gzip", 0, b"\x1f\x8b\x08"),
    ("xz", 0, b"\xfd7zXZ\0"),
    ("bzip2", 0, tuple(b"BZh%d1AY&SY" % level for level in range(1, 10))),
    ("zstd", 0, b"\x28\xb5\x2f\xfd"),
    ("LZ4", 0, b"\x04\x22\x4d\x18"),
    ("7z", 0, b"7z\xbc\xaf\x27\x1c"),
    ("RAR", 0, b"Rar!\x1a\x07"),
    ("tar", _TAR_AT, _TAR),
)
_SNIFFED = 512
_PACKED_FIRSTS = frozenset((b"\x1f", b"\xfd", b"B", b"\x28", b"\x04", b"7", b"R"))


def open_file(path: str, limits: Limits | None = None) -> Source:
    """Open a file on disk, at a URL, or inside a package however deeply nested.

    Raises:
        InputError: it is not there, cannot be read, or what should contain it is no archive.
        LimitExceeded: it is nested too deeply, or too large.
    """
    budget = Budget(limits)
    outer, *inner = _parts(path)
    file: Source = RemoteFile(outer, budget.limits) if is_url(outer) else DiskFile(outer)
    for depth, name in enumerate(inner):
        archive = open_archive(file, budget, depth)
        entry = archive.get(name)
        if entry is None:
            raise InputError(
                f"{file.path}: has no entry {name!r}{_closest(name, archive)}",
                hint=f"`edgewise scan {outer}` lists the models inside",
            )
        file = entry
    return file


def open_archive(file: Source, budget: Budget, depth: int = 0) -> Archive | Bundle:
    """Open a container of any kind that is read. Raises what `Archive` and `Bundle` do."""
    packing = packed_as(file.head(_SNIFFED))
    if packing in OPENED:
        return Bundle(file, packing, budget, depth)
    return Archive(file, budget, depth)


def opens_as_archive(head: bytes) -> bool:
    """Whether a file with these first bytes is a zip archive."""
    return head.startswith(_ZIP_HEADS)


def opens_as_bundle(head: bytes) -> bool:
    """Whether a file with these first bytes (263 or more) is packed in a way that is opened."""
    return packed_as(head) in OPENED


def packed_as(head: bytes) -> str | None:
    """What a file with these first bytes (263 or more) is packed with, if it is not a zip."""
    if not (head[:1] in _PACKED_FIRSTS or head.startswith(_TAR, _TAR_AT)):
        return None  # almost every entry of an app: decided without a loop
    return next((name for name, at, magic in _PACKED if head.startswith(magic, at)), None)


def _parts(path: str) -> list[str]:
    """Containers and entry, outermost first. A folder may be called `wow!`: what exists counts."""
    if INSIDE not in path or (not is_url(path) and Path(path).exists()):
        return [path]
    return path.split(INSIDE)


def _closest(name: str, archive: Archive | Bundle) -> str:
    """A hint where only the folder or the case is wrong."""
    last = name.rpartition("/")[2].lower()
    same = (other for other in archive.names() if other.rpartition("/")[2].lower() == last)
    found = next(same, None) if last else None
    return f"; it has {found!r}" if found else ""
