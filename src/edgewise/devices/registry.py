"""Which kinds of devices there are, and what a name means: the one list."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgewise import plugins, records
from edgewise.devices.contract import Device, Kind, Options
from edgewise.errors import UsageError

DEFAULT = Options()


def kinds() -> tuple[Kind, ...]:
    """All kinds; those of other packages come last."""
    from edgewise.devices import local
    from edgewise.devices.adb import device as android
    from edgewise.devices.browser import device as browser
    from edgewise.devices.ssh import board

    return (local, android, board, browser, *plugins.declared("devices"))


def kind_of(name: str) -> Kind:
    """The kind that a device's name belongs to: by the part before the first colon.

    Raises:
        UsageError: there is none.
    """
    first = name.partition(":")[0]
    for kind in kinds():
        if first == kind.NAME:
            return kind
    known = ", ".join(kind.SYNTAX for kind in kinds())
    raise UsageError(f"unknown device '{name}'", hint=f"known: {known}")


def find(name: str, options: Options = DEFAULT) -> Sequence[Device]:
    """The devices that a name means, as `Kind.open`.

    Raises:
        UsageError, DeviceError: as `Kind.open`.
    """
    return kind_of(name).open(name, options)


def present() -> Iterator[records.Device]:
    """Every device that is there now."""
    for kind in kinds():
        yield from kind.present()
