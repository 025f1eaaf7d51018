"""Bounded reading of files and (nested) archives, in place.

`File` is what every reader of bytes gets: a file on disk, an entry of an archive however deeply
nested, or something fetched from a URL. Nothing is ever extracted to a path taken from an archive.

Two kinds of containers are read: zip, which APK, bundles, IPA, OBB and AAR all are, and what gzip,
xz, bzip2 and tar pack (npm's packages). Another kind would be a module beside `zip.py` that offers
what `Archive` does, and a line in `open_archive`.

::

    files.py       File, DiskFile, walking a folder
    part.py        Part: a range of a file as a file
    region.py      bytes that stay where they are: a map, a spool, a buffer
    limits.py      Limits and the Budget that is spent against them
    directory.py   the tolerant reading of a zip's directory
    inflate.py     heads, whole entries, spools
    zip.py         Archive and Entry
    packed.py      Bundle and Member: gzip, xz, bzip2, tar
    remote.py      URLs
    opening.py     from a path as users write it to a File
"""

from edgewise.archive.files import DiskFile, File, Source, walk_files
from edgewise.archive.limits import Budget, Limits
from edgewise.archive.opening import (
    open_archive,
    open_file,
    opens_as_archive,
    opens_as_bundle,
    packed_as,
)
from edgewise.archive.packed import Bundle
from edgewise.archive.part import Part
from edgewise.archive.zip import Archive, Entry

__all__ = [
    "Archive",
    "Budget",
    "Bundle",
    "DiskFile",
    "Entry",
    "File",
    "Limits",
    "Part",
    "Source",
    "open_archive",
    "open_file",
    "opens_as_archive",
    "opens_as_bundle",
    "packed_as",
    "walk_files",
]
