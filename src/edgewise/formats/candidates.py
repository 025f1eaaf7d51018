"""Which files may be models: the one place that verbs about files and folders ask."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from edgewise.archive import File, open_file, opens_as_archive, walk_files
from edgewise.errors import InputError
from edgewise.formats import registry
from edgewise.formats.embedded import embedded
from edgewise.formats.unread import unread_format


def is_readable(file: File) -> bool:
    """Whether a file seems to be of a format that has a reader.

    Raises:
        InputError: it cannot be read.
    """
    return registry.recognise(file.head(registry.HEAD_BYTES), file.name) is not None


def is_candidate(file: File) -> bool:
    """Whether a file seems to be of a format that is known, with a reader or without.

    Raises:
        InputError: it cannot be read.
    """
    return is_readable(file) or unread_format(file.head(registry.HEAD_BYTES), file.path) is not None


def model_files(path: str, wanted: Callable[[File], bool] = is_candidate) -> Iterator[File]:
    """The file of that name, or the wanted ones below a folder, in order.

    A file in a folder that cannot be read comes too: whoever reads it says why it cannot.

    Raises:
        InputError: the path is not there, or cannot be read.
    """
    if not Path(path).is_dir():
        yield from _models_in(path)
        return
    for file in walk_files(path):
        try:
            seems_one = wanted(file)
        except InputError:
            seems_one = True
        if seems_one:
            yield file


def _models_in(path: str) -> Iterator[File]:
    """The file, or the models that lie in it; `path@offset` is one of those."""
    whole, _, offset = path.rpartition("@")
    if whole and offset.isdigit() and not Path(path).exists():
        file = open_file(whole)
        yield next((p for p, _ in embedded(file) if p.start == int(offset)), file)
        return
    file = open_file(path)
    head = file.head(registry.HEAD_BYTES)
    if registry.recognise(head, file.name) is not None or opens_as_archive(head):
        yield file
        return
    inside: list[File] = [part for part, _ in embedded(file)]
    yield from inside or [file]
