"""Zip archives as the tests need them, honest ones and doctored ones."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from edgewise.archive import Archive, Budget, DiskFile, Limits

DEFLATED, STORED = zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED


def packed(entries: Mapping[str, bytes], method: int = DEFLATED, comment: bytes = b"") -> bytes:
    """An ordinary archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
        archive.comment = comment
    return buffer.getvalue()


def doctored(data: bytes, name: str, **fields: int) -> bytes:
    """Overwrite fields of an entry's row in the directory: flags, method, crc, packed, size."""
    places = {"flags": (8, "<H"), "method": (10, "<H"), "crc": (16, "<I"), "packed": (20, "<I"),
              "size": (24, "<I"), "offset": (42, "<I")}  # fmt: skip
    changed = bytearray(data)
    row = data.rindex(b"PK\x01\x02", 0, data.rindex(name.encode()))
    for field, value in fields.items():
        place, layout = places[field]
        struct.pack_into(layout, changed, row + place, value)
    return bytes(changed)


def opened(folder: Path, data: bytes, limits: Limits | None = None) -> Archive:
    """The archive, from a file in `folder`."""
    path = folder / "some.zip"
    path.write_bytes(data)
    return Archive(DiskFile(path), Budget(limits))
