"""MNN's operators that multiply and accumulate, its pools, and control flow."""

from __future__ import annotations

import math
from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.flatbuffer import Table
from edgewise.formats.mnn.body import Body, Operator
from edgewise.formats.mnn.call import FIRST, Translator, make, operands, vector
from edgewise.formats.mnn.schema import Common3DSlot, CommonSlot, ConvSlot, QuantSlot
from edgewise.formats.netlist import Operand, slice_of
from edgewise.graph import Kind

_PADS = {1: "valid", 2: "same"}


def _common(operator: Operator, table: Table) -> dict[str, Any]:
    """Kernel, strides and the like of a convolution of two axes."""
    at = CommonSlot
    pads: Any = _PADS.get(table.int8(at.PAD_MODE))
    if pads is None:
        given = table.int32s(at.PADS)
        near = (table.int32(at.PAD_Y), table.int32(at.PAD_X))
        pads = given if len(given) == 4 else near * 2
    relu = table.flag(at.RELU)
    return _checked(
        operator,
        kernel=(table.int32(at.KERNEL_Y, 1), table.int32(at.KERNEL_X, 1)),
        strides=(table.int32(at.STRIDE_Y, 1), table.int32(at.STRIDE_X, 1)),
        dilations=(table.int32(at.DILATE_Y, 1), table.int32(at.DILATE_X, 1)),
        pads=pads,
        groups=table.int32(at.GROUP, 1),
        outputs=table.int32(at.OUTPUTS),
        inputs=table.int32(at.INPUTS),
        activation="relu" if relu else "relu6" if table.flag(at.RELU6) else None,
        more=table.int32s(at.OUT_PADS),
    )


def _common_3d(operator: Operator, table: Table) -> dict[str, Any]:
    at = Common3DSlot
    relu = table.flag(at.RELU)
    return _checked(
        operator,
        kernel=table.int32s(at.KERNELS),
        strides=table.int32s(at.STRIDES),
        dilations=table.int32s(at.DILATES),
        pads=_PADS.get(table.int8(at.PAD_MODE)) or table.int32s(at.PADS) * 2,
        groups=table.int32(at.GROUP, 1),
        outputs=table.int32(at.OUTPUTS),
        inputs=table.int32(at.INPUTS),
        activation="relu" if relu else "relu6" if table.flag(at.RELU6) else None,
        more=table.int32s(at.OUT_PADS),
    )


def _checked(operator: Operator, **common: Any) -> dict[str, Any]:
    sizes = (*common["kernel"], *common["strides"], *common["dilations"], common["groups"])
    if not common["kernel"] or min(sizes) < 1 or common["outputs"] < 1 or common["inputs"] < 0:
        raise RejectedModel(f"{operator.op} {operator.name}: {common}")
    return common


def _convolution(*, axes: int = 2, transposed: bool = False, depthwise: bool = False) -> Translator:
    def build(body: Body, operator: Operator) -> None:
        main = operator.main
        table = main.table(ConvSlot.COMMON)
        if table is None:
            raise RejectedModel(f"{operator.op} {operator.name}: without its parameters")
        common = _common(operator, table) if axes == 2 else _common_3d(operator, table)
        reads = operands(body, operator)
        groups = common["groups"]
        if depthwise and groups == 1:
            groups = common["outputs"]
        stored: list[Operand]
        if len(reads) > 1 and not _has_weights(main, axes):
            # Weights made while it runs come as (O, I, kernel), or (I, O, kernel) if transposed.
            stored, reads = reads[1:3], reads[:1]
        else:
            stored = _stored(body, operator, common, groups, transposed, axes)
        attributes: dict[str, Any] = {
            "layout": FIRST,
            "weight_layout": "IO*" if transposed else "OI*",
            "groups": groups,
            **{key: common[key] for key in ("strides", "dilations", "pads", "activation")},
        }
        if transposed and len(common["more"]) == axes:
            attributes["output_padding"] = tuple(common["more"])
        kind = Kind.CONV_TRANSPOSE if transposed else Kind.CONV
        make(body, operator, kind, *stored, inputs=reads[:1], **attributes)
        if operator.op in ("ConvInt8", "DepthwiseConvInt8"):
            for index in operator.outputs:
                body.netlist.tensor(body.netlist.value(body.key(index))).dtype = "int8"

    return build


def _has_weights(main: Table, axes: int) -> bool:
    outside = ConvSlot.EXTERNAL if axes == 2 else ConvSlot.EXTERNAL_3D
    inside = (ConvSlot.QUANTISED, ConvSlot.SYMMETRIC) if axes == 2 else ()
    return bool(main.count(ConvSlot.WEIGHT, 4) or main.has(outside) or any(map(main.has, inside)))


