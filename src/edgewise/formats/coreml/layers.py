"""What the layers of Core ML networks mean (public specification, NeuralNetwork.proto).

One table with the rules that it names: what a layer means is looked up here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from edgewise.formats.coreml.call import Call, Found
from edgewise.formats.coreml.windows import (
    batched_matmul,
    constant_pad,
    convolution,
    convolution3d,
    crop,
    global3d,
    inner_product,
    padding,
    pooling,
    pooling3d,
    resize,
    upsample,
)
from edgewise.formats.kit import evaluated
from edgewise.formats.messages import Message
from edgewise.graph import Kind

_FIRST = "channels_first"
_ALL, _ONE, _LAST = slice(None), slice(1), slice(-1, None)
#: What `reduce` does by its modes, and over which axes: channels and space, space, channels,
#: height, width.
_MODES = (
    "sum", "mean", "prod", "log_sum", "sum_square", "l1", "l2", "max", "min", "arg_max",
)  # fmt: skip
_REDUCED_AXES = ((-3, -2, -1), (-2, -1), (-3,), (-2,), (-1,))


Translation = Callable[[Call], Found]


def _row(
    kind: Kind, inputs: slice = _ALL, then: tuple[Kind, Mapping[str, Any]] | None = None, /,
    **attributes: Any,
) -> Translation:  # fmt: skip
    """A layer without weights: attributes are constants, or functions of its parameters."""

    def translate(call: Call) -> Found:
        found = evaluated(attributes, call.p)
        return Found(kind, found, call.x[inputs], then)

    return translate


def _axis(p: Message) -> int:
    return p.integer("axis")


def _integers(name: str) -> Callable[[Message], tuple[int, ...]]:
    return lambda p: tuple(p.integers(name))


def _nary(function: str) -> Translation:
    """Of one input and a number, or of several inputs."""

    def translate(call: Call) -> Found:
        if len(call.x) > 1:
            return Found(Kind.BINARY, {"function": function}, call.x)
        number = {"number": call.p.number("alpha")} if call.p.has("alpha") else {}
        return Found(Kind.UNARY, {"function": function, **number}, call.x)

    return translate


def _activation(call: Call) -> Found:
    p = call.p
    for name in ("ReLU", "leakyReLU", "thresholdedReLU", "tanh", "scaledTanh", "sigmoid",
                 "sigmoidHard", "ELU", "softsign", "softplus", "linear"):  # fmt: skip
        if p.has(name):
            return Found(Kind.UNARY, {"function": name.lower()}, call.x)
    if p.has("PReLU"):
        alpha = call.weights("alpha", _length(p.message("PReLU"), "alpha"), p.message("PReLU"))
        return Found(Kind.BINARY, {"function": "prelu"}, [*call.x, alpha])
    return Found(Kind.UNARY, {"function": "softplus"}, call.x)


def _length(message: Message, name: str) -> tuple[int, ...]:
    """The number of weights of a vector that nothing else tells, and ones for the space axes."""
    held = message.message(name)
    for kind, width in (("float", 4), ("float16", 2)):
        if held.has(kind):
            start, end = held.last(kind)
            return ((end - start) // width, 1, 1)
    return (1, 1, 1)


_SHAPE = _integers("targetShape")
#: The product of two vectors of channels, (N, C, 1, 1), is one.
_DOTTED = (Kind.RESHAPE, {"shape": (0, 1, 1, 1), "zero_copies": True})
_ARG: dict[str, Any] = {
    "axes": lambda p: (p.integer("axis"),), "keep_dims": lambda p: not p.flag("removeDim"),
}  # fmt: skip
#: (N, …) to (N, C, 1, 1).
_TO_CHANNELS = (Kind.RESHAPE, {"shape": (0, -1, 1, 1), "zero_copies": True})


def _embedding(call: Call) -> Found:
    """The table is stored (channels, words); a word's row of it takes the place of its number."""
    p = call.p
    words, channels = p.integer("inputDim"), p.integer("outputChannels")
    weight = call.table("weights", words, channels)
    then = (Kind.SQUEEZE, {"axes": (-2,)}) if call.op == "embeddingND" else _TO_CHANNELS
    return Found(Kind.GATHER, {"axis": 0}, [weight, call.x[0]], then)


