"""Measure every model of a plan on every target, a fresh process at a time, interleaved."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Protocol

import msgspec

from edgewise import sandbox
from edgewise.archive import File
from edgewise.bench import assemble, sources, worker
from edgewise.bench.job import Job, Purpose, Report
from edgewise.bench.plan import Plan, Settings
from edgewise.bench.sources import ModelFile
from edgewise.devices import host
from edgewise.errors import EdgewiseError, WorkerFailed
from edgewise.formats.candidates import is_readable, model_files
from edgewise.records import Context, Measurement, Target
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

    model: ModelFile
    target: Target
    context: Context
    rounds: int
    reports: list[Report] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    spent_s: float = 0.0
    timed: int = 0
    failed: str | None = None


@dataclass(frozen=True, slots=True)
class _Round:
    purpose: Purpose
    evicted: bool = False


def measure(
    plan: Plan, *, on_result: OnResult | None = None, progress: OnProgress | None = None
) -> list[Measurement]:
    """Measure; one record per model × target: first what no target was tried for, then by plan.

    What crashes, hangs or is refused is a record with status "failed" and the reason. `on_result`
    gets every record as soon as it is complete. On Ctrl-C it gets those of which at least one
    process timed runs, with a note that says how many of how many.
    """
    done: dict[tuple[str, Target], Measurement] = {}

    def finished(record: Measurement) -> None:
        done[record.model, record.target] = record
        if on_result is not None:
            on_result(record)

    with ExitStack() as until_end:
        cases, failures = _cases(plan, until_end)
        for record in failures:
            finished(record)
        try:
            _run_all(cases, plan, finished, progress)
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
    context = host.describe_context(affinity=plan.affinity)
    for path in plan.paths:
        found = 0
        try:
            for file in model_files(path, is_readable):
                found += 1
                more, failed = _cases_of(file, plan, context, until_end)
                cases += more
                failures += failed
        except EdgewiseError as error:
            failures.append(_nothing(path, None, plan, _without(path, error), context))
            continue
        if not found:
            reason = "no file in this folder is of a format that can be run"
            failures.append(_nothing(path, None, plan, reason, context))
    return cases, failures


def _cases_of(
    file: File, plan: Plan, context: Context, until_end: ExitStack
) -> tuple[list[_Case], list[Measurement]]:
    """One file on all its targets, or why there is none."""
    try:
        model = sources.localise(file, until_end)
    except EdgewiseError as error:
        return [], [_nothing(file.path, None, plan, _without(file.path, error), context)]
    targets = plan.targets(model.format)
    if not targets:
        reason = f"{' and '.join(plan.runtimes)} cannot run {model.format} files"
        return [], [_nothing(model.path, model.sha256, plan, reason, context)]
    rounds = len(_rounds(plan.settings))
    return [_Case(model, target, context, rounds) for target in targets], []


def _without(path: str, error: EdgewiseError) -> str:
    """What went wrong, without the path: the record has it."""
    return str(error).removeprefix(f"{path}: ")


def _nothing(
    path: str, sha256: str | None, plan: Plan, reason: str, context: Context
) -> Measurement:
    """A failure before any target was tried."""
    target = Target(
        device=host.NAME, runtime=NOT_TRIED, delegate=NOT_TRIED, threads=plan.threads[0],
        batch=plan.batches[0], affinity=plan.affinity,
    )  # fmt: skip
    return assemble.failure(path, sha256, target, reason, context)


def _rounds(settings: Settings) -> list[_Round]:
    """What each case's processes are for: timed ones first, then load and first inference."""
    timed = [_Round("timed")] * settings.processes
    warm = [_Round("load")] * max(0, settings.load_processes - settings.processes)
    evicted = [_Round("load", evicted=True)] * settings.evicted_processes
    profile = [_Round("profile")] if settings.profile else []
    return [*timed, *_alternate(warm, evicted), *profile]


def _alternate(a: list[_Round], b: list[_Round]) -> Iterator[_Round]:
    for index in range(max(len(a), len(b))):
        yield from a[index : index + 1]
        yield from b[index : index + 1]


def _run_all(
    cases: list[_Case], plan: Plan, finished: OnResult, progress: OnProgress | None
) -> None:
    """Round by round, each in another order, so that no case always follows the same one."""
    shuffle = random.Random(plan.settings.seed)
    rounds = _rounds(plan.settings)
    for number, each in enumerate(rounds):
        order = list(cases)
        shuffle.shuffle(order)
        for case in order:
            if progress is not None:
                progress(len(rounds) * len(cases), case.model.path)
            if case.failed is None:
                _run_one(case, each, plan)
                if case.failed is not None or number == len(rounds) - 1:
                    finished(_complete(case))


def _run_one(case: _Case, each: _Round, plan: Plan) -> None:
    """One process of one case."""
    settings = plan.settings
    share_s = (settings.max_time_s - case.spent_s) / max(1, settings.processes - case.timed)
    if each.purpose == "timed" and share_s <= 0:
        return
    job = _job(case, each, plan, share_s)
    limits = Limits(
        seconds=settings.timeout_s + (share_s if each.purpose == "timed" else 0.0),
        memory_bytes=settings.memory_bytes or case.context.memory_bytes,
    )
    try:
        answer = sandbox.call(worker.FUNCTION, job, limits=limits)
    except WorkerFailed as error:
        case.failed = _which(case, error.message)
        return
    except EdgewiseError as error:
        case.failed = _which(case, str(error))
        return
    if answer.farewell is not None:
        # Its heap was broken before: whether a process gets as far as an answer is then chance.
        case.failed = _which(case, f"{answer.farewell} when it released the model")
        return
    _take(case, each, msgspec.convert(answer.value, Report))


def _job(case: _Case, each: _Round, plan: Plan, share_s: float) -> Job:
    settings = plan.settings
    return Job(
        path=str(case.model.local),
        files=tuple(str(file) for file in (case.model.local, *case.model.companions)),
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


def _complete(case: _Case) -> Measurement:
    """The record of a case whose processes have all run, or which failed."""
    if case.failed is not None:
        return assemble.failure(
            case.model.path, case.model.sha256, case.target, case.failed, case.context
        )
    versions = case.context.versions | case.reports[0].versions
    return assemble.measurement(
        case.model.path,
        case.model.sha256,
        case.target,
        msgspec.structs.replace(case.context, versions=versions),
        case.reports,
        [*case.notes, *_energy_note()],
    )


def _interrupted(case: _Case, settings: Settings) -> Measurement:
    case.notes.append(f"interrupted: {case.timed} of {settings.processes} processes")
    return _complete(case)


def _energy_note() -> list[str]:
    found = host.meters()
    if not found:
        return ["no energy: no meter on this host"]
    return [f"no energy: nothing reads {', '.join(found)} yet"]
