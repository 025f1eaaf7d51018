"""What is placed: model files as both ways can run them, and the questions that are put to them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewise import sandbox
from edgewise.bench.sources import ModelFile, localise
from edgewise.errors import EdgewiseError, InputError, RuntimeRefused
from edgewise.family import Family, Preprocess, load_family
from edgewise.formats.candidates import is_readable, model_files
from edgewise.placement import synthetic
from edgewise.protocol.http import prepared
from edgewise.protocol.inputs import Inputs
from edgewise.protocol.messages import Tensor
from edgewise.records import Port
from edgewise.runtimes import registry, variant
from edgewise.server.pool.frames import Runnable
from edgewise.server.pool.hosted import Hosted
from edgewise.server.pool.ports import tensor

Kind = Literal["image", "tensor"]
_LOOK = "edgewise.placement.subjects:look"


@dataclass(frozen=True)
class Question:
    """What one request asks: an encoded image, or the model's inputs as they are."""

    image: bytes | None = None
    tensors: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class Subject:
    """A model that its runtime takes, with its questions. `how` is None where these are tensors.

    `path` is as the user wrote it, `files` are the model's own.
    """

    path: str
    name: str
    sha256: str
    runnable: Runnable
    files: tuple[str, ...]
    inputs: tuple[Port, ...]
    how: variant.Resolved | None
    questions: tuple[Question, ...] = field(repr=False)
    family: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unplaceable:
    """A model that cannot be placed: why."""

    path: str
    reason: str
    sha256: str | None = None
    family: str | None = None


def subjects(
    paths: Sequence[str],
    given: Inputs | None,
    how: Preprocess,
    until: ExitStack,
    *,
    most: int,
    threads: int = 1,
    seconds: float = 60.0,
) -> Iterator[Subject | Unplaceable]:
    """Every model file, files in packages, and every variant of a family (`.toml`).

    Args:
        given: the questions; None: they are made up (`synthetic`).
        how: prepares images for model files; a family says so itself.
        until: what has to be spooled is gone after it.
        most: how many questions are taken of what is given, from the first on.
        threads: how many the model may use on the device.
        seconds: what a runtime may take to look at a model.
    """
    for path in paths:
        try:
            wanted = list(_wanted(path, how))
        except EdgewiseError as error:
            yield Unplaceable(path, str(error).removeprefix(f"{path}: "))
            continue
        if not wanted:
            yield Unplaceable(path, "no file in this folder is of a format that can be run")
        for one in wanted:
            yield _subject(one, given, until, most, threads, seconds)


@dataclass(frozen=True)
class _Wanted:
    path: str
    name: str
    family: Family | None
    preprocess: Preprocess


def _wanted(path: str, how: Preprocess) -> Iterator[_Wanted]:
    if Path(path).suffix.lower() == ".toml":
        family = load_family(Path(path))
        for each in family.variant:
            yield _Wanted(str(each.file or each.endpoint), each.name, family, each.preprocess)
        return
    for file in model_files(path, is_readable):
        yield _Wanted(file.path, Path(file.name).stem, None, how)


def _subject(
    wanted: _Wanted, given: Inputs | None, until: ExitStack, most: int, threads: int, seconds: float
) -> Subject | Unplaceable:
    family = wanted.family.name if wanted.family else None
    sha256 = None
    try:
        local = _localised(wanted, until)
        sha256 = local.sha256
        runnable = _runnable(wanted, local, threads)
        inputs, outputs = _ports(runnable, seconds)
        kind = (
            wanted.family.input.kind if wanted.family else _kind(given, inputs, wanted.preprocess)
        )
        how = variant.resolve(wanted.preprocess, _only(inputs)) if kind == "image" else None
        notes: tuple[str, ...] = ()
        if given is None:
            notes = (synthetic.NOTES[kind],)
            questions = _synthetic(inputs, outputs, most, images=how is not None)
        elif how is not None:
            questions, notes = _images(given, most)
        else:
            questions = _tensors(given, inputs, most)
    except EdgewiseError as error:
        reason = str(error).removeprefix(f"{wanted.path}: ")
        return Unplaceable(wanted.path, reason, sha256, family)
    return Subject(
        path=wanted.path,
        name=wanted.name,
        sha256=local.sha256,
        runnable=replace(runnable, input_kind=kind),
        files=tuple(str(file) for file in (local.local, *local.companions)),
        inputs=inputs,
        how=how,
        questions=questions,
        family=family,
        notes=notes,
    )


