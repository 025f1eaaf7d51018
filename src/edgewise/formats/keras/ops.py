"""What each layer of Keras' is in common words. Weights come in the order in which layers make
them: kernel, bias; gamma, beta, mean, variance; kernel, recurrent kernel, bias."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.keras.call import layout, make, padding, sizes
from edgewise.formats.keras.compute import AXES, COMPUTE
from edgewise.formats.keras.model import Call, Model
from edgewise.formats.netlist import Netlist
from edgewise.graph import Kind

Translator = Callable[[Model, Call], None]


def add(model: Model, call: Call, group: str) -> None:
    """Add one use of a layer to the graph."""
    rule = COMPUTE.get(call.kind) or RULES.get(call.kind)
    if rule is not None:
        rule(model, call)
    elif isinstance(call.config.get("layers"), list):
        _nested(model, call, group)
    elif _is_operation(call):
        make(model, call, Kind.POSTPROCESS)
    else:
        _unknown(model, call)


def _is_operation(call: Call) -> bool:
    """A function of Keras', not a layer of anybody's own: those that multiply have rules."""
    module = str(call.extra.get("module") or "")
    if not module and not call.weights and call.kind in _OPERATIONS:
        return True  # .h5 leaves the module out
    return module.startswith(("keras.src.ops", "keras.ops", "keras.layers", "keras.src.layers"))


def _unknown(model: Model, call: Call) -> None:
    """A layer of somebody's own. Weights that spread over what it reads can only be added to it,
    or multiplied with it, element by element."""
    shapes = [model.netlist.tensor(index).shape for _, index in call.weights]
    read = model.netlist.tensor(model.netlist.value(call.inputs[0])).shape if call.inputs else None
    if read and shapes and len(call.inputs) == 1 and all(_spreads(one, read) for one in shapes):
        model.netlist.graph.notes.append(
            f"{call.kind} {call.name}: a layer of the network's own; its weights have the shape "
            "of what it reads, so it is counted as element by element"
        )
        make(model, call, Kind.BINARY, function=call.kind)
        return
    make(model, call, Kind.UNKNOWN)


def _spreads(weight: Any, read: Any) -> bool:
    """Whether a weight covers all axes of a value but the batch."""
    if weight is None or len(weight) != len(read) or len(read) < 2:
        return False
    return all(isinstance(r, int) and w == r for w, r in zip(weight[1:], read[1:], strict=True))


def plain(kind: Kind, **attributes: Any) -> Translator:
    """A layer whose settings do not matter."""
    return lambda model, call: make(model, call, kind, **attributes)


def _normalise(function: str) -> Translator:
    def run(model: Model, call: Call) -> None:
        axis = call.config.get("axis", -1)
        axis = axis[0] if isinstance(axis, list) and axis else axis
        attributes = {"axis": axis if isinstance(axis, int) else -1} if function == "batch" else {}
        make(model, call, Kind.NORMALISE, function=function, **attributes)

    return run


def _pool(function: str, axes: int) -> Translator:
    def run(model: Model, call: Call) -> None:
        kernel = sizes(call, "pool_size", axes, 2)
        has_strides = call.config.get("strides") is not None
        make(
            model, call, Kind.POOL, function=function, kernel=kernel, layout=layout(call),
            strides=sizes(call, "strides", axes) if has_strides else kernel, pads=padding(call),
        )  # fmt: skip

    return run


def _global_pool(function: str, axes: int) -> Translator:
    def run(model: Model, call: Call) -> None:
        first = 2 if layout(call) == "channels_first" else 1
        make(
            model, call, Kind.REDUCE, function=function, axes=tuple(range(first, first + axes)),
            keep_dims=bool(call.config.get("keepdims")),
        )  # fmt: skip

    return run


def _reshape(model: Model, call: Call) -> None:
    shape = call.config.get("target_shape")
    if not isinstance(shape, list) or not all(isinstance(one, int) for one in shape):
        raise RejectedModel(f"Reshape {call.name}: {shape!r:.60}")
    known = -1 not in shape
    make(model, call, Kind.RESHAPE, shape=(-1 if known else 0, *shape), zero_copies=not known)


def _permute(model: Model, call: Call) -> None:
    dims = call.config.get("dims")
    order = tuple(dims) if isinstance(dims, list) else ()
    make(model, call, Kind.TRANSPOSE, permutation=(0, *order))


def _edges(call: Call, name: str, axes: int) -> list[tuple[int, int]]:
    """Before and after each axis: a number, one per axis, or a pair per axis."""
    value = call.config.get(name, 1)
    if isinstance(value, int):
        return [(value, value)] * axes
    if not isinstance(value, list):
        raise RejectedModel(f"{call.kind} {call.name}: {name} is {value!r:.60}")
    if axes == 1 and len(value) == 2 and all(isinstance(one, int) for one in value):
        return [(value[0], value[1])]
    pairs = [(one, one) if isinstance(one, int) else tuple(one) for one in value]
    if len(pairs) != axes or any(len(pair) != 2 for pair in pairs):
        raise RejectedModel(f"{call.kind} {call.name}: {name} is {value!r:.60}")
    return [(int(low), int(high)) for low, high in pairs]


def _zero_padding(axes: int) -> Translator:
    def run(model: Model, call: Call) -> None:
        first = 2 if layout(call) == "channels_first" else 1
        flat = [one for pair in _edges(call, "padding", axes) for one in pair]
        make(
            model, call, Kind.PAD, order="pairs", pads=tuple(flat),
            axes=tuple(range(first, first + axes)),
        )  # fmt: skip

    return run


def _cropping(axes: int) -> Translator:
    def run(model: Model, call: Call) -> None:
        first = 2 if layout(call) == "channels_first" else 1
        edges = _edges(call, "cropping", axes)
        make(
            model, call, Kind.STRIDED_SLICE, onnx=True, begin=tuple(low for low, _ in edges),
            end=tuple(-high or 2**31 - 1 for _, high in edges),
            axes=tuple(range(first, first + axes)),
        )  # fmt: skip

    return run


def _up_sampling(axes: int) -> Translator:
    def run(model: Model, call: Call) -> None:
        scales = sizes(call, "size", axes, 2)
        make(model, call, Kind.RESIZE, layout=layout(call), scales=tuple(map(float, scales)))

    return run


def _resizing(model: Model, call: Call) -> None:
    wanted = (call.config.get("height"), call.config.get("width"))
    if not all(isinstance(one, int) for one in wanted):
        raise RejectedModel(f"Resizing {call.name}: {wanted}")
    make(model, call, Kind.RESIZE, layout=layout(call), sizes=wanted)


def _repeat(model: Model, call: Call) -> None:
    times = call.config.get("n")
    if not isinstance(times, int) or times < 1:
        raise RejectedModel(f"RepeatVector {call.name}: {times!r:.40}")
    middle = f"{call.name}:one"
    model.netlist.layer(
        call.name, call.kind, Kind.EXPAND_DIMS, call.inputs[:1], (middle,), axes=(1,)
    )
    make(model, call, Kind.TILE, [middle], repeats=(times, 1))


def _concatenate(model: Model, call: Call) -> None:
    axis = call.config.get("axis", -1)
    make(model, call, Kind.CONCAT, axis=axis if isinstance(axis, int) else -1)


def _of_tensorflow(model: Model, call: Call) -> None:
    """Keras 2's calls of TensorFlow's functions."""
    function = str(call.config.get("function", "")).split(".")[-1]
    if function in ("matmul", "batch_matmul"):
        make(model, call, Kind.MATMUL)
    elif function in _MULTIPLYING:
        make(model, call, Kind.UNKNOWN)
    elif function in ("add", "__operators__.add", "subtract", "multiply", "divide", "maximum"):
        make(model, call, Kind.BINARY, function=function, loose=True)
    else:
        make(model, call, Kind.POSTPROCESS)


_MULTIPLYING = frozenset({
    "einsum", "tensordot", "conv1d", "conv2d", "conv3d", "depthwise_conv2d", "conv2d_transpose",
    "separable_conv2d", "convolution", "scaled_dot_product_attention",
})  # fmt: skip


def _nested(model: Model, call: Call, group: str) -> None:
    """A model inside: a body."""
    if group not in model.inside:
        prefix = f"{group}/" if not model.store.by_name else group
        netlist = Netlist(call.name, model.netlist.graph.format)
        inner = Model(netlist, model.store, prefix, model.build, model.depth + 1)
        model.build(inner, {"class_name": call.kind, "config": call.config})
        model.inside[group] = netlist.graph
    layer = model.netlist.layer(call.name, call.kind, Kind.CALL, call.inputs, call.outputs)
    layer.bodies = (model.inside[group],)


def _arithmetic(function: str) -> Translator:
    """An operation of one value with another, or with a number."""

    def run(model: Model, call: Call) -> None:
        kind = Kind.BINARY if len(call.inputs) > 1 else Kind.UNARY
        make(model, call, kind, function=function)

    return run


#: Classes of Keras' functions that multiply nothing; the file states the shapes they give.
_OPERATIONS = frozenset({
    "Abs", "Absolute", "All", "Amax", "Amin", "Any", "Append", "Arange", "Arccos", "Arcsin",
    "Arctan", "Argmax", "Argmin", "Argsort", "Average", "BroadcastTo", "Cast", "Ceil", "Clip",
    "Concatenate", "Copy", "Cos", "Cosh", "CountNonzero", "Cumprod", "Cumsum", "Diag", "Diagonal",
    "Diff", "Divide", "Elu", "Equal", "Erf", "Exp", "ExpandDims", "Expm1", "Flip", "Floor",
    "FloorDivide", "Full", "FullLike", "GetItem", "Greater", "GreaterEqual", "Hstack",
    "InvertPermutation", "Isfinite", "Isnan", "LeakyRelu", "Less", "LessEqual", "Log", "Log1p",
    "LogicalAnd", "LogicalNot", "LogicalOr", "Logsumexp", "Max", "MaxPool", "AveragePool",
    "Maximum", "Mean", "Min", "Minimum", "Mod", "Moments", "Moveaxis", "NanToNum", "Negative",
    "NotEqual", "OneHot", "Ones", "OnesLike", "Pad", "Power", "Prod", "Ravel", "Reciprocal",
    "Repeat", "Resize", "Roll", "Round", "Selu", "Shape", "Sign", "Sin", "Sinh", "Slice",
    "SliceUpdate", "Softplus", "Softsign", "Sort", "Split", "Square", "Squeeze", "Stack", "Std",
    "Sum", "Swapaxes", "Take", "TakeAlongAxis", "Tan", "Tile", "TopK", "Transpose", "Tril", "Triu",
    "TrueDivide", "Unstack", "Var", "Vstack", "Where", "Zeros", "ZerosLike", "Normalize",
    "BatchNorm", "StopGradient", "Scatter", "ScatterUpdate", "LogSigmoid", "Celu", "Glu",
})  # fmt: skip
_SAME = (
    "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "GaussianNoise",
    "GaussianDropout", "AlphaDropout", "ActivityRegularization", "Masking", "Identity",
    "RandomFlip", "RandomRotation", "RandomZoom", "RandomContrast", "RandomTranslation",
    "RandomBrightness", "SpectralNormalization_",
)  # fmt: skip
_MERGES = {
    "Add": "add", "Subtract": "sub", "Multiply": "mul", "Average": "average", "Maximum": "max",
    "Minimum": "min",
}  # fmt: skip
_ACTIVATIONS = {
    "Activation": "activation", "ReLU": "relu", "LeakyReLU": "leaky_relu", "ELU": "elu",
    "ThresholdedReLU": "threshold", "Rescaling": "scale", "Relu": "relu", "Relu6": "relu6",
    "Gelu": "gelu", "Sigmoid": "sigmoid", "Tanh": "tanh", "Silu": "silu", "Exp": "exp",
    "Sqrt": "sqrt", "Rsqrt": "rsqrt", "HardSwish": "hard_swish", "HardSigmoid": "hard_sigmoid",
}  # fmt: skip
RULES: dict[str, Translator] = {
    **{f"MaxPooling{end}": _pool("max", axes) for end, axes in AXES.items()},
    **{f"AveragePooling{end}": _pool("average", axes) for end, axes in AXES.items()},
    **{f"GlobalMaxPooling{end}": _global_pool("max", axes) for end, axes in AXES.items()},
    **{f"GlobalAveragePooling{end}": _global_pool("mean", axes) for end, axes in AXES.items()},
    **{f"ZeroPadding{end}": _zero_padding(axes) for end, axes in AXES.items()},
    **{f"Cropping{end}": _cropping(axes) for end, axes in AXES.items()},
    **{f"UpSampling{end}": _up_sampling(axes) for end, axes in AXES.items()},
    **{name: plain(Kind.UNARY, function=function) for name, function in _ACTIVATIONS.items()},
    **{name: _arithmetic(function) for name, function in _MERGES.items()},
    **dict.fromkeys(_SAME, plain(Kind.IDENTITY)),
    **dict.fromkeys(("TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer"), _of_tensorflow),
    **dict.fromkeys(("Matmul", "MatMul"), plain(Kind.MATMUL)),
    **dict.fromkeys(("Softmax", "LogSoftmax"), plain(Kind.SOFTMAX, axis=-1)),
    **dict.fromkeys(("Tensordot", "Inner", "Outer", "Vdot", "Lambda", "ConvLSTM1D", "ConvLSTM2D",
                     "ConvLSTM3D", "GroupedQueryAttention", "AdditiveAttention", "Conv",
                     "ConvTranspose", "DepthwiseConv", "SeparableConv", "DotProductAttention",
                     "GroupQueryAttention", "StackedRNNCells", "LocallyConnected1D",
                     "LocallyConnected2D", "Wrapper"), plain(Kind.UNKNOWN)),
    "BatchNormalization": _normalise("batch"),
    "Concatenate": _concatenate,
    "Flatten": plain(Kind.FLATTEN),
    "GroupNormalization": _normalise("group"),
    "LayerNormalization": _normalise("layer"),
    "Normalization": _normalise("instance"),
    "PReLU": plain(Kind.BINARY, function="prelu", like_first=True),
    "Permute": _permute,
    "RMSNormalization": _normalise("rms"),
    "RepeatVector": _repeat,
    "Reshape": _reshape,
    "Resizing": _resizing,
    "UnitNormalization": _normalise("l2"),
}  # fmt: skip
