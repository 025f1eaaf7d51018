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
from edgewise.formats.netlist import Netlist, Operand
from edgewise.graph import Kind

Translator = Callable[[Netlist, Operator], None]


def add(netlist: Netlist, operator: Operator) -> None:
    """Add an operator to the graph."""
    (RULES.get(operator.type) or _unknown)(netlist, operator)


def _all(operator: Operator) -> list[Operand]:
    return [argument for names in operator.inputs.values() for argument in names]


def _x(operator: Operator) -> list[Operand]:
    return [operator.first("X", "Input", "Logits")]


def _unknown(netlist: Netlist, operator: Operator) -> None:
    emit(netlist, operator, Kind.UNKNOWN, _all(operator))


def _stated(netlist: Netlist, operator: Operator) -> None:
    emit(netlist, operator, Kind.POSTPROCESS, _all(operator))


def _same(kind: Kind, **attributes: Any) -> Translator:
    return lambda netlist, operator: emit(netlist, operator, kind, _x(operator), **attributes)


def _unary(function: str) -> Translator:
    return _same(Kind.UNARY, function=function)


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


def _affine(netlist: Netlist, operator: Operator) -> None:
    inputs: list[Operand] = [*_x(operator), operator.first("Scale"), operator.first("Bias")]
    emit(netlist, operator, Kind.BINARY, inputs, function="mul", like_first=True)


def _prelu(netlist: Netlist, operator: Operator) -> None:
    inputs: list[Operand] = [*_x(operator), operator.first("Alpha")]
    emit(netlist, operator, Kind.BINARY, inputs, function="prelu", like_first=True)


def _softmax(netlist: Netlist, operator: Operator) -> None:
    axis = operator.integer("axis", -1)
    emit(netlist, operator, Kind.SOFTMAX, _x(operator), axis=axis)


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


def _flatten(netlist: Netlist, operator: Operator) -> None:
    emit(netlist, operator, Kind.FLATTEN, _x(operator), axis=operator.integer("axis", 1))


def _flatten_range(netlist: Netlist, operator: Operator) -> None:
    start, end = operator.integer("start_axis", 1), operator.integer("stop_axis", -1)
    emit(netlist, operator, Kind.FLATTEN, _x(operator), axis=start, end=end)


def _transpose(netlist: Netlist, operator: Operator) -> None:
    order = tuple(operator.integers("axis"))
    emit(netlist, operator, Kind.TRANSPOSE, _x(operator), permutation=order)


def _concat(netlist: Netlist, operator: Operator) -> None:
    reads: list[Operand] = [*operator.inputs.get("X", [])]
    emit(netlist, operator, Kind.CONCAT, reads, axis=operator.integer("axis"))


def _stack(netlist: Netlist, operator: Operator) -> None:
    reads: list[Operand] = [*operator.inputs.get("X", [])]
    emit(netlist, operator, Kind.STACK, reads, "Y", axis=operator.integer("axis"))


def _unstack(netlist: Netlist, operator: Operator) -> None:
    emit(netlist, operator, Kind.UNSTACK, _x(operator), "Y", axis=operator.integer("axis"))


def _split(netlist: Netlist, operator: Operator) -> None:
    sizes = tuple(operator.integers("sections")) or None
    emit(netlist, operator, Kind.SPLIT, _x(operator), axis=operator.integer("axis"), sizes=sizes)


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


def _tile(name: str) -> Translator:
    def build(netlist: Netlist, operator: Operator) -> None:
        repeats = tuple(operator.integers(name))
        emit(netlist, operator, Kind.TILE, _x(operator), repeats=repeats)

    return build


def _gather(netlist: Netlist, operator: Operator) -> None:
    inputs: list[Operand] = [operator.first("X"), operator.first("Index")]
    emit(netlist, operator, Kind.GATHER, inputs, axis=operator.integer("axis"))


def _gather_nd(netlist: Netlist, operator: Operator) -> None:
    emit(netlist, operator, Kind.GATHER_ND, [operator.first("X"), operator.first("Index")])


def _cast(netlist: Netlist, operator: Operator) -> None:
    dtype = TYPES.get(operator.integer("out_dtype", 5), "float32")
    emit(netlist, operator, Kind.CAST, _x(operator), dtype=dtype)


def _fill(netlist: Netlist, operator: Operator) -> None:
    tensor = operator.first("ShapeTensor")
    dtype = TYPES.get(operator.integer("dtype", 5), "float32")
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


def _arg(netlist: Netlist, operator: Operator) -> None:
    emit(
        netlist, operator, Kind.ARG_REDUCE, _x(operator), function="arg",
        axes=(operator.integer("axis"),), keep_dims=operator.flag("keepdims"),
    )  # fmt: skip


def _top_k(netlist: Netlist, operator: Operator) -> None:
    axis = operator.integer("axis", -1)
    emit(netlist, operator, Kind.TOP_K, _x(operator), k=operator.integer("k", 1), axis=axis)


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


