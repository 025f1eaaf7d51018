"""The accuracy of a classifier on labelled data, with an interval; in a worker process."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edgewise import sandbox
from edgewise.archive import open_file
from edgewise.bench.classifying import TOP, Answers, Job
from edgewise.bench.labelled import load_labelled
from edgewise.bench.sources import localise
from edgewise.errors import EdgewiseError, InputError, RuntimeRefused
from edgewise.family import Family, Preprocess, Variant, load_family, read_labels
from edgewise.intervals import wilson
from edgewise.records import AccuracyRow
from edgewise.runtimes import registry

if TYPE_CHECKING:
    from edgewise.archive import File

_FUNCTION = "edgewise.bench.classifying:answers"
_LIMITS = sandbox.Limits(seconds=6 * 3600)
#: From how many inputs on a low accuracy is no accident.
_TELLING = 20
#: 97.5 % quantile of the standard normal.


class Evaluated(msgspec.Struct, frozen=True):
    """A row, and the answers behind it; None where the model could not be evaluated."""

    row: AccuracyRow
    answers: Answers | None


def evaluate(
    path: str,
    data: Path,
    how: Preprocess,
    runtime: str | None = None,
    offset: int | None = None,
    labels: Path | None = None,
) -> Iterator[Evaluated]:
    """Every variant of a family (a `.toml` file), or one model file, on labelled data.

    `how` prepares the input of a model file; a family says so itself. `offset` is how much higher
    than a label's index its output is; None: found out where their numbers differ by one. `labels`
    is a file that names the classes of a model file, or of a family that does not.

    Raises:
        InputError: the family or the data cannot be read.
    """
    named = () if labels is None else read_labels(labels)
    if Path(path).suffix.lower() == ".toml":
        family = load_family(Path(path))
        if not family.label_names:
            family = msgspec.structs.replace(family, label_names=named)
        if family.input.kind != "image":
            raise InputError(f"{path}: only families of images can be evaluated")
        load_labelled(data, family.label_names)
        for variant in family.variant:
            if variant.file is not None:
                yield _evaluated(variant.file, variant, data, runtime, family, offset)
        return
    load_labelled(data, named)
    alone = Variant(name=Path(path).stem, preprocess=how)
    yield _evaluated(path, alone, data, runtime, None, offset, named)


def _evaluated(
    path: str,
    variant: Variant,
    data: Path,
    runtime: str | None,
    family: Family | None,
    offset: int | None,
    named: tuple[str, ...] = (),
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
            job = _job(file, variant, data, runtime, until)
            job = msgspec.structs.replace(
                job, offset=offset, label_names=family.label_names if family else named
            )
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
        label_names=(),
        preprocess=variant.preprocess,
        output=variant.output,
    )


def _counted(row: AccuracyRow, given: Answers) -> AccuracyRow:
    n, correct, among = len(given.correct), sum(given.correct), sum(given.among)
    low, high = wilson(correct / n, n)
    notes = list(given.notes)
    if given.no_numbers:
        notes.append(f"{given.no_numbers} outputs are no numbers: wrong answers")
    notes += near_chance(given)
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
        top5_accuracy=100 * among / n if given.classes > TOP else None,
        notes=tuple(notes),
    )


def near_chance(given: Answers) -> list[str]:
    """What to try where a model is hardly better than guessing: its classes may be numbered
    otherwise, or its input prepared otherwise than it was trained on."""
    n, classes = len(given.correct), given.classes or len(set(given.labels))
    _, high = wilson(sum(given.correct) / n, n)
    if classes < 2 or n < _TELLING or high > 3 / classes or 2 * given.no_numbers > n:
        return []
    for shift in (-1, 1):
        moved = sum(a + shift == b for a, b in zip(given.given, given.labels, strict=True))
        if moved / n > max(3 / classes, 0.3):
            return [
                f"near chance; with --label-offset {given.offset - shift} it would be "
                f"{100 * moved / n:.1f} % right: labels and outputs are numbered from different "
                "places"
            ]
    found: dict[int, Counter[int]] = {}
    for truth, answer in zip(given.labels, given.given, strict=True):
        found.setdefault(truth, Counter())[answer] += 1
    steady = sum(counts.most_common(1)[0][1] for counts in found.values()) / n
    distinct = len({counts.most_common(1)[0][0] for counts in found.values()})
    if len(found) > 1 and steady > 0.5 and distinct > len(found) / 2:
        return [
            "near chance, but each class mostly gets one answer: the classes are in another order "
            "than the outputs (alphabetical?); a file of --labels, or folders named by index"
        ]
    return [
        "near chance: the input may be prepared otherwise than in training; try --scale 255, "
        "--mean 127.5 --scale 127.5, --colour bgr"
    ]


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
