"""This machine as a device, whole or as an emulated slow one. Jobs run in worker processes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from edgewise import records, sandbox
from edgewise.devices import emulated, host
from edgewise.devices.contract import EVERY_PHASE, Device, Offer, Options
from edgewise.devices.job import Job, Report
from edgewise.errors import UsageError, WorkerFailed
from edgewise.records import Context, DeviceState
from edgewise.sandbox import Answer, Limits

NAME = host.NAME
SYNTAX = f"{host.NAME}, {emulated.PREFIX}SHARE"
RUNTIMES: tuple[str, ...] | None = None
#: What a worker process runs for a `Job`, by its name: it is of a room above this one.
WORKER = "edgewise.bench.worker:work"
_SLOWED = "edgewise.devices.local:slowed"


def open(name: str, options: Options) -> Sequence[Device]:
    """See `Kind.open`."""
    if (share := emulated.share_of(name)) is not None:
        return [Emulated(share)]
    if name != NAME:
        raise UsageError(f"unknown device '{name}'", hint=f"like {SYNTAX}")
    return [Host()]


def present() -> Sequence[records.Device]:
    """See `Kind.present`. Emulated devices are not listed: there is one for every share."""
    return [Host().describe()]


def prepare(name: str, options: Options) -> Iterator[str]:
    """See `Kind.prepare`: this machine has what is installed."""
    raise UsageError(f"{name}: nothing to prepare", hint="pip install 'edgewise[litert,onnx]'")


def check_affinity(name: str, affinity: tuple[int, ...]) -> None:
    """See `Kind.check_affinity`."""
    available = host.available_cpus()
    if available is None:
        raise UsageError("affinity: this system cannot pin a process to CPUs")
    missing = sorted(set(affinity) - set(available))
    if missing or not affinity:
        raise UsageError(f"affinity: no CPU {missing or '-'} here, there are {list(available)}")


@dataclass
class Host:
    """This machine. See `Device`."""

    name: str = NAME
    kind: str = "host"
    place: str = NAME
    offers: tuple[Offer, ...] | None = None
    phases: frozenset[str] = EVERY_PHASE

    def describe(self) -> records.Device:
        """See `Device.describe`."""
        return host.describe()

    def context(self, *, affinity: tuple[int, ...] | None = None) -> Context:
        """See `Device.context`."""
        return host.describe_context(affinity=affinity)

    def state(self) -> DeviceState:
        """See `Device.state`."""
        now = host.describe_context()
        return DeviceState(
            at=datetime.now(UTC).isoformat(timespec="seconds"),
            temperature_c=now.temperature_c,
            frequencies_khz=host.frequencies_khz(),
            load_average=now.load_average,
        )

    def put(self, file: Path, sha256: str, *, beside: str | None = None) -> str:
        """See `Device.put`: files are here already."""
        return str(file)

    def measure(self, job: Job, limits: Limits) -> Report:
        """See `Device.measure`."""
        return report_of(self.call(WORKER, job, limits=limits))

    def call(self, function: str, *arguments: Any, limits: Limits) -> Answer:
        """Run a function of this package on the device, in a process of its own.

        Raises:
            WorkerFailed, EdgewiseError: as `sandbox.call`.
        """
        return sandbox.call(function, *arguments, limits=limits)

    def close(self) -> None:
        """See `Device.close`."""


@dataclass
class Emulated(Host):
    """One core of this machine for a share of its time (`emulated`). What that achieves is
    measured when it is first asked for."""

    share: float = 1.0
    kind: str = "emulated"
    _throttle: emulated.Throttle | None = field(default=None, repr=False)

    def __init__(self, share: float) -> None:
        super().__init__(name=emulated.device_name(share), kind="emulated")
        self.share, self._throttle = share, None

    @property
    def throttle(self) -> emulated.Throttle:
        """How it is slowed down, with the share that a busy loop got.

        Raises:
            DeviceError: this machine cannot emulate it.
        """
        if self._throttle is None:
            self._throttle = emulated.calibrated(self.share)
        return self._throttle

    def describe(self) -> records.Device:
        """See `Device.describe`."""
        words = self.throttle.words()
        described = host.describe()
        return msgspec.structs.replace(
            described, name=self.name, kind=self.kind, description=words, meters=(),
            context=self.context(),
        )  # fmt: skip

    def context(self, *, affinity: tuple[int, ...] | None = None) -> Context:
        """See `Device.context`."""
        words = self.throttle.words()
        return msgspec.structs.replace(host.describe_context(affinity=affinity), emulated=words)

    def call(self, function: str, *arguments: Any, limits: Limits) -> Answer:
        """As `Host.call`, held to the share from the first line of the function on."""
        return super().call(_SLOWED, function, self.share, list(arguments), limits=limits)

    def measure(self, job: Job, limits: Limits) -> Report:
        """See `Device.measure`. It is pinned to one core: the one that the pacer holds it to."""
        if job.target.affinity is not None:
            raise UsageError("an emulated device has one core: leave out the affinity")
        return super().measure(job, limits)


def slowed(function: str, share: float, arguments: list[Any]) -> Any:
    """In a worker process: call a function, held to a share of a core. Importing runs freely."""
    module, _, name = function.partition(":")
    wanted = getattr(import_module(module), name)
    with emulated.throttled(os.getpid(), share):
        return wanted(*arguments)


def report_of(answer: Answer) -> Report:
    """A worker's answer as a report.

    Raises:
        WorkerFailed: the worker died after its answer.
    """
    if answer.exit_status is not None:
        # Its heap was broken before: whether a process gets as far as an answer is then chance.
        raise WorkerFailed(f"{answer.exit_status} when it released the model")
    return msgspec.convert(answer.value, Report)