def _stored(
    body: Body,
    operator: Operator,
    common: dict[str, Any],
    groups: int,
    transposed: bool,
    axes: int,
) -> list[Operand]:
    """Weight and bias, wherever they are."""
    main, out, taps = operator.main, common["outputs"], math.prod(common["kernel"])
    load, count = body.values.floats(main, ConvSlot.WEIGHT)
    external = main.int64s(ConvSlot.EXTERNAL if axes == 2 else ConvSlot.EXTERNAL_3D)
    quantised = main.table(ConvSlot.QUANTISED) if axes == 2 else None
    symmetric = main.table(ConvSlot.SYMMETRIC) if axes == 2 else None
    inputs = common["inputs"]
    if symmetric is not None and not count and symmetric.count(0, 1):
        count = symmetric.count(0, 1)
    elif not count and len(external) >= 2 and quantised is None:
        count = external[1] // 4
    per_group = inputs // groups if inputs else count // (out * taps) if out * taps else 0
    if quantised is not None and not inputs:
        per_group = _packed_size(quantised) // (out * taps)
    shape: tuple[int, ...] = (out, per_group, *common["kernel"])
    if transposed:
        shape = (per_group * groups, out // groups, *common["kernel"])
    total = math.prod(shape)
    name = f"{operator.name}.weight"
    netlist = body.netlist
    if per_group < 1 or (count and count != total):
        raise RejectedModel(f"{operator.op} {operator.name}: {count:,} weights for {shape}")
    if symmetric is not None and symmetric.count(0, 1):
        data = symmetric.bytes(0)
        weight = netlist.weight(name, "int8", shape, lambda: data)
        where, biases = symmetric.place(ConvSlot.WEIGHT, 4)
        load = slice_of(body.values.data, where, 4 * biases, name)
        return [weight, netlist.weight(f"{name}.bias", "int32", (biases,), load)]
    if quantised is not None:
        start = external[0] if external else None
        weight = body.values.packed(netlist, name, quantised, shape, start)
    elif len(external) >= 2:
        weight = netlist.weight(name, "float32", shape, body.values.outside(external[0], 4 * total))
    elif count:
        weight = netlist.weight(name, "float32", shape, load)
    else:
        raise RejectedModel(f"{operator.op} {operator.name}: no weights")
    bias_inside = vector(body, operator, main, ConvSlot.BIAS, "bias")
    if bias_inside is None and len(external) >= 3 and external[2] > 0 and quantised is None:
        start_of_bias = external[0] + external[1]
        bias_inside = netlist.weight(
            f"{operator.name}.bias", "float32", (external[2] // 4,),
            body.values.outside(start_of_bias, external[2]),
        )  # fmt: skip
    return [weight] if bias_inside is None else [weight, bias_inside]


def _packed_size(table: Table) -> int:
    """How many weights IDSTQuan says it packs: the product of its dimensions."""
    raw, wide = table.bytes(QuantSlot.BUFFER), table.flag(QuantSlot.WIDE_SHAPE)
    if table.int32(QuantSlot.TYPE) == QuantSlot.FLOAT16:
        return len(raw) // 2
    if table.int32(QuantSlot.TYPE) == QuantSlot.INT8:
        return len(raw)
    width, rank = (4 if wide else 2), (raw[0] if len(raw) else 0)
    dims = [
        int.from_bytes(raw[1 + at * width : 1 + (at + 1) * width], "little") for at in range(rank)
    ]
    return math.prod(dims) if dims else 0


def _inner_product(body: Body, operator: Operator) -> None:
    main = operator.main
    out = main.int32(0)
    load, count = body.values.floats(main, 3)
    count = count or main.int32(2)
    if out < 1 or count < 1 or count % out:
        raise RejectedModel(f"{operator.op} {operator.name}: {count:,} weights for {out} outputs")
    shape = (out, count // out)
    quantised = main.table(7)
    if quantised is not None:
        weight = body.values.packed(body.netlist, f"{operator.name}.weight", quantised, shape, None)
    else:
        weight = body.netlist.weight(f"{operator.name}.weight", "float32", shape, load)
    make(body, operator, Kind.DENSE, weight, vector(body, operator, main, 4, "bias"))


def _matmul(body: Body, operator: Operator) -> None:
    at = (0, 1) if operator.op == "BatchMatMul" else (1, 2)
    a, b = (operator.main.flag(slot) for slot in at)
    make(body, operator, Kind.MATMUL, transpose_a=a, transpose_b=b)


def _pooling(body: Body, operator: Operator) -> None:
    main = operator.main
    function = "average" if main.int8(7) else "max"
    if main.flag(2):
        make(body, operator, Kind.GLOBAL_POOL, function=function, layout=FIRST)
        return
    kernel = (main.int32(4), main.int32(3))
    strides = (main.int32(6), main.int32(5))
    given = main.int32s(11)
    near = (main.int32(1), main.int32(0))
    pads: Any = _PADS.get(main.int8(8)) or (given if len(given) == 4 else near * 2)
    if min(*kernel, *strides) < 1:
        raise RejectedModel(f"{operator.op} {operator.name}: kernel {kernel}, stride {strides}")
    make(
        body, operator, Kind.POOL, function=function, kernel=kernel, strides=strides, pads=pads,
        layout=FIRST, ceil_mode=main.flag(10, True) and main.int8(8) == 0, fewer_axes=True,
    )  # fmt: skip


def _pooling_3d(body: Body, operator: Operator) -> None:
    main = operator.main
    function = "average" if main.int8(3) else "max"
    if main.flag(5):
        make(body, operator, Kind.GLOBAL_POOL, function=function, layout=FIRST)
        return
    make(
        body, operator, Kind.POOL, function=function, kernel=main.int32s(1),
        strides=main.int32s(0), pads=_PADS.get(main.int8(4)) or main.int32s(2) * 2, layout=FIRST,
    )  # fmt: skip


def _blob(body: Body, operator: Operator, slot: int) -> Operand:
    table = operator.main.table(slot)
    if table is None:
        return None
    dtype, shape, weights = body.values.blob(table)
    index = body.netlist.define(f"{operator.name}.{slot}", dtype, shape)
    body.netlist.tensor(index).weights = weights
    return index


def _lstm(body: Body, operator: Operator) -> None:
    """Caffe's: (1, channels, steps, features) or (steps, features) per sample."""
    hidden = operator.main.int32(0)
    weights = [_blob(body, operator, slot) for slot in (3, 4, 5)]
    make(
        body, operator, Kind.RECURRENT, *weights, inputs=operands(body, operator)[:1],
        cell="lstm", hidden=hidden, time_axis=0, batch_axis=1,
    )  # fmt: skip


def _gru(body: Body, operator: Operator) -> None:
    """A sequence (batch, steps, features), gates and candidate in matrices of their own."""
    main = operator.main
    directions = 2 if main.flag(1) else 1
    last = 14 if directions == 2 else 9
    weights = [_blob(body, operator, slot) for slot in range(4, last)]
    make(
        body, operator, Kind.RECURRENT, *weights, inputs=operands(body, operator)[:1],
        cell="gru", hidden=main.int32(0), directions=directions, time_axis=1, batch_axis=0,
        outputs=("sequence" if main.flag(3) else None, "state"),
    )  # fmt: skip


def _while(body: Body, operator: Operator) -> None:
    """Without a condition's graph it is ONNX's Loop: trip count, condition, then states."""
    main = operator.main
    inside = body.subgraph(main.text(1))
    condition = body.subgraph(main.text(0))
    reads = operands(body, operator)
    if inside is None or (condition is None and len(inside.inputs) != len(reads)):
        make(body, operator, Kind.UNKNOWN)
        return
    if condition is None:
        make(body, operator, Kind.LOOP, style="onnx")
        body.netlist.graph.layers[-1].bodies = (inside,)
        return
    # With named aliases: what the bodies cost is known, how often they run is not.
    make(body, operator, Kind.LOOP, style="while")
    body.netlist.graph.layers[-1].bodies = (condition, inside)


def _if(body: Body, operator: Operator) -> None:
    branches = [body.subgraph(operator.main.text(slot)) for slot in (0, 1)]
    found = [branch for branch in branches if branch is not None]
    if len(found) != 2:
        make(body, operator, Kind.UNKNOWN)
        return
    make(body, operator, Kind.IF)
    body.netlist.graph.layers[-1].bodies = tuple(found)


COMPUTE: dict[str, Translator] = {
    "BatchMatMul": _matmul,
    "ConvInt8": _convolution(),
    "ConvTranspose3D": _convolution(axes=3, transposed=True),
    "Convolution": _convolution(),
    "Convolution3D": _convolution(axes=3),
    "ConvolutionDepthwise": _convolution(depthwise=True),
    "Deconvolution": _convolution(transposed=True),
    "DeconvolutionDepthwise": _convolution(transposed=True, depthwise=True),
    "DepthwiseConvInt8": _convolution(depthwise=True),
    "If": _if,
    "InnerProduct": _inner_product,
    "LSTM": _lstm,
    "MatMul": _matmul,
    "PoolInt8": _pooling,
    "Pooling": _pooling,
    "Pooling3D": _pooling_3d,
    "RNNSequenceGRU": _gru,
    "While": _while,
}