def _localised(wanted: _Wanted, until: ExitStack) -> ModelFile:
    from edgewise.archive import open_file

    if "://" in wanted.path and wanted.family is not None:
        raise InputError(f"the variant '{wanted.name}' is an endpoint: no device has it")
    return localise(open_file(wanted.path), until)


def _runnable(wanted: _Wanted, local: ModelFile, threads: int) -> Runnable:
    runtime = registry.for_format(local.format)
    if runtime is None:
        raise RuntimeRefused(f"no runtime here runs {local.format}")
    return Runnable(
        key=wanted.name,
        file=str(local.local),
        runtime=runtime.NAME,
        delegate=None,
        threads=threads,
        preprocess=wanted.preprocess,
        input_kind="tensor",
    )


def _ports(runnable: Runnable, seconds: float) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
    """A model's inputs and outputs as its runtime states them; found in a worker process.

    Raises:
        RuntimeRefused, MissingExtra, WorkerFailed: it does not take the model, or crashes.
    """
    answer = sandbox.call(_LOOK, runnable, limits=sandbox.Limits(seconds))
    return msgspec.convert(answer.value, tuple[tuple[Port, ...], tuple[Port, ...]])


def look(request: dict[str, Any]) -> Any:
    """In a worker process: load a model; its inputs and outputs as builtins."""
    hosted = Hosted(msgspec.convert(request, Runnable))
    sandbox.keep(hosted)
    return msgspec.to_builtins((hosted.session.inputs, hosted.session.outputs))


def _only(inputs: Sequence[Port]) -> Port:
    if len(inputs) != 1:
        raise RuntimeRefused(f"{len(inputs)} inputs, an image is one")
    return inputs[0]


def _kind(given: Inputs | None, inputs: Sequence[Port], how: Preprocess) -> Kind:
    """Images where files of them are given, or pixels that the model does not take as they are."""
    if given is None:
        return synthetic.kind_of(inputs, how)
    if given.arrays is None:
        return "image"
    try:
        prepared.columns(given, [wire_port(port) for port in inputs])
    except InputError:
        pixels = [a for a in given.arrays.values() if a.dtype == np.uint8 and a.ndim in (3, 4)]
        if len(inputs) == 1 and pixels:
            return "image"
        raise
    return "tensor"


def wire_port(port: Port) -> prepared.Port:
    """A model's input as the protocol's metadata would state it."""
    from edgewise.protocol.messages import DATATYPE_OF
    from edgewise.server.pool.ports import stated

    sizes = [each if isinstance(each, int) else -1 for each in stated(port) or ()]
    return prepared.Port(port.name, DATATYPE_OF.get(port.dtype, "BYTES"), sizes)


def _synthetic(
    inputs: Sequence[Port], outputs: Sequence[Port], most: int, *, images: bool
) -> tuple[Question, ...]:
    if images:
        return tuple(Question(image=content) for content in synthetic.pictures()[:most])
    return (Question(tensors=synthetic.tensors(inputs, outputs)),)


def _images(given: Inputs, most: int) -> tuple[tuple[Question, ...], tuple[str, ...]]:
    """Those that can be decoded, and what was left out."""
    contents, unreadable = _readable(given, most)
    if not contents:
        raise InputError(unreadable[0])
    count = f"{len(unreadable)} of {len(contents) + len(unreadable)}"
    notes = (f"inputs: {count} left out: {unreadable[0]}",) if unreadable else ()
    return tuple(Question(image=content) for content in contents), notes


@lru_cache(maxsize=1)
def _readable(given: Inputs, most: int) -> tuple[tuple[bytes, ...], tuple[str, ...]]:
    """The first images that can be decoded, and why those between them cannot: the same for every
    model of a comparison."""
    contents: list[bytes] = []
    unreadable: list[str] = []
    for number, content in enumerate(given.files or prepared.pictures(given, most), 1):
        if len(contents) == most:
            break
        try:
            variant.decode(content, f"{given.name}, image {number}")
        except InputError as error:
            unreadable.append(str(error))
        else:
            contents.append(content)
    return tuple(contents), tuple(unreadable)


def _tensors(given: Inputs, inputs: Sequence[Port], most: int) -> tuple[Question, ...]:
    if given.arrays is None:
        takes = ", ".join(f"{port.name} {port.dtype} {port.shape}" for port in inputs)
        raise InputError(f"it takes {takes}, no images", hint="give an npz file with its inputs")
    columns: list[NDArray[Any]] = prepared.columns(given, [wire_port(port) for port in inputs])
    return tuple(
        Question(tensors=tuple(tensor(p.name, c[i]) for p, c in zip(inputs, columns, strict=True)))
        for i in range(min(most, len(given)))
    )
