"""Published experiments, to be run again: by the name that `edgewise place --recipe` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from edgewise.errors import UsageError
from edgewise.placement.recipes.guo2018 import NAME as GUO2018
from edgewise.placement.recipes.guo2018 import (
    PAPER,
    QUICK,
    Finding,
    Settings,
    beside_paper,
    findings,
)
from edgewise.placement.recipes.guo2018 import run as _guo2018
from edgewise.records import Placement

__all__ = ["NAMES", "PAPER", "Finding", "beside_paper", "findings", "run"]

NAMES = (GUO2018,)


def run(
    name: str,
    *,
    models: Sequence[str] = (),
    links: Sequence[str] = (),
    input: Sequence[Path] = (),
    requests: int | None = None,
    processes: int | None = None,
    phone: str | None = None,
    share: float | None = None,
    server: str | None = None,
    capped: bool = True,
    whole_phone: bool | None = None,
    cache: Path | None = None,
    quick: bool = False,
    progress: Callable[[str], None] = lambda _: None,
) -> Iterator[Placement]:
    """The rows of an experiment. What is not given is the experiment's own, less of it if `quick`.

    Raises:
        UsageError: no such experiment, or a setting that is none.
        InputError, DeviceError: inputs or the device cannot be used.
    """
    if name not in NAMES:
        raise UsageError(f"no recipe '{name}'", hint=f"known: {', '.join(NAMES)}")
    given: dict[str, Any] = {
        "models": tuple(models), "links": tuple(links), "inputs": tuple(input),
        "requests": requests, "processes": processes, "phone": phone, "share": share,
        "server": server,
        "capped": capped, "whole_phone": whole_phone, "cache": cache,
    }  # fmt: skip
    told = {key: value for key, value in given.items() if value not in (None, ())}
    settings = Settings(**{**(QUICK if quick else {}), **told})
    return _guo2018(settings, progress)
