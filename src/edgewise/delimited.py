"""Tables as text, as people's tools write them.

Columns are parted by commas, semicolons or tabs, whichever the header has most of; a byte-order
mark, UTF-16 (what spreadsheets call Unicode text), any line ends, blanks around cells, columns
without a name at the end and, where the comma parts nothing, decimal commas are all read as meant.
Lines that begin with `#` are comments. A file may be gzipped, whatever it is called.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from pathlib import Path
from typing import NamedTuple

from edgewise.errors import InputError

#: A larger file, unpacked, is refused instead of filling the memory.
MAX_BYTES = 256 * 1024 * 1024
_GZIP = b"\x1f\x8b"
_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(?:[eE][+-]?\d+)?")

#: Numbered lines of a file, from 1 on.
Lines = list[tuple[int, str]]


class Sheet(NamedTuple):
    """Columns by name, and rows with the number of the line that each ends in."""

    columns: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]]


def read_lines(path: Path) -> Lines:
    """Lines that are neither blank nor comments, without their ends.

    Raises:
        InputError: the file cannot be read, is no text, or is too large.
    """
    try:
        raw = path.read_bytes() if path.stat().st_size <= MAX_BYTES else None
        if raw is not None and raw.startswith(_GZIP):
            raw = gzip.GzipFile(fileobj=io.BytesIO(raw)).read(MAX_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path} cannot be read: {error}") from error
    if raw is None or len(raw) > MAX_BYTES:
        raise InputError(f"{path} has more than {MAX_BYTES >> 20} MiB")
    try:
        text = raw.decode("utf-16" if raw.startswith(_UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} cannot be read: it is no text in UTF-8") from error
    return [
        (number, line.rstrip("\n"))
        for number, line in enumerate(io.StringIO(text, newline=None), 1)
        if line.strip() and not line.startswith("#")
    ]


def parse(path: Path, lines: Lines) -> Sheet:
    """The table that some lines of a file hold, the first of them its header.

    Raises:
        InputError: a line with another number of values than the header, a column that is there
            twice, quotes that do not close; with the number of the line.
    """
    if not lines:
        return Sheet((), [])
    comma = max(",;\t", key=lines[0][1].count)
    reader = csv.reader(
        (line + "\n" for _, line in lines), delimiter=comma, strict=True, skipinitialspace=True
    )
    try:
        columns = _trimmed(next(reader))
        rows = []
        for cells in reader:
            number = lines[reader.line_num - 1][0]
            values = _trimmed(cells, len(columns))
            if len(values) != len(columns):
                raise InputError(f"{path}, line {number}: not as many values as the header has")
            if comma != ",":
                values = [_with_point(value) for value in values]
            rows.append((number, dict(zip(columns, values, strict=True))))
    except csv.Error as error:
        raise InputError(
            f"{path}, line {lines[max(reader.line_num, 1) - 1][0]}: cannot be read as CSV: {error}"
        ) from error
    if twice := next((name for name in columns if columns.count(name) > 1), None):
        raise InputError(f"{path} has the column '{twice}' twice")
    return Sheet(tuple(columns), rows)


def read(path: Path) -> Sheet:
    """The table in a file.

    Raises:
        InputError: as `read_lines` and `parse`.
    """
    return parse(path, read_lines(path))


def _trimmed(cells: list[str], at_least: int = 0) -> list[str]:
    """Cells without blanks around them, and without empty ones at the end beyond `at_least`."""
    values = [cell.strip() for cell in cells]
    while len(values) > at_least and not values[-1]:
        values.pop()
    return values


def _with_point(value: str) -> str:
    return value.replace(",", ".") if _DECIMAL_COMMA.fullmatch(value) else value
