"""An Android phone as a device: `adb:SERIAL`, or `adb:*` for all that are there."""

from __future__ import annotations

import contextlib
import hashlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from edgewise import records
from edgewise.devices.adb import (
    binaries,
    facts,
    hub,
    measuring,
    program,
    recording,
    state,
    states,
    usb,
)
from edgewise.devices.adb.client import Adb, listed, settled, start_server
from edgewise.devices.adb.files import Files
from edgewise.devices.adb.recording import PhoneFiles, Recorded
from edgewise.devices.adb.screen import Screen
from edgewise.devices.contract import Device, Offer, Options
from edgewise.devices.job import Job, Report
from edgewise.devices.lock import Lock
from edgewise.errors import DeviceError, RuntimeRefused, UsageError
from edgewise.records import Context, DeviceState, LayerTime, Reported
from edgewise.sandbox import Limits

NAME = "adb"
SYNTAX = "adb:SERIAL, adb:*"
_RUNTIME = "litert"
RUNTIMES: tuple[str, ...] | None = (_RUNTIME,)
_COOLING_POLL_S = 5.0


def open(name: str, options: Options) -> Sequence[Device]:
    """See `Kind.open`. A phone that is listed and cannot be measured on is opened too: it says why
    when it is asked."""
    serial = name.partition(":")[2]
    if not serial:
        raise UsageError(f"unknown device '{name}'", hint=f"like {SYNTAX}")
    found = listed()
    if serial == "*":
        if not found:
            raise DeviceError(f"no phone: {states.sentence('absent')}")
        return [Phone(each, options) for each in found]
    return [Phone(serial, options)]


def present() -> Sequence[records.Device]:
    """See `Kind.present`. A server of adb is only started where a phone is on USB."""
    if not usb.worth_asking():
        return []
    try:
        serials = listed()
    except DeviceError:
        return []
    return [_described(serial) for serial in serials]


def _described(serial: str) -> records.Device:
    try:
        return Phone(serial, Options()).describe()
    except DeviceError as error:
        return records.Device(
            name=f"{NAME}:{serial}", kind="android", description=str(error), available=False,
            notes=(str(error),),
        )  # fmt: skip


def prepare(name: str, options: Options) -> Iterator[str]:
    """See `Kind.prepare`: `benchmark_model` for every phone that is there, into the cache. With
    `adb:ABI` for that ABI."""
    asked = name.partition(":")[2]
    if asked and asked != "*":
        abis = {asked}
    else:
        abis = {abi for each in listed() if (abi := Phone(each, Options()).abi()) is not None}
        if not abis:
            raise DeviceError("no phone to prepare for", hint="or name an ABI: adb:arm64-v8a")
    for abi in sorted(abis):
        file, sha256 = binaries.fetch(abi, options.url)
        yield f"benchmark_model for {abi}: {file}, sha256 {sha256}"


def check_affinity(name: str, affinity: tuple[int, ...]) -> None:
    """See `Kind.check_affinity`: a phone tells its CPUs only when it is asked."""


@dataclass(frozen=True, slots=True)
class _Tool:
    path: str
    which: program.Program
    sha256: str


