"""Which devices can be measured on now, and what each can measure."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from edgewise import sandbox
from edgewise.devices import registry as kinds
from edgewise.energy.meters import registry as meters
from edgewise.energy.meters.files import Folder
from edgewise.errors import DeviceError, WorkerFailed
from edgewise.records import Device, RuntimeInfo
from edgewise.runtimes import registry
from edgewise.sandbox import Limits

_SECONDS = 60.0
#: Runtimes that are started at the same time.
_AT_ONCE = 4


def devices() -> list[Device]:
    """All devices with their runtimes. This machine's are started once in a worker process each;
    what another device has it says itself."""
    return [_with_runtimes(each) for each in kinds.present()]


def _with_runtimes(device: Device) -> Device:
    if device.kind != "host":
        return device
    names = [each.NAME for each in registry.runtimes()]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        runtimes = tuple(pool.map(_runtime, names))
    readable, notes = _meters(device.meters)
    return msgspec.structs.replace(
        device, runtimes=runtimes, meters=readable, notes=(*device.notes, *notes)
    )


def _meters(told: Sequence[str]) -> tuple[tuple[str, ...], list[str]]:
    """What measures energy here: what the device told, and every other kind of meter that finds
    its files; why one that is there cannot be read."""
    found, notes = list(told), []
    here = Folder(Path("/"))
    for kind in meters.kinds():
        try:
            there = bool(kind.HOMES) and meters.find(here, kind.NAME) is not None
        except DeviceError as error:
            there = True
            notes.append(str(error))
        if there and not any(each.partition(":")[0] == kind.NAME for each in found):
            found.append(kind.NAME)
    return tuple(found), notes


def _runtime(name: str) -> RuntimeInfo:
    try:
        answer = sandbox.call(
            "edgewise.bench.inventory:describe_runtime", name, limits=Limits(_SECONDS)
        )
    except WorkerFailed as error:
        return RuntimeInfo(name=name, version=None, available=False, reason=error.message)
    return msgspec.convert(answer.value, RuntimeInfo)


def describe_runtime(name: str) -> object:
    """In a worker: importing a runtime may crash."""
    return msgspec.to_builtins(registry.info(registry.by_name(name)))
