"""ONNX's stored tensors as lazy `Weights`: raw bytes, typed fields, external files, sparse ones.

Nothing is read here but the tensors' heads. `load` gives little-endian bytes of the tensor's dtype
whichever of TensorProto's seven ways the file chose to hold them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from edgewise.archive import File
from edgewise.errors import InputError, LimitExceeded, RejectedModel
from edgewise.formats import siblings
from edgewise.formats.onnx.wire import TensorTag, decode_pairs, dtype_name
from edgewise.formats.protobuf import (
    Span,
    Wire,
    bytes_tag,
    fixed32_tag,
    fixed64_tag,
    signed,
    varint_tag,
)
from edgewise.graph import DTYPE_BITS, Tensor, Weights

if TYPE_CHECKING:
    import numpy as np

#: TensorProto's typed contents whose packed form is the little-endian bytes themselves:
#: float_data and double_data.
_AS_THEY_ARE = frozenset((bytes_tag(4), fixed32_tag(4), bytes_tag(10), fixed64_tag(10)))
#: int32_data, int64_data and uint64_data: integers of variable length.
_PACKED_INTEGERS = frozenset((bytes_tag(5), bytes_tag(7), bytes_tag(11)))
_LONE_INTEGERS = frozenset((varint_tag(5), varint_tag(7), varint_tag(11)))
_STRING_DATA = bytes_tag(6)
_TYPED = _AS_THEY_ARE | _PACKED_INTEGERS | _LONE_INTEGERS | {_STRING_DATA}
_DIMS, _DATA_TYPE, _NAME, _RAW_DATA = (
    TensorTag.DIMS, TensorTag.DATA_TYPE, TensorTag.NAME, TensorTag.RAW_DATA
)  # fmt: skip
_SPARSE_VALUES, _SPARSE_INDICES = bytes_tag(1), bytes_tag(2)
_SPARSE_DIMS, _SPARSE_DIMS_PACKED = varint_tag(3), bytes_tag(3)
#: TensorProto.DataLocation
_EXTERNAL = 1
#: Dimensions of a tensor. NumPy ends at 64, ONNX Runtime's operators at 8 or so.
_RANK_LIMIT = 64
#: A sparse tensor is filled up with zeros only up to this size.
_DENSE_LIMIT_BYTES = 1 << 31


class ExternalFiles:
    """The files beside the model that its tensors may point into."""

    def __init__(self, model: File) -> None:
        self._model = model
        self._found: dict[str, File | None] = {}

    def find(self, location: str) -> File | None:
        """The file at a tensor's `location`; None where it is not in the model's own folder
        or below. Locations are untrusted: one that leads elsewhere is not followed.
        """
        if location not in self._found:
            self._found[location] = self._model.sibling(location.removeprefix("./"))
        return self._found[location]

    def present(self) -> tuple[str, ...]:
        """Names of those that tensors point into and that came along."""
        return tuple(name.removeprefix("./") for name, file in self._found.items() if file)

    def missing(self) -> tuple[str, ...]:
        """Locations that tensors point into and that did not come along."""
        return tuple(location for location, file in self._found.items() if file is None)


@dataclass(slots=True)
class _Head:
    """A TensorProto without its contents."""

    span: Span
    name: str = ""
    code: int = 0
    dims: list[int] = field(default_factory=list)
    raw: Span | None = None
    typed: bool = False
    external: dict[str, str] | None = None

    @property
    def dtype(self) -> str:
        return dtype_name(self.code)


def stored_tensor(wire: Wire, span: Span, files: ExternalFiles) -> Tensor:
    """The TensorProto in `span`, its values unread.

    Raises:
        RejectedModel: its contents do not fit its shape and dtype.
    """
    head = _head(wire, span)
    shape = _checked_shape(head.name, head.dims)
    return Tensor(head.name, head.dtype, shape, _weights(wire, head, files))


def _checked_shape(name: str, dims: list[int]) -> tuple[int, ...]:
    if len(dims) > _RANK_LIMIT or (dims and min(dims) < 0):
        raise RejectedModel(f"tensor {name!r} of {len(dims)} dimensions: {str(dims[:9])[1:-1]}")
    return tuple(dims)


def _head(wire: Wire, span: Span) -> _Head:
    head = _Head(span)
    first = span[0]
    _, fields = wire.short(*span)
    for tag, start, end in fields:
        if tag == _DIMS:
            head.dims.append(signed(start))
        elif tag == _RAW_DATA:
            head.raw = (first + start, first + end)
        elif tag == _NAME:
            head.name = wire.text(first + start, first + end)
        elif tag == _DATA_TYPE:
            head.code = start
        elif tag in _TYPED:
            head.typed = True
        elif tag == TensorTag.DIMS_PACKED:
            head.dims.extend(map(signed, wire.varints(first + start, first + end)))
        elif tag == TensorTag.EXTERNAL_DATA:
            key, value = decode_pairs(wire, (first + start, first + end))
            head.external = {**(head.external or {}), key: value}
        elif tag == TensorTag.DATA_LOCATION and start == _EXTERNAL:
            head.external = head.external or {}
    return head


def packed_bytes(dtype: str, elements: int) -> int | None:
    """Bytes that so many elements take, None for a dtype without a fixed size."""
    bits = DTYPE_BITS.get(dtype)
    return None if bits is None else -(-elements * bits // 8)


def _weights(wire: Wire, head: _Head, files: ExternalFiles) -> Weights:
    dtype = head.dtype
    expected = packed_bytes(dtype, math.prod(head.dims))
    if head.external is not None:
        return _external(head, expected, files)
    if head.raw is not None and not (head.typed and head.raw[0] == head.raw[1]):
        return _raw(wire, head, head.raw, expected)
    if dtype == "string":
        parts = [(a, b) for tag, a, b in wire.fields(*head.span) if tag == _STRING_DATA]
        return Weights(sum(b - a for a, b in parts), partial(_joined, wire.data, parts))
    if head.typed and expected is not None:
        return Weights(expected, partial(_typed, wire.data, head.span, head.name, expected))
    if expected == 0:
        return Weights(0, lambda: memoryview(b""))
    raise RejectedModel(f"tensor {head.name!r} of type {head.dtype} holds no data")


def _raw(wire: Wire, head: _Head, raw: Span, expected: int | None) -> Weights:
    size = raw[1] - raw[0]
    if expected is not None and size != expected:
        raise RejectedModel(
            f"tensor {head.name!r} of type {head.dtype} and shape {head.dims} holds {size} bytes,"
            f" not {expected}"
        )
    return Weights(size, partial(_joined, wire.data, [raw]))


def _joined(data: memoryview, parts: list[Span]) -> memoryview:
    if len(parts) == 1:
        return data[parts[0][0] : parts[0][1]]
    return memoryview(b"".join(data[start:end] for start, end in parts))


def _external(head: _Head, expected: int | None, files: ExternalFiles) -> Weights:
    entries = head.external or {}
    location = entries.get("location", "")
    offset, length = (_count(head.name, entries, key) for key in ("offset", "length"))
    size = expected if expected is not None else length
    if length and length != size:
        raise RejectedModel(f"tensor {head.name!r}: {length} bytes of external data, not {size}")
    file = files.find(location)
    return siblings.stored(file, location, offset, size)


def _count(name: str, entries: dict[str, str], key: str) -> int:
    text = entries.get(key, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise RejectedModel(f"tensor {name!r}: {key} {text!r} of its external data is no number")
    return int(text)


def _typed(data: memoryview, span: Span, name: str, expected: int) -> memoryview:
    """The typed contents of the TensorProto in `span`, as little-endian bytes.

    int32_data also holds all narrower types, one element (or one byte of packed ones) a number.
    """
    wire = Wire(data)
    parts: list[memoryview | bytes] = []
    integers: list[np.ndarray[Any, Any] | list[int]] = []
    code = 0
    for tag, start, end in wire.fields(*span):
        if tag in _AS_THEY_ARE:
            parts.append(data[start:end])
        elif tag in _PACKED_INTEGERS:
            integers.append(_varints(data[start:end], name))
        elif tag in _LONE_INTEGERS:
            integers.append([start])
        elif tag == TensorTag.DATA_TYPE:
            code = start
    if integers:
        parts = [_narrowed(integers, dtype_name(code))]
    whole = memoryview(parts[0]) if len(parts) == 1 else memoryview(b"".join(parts))
    if whole.nbytes != expected:
        raise InputError(f"tensor {name!r} holds {whole.nbytes} bytes, not {expected}")
    return whole


def _varints(packed: memoryview, name: str) -> np.ndarray[Any, Any]:
    """All integers of variable length in `packed`, at numpy's speed."""
    import numpy as np

    raw = np.frombuffer(packed, np.uint8)
    ends = np.flatnonzero(raw < 0x80)
    if raw.size and (not ends.size or ends[-1] != raw.size - 1):
        raise InputError(f"tensor {name!r} ends within a number")
    starts = np.concatenate(([0], ends[:-1] + 1)) if ends.size else ends
    lengths = ends - starts + 1
    if lengths.size and lengths.max() > 10:
        raise InputError(f"tensor {name!r} holds a number of more than ten bytes")
    values = np.zeros(ends.size, np.uint64)
    for index in range(int(lengths.max(initial=0))):
        longer = lengths > index
        digits = (raw[starts[longer] + index] & 0x7F).astype(np.uint64)
        values[longer] |= digits << np.uint64(7 * index)
    return values


