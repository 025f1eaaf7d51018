"""In a worker process: a classifier's answers to labelled data.

Labels and outputs need not agree to the last one: many networks have a class for the background
before (or after) the thousand that people name.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewise import sandbox
from edgewise.bench.labelled import Labelled, load_labelled
from edgewise.errors import InputError, RuntimeRefused
from edgewise.family import Output, Preprocess
from edgewise.runtimes import registry, runner

#: Answers that count for the second figure.
TOP = 5
#: From so many labels on, one output more or less is the class of the background.
_MANY = 100
#: Reasons that are named of why files could not be read.
_NAMED = 5


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker needs: a model, how to feed it, and the data. `offset` is how much higher than
    a label's index its output is; None: found out from the numbers of both."""

    path: str
    runtime: str
    data: str
    label_names: tuple[str, ...]
    preprocess: Preprocess
    output: Output | None
    offset: int | None = None


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What a model answered to n inputs: the label's index of each, the class given, whether it was
    right, or among the best five, how sure the model was, and how long each inference took; and how
    long the model took to load. Times in ms. Outputs that are no number are wrong answers. `offset`
    is how much higher than a label's index its output was taken to be.
    """

    labels: list[int]
    given: list[int]
    correct: list[bool]
    among: list[bool]
    confidence: list[float]
    inference_ms: list[float]
    load_ms: float
    classes: int
    no_numbers: int = 0
    offset: int = 0
    notes: list[str] = []


def answers(request: dict[str, Any]) -> Any:
    """Run a `Job`; its `Answers` as builtins.

    Raises:
        RuntimeRefused: the runtime does not take the model or its input, or the output does not
            match the labels.
        InputError: the data cannot be read, or none of its images.
    """
    from edgewise.runtimes.variant import classes, confidence, prepare, resolve, scores

    job = msgspec.convert(request, Job)
    labelled = load_labelled(Path(job.data), job.label_names)
    started = perf_counter()
    model = runner.load(job.runtime, Path(job.path))
    session = model.session
    sandbox.keep(session)
    port = _only_input(session)
    how = resolve(job.preprocess, port)
    model.resize({port.name: (1, *_shape(how))})
    load_ms = 1000 * (perf_counter() - started)
    found = classes(session)
    offset, notes = _offset(job, labelled, found)
    result = Answers(
        labels=[], given=[], correct=[], among=[], confidence=[], inference_ms=[], load_ms=load_ms,
        classes=found, offset=offset,
    )  # fmt: skip
    same = _same(job.label_names)
    unread: list[str] = []
    bad = 0
    for index, label in enumerate(labelled.labels.tolist()):
        try:
            image = labelled.image(index)
        except InputError as error:
            unread.append(error.message)
            continue
        model.run({port.name: prepare(image, how)})
        values = scores(session)
        best = _best(values) - offset
        bad += best.size == 0
        named = [same.get(int(each), int(each)) for each in best]
        truth = same.get(label, label)
        result.labels.append(truth)
        result.given.append(named[0] if named else -1)
        result.correct.append(bool(named) and named[0] == truth)
        result.among.append(truth in named)
        result.confidence.append(confidence(values, job.output) if named else 0.0)
        result.inference_ms.append(model.invoke_ns / 1e6)
    if not result.labels:
        raise InputError(f"{labelled.name}: no image can be read: {unread[0]}")
    if unread:
        notes.append(f"{len(unread)} not read, not counted: {_some(unread)}")
    result = msgspec.structs.replace(result, classes=found or int(values.size))
    return msgspec.to_builtins(
        msgspec.structs.replace(result, notes=[*notes, *labelled.notes], no_numbers=bad)
    )


def _some(unread: Sequence[str]) -> str:
    """Of each reason one file, with how many more there are of it."""
    alike: dict[str, list[str]] = {}
    for each in unread:
        file, _, reason = each.partition(": ")
        alike.setdefault(reason or file, []).append(each)
    named = [
        files[0] + (f" (and {len(files) - 1} more)" if len(files) > 1 else "")
        for files in alike.values()
    ]
    return "; ".join(named[:_NAMED]) + (" …" if len(named) > _NAMED else "")


def _shape(how: Any) -> tuple[int, ...]:
    channels = 1 if how.colour == "grey" else 3
    return (channels, *how.size) if how.layout == "nchw" else (*how.size, channels)


def _best(values: NDArray[np.float64]) -> NDArray[np.intp]:
    """The best five classes, best first; of equal ones the first. None where one is no number."""
    if np.isnan(values).any():
        return np.empty(0, dtype=np.intp)
    return np.argsort(-values, kind="stable")[:TOP]


def _same(names: Sequence[str]) -> dict[int, int]:
    """Indices of labels that another one before has the same name as (ImageNet has two cranes)."""
    first: dict[str, int] = {}
    return {
        index: first[name]
        for index, name in enumerate(names)
        if first.setdefault(name, index) != index
    }


def _offset(job: Job, labelled: Labelled, classes: int) -> tuple[int, list[str]]:
    """How much higher an output is than its label's index, and what is to be said about it.

    Raises:
        RuntimeRefused: the data's or the family's classes cannot be the model's.
    """
    if job.offset is not None:
        return job.offset, [f"output {job.offset:+d} of the label's index, as --label-offset says"]
    labels, whose = len(job.label_names), "the family has"
    if not labels and labelled.ordered:
        labels, whose = labelled.ordered, f"{labelled.name} has"
    if not classes:
        return 0, []
    if labels >= _MANY and abs(classes - labels) == 1:
        offset = classes - labels
        extra = "outputs" if offset > 0 else "labels"
        return offset, [
            f"{classes} outputs, {whose} {labels} labels: the first of the {extra} is taken for "
            "the background (--label-offset 0 if it is the last)"
        ]
    if job.label_names and classes != labels:
        raise RuntimeRefused(f"the output has {classes} classes, the family has {labels} labels")
    if labelled.ordered and labelled.ordered != classes:
        raise RuntimeRefused(
            f"{labelled.name} names {labelled.ordered} classes, the output has {classes}: which is "
            "which cannot be told",
            hint="a file of --labels says it, or name classes by their index",
        )
    if (highest := int(labelled.labels.max())) >= classes:
        raise RuntimeRefused(
            f"{labelled.name} has label {highest}, the output {classes} classes",
            hint="--label-offset -1 where labels begin with 1",
        )
    return 0, []


def _only_input(session: registry.Session) -> Any:
    if len(session.inputs) != 1 or not session.outputs:
        raise RuntimeRefused(
            f"{len(session.inputs)} inputs and {len(session.outputs)} outputs: no classifier"
        )
    return session.inputs[0]
