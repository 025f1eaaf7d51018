"""Does a runtime agree with what we say of a model? Load it, run it once, compare the shapes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec

from edgewise import sandbox
from edgewise.archive import File
from edgewise.bench.sources import localise
from edgewise.errors import MissingExtra, RuntimeRefused, WorkerFailed
from edgewise.records import Model
from edgewise.runtimes import registry, runner
from edgewise.runtimes.values import random_values

_FUNCTION = "edgewise.bench.verify:output_shapes"
_LIMITS = sandbox.Limits(seconds=120)


def verified(model: Model, file: File) -> Model:
    """The record with `verified` and `verify_reason` filled.

    True: its runtime loads it, runs it, and its outputs have the shapes that we propagated. False:
    the runtime refuses it, crashes on it, or differs; the reason says how. None: no runtime here.
    """
    runtime = registry.for_format(model.format or "")
    if runtime is None:
        return _with(model, None, f"no runtime here runs {model.format}")
    given = {p.name: p.shape for p in model.inputs or () if p.shape is not None}
    try:
        with ExitStack() as until:
            local = localise(file, until).local
            answer = sandbox.call(_FUNCTION, str(local), runtime.NAME, given, limits=_LIMITS)
    except MissingExtra as error:
        return _with(model, None, str(error))
    except (RuntimeRefused, WorkerFailed) as error:
        return _with(model, False, f"{runtime.NAME}: {error.message}")
    return _compared(model, runtime.NAME, answer.value)


def output_shapes(path: str, runtime: str, given: Mapping[str, Sequence[int]]) -> list[list[int]]:
    """In a worker process: the shapes of all outputs, in order, after one inference.

    `given` are the shapes of the inputs, by the file's names. A runtime may number inputs that
    have no name of their own; those run with the shape that the file states.
    """
    model = runner.load(runtime, Path(path))
    session = model.session
    sandbox.keep(session)
    shapes = {p.name: tuple(given.get(p.name) or p.shape or ()) for p in session.inputs}
    model.run(random_values(session.inputs, session.outputs, shapes, seed=0))
    results = session.results()
    return [list(results[port.name].shape) for port in session.outputs]


def _compared(model: Model, runtime: str, found: Any) -> Model:
    ours = [port.shape for port in model.outputs or ()]
    theirs = [tuple(shape) for shape in found]
    differing = [
        f"{port.name} is {_words(shape)}, not {_words(port.shape)}"
        for port, shape in zip(model.outputs or (), theirs, strict=False)
        if port.shape is not None and port.shape != shape
    ]
    if len(ours) != len(theirs):
        differing.append(f"{len(theirs)} outputs, not {len(ours)}")
    if differing:
        return _with(model, False, f"{runtime} differs: {'; '.join(differing)}")
    return _with(model, True, None)


def _words(shape: Sequence[int] | None) -> str:
    return "×".join(map(str, shape or ())) or "scalar"


def _with(model: Model, verdict: bool | None, reason: str | None) -> Model:
    return msgspec.structs.replace(model, verified=verdict, verify_reason=reason)