def _batchnorm(call: Call) -> Found:
    channels = (call.p.integer("channels"),)
    names = ("gamma", "beta", "mean", "variance")
    function = "instance" if call.p.flag("instance") else "batch"
    return Found(Kind.NORMALISE, {"function": function}, [
        call.x[0], *(call.weights(name, channels) for name in names)])  # fmt: skip


def _layer_norm(call: Call) -> Found:
    shape = tuple(call.p.integers("shape"))
    inputs = [call.x[0], call.weights("gamma", shape), call.weights("beta", shape)]
    return Found(Kind.NORMALISE, {"function": "layer"}, inputs)


def _spread(shape: list[int]) -> tuple[int, ...]:
    """A vector of channels, as it stands beside (N, C, H, W)."""
    sizes = tuple(shape) or (1,)
    return (*sizes, 1, 1) if len(sizes) == 1 else sizes


def _scale(call: Call) -> Found:
    p = call.p
    scale = call.weights("scale", _spread(p.integers("shapeScale")))
    bias = call.weights("bias", _spread(p.integers("shapeBias"))) if p.flag("hasBias") else None
    inputs = [call.x[0], scale, *([bias] if bias is not None else [])]
    return Found(Kind.BINARY, {"function": "scale"}, inputs)


def _bias(call: Call) -> Found:
    bias = call.weights("bias", _spread(call.p.integers("shape")))
    return Found(Kind.BINARY, {"function": "add"}, [call.x[0], bias])


def _reduce(function: str) -> Translation:
    def translate(call: Call) -> Found:
        attributes: dict[str, Any] = {
            "function": function, "keep_dims": call.p.flag("keepDims"),
        }  # fmt: skip
        if not call.p.flag("reduceAll") and call.p.integers("axes"):
            attributes["axes"] = tuple(call.p.integers("axes"))
        return Found(Kind.REDUCE, attributes, call.x)

    return translate


def _reshape(call: Call) -> Found:
    wanted = call.p.integers("targetShape")
    if not call.exact and len(wanted) == 3:
        wanted = [0, *wanted] if 0 not in wanted else wanted
    return Found(Kind.RESHAPE, {"shape": tuple(wanted), "zero_copies": True}, call.x)


def _reorganise(call: Call) -> Found:
    kind = Kind.SPACE_TO_DEPTH if call.p.integer("mode") == 0 else Kind.DEPTH_TO_SPACE
    return Found(kind, {"block": call.p.integer("blockSize", 1), "layout": _FIRST}, call.x)


def _slice(call: Call) -> Found:
    p = call.p
    end = p.integer("end")
    attributes = {
        "onnx": True, "axes": (-3 + p.integer("axis") % 3,), "begin": (p.integer("start"),),
        "end": (end if end else (1 << 31) - 1,), "steps": (p.integer("stride") or 1,),
    }  # fmt: skip
    return Found(Kind.STRIDED_SLICE, attributes, call.x)


def _recurrent(cell: str, *names: str) -> Translation:
    """Matrices first, then biases; states are the further outputs."""

    def translate(call: Call) -> Found:
        p = call.p
        inside, out = p.integer("input"), p.integer("output")
        gates: list[int | None] = []
        for name in names:
            shape = (out, inside) if name.startswith("w") else (out, out)
            gates.append(call.weights(name, (out,) if name.startswith("b") else shape))
        return _sequence(call, cell, [g for g in gates if g is not None], 1, p.flag("sequence"))

    return translate