class Phone:
    """One phone. See `Device`."""

    kind = "android"
    offers: tuple[Offer, ...] | None = (
        Offer(_RUNTIME, ("tflite",), program.ALL_DELEGATES, "xnnpack"),
    )
    phases = frozenset({"profile", "energy"})

    def __init__(self, serial: str, options: Options) -> None:
        self.name = self.place = f"{NAME}:{serial}"
        self._serial, self._options = serial, options
        self._adb = Adb(serial, reconnect_s=options.reconnect_s)
        self._lock, self._files = Lock(serial), Files(self._adb)
        self._screen = Screen(self._adb)
        self._read: facts.Read | None = None
        self._tool: _Tool | None = None
        self._port = None if options.hub is None else hub.parse(options.hub)
        self._ran = False
        self._under_way: measuring.Run | None = None

    def describe(self) -> records.Device:
        """See `Device.describe`."""
        read = self._facts()
        known = read.facts
        words = (known.maker, known.model, known.soc, f"Android {known.android}", known.abi)
        return records.Device(
            name=self.name,
            kind=self.kind,
            description=", ".join(each for each in words if each),
            runtimes=(self._runtime(),),
            meters=("battery",) if known.current_unit else (),
            facts=known,
            context=self._context(read, None),
            notes=tuple(f"{name}: {why}" for name, why in known.reasons.items()),
        )

    def abi(self) -> str | None:
        """What its programs are built for.

        Raises:
            DeviceError: it does not answer.
        """
        return self._facts().facts.abi

    def context(self, *, affinity: tuple[int, ...] | None = None) -> Context:
        """See `Device.context`. From here on the phone is this run's alone."""
        self._lock.take()
        read = self._facts()
        self._screen.prepare(self._options.screen)
        return self._context(read, affinity)

    def state(self) -> DeviceState:
        """See `Device.state`."""
        return state.read(self._adb)

    def put(self, file: Path, sha256: str, *, beside: str | None = None) -> str:
        """See `Device.put`. TFLite's files have no companions: nothing lies beside another."""
        return self._files.put(file, sha256)

    def files(self) -> PhoneFiles:
        """The phone's files, for meters to find theirs in."""
        return PhoneFiles(self._adb)

    def recorded(
        self, job: Job, limits: Limits, paths: Sequence[str], rate_hz: float
    ) -> tuple[Report, Recorded]:
        """As `measure`, while the phone records these files; it idles before and after.

        Raises:
            EdgewiseError: as `measure`.
        """
        report = self.measure(job, limits, paths=tuple(paths), every_s=max(1 / rate_hz, 0.25))
        return report, recording.collect(self._adb)

    def measure(
        self, job: Job, limits: Limits, *, paths: tuple[str, ...] = (), every_s: float = 0.5
    ) -> Report:
        """See `Device.measure`."""
        read = self._facts()
        if job.target.affinity and not read.has_taskset:
            raise RuntimeRefused("affinity: this phone has no taskset")
        tool = self._binary()
        words = (tool.path, *program.flags(tool.which, job, job.path))
        cooling = self._cool_down()
        before = self.state()
        idle_s = job.phase_s if paths else 0.0
        expected_s = 3 * idle_s if paths else job.min_time_s
        run = measuring.Run(
            words, job.target.affinity, limits.seconds, 5 + 1.2 * expected_s, paths, idle_s, every_s
        )
        begun = time.monotonic()
        self._under_way = run
        try:
            if self._options.detached:
                done = measuring.detached(self._adb, run, self._port)
            else:
                done = measuring.attached(self._adb, run)
        except DeviceError:
            self._under_way = None
            self._files.forget()
            if paths:
                with contextlib.suppress(DeviceError):
                    recording.stop(self._adb)
            raise
        spent_s = time.monotonic() - begun
        self._under_way = None
        notes = [*self._screen.notes, *cooling, *before.notes, *_of_the_shell(tool)]
        if job.target.affinity:
            note = measuring.pinned_as_asked(done, job.target.affinity, read.online)
            notes += [note] if note else []
        said = measuring.reported(self._adb, done, before.memory_available_bytes)
        _as_asked(said, job, tool.which)
        report = _report(said, tool, spent_s, notes)
        if not paths:
            return report
        return _with_moments(report, said, recording.moments(done.output), job.rate_hz)

    def close(self) -> None:
        """See `Device.close`."""
        if self._under_way is not None:  # interrupted: a detached run would go on
            measuring.end_run(self._adb, self._under_way)
            with contextlib.suppress(DeviceError):
                recording.stop(self._adb)
            self._under_way = None
        self._screen.restore()
        self._adb.stop()
        self._lock.release()

    def _facts(self) -> facts.Read:
        if self._read is None:
            start_server()
            why = states.sentence(settled(self._serial))
            if why is not None and ":" in self._serial:
                self._adb.connect()
                why = states.sentence(settled(self._serial))
            if why is not None:
                raise DeviceError(why)
            self._read = facts.read(self._adb)
        return self._read

    def _context(self, read: facts.Read, affinity: tuple[int, ...] | None) -> Context:
        known = read.facts
        now = self.state()
        mhz = next((each / 1e3 for each in now.frequencies_khz if each), None)
        return Context(
            cpu_model=known.soc,
            architecture=known.abi,
            cores=known.cores,
            affinity=affinity,
            governor=read.governor,
            frequency_mhz=mhz,
            load_average=now.load_average,
            temperature_c=now.temperature_c,
            memory_bytes=None if known.memory_kb is None else known.memory_kb * 1024,
            os=f"Android {known.android}" if known.android else None,
            kernel=read.kernel,
            container="none",
            versions={"fingerprint": read.properties.get("ro.build.fingerprint", "unknown")},
            started_at=now.at,
        )

    def _runtime(self) -> records.RuntimeInfo:
        version = None if self._options.binary is None else self._options.binary.name
        return records.RuntimeInfo(
            name=_RUNTIME, version=version, delegates=program.ALL_DELEGATES, formats=("tflite",)
        )

    def _binary(self) -> _Tool:
        """The tool there: the user's, the cached one for this ABI, or one that lies there."""
        if self._tool is None:
            abi = self._facts().facts.abi
            file = self._options.binary or binaries.cached(abi)
            if file is not None:
                content = binaries.read(file, abi)
                sha256 = hashlib.sha256(content).hexdigest()
                path = self._files.put(file, sha256, executable=True)
                self._tool = _Tool(path, program.which(content), sha256)
            else:
                self._tool = self._lying_there(abi)
        elif self._tool.path not in self._files.there and self._options.binary is not None:
            self._files.put(self._options.binary, self._tool.sha256, executable=True)
        return self._tool

    def _lying_there(self, abi: str | None) -> _Tool:
        for path in binaries.ON_THE_PHONE:
            if self._adb.shell(f"test -x {path}").status == 0:
                signs = "|".join(sign.decode() for sign in program.LITERT2_SIGNS)
                newer = self._adb.shell(f"grep -qE '{signs}' {path}").status == 0
                found = re.search(r"[0-9a-f]{64}", self._adb.shell(f"sha256sum {path}").output)
                sha256 = found[0] if found else "unknown"
                return _Tool(path, "litert2" if newer else "tflite", sha256)
        raise RuntimeRefused(
            f"no benchmark_model for {abi}", hint="give one by --binary, or 'devices prepare adb'"
        )

    def _cool_down(self) -> list[str]:
        """Wait between processes, and until it is cool enough."""
        if self._ran and self._options.pause_s:
            time.sleep(self._options.pause_s)
        self._ran = True
        limit = self._options.cool_to_c
        if limit is None:
            return []
        end = time.monotonic() + self._options.cool_wait_s
        while True:
            now = self.state()
            if now.temperature_c is None:
                return ["no cool-down: the phone tells no temperature"]
            if now.temperature_c <= limit:
                return []
            left = end - time.monotonic()
            if left <= 0:
                return [
                    f"not cooled down: {now.temperature_c:g} °C ({now.temperature_of}) after "
                    f"{self._options.cool_wait_s:g} s, wanted {limit:g}"
                ]
            time.sleep(min(_COOLING_POLL_S, left))


