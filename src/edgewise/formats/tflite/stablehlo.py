"""TFLite's StableHLO operators in common words.

Where an attribute says something that no kind has (reversed or dilated inputs of a convolution,
padding between elements), the layer is `unknown` if it may multiply-accumulate, else `postprocess`.
Semantics are those of the StableHLO specification.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters

from edgewise.formats.kit import AS_STATED, UNKNOWN, Meaning
from edgewise.formats.tflite.operator import (
    Operator,
    Translator,
)
from edgewise.formats.tflite.ops import output_dtype, rule
from edgewise.graph import Kind

_COMPARISONS = ("equal", "not_equal", "greater_equal", "greater", "less_equal", "less")


def _dot_general(op: Operator) -> Meaning:
    """Output: the batch dimensions, then the left's free ones, then the right's."""
    left, right = op.input_rank(0), op.input_rank(1)
    batch = [op.options.int64s(slot) for slot in (0, 1)]
    contracted = [op.options.int64s(slot) for slot in (2, 3)]
    if left is None or right is None or left + right > len(ascii_letters):
        return UNKNOWN
    pairs = list(zip(batch[0] + contracted[0], batch[1] + contracted[1], strict=False))
    paired = len(batch[0]) == len(batch[1]) and len(contracted[0]) == len(contracted[1])
    if not (paired and _distinct([a for a, _ in pairs], left)
            and _distinct([b for _, b in pairs], right)):  # fmt: skip
        return UNKNOWN
    a = list(ascii_letters[:left])
    b = list(ascii_letters[left : left + right])
    for on_left, on_right in pairs:
        b[on_right] = a[on_left]
    free = [x for x in a if x not in b] + [x for x in b if x not in a]
    output = [a[axis] for axis in batch[0]] + free
    equation = f"{''.join(a)},{''.join(b)}->{''.join(output)}"
    return Meaning(Kind.EINSUM, {"equation": equation})


def _distinct(axes: Sequence[int], rank: int) -> bool:
    return len(set(axes)) == len(axes) and all(0 <= axis < rank for axis in axes)


def _convolution(op: Operator) -> Meaning:
    options = op.options
    spatial = options.int64s(7)
    layout = _layout(options.int64(5), options.int64(6), spatial)
    same_out = _layout(options.int64(11), options.int64(12), options.int64s(13)) == layout
    weight_layout = _weight_layout(options.int64(8), options.int64(9), options.int64s(10))
    plain = (
        all(step == 1 for step in options.int64s(2))
        and not any(options.flags(4))
        and options.int64(15, 1) == 1
    )
    pads = options.int64s(1) or (0,) * (2 * len(spatial))
    strides = options.int64s(0) or (1,) * len(spatial)
    dilations = options.int64s(3) or (1,) * len(spatial)
    fits = (
        len(pads) == 2 * len(spatial)
        and len(strides) == len(dilations) == len(spatial)
        and min(strides + dilations, default=0) > 0
        and options.int64(14, 1) > 0
    )
    if layout is None or weight_layout is None or not (same_out and plain and fits):
        return UNKNOWN
    return Meaning(Kind.CONV, {
        "layout": layout, "weight_layout": weight_layout, "groups": options.int64(14, 1),
        "strides": strides, "dilations": dilations, "pads": pads[0::2] + pads[1::2],
    })  # fmt: skip


def _layout(batch: int, feature: int, spatial: tuple[int, ...]) -> str | None:
    rank = len(spatial)
    if (batch, feature, spatial) == (0, rank + 1, tuple(range(1, rank + 1))):
        return "channels_last"
    if (batch, feature, spatial) == (0, 1, tuple(range(2, rank + 2))):
        return "channels_first"
    return None


def _weight_layout(inputs: int, outputs: int, spatial: tuple[int, ...]) -> str | None:
    rank = len(spatial)
    places = {
        (rank, rank + 1, 0): "*IO",
        (1, 0, 2): "OI*",
        (rank + 1, 0, 1): "O*I",
    }
    start = spatial[0] if spatial else 0
    in_order = spatial == tuple(range(start, start + rank))
    return places.get((inputs, outputs, start)) if in_order else None


def _slice(op: Operator) -> Meaning:
    begin, end = op.options.int64s(0), op.options.int64s(1)
    attributes = {
        "onnx": True,
        "begin": begin,
        "end": end,
        "axes": tuple(range(len(begin))),
        "steps": op.options.int64s(2) or (1,) * len(begin),
    }
    return Meaning(Kind.STRIDED_SLICE, attributes)


def _dynamic_slice(op: Operator) -> Meaning:
    attributes = {"size": op.options.int64s(0)}
    return Meaning(Kind.SLICE, attributes, (0, None, None))


def _pad(op: Operator) -> Meaning:
    if any(op.options.int64s(2)):
        return AS_STATED
    pads = op.options.int64s(0) + op.options.int64s(1)
    attributes = {"pads": pads, "order": "begin_end"}
    return Meaning(Kind.PAD, attributes, (0, None))


def _reduce(op: Operator) -> Meaning:
    if len(op.inputs) != 2:
        return AS_STATED
    attributes = {"function": "reduce", "axes": op.options.int64s(0), "keep_dims": False}
    return Meaning(Kind.REDUCE, attributes, (0, None))


def _reshape(op: Operator) -> Meaning:
    """The target shape is that of the output."""
    shape = op.output_shape()
    if shape is None:
        return AS_STATED
    return Meaning(Kind.RESHAPE, {"shape": shape})


def _compare(op: Operator) -> Meaning:
    direction = op.options.uint32(0)
    if direction >= len(_COMPARISONS):
        return AS_STATED
    return Meaning(Kind.BINARY, {"function": _COMPARISONS[direction]})


def _while(op: Operator) -> Meaning:
    bodies = (op.options.int32(0), op.options.int32(1))
    return Meaning(Kind.LOOP, {"style": "while"}, bodies=bodies)


def _case(op: Operator) -> Meaning:
    return Meaning(Kind.IF, bodies=op.options.int32s(0))


def _composite(op: Operator) -> Meaning:
    """A composite without a decomposition (0: none is the entry point) cannot be looked into."""
    body = op.options.int32(1)
    if body < 1:
        return UNKNOWN
    attributes = {"composite": op.options.text(0) or ""}
    return Meaning(Kind.CALL, attributes, bodies=(body,))


STABLEHLO: dict[str, Translator] = {
    "STABLEHLO_CLAMP": rule(Kind.UNARY, inputs=(1, 0, 2), function="clip"),
    "STABLEHLO_SELECT": rule(Kind.WHERE),
    "STABLEHLO_CONVERT": rule(Kind.CAST, dtype=output_dtype),
    "STABLEHLO_CONCATENATE": rule(Kind.CONCAT, axis=lambda op: op.options.int64(0)),
    "STABLEHLO_TRANSPOSE": rule(Kind.TRANSPOSE, permutation=lambda op: op.options.int64s(0)),
    "STABLEHLO_SCATTER": rule(Kind.SCATTER),
    "STABLEHLO_CUSTOM_CALL": lambda op: UNKNOWN,
    "STABLEHLO_DOT_GENERAL": _dot_general,
    "STABLEHLO_CONVOLUTION": _convolution,
    "STABLEHLO_SLICE": _slice,
    "STABLEHLO_DYNAMIC_SLICE": _dynamic_slice,
    "STABLEHLO_PAD": _pad,
    "STABLEHLO_REDUCE": _reduce,
    "STABLEHLO_RESHAPE": _reshape,
    "STABLEHLO_COMPARE": _compare,
    "STABLEHLO_WHILE": _while,
    "STABLEHLO_CASE": _case,
    "STABLEHLO_COMPOSITE": _composite,
    "STABLEHLO_BROADCAST_IN_DIM": lambda op: AS_STATED,
    "STABLEHLO_REDUCE_WINDOW": lambda op: AS_STATED,
    "STABLEHLO_SORT": lambda op: AS_STATED,
    "STABLEHLO_GATHER": lambda op: AS_STATED,
    "STABLEHLO_IOTA": lambda op: AS_STATED,
    "STABLEHLO_RNG_BIT_GENERATOR": lambda op: AS_STATED,
}