def _block(kind: Kind, name: str) -> Translator:
    def build(netlist: Netlist, operator: Operator) -> None:
        block = operator.integer(name, 1)
        emit(netlist, operator, kind, _x(operator), block=block, layout=layout(operator))

    return build


def _range(netlist: Netlist, operator: Operator) -> None:
    inputs: list[Operand] = [operator.first(name) for name in ("Start", "End", "Step")]
    emit(netlist, operator, Kind.RANGE, inputs)


def _grid(netlist: Netlist, operator: Operator) -> None:
    emit(netlist, operator, Kind.GRID_SAMPLE, [operator.first("X"), operator.first("Grid")])


def _where(netlist: Netlist, operator: Operator) -> None:
    inputs: list[Operand] = [operator.first(name) for name in ("Condition", "X", "Y")]
    emit(netlist, operator, Kind.WHERE, inputs)


def _roi(netlist: Netlist, operator: Operator) -> None:
    size = (operator.integer("pooled_height", 1), operator.integer("pooled_width", 1))
    emit(netlist, operator, Kind.ROI_POOL, [operator.first("X"), operator.first("ROIs")], size=size)


RULES: dict[str, Translator] = {
    **{name: _unary(name) for name in UNARY},
    **{name: _binary(function) for name, function in BINARY.items()},
    **{name: _reduce(function) for name, function in REDUCE.items()},
    **dict.fromkeys(STATED, _stated),
    **dict.fromkeys(IDENTITY, _same(Kind.IDENTITY)),
    **dict.fromkeys(("shuffle_channel", "flip", "reverse", "roll", "temporal_shift"),
                    _same(Kind.IDENTITY, exact=False)),
    **dict.fromkeys(("conv2d", "depthwise_conv2d", "conv2d_fusion", "deformable_conv",
                     "deformable_conv_v1", "fused_conv2d"), convolution(2)),
    **dict.fromkeys(("conv2d_transpose", "depthwise_conv2d_transpose"), convolution(2, True)),
    **dict.fromkeys(("fc", "mul"), dense),
    **dict.fromkeys(("matmul", "matmul_v2", "bmm"), matmul),
    **dict.fromkeys(("batch_norm", "sync_batch_norm", "inplace_abn"), _normalise("batch")),
    **dict.fromkeys(("reshape", "reshape2"), _reshape),
    **dict.fromkeys(("transpose", "transpose2"), _transpose),
    **dict.fromkeys(("flatten", "flatten2"), _flatten),
    **dict.fromkeys(("squeeze", "squeeze2"), _axes(Kind.SQUEEZE)),
    **dict.fromkeys(("unsqueeze", "unsqueeze2"), _axes(Kind.EXPAND_DIMS)),
    **dict.fromkeys(("slice", "strided_slice"), _slice),
    **dict.fromkeys(("softmax", "log_softmax", "softmax_with_cross_entropy"), _softmax),
    **dict.fromkeys(("top_k", "top_k_v2"), _top_k),
    **dict.fromkeys(("arg_max", "arg_min"), _arg),
    **dict.fromkeys(("nearest_interp", "nearest_interp_v2", "bilinear_interp",
                     "bilinear_interp_v2", "bicubic_interp", "bicubic_interp_v2"), _interp),
    **dict.fromkeys(("pad", "pad2d", "pad3d"), _pad),
    **dict.fromkeys(("lookup_table", "lookup_table_v2"), lookup),
    **dict.fromkeys(("range", "arange"), _range),
    **dict.fromkeys(("roi_align", "roi_pool"), _roi),
    **dict.fromkeys(("sum", "add_n"), _sum),
    **dict.fromkeys(("norm", "l2_normalize"), _normalise("l2")),
    **dict.fromkeys(("cumsum", "cumprod"), _same(Kind.CUMULATIVE)),
    "affine_channel": _affine,
    "cast": _cast,
    "concat": _concat,
    "conv3d": convolution(3),
    "conv3d_transpose": convolution(3, True),
    "expand": _tile("expand_times"),
    "expand_v2": _expand,
    "fill_constant": _fill,
    "flatten_contiguous_range": _flatten_range,
    "gather": _gather,
    "gather_nd": _gather_nd,
    "grid_sampler": _grid,
    "group_norm": _normalise("group"),
    "instance_norm": _normalise("instance"),
    "layer_norm": _normalise("layer"),
    "lrn": _normalise("local_response"),
    "multihead_matmul": attention,
    "pixel_shuffle": _block(Kind.DEPTH_TO_SPACE, "upscale_factor"),
    "pool2d": pool(2),
    "pool3d": pool(3),
    "prelu": _prelu,
    "rnn": recurrent,
    "scatter": _same(Kind.SCATTER),
    "shape": lambda netlist, operator: emit(
        netlist, operator, Kind.SHAPE, [operator.first("Input")]
    ),
    "skip_layernorm": _normalise("layer"),
    "space_to_depth": _block(Kind.SPACE_TO_DEPTH, "blocksize"),
    "split": _split,
    "stack": _stack,
    "tile": _tile("repeat_times"),
    "unstack": _unstack,
    "where": _where,
}  # fmt: skip
