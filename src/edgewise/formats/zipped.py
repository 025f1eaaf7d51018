"""Models that are zip archives themselves."""

from __future__ import annotations

from typing import cast

from edgewise.archive import Archive, Budget, Entry, File, Source
from edgewise.errors import MalformedArchive, RejectedModel


def open_zip(file: File) -> Archive:
    """A file opened as an archive, in place; inside a package on the package's budget.

    Raises:
        RejectedModel: it is no archive, or a broken one.
        LimitExceeded: it is nested too deeply.
    """
    try:
        if isinstance(file, Entry):
            return file.archive.nested(file)
        if not hasattr(file, "region"):
            raise RejectedModel("bytes that cannot be opened as an archive")
        return Archive(cast("Source", file), Budget())
    except MalformedArchive as error:
        raise RejectedModel(error.message) from error
