"""Weights inside a specification: floats, half floats, or numbers of 1 to 8 bits with a scale."""

from __future__ import annotations

import math
import struct
from typing import TYPE_CHECKING, Any

from edgewise.errors import RejectedModel
from edgewise.formats.building import stored
from edgewise.formats.coreml.blob import unpacked_high_first
from edgewise.formats.messages import Message
from edgewise.formats.protobuf import Wire
from edgewise.graph import Quantization, Tensor, Weights

if TYPE_CHECKING:
    pass


def tensor(wire: Wire, name: str, message: Message, shape: tuple[int, ...]) -> Tensor:
    """The weights of a `WeightParams` message, as a tensor of this shape.

    Raises:
        RejectedModel: they do not fill it.
    """
    count = math.prod(shape)
    for kind, dtype, width in (("float", "float32", 4), ("float16", "float16", 2)):
        if message.has(kind):
            start, end = message.last(kind)
            if end - start != count * width:
                raise RejectedModel(f"{name}: {end - start:,} bytes do not fill {shape}")
            return Tensor(name, dtype, shape, stored(wire.data, start, end - start))
    for kind in ("raw", "int8"):
        if message.has(kind):
            start, end = message.last(kind)
            return _quantised(wire, name, message, shape, (start, end))
    raise RejectedModel(f"{name}: no weights are stored")


def _quantised(
    wire: Wire, name: str, message: Message, shape: tuple[int, ...], span: tuple[int, int]
) -> Tensor:
    quantization = message.message("quantization")
    bits = quantization.integer("bits", 8) or 8
    count = math.prod(shape)
    if not 1 <= bits <= 8 or span[1] - span[0] < (count * bits + 7) // 8:
        raise RejectedModel(
            f"{name}: {span[1] - span[0]:,} bytes do not fill {shape} of {bits} bits"
        )
    data = stored(wire.data, span[0], span[1] - span[0])
    scales, biases = (_floats(wire, quantization.last("linear"), number) for number in (1, 2))
    palette = _floats(wire, quantization.last("lookup"), 1)

    def decode(raw: memoryview) -> Any:
        import numpy as np

        flat = unpacked_high_first(raw, bits, count)
        if palette:
            look = np.array(palette, np.float32)
            return look[np.minimum(flat, len(palette) - 1)].reshape(shape)
        if not scales:
            return flat.astype(np.uint8).view(np.int8).reshape(shape)
        dense = flat.astype(np.float32).reshape(shape)
        spread = (-1, *[1] * (len(shape) - 1))
        along = np.array(scales, np.float32)
        offset = np.array(biases or [0.0], np.float32)
        if len(scales) > 1:
            return dense * along.reshape(spread) + offset.reshape(spread if len(biases) > 1 else -1)
        return dense * along[0] + offset[0]

    many = max(len(scales), 1)
    described = Quantization(
        many, 0 if many > 1 else None, None, scales[0] if many == 1 and scales else None,
        palette=bool(palette),
    )  # fmt: skip
    return Tensor(name, f"uint{bits}", shape, Weights(data.nbytes, data.load, decode), described)


def _floats(wire: Wire, span: Any, number: int) -> list[float]:
    """The packed floats of field `number` in a message of its own."""
    if span is None:
        return []
    found: list[float] = []
    for tag, start, end in wire.fields(*span):
        if tag == number << 3 | 2 and (end - start) % 4 == 0:
            wire.budget -= (end - start) // 4
            found += struct.unpack_from(f"<{(end - start) // 4}f", wire.data, start)
        elif tag == number << 3 | 5:
            found += struct.unpack_from("<f", wire.data, start)
    return found
