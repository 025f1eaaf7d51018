"""What ONNX Runtime's own operators mean: its optimiser and quantiser write them into files.

Inputs and attributes are those of its contributed operators' documentation
(https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md). What is not listed
is unknown, such as mixtures of experts, whose cost depends on the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgewise.formats.kit import Meaning, function
from edgewise.formats.onnx.compute import (
    causal_conv,
    conv,
    conv_transpose,
    fused,
    global_pool,
    matmul,
    normalise,
    pool,
    recurrent,
    softmax,
)
from edgewise.formats.onnx.movement import DATA
from edgewise.formats.onnx.operator import Operator, Translation
from edgewise.graph import Kind


def _channels_last(_: Operator) -> str:
    return "channels_last"


def _matmul_blocks(operator: Operator) -> Meaning:
    """A product with weights quantised in blocks: K and N are attributes, b a packed stream."""
    k, n = operator.integer("K"), operator.integer("N")
    if k is None or n is None:
        return Meaning(Kind.UNKNOWN)
    return Meaning(Kind.MATMUL, {"k": k, "n": n}, (0, 1, None))


def _attention_of(*order: int | None, **fixed: Any) -> Translation:
    """Attention over separate, joined or still to be projected q, k and v.

    The key left out: q holds all three; the value alone left out: k holds both. Scales and tables
    of rotation angles, which are no parameters, are left out of the layer's inputs.
    """

    def translate(operator: Operator) -> Meaning:
        heads = operator.integer("num_heads")
        attributes: dict[str, Any] = {
            "heads": heads, "kv_heads": operator.integer("kv_num_heads", heads),
            "packed": True, **fixed,
        }  # fmt: skip
        if "project" in fixed:
            attributes["widths"] = operator.integers("qkv_hidden_sizes")
        elif not operator.given(1) and not operator.given(2):
            attributes["joined"] = True
        return Meaning(Kind.ATTENTION, attributes, order, rest=False)

    return translate


def _qlinear(translation: Translation, *order: int | None) -> Translation:
    """An operator between quantised tensors: the same at these positions, without the scales."""

    def translate(operator: Operator) -> Meaning:
        plain = translation if isinstance(translation, Meaning) else translation(operator)
        return plain._replace(order=order, rest=False)

    return translate


def _qlinear_concat(operator: Operator) -> Meaning:
    """The output's scale and zero point, then (tensor, scale, zero point) of each part."""
    parts = tuple(range(2, len(operator.inputs), 3))
    return Meaning(Kind.CONCAT, {"axis": operator.integer("axis", 0)}, parts, rest=False)


def _group_norm(*same: int) -> Translation:
    def translate(operator: Operator) -> Meaning:
        plain = normalise("group", *same)
        return plain._replace(attributes={**plain.attributes, **fused(operator)})

    return translate


def _unary(name: str) -> Meaning:
    return function(Kind.UNARY, name)


def _binary(name: str) -> Meaning:
    return function(Kind.BINARY, name)


_POSTPROCESS = Meaning(Kind.POSTPROCESS)

