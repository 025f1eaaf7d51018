"""Weights that a program stores in fewer bits: affine, by palette, sparse, in blocks.

Each becomes one stored tensor of its dense shape, which knows how to unpack itself (operations
`constexpr_…` of coremltools' reference).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from edgewise.errors import RejectedModel
from edgewise.formats.coreml.blob import ODD_BITS, unpacked
from edgewise.formats.coreml.program import Constant
from edgewise.graph import Quantization, Tensor, Weights

if TYPE_CHECKING:
    import numpy as np

Parts = Mapping[str, Constant | None]


def compressed(op: str, name: str, dtype: str, shape: tuple[int, ...], parts: Parts) -> Tensor:
    """The dense tensor that a compressed one stands for."""
    return COMPRESSED[op](name, dtype, shape, parts)


def _need(parts: Parts, *names: str) -> Constant:
    for name in names:
        found = parts.get(name)
        if found is not None and found.weights is not None:
            return found
    raise RejectedModel(f"compressed weights without {names[0]}")


def values(constant: Constant) -> np.ndarray[Any, Any]:
    """The numbers of a constant, unpacked."""
    import numpy as np

    if constant.weights is None:
        raise ValueError("no values")
    if constant.weights.decode is not None:
        return constant.weights.decode(constant.weights.load()).reshape(constant.shape)
    count = math.prod(constant.shape)
    bits = ODD_BITS.get(constant.dtype)
    raw = constant.weights.load()
    if bits is None:
        flat = Tensor("", constant.dtype, constant.shape, Weights(len(raw), lambda: raw)).array()
        return flat.reshape(constant.shape)
    flat = unpacked(raw, bits, count)
    if constant.dtype.startswith("int"):
        flat = flat.astype(np.int32)
        flat = np.where(flat >= 1 << (bits - 1), flat - (1 << bits), flat)
    return flat.reshape(constant.shape)


def _affine(name: str, dtype: str, shape: tuple[int, ...], parts: Parts) -> Tensor:
    data = _need(parts, "quantized_data")
    scale, zero = parts.get("scale"), parts.get("zero_point")
    axis_part = parts.get("axis")
    axis = (axis_part.numbers() or [0])[0] if axis_part is not None else 0
    shape = shape or data.shape

    def decode(raw: memoryview) -> Any:
        import numpy as np

        flat = values(Constant(data.dtype, data.shape, Weights(len(raw), lambda: raw)))
        spread = [1] * len(data.shape)

        def along(part: Constant | None, default: float) -> Any:
            if part is None:
                return default
            found = values(part).astype(np.float32).reshape(-1)
            if found.size > 1:
                spread[axis] = found.size
                return found.reshape(spread)
            return found[0]

        return (flat.astype(np.float32) - along(zero, 0)) * along(scale, 1)

    scales = math.prod(scale.shape) if scale is not None else 1
    return _made(name, data, shape, decode, Quantization(scales, axis if scales > 1 else None))


def _blockwise(name: str, dtype: str, shape: tuple[int, ...], parts: Parts) -> Tensor:
    data, scale, offset = _need(parts, "data"), _need(parts, "scale"), parts.get("offset")

    def decode(raw: memoryview) -> Any:
        import numpy as np

        held = data.weights
        decode_inner = held.decode if held is not None else None
        flat = values(
            Constant(data.dtype, data.shape, Weights(len(raw), lambda: raw, decode_inner))
        )
        flat = flat.astype(np.float32)

        def spread(part: Constant) -> np.ndarray[Any, Any]:
            found = values(part).astype(np.float32)
            for axis, (have, want) in enumerate(zip(found.shape, flat.shape, strict=False)):
                if have != want and have and want % have == 0:
                    found = np.repeat(found, want // have, axis)
            return found

        if offset is not None:
            flat = flat - spread(offset)
        return flat * spread(scale)

    scales = math.prod(scale.shape)
    return _made(name, data, shape or data.shape, decode, Quantization(scales))


def _palette(name: str, dtype: str, shape: tuple[int, ...], parts: Parts) -> Tensor:
    """Indices into a table; in iOS 18 the table has the indices' rank, then values and a vector."""
    indices, table = _need(parts, "indices"), _need(parts, "lut")
    stated = parts.get("shape")
    if not shape and stated is not None:
        shape = tuple(int(size) for size in stated.numbers() or ())
    newer = len(table.shape) > 1
    entries = table.shape[-2] if newer else math.prod(table.shape)
    bits = ODD_BITS.get(indices.dtype) or max(1, (max(entries, 1) - 1).bit_length())
    shape = shape or indices.shape
    count = math.prod(indices.shape) if newer else math.prod(shape)
    packed = not newer or indices.dtype in ODD_BITS

    def decode(raw: memoryview) -> Any:
        import numpy as np

        flat = unpacked(raw, bits, count) if packed else np.frombuffer(raw, np.uint8)[:count]
        look = values(table)
        if not newer:
            return look.reshape(-1)[np.minimum(flat, entries - 1)].reshape(shape)
        places = np.minimum(flat, entries - 1).reshape(indices.shape)
        blocks = look
        for axis, (have, want) in enumerate(zip(look.shape[:-2], places.shape, strict=False)):
            if have != want and have and want % have == 0:
                blocks = np.repeat(blocks, want // have, axis)
        if look.shape[-1] != 1:
            raise ValueError("palettes of vectors are not unpacked")
        blocks = np.broadcast_to(blocks[..., 0], (*places.shape, entries))
        return np.take_along_axis(blocks, places[..., None].astype(np.int64), -1)[..., 0]

    weights = indices.weights
    nbytes = (weights.nbytes if weights else 0) + (table.weights.nbytes if table.weights else 0)
    load = weights.load if weights else (lambda: memoryview(b""))
    made = Weights(nbytes, load, decode)
    tables = Quantization(math.prod(table.shape[:-2]) or 1, palette=True)
    return Tensor(name, f"uint{bits}", shape, made, tables)


def _sparse(name: str, dtype: str, shape: tuple[int, ...], parts: Parts) -> Tensor:
    """The values that are not zero, and a bit for every place."""
    held, mask = _need(parts, "nonzero_data"), _need(parts, "mask")
    stated = parts.get("shape")
    if not shape and stated is not None:
        shape = tuple(int(size) for size in stated.numbers() or ())
    shape = shape or mask.shape

    def decode(raw: memoryview) -> Any:
        import numpy as np

        there = unpacked(mask.weights.load() if mask.weights else memoryview(b""), 1,
                         math.prod(shape)).astype(bool)  # fmt: skip
        found = values(Constant(held.dtype, held.shape, Weights(len(raw), lambda: raw)))
        dense = np.zeros(math.prod(shape), found.dtype)
        dense[there] = found.reshape(-1)[: int(there.sum())]
        return dense.reshape(shape)

    weights = held.weights
    nbytes = (weights.nbytes if weights else 0) + (mask.weights.nbytes if mask.weights else 0)
    load = weights.load if weights else (lambda: memoryview(b""))
    return Tensor(name, held.dtype, shape, Weights(nbytes, load, decode))


def _cast(name: str, dtype: str, shape: tuple[int, ...], parts: Parts) -> Tensor:
    source = _need(parts, "source_val")
    return Tensor(name, source.dtype, shape or source.shape, source.weights)


def _as_held(name: str, dtype: str, shape: tuple[int, ...], parts: Parts) -> Tensor:
    """Compressed twice: what is stored is counted, its values are not unpacked."""
    held = _need(parts, "nonzero_data", "indices_nonzero_data", "data")
    stated = parts.get("indices_mask") or parts.get("data_mask")
    shape = shape or (stated.shape if stated is not None else held.shape)

    def decode(raw: memoryview) -> Any:
        raise ValueError("weights that are compressed twice are not unpacked")

    return _made(name, held, shape, decode, Quantization(1))


def _made(
    name: str, data: Constant, shape: tuple[int, ...], decode: Callable[[memoryview], Any],
    quantization: Quantization,
) -> Tensor:  # fmt: skip
    weights = data.weights
    if weights is None:
        raise RejectedModel("compressed weights without data")
    return Tensor(
        name, data.dtype, shape, Weights(weights.nbytes, weights.load, decode), quantization
    )


COMPRESSED: Mapping[str, Callable[[str, str, tuple[int, ...], Parts], Tensor]] = {
    "constexpr_affine_dequantize": _affine,
    "constexpr_blockwise_shift_scale": _blockwise,
    "constexpr_lut_to_dense": _palette,
    "constexpr_sparse_to_dense": _sparse,
    "constexpr_cast": _cast,
    "constexpr_lut_to_sparse": _as_held,
    "constexpr_sparse_blockwise_shift_scale": _as_held,
}
