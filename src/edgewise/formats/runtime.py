"""Which runtime runs a file."""

from __future__ import annotations

from pathlib import Path

from edgewise.archive import DiskFile
from edgewise.errors import InputError, MissingExtra
from edgewise.family import Variant
from edgewise.formats import registry
from edgewise.runtimes import registry as runtimes


def runtime_for(variant: Variant) -> str:
    """Name of the runtime that runs a variant's file.

    Raises:
        InputError: the file is of no known format, or no runtime here runs it.
        MissingExtra: its runtime is not installed.
    """
    path = Path(str(variant.file))
    found = registry.recognise(DiskFile(path).head(registry.HEAD_BYTES), path.name)
    runtime = runtimes.for_format(found.NAME) if found else None
    if runtime is None:
        raise InputError(f"no runtime runs {path}")
    if runtimes.info(runtime).reason is not None:
        raise MissingExtra(runtime.EXTRA, f"serving {path.name}")
    return runtime.NAME
