"""The `data` of a tensor in JSON: flat, or nested as its shape is, checked strictly.

Numbers are decoded in slices, so that a large tensor (which is decoded in a thread) never holds
the interpreter for longer than a slice takes. Nesting is checked on the text's skeleton: what is
left of it without its numbers has to be the skeleton of the shape.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgewise.protocol.messages import DATATYPES, BadRequest, Tensor
from edgewise.protocol.tensors import NO_NUMBERS, checked_shape, from_elements

#: Text decoded at a time; about 1 ms.
_SLICE_BYTES = 128 * 1024
_SLICE_ELEMENTS = 16 * 1024
#: By what Python calls them.
_NO_NUMBERS = {str(value): name for name, value in NO_NUMBERS.items()}
_QUOTED = re.compile(rb'"(?:NaN|-?Infinity)"')
_NESTED = re.compile(rb"\s*\[\s*\[")
_NUMERIC = b"0123456789+-.eE \t\r\n" + b"trufalse"
_BRACKETS_TO_BLANKS = bytes.maketrans(b"[]", b"  ")
_PLACE = re.compile(r"`\$\[(\d+)\]`$")
_LIST = msgspec.json.Decoder(list)


def _decoder(datatype: str) -> msgspec.json.Decoder[list[Any]]:
    """A decoder of flat data that lets only values through that the datatype can hold."""
    dtype = np.dtype(DATATYPES[datatype])
    if dtype.kind == "b":
        return msgspec.json.Decoder(list[bool])
    if dtype.kind == "f":
        most = float(np.finfo(dtype).max)
        return msgspec.json.Decoder(list[Annotated[float, msgspec.Meta(ge=-most, le=most)]])
    limits = np.iinfo(dtype)
    # msgspec has no bound above an INT64's; numpy refuses what is above UINT64's.
    most_int = None if datatype == "UINT64" else int(limits.max)
    bounds = msgspec.Meta(ge=int(limits.min), le=most_int)
    return msgspec.json.Decoder(list[Annotated[int, bounds]])


_WITH_STRINGS = msgspec.json.Decoder(list[float | Literal["NaN", "Infinity", "-Infinity"]])
_DECODERS = {datatype: _decoder(datatype) for datatype in DATATYPES}


def decode(
    name: str, datatype: str, shape: list[int], text: bytes, *, base64_strings: bool = False
) -> Tensor:
    """A tensor from the text of its `data`.

    BYTES are strings as UTF-8, or base64 where the caller says so. FP16 has no JSON form. Among
    floating-point numbers may be "NaN", "Infinity" and "-Infinity", as `encode` writes them.

    Raises:
        BadRequest: which input, and what is wrong with it.
    """
    sizes = checked_shape(name, datatype, shape)
    if datatype == "FP16":
        raise BadRequest(f"input '{name}': FP16 is taken as binary data only")
    if datatype == "BYTES":
        elements = _strings(name, sizes, text)
        if base64_strings:
            elements = [_from_base64(name, each) for each in elements]
        return from_elements(name, datatype, sizes, elements)
    if _NESTED.match(text):
        text = _flattened(name, sizes, text)
    if len(text) <= _SLICE_BYTES:
        flat = _numbers(name, datatype, text, 0)
    else:
        flat = _in_slices(name, datatype, text)
    if flat.size != math.prod(sizes):
        raise BadRequest(
            f"input '{name}': {flat.size} elements, its shape {shape} has {math.prod(sizes)}"
        )
    return Tensor(name, datatype, sizes, _shaped(name, flat, sizes))


def encode(values: NDArray[Any]) -> Iterator[bytes]:
    """The elements of an array, flat, as JSON in slices that take about 1 ms each.

    What JSON has no number for is one of the strings "NaN", "Infinity" and "-Infinity".
    """
    flat = values.reshape(-1)
    for at in range(0, max(flat.size, 1), _SLICE_ELEMENTS):
        part = flat[at : at + _SLICE_ELEMENTS]
        elements: list[Any] = part.tolist()
        if part.dtype.kind == "f" and not np.isfinite(part).all():
            elements = [x if math.isfinite(x) else _NO_NUMBERS[str(x)] for x in elements]
        yield (b"," if at else b"[") + msgspec.json.encode(elements)[1:-1]
    yield b"]"


def _numbers(name: str, datatype: str, text: bytes, first: int) -> NDArray[Any]:
    """Flat data as an array; `first` is the index of its first element in the whole."""
    try:
        if b'"' in text and np.dtype(DATATYPES[datatype]).kind == "f":
            elements = _WITH_STRINGS.decode(text)
            return from_elements(name, datatype, [len(elements)], elements).values  # type: ignore[return-value]
        return np.array(_DECODERS[datatype].decode(text), DATATYPES[datatype])
    except OverflowError as error:
        raise BadRequest(f"input '{name}': its data has a number above {datatype}'s") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        words = _PLACE.sub(lambda place: f"element {int(place[1]) + first}", str(error))
        raise BadRequest(f"input '{name}': its data: {words}", hint=f"it is {datatype}") from error


def _shaped(name: str, flat: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    try:
        return flat.reshape(shape)
    except ValueError as error:  # without elements, a shape may state sizes that overflow
        raise BadRequest(f"input '{name}': the shape {list(shape)} is too large") from error


def _in_slices(name: str, datatype: str, text: bytes) -> NDArray[Any]:
    parts: list[NDArray[Any]] = []
    first = 0
    for part in _slices(name, text):
        parts.append(_numbers(name, datatype, part, first))
        first += parts[-1].size
    return np.concatenate(parts)


def _slices(name: str, text: bytes) -> Iterator[bytes]:
    """A long flat array as short ones, cut at commas."""
    text = text.strip()
    if not (text.startswith(b"[") and text.endswith(b"]")):
        raise BadRequest(f"input '{name}': its data is no array")
    at, end = 1, len(text) - 1
    while at <= end:
        comma = text.find(b",", min(at + _SLICE_BYTES, end), end)
        cut = end if comma < 0 else comma
        part = text[at:cut]
        if not part.strip():
            raise BadRequest(f"input '{name}': an element of its data is missing")
        yield b"[" + part + b"]"
        at = cut + 1


def _list(name: str, text: bytes) -> list[Any]:
    try:
        return _LIST.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"input '{name}': its data: {error}") from error


def _flattened(name: str, shape: tuple[int, ...], text: bytes) -> bytes:
    skeleton = _QUOTED.sub(b"0", text).translate(None, delete=_NUMERIC)
    if skeleton.strip(b"[],"):
        raise BadRequest(f"input '{name}': its data holds something that is no number")
    if len(skeleton) != _skeleton_length(shape) or skeleton != _skeleton(shape):
        raise BadRequest(f"input '{name}': its data is not nested as its shape {list(shape)}")
    if not math.prod(shape):
        return b"[]"
    # Blanks, so that nothing is glued together; the skeleton is known to be right.
    return b"[" + text.translate(_BRACKETS_TO_BLANKS) + b"]"


def _skeleton(shape: tuple[int, ...]) -> bytes:
    inner = b""
    for size in reversed(shape):
        inner = b"[" + b",".join([inner] * size) + b"]"
    return inner


def _skeleton_length(shape: tuple[int, ...]) -> int:
    """Before it is built: a shape may state astronomic sizes."""
    length = 0
    for size in reversed(shape):
        length = 2 + size * length + max(size - 1, 0)
    return length


def _strings(name: str, shape: tuple[int, ...], text: bytes) -> list[Any]:
    elements = _list(name, text)
    nested = bool(elements) and isinstance(elements[0], list)
    return _unnested(name, shape, elements) if nested else elements


def _unnested(name: str, shape: tuple[int, ...], values: Any) -> list[Any]:
    if not shape or not isinstance(values, list) or len(values) != shape[0]:
        raise BadRequest(f"input '{name}': its data is not nested as its shape")
    if len(shape) == 1:
        return values
    return list(chain.from_iterable(_unnested(name, shape[1:], each) for each in values))


def _from_base64(name: str, text: Any) -> bytes:
    if not isinstance(text, str):
        raise BadRequest(f"input '{name}': its content type is base64, an element is no string")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequest(f"input '{name}': {error}", hint="its content type is base64") from error
