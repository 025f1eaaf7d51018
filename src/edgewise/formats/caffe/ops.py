"""What each layer of Caffe's is in common words: those of BVLC, and of the branches (SSD, Faster
R-CNN, DeepLab, SegNet, ENet, ShuffleNet …) that apps ship."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.caffe.network import Caffe
from edgewise.formats.kit import evaluated
from edgewise.formats.messages import Message, Word
from edgewise.formats.netlist import Operand
from edgewise.graph import Kind

FIRST = "channels_first"
Translator = Callable[[Caffe, str, Message], None]


def add_layer(reader: Caffe, kind: str, layer: Message) -> None:
    """Add a layer to the graph."""
    (RULES.get(kind) or _unknown)(reader, kind, layer)


def _add(
    reader: Caffe, op: str, layer: Message, kind: Kind, *weights: Operand, **attributes: Any
) -> None:
    tops = layer.texts("top")
    inputs = (*layer.texts("bottom"), *weights)
    reader.netlist.layer(layer.text("name"), op, kind, inputs, tops, **attributes)


def _plain(kind: Kind, **attributes: Any) -> Translator:
    """A layer whose attributes are constants, or functions of it."""

    def add(reader: Caffe, op: str, layer: Message) -> None:
        found = evaluated(attributes, layer)
        _add(reader, op, layer, kind, **found)

    return add


def _unknown(reader: Caffe, op: str, layer: Message) -> None:
    blobs = reader.blobs.get(layer.text("name"), [])
    _add(reader, op, layer, Kind.UNKNOWN, *blobs)


def _pair(message: Message, name: str, default: int) -> tuple[int, int]:
    """Sizes of the two spatial axes: one for both, one each, or by name."""
    short = name.removesuffix("_size")
    if message.has(f"{short}_h") or message.has(f"{short}_w"):
        return message.integer(f"{short}_h"), message.integer(f"{short}_w")
    values = message.integers(name)
    if not values:
        return default, default
    return (values[0], values[0]) if len(values) == 1 else (values[0], values[1])


def _window(layer: Message, message: Message) -> dict[str, Any]:
    kernel, strides = _pair(message, "kernel_size", 0), _pair(message, "stride", 1)
    pads, dilations = _pair(message, "pad", 0), _pair(message, "dilation", 1)
    if min(*kernel, *strides, *dilations) < 1 or min(pads) < 0:
        raise RejectedModel(f"layer {layer.text('name')!r}: kernel {kernel}, stride {strides}")
    return {
        "kernel": kernel, "strides": strides, "pads": pads * 2, "dilations": dilations,
        "layout": FIRST,
    }  # fmt: skip


def _convolution(transposed: bool, depthwise: bool = False) -> Translator:
    def add(reader: Caffe, op: str, layer: Message) -> None:
        message, name = layer.message("convolution_param"), layer.text("name")
        weights = [reader.weight(name, 0, "weight")]
        if message.flag("bias_term", True):
            weights.append(reader.weight(name, 1, "bias"))
        groups = message.integer("group", 1)
        attributes = _window(layer, message) | {
            "weight_layout": "IO*" if transposed else "OI*",
            "groups": None if depthwise and not message.has("group") else groups,
            "units": message.integer("num_output"),
        }
        kind = Kind.CONV_TRANSPOSE if transposed else Kind.CONV
        for bottom, top in zip(layer.texts("bottom"), layer.texts("top"), strict=False):
            reader.netlist.layer(name, op, kind, (bottom, *weights), (top,), **attributes)

    return add


def _inner_product(reader: Caffe, op: str, layer: Message) -> None:
    message, name = layer.message("inner_product_param"), layer.text("name")
    weights = [reader.weight(name, 0, "weight")]
    tensor = reader.netlist.tensor(weights[0])
    if tensor.shape is not None:  # older files write matrices with four dimensions
        tensor.shape = tensor.shape[-2:]
    if message.flag("bias_term", True):
        weights.append(reader.weight(name, 1, "bias"))
    _add(
        reader, op, layer, Kind.DENSE, *weights,
        keep_dims=message.integer("axis", 1) not in (0, 1),
        weight_layout="IO" if message.flag("transpose") else "OI",
        units=message.integer("num_output"),
    )  # fmt: skip


def _pooling(reader: Caffe, op: str, layer: Message) -> None:
    message = layer.message("pooling_param")
    function = "max" if message.last("pool", 0) in (0, "MAX") else "average"
    if message.flag("global_pooling"):
        _add(reader, op, layer, Kind.GLOBAL_POOL, function=function, layout=FIRST)
        return
    floor = message.last("round_mode", 0) in (1, "FLOOR") or not message.flag("ceil_mode", True)
    window = _window(layer, message)
    _add(reader, op, layer, Kind.POOL, function=function, ceil_mode=not floor, **window)


def _batch_norm(reader: Caffe, op: str, layer: Message) -> None:
    """Mean and variance; the third blob is a factor for both, no parameter."""
    name = layer.text("name")
    weights = [reader.weight(name, at, part) for at, part in enumerate(("mean", "variance"))]
    _add(reader, op, layer, Kind.NORMALISE, *weights, function="batch", vectors=1)


def _fused_norm(reader: Caffe, op: str, layer: Message) -> None:
    """Branches' layers that scale as well: all blobs are parameters."""
    blobs = reader.blobs.get(layer.text("name"), [])
    _add(reader, op, layer, Kind.NORMALISE, *blobs, function="batch")


