"""Measure every model of a plan on every target, a fresh process at a time, interleaved."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from edgewise.archive import File
from edgewise.bench import assemble, imported, metering, sources
from edgewise.bench.plan import Plan, Settings
from edgewise.bench.sources import ModelFile
from edgewise.devices import registry
from edgewise.devices.adb.device import Phone
from edgewise.devices.contract import Device
from edgewise.devices.job import Job, Purpose, Report
from edgewise.errors import DeviceError, DeviceGone, EdgewiseError, WorkerFailed
from edgewise.formats.candidates import is_readable, model_files
from edgewise.records import Context, DeviceState, Energy, Measurement, Target
from edgewise.runtimes import registry as runtimes
from edgewise.sandbox import Limits

#: Runtime and delegate in the target of a failure that came before any target was tried.
NOT_TRIED = "none"

OnResult = Callable[[Measurement], None]


class OnProgress(Protocol):
    """Called before every process: how many there are in all, and which model comes next."""

    def __call__(self, total: int, next_model: str) -> None: ...


@dataclass(slots=True)
class _Case:
    """One model on one target, and what its processes reported so far."""

    device: Device
    model: ModelFile
    target: Target
    context: Context
    rounds: int
    before: DeviceState | None = None
    reports: list[Report] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    energies: list[Energy] = field(default_factory=list)
    spent_s: float = 0.0
    timed: int = 0
    failed: str | None = None
    ended: bool = False


@dataclass(frozen=True, slots=True)
class _Round:
    purpose: Purpose
    evicted: bool = False


@dataclass(frozen=True, slots=True)
class Outline:
    """What is to come: targets (of all models), processes, and how long that takes, in s.

    At least as long as the runs that were asked for take, at most as long as they may.
    """

    targets: int
    processes: int
    least_s: float
    most_s: float


#: What a process needs beside its runs: its start, the runtime's import, loading and warm-up.
_PROCESS_S = 0.6


def _outline(cases: list[_Case], settings: Settings) -> Outline:
    energy_s = 3 * settings.energy_s * (settings.energy_processes if settings.meter else 0)
    energy_s += settings.sustained_s or 0.0
    places: dict[str, list[float]] = {}
    for case in cases:
        least, most = places.setdefault(case.device.place, [0.0, 0.0])
        others = case.rounds * _PROCESS_S + energy_s
        timed = min(settings.processes * settings.min_time_s, settings.max_time_s)
        places[case.device.place] = [
            least + others + timed,
            most + others + max(settings.max_time_s, timed),
        ]
    return Outline(
        targets=len(cases),
        processes=sum(case.rounds for case in cases),
        least_s=max((least for least, _ in places.values()), default=0.0),
        most_s=max((most for _, most in places.values()), default=0.0),
    )


def measure(
    plan: Plan,
    *,
    on_result: OnResult | None = None,
    progress: OnProgress | None = None,
    on_start: Callable[[Outline], None] | None = None,
) -> list[Measurement]:
    """Measure; one record per model × target: first what no target was tried for, then by plan.

    What crashes, hangs or is refused is a record with status "failed" and the reason. `on_result`
    gets every record as soon as it is complete. On Ctrl-C it gets those of which at least one
    process timed runs, with a note that says how many of how many. `on_start` gets what is to come
    before the first process starts.
    """
    done: dict[tuple[str, Target], Measurement] = {}
    one_at_a_time = threading.Lock()

    def finished(record: Measurement) -> None:
        with one_at_a_time:
            done[record.model, record.target] = record
            if on_result is not None:
                on_result(record)

    with ExitStack() as until_end:
        cases, failures = _cases(plan, until_end)
        for record in failures:
            finished(record)
        if on_start is not None:
            on_start(_outline(cases, plan.settings))
        try:
            _run_places(cases, plan, finished, progress)
        except KeyboardInterrupt:
            for case in cases:
                if case.timed and (case.model.path, case.target) not in done:
                    finished(_interrupted(case, plan.settings))
            raise
    order = [(case.model.path, case.target) for case in cases]
    return [*failures, *(done[key] for key in order)]


def _cases(plan: Plan, until_end: ExitStack) -> tuple[list[_Case], list[Measurement]]:
    """What can be tried, and what fails before a process is started."""
    cases: list[_Case] = []
    failures: list[Measurement] = []
    found = _found(plan, until_end)
    for name in plan.devices:
        for device, context in _opened(name, plan, until_end):
            if isinstance(context, str):
                failures += [
                    _nothing(path, None, device if isinstance(device, str) else device.name, plan,
                             context, Context())
                    for path in plan.paths
                ]  # fmt: skip
                continue
            assert not isinstance(device, str)
            try:
                affinities = plan.affinities(device.describe().facts if plan.cpus else None)
            except DeviceError as error:
                failures += [
                    _nothing(path, None, device.name, plan, str(error), context)
                    for path in plan.paths
                ]
                continue
            for path, files in found.items():
                if isinstance(files, str):
                    failures.append(_nothing(path, None, device.name, plan, files, context))
                    continue
                for file in files:
                    more, failed = _cases_of(file, plan, device, context, affinities)
                    cases += more
                    failures += failed
    return cases, failures


def _opened(
    name: str, plan: Plan, until_end: ExitStack
) -> Iterator[tuple[Device | str, Context | str]]:
    """The devices that a name means, each with its context, or why it cannot be measured on."""
    try:
        devices = registry.find(name, plan.options)
    except DeviceError as error:
        yield name, str(error).removeprefix(f"{name}: ")
        return
    for device in devices:
        until_end.callback(device.close)
        try:
            yield device, device.context(affinity=plan.affinity)
        except DeviceError as error:
            yield device, str(error).removeprefix(f"{device.name}: ")


def _found(plan: Plan, until_end: ExitStack) -> dict[str, list[ModelFile | _Unfit] | str]:
    """The model files of every path, or why there is none."""
    found: dict[str, list[ModelFile | _Unfit] | str] = {}
    for path in plan.paths:
        try:
            files = [_localised(file, until_end) for file in model_files(path, is_readable)]
        except EdgewiseError as error:
            found[path] = _without(path, error)
            continue
        found[path] = files or "no file in this folder is of a format that can be run"
    return found


@dataclass(frozen=True, slots=True)
class _Unfit:
    """A file that no device can be asked about."""

    path: str
    reason: str


def _localised(file: File, until_end: ExitStack) -> ModelFile | _Unfit:
    try:
        return sources.localise(file, until_end)
    except EdgewiseError as error:
        return _Unfit(file.path, _without(file.path, error))


def _cases_of(
    model: ModelFile | _Unfit,
    plan: Plan,
    device: Device,
    context: Context,
    affinities: tuple[tuple[int, ...] | None, ...],
) -> tuple[list[_Case], list[Measurement]]:
    """One file on all targets of a device, or why there is none."""
    if isinstance(model, _Unfit):
        return [], [_nothing(model.path, None, device.name, plan, model.reason, context)]
    targets = plan.targets(model.format, device.name, device.offers, affinities)
    if not targets:
        reason = f"{' and '.join(plan.runtimes)} cannot run {model.format} files"
        return [], [_nothing(model.path, model.sha256, device.name, plan, reason, context)]
    rounds = len(_rounds(plan.settings, device))
    targets = tuple(each for each in targets if (model.sha256, each) not in plan.done)
    return [_Case(device, model, target, context, rounds) for target in targets], []


def _without(path: str, error: EdgewiseError) -> str:
    """What went wrong, without the path: the record has it."""
    return str(error).removeprefix(f"{path}: ")


def _nothing(
    path: str, sha256: str | None, device: str, plan: Plan, reason: str, context: Context
) -> Measurement:
    """A failure before any target was tried."""
    target = Target(
        device=device, runtime=NOT_TRIED, delegate=NOT_TRIED, threads=plan.threads[0],
        batch=plan.batches[0], affinity=plan.affinity,
    )  # fmt: skip
    return assemble.failure(path, sha256, target, reason, context)


def _rounds(settings: Settings, device: Device) -> list[_Round]:
    """What each case's processes are for: timed ones first, then load and first inference; of
    these what the device can do."""
    timed = [_Round("timed")] * settings.processes
    warm = [_Round("load")] * max(0, settings.load_processes - settings.processes)
    evicted = [_Round("load", evicted=True)] * settings.evicted_processes
    profile = [_Round("profile")] if settings.profile and "profile" in device.phases else []
    metered = settings.meter is not None and not metering.is_model(settings.meter)
    long = [_Round("sustained")] if settings.sustained_s is not None else []
    energy = [_Round("energy")] * settings.energy_processes if metered else []
    return [
        *timed,
        *_alternate(
            warm if "load" in device.phases else [], evicted if "evicted" in device.phases else []
        ),
        *profile,
        *(energy if "energy" in device.phases else []),
        *(long if "sustained" in device.phases else []),
    ]


def _alternate(a: list[_Round], b: list[_Round]) -> Iterator[_Round]:
    for index in range(max(len(a), len(b))):
        yield from a[index : index + 1]
        yield from b[index : index + 1]


def _run_places(
    cases: list[_Case], plan: Plan, finished: OnResult, progress: OnProgress | None
) -> None:
    """Places beside one another, the cases of each one after the other."""
    places: dict[str, list[_Case]] = {}
    for case in cases:
        places.setdefault(case.device.place, []).append(case)
    count = sum(case.rounds for case in cases)
    stop = threading.Event()

    def step(next_model: str) -> None:
        if stop.is_set():
            raise _Stopped
        if progress is not None:
            progress(count, next_model)

    if len(places) < 2:
        for each in places.values():
            _run_all(each, plan, finished, step, stop)
        return
    with ThreadPoolExecutor(len(places)) as pool:
        running = [
            pool.submit(_run_all, each, plan, finished, step, stop) for each in places.values()
        ]
        try:
            for one in as_completed(running):
                one.result()
        except BaseException:
            stop.set()
            for each in places.values():
                for device in {id(case.device): case.device for case in each}.values():
                    device.close()
            raise


class _Stopped(Exception):
    """Another place's failure or Ctrl-C ends this one too."""