def _narrowed(integers: list[np.ndarray[Any, Any] | list[int]], dtype: str) -> bytes:
    """Numbers to the width of their dtype; two's complement keeps negative ones right."""
    import numpy as np

    width = max(8, DTYPE_BITS.get(dtype, 64)) // 8
    values = np.concatenate([np.asarray(part, np.uint64) for part in integers])
    return values.astype(f"<u{width}").tobytes()


def sparse_tensor(wire: Wire, span: Span, files: ExternalFiles) -> Tensor:
    """The SparseTensorProto in `span`: its dense shape, its stored bytes, its name (the values').

    `load` fills it up with zeros.
    """
    parts: dict[int, Tensor] = {}
    dims: list[int] = []
    for tag, start, end in wire.fields(*span):
        if tag in (_SPARSE_VALUES, _SPARSE_INDICES):
            parts[tag] = stored_tensor(wire, (start, end), files)
        elif tag == _SPARSE_DIMS:
            dims.append(signed(start))
        elif tag == _SPARSE_DIMS_PACKED:
            dims.extend(signed(size) for size in wire.varints(start, end))
    if len(parts) != 2:
        raise RejectedModel(f"sparse tensor without values, indices or shape at byte {span[0]}")
    values, indices = parts[_SPARSE_VALUES], parts[_SPARSE_INDICES]
    stored = sum(part.weights.nbytes for part in parts.values() if part.weights)
    shape = _checked_shape(values.name, dims)
    weights = Weights(stored, partial(_filled_up, values, indices, shape))
    return Tensor(values.name, values.dtype, shape, weights)


def _filled_up(values: Tensor, indices: Tensor, shape: tuple[int, ...]) -> memoryview:
    import numpy as np

    size = packed_bytes(values.dtype, math.prod(shape)) or 0
    if size > _DENSE_LIMIT_BYTES:
        raise LimitExceeded(f"sparse tensor {values.name!r} would fill {size:,} bytes")
    stored = values.array()
    dense = np.zeros(math.prod(shape), stored.dtype)
    places = indices.array()
    try:
        if places.ndim == 2:
            places = np.ravel_multi_index(tuple(places.T), shape)
        dense[places] = stored
    except (ValueError, IndexError) as error:
        raise InputError(f"sparse tensor {values.name!r}: {error}") from error
    return memoryview(dense.tobytes())