def _scale(function: str) -> Translator:
    def add(reader: Caffe, op: str, layer: Message) -> None:
        message, name = layer.message("scale_param"), layer.text("name")
        axis, weights = message.integer("axis", 1), []
        bottoms = layer.texts("bottom")
        if len(bottoms) < 2:
            weights.append(reader.weight(name, 0, "scale"))
        if message.flag("bias_term") and function == "mul":
            weights.append(reader.weight(name, len(weights), "bias"))
        _add(
            reader, op, layer, Kind.BINARY, *weights,
            function=function, like_first=True, vectors=axis,
        )  # fmt: skip

    return add


def _prelu(reader: Caffe, op: str, layer: Message) -> None:
    shared = layer.message("prelu_param").flag("channel_shared")
    weight = reader.weight(layer.text("name"), 0, "slope")
    tensor = reader.netlist.tensor(weight)
    if shared and tensor.shape is None:
        tensor.shape = (1,)
    _add(reader, op, layer, Kind.BINARY, weight, function="prelu", like_first=True, vectors=1)


def _axis(message: Message, old: str) -> int:
    return message.integer("axis", message.integer(old, 1))


def _eltwise(layer: Message) -> str:
    operation = layer.message("eltwise_param").last("operation", 1)
    names = {0: "mul", 1: "add", 2: "max", "PROD": "mul", "SUM": "add", "MAX": "max"}
    return names.get(operation, "add")


def _reduced(layer: Message) -> str | None:
    names = {1: "sum", 2: "l1", 3: "sum_square", 4: "mean"}
    operation = layer.message("reduction_param").last("operation", 1)
    return str(operation).lower() if isinstance(operation, Word) else names.get(operation)


def _pooled(layer: Message) -> tuple[int, int]:
    message = layer.message("roi_pooling_param")
    return message.integer("pooled_h"), message.integer("pooled_w")


def _integer(message: str, name: str, default: int = 0) -> Callable[[Message], int]:
    return lambda layer: layer.message(message).integer(name, default)


def _slice(reader: Caffe, op: str, layer: Message) -> None:
    message = layer.message("slice_param")
    points = [0, *message.integers("slice_point")]
    sizes = None
    if len(points) == len(layer.texts("top")) and len(points) > 1:
        sizes = (*(b - a for a, b in pairwise(points)), -1)
        if min(sizes[:-1]) < 0:
            raise RejectedModel(f"layer {layer.text('name')!r}: slice points {points[1:]}")
    _add(reader, op, layer, Kind.SPLIT, axis=_axis(message, "slice_dim"), sizes=sizes)


def _split(reader: Caffe, op: str, layer: Message) -> None:
    tops = layer.texts("top")
    inputs = layer.texts("bottom")[:1] * len(tops)
    reader.netlist.layer(layer.text("name"), op, Kind.IDENTITY, inputs, tops)


def _softmax(reader: Caffe, op: str, layer: Message) -> None:
    axis = layer.message("softmax_param").integer("axis", 1)
    tops = layer.texts("top")
    inputs = layer.texts("bottom")[:1]
    reader.netlist.layer(layer.text("name"), op, Kind.SOFTMAX, inputs, tops, axis=axis)


def _reshape(reader: Caffe, op: str, layer: Message) -> None:
    message = layer.message("reshape_param")
    dims = message.message("shape").integers("dim")
    axis = message.integer("axis")
    if message.integer("num_axes", -1) != -1 or axis < 0:
        _add(reader, op, layer, Kind.DATA_DEPENDENT)
        return
    _add(reader, op, layer, Kind.RESHAPE, shape=(*(0,) * axis, *dims), zero_copies=True)


