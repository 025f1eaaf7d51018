"""What every OpenVINO operation means, opset 1 to 16.

The operations and their attributes are those of the "Operation Set Specifications"
(https://docs.openvino.ai/nightly/documentation/openvino-ir-format/operation-sets.html).

One table with the rules that it names: what an operation means is looked up here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from edgewise.formats.building import Meaning, Ops, function, named
from edgewise.formats.kit import evaluated, integer
from edgewise.formats.openvino.operator import Operator, dtype_name
from edgewise.graph import FreeDim, Kind, Quantization, Tensor

_FIRST = "channels_first"
_PADS = {"same_upper": "same", "same_lower": "same_lower", "valid": "valid"}


def _row(
    kind: Kind, order: tuple[int | None, ...] | None = None, /, **attributes: Any
) -> Callable[[Operator], Meaning]:
    """An operator whose attributes are constants, or functions of it."""

    def translate(operator: Operator) -> Meaning:
        found = evaluated(attributes, operator)
        return Meaning(kind, found, order)

    return translate


def _flag(name: str) -> Callable[[Operator], bool]:
    return lambda operator: operator.flag(name)


def _mask(name: str) -> Callable[[Operator], int]:
    """A mask as bits, from its list of zeros and ones."""
    return lambda operator: sum(
        1 << at for at, bit in enumerate(operator.integers(name) or ()) if bit
    )


_MASKS = {
    name: _mask(name)
    for name in ("begin_mask", "end_mask", "new_axis_mask", "shrink_axis_mask", "ellipsis_mask")
}


def _window(operator: Operator) -> dict[str, Any]:
    pads: str | tuple[int, ...] = _PADS.get(operator.text("auto_pad", "explicit").lower(), "")
    if not pads:
        begin, end = operator.integers("pads_begin"), operator.integers("pads_end")
        pads = (*begin, *end) if begin and end else "valid"
    found = {"layout": _FIRST, "pads": pads}
    return found | {
        name: value for name in ("strides", "dilations")
        if (value := operator.integers(name)) is not None
    }  # fmt: skip


def _conv(grouped: bool, *order: int | None) -> Callable[[Operator], Meaning]:
    def translate(operator: Operator) -> Meaning:
        weight = operator.tensor(order[1] if order and order[1] is not None else 1)
        shape = weight.shape if weight is not None else None
        groups = operator.integer("group", 1)
        if grouped and shape and isinstance(shape[0], int):
            groups = shape[0]
        return Meaning(Kind.CONV, {
            **_window(operator), "weight_layout": "GOI*" if grouped else "OI*", "groups": groups,
        }, order or (0, 1))  # fmt: skip

    return translate


def _conv_transpose(grouped: bool) -> Callable[[Operator], Meaning]:
    def translate(operator: Operator) -> Meaning:
        attributes = _window(operator)
        padding = operator.integers("output_padding")
        if padding is not None:
            attributes["output_padding"] = padding
        if sizes := operator.numbers(2):
            attributes["output_shape"] = tuple(int(size) for size in sizes)
        layout = "GIO*" if grouped else "IO*"
        return Meaning(
            Kind.CONV_TRANSPOSE, {**attributes, "weight_layout": layout, "groups": 1}, (0, 1)
        )

    return translate


def _sequence(cell: str) -> Callable[[Operator], Meaning]:
    """LSTMSequence and its like; x is (batch, steps, input), states (batch, directions, hidden)."""
    state, cell_state = "onnx_state_batch_first", "onnx_cell_batch_first"

    def translate(operator: Operator) -> Meaning:
        outputs = ("directions_first", state, cell_state)[: 3 if cell == "lstm" else 2]
        both = operator.text("direction").lower() == "bidirectional"
        order = (0, 4, 5, 6, 3, 1, 2) if cell == "lstm" else (0, 3, 4, 5, 2, 1)
        return Meaning(Kind.RECURRENT, {
            "cell": cell, "hidden": operator.integer("hidden_size", 0) or None,
            "directions": 2 if both else 1, "time_axis": 1, "batch_axis": 0, "outputs": outputs,
        }, order)  # fmt: skip

    return translate


def _cell(cell: str) -> Callable[[Operator], Meaning]:
    def translate(operator: Operator) -> Meaning:
        order = (0, 3, 4, 5) if cell == "lstm" else (0, 2, 3, 4)
        return Meaning(Kind.RECURRENT, {
            "cell": cell, "hidden": operator.integer("hidden_size", 0) or None,
            "time_axis": None, "batch_axis": None, "outputs": ("state", "cell"),
        }, order)  # fmt: skip

    return translate


def _attention(operator: Operator) -> Meaning:
    """Of any rank: heads lie in the axes before the last two."""
    q = operator.tensor(0)
    rank = len(q.shape) if q is not None and q.shape is not None else 4
    if rank == 3:
        return Meaning(Kind.ATTENTION, {"heads": 1, "packed": True}, (0, 1, 2))
    return Meaning(Kind.ATTENTION, {"heads": None, "packed": False}, (0, 1, 2))


def _pool(kind: str) -> Callable[[Operator], Meaning]:
    def translate(operator: Operator) -> Meaning:
        kernel = operator.integers("kernel") or (1,)
        attributes = {"strides": (1,) * len(kernel), **_window(operator)}
        ceil = operator.text("rounding_type", "floor").startswith("ceil")
        return Meaning(Kind.POOL, {
            **attributes, "function": kind, "kernel": kernel, "ceil_mode": ceil,
        }, (0,))  # fmt: skip

    return translate


def _adaptive_pool(kind: str) -> Callable[[Operator], Meaning]:
    def translate(operator: Operator) -> Meaning:
        sizes = operator.numbers(1)
        attributes = {"function": kind, "layout": _FIRST}
        if sizes is None:
            return Meaning(Kind.POSTPROCESS)
        return Meaning(Kind.POOL, {**attributes, "output_size": tuple(map(int, sizes))}, (0,))

    return translate


def _gather(operator: Operator) -> Meaning:
    axis = operator.numbers(2)
    batch = operator.integer("batch_dims", 0)
    if axis:
        return Meaning(Kind.GATHER, {"axis": int(axis[0]), "batch_dims": batch}, (0, 1))
    return Meaning(Kind.GATHER, {"batch_dims": batch}, (0, 1, 2))


def _pad(operator: Operator) -> Meaning:
    begin, end = operator.numbers(1), operator.numbers(2)
    if begin is None or end is None:
        return Meaning(Kind.DATA_DEPENDENT)
    return Meaning(Kind.PAD, {"order": "begin_end", "pads": (*begin, *end)}, (0,))


def _interpolate(operator: Operator) -> Meaning:
    """Three generations: sizes with axes as an attribute; sizes and scales; either in one input."""
    axes = operator.integers("axes")
    if axes is not None or "shape_calculation_mode" not in operator.data:
        return Meaning(Kind.RESIZE, {"layout": None, "axes": axes}, (0, None, None, 1))
    scaled = operator.text("shape_calculation_mode") == "scales"
    generation = 4 if _is_real(operator.tensor(2)) else 11
    places = (2, 1, 3) if generation == 4 else (1, 1, 2)
    given = operator.numbers(places[2])
    attributes: dict[str, Any] = {"layout": None}
    if given:
        attributes["axes"] = tuple(int(axis) for axis in given)
    order = (0, None, places[0], None) if scaled else (0, None, None, places[1])
    return Meaning(Kind.RESIZE, attributes, order)


def _is_real(tensor: Tensor | None) -> bool:
    return tensor is not None and tensor.dtype.startswith(("float", "bfloat"))


def _one_hot(operator: Operator) -> Meaning:
    value = operator.tensor(2)
    dtype = value.dtype if value is not None else "unknown"
    return Meaning(Kind.ONE_HOT, {"axis": operator.integer("axis", -1), "dtype": dtype}, (0, 1))


def _reorg(operator: Operator) -> Meaning:
    stride = (operator.integers("stride") or (2,))[0]
    return Meaning(Kind.SPACE_TO_DEPTH, {"block": stride, "layout": _FIRST})


def _roi(operator: Operator) -> Meaning:
    size = operator.integers("output_size")
    if size is None:
        size = (operator.integer("pooled_h", 1), operator.integer("pooled_w", 1))
    return Meaning(Kind.ROI_POOL, {"size": size}, (0, 1))


def _batch_norm(operator: Operator) -> Meaning:
    """Opset 1 had x third; since opset 5 it is first. The larger of the two is x."""
    first, third = (operator.tensor(place) for place in (0, 2))
    flat = first is not None and first.shape is not None and len(first.shape) == 1
    deep = third is not None and third.shape is not None and len(third.shape) > 1
    order = (2, 0, 1, 3, 4) if flat and deep else (0, 1, 2, 3, 4)
    return Meaning(Kind.NORMALISE, {"function": "batch"}, order)


def _scaled(operator: Operator, name: str) -> Meaning:
    """Also how integer weights become real: by a scale, behind a conversion."""
    for x, other in ((0, 1), (1, 0)):
        weight, scale = _behind(operator, x), _behind(operator, other)
        if _is_integer_weight(weight) and scale.weights is not None:
            if weight.quantization is None:
                scales = math.prod(size for size in scale.shape or () if isinstance(size, int))
                weight.quantization = Quantization(scales)
            return Meaning(Kind.DEQUANTIZE, {}, (x, other))
    return _elementwise(operator, name)


def _behind(operator: Operator, place: int) -> Tensor:
    """The tensor that an input was converted from."""
    index = operator.inputs[place] if place < len(operator.inputs) else None
    maker = operator.builder.maker(index)
    while maker is not None and maker.kind in (Kind.CAST, Kind.RESHAPE, Kind.DEQUANTIZE):
        index = maker.inputs[0]
        maker = operator.builder.maker(index)
    return operator.builder.tensor(index) or Tensor("", "unknown", None)


def _is_integer_weight(tensor: Tensor) -> bool:
    return tensor.weights is not None and tensor.dtype.startswith(("int", "uint"))


def _elementwise(operator: Operator, name: str) -> Meaning:
    """A lone factor or bound, whatever its rank, is a scalar and no parameter."""
    for place in range(len(operator.inputs)):
        tensor = operator.tensor(place)
        if tensor is not None and tensor.weights is not None and _is_lone(tensor):
            other = operator.tensor(1 - place) if len(operator.inputs) == 2 else None
            ranks = [len(t.shape) for t in (tensor, other) if t is not None and t.shape is not None]
            if len(ranks) == 2 and ranks[0] <= ranks[1]:
                tensor.shape = ()
    return function(Kind.BINARY, name)


def _is_lone(tensor: Tensor) -> bool:
    return bool(tensor.shape) and all(size == 1 for size in tensor.shape or ())


def _read_value(operator: Operator) -> Meaning:
    """A state: what it starts with gives its shape, where the file says that."""
    x = operator.tensor(0)
    open_ = x is None or x.shape is None or any(isinstance(d, FreeDim) for d in x.shape)
    return Meaning(Kind.VARIABLE) if open_ else Meaning(Kind.IDENTITY, {"exact": False})


_UNARY = {
    "Abs": "abs", "Acos": "acos", "Acosh": "acosh", "Asin": "asin", "Asinh": "asinh",
    "Atan": "atan", "Atanh": "atanh", "BitwiseNot": "bitwise_not", "Ceiling": "ceil",
    "Clamp": "clip", "Cos": "cos", "Cosh": "cosh", "Elu": "elu", "Erf": "erf", "Exp": "exp",
    "Floor": "floor", "Gelu": "gelu", "HSigmoid": "hard_sigmoid", "HSwish": "hard_swish",
    "HardSigmoid": "hard_sigmoid", "IsFinite": "is_finite", "IsInf": "is_inf", "IsNaN": "is_nan",
    "Log": "log", "LogicalNot": "not", "Mish": "mish", "Negative": "neg", "ReLU": "relu",
    "Round": "round", "Selu": "selu", "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin",
    "Sinh": "sinh", "SoftPlus": "softplus", "SoftSign": "softsign", "Sqrt": "sqrt",
    "Swish": "swish", "Tan": "tan", "Tanh": "tanh", "FakeConvert": "fake_convert",
    "RoPE": "rotary_embedding",
}  # fmt: skip
_BINARY = {
    "Divide": "div", "Equal": "equal", "FloorMod": "mod", "Greater": "greater",
    "GreaterEqual": "greater_equal", "Less": "less", "LessEqual": "less_equal",
    "LogicalAnd": "and", "LogicalOr": "or", "LogicalXor": "xor", "Maximum": "max",
    "Minimum": "min", "Mod": "mod", "NotEqual": "not_equal", "PRelu": "prelu", "PReLU": "prelu",
    "Power": "pow", "SquaredDifference": "squared_difference", "BitwiseAnd": "bitwise_and",
    "BitwiseOr": "bitwise_or", "BitwiseXor": "bitwise_xor", "BitwiseLeftShift": "shift",
    "BitwiseRightShift": "shift",
}  # fmt: skip
#: Kinds that need no more than their inputs as they stand.
_PLAIN = {
    "CumSum": Kind.CUMULATIVE, "Select": Kind.WHERE, "Identity": Kind.IDENTITY,
    "GatherElements": Kind.GATHER_ELEMENTS, "ScatterElementsUpdate": Kind.SCATTER,
    "ScatterNDUpdate": Kind.SCATTER, "ScatterUpdate": Kind.SCATTER, "SliceScatter": Kind.SCATTER,
    "GridSample": Kind.GRID_SAMPLE, "NonZero": Kind.DATA_DEPENDENT, "Unique": Kind.DATA_DEPENDENT,
    "Range": Kind.RANGE, "Assign": Kind.IDENTITY, "SpaceToBatch": Kind.POSTPROCESS,
    "BatchToSpace": Kind.POSTPROCESS, "Tile": Kind.TILE,
}  # fmt: skip
#: No multiply-accumulate by counting.md, with outputs as the file states them.
_STATED = (
    "Bucketize", "CTCGreedyDecoder", "CTCGreedyDecoderSeqLen", "CTCLoss", "Col2Im",
    "ConvertPromoteTypes", "DFT", "IDFT", "RDFT", "IRDFT", "ISTFT", "STFT",
    "DeformablePSROIPooling", "DetectionOutput", "EmbeddingBagOffsets", "EmbeddingBagOffsetsSum",
    "EmbeddingBagPacked", "EmbeddingBagPackedSum", "EmbeddingSegmentsSum",
    "ExperimentalDetectronDetectionOutput", "ExperimentalDetectronGenerateProposalsSingleImage",
    "ExperimentalDetectronPriorGridGenerator", "ExperimentalDetectronROIFeatureExtractor",
    "ExperimentalDetectronTopKROIs", "ExtractImagePatches", "Eye", "GatherTree",
    "GenerateProposals", "I420toBGR", "I420toRGB", "Inverse", "MatrixNms", "MulticlassNms",
    "Multinomial", "NV12toBGR", "NV12toRGB", "NonMaxSuppression", "NonMaxSuppressionIEInternal",
    "PSROIPooling", "PriorBox", "PriorBoxClustered", "Proposal", "ROIAlignRotated", "RandomUniform",
    "RegionYolo", "SearchSorted", "SegmentMax", "SparseFillEmptyRows", "StringTensorPack",
    "StringTensorUnpack",
)  # fmt: skip

OPERATORS: Ops = {
    **named(Kind.UNARY, _UNARY),
    **{op: partial(_elementwise, name=name) for op, name in _BINARY.items()},
    **dict.fromkeys(_STATED, Meaning(Kind.POSTPROCESS)),
    **{op: Meaning(kind) for op, kind in _PLAIN.items()},
    **dict.fromkeys(("Roll", "Reverse", "ReverseSequence", "ShuffleChannels"),
                    Meaning(Kind.IDENTITY, {"exact": False}, (0,))),
    **dict.fromkeys(("SoftMax", "Softmax"), _row(Kind.SOFTMAX, axis=integer("axis", 1))),
    **{f"Reduce{op}": _row(Kind.REDUCE, function=name, keep_dims=_flag("keep_dims"),
                            noop_with_empty_axes=True) for op, name in (
        ("L1", "l1"), ("L2", "l2"), ("LogicalAnd", "all"), ("LogicalOr", "any"), ("Max", "max"),
        ("Mean", "mean"), ("Min", "min"), ("Prod", "prod"), ("Sum", "sum"))},
    "Add": function(Kind.BINARY, "add"), "Multiply": partial(_scaled, name="mul"),
    "Subtract": partial(_scaled, name="sub"), "Convolution": _conv(False),
    "BinaryConvolution": _conv(False), "GroupConvolution": _conv(True),
    "DeformableConvolution": _conv(False, 0, 2), "ConvolutionBackpropData": _conv_transpose(False),
    "GroupConvolutionBackpropData": _conv_transpose(True),
    "MatMul": _row(Kind.MATMUL, transpose_a=_flag("transpose_a"), transpose_b=_flag("transpose_b")),
    "Einsum": _row(Kind.EINSUM, equation=lambda o: o.text("equation")),
    "LSTMSequence": _sequence("lstm"), "GRUSequence": _sequence("gru"),
    "RNNSequence": _sequence("rnn"), "LSTMCell": _cell("lstm"), "GRUCell": _cell("gru"),
    "RNNCell": _cell("rnn"), "ScaledDotProductAttention": _attention, "AvgPool": _pool("average"),
    "MaxPool": _pool("max"), "AdaptiveAvgPool": _adaptive_pool("average"),
    "AdaptiveMaxPool": _adaptive_pool("max"), "BatchNormInference": _batch_norm,
    "GRN": function(Kind.NORMALISE, "l2"),
    "GroupNormalization": Meaning(Kind.NORMALISE, {"function": "group"}),
    "LRN": Meaning(Kind.NORMALISE, {"function": "local_response"}, (0,)),
    "MVN": Meaning(Kind.NORMALISE, {"function": "layer"}, (0,)),
    "NormalizeL2": Meaning(Kind.NORMALISE, {"function": "l2"}, (0,)),
    "RMS": Meaning(Kind.NORMALISE, {"function": "rms"}),
    "LogSoftmax": _row(Kind.SOFTMAX, axis=integer("axis", 1), log=True),
    "FakeQuantize": Meaning(Kind.QUANTIZE, {}, (0, 1, 2, 3, 4)),
    "Convert": _row(Kind.CAST, (0,), dtype=lambda o: dtype_name(o.text("destination_type"))),
    "ConvertLike": Meaning(Kind.CAST, {}, (0,)),
    "Broadcast": _row(
        Kind.BROADCAST_TO, (0, 1), two_way=lambda o: o.text("mode").lower() == "bidirectional"
    ),
    "Concat": _row(Kind.CONCAT, axis=integer("axis", 0)), "Gather": _gather,
    "GatherND": _row(Kind.GATHER_ND, batch_dims=integer("batch_dims", 0)),
    "Interpolate": _interpolate, "OneHot": _one_hot, "Pad": _pad,
    "Reshape": _row(Kind.RESHAPE, zero_copies=_flag("special_zero")), "ROIAlign": _roi,
    "ROIPooling": _roi, "ReadValue": _read_value, "ReorgYolo": _reorg,
    "ShapeOf": Meaning(Kind.SHAPE, {}, (0,)),
    "Slice": Meaning(Kind.STRIDED_SLICE, {"onnx": True}, (0, 1, 2, 4, 3)),
    "StridedSlice": _row(Kind.STRIDED_SLICE, **_MASKS),
    "Split": Meaning(Kind.SPLIT, {}, (0, None, 1)),
    "VariadicSplit": Meaning(Kind.SPLIT, {}, (0, 2, 1)),
    "Squeeze": Meaning(Kind.SQUEEZE, {}, (0, 1)),
    "Unsqueeze": Meaning(Kind.EXPAND_DIMS, {}, (0, 1)),
    "SpaceToDepth": _row(Kind.SPACE_TO_DEPTH, block=integer("block_size", 1), layout=_FIRST),
    "DepthToSpace": _row(Kind.DEPTH_TO_SPACE, block=integer("block_size", 1), layout=_FIRST),
    "TopK": _row(Kind.TOP_K, (0, 1), axis=integer("axis", -1)),
    "Transpose": Meaning(Kind.TRANSPOSE, {}, (0, 1)),
}  # fmt: skip
