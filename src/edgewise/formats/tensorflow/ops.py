"""What each operator of TensorFlow's is in common words.

A rule gives the kind, the positions of the kind's inputs where TensorFlow's order differs, and
attributes, which may be read off the node. All of them are one table: what an operator means is
looked up here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from edgewise.errors import RejectedModel
from edgewise.formats.kit import evaluated, integer
from edgewise.formats.netlist import Operand
from edgewise.formats.tensorflow.names import (
    AS_STATED,
    BINARY,
    REDUCE,
    SAME,
    SAME_SHAPE,
    UNARY,
    VARIABLES,
)
from edgewise.formats.tensorflow.nodes import Node
from edgewise.graph import Kind

if TYPE_CHECKING:
    from edgewise.formats.tensorflow.graphs import Builder

Inputs = list[str]
Translator = Callable[["Builder", Node, Inputs], None]


def add(builder: Builder, node: Node, inputs: Inputs) -> None:
    """Add a node to the graph as a layer."""
    rule = RULES.get(node.op)
    if rule is not None:
        rule(builder, node, inputs)
    elif node.op in builder.context.library and builder.call(node, inputs, Kind.CALL, [node.op]):
        return
    else:
        make(builder, node, Kind.UNKNOWN, inputs)


def make(
    builder: Builder, node: Node, kind: Kind, inputs: Sequence[Operand], outputs: int = 1, /,
    **attributes: Any,
) -> None:  # fmt: skip
    """A layer of this kind."""
    made = [f"{node.name}:{at}" for at in range(outputs)]
    builder.netlist.layer(node.name, node.op, kind, inputs, made, **attributes)


def rule(
    kind: Kind, *order: int, outputs: int | Callable[[Node], int] = 1, **attributes: Any
) -> Translator:
    """A translator from a kind: attributes are constants, or functions of the node."""

    def build(builder: Builder, node: Node, inputs: Inputs) -> None:
        found = evaluated(attributes, node)
        reads: list[Operand] = [*inputs]
        if order:
            reads = [inputs[at] if 0 <= at < len(inputs) else None for at in order]
            while reads and reads[-1] is None:
                reads.pop()
        count = outputs(node) if callable(outputs) else outputs
        make(builder, node, kind, reads, min(max(count, 1), 4096), **found)

    return build


def layout(node: Node) -> str:
    """The order of the axes."""
    form = node.text("data_format", "NHWC")
    return "channels_first" if form.startswith("NC") else "channels_last"


def _channels(node: Node) -> int:
    """The axis of the channels."""
    return 1 if layout(node) == "channels_first" else -1


def _pads(node: Node) -> Any:
    padding = node.text("padding", "VALID")
    if padding != "EXPLICIT":
        return padding.lower()
    values = node.integers("explicit_paddings")
    pairs = values[4:] if layout(node) == "channels_first" else values[2:-2]
    return (*pairs[0::2], *pairs[1::2])


def _sizes(name: str) -> Callable[[Node], tuple[int, ...]]:
    """Of one number per axis those of the spatial axes; 1 where nothing is said."""

    def read(node: Node) -> tuple[int, ...]:
        values = node.integers(name)
        if not values:
            return (1,)
        picked = values[2:] if layout(node) == "channels_first" else values[1:-1]
        if not picked or min(picked) < 1:
            raise RejectedModel(f"{node.op} {node.name}: {values}")
        return tuple(picked)

    return read


#: Attributes of what slides a window.
_WINDOW: dict[str, Callable[[Node], Any]] = {
    "layout": layout, "strides": _sizes("strides"), "dilations": _sizes("dilations"), "pads": _pads,
}  # fmt: skip


def _window(node: Node) -> dict[str, Any]:
    return {name: read(node) for name, read in _WINDOW.items()}


def _conv(weight_layout: str) -> Translator:
    return rule(Kind.CONV, **_WINDOW, weight_layout=weight_layout, groups=None)


def _pool(function: str, outputs: int = 1) -> Translator:
    return rule(Kind.POOL, 0, outputs=outputs, **_WINDOW, kernel=_sizes("ksize"), function=function)


def _fused(kind: Kind) -> Translator:
    """A convolution or matrix product with what grappler joined to it."""

    def build(builder: Builder, node: Node, inputs: Inputs) -> None:
        fused = node.attributes.get("fused_ops")
        names = [] if fused is None else fused.message("list").texts("s")
        activation = next((name.lower() for name in names if "elu" in name.lower()), None)
        if kind is Kind.CONV:
            depthwise = "Depthwise" in node.op
            attributes = _window(node) | {
                "weight_layout": "*GO" if depthwise else "*IO", "groups": None,
                "activation": activation,
            }  # fmt: skip
            make(builder, node, kind, inputs, **attributes)
        else:
            make(
                builder, node, kind, inputs, activation=activation,
                transpose_a=node.flag("transpose_a"), transpose_b=node.flag("transpose_b"),
            )  # fmt: skip

    return build


def _cast(builder: Builder, node: Node, inputs: Inputs) -> None:
    dtype = node.dtype("DstT")
    make(builder, node, Kind.CAST, inputs, dtype=dtype)
    _typed(builder, node, dtype)


def _typed(builder: Builder, node: Node, dtype: str) -> None:
    index = builder.netlist.value(f"{node.name}:0")
    builder.netlist.tensor(index).dtype = dtype


def _shape(builder: Builder, node: Node, inputs: Inputs) -> None:
    make(builder, node, Kind.SHAPE, inputs)
    _typed(builder, node, node.dtype("out_type", "int32"))


def _concat(first: bool) -> Translator:
    """The axis is an input: the first one, or the last one."""

    def build(builder: Builder, node: Node, inputs: Inputs) -> None:
        axis, parts = (inputs[0], inputs[1:]) if first else (inputs[-1], inputs[:-1])
        make(builder, node, Kind.CONCAT, parts, axis=_constant(builder, axis, node))

    return build


def _constant(builder: Builder, name: str, node: Node) -> int:
    """A stored whole number that an input has to be."""
    index: int | None = builder.netlist.value(name)
    layers = builder.netlist.graph.layers
    for _ in range(8):
        tensor = builder.netlist.tensor(index) if index is not None else None
        if tensor is not None and tensor.weights is not None and tensor.weights.nbytes in (4, 8):
            return int.from_bytes(tensor.weights.load(), "little", signed=True)
        made = next((one for one in reversed(layers) if index in one.outputs), None)
        if made is None or made.kind is not Kind.IDENTITY:
            break
        index = made.inputs[0]
    builder.context.notes[f"{node.op} {node.name}: its axis is not stored, taken as the last"] = (
        None
    )
    return -1


def _split(builder: Builder, node: Node, inputs: Inputs) -> None:
    """Split: axis, x. SplitV: x, sizes, axis."""
    count = min(max(node.integer("num_split", 1), 1), 4096)
    order: list[Operand] = [inputs[1], None, inputs[0]] if node.op == "Split" else [*inputs]
    make(builder, node, Kind.SPLIT, order, count)


def _reduce(function: str) -> Translator:
    return rule(Kind.REDUCE, function=function, keep_dims=lambda node: node.flag("keep_dims"))


def _matmul(a: str, b: str) -> Translator:
    return rule(
        Kind.MATMUL, transpose_a=lambda node: node.flag(a), transpose_b=lambda node: node.flag(b)
    )


def _space_depth(kind: Kind) -> Translator:
    return rule(kind, block=integer("block_size", 1), layout=layout)


def _control(kind: Kind, *names: str) -> Translator:
    """Control flow, whose bodies are the functions that these attributes name."""

    def build(builder: Builder, node: Node, inputs: Inputs) -> None:
        bodies: list[str | None] = [node.function(name) for name in names]
        if not builder.call(node, inputs, kind, bodies):
            make(builder, node, Kind.UNKNOWN, inputs)

    return build


def _switch(builder: Builder, node: Node, inputs: Inputs) -> None:
    """A condition of TensorFlow 1: both sides are there, and both are counted."""
    builder.context.notes[f"{node.op}: both sides of a condition are counted"] = None
    make(builder, node, Kind.IDENTITY, inputs[:1] * 2, 2)


def _block_lstm(sequence: bool) -> Translator:
    """Weights (input and hidden, 4·hidden) are inputs 4 (after the first of a sequence) on."""

    def build(builder: Builder, node: Node, inputs: Inputs) -> None:
        shift = 1 if sequence else 0
        weight = builder.netlist.tensor(builder.netlist.value(inputs[shift + 3]))
        shape = weight.shape
        if not shape or len(shape) != 2 or not all(isinstance(size, int) for size in shape):
            make(builder, node, Kind.UNKNOWN, inputs)
            return
        rows, columns = (int(size) for size in shape if isinstance(size, int))
        hidden = columns // 4
        make(
            builder, node, Kind.RECURRENT,
            [inputs[shift], inputs[shift + 3], None, *inputs[shift + 4 :]], 7, cell="lstm",
            hidden=hidden, input_size=rows - hidden, time_axis=0 if sequence else None,
            batch_axis=1 if sequence else None, outputs=("sequence",) * 7,
        )  # fmt: skip

    return build


def _squeezed(node: Node) -> tuple[int, ...] | None:
    return tuple(node.integers("squeeze_dims") or node.integers("axis")) or None


_MASKS = {
    name: integer(name)
    for name in ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
}

RULES: dict[str, Translator] = {
    **{name: rule(Kind.UNARY, 0, function=function) for name, function in UNARY.items()},
    **{name: rule(Kind.BINARY, function=function) for name, function in BINARY.items()},
    **{name: _reduce(function) for name, function in REDUCE.items()},
    **dict.fromkeys(SAME, rule(Kind.IDENTITY, 0)),
    **dict.fromkeys(SAME_SHAPE, rule(Kind.IDENTITY, 0, exact=False)),
    **dict.fromkeys(AS_STATED, rule(Kind.POSTPROCESS)),
    **dict.fromkeys(VARIABLES, rule(Kind.VARIABLE)),
    **dict.fromkeys(("PartitionedCall", "StatefulPartitionedCall"), _control(Kind.CALL, "f")),
    **dict.fromkeys(("While", "StatelessWhile"), _control(Kind.LOOP, "cond", "body")),
    **dict.fromkeys(("If", "StatelessIf"), _control(Kind.IF, "then_branch", "else_branch")),
    **dict.fromkeys(("Switch", "RefSwitch"), _switch),
    **dict.fromkeys(("Merge", "RefMerge"), rule(Kind.IDENTITY, 0)),
    **dict.fromkeys(("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3"),
                    rule(Kind.NORMALISE, outputs=6, function="batch", axis=_channels)),
    **dict.fromkeys(("_FusedConv2D", "_FusedDepthwiseConv2dNative"), _fused(Kind.CONV)),
    **dict.fromkeys(("ArgMax", "ArgMin"), rule(Kind.ARG_REDUCE, function="arg", keep_dims=False)),
    **dict.fromkeys(("Select", "SelectV2"), rule(Kind.WHERE)),
    **dict.fromkeys(("Pad", "PadV2", "MirrorPad"), rule(Kind.PAD, 0, 1, order="pairs")),
    **dict.fromkeys(("TopKV2", "TopK"), rule(Kind.TOP_K, outputs=2)),
    **dict.fromkeys(("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3"), _matmul("adj_x", "adj_y")),
    **dict.fromkeys(("ResizeBilinear", "ResizeNearestNeighbor", "ResizeBicubic", "ResizeArea"),
                    rule(Kind.RESIZE, 0, -1, -1, 1, layout="channels_last")),
    **dict.fromkeys(("Conv2DBackpropInput", "Conv2DBackpropInputV2", "Conv3DBackpropInputV2",
                     "Conv3DBackpropInput"),
                    rule(Kind.CONV_TRANSPOSE, 2, 1, -1, 0, **_WINDOW, weight_layout="*OI")),
    "AvgPool": _pool("average"),
    "AvgPool3D": _pool("average"),
    "BatchNormWithGlobalNormalization": rule(Kind.NORMALISE, function="batch"),
    "BatchToSpaceND": rule(Kind.BATCH_TO_SPACE),
    "BiasAdd": rule(Kind.BINARY, function="add", axis=_channels),
    "BlockLSTM": _block_lstm(True),
    "BlockLSTMV2": _block_lstm(True),
    "BroadcastArgs": rule(Kind.BROADCAST_SHAPE),
    "BroadcastTo": rule(Kind.BROADCAST_TO),
    "Cast": _cast,
    "Concat": _concat(True),
    "ConcatV2": _concat(False),
    "Conv2D": _conv("*IO"),
    "Conv3D": _conv("*IO"),
    "Cumsum": rule(Kind.CUMULATIVE),
    "Cumprod": rule(Kind.CUMULATIVE),
    "DepthToSpace": _space_depth(Kind.DEPTH_TO_SPACE),
    "DepthwiseConv2dNative": _conv("*GO"),
    "DepthwiseConv2dNativeBackpropInput": rule(Kind.UNKNOWN),
    "Einsum": rule(Kind.EINSUM, equation=lambda node: node.text("equation")),
    "ExpandDims": rule(Kind.EXPAND_DIMS),
    "Fill": rule(Kind.FILL, dtype=lambda node: node.dtype("T")),
    "Gather": rule(Kind.GATHER, 0, 1, batch_dims=integer("batch_dims")),
    "GatherNd": rule(Kind.GATHER_ND),
    "GatherV2": rule(Kind.GATHER, 0, 1, 2, batch_dims=integer("batch_dims")),
    "IdentityN": lambda builder, node, inputs: make(
        builder, node, Kind.IDENTITY, inputs, len(inputs)
    ),
    "L2Loss": rule(Kind.REDUCE, function="l2", keep_dims=False),
    "LRN": rule(Kind.NORMALISE, function="local_response"),
    "LSTMBlockCell": _block_lstm(False),
    "LogSoftmax": rule(Kind.SOFTMAX, axis=-1, log=True),
    "MatMul": _matmul("transpose_a", "transpose_b"),
    "MaxPool": _pool("max"),
    "MaxPool3D": _pool("max"),
    "MaxPoolWithArgmax": _pool("max", 2),
    "OneHot": rule(Kind.ONE_HOT, 0, 1, axis=integer("axis", -1)),
    "Pack": rule(Kind.STACK, axis=integer("axis")),
    "ParallelConcat": rule(Kind.CONCAT, axis=0),
    "Range": rule(Kind.RANGE),
    "Rank": rule(Kind.RANK),
    "Reshape": rule(Kind.RESHAPE),
    "ResourceGather": rule(
        Kind.GATHER, 0, 1, batch_dims=integer("batch_dims")
    ),
    "ScatterNd": rule(Kind.SCATTER_ND),
    "Shape": _shape,
    "ShapeN": lambda builder, node, inputs: make(
        builder, node, Kind.POSTPROCESS, inputs, len(inputs)
    ),
    "Size": rule(Kind.SIZE),
    "Slice": rule(Kind.SLICE),
    "Softmax": rule(Kind.SOFTMAX, axis=-1),
    "SpaceToBatchND": rule(Kind.SPACE_TO_BATCH),
    "SpaceToDepth": _space_depth(Kind.SPACE_TO_DEPTH),
    "Split": _split,
    "SplitV": _split,
    "Squeeze": rule(Kind.SQUEEZE, axes=_squeezed),
    "StridedSlice": rule(Kind.STRIDED_SLICE, 0, 1, 2, 3, **_MASKS),
    "TensorListGetItem": rule(Kind.GATHER, 0, 1, axis=0),
    "TensorListSetItem": rule(Kind.SCATTER, 0, 1, 2, list=True),
    "TensorListStack": rule(Kind.IDENTITY, 0),
    "TensorScatterUpdate": rule(Kind.SCATTER),
    "Tile": rule(Kind.TILE),
    "Transpose": rule(Kind.TRANSPOSE),
    "Unpack": rule(Kind.UNSTACK, outputs=integer("num", 1),
                   axis=integer("axis")),
    "_FusedMatMul": _fused(Kind.MATMUL),
}  # fmt: skip