def _sequence(
    call: Call, cell: str, weights: list[int], directions: int, whole: bool, coupled: bool = False
) -> Found:
    """x is (steps, batch, C, 1, 1), or in older networks (steps, C, 1, 1)."""
    states = ["one_state", "one_cell"] * directions
    attributes: dict[str, Any] = {
        "cell": cell, "hidden": call.p.integer("output"), "input_size": call.p.integer("input"),
        "directions": directions, "time_axis": 0, "batch_axis": 1 if call.exact else None,
        "trailing_ones": 2, "outputs": ("sequence" if whole else "last", *(
            states if cell == "lstm" else states[:1]))[: call.outputs()],
    }  # fmt: skip
    if coupled:
        attributes["coupled_input_gate"] = True
    inputs = [call.x[0], *weights, *call.x[1:]]
    attributes["states"] = tuple(range(1 + len(weights), len(inputs)))
    return Found(Kind.RECURRENT, attributes, inputs)


def _lstm(call: Call) -> Found:
    p = call.p
    inside, out = p.integer("input"), p.integer("output")
    sides = p.messages("weightParams")
    found: list[int] = []
    for kind, shape in (("w", (out, inside)), ("r", (out, out)), ("b", (out,)), ("p", (out,))):
        for side in sides:
            for gate in "ifzo":
                held = call.weights(f"{kind}{gate}", shape, side)
                if held is not None:
                    found.append(held)
    params = p.message("params")
    return _sequence(
        call, "lstm", found, len(sides) or 1, params.flag("sequence"), params.flag("coupled")
    )


def _axes(kind: Kind) -> Translation:
    def translate(call: Call) -> Found:
        axes = tuple(call.p.integers("axes"))
        return Found(kind, {"axes": axes} if axes and not call.p.flag("all") else {}, call.x)

    return translate


def _split_nd(call: Call) -> Found:
    attributes: dict[str, Any] = {"axis": call.p.integer("axis")}
    if call.p.integers("sizes"):
        attributes["sizes"] = tuple(call.p.integers("sizes"))
    return Found(Kind.SPLIT, attributes, call.x)


def _slice_static(call: Call) -> Found:
    p = call.p

    def mask(name: str) -> int:
        return sum(1 << at for at, bit in enumerate(p.integers(name)) if bit)

    return Found(Kind.STRIDED_SLICE, {
        "begin": p.integers("beginIds"), "end": p.integers("endIds"),
        "steps": p.integers("strides"),
        "begin_mask": mask("beginMasks"), "end_mask": mask("endMasks"),
        "shrink_axis_mask": mask("squeezeMasks"),
    }, call.x)  # fmt: skip


def _slice_by_size(call: Call) -> Found:
    axis, size = call.p.integer("axis"), call.p.integer("size")
    # Where it begins changes no shape; the values are not followed.
    attributes = {"onnx": True, "axes": (axis,), "begin": (0,), "end": (size,), "exact": False}
    return Found(Kind.STRIDED_SLICE, attributes, call.x[:1])


def _tile(call: Call) -> Found:
    reps = tuple(call.p.integers("reps"))
    return Found(Kind.TILE, {"repeats": reps} if reps else {}, call.x)


def _range(call: Call) -> Found:
    p = call.p
    start, end, step = p.number("start"), p.number("end"), p.number("step") or 1.0
    length = max(0, math.ceil((end - start) / step))
    return Found(Kind.FILL, {"shape": (length,), "dtype": "float32"}, [])


def _fill(call: Call) -> Found:
    shape = tuple(call.p.integers("targetShape"))
    return Found(Kind.FILL, {"dtype": "float32", "value": call.p.number("value"),
                             **({"shape": shape} if shape else {})}, call.x)  # fmt: skip


def _top_k(call: Call) -> Found:
    attributes: dict[str, Any] = {"axis": call.p.integer("axis")}
    if len(call.x) < 2:
        attributes["k"] = call.p.integer("K")
    return Found(Kind.TOP_K, attributes, call.x)