def _run_all(
    cases: list[_Case],
    plan: Plan,
    finished: OnResult,
    step: Callable[[str], None],
    stop: threading.Event,
) -> None:
    """Round by round, each in another order, so that no case always follows the same one."""
    shuffle = random.Random(plan.settings.seed)
    for number in range(max(case.rounds for case in cases)):
        order = [case for case in cases if number < case.rounds]
        shuffle.shuffle(order)
        for case in order:
            step(case.model.path)
            if case.failed is None:
                each = _rounds(plan.settings, case.device)[number]
                gone = _run_one(case, each, plan)
                if stop.is_set():
                    case.failed = None  # whatever it was: its device was told to stop
                    raise _Stopped
                if case.failed is not None or number == case.rounds - 1:
                    case.ended = True
                    finished(_complete(case, plan.settings))
                if gone is not None:
                    _give_up(case.device, gone, cases, finished, plan.settings)


def _give_up(
    device: Device, reason: str, cases: list[_Case], finished: OnResult, settings: Settings
) -> None:
    """Nothing more is tried on a device that went away and did not come back."""
    for case in cases:
        if case.device is device and not case.ended:
            case.ended, case.failed = True, reason
            finished(_complete(case, settings))


def _run_one(case: _Case, each: _Round, plan: Plan) -> str | None:
    """One process of one case; a reason where the device is gone for good."""
    settings = plan.settings
    share_s = (settings.max_time_s - case.spent_s) / max(1, settings.processes - case.timed)
    if each.purpose == "timed" and share_s <= 0:
        return None
    needs_s = {
        "timed": share_s,
        "energy": 3 * settings.energy_s,
        "sustained": settings.sustained_s or 0.0,
    }
    limits = Limits(
        seconds=settings.timeout_s + needs_s.get(each.purpose, 0.0) + _import_s(case),
        memory_bytes=settings.memory_bytes or case.context.memory_bytes,
        words=f"{settings.timeout_s:g} s, beyond the time of its runs",
    )
    try:
        if case.before is None:
            case.before = case.device.state()
        job = _job(case, each, plan, share_s)
        if each.purpose == "energy":
            report = _metered(case, job, limits, settings)
        else:
            report = case.device.measure(job, limits)
    except WorkerFailed as error:
        case.failed = _which(case, error.message)
    except EdgewiseError as error:
        case.failed = _which(case, str(error))
        return str(error) if isinstance(error, DeviceGone) else None
    else:
        _take(case, each, report)
    return None


