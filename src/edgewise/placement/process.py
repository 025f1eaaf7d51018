"""What one process of a device does: load a model, answer one question, and then some more, hot.

The service's own code does it (`server.pool.hosted`), so that both ways prepare, run and read
alike. A `Device` says how a job gets into such a process.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter_ns
from typing import Any

import msgspec
import numpy as np

from edgewise import sandbox
from edgewise.bench import memory
from edgewise.errors import EdgewiseError
from edgewise.placement.questions import Sending
from edgewise.placement.subjects import Question, Subject
from edgewise.protocol.messages import Tensor
from edgewise.server.pool.frames import Runnable
from edgewise.server.pool.hosted import Hosted, Times
from edgewise.server.pool.ports import tensor

WORK = "edgewise.placement.process:work"
#: Hot answers before those that count.
_WARM_UPS = 2


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


def packed(question: Question) -> bytes | tuple[Raw, ...]:
    """A question as it travels into a worker process."""
    if question.image is not None:
        return question.image
    return tuple(_raw(each) for each in question.tensors)


def _raw(each: Tensor) -> Raw:
    values = np.asarray(each.values)
    return Raw(each.name, values.dtype.str, each.shape, values.tobytes())


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
