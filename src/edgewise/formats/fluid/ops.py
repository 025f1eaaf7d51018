"""What each of Paddle's operators is in common words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgewise.formats.fluid.compute import (
    activation,
    attention,
    convolution,
    dense,
    emit,
    layout,
    lookup,
    matmul,
    pool,
    recurrent,
)
from edgewise.formats.fluid.names import (
    BINARY,
    IDENTITY,
    REDUCE,
    STATED,
    UNARY,
)
from edgewise.formats.fluid.program import TYPES, Operator
from edgewise.formats.kit import evaluated, integer
from edgewise.formats.netlist import Netlist, Operand
from edgewise.graph import Kind

Translator = Callable[[Netlist, Operator], None]
#: What operators call what they compute on.
_X = ("X", "Input", "Logits")


def add(netlist: Netlist, operator: Operator) -> None:
    """Add an operator to the graph."""
    (RULES.get(operator.type) or _unknown)(netlist, operator)


def _all(operator: Operator) -> list[Operand]:
    return [argument for names in operator.inputs.values() for argument in names]


def _x(operator: Operator) -> list[Operand]:
    return [operator.first(*_X)]


def _unknown(netlist: Netlist, operator: Operator) -> None:
    emit(netlist, operator, Kind.UNKNOWN, _all(operator))


def _stated(netlist: Netlist, operator: Operator) -> None:
    emit(netlist, operator, Kind.POSTPROCESS, _all(operator))


def _row(kind: Kind, *inputs: str | tuple[str, ...], **attributes: Any) -> Translator:
    """A rule from arguments by their names, x by default, of several the first that there is;
    attributes are constants, or functions of the operator."""
    wanted = [(one,) if isinstance(one, str) else one for one in inputs or (_X,)]

    def build(netlist: Netlist, operator: Operator) -> None:
        found = evaluated(attributes, operator)
        reads: list[Operand] = [operator.first(*names) for names in wanted]
        emit(netlist, operator, kind, reads, **found)

    return build


def _integers(name: str) -> Callable[[Operator], tuple[int, ...]]:
    return lambda operator: tuple(operator.integers(name))


def _dtype(name: str) -> Callable[[Operator], str]:
    return lambda operator: TYPES.get(operator.integer(name, 5), "float32")


def _binary(function: str) -> Translator:
    def build(netlist: Netlist, operator: Operator) -> None:
        inputs: list[Operand] = [operator.first("X"), operator.first("Y")]
        emit(
            netlist, operator, Kind.BINARY, inputs, function=function,
            axis=operator.integer("axis", -1), activation=activation(operator),
        )  # fmt: skip

    return build


def _sum(netlist: Netlist, operator: Operator) -> None:
    reads: list[Operand] = [*operator.inputs.get("X", [])]
    emit(netlist, operator, Kind.BINARY, reads, function="add")


def _normalise(function: str) -> Translator:
    def build(netlist: Netlist, operator: Operator) -> None:
        names = ("Scale", "Bias", "Mean", "Variance")
        stored: list[Operand] = [
            argument for name in names for argument in operator.inputs.get(name, [])
        ]
        inputs = [*_x(operator), *stored]
        emit(
            netlist, operator, Kind.NORMALISE, inputs, "Y", function=function,
            axis=1 if layout(operator) == "channels_first" else -1,
        )  # fmt: skip

    return build


def _reshape(netlist: Netlist, operator: Operator) -> None:
    tensor, parts = operator.first("Shape"), operator.inputs.get("ShapeTensor", [])
    if tensor is not None:
        emit(netlist, operator, Kind.RESHAPE, [*_x(operator), tensor], zero_copies=True)
    elif parts:
        netlist.layer("", operator.type, Kind.CONCAT, parts, ("target shape",), axis=0)
        emit(netlist, operator, Kind.RESHAPE, [*_x(operator), "target shape"], zero_copies=True)
    else:
        shape = tuple(operator.integers("shape"))
        emit(netlist, operator, Kind.RESHAPE, _x(operator), shape=shape, zero_copies=True)


def _joined(kind: Kind) -> Translator:
    """Several values along an axis."""

    def build(netlist: Netlist, operator: Operator) -> None:
        reads: list[Operand] = [*operator.inputs.get("X", [])]
        emit(netlist, operator, kind, reads, axis=operator.integer("axis"))

    return build


def _slice(netlist: Netlist, operator: Operator) -> None:
    """Also of axes that go where one place of them is taken."""
    if any(operator.inputs.get(name) for name in (
        "StartsTensor", "EndsTensor", "StartsTensorList", "EndsTensorList")):  # fmt: skip
        _stated(netlist, operator)
        return
    gone = tuple(operator.integers("decrease_axis"))
    attributes = {
        "onnx": True,
        "begin": tuple(operator.integers("starts")),
        "end": tuple(operator.integers("ends")),
        "axes": tuple(operator.integers("axes")),
        "steps": tuple(operator.integers("strides")) or None,
    }
    if not gone:
        emit(netlist, operator, Kind.STRIDED_SLICE, _x(operator), **attributes)
        return
    netlist.layer("", operator.type, Kind.STRIDED_SLICE, _x(operator), ("cut",), **attributes)
    emit(netlist, operator, Kind.SQUEEZE, ["cut"], axes=gone)


def _axes(kind: Kind) -> Translator:
    def build(netlist: Netlist, operator: Operator) -> None:
        tensor = operator.first("AxesTensor")
        if tensor is not None:
            emit(netlist, operator, kind, [*_x(operator), tensor])
        else:
            axes = tuple(operator.integers("axes")) or None
            emit(netlist, operator, kind, _x(operator), axes=axes)

    return build


def _expand(netlist: Netlist, operator: Operator) -> None:
    tensor = operator.first("Shape")
    if tensor is not None:
        emit(netlist, operator, Kind.BROADCAST_TO, [*_x(operator), tensor], two_way=True)
    elif operator.inputs.get("expand_shapes_tensor"):
        _stated(netlist, operator)
    else:
        shape = tuple(1 if size == -1 else size for size in operator.integers("shape"))
        emit(netlist, operator, Kind.BROADCAST_TO, _x(operator), shape=shape, two_way=True)


def _fill(netlist: Netlist, operator: Operator) -> None:
    tensor = operator.first("ShapeTensor")
    dtype = _dtype("dtype")(operator)
    value = operator.attributes.get("value", 0)
    if tensor is not None:
        emit(netlist, operator, Kind.FILL, [tensor], value=value, dtype=dtype)
    elif operator.inputs.get("ShapeTensorList"):
        _stated(netlist, operator)
    else:
        shape = tuple(operator.integers("shape"))
        emit(netlist, operator, Kind.FILL, [], shape=shape, value=value, dtype=dtype)


def _reduce(function: str) -> Translator:
    def build(netlist: Netlist, operator: Operator) -> None:
        axes = tuple(operator.integers("dim")) or None
        every = operator.flag("reduce_all") or operator.type == "mean"
        emit(
            netlist, operator, Kind.REDUCE, _x(operator), function=function,
            axes=None if every else axes, keep_dims=operator.flag("keep_dim"),
        )  # fmt: skip

    return build


def _interp(netlist: Netlist, operator: Operator) -> None:
    """Sizes as a tensor, as attributes, or a scale."""
    order = layout(operator)
    tensor = operator.first("OutSize")
    sizes = [operator.integer(name) for name in ("out_d", "out_h", "out_w")]
    sizes = sizes[1:] if "linear_interp" not in operator.type.replace("bilinear", "") else sizes
    sizes = [size for size in sizes if size > 0]
    scale = operator.attributes.get("scale")
    scales = list(scale) if isinstance(scale, (list, tuple)) else [scale or 0.0]
    scales = scales * 2 if len(scales) == 1 else scales
    if operator.inputs.get("SizeTensor") or operator.inputs.get("Scale"):
        _stated(netlist, operator)
    elif tensor is not None:
        emit(netlist, operator, Kind.RESIZE, [*_x(operator), None, None, tensor], layout=order)
    elif scales and all(isinstance(one, (int, float)) and one > 0 for one in scales):
        emit(netlist, operator, Kind.RESIZE, _x(operator), layout=order, scales=tuple(scales))
    else:
        emit(netlist, operator, Kind.RESIZE, _x(operator), layout=order, sizes=tuple(sizes))


def _pad(netlist: Netlist, operator: Operator) -> None:
    """pad2d: top, bottom, left, right. pad3d: from the last axis on, low and high."""
    values = operator.integers("paddings")
    last = layout(operator) == "channels_last"
    if operator.type == "pad":
        emit(netlist, operator, Kind.PAD, _x(operator), pads=tuple(values), order="pairs")
        return
    axes: tuple[int, ...] = (3, 2, 1) if last else (4, 3, 2)
    if operator.type == "pad2d":
        axes = (1, 2) if last else (2, 3)
    emit(netlist, operator, Kind.PAD, _x(operator), pads=tuple(values), order="pairs", axes=axes)


RULES: dict[str, Translator] = {
    **{name: _row(Kind.UNARY, function=name) for name in UNARY},
    **{name: _binary(function) for name, function in BINARY.items()},
    **{name: _reduce(function) for name, function in REDUCE.items()},
    **dict.fromkeys(STATED, _stated),
    **dict.fromkeys(IDENTITY, _row(Kind.IDENTITY)),
    **dict.fromkeys(("shuffle_channel", "flip", "reverse", "roll", "temporal_shift"),
                    _row(Kind.IDENTITY, exact=False)),
    **dict.fromkeys(("conv2d", "depthwise_conv2d", "conv2d_fusion", "deformable_conv",
                     "deformable_conv_v1", "fused_conv2d"), convolution(2)),
    **dict.fromkeys(("conv2d_transpose", "depthwise_conv2d_transpose"), convolution(2, True)),
    **dict.fromkeys(("fc", "mul"), dense),
    **dict.fromkeys(("matmul", "matmul_v2", "bmm"), matmul),
    **dict.fromkeys(("batch_norm", "sync_batch_norm", "inplace_abn"), _normalise("batch")),
    **dict.fromkeys(("reshape", "reshape2"), _reshape),
    **dict.fromkeys(("transpose", "transpose2"),
                    _row(Kind.TRANSPOSE, permutation=_integers("axis"))),
    **dict.fromkeys(("flatten", "flatten2"), _row(Kind.FLATTEN, axis=integer("axis", 1))),
    **dict.fromkeys(("squeeze", "squeeze2"), _axes(Kind.SQUEEZE)),
    **dict.fromkeys(("unsqueeze", "unsqueeze2"), _axes(Kind.EXPAND_DIMS)),
    **dict.fromkeys(("slice", "strided_slice"), _slice),
    **dict.fromkeys(("softmax", "log_softmax", "softmax_with_cross_entropy"),
                    _row(Kind.SOFTMAX, axis=integer("axis", -1))),
    **dict.fromkeys(("top_k", "top_k_v2"),
                    _row(Kind.TOP_K, k=integer("k", 1), axis=integer("axis", -1))),
    **dict.fromkeys(("arg_max", "arg_min"), _row(
        Kind.ARG_REDUCE, function="arg", axes=lambda op: (op.integer("axis"),),
        keep_dims=lambda op: op.flag("keepdims"))),
    **dict.fromkeys(("nearest_interp", "nearest_interp_v2", "bilinear_interp",
                     "bilinear_interp_v2", "bicubic_interp", "bicubic_interp_v2"), _interp),
    **dict.fromkeys(("pad", "pad2d", "pad3d"), _pad),
    **dict.fromkeys(("lookup_table", "lookup_table_v2"), lookup),
    **dict.fromkeys(("range", "arange"), _row(Kind.RANGE, "Start", "End", "Step")),
    **dict.fromkeys(("roi_align", "roi_pool"), _row(
        Kind.ROI_POOL, "X", "ROIs",
        size=lambda op: (op.integer("pooled_height", 1), op.integer("pooled_width", 1)))),
    **dict.fromkeys(("sum", "add_n"), _sum),
    **dict.fromkeys(("norm", "l2_normalize"), _normalise("l2")),
    **dict.fromkeys(("cumsum", "cumprod"), _row(Kind.CUMULATIVE)),
    "affine_channel": _row(Kind.BINARY, _X, "Scale", "Bias", function="mul", like_first=True),
    "cast": _row(Kind.CAST, dtype=_dtype("out_dtype")),
    "concat": _joined(Kind.CONCAT),
    "conv3d": convolution(3),
    "conv3d_transpose": convolution(3, True),
    "expand": _row(Kind.TILE, repeats=_integers("expand_times")),
    "expand_v2": _expand,
    "fill_constant": _fill,
    "flatten_contiguous_range": _row(
        Kind.FLATTEN, axis=integer("start_axis", 1), end=integer("stop_axis", -1)
    ),
    "gather": _row(Kind.GATHER, "X", "Index", axis=integer("axis")),
    "gather_nd": _row(Kind.GATHER_ND, "X", "Index"),
    "grid_sampler": _row(Kind.GRID_SAMPLE, "X", "Grid"),
    "group_norm": _normalise("group"),
    "instance_norm": _normalise("instance"),
    "layer_norm": _normalise("layer"),
    "lrn": _normalise("local_response"),
    "multihead_matmul": attention,
    "pixel_shuffle": _row(
        Kind.DEPTH_TO_SPACE, block=integer("upscale_factor", 1), layout=layout
    ),
    "pool2d": pool(2),
    "pool3d": pool(3),
    "prelu": _row(Kind.BINARY, _X, "Alpha", function="prelu", like_first=True),
    "rnn": recurrent,
    "scatter": _row(Kind.SCATTER),
    "shape": _row(Kind.SHAPE, "Input"),
    "skip_layernorm": _normalise("layer"),
    "space_to_depth": _row(Kind.SPACE_TO_DEPTH, block=integer("blocksize", 1), layout=layout),
    "split": _row(
        Kind.SPLIT, axis=integer("axis"),
        sizes=lambda op: tuple(op.integers("sections")) or None,
    ),
    "stack": _joined(Kind.STACK),
    "tile": _row(Kind.TILE, repeats=_integers("repeat_times")),
    "unstack": _row(Kind.UNSTACK, axis=integer("axis")),
    "where": _row(Kind.WHERE, "Condition", "X", "Y"),
}  # fmt: skip
