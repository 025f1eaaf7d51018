"""numba's `njit`, with a cache that belongs to the sources as they are.

numba looks at the date of the one file that a function stands in. What is compiled into it from
another file may have changed since, so the cache has a folder for each hash of all sources here and
of numba's version: under `NUMBA_CACHE_DIR`, or else beside this file, or else in the user's cache.
"""

from __future__ import annotations

import hashlib
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from edgewise.errors import MissingExtra

try:
    import numba
    from numba.core import config as _config
except ModuleNotFoundError as missing:
    raise MissingExtra("select", "choosing between variants") from missing

F = TypeVar("F", bound=Callable[..., Any])

#: numba sets its members when it is imported.
config: Any = _config
_HERE = Path(__file__).parent
_FOLDER, _OLD_S = "compiled-", 86_400
_log = logging.getLogger(__name__)


def njit(**options: Any) -> Callable[[F], F]:
    """Compile at the first call, or take the code from the cache. Where no folder can be written
    (another user's installation on a read-only disk, and no home) it is compiled anew in every
    process, which is said once."""

    def compile_it(function: F) -> F:
        kept_in = folder()
        if kept_in is None:
            anew: F = numba.njit(**options)(function)
            return anew
        before, config.CACHE_DIR = config.CACHE_DIR, str(kept_in)
        try:
            kept: F = numba.njit(cache=True, **options)(function)
            return kept
        finally:
            config.CACHE_DIR = before

    return compile_it


def source_hash(folder: Path = _HERE) -> str:
    """Of all Python sources in a folder, by their content, and of numba's version."""
    found = hashlib.sha256(numba.__version__.encode())
    for file in sorted(folder.rglob("*.py")):
        found.update(f"{file.relative_to(folder)}\0".encode() + file.read_bytes() + b"\0")
    return found.hexdigest()[:16]


@cache
def folder() -> Path | None:
    """Where compiled code is kept; None, and a word to the user, where nothing can be."""
    name = _FOLDER + source_hash()
    for base in _bases():
        with suppress(OSError):
            found = base / name
            found.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=found):
                pass
            if base == _HERE / "__pycache__":
                _prune(base, found)
            return found
    _log.warning(
        "no folder for compiled code can be written, so half a minute goes by with compiling "
        "(NUMBA_CACHE_DIR names one)"
    )
    return None


def _prune(base: Path, keep: Path) -> None:
    """Take away what is of other sources, unless a process may still be at it."""
    for other in base.glob(f"{_FOLDER}*"):
        if other != keep and time.time() - other.stat().st_mtime > _OLD_S:
            shutil.rmtree(other, ignore_errors=True)


def _bases() -> Iterator[Path]:
    if config.CACHE_DIR:
        yield Path(config.CACHE_DIR)
        return
    yield _HERE / "__pycache__"
    home = os.environ.get("XDG_CACHE_HOME")
    with suppress(RuntimeError):  # no home
        yield (Path(home) if home else Path.home() / ".cache") / "edgewise"
