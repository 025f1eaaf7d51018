"""The emulated slow device: both ways' work of the device in processes held to a share of a core.

Its own way runs there whole. Of the cloud's way the device prepares the photo and encodes it: that
is done there ahead of the requests, each time anew, and the client then sends what came of it. The
client itself runs freely: it is the program that the user started, and a shell takes back its
terminal from a program that is stopped.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
from collections.abc import Callable
from typing import Any

import msgspec

from edgewise import sandbox
from edgewise.devices import emulated
from edgewise.devices.local import Emulated
from edgewise.errors import DeviceError
from edgewise.placement.process import Device, Job, Raw, Report, packed, prepare, unpacked, work
from edgewise.placement.questions import Ready, Sending
from edgewise.placement.subjects import Question, Subject
from edgewise.protocol.http import prepared
from edgewise.protocol.http.attempt import now_ms
from edgewise.records import Port, Way
from edgewise.runtimes import variant
from edgewise.server.pool.frames import Runnable

_WORK = "edgewise.placement.slowed:slow_work"
_BODIES = "edgewise.placement.slowed:slow_bodies"
#: Whose declared power an emulated core takes: a phone's of the time when a core was that slow.
POWER = "nexus-5"
#: How often each question is prepared ahead, and what the first, cold one is worth: nothing.
_ROUNDS, _WARM_UPS = 5, 1
_NOT_SLOWED = (
    "emulated: caches, memory bandwidth, storage and instruction set are this machine's, and so "
    "are the client's network stack and its reading of the answer"
)
_POWER_NOTE = "energy: the declared power of one core of {} stands for the emulated core's"


def slow_device(on: Emulated) -> Device:
    """One core of this machine for a share of its time. What that achieves is measured first.

    Raises:
        DeviceError: as `emulated.throttled`.
    """
    share, throttle = on.share, on.throttle

    def run(job: Job, limits: sandbox.Limits) -> Report:
        answer = sandbox.call(_WORK, job, share, limits=limits)
        if answer.exit_status is not None:
            raise DeviceError(f"the process was {answer.exit_status} when it released the model")
        return msgspec.convert(answer.value, Report)

    def client(sending: Sending, subject: Subject, limits: sandbox.Limits) -> Sending:
        job = Bodies(
            runnable=subject.runnable,
            inputs=subject.inputs,
            questions=tuple(packed(question) for question in subject.questions),
            where=sending.where,
            as_tensor=sending.as_tensor,
            port=sending.port,
            binary=sending.binary,
        )
        answer = sandbox.call(_BODIES, job, share, limits=limits)
        return sending._replace(made=_in_turn(msgspec.convert(answer.value, list[list[Made]])))

    notes = (throttle.words(), _NOT_SLOWED, _POWER_NOTE.format(POWER))
    return Device(on.name, run, power=POWER, notes=notes, client=client)


def of_phone(device: Device, phone: str) -> Device:
    """A slow device whose core takes the power that is declared for another phone's."""
    notes = (*device.notes[:-1], _POWER_NOTE.format(phone))
    return dataclasses.replace(device, power=phone, notes=notes)


class Bodies(msgspec.Struct, frozen=True):
    """Questions whose bodies are to be made, and how: a `Sending` in parts."""

    runnable: Runnable
    inputs: tuple[Port, ...]
    questions: tuple[bytes | tuple[Raw, ...], ...]
    where: Way | None
    as_tensor: bool
    port: prepared.Port | None
    binary: bool


class Made(msgspec.Struct, frozen=True):
    """One body as it was made, in ms."""

    json: bytes
    raw: bytes
    preprocess_ms: float
    encode_ms: float


def _in_turn(made: list[list[Made]]) -> Callable[[int], Ready]:
    """Each question's bodies one after the other, as if they had been made just now."""
    turns = [itertools.cycle(each) for each in made]

    def ready(number: int) -> Ready:
        one = next(turns[number])
        begun_ms = now_ms() - one.preprocess_ms - one.encode_ms
        return Ready(prepared.Body(one.json, one.raw), begun_ms, one.preprocess_ms, one.encode_ms)

    return ready


# -- in the worker process ---------------------------------------------------------------------


def slow_work(request: dict[str, Any], share: float) -> Any:
    """`device.work`, held to the share. What is not timed runs freely."""
    job = msgspec.convert(request, Job)
    if job.affinity is not None:
        os.sched_setaffinity(0, job.affinity)
    prepare(job)
    with emulated.throttled(os.getpid(), share):
        return work({**request, "affinity": None})


def slow_bodies(request: dict[str, Any], share: float) -> Any:
    """All bodies of a `Bodies`, several times each; `Made` by question, as builtins."""
    job = msgspec.convert(request, Bodies)
    subject = _subject(job)
    sending = Sending(job.where, job.as_tensor, job.port, job.binary)
    if job.where is not None:
        variant.pillow().init()
    with emulated.throttled(os.getpid(), share):
        made = [
            [_made(sending.body(subject, number)) for _ in range(_WARM_UPS + _ROUNDS)]
            for number in range(len(subject.questions))
        ]
    return msgspec.to_builtins([each[_WARM_UPS:] for each in made])


def _made(ready: Ready) -> Made:
    return Made(ready.body.json, ready.body.raw, ready.preprocess_ms, ready.encode_ms)


def _subject(job: Bodies) -> Subject:
    """As much of it as making bodies takes."""
    is_image = job.runnable.input_kind == "image"
    return Subject(
        path=job.runnable.file,
        name=job.runnable.key,
        sha256="",
        runnable=job.runnable,
        files=(),
        inputs=job.inputs,
        how=variant.resolve(job.runnable.preprocess, job.inputs[0]) if is_image else None,
        questions=tuple(
            Question(image=each) if isinstance(each, bytes) else Question(tensors=unpacked(each))
            for each in job.questions
        ),
    )
