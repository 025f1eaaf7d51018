"""What each layer of TNN's is in common words; the places of numbers are those of its
`layer_interpreter`s."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.netlist import Operand
from edgewise.formats.tnn.network import Line, Network
from edgewise.graph import Kind

FIRST = "channels_first"
Translator = Callable[[Network, Line], None]
_ACTIVATIONS = {1: "relu", 2: "relu6", 256: "sigmoid_mul"}


def add(reader: Network, layer: Line) -> None:
    """Add a layer to the graph."""
    kind = layer.type.removeprefix("Quantized")
    (RULES.get(kind) or _plain(Kind.UNKNOWN))(reader, layer)
    if layer.type.startswith("Quantized"):
        for name in layer.outputs:
            reader.netlist.tensor(reader.netlist.value(name)).dtype = "int8"


def _make(reader: Network, layer: Line, kind: Kind, *weights: Operand, **attributes: Any) -> None:
    reads = (*layer.inputs, *weights)
    reader.netlist.layer(layer.name, layer.type, kind, reads, layer.outputs, **attributes)


def _plain(kind: Kind, **attributes: Any) -> Translator:
    return lambda reader, layer: _make(reader, layer, kind, **attributes)


def _positive(layer: Line, values: list[int]) -> tuple[int, ...]:
    if min(values) < 1:
        raise RejectedModel(f"{layer.type} {layer.name}: {values}")
    return tuple(values)


def _convolution(transposed: bool = False) -> Translator:
    """groups, inputs of a group, outputs, kernel, strides, pads, bias, kind of pad, dilations."""

    def build(reader: Network, layer: Line) -> None:
        groups, deep, out = (layer.integer(place) for place in range(3))
        kernel = _positive(layer, [layer.integer(place) for place in (3, 4)])
        strides = _positive(layer, [layer.integer(place, 1) for place in (5, 6)])
        near = (layer.integer(7), layer.integer(8))
        named = {0: "same", 1: "valid"}.get(layer.integer(10, -1))
        dilations = _positive(layer, [max(layer.integer(place, 1), 1) for place in (11, 12)])
        if min(groups, deep, out) < 1 or out % groups:
            raise RejectedModel(f"{layer.type} {layer.name}: {groups} groups, {deep} to {out}")
        shape = (out, deep, *kernel)
        if transposed:
            shape = (deep * groups, out // groups, *kernel)
        weights = [reader.weight(layer, 0, shape)]
        if layer.integer(9):
            weights.append(reader.weight(layer, 1, (out,)))
        _make(
            reader, layer, Kind.CONV_TRANSPOSE if transposed else Kind.CONV, *weights,
            layout=FIRST, weight_layout="IO*" if transposed else "OI*", strides=strides,
            dilations=dilations, groups=groups, pads=named or near * 2,
            activation=_ACTIVATIONS.get(layer.integer(13)),
        )  # fmt: skip

    return build


def _inner_product(reader: Network, layer: Line) -> None:
    units = layer.integer(0)
    if units < 1:
        raise RejectedModel(f"InnerProduct {layer.name}: {units} units")
    weight = reader.weight(layer, 0, None)
    tensor = reader.netlist.tensor(weight)
    if tensor.shape is not None and isinstance(tensor.shape[0], int):
        if tensor.shape[0] % units:
            raise RejectedModel(f"InnerProduct {layer.name}: {tensor.shape[0]:,} for {units}")
        tensor.shape = (units, tensor.shape[0] // units)
    weights = [weight]
    if layer.integer(1):
        weights.append(reader.weight(layer, 1, (units,)))
    _make(reader, layer, Kind.DENSE, *weights, units=units)


def _pooling(reader: Network, layer: Line) -> None:
    function = "average" if layer.integer(0) else "max"
    kernel = [layer.integer(place) for place in (1, 2)]
    if layer.integer(11):
        size = (layer.integer(12), layer.integer(13))
        _make(reader, layer, Kind.POOL, function=function, layout=FIRST, output_size=size)
    elif not any(kernel):
        _make(reader, layer, Kind.GLOBAL_POOL, function=function, layout=FIRST)
    else:
        near = (layer.integer(5), layer.integer(6))
        named = {0: "same", 1: "valid"}.get(layer.integer(9, -1))
        _make(
            reader, layer, Kind.POOL, function=function, layout=FIRST,
            kernel=_positive(layer, kernel), pads=named or near * 2,
            strides=_positive(layer, [layer.integer(place, 1) for place in (3, 4)]),
            ceil_mode=bool(layer.integer(10)),
        )  # fmt: skip


def _binary(function: str) -> Translator:
    def build(reader: Network, layer: Line) -> None:
        weights = [reader.weight(layer, at, None) for at in range(min(reader.stored(layer), 1))]
        if len(layer.inputs) + len(weights) < 2:
            _make(reader, layer, Kind.UNARY, function=function)
        elif weights and len(layer.inputs) < 2:
            _make(reader, layer, Kind.BINARY, *weights, function=function, like_first=True)
        else:
            _make(reader, layer, Kind.BINARY, function=function, loose=True)

    return build


def _vectors(kind: Kind, count: int, **attributes: Any) -> Translator:
    """A layer with so many numbers per channel."""

    def build(reader: Network, layer: Line) -> None:
        stored = [reader.weight(layer, at, None) for at in range(count)]
        _make(reader, layer, kind, *stored, vectors=1, **attributes)

    return build


def _axis(kind: Kind, default: int = 1) -> Translator:
    return lambda reader, layer: _make(reader, layer, kind, axis=layer.integer(0, default))


def _block(kind: Kind) -> Translator:
    return lambda reader, layer: _make(reader, layer, kind, block=layer.integer(0, 1), layout=FIRST)


def _reshape(reader: Network, layer: Line) -> None:
    dims, _ = layer.integers(2)
    first = layer.integer(0)
    if first < 0:
        raise RejectedModel(f"Reshape {layer.name}: from axis {first}")
    _make(reader, layer, Kind.RESHAPE, shape=(*(0,) * first, *dims), zero_copies=True)


def _permute(reader: Network, layer: Line) -> None:
    order, _ = layer.integers(0)
    _make(reader, layer, Kind.TRANSPOSE, permutation=tuple(order))


def _upsample(reader: Network, layer: Line) -> None:
    sizes = (layer.integer(4), layer.integer(5))
    if all(size > 0 for size in sizes):
        _make(reader, layer, Kind.RESIZE, layout=FIRST, sizes=sizes)
        return
    try:
        scales = tuple(float(word) for word in layer.numbers[1:3])
    except ValueError as problem:
        raise RejectedModel(f"Upsample {layer.name}: {layer.numbers[1:3]}") from problem
    _make(reader, layer, Kind.RESIZE, layout=FIRST, scales=scales)


def _pad(reader: Network, layer: Line) -> None:
    pads = [layer.integer(place) for place in range(2, 8)]
    _make(reader, layer, Kind.PAD, order="pairs", pads=tuple(pads), axes=(2, 3, 1))


def _strided_slice(reader: Network, layer: Line) -> None:
    begin, place = layer.integers(0)
    end, place = layer.integers(place)
    axes, place = layer.integers(place)
    steps, _ = layer.integers(place)
    _make(
        reader, layer, Kind.STRIDED_SLICE, onnx=True, begin=tuple(begin), end=tuple(end),
        axes=tuple(axes), steps=tuple(steps) or None,
    )  # fmt: skip


def _reduce(function: str) -> Translator:
    def build(reader: Network, layer: Line) -> None:
        axes = [layer.integer(place) for place in range(1, len(layer.numbers))]
        if len(axes) > 1 and axes[0] == len(axes) - 1 and layer.integer(1) > 0:
            axes = axes[1:]
        keep = bool(layer.integer(0))
        _make(reader, layer, Kind.REDUCE, function=function, axes=tuple(axes), keep_dims=keep)

    return build


def _split(reader: Network, layer: Line) -> None:
    sizes, _ = layer.integers(1)
    given = tuple(sizes) if len(sizes) == len(layer.outputs) and min(sizes) > 0 else None
    _make(reader, layer, Kind.SPLIT, axis=layer.integer(0), sizes=given)


def _axes(kind: Kind) -> Translator:
    def build(reader: Network, layer: Line) -> None:
        axes, _ = layer.integers(0)
        _make(reader, layer, kind, axes=tuple(axes))

    return build


def _same_value(reader: Network, layer: Line) -> None:
    """One value under several names."""
    reads = layer.inputs[:1] * len(layer.outputs)
    reader.netlist.layer(layer.name, layer.type, Kind.IDENTITY, reads, layer.outputs)


_UNARY = {
    "ReLU": "relu", "ReLU6": "relu6", "Sigmoid": "sigmoid", "TanH": "tanh", "Tanh": "tanh",
    "Elu": "elu", "ELU": "elu", "Selu": "selu", "Clip": "clip", "HardSigmoid": "hard_sigmoid",
    "HardSwish": "hard_swish", "Exp": "exp", "Log": "log", "Power": "pow", "Pow": "pow",
    "Sqrt": "sqrt", "Rsqrt": "rsqrt", "Abs": "abs", "Neg": "neg", "Floor": "floor", "Ceil": "ceil",
    "Sin": "sin", "Cos": "cos", "Tan": "tan", "Asin": "asin", "Acos": "acos", "Atan": "atan",
    "Softplus": "softplus", "Softsign": "softsign", "LeakyReLU": "leaky_relu", "Erf": "erf",
    "GELU": "gelu", "Swish": "swish", "Mish": "mish", "Reciprocal": "reciprocal", "Sign": "sign",
    "LogSigmoid": "log_sigmoid", "SignedMul": "signed_mul", "Not": "not",
}  # fmt: skip
_BINARY = {
    "Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div", "Maximum": "max", "Minimum": "min",
    "Max": "max", "Min": "min", "Greater": "greater", "Less": "less", "Equal": "equal",
    "Eltwise": "add", "BitShift": "left_shift", "SquaredDifference": "squared_difference",
    "And": "and", "Or": "or",
}  # fmt: skip
_REDUCE = {
    "ReduceMean": "mean", "ReduceSum": "sum", "ReduceMax": "max", "ReduceMin": "min",
    "ReduceProd": "prod", "ReduceL1": "l1", "ReduceL2": "l2", "ReduceSumSquare": "sum_square",
    "ReduceLogSum": "log_sum", "ReduceLogSumExp": "log_sum_exp",
}  # fmt: skip
_AS_STATED = (
    "DetectionOutput", "DetectionPostProcess", "PriorBox", "NonMaxSuppression", "ArgMaxOrMin",
    "TopK", "OneHot", "Shape", "Gather", "GatherND", "GatherElements", "Expand", "Range", "Const",
    "ConstantOfShape", "NonZero", "ScatterND", "ScatterElements", "Where", "Size", "Tile",
    "Repeat", "CbamFusedReduce", "RoiAlign", "PSRoiPooling", "GridSample", "Unsqueeze_", "Rank",
    "EfficientNMS", "CumSum", "StridedSlice", "ReshapeTensor", "PadV2",
)  # fmt: skip

RULES: dict[str, Translator] = {
    **{name: _plain(Kind.UNARY, function=function) for name, function in _UNARY.items()},
    **{name: _binary(function) for name, function in _BINARY.items()},
    **{name: _reduce(function) for name, function in _REDUCE.items()},
    **dict.fromkeys(_AS_STATED, _plain(Kind.POSTPROCESS)),
    **dict.fromkeys(("Dropout", "Cast", "Reformat", "Identity", "Int8Reformat"),
                    _plain(Kind.IDENTITY)),
    **dict.fromkeys(("ShuffleChannel", "Shuffle", "Flip"), _plain(Kind.IDENTITY, exact=False)),
    **dict.fromkeys(("SoftmaxCaffe", "Softmax", "LogSoftmax"), _axis(Kind.SOFTMAX)),
    **dict.fromkeys(("Permute", "Transpose"), _permute),
    **dict.fromkeys(("BatchNormCxx", "BatchNorm"), _vectors(Kind.NORMALISE, 2, function="batch")),
    **dict.fromkeys(("InstBatchNormCxx", "InstanceNorm"),
                    _vectors(Kind.NORMALISE, 2, function="instance")),
    **dict.fromkeys(("PReLU", "PRelu"),
                    _vectors(Kind.BINARY, 1, function="prelu", like_first=True)),
    "Concat": _axis(Kind.CONCAT),
    "Convolution": _convolution(),
    "Deconvolution": _convolution(transposed=True),
    "DepthToSpace": _block(Kind.DEPTH_TO_SPACE),
    "PixelShuffle": _block(Kind.DEPTH_TO_SPACE),
    "Flatten": _axis(Kind.FLATTEN),
    "InnerProduct": _inner_product,
    "LRN": _plain(Kind.NORMALISE, function="local_response"),
    "MatMul": _plain(Kind.MATMUL),
    "Normalize": _plain(Kind.NORMALISE, function="l2"),
    "Pad": _pad,
    "Pooling": _pooling,
    "Reorg": _block(Kind.SPACE_TO_DEPTH),
    "Reshape": _reshape,
    "Scale": _vectors(Kind.BINARY, 2, function="mul", like_first=True),
    "Split": _same_value,
    "Splitting": _same_value,
    "SplitV": _split,
    "Squeeze": _axes(Kind.SQUEEZE),
    "StridedSliceV2": _strided_slice,
    "Unsqueeze": _axes(Kind.EXPAND_DIMS),
    "Upsample": _upsample,
}  # fmt: skip