def _of_the_shell(tool: _Tool) -> list[str]:
    notes = ["no raw samples: benchmark_model gives only a summary of each process"]
    notes.append("run by the shell, not by an app: a GPU may be faster or slower in an app")
    notes.append(f"{program.NAMES[tool.which]} benchmark_model, sha256 {tool.sha256[:16]}")
    return notes


def _as_asked(said: Reported, job: Job, which: program.Program) -> None:
    """What the tool says it used against what was asked for.

    Raises:
        RuntimeRefused: a setting had no effect.
    """
    target = job.target
    if said.threads is not None and target.threads is not None and said.threads != target.threads:
        raise RuntimeRefused(
            f"asked for {target.threads} threads, and the tool says that it used {said.threads}"
        )
    asked = target.delegate.partition("=")[0]
    if which == "tflite" and asked not in ("xnnpack", "none") and said.delegate != asked:
        raise RuntimeRefused(
            f"nothing that the tool says shows that it applied the {asked} delegate"
            + (f"; it says {said.delegate}" if said.delegate else "")
        )
    if said.delegated == "none":
        raise RuntimeRefused(f"the {asked} delegate took none of the operators")


def _with_moments(report: Report, said: Reported, at: list[float], rate_hz: float | None) -> Report:
    """When it idled and when the timed runs were: they end when the tool does.

    Raises:
        RuntimeRefused: the phone's clock did not say.
    """
    if len(at) != 4 or said.n is None or said.mean_ms is None:
        raise RuntimeRefused("no energy: the phone's clock or the tool does not say what ran when")
    each_s = max(said.mean_ms / 1e3, 1 / rate_hz if rate_hz else 0.0)
    active_s = said.n * each_s
    begun_s = max(at[1], at[2] - active_s)
    moments = [at[0], begun_s, at[2], at[3]]
    return msgspec.structs.replace(report, moments_s=moments, inferences=said.n)


def _report(said: Reported, tool: _Tool, spent_s: float, notes: list[str]) -> Report:
    layers = said.layers or ()
    total = sum(each.mean_ms for each in layers) or 1.0
    return Report(
        versions={"benchmark_model": f"{tool.which} sha256:{tool.sha256}"},
        load_ns=round((said.init_ms or 0.0) * 1e6),
        first_ns=round((said.first_ms or 0.0) * 1e6),
        evicted=False,
        spent_s=spent_s,
        reported=said,
        layer_times=tuple(
            LayerTime(name=e.name, op=e.op, mean_ms=e.mean_ms, share=e.mean_ms / total)
            for e in layers
        )
        or None,
        notes=notes,
    )
