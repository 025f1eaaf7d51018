"""Which devices can be measured on now, and what each can measure."""

from __future__ import annotations

import msgspec

from edgewise import sandbox
from edgewise.devices import registry as kinds
from edgewise.errors import WorkerFailed
from edgewise.records import Device, RuntimeInfo
from edgewise.runtimes import registry
from edgewise.sandbox import Limits

_SECONDS = 60.0


def devices() -> list[Device]:
    """All devices with their runtimes. This machine's are started once in a worker process each;
    what another device has it says itself."""
    return [_with_runtimes(each) for each in kinds.present()]


def _with_runtimes(device: Device) -> Device:
    if device.kind != "host":
        return device
    runtimes = tuple(_runtime(each.NAME) for each in registry.runtimes())
    return msgspec.structs.replace(device, runtimes=runtimes)


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
    return msgspec.to_builtins(registry.by_name(name).info())