def _flatten(reader: Caffe, op: str, layer: Message) -> None:
    message = layer.message("flatten_param")
    axis, last = message.integer("axis", 1), message.integer("end_axis", -1)
    if last == -1 and axis >= 0:
        _add(reader, op, layer, Kind.RESHAPE, shape=(*(0,) * axis, -1), zero_copies=True)
    else:
        _add(reader, op, layer, Kind.DATA_DEPENDENT)


def _permute(reader: Caffe, op: str, layer: Message) -> None:
    order = layer.message("permute_param").integers("order")
    by_rank = {
        rank: (*order, *(axis for axis in range(rank) if axis not in order))
        for rank in range(max(len(order), 2), 8)
    }
    _add(reader, op, layer, Kind.TRANSPOSE, by_rank=by_rank)


def _tile(reader: Caffe, op: str, layer: Message) -> None:
    message = layer.message("tile_param")
    times = message.integer("tiles", 1)
    if not 0 < times <= 4096:
        raise RejectedModel(f"layer {layer.text('name')!r}: {times} tiles")
    inputs = layer.texts("bottom")[:1] * times
    reader.netlist.layer(
        layer.text("name"), op, Kind.CONCAT, inputs, layer.texts("top"),
        axis=message.integer("axis", 1),
    )  # fmt: skip


def _embed(reader: Caffe, op: str, layer: Message) -> None:
    message, name = layer.message("embed_param"), layer.text("name")
    weight = reader.weight(name, 0, "weight")
    tensor = reader.netlist.tensor(weight)
    if tensor.shape is None:
        tensor.shape = (message.integer("input_dim"), message.integer("num_output"))
    inputs: list[Operand] = [weight, *layer.texts("bottom")]
    if message.flag("bias_term", True):
        inputs.append(reader.weight(name, 1, "bias"))
    reader.netlist.layer(name, op, Kind.GATHER, inputs, layer.texts("top"))


def _recurrent(cell: str) -> Translator:
    """Sequences are (time, batch, …); continuation marks come second."""

    def add(reader: Caffe, op: str, layer: Message) -> None:
        message = layer.message("recurrent_param")
        hidden = message.integer("num_output")
        blobs = reader.blobs.get(layer.text("name"), [])
        bottoms, tops = layer.texts("bottom"), layer.texts("top")
        if cell != "lstm" or hidden < 1 or message.flag("expose_hidden"):
            _unknown(reader, op, layer)
            return
        # Blobs: weights of the input, bias, weights of the state.
        kernel = [blobs[at] if at < len(blobs) else None for at in (0, 2, 1)]
        reader.netlist.layer(
            layer.text("name"), op, Kind.RECURRENT, (bottoms[0], *kernel), tops[:1],
            cell=cell, hidden=hidden, time_axis=0, batch_axis=1, outputs=("sequence",),
        )  # fmt: skip

    return add


def _resize(reader: Caffe, op: str, layer: Message) -> None:
    """Interp of DeepLab and PSPNet, Upsample of SegNet and of darknet's converters."""
    message = layer.message("interp_param" if op.startswith("Interp") else "upsample_param")
    bottoms = layer.texts("bottom")
    sizes = [
        message.integer(key[0], message.integer(key[1]))
        for key in (("height", "upsample_h"), ("width", "upsample_w"))
    ]
    factor = message.integer("zoom_factor", message.integer("scale", 0))
    attributes: dict[str, Any] = {"layout": FIRST}
    if all(size > 0 for size in sizes):
        attributes["sizes"] = tuple(sizes)
    elif op.startswith("Interp") and factor > 1:
        # A size of (size − 1) · factor + 1: a transposed convolution's without overlap.
        attributes["stretch"] = factor
    elif factor > 0:
        attributes["scales"] = (float(factor), float(factor))
    elif len(bottoms) > 1 and op.startswith("Interp"):
        attributes["like"] = 1
    else:
        _add(reader, op, layer, Kind.DATA_DEPENDENT)
        return
    _add(reader, op, layer, Kind.RESIZE, **attributes)


def _parameter(reader: Caffe, op: str, layer: Message) -> None:
    weight = reader.weight(layer.text("name"), 0, "data")
    tensor = reader.netlist.tensor(weight)
    if tensor.shape is None:
        tensor.shape = tuple(layer.message("parameter_param").message("shape").integers("dim"))
    _add(reader, op, layer, Kind.IDENTITY, weight)


