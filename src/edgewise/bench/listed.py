"""Labelled images as a list of files: a CSV of paths and labels, or two words a line.

`delimited` says how a CSV may be written. Paths are relative to the list, else to where we are.
"""

from __future__ import annotations

from pathlib import Path, PureWindowsPath

from edgewise import delimited
from edgewise.errors import InputError

#: Endings of lists, and what their columns may be called.
SUFFIXES = (".csv", ".tsv", ".txt", ".gz")
_FILES = ("file", "path", "filename", "file_name", "filepath", "image", "image_path", "img", "id")
_LABELS = (
    "label", "class", "target", "category", "label_name", "class_name", "class_id", "label_id",
    "synset", "wnid", "y",
)  # fmt: skip


def listed(path: Path) -> list[tuple[Path, str]]:
    """Files and the words for their classes, in the order of the list.

    Raises:
        InputError: it cannot be read, lacks a column, or a line has no label; with line number.
    """
    lines = delimited.read_lines(path)
    if not lines:
        raise InputError(f"{path} lists no file")
    if not any(sign in lines[0][1] for sign in ",;\t"):
        rows = [(number, line.rsplit(None, 1)) for number, line in lines]
        pairs = [(number, words[0], words[1]) for number, words in rows if len(words) == 2]
        if len(pairs) < len(rows):
            number = next(number for number, words in rows if len(words) != 2)
            raise InputError(f"{path}, line {number}: not a file and its label")
        return [(_found(path, name), label) for _, name, label in pairs]
    header = {name.casefold(): name for name in delimited.parse(path, lines[:1]).columns}
    file = next((header[name] for name in _FILES if name in header), None)
    label = next((header[name] for name in _LABELS if name in header), None)
    if file is None and label is None and len(header) == 2:  # no header: it is the first file
        file, label = "file", "label"
        comma = next(sign for sign in ";\t," if sign in lines[0][1])
        lines = [(0, comma.join((file, label))), *lines]
    if file is None or label is None:
        missing, known = ("files", _FILES) if file is None else ("labels", _LABELS)
        raise InputError(f"{path} has no column of {missing}", hint=f"called {', '.join(known)}")
    found = []
    for number, row in delimited.parse(path, lines).rows:
        if not row[file] or not row[label]:
            raise InputError(f"{path}, line {number}: no file or no label")
        found.append((_found(path, row[file]), row[label]))
    return found


def _found(of: Path, name: str) -> Path:
    """Where a file is that a list names."""
    places = [of.parent / name, Path(name), of.parent / PureWindowsPath(name).as_posix()]
    return next((place for place in places if place.is_file()), places[0])
