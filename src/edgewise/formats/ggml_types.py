"""The types of ggml's tensors: how many elements a block has, and how many bytes it takes.

From the public headers of ggml (ggml.h, ggml-common.h).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from edgewise.graph import Quantization, Tensor, Weights

if TYPE_CHECKING:
    import numpy as np


class BlockType(NamedTuple):
    """A type; `number` is what the files call it."""

    number: int
    name: str
    block: int
    size: int


_PLAIN = (
    (0, "float32", 4), (1, "float16", 2), (24, "int8", 1), (25, "int16", 2), (26, "int32", 4),
    (27, "int64", 8), (28, "float64", 8), (30, "bfloat16", 2),
)  # fmt: skip
_BLOCKS = (
    (2, "q4_0", 32, 18), (3, "q4_1", 32, 20), (4, "q4_2", 16, 10), (6, "q5_0", 32, 22),
    (7, "q5_1", 32, 24), (8, "q8_0", 32, 34), (9, "q8_1", 32, 36), (10, "q2_k", 256, 84),
    (11, "q3_k", 256, 110), (12, "q4_k", 256, 144), (13, "q5_k", 256, 176), (14, "q6_k", 256, 210),
    (15, "q8_k", 256, 292), (16, "iq2_xxs", 256, 66), (17, "iq2_xs", 256, 74),
    (18, "iq3_xxs", 256, 98), (19, "iq1_s", 256, 50), (20, "iq4_nl", 32, 18),
    (21, "iq3_s", 256, 110), (22, "iq2_s", 256, 82), (23, "iq4_xs", 256, 136),
    (29, "iq1_m", 256, 56), (31, "q4_0_4_4", 32, 18), (32, "q4_0_4_8", 32, 18),
    (33, "q4_0_8_8", 32, 18), (34, "tq1_0", 256, 54), (35, "tq2_0", 256, 66),
    (36, "iq4_nl_4_4", 32, 18), (37, "iq4_nl_4_8", 32, 18), (38, "iq4_nl_8_8", 32, 18),
    (39, "mxfp4", 32, 17), (40, "nvfp4", 64, 36),
)  # fmt: skip
TYPES = {
    number: BlockType(number, name, block, size)
    for number, name, block, size in (
        *((number, name, 1, size) for number, name, size in _PLAIN), *_BLOCKS,
    )
}  # fmt: skip


def tensor_of(
    name: str, kind: BlockType, shape: tuple[int, ...], weights: Weights, *, swapped: bool = False
) -> Tensor:
    """A tensor of such a type. `swapped`: its numbers are big-endian."""
    if kind.block == 1:
        if swapped and kind.size > 1:
            weights = Weights(weights.nbytes, _swapping(weights, kind.size))
        return Tensor(name, kind.name, shape, weights)
    elements = weights.nbytes // kind.size * kind.block
    quantization = Quantization(elements // kind.block, len(shape) - 1, kind.block)

    def decode(raw: memoryview) -> np.ndarray[Any, Any]:
        return _dequantised(raw, kind, shape, swapped)

    return Tensor(
        name, kind.name, shape, Weights(weights.nbytes, weights.load, decode), quantization
    )


def _swapping(weights: Weights, width: int) -> Any:
    def load() -> memoryview:
        import numpy as np

        return memoryview(np.frombuffer(weights.load(), f">u{width}").byteswap().tobytes())

    return load


def _dequantised(
    raw: memoryview, kind: BlockType, shape: tuple[int, ...], swapped: bool
) -> np.ndarray[Any, Any]:
    """The reals that blocks stand for, by the package `gguf` where it is installed."""
    import numpy as np

    try:
        from gguf import GGMLQuantizationType, quants
    except ImportError:
        raise ValueError(f"values of type {kind.name} need the package gguf") from None
    if swapped:
        raise ValueError(f"values of type {kind.name} in big-endian order are not read")
    blocks = np.frombuffer(raw, np.uint8).reshape(-1, kind.size)
    try:
        values = quants.dequantize(blocks, GGMLQuantizationType(kind.number))
    except (NotImplementedError, ValueError, KeyError) as error:
        raise ValueError(f"values of type {kind.name}: {error}") from error
    return np.asarray(values, dtype=np.float32).reshape(shape)
