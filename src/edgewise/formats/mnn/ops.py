"""What each operator of MNN's is in common words.

Values between convolutions are packed by channels (NC4HW4) and count as (N, C, H, W); others have
the order of their source format. `ConvertTensor` stands where the two meet.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from edgewise.formats.flatbuffer import Table
from edgewise.formats.kit import evaluated
from edgewise.formats.mnn.body import Body, Operator
from edgewise.formats.mnn.call import FIRST, Translator, make, operands, vector
from edgewise.formats.mnn.compute import COMPUTE
from edgewise.formats.mnn.schema import BINARY, NHWC, REDUCE, TYPES, UNARY
from edgewise.formats.netlist import Operand
from edgewise.graph import Kind


def add(body: Body, operator: Operator) -> None:
    """Add an operator to the graph."""
    rule = COMPUTE.get(operator.op) or RULES.get(operator.op)
    if rule is None:
        make(body, operator, Kind.UNKNOWN)
    else:
        rule(body, operator)


def plain(kind: Kind, **attributes: Any) -> Translator:
    """An operator whose attributes are constants, or functions of its parameters."""

    def build(body: Body, operator: Operator) -> None:
        found = evaluated(attributes, operator.main)
        make(body, operator, kind, **found)

    return build


def _axis(main: Table) -> int:
    return main.int32(0)


def _second(main: Table) -> int:
    """An axis that stands second."""
    return main.int32(1)


def first_input(body: Body, operator: Operator) -> list[Operand]:
    """The first input alone."""
    return operands(body, operator)[:1]


def _binary(body: Body, operator: Operator) -> None:
    function = BINARY.get(operator.main.int32(0), "binary")
    make(body, operator, Kind.BINARY, function=function)


def _eltwise(body: Body, operator: Operator) -> None:
    names = ("mul", "add", "max", "sub")
    number = operator.main.int8(0)
    function = names[number] if 0 <= number < 4 else "add"
    make(body, operator, Kind.BINARY, function=function, loose=True)


def _unary(body: Body, operator: Operator) -> None:
    number = operator.main.int32(0)
    function = UNARY[number] if 0 <= number < len(UNARY) else "unary"
    make(body, operator, Kind.UNARY, function=function)


def _reduction(body: Body, operator: Operator) -> None:
    number, axes = operator.main.int8(0), operator.main.int32s(1)
    make(
        body, operator, Kind.REDUCE,
        function=REDUCE[number] if 0 <= number < len(REDUCE) else "sum",
        axes=axes or None, keep_dims=operator.main.flag(3),
    )  # fmt: skip


def _reshape(body: Body, operator: Operator) -> None:
    dims = operator.main.int32s(0)
    if len(operator.inputs) > 1:
        make(body, operator, Kind.RESHAPE, zero_copies=True)
    elif operator.main.int8(1) == NHWC and len(dims) == 4 and not operator.channels_last:
        # The target is written channels last, the values are not.
        make(body, operator, Kind.RESHAPE, shape=(dims[0], dims[3], *dims[1:3]), zero_copies=True)
    else:
        make(body, operator, Kind.RESHAPE, shape=dims, zero_copies=True)


def _convert(body: Body, operator: Operator) -> None:
    """From one order of axes to another; packing by channels changes no shape."""
    source, target = operator.main.int8(0), operator.main.int8(1)
    if (source == NHWC) == (target == NHWC):
        make(body, operator, Kind.IDENTITY)
        return
    to_first = {rank: (0, rank - 1, *range(1, rank - 1)) for rank in range(3, 7)}
    to_last = {rank: (0, *range(2, rank), 1) for rank in range(3, 7)}
    same = {0: (), 1: (0,), 2: (0, 1)}
    make(body, operator, Kind.TRANSPOSE, by_rank=same | (to_first if source == NHWC else to_last))


def _slice(body: Body, operator: Operator) -> None:
    """Caffe's are points to cut at, the others' sizes."""
    main, parts = operator.main, len(operator.outputs)
    given: tuple[int, ...] | None = main.int32s(1) or None
    if given and main.int8(2) == 0 and len(given) == parts - 1:
        given = (*(b - a for a, b in pairwise((0, *given))), -1)
    if given and len(given) != parts:
        given = None
    sizes = None if given is None else tuple(given)
    inputs = first_input(body, operator)
    if sizes is None and len(operator.inputs) > 1 and not main.has(1):
        inputs = operands(body, operator)[:2]
    make(body, operator, Kind.SPLIT, inputs=inputs, axis=main.int32(0), sizes=sizes)


def _squeeze(kind: Kind) -> Translator:
    def build(body: Body, operator: Operator) -> None:
        axes = operator.main.int32s(0)
        inputs = None if len(operator.inputs) > 1 and not axes else first_input(body, operator)
        make(body, operator, kind, inputs=inputs, axes=axes or None)

    return build


def _expand_dims(body: Body, operator: Operator) -> None:
    if len(operator.inputs) > 1:
        make(body, operator, Kind.EXPAND_DIMS)
    else:
        make(body, operator, Kind.EXPAND_DIMS, axes=(operator.main.int32(2),))


def _strided_slice(body: Body, operator: Operator) -> None:
    main, reads = operator.main, operands(body, operator)
    if main.int32(7):  # as in ONNX: begins, ends, axes, steps
        make(body, operator, Kind.STRIDED_SLICE, onnx=True)
        return
    masks = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")
    found = {name: main.int32(slot) for slot, name in enumerate(masks, start=2)}
    make(body, operator, Kind.STRIDED_SLICE, inputs=reads[:4], **found)


def _gather(body: Body, operator: Operator) -> None:
    if len(operator.inputs) > 2:
        make(body, operator, Kind.GATHER)
    else:
        axis = 0 if operator.op == "GatherV2" else operator.main.int32(3)
        make(body, operator, Kind.GATHER, axis=axis)


def _cast(body: Body, operator: Operator) -> None:
    dtype = TYPES.get(operator.main.int32(1), "float32")
    make(body, operator, Kind.CAST, dtype=dtype)
    for index in operator.outputs:
        body.netlist.tensor(body.netlist.value(body.key(index))).dtype = dtype


def _scale(body: Body, operator: Operator) -> None:
    main = operator.main
    external = main.int64s(3)
    if len(external) >= 2:
        width = external[1] // 4
        parts: list[Operand] = [
            body.netlist.weight(
                f"{operator.name}.{part}", "float32", (width,),
                body.values.outside(external[0] + at * external[1], 4 * width),
            )
            for at, part in enumerate(("scale", "bias"))
        ]  # fmt: skip
    else:
        parts = [
            vector(body, operator, main, slot, name) for slot, name in ((1, "scale"), (2, "bias"))
        ]
    stored = [part for part in parts if part is not None]
    make(body, operator, Kind.BINARY, *stored, function="mul", like_first=True)


def _normalise(function: str, *slots: int, external: int | None = None) -> Translator:
    def build(body: Body, operator: Operator) -> None:
        stored: list[Operand] = [
            vector(body, operator, operator.main, slot, f"data{slot}") for slot in slots
        ]
        outside = operator.main.int64s(external) if external is not None else ()
        at = outside[0] if outside else 0
        for number, nbytes in enumerate(outside[1:]):
            stored.append(
                body.netlist.weight(
                    f"{operator.name}.data{number}", "float32", (max(nbytes, 0) // 4,),
                    body.values.outside(at, nbytes),
                )
            )  # fmt: skip
            at += nbytes
        present = [part for part in stored if part is not None]
        reads = operands(body, operator)
        if function == "instance":
            reads = reads[:1]
        make(body, operator, Kind.NORMALISE, *present, inputs=reads, function=function)

    return build


def _prelu(body: Body, operator: Operator) -> None:
    slope = vector(body, operator, operator.main, 1, "slope")
    make(body, operator, Kind.BINARY, slope, function="prelu", like_first=True)


def _interp(body: Body, operator: Operator) -> None:
    main, reads = operator.main, operands(body, operator)
    sizes = (main.int32(3), main.int32(2))
    scales = (main.float32(1), main.float32(0))
    if len(reads) > 1:
        # A second input holds sizes (whole numbers) or scales of the spatial axes.
        tensor = body.netlist.tensor(body.netlist.value(str(reads[1])))
        whole = tensor.dtype != "float32"
        inputs: list[Operand] = [reads[0], None, *((None, reads[1]) if whole else (reads[1],))]
        make(body, operator, Kind.RESIZE, inputs=inputs, layout=FIRST, any_axes=True)
    elif all(size > 0 for size in sizes):
        make(body, operator, Kind.RESIZE, layout=FIRST, sizes=sizes)
    else:
        make(body, operator, Kind.RESIZE, layout=FIRST, scales=scales)


def _padding(body: Body, operator: Operator) -> None:
    make(body, operator, Kind.PAD, order="pairs", inputs=operands(body, operator)[:2])


def _depth_space(kind: Kind) -> Translator:
    def build(body: Body, operator: Operator) -> None:
        layout = "channels_last" if operator.channels_last else FIRST
        make(body, operator, kind, block=operator.main.int32(0), layout=layout)

    return build


def _space_batch(kind: Kind) -> Translator:
    def build(body: Body, operator: Operator) -> None:
        reads = operands(body, operator)
        for slot in (0, 1):
            table = operator.main.table(slot)
            if len(reads) < 3 and table is not None:
                dtype, shape, weights = body.values.blob(table)
                index = body.netlist.define(f"{operator.name}.{slot}", dtype, shape)
                body.netlist.tensor(index).weights = weights
                reads.append(index)
        if operator.channels_last:
            make(body, operator, kind, inputs=reads)
        else:
            _packed_space_batch(body, operator, kind, reads)

    return build


def _packed_space_batch(body: Body, operator: Operator, kind: Kind, reads: list[Operand]) -> None:
    """Channels first, while the kind knows them last: turned before and after."""
    name, out = operator.name, body.key(operator.outputs[0])
    turned, made = f"{name}.turned", f"{name}.made"
    body.netlist.layer(
        name, operator.op, Kind.TRANSPOSE, reads[:1], (turned,), permutation=(0, 2, 3, 1)
    )
    body.netlist.layer(name, operator.op, kind, (turned, *reads[1:]), (made,))
    body.netlist.layer(name, operator.op, Kind.TRANSPOSE, (made,), (out,), permutation=(0, 3, 1, 2))


def _arg(body: Body, operator: Operator) -> None:
    axis = operator.main.int32(2)
    make(
        body, operator, Kind.ARG_REDUCE, inputs=first_input(body, operator), function="arg",
        axes=(axis,), keep_dims=False,
    )  # fmt: skip


def _one_hot(body: Body, operator: Operator) -> None:
    reads = operands(body, operator)[:2]
    make(body, operator, Kind.ONE_HOT, inputs=reads, axis=operator.main.int32(1, -1))


_UNARY = {
    "AbsVal": "abs", "Bnll": "softplus", "ELU": "elu", "Exp": "exp", "Log": "log", "Power": "pow",
    "ReLU6": "relu6", "Selu": "selu", "Sigmoid": "sigmoid", "TanH": "tanh",
    "Threshold": "threshold",
}  # fmt: skip
_AS_STATED = (
    "CropAndResize", "DetectionOutput", "NonMaxSuppression", "NonMaxSuppressionV2", "PriorBox",
    "Proposal", "DetectionPostProcess", "ROIAlign", "Im2Seq", "Seq2Out", "Im2Col", "Col2Im",
    "Unique", "Where", "SetDiff1D", "TensorArray", "TensorArraySize", "TensorArrayRead",
    "TensorArrayWrite", "TensorArrayGather", "TensorArrayScatter", "TensorArraySplit",
    "TensorArrayConcat", "TensorArrayInsert", "TensorArrayErase", "ImageProcess", "Moments",
    "RandomUniform", "RandomNormal", "LinSpace", "EyeLike", "Histogram", "Segment", "UnravelIndex",
    "MatrixBandPart", "AsString", "StringJoin", "StringSplit", "StringToNumber", "ReduceJoin",
    "SeqLen2Spatial", "Dilation2D",
)  # fmt: skip

RULES: dict[str, Translator] = {
    **{name: plain(Kind.UNARY, function=function) for name, function in _UNARY.items()},
    **dict.fromkeys(_AS_STATED, plain(Kind.POSTPROCESS)),
    **dict.fromkeys(("Dropout", "Identity", "Copy"), plain(Kind.IDENTITY)),
    **dict.fromkeys(("Reverse", "ReverseSequence"), plain(Kind.IDENTITY, exact=False)),
    **dict.fromkeys(("CumSum", "CumProd"), plain(Kind.CUMULATIVE)),
    **dict.fromkeys(("FloatToInt8", "QuantizeLinear"), plain(Kind.QUANTIZE)),
    **dict.fromkeys(("Int8ToFloat", "DequantizeLinear", "Dequantize"), plain(Kind.DEQUANTIZE)),
    "ArgMax": _arg,
    "ArgMin": _arg,
    "BatchNorm": _normalise("batch", 1, 2, 3, 4),
    "BatchToSpaceND": _space_batch(Kind.BATCH_TO_SPACE),
    "BinaryOp": _binary,
    "BroadcastTo": plain(Kind.BROADCAST_TO, two_way=True),
    "Cast": _cast,
    "Concat": plain(Kind.CONCAT, axis=_axis),
    "ConvertTensor": _convert,
    "Crop": plain(Kind.GATHER_ELEMENTS, from_axis=lambda main: main.int32(0, 2)),
    "DepthToSpace": _depth_space(Kind.DEPTH_TO_SPACE),
    "Eltwise": _eltwise,
    "EltwiseInt8": _eltwise,
    "ExpandDims": _expand_dims,
    "Fill": plain(Kind.FILL),
    "Flatten": plain(Kind.FLATTEN, axis=_axis),
    "Gather": _gather,
    "GatherElements": plain(Kind.GATHER_ELEMENTS),
    "GatherND": plain(Kind.GATHER_ND),
    "GatherV2": _gather,
    "GridSample": plain(Kind.GRID_SAMPLE),
    "GroupNorm": _normalise("group", 2, 3),
    "InstanceNorm": _normalise("instance", 1, 2, 3, 4),
    "Interp": _interp,
    "LRN": plain(Kind.NORMALISE, function="local_response"),
    "LayerNorm": _normalise("layer", 2, 3, external=5),
    "MVN": plain(Kind.NORMALISE, function="instance"),
    "Normalize": _normalise("l2", 3),
    "OneHot": _one_hot,
    "PReLU": _prelu,
    "ReLU": plain(Kind.UNARY, function=lambda main: "leaky_relu" if main.float32(0) else "relu"),
    "Pack": plain(Kind.STACK, axis=_second),
    "Padding": _padding,
    "Permute": plain(Kind.TRANSPOSE, permutation=lambda main: main.int32s(0) or None),
    "ROIPooling": plain(Kind.ROI_POOL, size=lambda main: (main.int32(1), main.int32(0))),
    "Range": plain(Kind.RANGE),
    "Rank": plain(Kind.RANK),
    "Reduction": _reduction,
    "Reshape": _reshape,
    "Scale": _scale,
    "ScatterElements": plain(Kind.SCATTER),
    "ScatterNd": plain(Kind.SCATTER_ND),
    "Select": plain(Kind.WHERE),
    "Shape": plain(Kind.SHAPE),
    "Size": plain(Kind.SIZE),
    "Slice": _slice,
    "SliceTf": plain(Kind.SLICE),
    "Softmax": plain(Kind.SOFTMAX, axis=_axis),
    "SpaceToBatchND": _space_batch(Kind.SPACE_TO_BATCH),
    "SpaceToDepth": _depth_space(Kind.SPACE_TO_DEPTH),
    "SplitGeLU": plain(Kind.UNARY, function="gelu"),
    "Squeeze": _squeeze(Kind.SQUEEZE),
    "StridedSlice": _strided_slice,
    "Tile": plain(Kind.TILE),
    "TopKV2": plain(Kind.TOP_K),
    "Transpose": plain(Kind.TRANSPOSE),
    "UnaryOp": _unary,
    "Unpack": plain(Kind.UNSTACK, axis=_second),
    "Unsqueeze": _squeeze(Kind.EXPAND_DIMS),
    "ZerosLike": plain(Kind.SCATTER),
}
