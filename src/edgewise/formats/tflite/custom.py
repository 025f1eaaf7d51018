"""TFLite's custom operators: those known to hold no multiply-accumulate, and two that are read."""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path

from edgewise.formats.kit import AS_STATED, UNKNOWN, Meaning
from edgewise.formats.tflite.operator import Operator
from edgewise.formats.tflite.ops import LAST
from edgewise.graph import Kind

_PADDINGS = {1: "same", 2: "valid"}  # TfLitePadding of the C structs


def custom(op: Operator) -> Meaning:
    """The translation of a custom operator."""
    if op.op == "Convolution2DTransposeBias":
        return _transposed_convolution(op)
    if op.op == "MaxPoolingWithArgmax2D":
        return _max_pool(op)
    if op.op in compiled():
        return Meaning(Kind.UNKNOWN, {"compiled": True})
    return AS_STATED if op.op in without_macs() else UNKNOWN


@cache
def without_macs() -> frozenset[str]:
    """The custom operators that hold no multiply-accumulate (`custom.toml`)."""
    import tomllib

    text = Path(__file__).with_suffix(".toml").read_text("utf-8")
    return frozenset(op for group in tomllib.loads(text)["group"] for op in group["ops"])


@cache
def compiled() -> frozenset[str]:
    """The custom operators that hold parts of the network compiled for a processor."""
    import tomllib

    text = Path(__file__).with_suffix(".toml").read_text("utf-8")
    return frozenset(op for group in tomllib.loads(text)["compiled"] for op in group["ops"])


def _transposed_convolution(op: Operator) -> Meaning:
    """MediaPipe's `transpose_conv_bias.cc`; options: a C struct TfLiteTransposeConvParams."""
    padding, width, height = _struct(op, 3)
    if padding not in _PADDINGS or min(width, height) < 1:
        return UNKNOWN
    return Meaning(Kind.CONV_TRANSPOSE, {
        "layout": LAST, "weight_layout": "O*I", "groups": 1, "strides": (height, width),
        "pads": _PADDINGS[padding],
    })  # fmt: skip


def _max_pool(op: Operator) -> Meaning:
    """MediaPipe's `max_pool_argmax.cc`; options: a C struct TfLitePoolParams."""
    padding, width, height, filter_width, filter_height = _struct(op, 5)
    if padding not in _PADDINGS or min(width, height, filter_width, filter_height) < 1:
        return AS_STATED
    return Meaning(Kind.POOL, {
        "function": "max", "layout": LAST, "strides": (height, width),
        "kernel": (filter_height, filter_width), "pads": _PADDINGS[padding],
    })  # fmt: skip


def _struct(op: Operator, count: int) -> tuple[int, ...]:
    """The first `count` ints of a C struct; zeros where the options are shorter."""
    options = bytes(op.custom_options[: 4 * count])
    return struct.unpack(f"<{count}i", options.ljust(4 * count, b"\0"))
