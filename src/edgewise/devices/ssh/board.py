"""A Linux board as a device: `ssh:USER@HOST`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from edgewise import records
from edgewise.devices.contract import EVERY_PHASE, Device, Offer, Options
from edgewise.devices.job import Job, Report
from edgewise.devices.local import WORKER, report_of
from edgewise.devices.lock import Lock
from edgewise.devices.ssh import prepare as preparing
from edgewise.devices.ssh.client import Address, Ssh
from edgewise.errors import DeviceError
from edgewise.records import Context, DeviceState
from edgewise.sandbox import Answer, Limits

NAME = "ssh"
SYNTAX = "ssh:USER@HOST"
RUNTIMES: tuple[str, ...] | None = None
_LIMITS = Limits(30.0)
_MODELS = f"{preparing.FOLDER}/models"


def open(name: str, options: Options) -> Sequence[Device]:
    """See `Kind.open`."""
    return [Board(name)]


def present() -> Sequence[records.Device]:
    """See `Kind.present`: no board tells that it is there."""
    return []


def check_affinity(name: str, affinity: tuple[int, ...]) -> None:
    """See `Kind.check_affinity`: a board tells its CPUs only when it is asked."""


def prepare(name: str, options: Options) -> Iterator[str]:
    """See `Kind.prepare`: the worker, and the runtimes at the versions installed here."""
    return preparing.prepare(Ssh(Address.parse(name.partition(":")[2])), options.python)


class Board:
    """One board. See `Device`."""

    kind = "board"
    offers: tuple[Offer, ...] | None = None
    phases = EVERY_PHASE

    def __init__(self, name: str) -> None:
        self.name = self.place = name
        self._ssh = Ssh(Address.parse(name.partition(":")[2]))
        self._lock = Lock(name)
        self._command: str | None = None
        self._home = ""
        self._there: set[str] = set()

    def describe(self) -> records.Device:
        """See `Device.describe`."""
        answer = self.call("edgewise.devices.ssh.remote:describe", limits=_LIMITS)
        found = msgspec.convert(answer.value, records.Device)
        return msgspec.structs.replace(found, name=self.name, kind=self.kind)

    def context(self, *, affinity: tuple[int, ...] | None = None) -> Context:
        """See `Device.context`. From here on the board is this run's alone."""
        self._lock.take()
        answer = self.call("edgewise.devices.ssh.remote:context", affinity, limits=_LIMITS)
        return msgspec.convert(answer.value, Context)

    def state(self) -> DeviceState:
        """See `Device.state`."""
        answer = self.call("edgewise.devices.ssh.remote:state", limits=_LIMITS)
        return msgspec.convert(answer.value, DeviceState)

    def put(self, file: Path, sha256: str, *, beside: str | None = None) -> str:
        """See `Device.put`. A file keeps its name: weights are found by theirs."""
        self._start()
        folder = f"{self._home}/{_MODELS}/{sha256[:16]}"
        path = f"{folder if beside is None else str(PurePosixPath(beside).parent)}/{file.name}"
        if path not in self._there:
            quoted = shlex.quote(path)
            size = file.stat().st_size
            said = self._ssh.run(f"wc -c <{quoted} 2>/dev/null || true").strip()
            if said != str(size):
                self._room_for(file, size)
                self._ssh.put(file, path)
            self._there.add(path)
        return path

    def measure(self, job: Job, limits: Limits) -> Report:
        """See `Device.measure`: the same worker, there."""
        return report_of(self.call(WORKER, job, limits=limits))

    def call(self, function: str, *arguments: Any, limits: Limits) -> Answer:
        """Run a function of this package there, in a process of its own.

        Raises:
            DeviceGone: the connection was lost.
            WorkerFailed, EdgewiseError: as `sandbox.call`.
        """
        return self._ssh.request(self._start(), function, list(arguments), limits)

    def close(self) -> None:
        """See `Device.close`."""
        self._ssh.stop()
        self._lock.release()

    def _start(self) -> str:
        """The command that answers requests there, with this version of the package."""
        if self._command is None:
            python = preparing.read_marker(self._ssh).get("python")
            if python is None:
                raise DeviceError("not prepared", hint=f"edgewise devices prepare {self.name}")
            folder = preparing.put_package(self._ssh, python)
            code = "from edgewise.devices.ssh import remote; remote.serve()"
            self._command = f"PYTHONPATH=$HOME/{folder} {shlex.quote(python)} -P -c '{code}'"
            self._home = self._ssh.run("echo $HOME").strip()
        return self._command

    def _room_for(self, file: Path, size: int) -> None:
        said = self._ssh.run("df -Pk . | tail -1").split()
        if len(said) > 3 and said[3].isdigit() and int(said[3]) * 1024 < size:
            raise DeviceError(
                f"no room on the board for {file.name}: {size} bytes, {int(said[3]) * 1024} free"
            )
