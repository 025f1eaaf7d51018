"""Model files as they were when the families were read.

Whoever replaces a served file, or writes into it, changes nothing for a service that runs, nor for
a worker that starts anew meanwhile: workers load copies, named by their content, until the families
are read again. Where no copy can be had (weights in files of their own, no room), a variant is
loaded from its own file.
"""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import logging
import mmap
import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from edgewise.errors import InputError

_log = logging.getLogger("edgewise.server")
_CHUNK = 1 << 20
#: In an ONNX file, what says that weights lie in another one.
_ELSEWHERE = b"location"


class Snapshots:
    """A folder of copies, gone with `close`."""

    def __init__(self) -> None:
        self._folder: Path | None = None

    def take(self, path: Path) -> tuple[Path, str]:
        """Where to load a file from, and the SHA-256 of what is there, in hexadecimal.

        Raises:
            InputError: it cannot be read.
        """
        try:
            if _has_weights_elsewhere(path):
                with path.open("rb") as stream:
                    return path, hashlib.file_digest(stream, "sha256").hexdigest()
            return self._copy(path)
        except OSError as error:
            raise InputError(f"{path} cannot be read: {error.strerror or error}") from error

    def _copy(self, path: Path) -> tuple[Path, str]:
        digest = hashlib.sha256()
        try:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="edgewise-models-"))
                # Also where a start fails: only a killed service leaves it behind.
                atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
            beside = self._folder / "new"
            with path.open("rb") as source, beside.open("wb") as copy:
                while chunk := source.read(_CHUNK):
                    digest.update(chunk)
                    copy.write(chunk)
            content = digest.hexdigest()
            kept = self._folder / content / path.name
            kept.parent.mkdir(exist_ok=True)
            beside.rename(kept)
        except OSError as error:
            _log.warning("no copy of %s: %s; do not write to it while it is served", path, error)
            with path.open("rb") as source:
                return path, hashlib.file_digest(source, "sha256").hexdigest()
        return kept, content

    def keep(self, files: Collection[str]) -> None:
        """Only these are needed from now on; who has another one loaded still has it."""
        if self._folder is not None:
            for each in self._folder.glob("*/*"):
                if str(each) not in files:
                    with contextlib.suppress(OSError):
                        each.unlink()

    def close(self) -> None:
        """Remove all."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _has_weights_elsewhere(path: Path) -> bool:
    if path.suffix.lower() != ".onnx" or not path.stat().st_size:
        return False
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
        return view.find(_ELSEWHERE) >= 0
