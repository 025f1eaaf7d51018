"""A family's file from model files and labelled data: what `family init` writes."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgewise.bench.accuracy import evaluate
from edgewise.bench.labelled import class_names
from edgewise.errors import EdgewiseError, InputError
from edgewise.family import Preprocess


@dataclass(frozen=True)
class Described:
    """A variant: its file, and its accuracy in percent on so many inputs, None: not measured."""

    name: str
    file: Path
    accuracy: float | None
    inputs: int
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Draft:
    """What there is to write, and the files that are no variants, with the reasons."""

    name: str
    variants: tuple[Described, ...]
    how: Preprocess
    data: Path | None
    labels: tuple[str, ...]
    left_out: tuple[tuple[Path, str], ...]


def describe(
    files: Sequence[Path],
    how: Preprocess,
    *,
    data: Path | None,
    labels: Path | None,
    name: str,
    step: Callable[[str], object] = lambda what: None,
) -> Draft:
    """Measure each model on the data; without data, look only whether it is there.

    Raises:
        InputError: the data or the labels cannot be read, or no file is a model that runs.
    """
    named = _lines(labels) if labels else class_names(data) if data else ()
    variants, left_out = [], []
    for file in files:
        step(file.name)
        try:
            variants.append(_described(file, how, data))
        except EdgewiseError as error:
            left_out.append((file, str(error).removeprefix(f"{file}: ")))
    if not variants:
        raise InputError(f"no model among {len(files)} files: {left_out[0][1]}")
    return Draft(name, tuple(_distinct(variants)), how, data, named, tuple(left_out))


def _described(file: Path, how: Preprocess, data: Path | None) -> Described:
    if not file.is_file() or file.suffix.lower() == ".toml":
        raise InputError("no model file" if file.exists() else "there is no such file")
    if data is None:
        return Described(file.stem, file, None, 0, ())
    (found,) = evaluate(str(file), data, how)
    if found.row.error is not None:
        raise InputError(found.row.error)
    return Described(file.stem, file, found.row.accuracy, found.row.n, found.row.notes)


def _distinct(variants: Sequence[Described]) -> list[Described]:
    """Files of one name in several formats or folders are variants of several names."""
    from dataclasses import replace

    taken: dict[str, int] = {}
    for each in variants:
        taken[each.name] = taken.get(each.name, 0) + 1
    distinct: dict[str, Described] = {}
    for each in variants:
        name = each.name if taken[each.name] == 1 else f"{each.name}-{each.file.suffix[1:]}"
        while name in distinct:
            name = f"{each.file.resolve().parent.name}-{name}"
        distinct[name] = replace(each, name=name)
    return list(distinct.values())


def _lines(file: Path) -> tuple[str, ...]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"the labels {file} cannot be read: {error}") from error
    return tuple(line.strip() for line in lines if line.strip())


def write(draft: Draft, to: Path) -> None:
    """The family beside its files; labels that the data named go into a file of their own.

    Raises:
        InputError: it cannot be written.
    """
    lines = [f"name = {_text(draft.name)}", 'task = "image-classification"']
    labels = to.with_suffix(".labels.txt")
    if draft.labels:
        lines.append(f"labels = {_text(labels.name)}")
    lines += ["", "[input]", 'kind = "image"']
    for each in draft.variants:
        lines += ["", "[[variant]]", f"name = {_text(each.name)}"]
        lines.append(f"file = {_text(os.path.relpath(each.file, to.parent))}")
        if each.accuracy is not None and draft.data is not None:
            lines.append(f"accuracy = {each.accuracy:.4g}")
            lines.append(f"accuracy_source = {_text(f'{draft.data.name}, {each.inputs} inputs')}")
        lines += ["[variant.preprocess]", f"mean = {json.dumps(list(draft.how.mean))}"]
        lines.append(f"scale = {json.dumps(list(draft.how.scale))}")
        if draft.how.colour is not None:
            lines.append(f"colour = {_text(draft.how.colour)}")
    try:
        if draft.labels:
            labels.write_text("\n".join(draft.labels) + "\n", encoding="utf-8")
        to.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {to}: {error.strerror or error}") from error


def _text(value: str) -> str:
    """A basic string of TOML, whose escapes are those of JSON."""
    return json.dumps(value, ensure_ascii=False)
