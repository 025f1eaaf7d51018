"""Which kinds of meters there are, and finding those of a machine: the one list."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from edgewise import plugins
from edgewise.energy.meters.contract import Files, Gauge, Kind, Recording, Texts
from edgewise.energy.meters.files import Below
from edgewise.errors import DeviceError, EdgewiseError, UsageError

#: Modules of this room; the first that is found is preferred.
_OURS = ("rapl", "jetson", "odpm", "battery", "perfetto", "monsoon")


def kinds() -> tuple[Kind, ...]:
    """All kinds of meters, those of other packages last."""
    ours = tuple(import_module(f"edgewise.energy.meters.{name}") for name in _OURS)
    return (*ours, *plugins.declared("meters"))


def by_name(name: str) -> Kind:
    """The kind called `name`.

    Raises:
        UsageError: there is none.
    """
    for kind in kinds():
        if name == kind.NAME:
            return kind
    known = ", ".join(each.NAME for each in kinds())
    raise UsageError(f"no meter {name!r}", hint=f"known: {known}, model:NAME")


def find(files: Files, name: str | None = None) -> Gauge | None:
    """The meter of this kind (None: of the first that is there) among a system's files.

    `files` are those of a whole system (with `sys/…`), or of the folder where the meter lives.

    Raises:
        DeviceError: it is there and cannot be read. Where no kind is named, only if no other can.
        UsageError: there is no such kind.
    """
    refused: EdgewiseError | None = None
    for kind in kinds() if name is None else (by_name(name),):
        for home in kind.HOMES:
            below = Below(files, home) if files.names(home) else files
            try:
                found = kind.gauge(below)
            except DeviceError as error:
                refused = refused or error
                continue
            if found is not None:
                return found if below is files else Moved(found, home)
    if refused is not None:
        raise refused
    return None


class Moved:
    """A gauge whose files lie in a folder of the files that are read."""

    def __init__(self, gauge: Gauge, home: str) -> None:
        self._gauge, self._home = gauge, home
        self.name, self.boundary, self.rate_hz = gauge.name, gauge.boundary, gauge.rate_hz
        self.paths = tuple(f"{home}/{path}" for path in gauge.paths)

    def interpret(self, moments: Sequence[float], texts: Texts) -> Recording:
        """See `Gauge.interpret`."""
        cut = len(self._home) + 1
        return self._gauge.interpret(moments, {path[cut:]: each for path, each in texts.items()})
