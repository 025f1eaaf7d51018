"""Measure every model of a plan on every target, a fresh process at a time, interleaved."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from typing import Protocol

import msgspec

from edgewise.bench import assemble, imported, metering, sources
from edgewise.bench.cases import Case, Outline, Round, cases_of, outline, rounds_of
from edgewise.bench.plan import Plan, Settings
from edgewise.devices.adb.device import Phone
from edgewise.devices.contract import Device
from edgewise.devices.job import Job, Report
from edgewise.devices.ssh.board import Board
from edgewise.errors import DeviceError, DeviceGone, EdgewiseError, WorkerFailed
from edgewise.records import DeviceState, Energy, Measurement, Target
from edgewise.runtimes import registry as runtimes
from edgewise.sandbox import Limits

OnResult = Callable[[Measurement], None]


class OnProgress(Protocol):
    """Called before every process: how many there are in all, and which model comes next."""

    def __call__(self, total: int, next_model: str) -> None: ...


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
        cases, failures = cases_of(plan, until_end)
        for record in failures:
            finished(record)
        if on_start is not None:
            on_start(outline(cases, plan.settings))
        try:
            _run_places(cases, plan, finished, progress)
        except KeyboardInterrupt:
            for case in cases:
                if case.timed and (case.model.path, case.target) not in done:
                    finished(_interrupted(case, plan.settings))
            raise
    order = [(case.model.path, case.target) for case in cases]
    return [*failures, *(done[key] for key in order)]


def _run_places(
    cases: list[Case], plan: Plan, finished: OnResult, progress: OnProgress | None
) -> None:
    """Places beside one another, the cases of each one after the other."""
    places: dict[str, list[Case]] = {}
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
    cases: list[Case],
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
                each = rounds_of(plan.settings, case.device)[number]
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
    device: Device, reason: str, cases: list[Case], finished: OnResult, settings: Settings
) -> None:
    """Nothing more is tried on a device that went away and did not come back."""
    for case in cases:
        if case.device is device and not case.ended:
            case.ended, case.failed = True, reason
            finished(_complete(case, settings))


def _run_one(case: Case, each: Round, plan: Plan) -> str | None:
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
        report: Report | None
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
        if report is not None:
            _take(case, each, report)
    return None


def _import_s(case: Case) -> float:
    """What a runtime's import may take, where it is this package's own."""
    return runtimes.import_s(case.target.runtime) if case.device.offers is None else 0.0


def _metered(case: Case, job: Job, limits: Limits, settings: Settings) -> Report | None:
    """One process beside the running meter of its device; None where that has none."""
    assert settings.meter is not None
    if isinstance(case.device, Phone | Board):
        how = metering.on_phone if isinstance(case.device, Phone) else metering.on_board
        energy, there = how(case.device, job, limits, settings.meter)  # type: ignore[arg-type]
        case.energies.append(energy)
        return there
    with metering.running(settings.meter, settings.meter_root) as meter:
        report = case.device.measure(job, limits)
    case.energies.append(metering.of_process(meter.samples(), report))
    return report


def _job(case: Case, each: Round, plan: Plan, share_s: float) -> Job:
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


def _take(case: Case, each: Round, report: Report) -> None:
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


def _which(case: Case, reason: str) -> str:
    """A failure that not every process had says so."""
    if not case.reports:
        return reason
    return f"process {len(case.reports) + 1} of {case.rounds}: {reason}"


def _complete(case: Case, settings: Settings) -> Measurement:
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
        [*case.notes, *_left_out(case, settings), *_energy_notes(case, settings)],
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


def _interrupted(case: Case, settings: Settings) -> Measurement:
    case.notes.append(f"interrupted: {case.timed} of {settings.processes} processes")
    return _complete(case, settings)


def _energy(case: Case, settings: Settings, found: Measurement) -> Energy | None:
    if settings.meter is not None and metering.is_model(settings.meter):
        return metering.modelled(settings.meter, found)
    return metering.together(case.energies)


def _left_out(case: Case, settings: Settings) -> Iterator[str]:
    """What was asked for and this kind of device does not do."""
    kind, phases = case.device.kind, case.device.phases
    if settings.profile and "profile" not in phases:
        yield f"no times per layer: not on a device of the kind {kind}"
    if settings.sustained_s is not None and "sustained" not in phases:
        yield f"no sustained run: not on a device of the kind {kind}"
    if settings.evicted_processes and "evicted" not in phases:
        yield f"no load with an evicted file: not on a device of the kind {kind}"


def _energy_notes(case: Case, settings: Settings) -> list[str]:
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
