"""What stays of a layer's weights whatever file they lie in: a few numbers, compared in lineage.

The same weights come in another order of axes, as 16-bit floats, as integers with a scale for each
output channel, or with a batch normalisation folded into them, which is a factor per channel too.
So each output channel is divided by its norm, and what is kept of the result does not depend on the
order of its elements: sums of sines of the values (the imaginary part of the empirical
characteristic function; Feuerverger and Mureika, Annals of Statistics 5, 1977), divided by the root
of their number. Of two independent sets of weights these differ by about 1 each; of the same ones
rounded to 8 bits, or moved by some percent, by some hundredths. Cosines would not do: they follow
the distribution, not the weights.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewise.graph import Kind, Layer, Tensor

#: Frequencies at which it is taken, of values whose mean square is 1.
_FREQUENCIES = (0.5, 1.2, 2.0, 3.0, 4.2, 5.6)
#: Fewer elements say too little to tell weights apart.
LEAST = 48
#: Of more, the first so many count: time and memory stay bounded.
_MOST = 1 << 22
#: How many of the smallest hashes of a tensor's values are kept (bottom-k sketch; Cohen, 2008).
_BOTTOM = 32

#: Axes of a weight that count output channels, by the layout of `docs/kinds.md`. `*` is the kernel.
_OUTPUT_AXES = {
    "OI*": (0,), "O*I": (0,), "1*O": (-1,), "*IO": (-1,), "*OI": (-2,), "*GO": (-2, -1),
    "GOI*": (0, 1), "IO*": (1,), "I*O": (-1,), "GIO*": (0, 2), "OI": (0,), "IO": (1,),
}  # fmt: skip


def output_axes(layer: Layer, rank: int) -> tuple[int, ...]:
    """The axes of a layer's weight that count what it gives, () where none is known to."""
    match layer.kind:
        case Kind.CONV | Kind.CONV_TRANSPOSE | Kind.DENSE:
            layout = str(layer.attributes.get("weight_layout", "OI"))
            axes = _OUTPUT_AXES.get(layout, (0,))
        case Kind.MATMUL:
            axes = (-2,) if layer.attributes.get("transpose_b") else (-1,)
        case Kind.RECURRENT:  # (directions, gates · hidden, inputs)
            axes = tuple(range(rank - 1))
        case Kind.WEIGHTS:  # as PyTorch has them, whose files say no more
            axes = (0,)
        case _:
            axes = ()
    return tuple(axis % rank for axis in axes if -rank <= axis < rank)


def sketch(tensor: Tensor, array: NDArray[Any], axes: tuple[int, ...]) -> tuple[float, ...] | None:
    """The numbers, one per frequency: of channels divided by their norms, then of the whole tensor
    divided by its own, for files that do not say which axis counts channels. None where the weights
    say nothing of their network: too few, or all alike."""
    if array.size < LEAST or array.dtype.kind not in "fiu":
        return None
    values = array.astype(np.float32, copy=False)
    if array.dtype.kind in "iu":
        values = values - _zero(tensor, array)
    if not np.isfinite(values).all():
        return None
    if float(np.ptp(values)) == 0:
        return None
    moved = np.moveaxis(values, axes, range(len(axes)))
    channels = int(np.prod(moved.shape[: len(axes)])) if axes else 1
    by_channel = _sines(moved.reshape(channels, -1))
    whole = by_channel if channels == 1 else _sines(values.reshape(1, -1))
    return by_channel + whole


def _sines(rows: NDArray[np.float32]) -> tuple[float, ...]:
    """Of values whose rows are divided by their norms."""
    norm = np.sqrt(np.square(rows, dtype=np.float64).mean(axis=1, keepdims=True))
    rows = np.divide(rows, norm, out=np.zeros(rows.shape, np.float32), where=norm != 0,
                     casting="unsafe")  # fmt: skip
    flat = rows.reshape(-1)[:_MOST]
    root = np.float64(flat.size) ** 0.5
    return tuple(
        round(float(np.sin(flat * np.float32(frequency)).sum(dtype=np.float64) / root), 5)
        for frequency in _FREQUENCIES
    )


def _zero(tensor: Tensor, array: NDArray[Any]) -> np.float32:
    """The integer that stands for zero; where the tensor does not say, the middle one: weights lie
    on both sides of zero. Of signed ones it is 0, unless that is far from the middle."""
    stated = tensor.quantization.zero_point if tensor.quantization else None
    if stated is None:
        middle = np.float32(np.median(array))
        if array.dtype.kind == "u" or abs(middle) > 0.5 * float(array.std()):
            return middle
    return np.float32(stated or 0)


def bottom(array: NDArray[Any]) -> tuple[int, ...]:
    """The smallest hashes of the values that are not zero, in rising order: what a pruned copy of a
    tensor shares with it. Of floating-point weights only."""
    if array.dtype.kind != "f" or array.size < LEAST:
        return ()
    flat = np.unique(array.reshape(-1)[:_MOST].astype(np.float32))
    bits = flat[flat != 0].view(np.uint32).astype(np.uint64)
    # A multiplicative hash (Knuth, volume 3, 6.4) of the bits, folded to 32.
    mixed = (bits * np.uint64(0x9E3779B97F4A7C15)) ^ (bits << np.uint64(17))
    hashed = ((mixed * np.uint64(0xBF58476D1CE4E5B9)) >> np.uint64(32)).astype(np.int64)
    hashed.sort()
    return tuple(hashed[:_BOTTOM].tolist())


def shape_key(elements: list[int]) -> int:
    """One number for the sizes of a network's layers, in whatever order a file has them."""
    return zlib.crc32(",".join(map(str, sorted(elements))).encode())