def _normalize(reader: Caffe, op: str, layer: Message) -> None:
    blobs = reader.blobs.get(layer.text("name")) or [reader.weight(layer.text("name"), 0, "scale")]
    if layer.message("norm_param").flag("channel_shared", True):
        tensor = reader.netlist.tensor(blobs[0])
        tensor.shape = tensor.shape or (1,)
    _add(reader, op, layer, Kind.NORMALISE, *blobs, function="l2", vectors=1)


def _silence(reader: Caffe, op: str, layer: Message) -> None:
    """Nothing: it only says that a value is not used."""


_UNARY = {
    "ReLU": "relu", "ReLU6": "relu6", "Sigmoid": "sigmoid", "TanH": "tanh", "AbsVal": "abs",
    "BNLL": "softplus", "ELU": "elu", "Exp": "exp", "Log": "log", "Power": "pow",
    "Threshold": "threshold", "Swish": "swish", "Clip": "clip", "HardSwish": "hard_swish",
    "HSwish": "hard_swish", "HSigmoid": "hard_sigmoid", "HardSigmoid": "hard_sigmoid",
    "Mish": "mish", "ReLU1": "clip", "SELU": "selu", "GELU": "gelu", "Hswish": "hard_swish",
    "Hsigmoid": "hard_sigmoid", "CReLU": "crelu", "RReLU": "relu", "Relu6": "relu6",
}  # fmt: skip
#: They run when the network is tested or used, and multiply nothing.
_AS_STATED = (
    "Accuracy", "ArgMax", "DetectionOutput", "DetectionEvaluate", "Proposal", "PriorBox",
    "MultiBoxLoss", "EuclideanLoss", "HDF5Output", "HingeLoss", "InfogainLoss", "ContrastiveLoss",
    "MultinomialLogisticLoss", "SigmoidCrossEntropyLoss", "Im2col", "BatchReindex", "SPP",
    "Filter", "PSROIPooling", "SmoothL1Loss", "Yolov3DetectionOutput", "YoloDetectionOutput",
    "RegionOutput", "Region", "ROIAlign", "L1Loss", "Unpooling", "MTCNNLoss",
)  # fmt: skip

RULES: dict[str, Translator] = {
    **{name: _plain(Kind.UNARY, function=function) for name, function in _UNARY.items()},
    **dict.fromkeys(_AS_STATED, _plain(Kind.POSTPROCESS)),
    **dict.fromkeys(("Dropout", "PermutohedralIdentity"), _plain(Kind.IDENTITY)),
    **dict.fromkeys(("ShuffleChannel", "Reverse"), _plain(Kind.IDENTITY, exact=False)),
    **dict.fromkeys(("Softmax", "SoftmaxWithLoss"), _softmax),
    **dict.fromkeys(("Interp", "Upsample"), _resize),
    **dict.fromkeys(("BN", "SyncBN", "CuDNNBatchNorm"), _fused_norm),
    **dict.fromkeys(("ConvolutionDepthwise", "DepthwiseConvolution", "ConvolutionDW"),
                    _convolution(False, depthwise=True)),
    "BatchNorm": _batch_norm,
    "Bias": _scale("add"),
    "Concat": _plain(
        Kind.CONCAT, axis=lambda layer: _axis(layer.message("concat_param"), "concat_dim")
    ),
    "Convolution": _convolution(False),
    # The first axes are those of the value, the others those of the reference.
    "Crop": _plain(Kind.GATHER_ELEMENTS, from_axis=_integer("crop_param", "axis", 2)),
    "Deconvolution": _convolution(True),
    "Eltwise": _plain(Kind.BINARY, function=_eltwise),
    "Embed": _embed,
    "Flatten": _flatten,
    "InnerProduct": _inner_product,
    "LRN": _plain(Kind.NORMALISE, function="local_response"),
    "LSTM": _recurrent("lstm"),
    "MVN": _plain(Kind.NORMALISE, function="instance"),
    "Normalize": _normalize,
    "PReLU": _prelu,
    "Parameter": _parameter,
    "Permute": _permute,
    "Pooling": _pooling,
    "ROIPooling": _plain(Kind.ROI_POOL, size=_pooled),
    "Reduction": _plain(
        Kind.REDUCE, function=_reduced, from_axis=_integer("reduction_param", "axis"),
        keep_dims=False,
    ),
    "Reorg": _plain(
        Kind.SPACE_TO_DEPTH, block=_integer("reorg_param", "stride", 2), layout=FIRST
    ),
    "Reshape": _reshape,
    "Scale": _scale("mul"),
    "Silence": _silence,
    "Slice": _slice,
    "Split": _split,
    "Tile": _tile,
}  # fmt: skip
