"""What ONNX's reductions, shape arithmetic and data movement mean, in every opset.

Where an attribute became an input in a later opset, the kinds take either, and the attribute wins:
so both forms are translated alike, whatever opset the file claims.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from edgewise.errors import InputError
from edgewise.formats.kit import Meaning, stated
from edgewise.formats.onnx.operator import Operator, Translation
from edgewise.formats.onnx.wire import dtype_name
from edgewise.graph import Kind


def _reduce(name: str) -> Translation:
    def translate(operator: Operator) -> Meaning:
        attributes: dict[str, Any] = {
            "function": name, "keep_dims": operator.flag("keepdims", True),
            "noop_with_empty_axes": operator.flag("noop_with_empty_axes"),
        }  # fmt: skip
        return Meaning(Kind.REDUCE, attributes | stated(axes=operator.integers("axes")))

    return translate


def _arg_reduce(name: str) -> Translation:
    return lambda operator: Meaning(Kind.ARG_REDUCE, {
        "function": name, "axes": (operator.integer("axis", 0),),
        "keep_dims": operator.flag("keepdims", True), "last": operator.flag("select_last_index"),
    })  # fmt: skip


def _axis(kind: Kind, default: int | None, name: str = "axis") -> Translation:
    """Kinds whose only attribute is an axis."""
    return lambda operator: Meaning(kind, stated(axis=operator.integer(name, default)))


def _axes(kind: Kind) -> Translation:
    return lambda operator: Meaning(kind, stated(axes=operator.integers("axes")))


def _reshape(operator: Operator) -> Meaning:
    shape = stated(shape=operator.integers("shape"))
    return Meaning(Kind.RESHAPE, {"zero_copies": not operator.flag("allowzero"), **shape})


def _transpose(operator: Operator) -> Meaning:
    return Meaning(Kind.TRANSPOSE, stated(permutation=operator.integers("perm")))


def _split(operator: Operator) -> Meaning:
    # Opset 1 had the sizes as an input already, opsets 2 to 12 as an attribute.
    # Even parts are asked for until opset 18, which lets the last one be smaller.
    even = operator.opset < 18
    attributes = {"axis": operator.integer("axis", 0), **({"even": True} if even else {})}
    return Meaning(Kind.SPLIT, attributes | stated(sizes=operator.integers("split")))


def _slice(operator: Operator) -> Meaning:
    old = stated(
        begin=operator.integers("starts"), end=operator.integers("ends"),
        axes=operator.integers("axes"),
    )  # fmt: skip
    return Meaning(Kind.STRIDED_SLICE, {"onnx": True, **old})


def _gather_nd(operator: Operator) -> Meaning:
    return Meaning(Kind.GATHER_ND, {"batch_dims": operator.integer("batch_dims", 0)})


def _scatter(operator: Operator) -> Meaning:
    return Meaning(Kind.SCATTER, {"style": "elements", "axis": operator.integer("axis", 0)})


def _pad(operator: Operator) -> Meaning:
    amounts = operator.integers("pads") or operator.integers("paddings")
    mode = {} if operator.text("mode", "constant") == "constant" else {"copies": True}
    return Meaning(Kind.PAD, {"order": "begin_end", **stated(pads=amounts), **mode})


def _tile(operator: Operator) -> Meaning:
    # Opset 1: the second and third inputs were how often and along which axis.
    if operator.opset < 6:
        return Meaning(Kind.DATA_DEPENDENT)
    return Meaning(Kind.TILE, {"strict": True})


def _blocks(kind: Kind) -> Translation:
    return lambda operator: Meaning(
        kind, {"block": operator.integer("blocksize", 1), "layout": "channels_first"}
    )


def _shape(operator: Operator) -> Meaning:
    attributes = {"start": operator.integer("start", 0), "end": operator.integer("end")}
    return Meaning(Kind.SHAPE, attributes)


def _top_k(operator: Operator) -> Meaning:
    attributes = {"axis": operator.integer("axis", -1)}
    return Meaning(Kind.TOP_K, attributes | stated(k=operator.integer("k")))


def _resize(operator: Operator) -> Meaning:
    """Resize: opset 10 had no roi. An input given as an empty constant is none."""
    positions = (0, None, 1, None) if operator.opset < 11 else (0, 1, 2, 3)
    order = tuple(p if p is not None and operator.given(p) else None for p in positions)
    attributes: dict[str, Any] = {"layout": None, **stated(axes=operator.integers("axes"))}
    policy = operator.text("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        attributes["keep_aspect"] = policy
    return Meaning(Kind.RESIZE, attributes, order, rest=False)


def _upsample(operator: Operator) -> Meaning:
    """Upsample, which Resize replaced: scales as attributes until opset 8, then as an input."""
    scales = operator.values("scales") or None
    height, width = operator.real("height_scale"), operator.real("width_scale")
    if height is not None and width is not None:
        scales = (1.0, 1.0, height, width)
    return Meaning(Kind.RESIZE, {"layout": None, **stated(scales=scales)}, (0, None, 1, None))


def cast(operator: Operator) -> Meaning:
    """Cast; its first version named the type by a string."""
    target = operator.attribute("to")
    if isinstance(target, str):
        return Meaning(Kind.CAST, {"dtype": _OLD_DTYPES.get(target.upper(), target.lower())})
    return Meaning(Kind.CAST, {"dtype": dtype_name(operator.integer("to", 0) or 0)})


_OLD_DTYPES = {"FLOAT": "float32", "DOUBLE": "float64"}


def _cast_like(operator: Operator) -> Meaning:
    like = operator.inputs[1] if len(operator.inputs) > 1 else None
    return Meaning(Kind.CAST, {"dtype": like.dtype if like else "unknown"})


def _one_hot(operator: Operator) -> Meaning:
    values = operator.inputs[2] if len(operator.inputs) > 2 else None
    attributes = {"axis": operator.integer("axis", -1), "positive": True}
    return Meaning(Kind.ONE_HOT, attributes | {"dtype": values.dtype if values else "unknown"})


def _constant_of_shape(operator: Operator) -> Meaning:
    """The value is read, if it is one number as it must: shapes are often computed from these."""
    value = operator.tensor("value")
    if value is None:
        return Meaning(Kind.FILL, {"dtype": "float32", "value": 0.0})
    attributes: dict[str, Any] = {"dtype": value.dtype}
    if value.shape in ((), (1,)):
        with suppress(InputError, ValueError):
            attributes["value"] = value.array().reshape(-1)[0].item()
    return Meaning(Kind.FILL, attributes)


def _random(operator: Operator) -> Meaning:
    dtype = dtype_name(operator.integer("dtype", 1) or 1)
    return Meaning(Kind.FILL, {"dtype": dtype, "shape": operator.integers("shape") or ()})


def _dropout(operator: Operator) -> Meaning:
    # The mask, where asked for, has the shape of x as well.
    return Meaning(Kind.IDENTITY, {}, (0, 0) if len(operator.outputs) > 1 else None)


#: The same shape, other values.
_REARRANGED = Meaning(Kind.IDENTITY, {"exact": False})

DATA: Mapping[str, Translation] = {
    "ReduceL1": _reduce("l1"), "ReduceL2": _reduce("l2"), "ReduceLogSum": _reduce("log_sum"),
    "ReduceLogSumExp": _reduce("log_sum_exp"), "ReduceMax": _reduce("max"),
    "ReduceMean": _reduce("mean"), "ReduceMin": _reduce("min"), "ReduceProd": _reduce("prod"),
    "ReduceSum": _reduce("sum"), "ReduceSumSquare": _reduce("sum_square"),
    "ArgMax": _arg_reduce("max"), "ArgMin": _arg_reduce("min"),
    "CumSum": Meaning(Kind.CUMULATIVE), "CumProd": Meaning(Kind.CUMULATIVE),
    "Identity": Meaning(Kind.IDENTITY), "Dropout": _dropout,
    "Trilu": _REARRANGED, "ReverseSequence": _REARRANGED, "BitCast": _REARRANGED,
    "Cast": cast, "CastLike": _cast_like,
    "Reshape": _reshape, "Flatten": _axis(Kind.FLATTEN, 1), "Squeeze": _axes(Kind.SQUEEZE),
    "Unsqueeze": _axes(Kind.EXPAND_DIMS), "Transpose": _transpose,
    "Concat": _axis(Kind.CONCAT, 1), "Split": _split, "Slice": _slice,
    "Gather": _axis(Kind.GATHER, 0), "GatherElements": _axis(Kind.GATHER_ELEMENTS, 0),
    "GatherND": _gather_nd, "Scatter": _scatter, "ScatterElements": _scatter,
    "ScatterND": Meaning(Kind.SCATTER, {"style": "nd"}),
    "TensorScatter": Meaning(Kind.SCATTER),
    "Pad": _pad, "Tile": _tile, "Expand": Meaning(Kind.BROADCAST_TO, {"two_way": True}),
    "SpaceToDepth": _blocks(Kind.SPACE_TO_DEPTH), "DepthToSpace": _blocks(Kind.DEPTH_TO_SPACE),
    "Shape": _shape, "Size": Meaning(Kind.SIZE), "Range": Meaning(Kind.RANGE),
    "OneHot": _one_hot, "TopK": _top_k, "Resize": _resize, "Upsample": _upsample,
    "GridSample": Meaning(Kind.GRID_SAMPLE),
    "ConstantOfShape": _constant_of_shape,
    "RandomNormal": _random, "RandomUniform": _random,
}  # fmt: skip
