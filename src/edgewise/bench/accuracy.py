"""The accuracy of a classifier on labelled data, with an interval; in a worker process."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import msgspec

from edgewise import sandbox
from edgewise.archive import open_file
from edgewise.bench.labelled import Labelled, load_labelled
from edgewise.bench.sources import localise
from edgewise.errors import EdgewiseError, InputError, RuntimeRefused
from edgewise.family import Family, Output, Preprocess, Variant, load_family
from edgewise.records import AccuracyRow
from edgewise.runtimes import registry, runner

if TYPE_CHECKING:
    from edgewise.archive import File

_FUNCTION = "edgewise.bench.accuracy:answers"
_LIMITS = sandbox.Limits(seconds=6 * 3600)
#: 97.5 % quantile of the standard normal.
_Z = 1.959963984540054


class Job(msgspec.Struct, frozen=True):
    """What a worker needs: a model, how to feed it, and the data."""

    path: str
    runtime: str
    data: str
    label_names: tuple[str, ...]
    preprocess: Preprocess
    output: Output | None


class Answers(msgspec.Struct, frozen=True):
    """What a model answered to n inputs: whether it was right, how sure it was, and how long each
    inference took; and how long the model took to load. Times in ms."""

    correct: list[bool]
    confidence: list[float]
    inference_ms: list[float]
    load_ms: float


class Evaluated(msgspec.Struct, frozen=True):
    """A row, and the answers behind it; None where the model could not be evaluated."""

    row: AccuracyRow
    answers: Answers | None


def evaluate(
    path: str, data: Path, how: Preprocess, runtime: str | None = None
) -> Iterator[Evaluated]:
    """Every variant of a family (a `.toml` file), or one model file, on labelled data.

    `how` prepares the input of a model file; a family says so itself.

    Raises:
        InputError: the family or the data cannot be read.
    """
    if Path(path).suffix.lower() == ".toml":
        family = load_family(Path(path))
        if family.input.kind != "image":
            raise InputError(f"{path}: only families of images can be evaluated")
        load_labelled(data, family.label_names)
        for variant in family.variant:
            if variant.file is not None:
                yield _evaluated(variant.file, variant, data, runtime, family)
        return
    load_labelled(data, ())
    yield _evaluated(path, Variant(name=Path(path).stem, preprocess=how), data, runtime, None)


def _evaluated(
    path: str, variant: Variant, data: Path, runtime: str | None, family: Family | None
) -> Evaluated:
    """One model. What it or its runtime does wrong is the row's error."""
    row = AccuracyRow(
        model=variant.name,
        path=path,
        data=str(data),
        n=0,
        correct=0,
        accuracy=None,
        ci95_low=None,
        ci95_high=None,
        recorded_accuracy=variant.accuracy,
        family=family.name if family else None,
    )
    try:
        file = open_file(path)
        row = msgspec.structs.replace(row, sha256=file.sha256())
        with ExitStack() as until:
            job = _job(file, variant, data, runtime, family, until)
            row = msgspec.structs.replace(row, runtime=job.runtime)
            answer = sandbox.call(_FUNCTION, job, limits=_LIMITS)
    except EdgewiseError as error:
        return Evaluated(msgspec.structs.replace(row, error=str(error)), None)
    answers = msgspec.convert(answer.value, Answers)
    return Evaluated(_counted(row, answers), answers)


def _job(
    file: File,
    variant: Variant,
    data: Path,
    runtime: str | None,
    family: Family | None,
    until: ExitStack,
) -> Job:
    local = localise(file, until)
    preferred = registry.for_format(local.format)
    if runtime is None and preferred is None:
        raise RuntimeRefused(f"no runtime here runs {local.format}")
    name = runtime or (preferred.NAME if preferred else "")
    return Job(
        path=str(local.local),
        runtime=registry.by_name(name).NAME,
        data=str(data),
        label_names=family.label_names if family else (),
        preprocess=variant.preprocess,
        output=variant.output,
    )


def answers(request: dict[str, Any]) -> Any:
    """In a worker process: run a `Job`; its `Answers` as builtins.

    Raises:
        RuntimeRefused: the runtime does not take the model or its input, or the output does not
            match the labels.
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
    sample = prepare(labelled.image(0), how)
    model.resize({port.name: sample.shape})
    load_ms = 1000 * (perf_counter() - started)
    found = classes(session)
    if job.label_names and found and found != len(job.label_names):
        raise RuntimeRefused(
            f"the output has {found} classes, the family has {len(job.label_names)} labels"
        )
    if found:
        _check_classes(labelled, found)
    result = Answers([], [], [], load_ms)
    for index, label in enumerate(labelled.labels.tolist()):
        model.run({port.name: prepare(labelled.image(index), how)})
        result.inference_ms.append(model.invoke_ns / 1e6)
        given = scores(session)
        result.correct.append(int(given.argmax()) == label)
        result.confidence.append(confidence(given, job.output))
    return msgspec.to_builtins(result)


def _check_classes(labelled: Labelled, classes: int) -> None:
    """Refuse data whose classes cannot be the model's."""
    if labelled.ordered and labelled.ordered != classes:
        raise RuntimeRefused(
            f"{labelled.name} names {labelled.ordered} classes, the output has {classes}: which is "
            "which cannot be told",
            hint="a family with labels says it, or name classes by their index",
        )
    if (highest := int(labelled.labels.max())) >= classes:
        raise RuntimeRefused(f"{labelled.name} has label {highest}, the output {classes} classes")


def _only_input(session: registry.Session) -> Any:
    if len(session.inputs) != 1 or not session.outputs:
        raise RuntimeRefused(
            f"{len(session.inputs)} inputs and {len(session.outputs)} outputs: no classifier"
        )
    return session.inputs[0]


def _counted(row: AccuracyRow, given: Answers) -> AccuracyRow:
    n, correct = len(given.correct), sum(given.correct)
    low, high = wilson(correct, n)
    notes = []
    recorded = row.recorded_accuracy
    if recorded is not None and not 100 * low <= recorded <= 100 * high:
        notes.append(f"the family records {recorded:g} percent, outside this interval")
    return msgspec.structs.replace(
        row,
        n=n,
        correct=correct,
        accuracy=100 * correct / n,
        ci95_low=100 * low,
        ci95_high=100 * high,
        notes=tuple(notes),
    )


def wilson(correct: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a fraction (JASA 22, 1927); n is at least 1."""
    p = correct / n
    centre = p + _Z**2 / (2 * n)
    spread = _Z * math.sqrt(p * (1 - p) / n + _Z**2 / (4 * n**2))
    below = 1 + _Z**2 / n
    return max(0.0, (centre - spread) / below), min(1.0, (centre + spread) / below)


def write_samples(evaluated: Iterable[Evaluated], path: Path) -> None:
    """The answers as a file of samples that `simulate --profiles` reads.

    Raises:
        InputError: the file cannot be written.
    """
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(
                ("model", "request", "load_ms", "inference_ms", "correct", "confidence")
            )
            for one in evaluated:
                if one.answers is None:
                    continue
                given = one.answers
                for request, values in enumerate(
                    zip(given.inference_ms, given.correct, given.confidence, strict=True)
                ):
                    ms, correct, sure = values
                    writer.writerow(
                        (one.row.model, request, f"{given.load_ms:.6g}", f"{ms:.6g}",
                         int(correct), f"{sure:.6g}")
                    )  # fmt: skip
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}") from error
