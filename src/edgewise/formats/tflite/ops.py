"""Which kind each TFLite operator is, and where its attributes stand: data.

A rule gives the kind, the positions of the kind's inputs (where TFLite's order differs), and the
attributes: constants, or readers of one slot of the operator's options. The slots are those of
TFLite's `schema.fbs`, the inputs those of its kernels (`tensorflow/lite/kernels`). Operators that a
rule cannot describe have a function in `recurrent.py`, `stablehlo.py` or `special.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.kit import Meaning
from edgewise.formats.tflite.operator import Indices, Operator, Translator
from edgewise.formats.tflite.schema import ACTIVATIONS, PADDINGS
from edgewise.graph import Kind

Reader = Callable[[Operator], Any]


def rule(kind: Kind, inputs: Indices | None = None, **attributes: Any) -> Translator:
    """A translator from a kind and its attributes: constants, or readers of the options."""
    constants = {name: value for name, value in attributes.items() if not callable(value)}
    readers = [(name, value) for name, value in attributes.items() if callable(value)]

    def translate(op: Operator) -> Meaning:
        found = constants.copy()
        for name, read in readers:
            found[name] = read(op)
        return Meaning(kind, found, inputs)

    return translate


def integer(slot: int, default: int = 0) -> Reader:
    """A 32-bit integer."""
    return lambda op: op.options.int32(slot, default)


def flag(slot: int) -> Reader:
    """A boolean."""
    return lambda op: op.options.flag(slot)


def size(slot: int) -> Reader:
    """A size, which has to be positive."""
    return lambda op: _positive(op, slot, 0)


def sizes(*slots: int, default: int = 0) -> Reader:
    """Sizes per spatial axis, each of which has to be positive."""
    return lambda op: tuple(_positive(op, slot, default) for slot in slots)


def _positive(op: Operator, slot: int, default: int) -> int:
    value = op.options.int32(slot, default)
    if value < 1:
        raise RejectedModel(f"{op.op}: a stride, dilation or size of {value}")
    return value


def padding(slot: int) -> Reader:
    """SAME or VALID."""
    return lambda op: _named(op, PADDINGS, op.options.int8(slot), "padding")


def activation(slot: int) -> Reader:
    """A fused activation, or None."""
    return lambda op: _named(op, ACTIVATIONS, op.options.int8(slot), "activation")


def _named(op: Operator, names: tuple[str | None, ...], number: int, what: str) -> str | None:
    if not 0 <= number < len(names):
        raise RejectedModel(f"{op.op}: {what} number {number} does not exist")
    return names[number]


def output_dtype(op: Operator) -> str | None:
    """The type of the output."""
    return op.output_dtype()


def mirror(op: Operator) -> str:
    """Whether a mirrored pad leaves the edge out (0: REFLECT) or repeats it."""
    return "symmetric" if op.options.int8(0) else "reflect"


LAST = "channels_last"

_UNARY = {
    "FLOOR": "floor", "CEIL": "ceil", "ROUND": "round", "ABS": "abs", "NEG": "neg", "SIGN": "sign",
    "EXP": "exp", "LOG": "log", "SIN": "sin", "COS": "cos", "SQRT": "sqrt", "RSQRT": "rsqrt",
    "SQUARE": "square", "LOGISTIC": "sigmoid", "TANH": "tanh", "RELU": "relu", "RELU6": "relu6",
    "RELU_N1_TO_1": "relu_n1_to_1", "RELU_0_TO_1": "relu_0_to_1", "ELU": "elu", "GELU": "gelu",
    "HARD_SWISH": "hard_swish", "LEAKY_RELU": "leaky_relu", "LOGICAL_NOT": "not",
    "COMPLEX_ABS": "abs", "REAL": "real", "IMAG": "imag", "BUCKETIZE": "bucketize",
    "FAKE_QUANT": "fake_quant", "STABLEHLO_LOGISTIC": "sigmoid", "STABLEHLO_ABS": "abs",
    "STABLEHLO_COSINE": "cos", "STABLEHLO_EXPONENTIAL": "exp", "STABLEHLO_FLOOR": "floor",
    "STABLEHLO_LOG": "log", "STABLEHLO_NEGATE": "neg", "STABLEHLO_RSQRT": "rsqrt",
    "STABLEHLO_TANH": "tanh", "STABLEHLO_CBRT": "cbrt",
}  # fmt: skip

_BINARY = {
    "ADD_N": "add", "MAXIMUM": "max", "MINIMUM": "min", "POW": "pow", "FLOOR_DIV": "floor_div",
    "FLOOR_MOD": "mod", "SQUARED_DIFFERENCE": "squared_difference", "ATAN2": "atan2",
    "PRELU": "prelu", "EQUAL": "equal", "NOT_EQUAL": "not_equal", "LESS": "less",
    "LESS_EQUAL": "less_equal", "GREATER": "greater", "GREATER_EQUAL": "greater_equal",
    "LOGICAL_AND": "and", "LOGICAL_OR": "or", "BITWISE_XOR": "xor", "RIGHT_SHIFT": "right_shift",
    "STABLEHLO_ADD": "add", "STABLEHLO_SUBTRACT": "sub", "STABLEHLO_MULTIPLY": "mul",
    "STABLEHLO_DIVIDE": "div", "STABLEHLO_MAXIMUM": "max", "STABLEHLO_MINIMUM": "min",
    "STABLEHLO_POWER": "pow", "STABLEHLO_REMAINDER": "mod", "STABLEHLO_AND": "and",
    "STABLEHLO_OR": "or", "STABLEHLO_SHIFT_LEFT": "left_shift",
}  # fmt: skip

_REDUCE = {
    "MEAN": "mean", "SUM": "sum", "REDUCE_PROD": "prod", "REDUCE_MAX": "max", "REDUCE_MIN": "min",
    "REDUCE_ANY": "any", "REDUCE_ALL": "all",
}  # fmt: skip

_POOL = {"AVERAGE_POOL_2D": "average", "MAX_POOL_2D": "max", "L2_POOL_2D": "l2"}

#: The output has the shape of the first input but not its values, and nothing is computed.
_REARRANGED = (
    "REVERSE_V2", "REVERSE_SEQUENCE", "MATRIX_SET_DIAG", "DYNAMIC_UPDATE_SLICE",
    "STABLEHLO_DYNAMIC_UPDATE_SLICE", "ZEROS_LIKE",
)  # fmt: skip

_DATA_DEPENDENT = (
    "UNIQUE", "SEGMENT_SUM", "UNSORTED_SEGMENT_SUM", "UNSORTED_SEGMENT_PROD",
    "UNSORTED_SEGMENT_MAX", "UNSORTED_SEGMENT_MIN", "MULTINOMIAL",
)  # fmt: skip

_VARIABLE = (
    "HASHTABLE", "HASHTABLE_IMPORT", "HASHTABLE_SIZE", "VAR_HANDLE", "READ_VARIABLE",
    "ASSIGN_VARIABLE",
)  # fmt: skip

#: No multiply-accumulate in the sense of counting.md, and no other kind fits.
_AS_STATED = (
    "SKIP_GRAM", "CONCAT_EMBEDDINGS", "NON_MAX_SUPPRESSION_V4", "NON_MAX_SUPPRESSION_V5",
    "MATRIX_DIAG", "DILATE", "REDUCE_WINDOW",
)  # fmt: skip

#: They may multiply-accumulate in a number that the file does not tell.
_UNKNOWN = ("LSH_PROJECTION", "EMBEDDING_LOOKUP_SPARSE", "DELEGATE")

RULES: dict[str, Translator] = {
    "CONV_2D": rule(
        Kind.CONV, layout=LAST, weight_layout="O*I", groups=None, pads=padding(0),
        strides=sizes(2, 1), dilations=sizes(5, 4, default=1), activation=activation(3),
        needs=(("same", 1, 0, 2, 0),)),
    "DEPTHWISE_CONV_2D": rule(
        Kind.CONV, layout=LAST, weight_layout="1*O", groups=None, pads=padding(0),
        strides=sizes(2, 1), dilations=sizes(6, 5, default=1), activation=activation(4),
        needs=(("size", 1, 0, 1), ("same", 1, 3, 2, 0))),
    "CONV_3D": rule(
        Kind.CONV, layout=LAST, weight_layout="*IO", groups=None, pads=padding(0),
        strides=sizes(1, 3, 2), dilations=sizes(5, 7, 6, default=1), activation=activation(4)),
    "TRANSPOSE_CONV": rule(
        Kind.CONV_TRANSPOSE, inputs=(2, 1, 3, 0), layout=LAST, weight_layout="O*I", groups=1,
        pads=padding(0), strides=sizes(2, 1), activation=activation(3)),
    "CONV_3D_TRANSPOSE": rule(
        Kind.CONV_TRANSPOSE, inputs=(2, 1, 3, 0), layout=LAST, weight_layout="*OI", groups=1,
        pads=padding(0), strides=sizes(1, 3, 2), dilations=sizes(5, 7, 6, default=1),
        activation=activation(4)),
    "FULLY_CONNECTED": rule(
        Kind.DENSE, weight_layout="OI", keep_dims=flag(2), cut=True, activation=activation(0)),
    "BATCH_MATMUL": rule(Kind.MATMUL, transpose_a=flag(0), transpose_b=flag(1)),
    "SVDF": rule(
        Kind.SVDF, rank=size(0), activation=activation(1), needs=(("same", 1, 0, 2, 0),)),
    "ADD": rule(Kind.BINARY, function="add", activation=activation(0)),
    "SUB": rule(Kind.BINARY, function="sub", activation=activation(0)),
    "MUL": rule(Kind.BINARY, function="mul", activation=activation(0)),
    "DIV": rule(Kind.BINARY, function="div", activation=activation(0)),
    "SELECT": rule(Kind.WHERE, rows=True),
    "SELECT_V2": rule(Kind.WHERE),
    "L2_NORMALIZATION": rule(Kind.NORMALISE, function="l2", activation=activation(0)),
    "LOCAL_RESPONSE_NORMALIZATION": rule(Kind.NORMALISE, function="local_response"),
    "SOFTMAX": rule(Kind.SOFTMAX, axis=-1),
    "LOG_SOFTMAX": rule(Kind.SOFTMAX, axis=-1, log=True),
    "ARG_MAX": rule(Kind.ARG_REDUCE, function="argmax", keep_dims=False),
    "ARG_MIN": rule(Kind.ARG_REDUCE, function="argmin", keep_dims=False),
    "CUMSUM": rule(Kind.CUMULATIVE),
    "QUANTIZE": rule(Kind.QUANTIZE, dtype=output_dtype),
    "DEQUANTIZE": rule(Kind.DEQUANTIZE, dtype=output_dtype),
    "RESIZE_BILINEAR": rule(
        Kind.RESIZE, inputs=(0, None, None, 1), layout=LAST, needs=(("rank", 0, 4, 4),)),
    "RESIZE_NEAREST_NEIGHBOR": rule(
        Kind.RESIZE, inputs=(0, None, None, 1), layout=LAST, needs=(("rank", 0, 4, 4),)),
    "RFFT2D": rule(Kind.FOURIER, style="rfft"),
    "DENSIFY": rule(Kind.IDENTITY),
    "CAST": rule(Kind.CAST, dtype=output_dtype),
    "SQUEEZE": rule(Kind.SQUEEZE, axes=lambda op: op.options.int32s(0)),
    "EXPAND_DIMS": rule(Kind.EXPAND_DIMS),
    "TRANSPOSE": rule(Kind.TRANSPOSE),
    "CONCATENATION": rule(Kind.CONCAT, axis=integer(0), activation=activation(1)),
    "PACK": rule(Kind.STACK, axis=integer(1)),
    "UNPACK": rule(Kind.UNSTACK, axis=integer(1)),
    "SPLIT": rule(Kind.SPLIT, inputs=(1, None, 0), even=True),
    "SPLIT_V": rule(Kind.SPLIT),
    "SLICE": rule(Kind.SLICE),
    "STRIDED_SLICE": rule(
        Kind.STRIDED_SLICE, begin_mask=integer(0), end_mask=integer(1), ellipsis_mask=integer(2),
        new_axis_mask=integer(3), shrink_axis_mask=integer(4), offset=flag(5)),
    "GATHER": rule(Kind.GATHER, axis=integer(0), batch_dims=integer(1), negative=False),
    "EMBEDDING_LOOKUP": rule(Kind.GATHER, inputs=(1, 0), axis=0, negative=False),
    "HASHTABLE_LOOKUP": rule(Kind.GATHER, inputs=(2, 0), axis=0),
    "HASHTABLE_FIND": rule(Kind.GATHER_ELEMENTS),
    "GATHER_ND": rule(Kind.GATHER_ND),
    "SCATTER_ND": rule(Kind.SCATTER_ND, checked=True),
    "SPARSE_TO_DENSE": rule(Kind.SCATTER_ND, inputs=(0, 2, 1)),
    "PAD": rule(Kind.PAD, order="pairs", only_more=True),
    "PADV2": rule(Kind.PAD, order="pairs", only_more=True),
    "MIRROR_PAD": rule(Kind.PAD, order="pairs", most=mirror),
    "TILE": rule(Kind.TILE, strict=True),
    "BROADCAST_TO": rule(Kind.BROADCAST_TO),
    "SPACE_TO_DEPTH": rule(Kind.SPACE_TO_DEPTH, block=size(0), layout=LAST),
    "DEPTH_TO_SPACE": rule(Kind.DEPTH_TO_SPACE, block=size(0), layout=LAST),
    "SPACE_TO_BATCH_ND": rule(Kind.SPACE_TO_BATCH, strict=True),
    "BATCH_TO_SPACE_ND": rule(Kind.BATCH_TO_SPACE, strict=True),
    "SHAPE": rule(Kind.SHAPE),
    "RANK": rule(Kind.RANK),
    "BROADCAST_ARGS": rule(Kind.BROADCAST_SHAPE),
    "FILL": rule(Kind.FILL, dtype=output_dtype),
    "RANDOM_UNIFORM": rule(Kind.FILL, dtype=output_dtype),
    "RANDOM_STANDARD_NORMAL": rule(Kind.FILL, dtype=output_dtype),
    "RANGE": rule(Kind.RANGE, forward=True),
    "ONE_HOT": rule(Kind.ONE_HOT, axis=integer(0), dtype=output_dtype),
    "TOPK_V2": rule(Kind.TOP_K, axis=-1),
}  # fmt: skip

RULES |= {op: rule(Kind.UNARY, function=function) for op, function in _UNARY.items()}
RULES |= {op: rule(Kind.BINARY, function=function) for op, function in _BINARY.items()}
RULES |= {
    # An empty list of axes reduces none: the kernels then copy.
    op: rule(Kind.REDUCE, function=function, keep_dims=flag(0), noop_with_empty_axes=True)
    for op, function in _REDUCE.items()
}
RULES |= {
    op: rule(
        Kind.POOL, function=function, layout=LAST, pads=padding(0), strides=sizes(2, 1),
        kernel=sizes(4, 3), small="none", activation=activation(5))
    for op, function in _POOL.items()
}  # fmt: skip
RULES["PRELU"] = rule(Kind.BINARY, function="prelu", needs=(("into", 1, 0),))
RULES["ADD_N"] = rule(Kind.BINARY, function="add", alike=True)
RULES |= dict.fromkeys(_REARRANGED, rule(Kind.SCATTER))
RULES |= dict.fromkeys(_DATA_DEPENDENT, rule(Kind.DATA_DEPENDENT))
RULES |= dict.fromkeys(_VARIABLE, rule(Kind.VARIABLE))
RULES |= dict.fromkeys(_AS_STATED, rule(Kind.POSTPROCESS))
RULES |= dict.fromkeys(_UNKNOWN, rule(Kind.UNKNOWN))
