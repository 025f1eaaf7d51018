"""What every ONNX operator means: the one table, by domain and name.

Elementwise operators and those that are only named stand here; the rest in `compute`, `movement`,
`contrib` (ONNX Runtime's own) and `classical` (trees and linear models). Control flow and constants
are left to `control` and `constants`.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgewise.formats.kit import AS_STATED, UNKNOWN, Meaning, function
from edgewise.formats.onnx.classical import ML
from edgewise.formats.onnx.compute import COMPUTE
from edgewise.formats.onnx.contrib import CONTRIB, INTERNAL_NCHWC, INTERNAL_NHWC
from edgewise.formats.onnx.movement import DATA
from edgewise.formats.onnx.operator import Operator, Translation
from edgewise.graph import Kind

_DATA_DEPENDENT = Meaning(Kind.DATA_DEPENDENT)


def _clip(operator: Operator) -> Meaning:
    """Clip's bounds were attributes until opset 10."""
    bounds = {name: operator.real(name) for name in ("min", "max")}
    return function(Kind.UNARY, "clip", **{k: v for k, v in bounds.items() if v is not None})


def _mod(operator: Operator) -> Meaning:
    """The remainder has the sign of the divisor, with `fmod` that of the dividend."""
    return function(Kind.BINARY, "fmod" if operator.flag("fmod") else "mod")


def _quantize(kind: Kind) -> Translation:
    """Scales along an axis, or for blocks of it."""

    def translate(operator: Operator) -> Meaning:
        blocks = operator.integer("block_size", 0)
        return Meaning(kind, {"axis": operator.integer("axis", 1), "block_size": blocks or None})

    return translate


def _dft(operator: Operator) -> Meaning:
    """Its axis was an attribute until opset 19."""
    attributes = {name: operator.flag(name.replace("_", "")) for name in ("one_sided", "inverse")}
    axis = {} if operator.opset >= 20 else {"axis": operator.integer("axis", 1)}
    return Meaning(Kind.FOURIER, {"style": "dft", **attributes, **axis})


def _stft(operator: Operator) -> Meaning:
    one_sided = operator.flag("onesided", default=True)
    return Meaning(Kind.FOURIER, {"style": "stft", "one_sided": one_sided})


def _roi_align(operator: Operator) -> Meaning:
    size = tuple(operator.integer(name, 1) for name in ("output_height", "output_width"))
    return Meaning(Kind.ROI_POOL, {"size": size})


def _max_roi_pool(operator: Operator) -> Meaning:
    return Meaning(Kind.ROI_POOL, {"size": operator.integers("pooled_shape") or ()})


