"""Tensors from and to the two encodings that both protocols share, checked strictly.

The raw encoding is row-major and little-endian; an element of BYTES is preceded by its length in 4
bytes. The other is a flat list of elements: JSON's numbers and strings, gRPC's typed contents.
"""

from __future__ import annotations

import math
import struct
import sys
from collections.abc import Container, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewise.protocol.messages import DATATYPES, BadRequest, Tensor

#: Most dimensions of a tensor that are taken; numpy itself ends at 64, before 2.0 at 32.
MAX_DIMENSIONS = 32
_DTYPES = {name: np.dtype(numpy).newbyteorder("<") for name, numpy in DATATYPES.items()}
_LENGTH = struct.Struct("<I")
#: What JSON has no numbers for, as strings: protobuf's JSON, numpy and the usual clients have them.
NO_NUMBERS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def from_raw(
    name: str, datatype: str, shape: Sequence[int], buffer: bytes | bytearray | memoryview
) -> Tensor:
    """A tensor over raw bytes, without a copy; only the elements of BYTES are taken out.

    Raises:
        BadRequest: an unknown datatype, a bad shape, or not as many bytes as the two say.
    """
    shape = checked_shape(name, datatype, shape)
    count = math.prod(shape)
    if datatype == "BYTES":
        return Tensor(name, datatype, shape, _split(name, count, memoryview(buffer).cast("B")))
    dtype = _DTYPES[datatype]
    given_bytes = memoryview(buffer).nbytes
    if given_bytes != count * dtype.itemsize:
        raise BadRequest(
            f"the tensor '{name}' has {given_bytes} bytes, its datatype {datatype} and shape "
            f"{list(shape)} need {count * dtype.itemsize}"
        )
    flat = np.frombuffer(buffer, dtype) if count else np.empty(0, dtype)
    if datatype == "BOOL" and count and flat.view(np.uint8).max() > 1:
        raise BadRequest(f"the tensor '{name}' has a BOOL that is neither 0 nor 1")
    flat.flags.writeable = False
    return Tensor(name, datatype, shape, _reshaped(name, flat, shape))


def to_raw(tensor: Tensor) -> bytes | memoryview:
    """A tensor's raw bytes; a view of its values where that is possible."""
    values = tensor.values
    if isinstance(values, tuple):
        return b"".join([part for each in values for part in (_LENGTH.pack(len(each)), each)])
    if not values.size:
        return b""
    if sys.byteorder == "big" or values.dtype.byteorder == ">":
        values = values.astype(values.dtype.newbyteorder("<"))
    return np.ascontiguousarray(values).data.cast("B")


def from_elements(name: str, datatype: str, shape: Sequence[int], elements: list[Any]) -> Tensor:
    """A tensor from its elements, flat in row-major order.

    Integers have to be in the datatype's range, floating-point numbers finite in it unless they
    came infinite. An element of BYTES is bytes, or a string that is taken as UTF-8.

    Raises:
        BadRequest: an unknown datatype, a bad shape, elements of another number or kind.
    """
    shape = checked_shape(name, datatype, shape)
    count = math.prod(shape)
    if len(elements) != count:
        raise BadRequest(
            f"the tensor '{name}' has {len(elements)} elements, its shape {list(shape)} "
            f"needs {count}"
        )
    kinds = set(map(type, elements))
    if datatype == "BYTES":
        return Tensor(name, datatype, shape, _as_bytes(name, elements, kinds))
    kind = _DTYPES[datatype].kind
    if kind == "f" and str in kinds:
        elements = [NO_NUMBERS.get(x, x) if type(x) is str else x for x in elements]
        kinds = set(map(type, elements))
    if not kinds <= _PYTHON_TYPES[kind]:
        raise BadRequest(
            f"the tensor '{name}' has elements of JSON's kind "
            f"{_words(kinds - _PYTHON_TYPES[kind])}, its datatype is {datatype}"
        )
    if kind == "b":
        flat: NDArray[Any] = np.array(elements, dtype=np.bool_)
    elif kind == "f":
        flat = _as_floats(name, datatype, elements)
    else:
        flat = _as_integers(name, datatype, elements)
    return Tensor(name, datatype, shape, _reshaped(name, flat, shape))


def to_elements(tensor: Tensor) -> list[Any]:
    """A tensor's elements, flat in row-major order: bool, int, float, or bytes for BYTES."""
    values = tensor.values
    if isinstance(values, tuple):
        return list(values)
    elements: list[Any] = values.ravel().tolist()
    return elements


