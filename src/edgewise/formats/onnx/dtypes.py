"""Dtypes of values that an ONNX file does not state.

Most exporters state the types of inputs and outputs only. The rest follows from the operators: by
far the most give what they get, the others are listed here as data.
"""

from __future__ import annotations

from collections.abc import Mapping

from edgewise.formats.onnx.operator import Operator
from edgewise.formats.onnx.wire import dtype_name

UNKNOWN = "unknown"

#: Dtypes of an operator's outputs, by its name: a dtype, or the position of the input that has it.
#: The last entry stands for all further outputs; not listed: all as input 0.
_OUTPUTS: Mapping[str, tuple[str | int, ...]] = {
    **dict.fromkeys(
        ("And", "Equal", "Greater", "GreaterOrEqual", "IsAllFinite", "IsInf", "IsNaN", "Less",
         "LessOrEqual", "Not", "OptionalHasElement", "Or", "RegexFullMatch", "Xor"), ("bool",)),
    **dict.fromkeys(
        ("ArgMax", "ArgMin", "NonMaxSuppression", "NonZero", "SequenceLength", "Shape", "Size"),
        ("int64",)),
    **dict.fromkeys(("ConvInteger", "MatMulInteger", "MatMulInteger16"), ("int32",)),
    **dict.fromkeys(("BitmaskDropout", "BiasDropout", "Dropout"), (0, "bool")),
    **dict.fromkeys(("MaxPool", "TopK", "Unique"), (0, "int64")),
    **dict.fromkeys(
        ("SequenceConstruct", "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceMap",
         "SplitToSequence"), ("sequence",)),
    **dict.fromkeys(("LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier"),
                    ("int64", "float32")),
    **dict.fromkeys(
        ("LinearRegressor", "Normalizer", "OneHotEncoder", "SVMRegressor", "Scaler",
         "TfIdfVectorizer", "TreeEnsembleRegressor"), ("float32",)),
    **dict.fromkeys(
        ("BlackmanWindow", "HammingWindow", "HannWindow", "MelWeightMatrix", "RandomNormal",
         "RandomUniform"), ("float32",)),
    **dict.fromkeys(("QLinearConv", "QLinearMatMul"), (7,)),
    **dict.fromkeys(("DynamicQuantizeMatMul", "QAttention"), ("float32",)),
    "CastLike": (1,),
    "ConcatFromSequence": (UNKNOWN,),
    "DequantizeLinear": (1,),
    "DynamicQuantizeLinear": ("uint8", "float32", "uint8"),
    "EmbedLayerNormalization": (2, "int32", 2),
    "GatherBlockQuantized": (2,),
    "ImageDecoder": ("uint8",),
    "MatMulIntegerToFloat": (2,),
    "Multinomial": ("int32",),
    "OneHot": (2,),
    "Optional": ("optional",),
    "OptionalGetElement": (UNKNOWN,),
    "QLinearConcat": (1,),
    "QuantizeLinear": (2,),
    "SequenceAt": (UNKNOWN,),
    "StringSplit": ("string", "int64"),
    "Where": (1,),
    "ZipMap": ("sequence",),
}  # fmt: skip
_AS_THE_FIRST: tuple[str | int, ...] = (0,)
#: Attributes that name the dtype of the first output, whatever the inputs are.
_NAMED_BY = ("to", "dtype", "output_dtype", "output_datatype")
_MAY_NAME = frozenset(
    ("Bernoulli", "BitCast", "BlackmanWindow", "Cast", "DequantizeLinear", "EyeLike",
     "HammingWindow", "HannWindow", "MelWeightMatrix", "Multinomial", "QuantizeLinear",
     "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
)  # fmt: skip


def output_dtypes(operator: Operator, kind_dtype: str | None) -> list[str]:
    """The dtype of each output. `kind_dtype` is what the meaning of the operator already says."""
    rule = _OUTPUTS.get(operator.op, _AS_THE_FIRST)
    if len(rule) == 1:
        found = [_resolve(operator, rule[0])] * len(operator.outputs)
    else:
        found = [
            _resolve(operator, rule[min(position, len(rule) - 1)])
            for position in range(len(operator.outputs))
        ]
    first = kind_dtype or _named(operator)
    if first is not None and found:
        found[0] = first
    return found


def _resolve(operator: Operator, rule: str | int) -> str:
    if isinstance(rule, str):
        return rule
    inputs = operator.inputs
    tensor = inputs[rule] if rule < len(inputs) else None
    if tensor is None:
        # QuantizeLinear without a zero point, by its schema.
        return "uint8" if operator.op == "QuantizeLinear" else UNKNOWN
    return tensor.dtype


def _named(operator: Operator) -> str | None:
    if operator.op not in _MAY_NAME:
        return None
    for name in _NAMED_BY:
        code = operator.attribute(name)
        if isinstance(code, int) and code:
            return dtype_name(code)
    return None
