"""One way measured: the model on the device, in fresh processes (`process`), phase by phase."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

import msgspec

from edgewise import sandbox
from edgewise.bench.sources import sha256_of
from edgewise.bench.statistics import distribution
from edgewise.devices import contract, local, registry
from edgewise.energy.power import power_here
from edgewise.errors import DeviceError, EdgewiseError, UsageError
from edgewise.placement.decide import summed_device
from edgewise.placement.process import WORK, Answered, Device, Job, Report, packed
from edgewise.placement.slowed import slow_device
from edgewise.placement.subjects import Subject
from edgewise.records import DevicePhases, Distribution

#: Of the fresh processes so many also answer hot.
_HOT_PROCESSES = 5


class OnDevice(NamedTuple):
    """The device's way. `by_question` maps a question to its mean hot total in ms, `chosen` to
    its class."""

    phases: DevicePhases
    distributions: dict[str, Distribution]
    by_question: Mapping[int, float]
    chosen: Mapping[int, int | None]
    notes: tuple[str, ...]


def device(name: str) -> Device:
    """The device of that name.

    Raises:
        UsageError: there is none.
        DeviceError: this machine cannot emulate it.
    """
    several = registry.find(name)
    if len(several) != 1:
        raise UsageError(f"--device {name}: {len(several)} devices; name one")
    (found,) = several
    if isinstance(found, local.Emulated):
        return slow_device(found)
    call = getattr(found, "call", None)
    if call is None:
        raise DeviceError(
            f"{name} cannot answer requests: it runs no Python",
            hint="bench it with --store, then place --profiles STORE --device with its name",
        )
    return Device(found.name, _on(found, call), power=_power(found))


def _power(found: contract.Device) -> str | None:
    """The declared power model of a device, None: there is none."""
    return power_here() if isinstance(found, local.Host) else None


def measure(
    on: Device,
    subject: Subject,
    *,
    requests: int,
    processes: int,
    seconds: float,
    affinity: tuple[int, ...] | None = None,
) -> OnDevice:
    """Load and answer in `processes` fresh processes, `requests` hot answers between them.

    Raises:
        RuntimeRefused, WorkerFailed: the runtime refuses the model or the input, or crashes.
        DeviceError: the device is gone.
    """
    hot_processes = min(processes, _HOT_PROCESSES, requests)
    share = math.ceil(requests / hot_processes)
    questions = tuple(packed(question) for question in subject.questions)
    reports, notes = [], list(on.notes)
    for number in range(processes):
        hot = share if number < hot_processes else 0
        job = Job(
            subject.runnable, subject.files, questions,
            begin=number * share % len(questions), hot=hot, affinity=affinity,
        )  # fmt: skip
        try:
            reports.append(on.run(job, sandbox.Limits(seconds)))
        except EdgewiseError as error:
            if sum(bool(report.hot) for report in reports) == 0:
                raise
            notes.append(f"device: process {number + 1} of {processes}: {error}")
            break
    return _summary(reports, notes)


def _summary(reports: Sequence[Report], notes: Sequence[str]) -> OnDevice:
    """Means and distributions. All that a first answer takes longer than a hot one is loading: at
    least the load itself, where hot answers vary by more than a first one is slower."""
    hot: list[Answered] = [answer for report in reports for answer in report.hot]
    first_ms = fmean(report.load_ms + report.first.total_ms for report in reports)
    total_ms = fmean(answer.total_ms for answer in hot)
    bare_ms = fmean(report.load_ms for report in reports)
    load_ms = max(first_ms - total_ms, bare_ms)
    phases = summed_device(
        DevicePhases(
            load_ms=load_ms,
            preprocess_ms=fmean(answer.preprocess_ms for answer in hot),
            inference_ms=fmean(answer.inference_ms for answer in hot),
            postprocess_ms=fmean(answer.postprocess_ms for answer in hot),
            warmup_ms=load_ms - bare_ms,
        )
    )
    per_process = [report for report in reports if report.hot]
    names = ("preprocess_ms", "inference_ms", "postprocess_ms", "total_ms")
    found = {
        f"on_device.{name}": spread([[getattr(a, name) for a in r.hot] for r in per_process])
        for name in names
    }
    found["on_device.load_ms"] = spread([[report.load_ms] for report in reports])
    found["on_device.first_total_ms"] = spread(
        [[report.load_ms + report.first.total_ms] for report in reports]
    )
    totals: dict[int, list[float]] = {}
    for answer in hot:
        totals.setdefault(answer.question, []).append(answer.total_ms)
    chosen = {answer.question: answer.chosen for answer in hot}
    chosen |= {report.first.question: report.first.chosen for report in reports}
    by_question = {question: fmean(values) for question, values in totals.items()}
    return OnDevice(phases, found, by_question, chosen, tuple(notes))


def spread(processes: Sequence[Sequence[float]]) -> Distribution:
    """A distribution; without an interval where times of 0 have no logarithm."""
    if all(min(each) > 0 for each in processes):
        return distribution(processes)
    return distribution([[value for each in processes for value in each]])


def _on(
    on: contract.Device, call: Callable[..., sandbox.Answer]
) -> Callable[[Job, sandbox.Limits], Report]:
    """How a device that runs functions of this package does a job."""

    def run(job: Job, limits: sandbox.Limits) -> Report:
        answer = call(WORK, _there(job, on), limits=limits)
        if answer.exit_status is not None:
            raise DeviceError(f"the process was {answer.exit_status} when it released the model")
        return msgspec.convert(answer.value, Report)

    return run


def _there(job: Job, on: contract.Device) -> Job:
    """The job with its files where the device has them."""
    model = Path(job.runnable.file)
    first = on.put(model, sha256_of(model))
    files = [
        first if Path(file) == model else on.put(Path(file), sha256_of(Path(file)), beside=first)
        for file in job.files
    ]
    runnable = dataclasses.replace(job.runnable, file=first)
    return msgspec.structs.replace(job, runnable=runnable, files=tuple(files))