def _import_s(case: _Case) -> float:
    """What a runtime's import may take, where it is this package's own."""
    return runtimes.import_s(case.target.runtime) if case.device.offers is None else 0.0


def _metered(case: _Case, job: Job, limits: Limits, settings: Settings) -> Report:
    """One process beside a running meter."""
    assert settings.meter is not None
    if isinstance(case.device, Phone):
        energy, report = metering.on_phone(case.device, job, limits, settings.meter)
        case.energies.append(energy)
        return report
    with metering.running(settings.meter, settings.meter_root) as meter:
        report = case.device.measure(job, limits)
    case.energies.append(metering.of_process(meter.samples(), report))
    return report


def _job(case: _Case, each: _Round, plan: Plan, share_s: float) -> Job:
    settings = plan.settings
    model, put = case.model, case.device.put
    path = put(model.local, model.sha256)
    return Job(
        path=path,
        files=(path, *(put(e, sources.sha256_of(e), beside=path) for e in model.companions)),
        target=case.target,
        purpose=each.purpose,
        evicted=each.evicted,
        shapes=dict(plan.shapes),
        input_path=None if plan.input_path is None else str(plan.input_path),
        seed=settings.seed,
        runs=settings.runs,
        min_time_s=settings.min_time_s,
        max_time_s=share_s,
        warmup_runs=settings.warmup_runs,
        rate_hz=settings.rate_hz,
        phase_s=(settings.sustained_s or 0.0) if each.purpose == "sustained" else settings.energy_s,
    )