_UNARY = {
    "Abs": "abs", "Acos": "acos", "Acosh": "acosh", "Asin": "asin", "Asinh": "asinh",
    "Atan": "atan", "Atanh": "atanh", "Bernoulli": "random", "BitwiseNot": "bitwise_not",
    "Ceil": "ceil", "Celu": "celu", "Cos": "cos", "Cosh": "cosh", "Elu": "elu", "Erf": "erf",
    "Exp": "exp", "EyeLike": "eye", "Floor": "floor", "Gelu": "gelu", "HardSigmoid": "hard_sigmoid",
    "HardSwish": "hard_swish", "Hardmax": "hardmax", "IsInf": "is_inf", "IsNaN": "is_nan",
    "LeakyRelu": "leaky_relu", "Log": "log", "Mish": "mish", "Neg": "neg", "Not": "not",
    "RandomNormalLike": "random", "RandomUniformLike": "random", "Reciprocal": "reciprocal",
    "Relu": "relu", "RotaryEmbedding": "rotary_embedding", "Round": "round", "Selu": "selu",
    "Shrink": "shrink", "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin", "Sinh": "sinh",
    "Softplus": "softplus", "Softsign": "softsign", "Sqrt": "sqrt", "Swish": "swish", "Tan": "tan",
    "Tanh": "tanh", "ThresholdedRelu": "thresholded_relu",
    # Dropped from the standard, still in old files.
    "Affine": "affine", "ImageScaler": "scale", "ParametricSoftplus": "softplus",
    "ScaledTanh": "tanh",
}  # fmt: skip
_BINARY = {
    "Add": "add", "And": "and", "BitShift": "shift", "BitwiseAnd": "bitwise_and",
    "BitwiseOr": "bitwise_or", "BitwiseXor": "bitwise_xor", "Div": "div", "Equal": "equal",
    "Greater": "greater", "GreaterOrEqual": "greater_equal", "Less": "less",
    "LessOrEqual": "less_equal", "Max": "max", "Mean": "mean", "Min": "min",
    "Mul": "mul", "Or": "or", "PRelu": "prelu", "Pow": "pow", "Sub": "sub", "Sum": "add",
    "SwiGLU": "swiglu", "Xor": "xor",
}  # fmt: skip
#: Sizes that depend on data, and values that are no tensors.
_SIZED_BY_DATA = (
    "CenterCropPad", "Col2Im", "Compress", "ConcatFromSequence", "MaxUnpool",
    "NonZero", "Optional", "OptionalGetElement", "OptionalHasElement", "SequenceAt",
    "SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength",
    "SplitToSequence", "Unique",
)  # fmt: skip
#: No convolution, fully connected layer, matrix product, recurrent gate or attention product by
#: counting.md, though AffineGrid (and the transforms DFT and STFT) can be written as one.
_NO_MACS = (
    "AffineGrid", "BlackmanWindow", "HammingWindow", "HannWindow", "ImageDecoder",
    "MelWeightMatrix", "Multinomial", "NegativeLogLikelihoodLoss", "NonMaxSuppression",
    "RegexFullMatch", "SoftmaxCrossEntropyLoss", "StringConcat", "StringNormalizer",
    "StringSplit", "TfIdfVectorizer",
)  # fmt: skip
#: Known by name, but their multiply-accumulates depend on how they are run.
_UNDERSTOOD_BY_NAME_ONLY = ("LinearAttention",)

DEFAULT: Mapping[str, Translation] = {
    **{op: function(Kind.UNARY, name) for op, name in _UNARY.items()},
    **{op: function(Kind.BINARY, name) for op, name in _BINARY.items()},
    **dict.fromkeys(_SIZED_BY_DATA, _DATA_DEPENDENT),
    **dict.fromkeys(_NO_MACS, AS_STATED),
    **dict.fromkeys(_UNDERSTOOD_BY_NAME_ONLY, UNKNOWN),
    "Clip": _clip,
    "Mod": _mod,
    "DFT": _dft,
    "STFT": _stft,
    "Det": Meaning(Kind.REDUCE, {"function": "det", "axes": (-2, -1), "keep_dims": False}),
    "RoiAlign": _roi_align,
    "MaxRoiPool": _max_roi_pool,
    "Where": Meaning(Kind.WHERE),
    "QuantizeLinear": _quantize(Kind.QUANTIZE),
    "DynamicQuantizeLinear": Meaning(Kind.QUANTIZE),
    "DequantizeLinear": _quantize(Kind.DEQUANTIZE),
    **COMPUTE,
    **DATA,
}

_OPTIMISERS = dict.fromkeys(("Adagrad", "Adam", "Momentum"), AS_STATED)
_FLEX_ATTENTION = Meaning(Kind.ATTENTION, {"heads": None, "packed": False})

OPERATORS: Mapping[str, Mapping[str, Translation]] = {
    "": DEFAULT,
    "ai.onnx.ml": ML,
    "ai.onnx.preview": {"FlexAttention": _FLEX_ATTENTION},
    "ai.onnx.preview.training": _OPTIMISERS,
    "com.microsoft": CONTRIB,
    "com.microsoft.nchwc": INTERNAL_NCHWC,
    "com.ms.internal.nhwc": INTERNAL_NHWC,
}


def is_listed(domain: str, op: str) -> bool:
    """Whether the table has this operator."""
    return op in OPERATORS.get(domain, {})


def meaning(domain: str, operator: Operator) -> Meaning:
    """What an operator means; the kind is `unknown` for one that no table has."""
    translation = OPERATORS.get(domain, {}).get(operator.op, UNKNOWN)
    return translation if isinstance(translation, Meaning) else translation(operator)