def _one_hot(call: Call) -> Found:
    attributes: dict[str, Any] = {"axis": call.p.integer("axis"), "dtype": "float32"}
    if len(call.x) < 2:
        attributes["depth"] = call.p.integer("size")
    return Found(Kind.ONE_HOT, attributes, call.x)


_UNARY = {
    "clip": "clip", "ceil": "ceil", "floor": "floor", "sign": "sign", "round": "round",
    "exp2": "exp2", "sin": "sin", "cos": "cos", "tan": "tan", "asin": "asin", "acos": "acos",
    "atan": "atan", "sinh": "sinh", "cosh": "cosh", "tanh": "tanh", "asinh": "asinh",
    "acosh": "acosh", "atanh": "atanh", "erf": "erf", "gelu": "gelu", "unary": "unary",
    "logicalNot": "not", "clampedReLU": "relu", "matrixBandPart": "band_part",
    "lowerTriangular": "tril", "upperTriangular": "triu",
}  # fmt: skip
_NARY = {
    "add": "add", "multiply": "mul", "average": "mean", "max": "max", "min": "min",
    "equal": "equal", "notEqual": "not_equal", "lessThan": "less", "lessEqual": "less_equal",
    "greaterThan": "greater", "greaterEqual": "greater_equal", "logicalOr": "or",
    "logicalXor": "xor", "logicalAnd": "and", "modBroadcastable": "mod",
    "minBroadcastable": "min", "maxBroadcastable": "max", "addBroadcastable": "add",
    "powBroadcastable": "pow", "divideBroadcastable": "div", "floorDivBroadcastable": "floor_div",
    "multiplyBroadcastable": "mul", "subtractBroadcastable": "sub",
}  # fmt: skip
_REDUCED = {
    "reduceL1": "l1", "reduceL2": "l2", "reduceMax": "max", "reduceMin": "min",
    "reduceSum": "sum", "reduceProd": "prod", "reduceMean": "mean", "reduceLogSum": "log_sum",
    "reduceSumSquare": "sum_square", "reduceLogSumExp": "log_sum_exp",
}  # fmt: skip
_BY_DATA = (
    "rangeDynamic", "sliceDynamic", "slidingWindows", "whereNonZero", "NonMaximumSuppression",
    "cropResize", "categoricalDistribution",
)  # fmt: skip