def _take(case: _Case, each: _Round, report: Report) -> None:
    """Keep a report. A file that did not leave the page cache tells nothing about eviction."""
    if each.purpose == "timed":
        case.timed += 1
        case.spent_s += report.spent_s
    if each.purpose == "profile" and report.layer_times is None:
        case.notes.append(f"{case.target.runtime} offers no times per layer")
    if each.evicted and not report.evicted:
        case.notes.append("no load with an evicted file: the page cache could not be emptied of it")
    elif each.purpose != "profile" or report.layer_times is not None:
        case.reports.append(report)


def _which(case: _Case, reason: str) -> str:
    """A failure that not every process had says so."""
    if not case.reports:
        return reason
    return f"process {len(case.reports) + 1} of {case.rounds}: {reason}"


def _complete(case: _Case, settings: Settings) -> Measurement:
    """The record of a case whose processes have all run, or which failed."""
    if case.failed is not None:
        failed = assemble.failure(
            case.model.path, case.model.sha256, case.target, case.failed, case.context
        )
        return msgspec.structs.replace(failed, state_before=case.before)
    versions = case.context.versions | case.reports[0].versions
    put_together = imported.from_processes if case.reports[0].reported else assemble.measurement
    found = put_together(
        case.model.path,
        case.model.sha256,
        case.target,
        msgspec.structs.replace(case.context, versions=versions),
        case.reports,
        [*case.notes, *_energy_notes(case, settings)],
    )
    return msgspec.structs.replace(
        found,
        energy=_energy(case, settings, found) or found.energy,
        rate_hz=settings.rate_hz,
        state_before=case.before,
        state_after=_state_now(case.device),
    )


def _state_now(device: Device) -> DeviceState | None:
    """A device that does not answer any more has been measured on all the same."""
    try:
        return device.state()
    except DeviceError:
        return None


def _interrupted(case: _Case, settings: Settings) -> Measurement:
    case.notes.append(f"interrupted: {case.timed} of {settings.processes} processes")
    return _complete(case, settings)


def _energy(case: _Case, settings: Settings, found: Measurement) -> Energy | None:
    if settings.meter is not None and metering.is_model(settings.meter):
        return metering.modelled(settings.meter, found)
    return metering.together(case.energies)


def _energy_notes(case: _Case, settings: Settings) -> list[str]:
    """Why there are no joules."""
    if case.energies:
        return [f"no energy: {reason}" for reason in metering.reasons(case.energies)]
    if settings.meter is not None and metering.is_model(settings.meter):
        return []
    if settings.meter is not None:
        return [f"no energy: {settings.meter} cannot be read beside a {case.device.kind} device"]
    try:
        found = case.device.describe().meters
    except DeviceError:
        return ["no energy: the device does not answer any more"]
    if not found:
        return [f"no energy: no meter on this {case.device.kind}"]
    names = ", ".join(dict.fromkeys(each.partition(":")[0] for each in found))
    return [f"no energy: not asked for (--meter {names})"]