def checked_shape(name: str, datatype: str, shape: Sequence[int]) -> tuple[int, ...]:
    """The shape of a tensor of a known datatype.

    Raises:
        BadRequest: an unknown datatype, a negative dimension, or too many of them.
    """
    if datatype != "BYTES" and datatype not in _DTYPES:
        raise BadRequest(
            f"the tensor '{name}' has the unknown datatype '{datatype}'",
            hint=f"there are: {', '.join(DATATYPES)}, BYTES",
        )
    if len(shape) > MAX_DIMENSIONS:
        raise BadRequest(f"the tensor '{name}' has {len(shape)} dimensions")
    for each in shape:
        if type(each) is not int or each < 0:
            raise BadRequest(f"the tensor '{name}' has the shape {list(shape)}")
    return tuple(shape)


def check_offered(output: str, parameters: Container[str]) -> None:
    """Whether a wanted output's parameters ask for no more than there is.

    Raises:
        BadRequest: they do.
    """
    for name in ("classification", "shared_memory_region"):
        if name in parameters:
            raise BadRequest(f"output '{output}': '{name}' is not offered here")


_PYTHON_TYPES: dict[str, set[type]] = {
    "b": {bool},
    "i": {int},
    "u": {int},
    "f": {int, float},
}
_JSON_NAMES = {bool: "boolean", int: "number", float: "number with a fraction", str: "string",
               bytes: "string", list: "array", dict: "object", type(None): "null"}  # fmt: skip


def _words(kinds: set[type]) -> str:
    return " and ".join(sorted(_JSON_NAMES.get(kind, kind.__name__) for kind in kinds))


def _reshaped(name: str, flat: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        return flat.reshape(shape)
    except ValueError as error:  # an empty tensor may state dimensions that overflow
        raise BadRequest(f"the tensor '{name}' has the shape {list(shape)}") from error


def _split(name: str, count: int, content: memoryview) -> tuple[bytes, ...]:
    if count * _LENGTH.size > content.nbytes:
        raise BadRequest(
            f"the tensor '{name}' has {content.nbytes} bytes, its {count} elements of BYTES need "
            f"{_LENGTH.size} each for their lengths alone"
        )
    elements = []
    at = 0
    for _ in range(count):
        start = at + _LENGTH.size
        if start > content.nbytes:
            raise BadRequest(f"the tensor '{name}' ends within an element of BYTES")
        at = start + _LENGTH.unpack_from(content, start - _LENGTH.size)[0]
        if at > content.nbytes:
            raise BadRequest(f"the tensor '{name}' ends within an element of BYTES")
        elements.append(bytes(content[start:at]))
    if at != content.nbytes:
        raise BadRequest(
            f"the tensor '{name}' has {content.nbytes - at} bytes after its last element of BYTES"
        )
    return tuple(elements)


def _as_bytes(name: str, elements: list[Any], kinds: set[type]) -> tuple[bytes, ...]:
    if kinds <= {bytes}:
        return tuple(elements)
    if not kinds <= {bytes, str}:
        raise BadRequest(
            f"the tensor '{name}' has elements of JSON's kind {_words(kinds - {bytes, str})}, "
            "its datatype is BYTES"
        )
    try:
        return tuple(each if isinstance(each, bytes) else each.encode() for each in elements)
    except UnicodeEncodeError as error:
        raise BadRequest(f"the tensor '{name}' has a string that is no Unicode") from error


def _as_integers(name: str, datatype: str, elements: list[int]) -> NDArray[Any]:
    limits = np.iinfo(_DTYPES[datatype])
    if elements and not (limits.min <= min(elements) and max(elements) <= limits.max):
        raise BadRequest(f"the tensor '{name}' has an element that no {datatype} can hold")
    return np.array(elements, dtype=_DTYPES[datatype])


def _as_floats(name: str, datatype: str, elements: list[float]) -> NDArray[Any]:
    try:
        wide = np.array(elements, dtype=np.float64)
    except OverflowError as error:
        raise BadRequest(
            f"the tensor '{name}' has an element that no {datatype} can hold"
        ) from error
    if datatype == "FP64":
        return wide
    with np.errstate(over="ignore"):
        narrow = wide.astype(_DTYPES[datatype])
    if np.isinf(narrow).sum() != np.isinf(wide).sum():
        raise BadRequest(f"the tensor '{name}' has an element that no {datatype} can hold")
    return narrow
