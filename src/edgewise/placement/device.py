"""One way measured: the model on the device, in fresh processes, phase by phase.

A process loads the model once, answers one question (the first answer) and then some more, hot.
The service's own code does it (`serving.hosted`), so that both ways prepare, run and read alike.
"""

from __future__ import annotations

import dataclasses
import gc
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from time import perf_counter_ns
from typing import Any, NamedTuple

import msgspec
import numpy as np

from edgewise import sandbox
from edgewise.bench import memory
from edgewise.bench.sources import sha256_of
from edgewise.bench.statistics import distribution
from edgewise.devices import contract, local, registry
from edgewise.energy.power import power_here
from edgewise.errors import DeviceError, EdgewiseError, UsageError
from edgewise.placement.decide import summed_device
from edgewise.placement.questions import Sending
from edgewise.placement.subjects import Question, Subject
from edgewise.protocol.messages import Tensor
from edgewise.records import DevicePhases, Distribution
from edgewise.server.pool.frames import Runnable
from edgewise.server.pool.hosted import Hosted, Times
from edgewise.server.pool.ports import tensor

_WORK = "edgewise.placement.device:work"
#: Hot answers before those that count.
_WARM_UPS = 2
#: Of the fresh processes so many also answer hot.
_HOT_PROCESSES = 5


class Raw(msgspec.Struct, frozen=True):
    """A tensor on its way into a worker process."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    content: bytes


class Job(msgspec.Struct, frozen=True):
    """One process: load, answer the first question, then `hot` more, from question `begin` on.

    A question is an encoded image, or a model's inputs. `affinity`: CPUs to be pinned to.
    """

    runnable: Runnable
    files: tuple[str, ...]
    questions: tuple[bytes | tuple[Raw, ...], ...]
    begin: int
    hot: int
    affinity: tuple[int, ...] | None = None


class Answered(msgspec.Struct, frozen=True):
    """One answer: which question, the class (None: not a classifier's), and its phases in ms."""

    question: int
    chosen: int | None
    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float

    @property
    def total_ms(self) -> float:
        """All of it."""
        return self.preprocess_ms + self.inference_ms + self.postprocess_ms


class Report(msgspec.Struct, frozen=True):
    """What one process measured."""

    load_ms: float
    first: Answered
    hot: tuple[Answered, ...]


@dataclass(frozen=True)
class Device:
    """A kind of device: its name, and how a job is done there.

    `run` raises DeviceError where the device cannot be reached any more. `power` names the
    declared power model, None: there is none. `client` turns a way to send into one whose bodies
    the device makes, None: this process is as fast as the device.
    """

    name: str
    run: Callable[[Job, sandbox.Limits], Report]
    power: str | None = None
    notes: tuple[str, ...] = ()
    client: Callable[[Sending, Subject, sandbox.Limits], Sending] | None = None


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
        from edgewise.placement.slowed import slow_device

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
    hot = [answer for report in reports for answer in report.hot]
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


def packed(question: Question) -> bytes | tuple[Raw, ...]:
    """A question as it travels into a worker process."""
    if question.image is not None:
        return question.image
    return tuple(_raw(each) for each in question.tensors)


def _raw(each: Tensor) -> Raw:
    values = np.asarray(each.values)
    return Raw(each.name, values.dtype.str, each.shape, values.tobytes())


# -- in the worker process ---------------------------------------------------------------------


def work(request: dict[str, Any]) -> Any:
    """Do one `Job`; a `Report` as builtins."""
    job = msgspec.convert(request, Job)
    if job.affinity is not None:
        os.sched_setaffinity(0, job.affinity)
    questions = [unpacked(each) for each in job.questions]
    prepare(job)
    gc.collect()
    gc.freeze()
    gc.disable()
    start = perf_counter_ns()
    hosted = Hosted(job.runnable)
    load_ms = (perf_counter_ns() - start) / 1e6
    sandbox.keep(hosted)
    first = _answer(hosted, questions, job.begin)
    warm_ups = _WARM_UPS if job.hot else 0
    later = [
        _answer(hosted, questions, (job.begin + i) % len(questions))
        for i in range(-warm_ups, job.hot)
    ]
    return msgspec.to_builtins(Report(load_ms, first, tuple(later[warm_ups:])))


def prepare(job: Job) -> None:
    """What an app has in memory before it loads a model: the runtime; the file in the cache."""
    from edgewise.runtimes import registry, variant

    registry.info(registry.by_name(job.runnable.runtime))
    if job.runnable.input_kind == "image":
        variant.pillow().init()
    for file in job.files:
        memory.read_into_cache(Path(file))


def _answer(hosted: Hosted, questions: Sequence[Sequence[Tensor]], number: int) -> Answered:
    """One question; what is neither preparing nor inference is postprocessing, so that the phases
    add up to what passed."""
    times = Times()
    start = perf_counter_ns()
    (answer,) = hosted.run([questions[number]], times)
    if isinstance(answer, EdgewiseError):
        raise answer
    chosen = best_class(answer)
    total_ms = (perf_counter_ns() - start) / 1e6
    rest_ms = total_ms - times.preprocess_ms - times.inference_ms
    return Answered(number, chosen, times.preprocess_ms, times.inference_ms, rest_ms)


def best_class(outputs: Sequence[Tensor]) -> int | None:
    """The class of an answer: its only value, or the largest; None where it is no number."""
    values = outputs[0].values if outputs else ()
    if isinstance(values, tuple) or values.size == 0:
        return None
    return int(values.reshape(-1)[0]) if values.size == 1 else int(values.argmax())


def unpacked(question: bytes | tuple[Raw, ...]) -> tuple[Tensor, ...]:
    """The inputs of a question that was packed."""
    if isinstance(question, bytes):
        return (Tensor("image", "BYTES", (1,), (question,)),)
    return tuple(
        tensor(each.name, np.frombuffer(each.content, each.dtype).reshape(each.shape))
        for each in question
    )


def _on(
    on: contract.Device, call: Callable[..., sandbox.Answer]
) -> Callable[[Job, sandbox.Limits], Report]:
    """How a device that runs functions of this package does a job."""

    def run(job: Job, limits: sandbox.Limits) -> Report:
        answer = call(_WORK, _there(job, on), limits=limits)
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
