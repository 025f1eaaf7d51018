"""What the primitives of MindSpore Lite mean; feature maps have channels last.

Numbers of the union, slots and defaults are those of the public schema (ops.fbs).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgewise.formats.building import Meaning, Ops, function, named
from edgewise.formats.flatbuffer import Table
from edgewise.graph import Kind

_LAST = "channels_last"
_ACTIVATIONS = (
    None, "relu", "sigmoid", "relu6", "elu", "leaky_relu", "abs", "relu1", "softsign", "softplus",
    "tanh", "selu", "hard_swish", "hard_sigmoid", "thresholded_relu", "linear", "hard_tanh",
    "sign", "swish", "gelu", "gelu",
)  # fmt: skip


class Primitive:
    """A primitive with what is known of its tensors: `shapes` of its inputs as the file states."""

    def __init__(
        self, table: Table, numbers: Callable[[int], list[Any] | None],
        shapes: list[tuple[int, ...] | None],
    ) -> None:  # fmt: skip
        self.table = table
        #: The numbers of the input at a place, where it is a small constant.
        self.numbers = numbers
        self.shapes = shapes

    def integers(self, slot: int) -> tuple[int, ...]:
        """A list of whole numbers."""
        return self.table.int64s(slot)

    def activation(self, slot: int) -> dict[str, str]:
        """A fused activation."""
        number = self.table.int8(slot)
        name = _ACTIVATIONS[number] if 0 <= number < len(_ACTIVATIONS) else "unknown"
        return {"activation": name} if name else {}


Translation = Callable[[Primitive], Meaning]


def _pads(mode: int, amounts: tuple[int, ...]) -> Any:
    """Amounts stand (top, bottom, left, right)."""
    if mode in (1, 2):
        return ("same", "valid")[mode - 1]
    if len(amounts) == 4:
        top, bottom, left, right = amounts
        return (top, left, bottom, right)
    return "valid"


def _conv(p: Primitive) -> Meaning:
    return Meaning(Kind.CONV, {
        "layout": _LAST, "weight_layout": "O*I", "strides": p.integers(2),
        "dilations": p.integers(3) or (1,), "pads": _pads(p.table.int8(4), p.integers(5)),
        "groups": p.table.int64(7) or 1, **p.activation(10),
    })  # fmt: skip


def _deconv(p: Primitive) -> Meaning:
    return Meaning(Kind.CONV_TRANSPOSE, {
        "layout": _LAST, "weight_layout": "I*O", "strides": p.integers(2),
        "dilations": p.integers(3) or (1,), "pads": _pads(p.table.int8(4), p.integers(6)),
        "groups": p.table.int64(8) or 1, "output_padding": p.integers(12) or (0,),
        **p.activation(11),
    })  # fmt: skip


def _pool(name: str) -> Translation:
    def translate(p: Primitive) -> Meaning:
        if p.table.flag(6):
            return function(Kind.GLOBAL_POOL, name, layout=_LAST, **p.activation(7))
        return function(
            Kind.POOL, name, layout=_LAST, kernel=p.integers(0), strides=p.integers(1),
            pads=_pads(p.table.int8(3), p.integers(2)), ceil_mode=p.table.int8(4) == 1,
            **p.activation(7),
        )  # fmt: skip

    return translate


def _matmul(p: Primitive) -> Meaning:
    flags = {name: True for slot, name in ((0, "transpose_a"), (1, "transpose_b"))
             if p.table.flag(slot)}  # fmt: skip
    return Meaning(Kind.MATMUL, {**flags, **p.activation(2)})


def _dense(p: Primitive) -> Meaning:
    return Meaning(Kind.DENSE, {"keep_dims": p.table.flag(1) and p.table.int64(2) > 1,
                                **p.activation(3)})  # fmt: skip


def _recurrent(cell: str) -> Translation:
    outputs = ("onnx_sequence", "onnx_state", "onnx_cell")[: 3 if cell == "lstm" else 2]

    def translate(p: Primitive) -> Meaning:
        recurrent = p.shapes[2] if len(p.shapes) > 2 else None
        hidden = recurrent[-1] if recurrent else None
        return Meaning(Kind.RECURRENT, {
            "cell": cell, "hidden": p.table.int64(3) or hidden if cell == "lstm" else hidden,
            "directions": 2 if p.table.flag(0) else 1, "time_axis": 0, "batch_axis": 1,
            "outputs": outputs,
        }, (0, 1, 2, 3, None, 4, 5))  # fmt: skip

    return translate


def _binary(name: str, *, fused: bool = False) -> Translation:
    return lambda p: function(Kind.BINARY, name, **(p.activation(0) if fused else {}))


def _activation(p: Primitive) -> Meaning:
    number = p.table.int8(0)
    known = 0 < number < len(_ACTIVATIONS)
    return function(Kind.UNARY, str(_ACTIVATIONS[number]) if known else "identity")


def _reduce(p: Primitive) -> Meaning:
    names = ("mean", "max", "min", "prod", "sum", "sum_square", "l1", "all", "l2")
    number = p.table.int8(1)
    name = names[number] if 0 <= number < len(names) else "sum"
    return function(Kind.REDUCE, name, keep_dims=p.table.flag(0))


def _arg(name: str) -> Translation:
    return lambda p: function(
        Kind.ARG_REDUCE, name, axes=(p.table.int64(0),), keep_dims=p.table.flag(2)
    )


def _axis(kind: Kind, slot: int = 0, default: int = 0, **more: Any) -> Translation:
    return lambda p: Meaning(kind, {"axis": p.table.int64(slot, default), **more})


def _axes(kind: Kind, **more: Any) -> Translation:
    def translate(p: Primitive) -> Meaning:
        axes = p.integers(0)
        return Meaning(kind, {**({"axes": axes} if axes else {}), **more}, (0, 1))

    return translate


def _split(p: Primitive) -> Meaning:
    sizes = p.integers(1)
    attributes: dict[str, Any] = {"axis": p.table.int64(2)}
    if sizes and -1 not in sizes[:-1]:
        attributes["sizes"] = sizes
    return Meaning(Kind.SPLIT, attributes, (0,))


def _strided_slice(p: Primitive) -> Meaning:
    """Either TensorFlow's with masks, or ONNX's, which has a fourth input of axes."""
    if len(p.shapes) > 4:
        return Meaning(Kind.STRIDED_SLICE, {"onnx": True}, (0, 1, 2, 3, 4))
    names = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    return Meaning(Kind.STRIDED_SLICE, {n: p.table.int64(at) for at, n in enumerate(names)})


def _resize(p: Primitive) -> Meaning:
    """To a height and width stated, or given as sizes, or as scales of one or all axes."""
    height, width = p.table.int64(2), p.table.int64(3)
    if height and width:
        return Meaning(Kind.RESIZE, {"layout": _LAST, "sizes": [height, width]}, (0,))
    given = p.numbers(1)
    if given is None:
        return Meaning(Kind.DATA_DEPENDENT)
    whole = all(isinstance(number, int) for number in given)
    inner = given[-2:] if len(given) == 2 else [given[1], given[2]] if len(given) == 4 else given
    return Meaning(Kind.RESIZE, {"layout": _LAST, ("sizes" if whole else "scales"): inner}, (0,))


def _gather(p: Primitive) -> Meaning:
    axis = p.numbers(2)
    return Meaning(Kind.GATHER, {"axis": int(axis[0]) if axis else 0}, (0, 1))


def _blocks(kind: Kind) -> Translation:
    return lambda p: Meaning(kind, {"block": p.table.int64(0), "layout": _LAST})


def _pad(p: Primitive) -> Meaning:
    rows = p.table.table(0)
    if rows is not None and len(rows.tables(0)):
        pads = tuple(n for row in rows.tables(0) for n in row.int64s(0))
        return Meaning(Kind.PAD, {"order": "pairs", "pads": pads}, (0,))
    return Meaning(Kind.PAD, {"order": "pairs"}, (0, 1))


def _quantised(p: Primitive) -> Meaning:
    return Meaning(Kind.QUANTIZE if p.table.int64(1) in (32, 37) else Kind.DEQUANTIZE, {}, (0,))


def _broadcast(p: Primitive) -> Meaning:
    shape = p.integers(0)
    return Meaning(Kind.BROADCAST_TO, {"shape": shape} if shape else {}, (0, 1))


def _squeezed_blocks(kind: Kind) -> Translation:
    """Block sizes and paddings as attributes, or as inputs (TensorFlow's)."""

    def translate(p: Primitive) -> Meaning:
        edges = p.table.table(1)
        attributes: dict[str, Any] = {}
        if p.integers(0) and edges is not None:
            attributes = {
                "block": p.integers(0),
                "edges": tuple(n for row in edges.tables(0) for n in row.int64s(0)),
            }  # fmt: skip
        return Meaning(kind, attributes)

    return translate


OPERATORS: Ops = {
    "Conv2DFusion": _conv, "AdderFusion": _conv, "Conv2dTransposeFusion": _deconv,
    "AvgPoolFusion": _pool("average"), "MaxPoolFusion": _pool("max"), "MatMulFusion": _matmul,
    "FullConnection": _dense, "LSTM": _recurrent("lstm"), "GRU": _recurrent("gru"),
    "Activation": _activation,
    **named(Kind.UNARY, {
        "Abs": "abs", "Ceil": "ceil", "Clip": "clip", "Cos": "cos", "Elu": "elu",
        "ExpFusion": "exp",
        "Floor": "floor", "LeakyRelu": "leaky_relu", "Log": "log", "Log1p": "log1p",
        "LogicalNot": "not", "Neg": "neg", "Reciprocal": "reciprocal", "Round": "round",
        "Rsqrt": "rsqrt", "Sin": "sin", "Sqrt": "sqrt", "Square": "square", "Erf": "erf",
        "IsFinite": "is_finite", "OnesLike": "ones", "ZerosLike": "zeros", "Triu": "triu",
        "Tril": "tril"}),
    "AddFusion": _binary("add", fused=True), "SubFusion": _binary("sub", fused=True),
    "MulFusion": _binary("mul", fused=True), "DivFusion": _binary("div", fused=True),
    "Eltwise": _binary("eltwise"),
    **named(Kind.BINARY, {
        "AddN": "add", "Equal": "equal", "FloorDiv": "floor_div", "FloorMod": "mod",
        "Greater": "greater", "GreaterEqual": "greater_equal", "Less": "less",
        "LessEqual": "less_equal", "LogicalAnd": "and", "LogicalOr": "or", "Maximum": "max",
        "Minimum": "min", "Mod": "mod", "NotEqual": "not_equal", "PowFusion": "pow",
        "PReLUFusion": "prelu", "RealDiv": "div", "SquaredDifference": "squared_difference",
        "BiasAdd": "add", "ScaleFusion": "scale"}),
    **named(Kind.NORMALISE, {
        "BatchNorm": "batch", "FusedBatchNorm": "batch", "InstanceNorm": "instance",
        "LayerNormFusion": "layer", "GroupNormFusion": "group", "L2NormalizeFusion": "l2",
        "LRN": "local_response", "LpNormalization": "l2"}),
    "Softmax": lambda p: Meaning(Kind.SOFTMAX, {"axis": (p.integers(0) or (-1,))[0]}),
    "LogSoftmax": _axis(Kind.SOFTMAX, 0, 0, log=True), "ReduceFusion": _reduce,
    "ArgMaxFusion": _arg("max"), "ArgMinFusion": _arg("min"), "All": function(Kind.REDUCE, "all"),
    "CumSum": Meaning(Kind.CUMULATIVE, {}, (0,)), "Concat": _axis(Kind.CONCAT),
    "Stack": _axis(Kind.STACK), "Unstack": _axis(Kind.UNSTACK), "Split": _split,
    "Squeeze": _axes(Kind.SQUEEZE, only_ones=True), "Unsqueeze": _axes(Kind.EXPAND_DIMS),
    "ExpandDims": _axes(Kind.EXPAND_DIMS),
    "Reshape": Meaning(Kind.RESHAPE, {"zero_copies": True}, (0, 1)),
    "Flatten": _axis(Kind.FLATTEN, 0, 1), "Transpose": Meaning(Kind.TRANSPOSE, {}, (0, 1)),
    "SliceFusion": Meaning(Kind.SLICE), "StridedSlice": _strided_slice, "Gather": _gather,
    "GatherNd": Meaning(Kind.GATHER_ND), "GatherD": Meaning(Kind.GATHER_ELEMENTS, {}, (0, 2)),
    "EmbeddingLookupFusion": Meaning(Kind.GATHER, {"axis": 0}, (0, 1)),
    "ScatterNd": Meaning(Kind.SCATTER_ND),
    **dict.fromkeys(("ScatterNdUpdate", "ScatterElements", "TensorScatterAdd"),
                    Meaning(Kind.SCATTER)),
    "PadFusion": _pad, "TileFusion": Meaning(Kind.TILE, {}, (0, 1)), "BroadcastTo": _broadcast,
    "Resize": _resize, "SpaceToBatch": _squeezed_blocks(Kind.SPACE_TO_BATCH),
    "SpaceToBatchND": _squeezed_blocks(Kind.SPACE_TO_BATCH),
    "BatchToSpace": _squeezed_blocks(Kind.BATCH_TO_SPACE),
    "BatchToSpaceND": _squeezed_blocks(Kind.BATCH_TO_SPACE),
    "DepthToSpace": _blocks(Kind.DEPTH_TO_SPACE), "SpaceToDepth": _blocks(Kind.SPACE_TO_DEPTH),
    "Cast": Meaning(Kind.CAST, {}, (0,)), "QuantDTypeCast": _quantised,
    "DynamicQuant": Meaning(Kind.QUANTIZE, {}, (0,)),
    "FakeQuantWithMinMaxVars": Meaning(Kind.QUANTIZE, {}, (0,)),
    "FakeQuantWithMinMaxVarsPerChannel": Meaning(Kind.QUANTIZE, {}, (0,)),
    "Shape": Meaning(Kind.SHAPE), "Size": Meaning(Kind.SIZE), "Rank": Meaning(Kind.RANK),
    "Range": lambda p: Meaning(Kind.RANGE if len(p.shapes) == 3 else Kind.DATA_DEPENDENT),
    "Fill": Meaning(Kind.FILL, {}, (1, 0)), "FillV2": Meaning(Kind.FILL),
    "ConstantOfShape": Meaning(Kind.FILL),
    "OneHot": lambda p: Meaning(Kind.ONE_HOT, {"axis": p.table.int64(0) or -1}, (0, 1)),
    "TopKFusion": lambda p: Meaning(Kind.TOP_K, {"axis": p.table.int64(1) or -1}, (0, 1)),
    "Select": Meaning(Kind.WHERE),
    "Where": lambda p: Meaning(Kind.WHERE if len(p.shapes) == 3 else Kind.DATA_DEPENDENT),
    "Dropout": Meaning(Kind.IDENTITY, {}, (0,)), "Depend": Meaning(Kind.IDENTITY, {}, (0,)),
    "FormatTranspose": lambda p: Meaning(Kind.TRANSPOSE, {
        "permutation": (0, 2, 3, 1) if p.table.int32(1, 1) == 1 else (0, 3, 1, 2)}, (0,)),
    **dict.fromkeys(("ReverseSequence", "ReverseV2", "InvertPermutation"),
                    Meaning(Kind.IDENTITY, {"exact": False}, (0,))),
    **dict.fromkeys(("NonZero", "Unique", "NonMaxSuppression", "SparseToDense", "RaggedRange"),
                    Meaning(Kind.DATA_DEPENDENT)),
    **dict.fromkeys(
        ("DetectionPostProcess", "PriorBox", "ROIPooling", "CropAndResize", "AudioSpectrogram",
         "Mfcc", "Rfft", "FftReal", "FftImag", "HashtableLookup", "LshProjection", "SkipGram",
         "CustomExtractFeatures", "CustomNormalize", "CustomPredict", "RandomStandardNormal",
         "UniformReal", "RandomNormal", "LinSpace", "Crop", "Assert", "Splice",
         "SplitWithOverlap", "UnsortedSegmentSum", "SparseSegmentSum", "SparseReshape",
         "SparseFillEmptyRows", "GLU"), Meaning(Kind.POSTPROCESS)),
    **dict.fromkeys(
        ("Assign", "AssignAdd", "TensorListFromTensor", "TensorListGetItem", "TensorListReserve",
         "TensorListSetItem", "TensorListStack", "TensorArray", "TensorArrayRead",
         "TensorArrayWrite"), Meaning(Kind.VARIABLE)),
}  # fmt: skip