LAYERS: Mapping[str, Translation] = {
    **{op: _row(Kind.UNARY, _ONE, function=function) for op, function in _UNARY.items()},
    **{op: _nary(function) for op, function in _NARY.items()},
    **{op: _reduce(function) for op, function in _REDUCED.items()},
    **dict.fromkeys(_BY_DATA, _row(Kind.DATA_DEPENDENT)),
    **dict.fromkeys(("loopBreak", "loopContinue"), _row(Kind.POSTPROCESS)),
    **dict.fromkeys(("fillLike", "randomNormalLike", "randomUniformLike", "randomBernoulliLike",
                     "broadcastToLike"), _row(Kind.IDENTITY, _LAST, exact=False)),
    **dict.fromkeys(("randomNormalStatic", "randomUniformStatic", "randomBernoulliStatic"),
                    _row(Kind.FILL, shape=_integers("outputShape"), dtype="float32")),
    **dict.fromkeys(("fillDynamic", "randomNormalDynamic", "randomUniformDynamic",
                     "randomBernoulliDynamic"), _row(Kind.FILL, dtype="float32")),
    "convolution": convolution, "convolution3d": convolution3d, "pooling": pooling,
    "pooling3d": pooling3d, "globalPooling3d": global3d, "activation": _activation,
    "innerProduct": inner_product, "batchedMatmul": batched_matmul, "embedding": _embedding,
    "embeddingND": _embedding, "batchnorm": _batchnorm, "layerNormalization": _layer_norm,
    "mvn": _row(Kind.NORMALISE, function="instance"),
    "l2normalize": _row(Kind.NORMALISE, function="l2"),
    "lrn": _row(Kind.NORMALISE, function="local_response"), "softmax": _row(Kind.SOFTMAX, axis=-3),
    "softmaxND": _row(Kind.SOFTMAX, axis=_axis), "scale": _scale, "bias": _bias,
    "dot": _row(Kind.EINSUM, _ALL, _DOTTED, equation="nchw,nchw->nhw"),
    "reduce": _row(
        Kind.REDUCE, function=lambda p: _MODES[p.integer("mode") % 10],
        axes=lambda p: _REDUCED_AXES[p.integer("axis") % 5], keep_dims=True,
    ),
    "argMax": _row(Kind.ARG_REDUCE, function="max", **_ARG),
    "argMin": _row(Kind.ARG_REDUCE, function="min", **_ARG), "reshape": _reshape,
    "flatten": _row(Kind.RESHAPE, shape=(0, -1, 1, 1), zero_copies=True),
    "permute": _row(Kind.TRANSPOSE, permutation=_integers("axis")),
    "concat": _row(Kind.CONCAT, axis=lambda p: 0 if p.flag("sequenceConcat") else -3),
    "split": _row(Kind.SPLIT, axis=-3),
    "sequenceRepeat": _row(Kind.TILE, repeats=lambda p: (p.integer("times", 1), 1, 1, 1)),
    "reorganizeData": _reorganise, "slice": _slice, "crop": crop, "padding": padding,
    "constantPad": constant_pad, "upsample": upsample, "resizeBilinear": resize,
    "simpleRecurrent": _recurrent("rnn", "wx", "rh", "b"),
    "gru": _recurrent("gru", "wz", "wr", "wo", "rz", "rr", "ro", "bz", "br", "bo"),
    "uniDirectionalLSTM": _lstm, "biDirectionalLSTM": _lstm, "copy": _row(Kind.IDENTITY),
    "rangeStatic": _range, "tile": _tile, "stack": _row(Kind.STACK, axis=_axis),
    "gather": _row(Kind.GATHER, axis=_axis), "gatherND": _row(Kind.GATHER_ND),
    "gatherAlongAxis": _row(Kind.GATHER_ELEMENTS), "scatter": _row(Kind.SCATTER),
    "scatterND": _row(Kind.SCATTER), "scatterAlongAxis": _row(Kind.SCATTER),
    "reverse": _row(Kind.IDENTITY, exact=False),
    "reverseSeq": _row(Kind.IDENTITY, _ONE, exact=False),
    "argSort": _row(Kind.IDENTITY, exact=False), "splitND": _split_nd,
    "concatND": _row(Kind.CONCAT, axis=_axis),
    "transpose": _row(Kind.TRANSPOSE, permutation=_integers("axes")), "sliceStatic": _slice_static,
    "sliceBySize": _slice_by_size, "topK": _top_k, "getShape": _row(Kind.SHAPE),
    "fillStatic": _fill, "broadcastToStatic": _row(Kind.BROADCAST_TO, shape=_SHAPE),
    "broadcastToDynamic": _row(Kind.BROADCAST_TO), "squeeze": _axes(Kind.SQUEEZE),
    "expandDims": _axes(Kind.EXPAND_DIMS), "flattenTo2D": _row(Kind.FLATTEN, axis=_axis),
    "reshapeStatic": _row(Kind.RESHAPE, shape=_SHAPE),
    "rankPreservingReshape": _row(Kind.RESHAPE, shape=_SHAPE, zero_copies=True),
    "reshapeDynamic": _row(Kind.RESHAPE), "reshapeLike": _row(Kind.IDENTITY, _LAST, exact=False),
    "whereBroadcastable": _row(Kind.WHERE), "oneHot": _one_hot, "cumSum": _row(Kind.CUMULATIVE),
}  # fmt: skip
