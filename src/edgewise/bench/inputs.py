"""Shapes and values of a model's inputs, from the file, the command line or a data file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

from edgewise.errors import InputError, RuntimeRefused, UsageError
from edgewise.records import Port

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Shapes = Mapping[str, tuple[int, ...]]


def wanted_shapes(inputs: Sequence[Port], batch: int, given: Shapes) -> dict[str, tuple[int, ...]]:
    """The shape to run each input with.

    `given` names inputs, or (one number) free dimensions; it wins over what the file states. The
    first dimension of an input is the batch where the file leaves it open or has 1 there.

    Raises:
        UsageError: a name in `given` is neither, or a given shape contradicts the batch.
        RuntimeRefused: a dimension is open and nothing says its size, or nothing takes the batch.
    """
    _check_names(inputs, given)
    shapes = {port.name: _shape(port, batch, given) for port in inputs}
    if batch > 1 and not any(_has_batch(port) for port in inputs):
        raise RuntimeRefused(
            f"no input has a batch dimension, a batch of {batch} was asked for: "
            + ", ".join(f"{port.name!r} is {_words(port)}" for port in inputs)
        )
    return shapes


def _check_names(inputs: Sequence[Port], given: Shapes) -> None:
    names = {port.name for port in inputs}
    free = {part for port in inputs for part in port.signature or () if isinstance(part, str)}
    for name, shape in given.items():
        if name not in names and not (name in free and len(shape) == 1):
            raise UsageError(
                f"--shape: no input {name!r}",
                hint="inputs: " + ", ".join(f"{port.name} ({_words(port)})" for port in inputs),
            )


def _shape(port: Port, batch: int, given: Shapes) -> tuple[int, ...]:
    if port.name in given:
        shape = given[port.name]
        if _has_batch(port) and shape[0] != batch:
            raise UsageError(
                f"--shape {port.name}: its batch is {shape[0]}, --batch is {batch}",
                hint="the first dimension is the batch: make them agree",
            )
        return shape
    stated = _stated(port)
    sizes = [
        part if isinstance(part, int) else _free_size(port, axis, part, batch, given)
        for axis, part in enumerate(stated)
    ]
    if _has_batch(port):
        sizes[0] = batch
    return tuple(sizes)


def _free_size(port: Port, axis: int, name: str, batch: int, given: Shapes) -> int:
    if name in given:
        return given[name][0]
    if axis == 0:
        return batch
    if port.shape is not None:  # the file stores a size for it
        return port.shape[axis]
    raise RuntimeRefused(
        f"input {port.name!r} leaves {name!r} open ({_words(port)}): "
        f"give its size with --shape {port.name}=…"
    )


def _has_batch(port: Port) -> bool:
    stated = _stated(port)
    if not stated:
        return False
    return isinstance(stated[0], str) or (stated[0] == 1 and len(stated) > 1)


def _stated(port: Port) -> tuple[int | str, ...]:
    if port.signature is not None:
        return port.signature
    if port.shape is not None:
        return port.shape
    raise RuntimeRefused(f"input {port.name!r} is a {port.dtype} of no stated shape")


def _words(port: Port) -> str:
    return "×".join(str(part) for part in port.signature or port.shape or ()) or "scalar"


def notes(inputs: Sequence[Port], shapes: Shapes, given: Shapes) -> list[str]:
    """What was assumed about the inputs."""
    found = []
    for port in inputs:
        shape = shapes[port.name]
        if port.signature and port.shape is not None and port.name not in given:
            stored = [
                axis for axis, part in enumerate(port.signature)
                if axis and isinstance(part, str) and part not in given
            ]  # fmt: skip
            if stored:
                found.append(
                    f"input {port.name!r} leaves dimensions open; ran with the sizes stored in the "
                    f"file, {'×'.join(map(str, shape))} (--shape sets others)"
                )
    return found


def read_values(path: Path, inputs: Sequence[Port], batch: int) -> dict[str, Array]:
    """Inputs from an .npy file (a model with one input) or an .npz file (by name of the input).

    An array with a batch of 1 is repeated to the batch that is measured.

    Raises:
        InputError: the file is no such file, or its arrays do not fit the model's inputs.
    """
    import numpy as np

    try:
        loaded = np.load(path, allow_pickle=False)
        arrays = {inputs[0].name: loaded} if isinstance(loaded, np.ndarray) else dict(loaded)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from error
    except (ValueError, EOFError, BadZipFile) as error:
        # numpy calls whatever it does not know a pickle.
        raise InputError(f"{path}: no .npy or .npz file of numbers") from error
    if set(arrays) != {port.name for port in inputs}:
        names = ", ".join(port.name for port in inputs)
        raise InputError(f"{path}: has {', '.join(arrays)}; the model's inputs are {names}")
    return {port.name: _fitted(path, port, arrays[port.name], batch) for port in inputs}


def _fitted(path: Path, port: Port, array: Array, batch: int) -> Array:
    import numpy as np

    if str(array.dtype) != port.dtype:
        raise InputError(f"{path}: {port.name!r} is {array.dtype}, the model wants {port.dtype}")
    if _has_batch(port) and array.ndim and array.shape[0] == 1 and batch > 1:
        array = np.repeat(array, batch, axis=0)
    return np.ascontiguousarray(array)
