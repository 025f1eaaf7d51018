"""From a path as users write it to a file that a runtime can open."""

from __future__ import annotations

import hashlib
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from edgewise.archive import File
from edgewise.errors import InputError
from edgewise.formats import registry


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model on disk. `path` is as the user wrote it, `local` where a runtime finds it.

    `companions` are the files with its weights, if it has any.
    """

    path: str
    format: str
    sha256: str
    local: Path
    companions: tuple[Path, ...] = ()


def localise(file: File, until: ExitStack) -> ModelFile:
    """Make a file readable by path. What has to be spooled is private, and gone after `until`.

    Raises:
        InputError: it cannot be read, or is of no known format.
    """
    recognised = registry.recognise(file.head(registry.HEAD_BYTES), file.name)
    if recognised is None:
        raise InputError(
            f"{file.path}: of no model format that can be run",
            hint="a model inside a package is named as app.apk!/assets/m.tflite",
        )
    names = _companions(file, recognised)
    if Path(file.path).is_file():
        local = Path(file.path)
    else:
        folder = Path(until.enter_context(tempfile.TemporaryDirectory(prefix="edgewise-")))
        local = _spool(file, folder / f"model{recognised.EXTENSIONS[0]}")
        for name in names:
            if other := file.sibling(name):
                _spool(other, folder / name)
    beside = (local.parent / name for name in names)
    return ModelFile(
        path=file.path,
        format=recognised.NAME,
        sha256=file.sha256(),
        local=local,
        companions=tuple(other for other in beside if other.is_file()),
    )


def _companions(file: File, recognised: registry.Format) -> list[str]:
    """Names of the files beside it that hold its weights.

    A file that our strict reader rejects may still be run: the runtime has the last word. A name
    that leads to another folder is left to the runtime too.
    """
    try:
        names = recognised.read(file).companions
    except InputError:
        return []
    return [name for name in names if Path(name).name == name]


def _spool(file: File, to: Path) -> Path:
    """Copy into a folder that nobody else may enter."""
    to.write_bytes(file.data())
    return to


def sha256_of(path: Path) -> str:
    """The content address of a file on disk, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