CONTRIB: Mapping[str, Translation] = {
    # convolutions and products
    "CausalConvWithState": causal_conv,
    "ConvTransposeWithDynamicPads": conv_transpose(0, 1, 3),
    "FusedConv": conv(0, 1, 2),
    "NhwcConv": conv(0, 1, 2, layout_of=_channels_last),
    "NhwcFusedConv": conv(0, 1, 2, layout_of=_channels_last),
    "QLinearConv": conv(0, 3, 8),
    "DynamicQuantizeMatMul": matmul(0, 1, 4),
    "FusedGemm": matmul(0, 1, 2),
    "FusedMatMul": matmul(0, 1),
    "FusedMatMulActivation": matmul(0, 1),
    "GemmFastGelu": Meaning(Kind.MATMUL, {"activation": "gelu"}),
    "GemmFloat8": matmul(0, 1, 2),
    "MatMulBnb4": _matmul_blocks,
    "MatMulInteger16": matmul(0, 1, None),
    "MatMulIntegerToFloat": matmul(0, 1, 6),
    "MatMulNBits": _qlinear(_matmul_blocks, 0, 1, 5),
    "QGemm": matmul(0, 3, 6),
    "SparseToDenseMatMul": matmul(0, 1),
    "TransposeMatMul": matmul(0, 1),
    "DynamicQuantizeLSTM": _qlinear(recurrent("lstm", size_axis=1), *range(8)),
    # attention
    "Attention": _attention_of(0, 1, 2, 3, 4, project=True),
    "QAttention": _attention_of(0, 1, 2, 5, 8, project=True),
    "MultiHeadAttention": _attention_of(0, 1, 2, 5, 6, 7, 3, 4, 8, 9),
    "GroupQueryAttention": _attention_of(0, 1, 2, 10, 3, 4, 5, 6),
    # normalisation and activations
    "BiasGelu": _binary("gelu"), "BiasAdd": _binary("add"), "BiasSoftmax": softmax(log=False),
    "BiasDropout": Meaning(Kind.IDENTITY), "BitmaskDropout": Meaning(Kind.IDENTITY),
    "FastGelu": _binary("gelu"), "Gelu": _unary("gelu"), "QuickGelu": _unary("quick_gelu"),
    "GroupNorm": _group_norm(), "SkipGroupNorm": _group_norm(1),
    "SkipLayerNormalization": normalise("layer", 3),
    "SkipSimplifiedLayerNormalization": normalise("rms", 3),
    # Sums of three embeddings, then normalised: rows of the word embedding (input 2).
    "EmbedLayerNormalization": Meaning(Kind.GATHER, {"axis": 0}, (2, 0)),
    "RotaryEmbedding": _unary("rotary_embedding"),
    "Trilu": Meaning(Kind.IDENTITY, {"exact": False}),
    "Inverse": Meaning(Kind.IDENTITY, {"exact": False}),
    "GemmaRotaryEmbedding": _POSTPROCESS, "RelativePositionBias": _POSTPROCESS,
    # between quantised tensors
    "QuantizeLinear": Meaning(Kind.QUANTIZE), "DequantizeLinear": Meaning(Kind.DEQUANTIZE),
    "QLinearAdd": _qlinear(_binary("add"), 0, 3),
    "QLinearMul": _qlinear(_binary("mul"), 0, 3),
    "MulInteger": _qlinear(_binary("mul"), 0, 2),
    "QLinearLeakyRelu": _unary("leaky_relu"), "QLinearSigmoid": _unary("sigmoid"),
    "QLinearSoftmax": softmax(log=False), "QLinearConcat": _qlinear_concat,
    "QLinearWhere": _qlinear(Meaning(Kind.WHERE), 0, 1, 4),
    "QLinearAveragePool": pool("average"), "QLinearGlobalAveragePool": global_pool("average"),
    # The scale at position 1 must not be taken for the axes.
    "QLinearReduceMean": _qlinear(DATA["ReduceMean"], 0),
    "ReduceSumInteger": DATA["ReduceSum"],
    "NhwcMaxPool": pool("max", layout_of=_channels_last),
    "GatherBlockQuantized": lambda operator: Meaning(
        Kind.GATHER, {"axis": operator.integer("gather_axis", 0)}
    ),
    # data movement
    "ExpandDims": Meaning(Kind.EXPAND_DIMS), "GatherND": DATA["GatherND"],
    "GridSample": DATA["GridSample"], "Pad": DATA["Pad"], "Range": DATA["Range"],
    "TorchEmbedding": Meaning(Kind.GATHER, {"axis": 0}),
    **dict.fromkeys(("CropAndResize", "Unique", "UnfoldTensor"), Meaning(Kind.DATA_DEPENDENT)),
    **dict.fromkeys(
        ("BifurcationDetector", "DynamicTimeWarping", "Irfft", "IsAllFinite",
         "MurmurHash3", "NGramRepeatBlock", "RemovePadding", "RestorePadding", "Rfft",
         "Tokenizer"), _POSTPROCESS),
}  # fmt: skip


#: Written only where an optimised model was saved for one machine: channels in blocks.
INTERNAL_NCHWC: Mapping[str, Translation] = {
    "Conv": conv(0, 1, 2),
    "MaxPool": pool("max"),
    "AveragePool": pool("average"),
    "GlobalMaxPool": global_pool("max"),
    "GlobalAveragePool": global_pool("average"),
    "Upsample": lambda operator: Meaning(
        Kind.RESIZE, {"layout": None, "scales": operator.values("scales") or None}
    ),
    "ReorderInput": Meaning(Kind.IDENTITY),
    # Blocks that were filled up end where the channels do.
    "ReorderOutput": lambda operator: Meaning(
        Kind.STRIDED_SLICE,
        {"onnx": True, "begin": (0,), "end": (operator.integer("channels", 0),), "axes": (1,)},
    ),
}

#: The default domain's operators over channels that come last.
INTERNAL_NHWC: Mapping[str, Translation] = {
    "Conv": conv(0, 1, 2, layout_of=_channels_last),
    "QLinearConv": conv(0, 3, 8, layout_of=_channels_last),
    "MaxPool": pool("max", layout_of=_channels_last),
    "AveragePool": pool("average", layout_of=_channels_last),
    "LpPool": pool("l2", layout_of=_channels_last),
    "QLinearAveragePool": pool("average", layout_of=_channels_last),
    "GlobalMaxPool": global_pool("max", layout_of=_channels_last),
    "GlobalAveragePool": global_pool("average", layout_of=_channels_last),
}
