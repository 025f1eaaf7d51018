"""Whether what a caller sends fits a model's inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewise.protocol.messages import DATATYPE_OF, DATATYPES, BadRequest, Tensor
from edgewise.records import Port

Array = NDArray[Any]


def stated(port: Port) -> tuple[int | str, ...] | None:
    """Sizes, or names where the file leaves one open; None where it states no shape at all."""
    return port.signature if port.signature is not None else port.shape


def arrays(
    model: str, ports: Sequence[Port], tensors: Sequence[Tensor], *, any_batch: bool
) -> dict[str, Array]:
    """The arrays of a request by input, of strings as bytes. With `any_batch` a first size of 1
    may be any; a size of 0 is for dimensions that the model leaves free.

    Raises:
        BadRequest: an input is missing, unknown or given twice, or has another type or shape.
    """
    known = {port.name: port for port in ports}
    given: dict[str, Array] = {}
    for tensor in tensors:
        if tensor.name not in known:
            raise BadRequest(
                f"'{model}' has no input '{tensor.name}'", hint=f"it has: {', '.join(known)}"
            )
        if tensor.name in given:
            raise BadRequest(f"'{model}': the input '{tensor.name}' is given twice")
        given[tensor.name] = _array(model, known[tensor.name], tensor, any_batch)
    if missing := next((name for name in known if name not in given), None):
        raise BadRequest(f"'{model}': the input '{missing}' is missing")
    return given


def _array(model: str, port: Port, tensor: Tensor, any_batch: bool) -> Array:
    wanted = DATATYPE_OF.get(port.dtype)
    if wanted is None:
        raise BadRequest(f"'{model}': its input '{port.name}' is {port.dtype}, which is not served")
    if tensor.datatype != wanted:
        raise BadRequest(f"'{model}': the input '{port.name}' is {tensor.datatype}, not {wanted}")
    sizes = stated(port)
    if sizes is not None and not _fits(sizes, tensor.shape, any_batch):
        raise BadRequest(
            f"'{model}': the input '{port.name}' has the shape {_words(tensor.shape)}, "
            f"not {_words(sizes)}"
        )
    if not isinstance(tensor.values, tuple):
        return tensor.values
    strings = np.empty(len(tensor.values), dtype=object)
    strings[:] = tensor.values
    return strings.reshape(tensor.shape)


def _fits(sizes: Sequence[int | str], shape: Sequence[int], any_batch: bool) -> bool:
    if len(sizes) != len(shape):
        return False
    return all(
        isinstance(size, str) or size == given or (axis == 0 and size == 1 <= given and any_batch)
        for axis, (size, given) in enumerate(zip(sizes, shape, strict=True))
    )


def _words(shape: Sequence[int | str]) -> str:
    return "[" + ", ".join(str(size) for size in shape) + "]"


_DATATYPE_OF_DTYPE = {np.dtype(numpy): datatype for datatype, numpy in DATATYPES.items()}


def tensor(name: str, array: Array) -> Tensor:
    """An output as a tensor.

    Raises:
        ValueError: its type has no datatype in the protocol.
    """
    datatype = _DATATYPE_OF_DTYPE.get(array.dtype)
    if datatype is not None:
        return Tensor(name, datatype, array.shape, np.asanyarray(array, order="C"))
    if array.dtype.kind in "OUS":
        elements = tuple(_bytes(element) for element in array.reshape(-1).tolist())
        return Tensor(name, "BYTES", array.shape, elements)
    raise ValueError(f"the output '{name}' is {array.dtype}, which the protocol does not have")


def _bytes(element: object) -> bytes:
    return element if isinstance(element, bytes) else str(element).encode()
