"""What each layer of Keras' is in common words. Weights come in the order in which layers make
them: kernel, bias; gamma, beta, mean, variance; kernel, recurrent kernel, bias."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.keras.reader import Call, Model, build
from edgewise.formats.netlist import Netlist, Operand
from edgewise.graph import Kind

Translator = Callable[[Model, Call], None]


def add(model: Model, call: Call, group: str) -> None:
    """Add one use of a layer to the graph."""
    rule = RULES.get(call.kind)
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


def make(
    model: Model, call: Call, kind: Kind, inputs: list[Operand] | None = None, /, **attributes: Any
) -> None:
    """A layer that reads what the call does, then its weights, unless `inputs` are given."""
    reads: list[Operand] = [*call.inputs, *(index for _, index in call.weights)]
    layer = model.netlist.layer(
        call.name, call.kind, kind, reads if inputs is None else inputs, call.outputs, **attributes
    )
    activation = activation_of(call)
    if activation is not None and "activation" not in attributes and kind in _ACTIVATED:
        layer.attributes["activation"] = activation


_ACTIVATED = frozenset({Kind.CONV, Kind.CONV_TRANSPOSE, Kind.DENSE, Kind.EINSUM})


def activation_of(call: Call) -> str | None:
    """The activation that a layer ends with."""
    named = call.config.get("activation")
    if isinstance(named, dict):
        named = named.get("config") if isinstance(named.get("config"), str) else "custom"
    return None if named in (None, "linear") else str(named)


def plain(kind: Kind, **attributes: Any) -> Translator:
    """A layer whose settings do not matter."""
    return lambda model, call: make(model, call, kind, **attributes)


def layout(call: Call) -> str:
    """The order of the axes."""
    return (
        "channels_first"
        if call.config.get("data_format") == "channels_first"
        else ("channels_last")
    )


def sizes(call: Call, name: str, axes: int, default: int = 1) -> tuple[int, ...]:
    """One whole number per axis; a single one stands for all."""
    value = call.config.get(name)
    given = value if isinstance(value, list) else [default if value is None else value]
    if not all(isinstance(one, int) and one >= 1 for one in given) or len(given) not in (1, axes):
        raise RejectedModel(f"{call.kind} {call.name}: {name} is {value!r:.60}")
    return tuple(given * axes if len(given) == 1 else given)


def _padding(call: Call) -> str:
    padding = str(call.config.get("padding", "valid")).lower()
    return "same" if padding == "same" else "valid"


def _convolution(axes: int, *, transposed: bool = False, depthwise: bool = False) -> Translator:
    def run(model: Model, call: Call) -> None:
        causal = call.config.get("padding") == "causal"
        attributes: dict[str, Any] = {
            "layout": layout(call),
            "weight_layout": "*OI" if transposed else "*GO" if depthwise else "*IO",
            "strides": sizes(call, "strides", axes),
            "dilations": sizes(call, "dilation_rate", axes),
            # Causal padding stands before the first step: as many steps come out as with "same".
            "pads": "same" if causal else _padding(call),
            "groups": None if depthwise or transposed else call.config.get("groups", 1),
        }
        kind = Kind.CONV_TRANSPOSE if transposed else Kind.CONV
        weights: list[Operand] = [index for _, index in call.weights[:2]]
        if transposed:
            _transposed(model, call, axes, attributes, weights)
            return
        make(model, call, kind, [*call.inputs[:1], *weights], **attributes)

    return run


def _transposed(
    model: Model, call: Call, axes: int, attributes: dict[str, Any], weights: list[Operand]
) -> None:
    """Without "same" the result is as long as its windows reach, and at least a stride a place."""
    kernel = sizes(call, "kernel_size", axes)
    if attributes["pads"] == "valid":
        gaps = zip(kernel, attributes["dilations"], attributes["strides"], strict=True)
        more = tuple(max(step - ((taps - 1) * gap + 1), 0) for taps, gap, step in gaps)
        attributes["output_padding"] = more
    make(model, call, Kind.CONV_TRANSPOSE, [*call.inputs[:1], *weights], **attributes)


def _separable(axes: int) -> Translator:
    """A depthwise convolution, then one of 1: two layers of the graph for one of the file."""

    def run(model: Model, call: Call) -> None:
        stored: list[Operand] = [index for _, index in call.weights]
        if len(stored) < 2:
            make(model, call, Kind.UNKNOWN)
            return
        middle = f"{call.name}:depthwise"
        model.netlist.layer(
            call.name, call.kind, Kind.CONV, (call.inputs[0], stored[0]), (middle,),
            layout=layout(call), weight_layout="*GO", groups=None, pads=_padding(call),
            strides=sizes(call, "strides", axes), dilations=sizes(call, "dilation_rate", axes),
        )  # fmt: skip
        make(
            model, call, Kind.CONV, [middle, *stored[1:]], layout=layout(call),
            weight_layout="*IO", groups=1, pads="valid",
        )  # fmt: skip

    return run


def _dense(model: Model, call: Call) -> None:
    make(model, call, Kind.DENSE, keep_dims=True, weight_layout="IO")


def _einsum_dense(model: Model, call: Call) -> None:
    weights: list[Operand] = [index for _, index in call.weights]
    equation = str(call.config.get("equation", ""))
    made = f"{call.name}:product"
    model.netlist.layer(
        call.name, call.kind, Kind.EINSUM, (call.inputs[0], *weights[:1]), (made,),
        equation=equation,
    )  # fmt: skip
    make(model, call, Kind.BINARY, [made, *weights[1:2]], function="add")


def _embedding(model: Model, call: Call) -> None:
    weights: list[Operand] = [index for _, index in call.weights[:1]]
    make(model, call, Kind.GATHER, [*weights, *call.inputs[:1]])


def _recurrent(cell: str) -> Translator:
    def run(model: Model, call: Call) -> None:
        _steps(model, call, cell, call.config, call.weights, 1)

    return run


def _steps(
    model: Model, call: Call, cell: str, config: dict[str, Any],
    weights: list[tuple[str, int]], directions: int,
) -> None:  # fmt: skip
    """A recurrent layer: the whole sequence, or its last step, then the states where asked for."""
    hidden = config.get("units")
    if not isinstance(hidden, int) or hidden < 1:
        raise RejectedModel(f"{call.kind} {call.name}: {hidden!r:.40} units")
    whole = bool(config.get("return_sequences"))
    merged = call.config.get("merge_mode", "concat")
    first = "sequence" if whole and directions == 1 else None
    if whole and directions == 2:
        first = "sequence" if merged == "concat" else "one_direction"
    attributes: dict[str, Any] = {
        "cell": cell, "hidden": hidden, "directions": directions, "states": (),
        "time_axis": 0 if config.get("time_major") else 1,
        "batch_axis": 1 if config.get("time_major") else 0,
    }  # fmt: skip
    stored: list[Operand] = [index for _, index in weights]
    reads = [*call.inputs[:1], *stored, *call.inputs[1:]]
    if whole:
        states = ["state", "cell"] * directions
        attributes["outputs"] = [first, *states][: len(call.outputs)]
        make(model, call, Kind.RECURRENT, reads, **attributes)
        return
    if directions == 1 or merged != "concat":
        attributes["outputs"] = ["state", "state", "cell", "state", "cell"][: len(call.outputs)]
        make(model, call, Kind.RECURRENT, reads, **attributes)
        return
    parts = (f"{call.name}:forward", f"{call.name}:backward")
    model.netlist.layer(
        call.name, call.kind, Kind.RECURRENT, reads, parts, outputs=("state", "state"),
        **attributes,
    )  # fmt: skip
    make(model, call, Kind.CONCAT, list(parts), axis=-1)


_CELLS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn", "CuDNNLSTM": "lstm", "CuDNNGRU": "gru",
          "LSTMCell": "lstm", "GRUCell": "gru", "SimpleRNNCell": "rnn"}  # fmt: skip


def _inner(call: Call, name: str) -> tuple[str, dict[str, Any]]:
    """Class and settings of a layer that another one wraps."""
    inside = call.config.get(name)
    inside = inside if isinstance(inside, dict) else {}
    config = inside.get("config")
    return str(inside.get("class_name", "")), config if isinstance(config, dict) else {}


def _bidirectional(model: Model, call: Call) -> None:
    kind, config = _inner(call, "layer")
    if kind not in _CELLS:
        make(model, call, Kind.UNKNOWN)
        return
    _steps(model, call, _CELLS[kind], config, call.weights, 2)


def _rnn(model: Model, call: Call) -> None:
    kind, config = _inner(call, "cell")
    if kind not in _CELLS:
        make(model, call, Kind.UNKNOWN)
        return
    _steps(model, call, _CELLS[kind], config | {
        "return_sequences": call.config.get("return_sequences")}, call.weights, 1)  # fmt: skip


def _distributed(model: Model, call: Call) -> None:
    """A dense layer at every step; any other one is not followed."""
    kind, config = _inner(call, "layer")
    if kind == "Dense":
        make(
            model, call, Kind.DENSE, keep_dims=True, weight_layout="IO",
            activation=config.get("activation") if config.get("activation") != "linear" else None,
        )  # fmt: skip
    elif kind in ("Activation", "ReLU", "Dropout", "BatchNormalization", "LayerNormalization"):
        make(model, call, Kind.UNARY, function=kind)
    else:
        make(model, call, Kind.UNKNOWN)


def _multi_head(model: Model, call: Call) -> None:
    """Projections with kernels (width, heads, size), attention, and a projection back."""
    kernels = [
        (path, index) for path, index in call.weights if path.endswith(("/0", "kernel:0", "kernel"))
    ]
    stored = [
        next(
            (i for path, i in kernels if any(one.startswith(part) for one in path.split("/"))), None
        )
        for part in ("query", "key", "value")
    ]
    stored.append(next((index for path, index in kernels if "output" in path), None))
    if len(call.inputs) < 1 or any(index is None for index in stored):
        make(model, call, Kind.UNKNOWN)
        return
    sources = [call.inputs[0], call.inputs[-1], call.inputs[min(1, len(call.inputs) - 1)]]
    if len(call.inputs) >= 3:
        sources = [call.inputs[0], call.inputs[2], call.inputs[1]]
    netlist, name = model.netlist, call.name
    for part, source, index in zip("qkv", sources, stored[:3], strict=True):
        netlist.layer(
            name, call.kind, Kind.EINSUM, (source, index), (f"{name}:{part}",),
            equation="abc,cde->abde",
        )  # fmt: skip
        netlist.layer(
            name, call.kind, Kind.TRANSPOSE, (f"{name}:{part}",), (f"{name}:{part}",),
            permutation=(0, 2, 1, 3),
        )  # fmt: skip
    parts = tuple(f"{name}:{part}" for part in "qkv")
    attended = f"{name}:attended"
    netlist.layer(name, call.kind, Kind.ATTENTION, parts, (attended,), heads=None, packed=False)
    netlist.layer(
        name, call.kind, Kind.TRANSPOSE, (attended,), (attended,), permutation=(0, 2, 1, 3)
    )
    biases: list[Operand] = [index for _, index in call.weights if index not in stored]
    projected = f"{name}:projected"
    netlist.layer(
        name, call.kind, Kind.EINSUM, (attended, stored[3]), (projected,),
        equation="abde,dec->abc",
    )  # fmt: skip
    make(model, call, Kind.BINARY, [projected, *biases], function="add", like_first=True)


def _attention(model: Model, call: Call) -> None:
    """Query, value, key?: scores, then the values they weigh."""
    key = call.inputs[2] if len(call.inputs) > 2 else call.inputs[-1]
    scores = f"{call.name}:scores"
    model.netlist.layer(
        call.name, call.kind, Kind.MATMUL, (call.inputs[0], key), (scores,), transpose_b=True
    )
    value = call.inputs[1] if len(call.inputs) > 1 else call.inputs[0]
    make(model, call, Kind.MATMUL, [scores, value])


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
            strides=sizes(call, "strides", axes) if has_strides else kernel, pads=_padding(call),
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


def _transpose(model: Model, call: Call) -> None:
    make(model, call, Kind.POSTPROCESS)


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


def _dot(model: Model, call: Call) -> None:
    """Contraction of one axis of each value."""
    axes = call.config.get("axes")
    pair = [axes, axes] if isinstance(axes, int) else list(axes or [])
    ranks = [
        len(model.netlist.tensor(model.netlist.value(name)).shape or ()) for name in call.inputs
    ]
    if len(pair) != 2 or len(ranks) != 2 or not all(2 <= rank <= 6 for rank in ranks):
        make(model, call, Kind.UNKNOWN)
        return
    first = ["z", *"abcde"][: ranks[0]]
    second = ["z", *"fghij"][: ranks[1]]
    if not (-ranks[0] <= pair[0] < ranks[0] and -ranks[1] <= pair[1] < ranks[1]):
        raise RejectedModel(f"Dot {call.name}: axes {pair}")
    first[pair[0]] = second[pair[1]] = "k"
    out = [label for label in (*first, *second[1:]) if label != "k"]
    terms = ("".join(first), "".join(second), "".join(out))
    make(model, call, Kind.EINSUM, equation=f"{terms[0]},{terms[1]}->{terms[2]}")


def _einsum(model: Model, call: Call) -> None:
    equation = call.config.get("subscripts") or call.config.get("equation")
    if not isinstance(equation, str):
        make(model, call, Kind.UNKNOWN)
        return
    make(model, call, Kind.EINSUM, equation=equation)


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
        inner = Model(netlist, model.store, prefix, model.depth + 1)
        build(inner, {"class_name": call.kind, "config": call.config})
        model.inside[group] = netlist.graph
    layer = model.netlist.layer(call.name, call.kind, Kind.CALL, call.inputs, call.outputs)
    layer.bodies = (model.inside[group],)


def _unary(function: str) -> Translator:
    return plain(Kind.UNARY, function=function)


def _binary(function: str) -> Translator:
    return plain(Kind.BINARY, function=function)


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
_AXES = {"1D": 1, "2D": 2, "3D": 3}

RULES: dict[str, Translator] = {
    **{f"Conv{end}": _convolution(axes) for end, axes in _AXES.items()},
    **{f"Convolution{end}": _convolution(axes) for end, axes in _AXES.items()},
    **{f"Conv{end}Transpose": _convolution(axes, transposed=True) for end, axes in _AXES.items()},
    **{f"DepthwiseConv{end}": _convolution(axes, depthwise=True) for end, axes in _AXES.items()},
    **{f"SeparableConv{end}": _separable(axes) for end, axes in _AXES.items()},
    **{f"MaxPooling{end}": _pool("max", axes) for end, axes in _AXES.items()},
    **{f"AveragePooling{end}": _pool("average", axes) for end, axes in _AXES.items()},
    **{f"GlobalMaxPooling{end}": _global_pool("max", axes) for end, axes in _AXES.items()},
    **{f"GlobalAveragePooling{end}": _global_pool("mean", axes) for end, axes in _AXES.items()},
    **{f"ZeroPadding{end}": _zero_padding(axes) for end, axes in _AXES.items()},
    **{f"Cropping{end}": _cropping(axes) for end, axes in _AXES.items()},
    **{f"UpSampling{end}": _up_sampling(axes) for end, axes in _AXES.items()},
    **{name: _recurrent(cell) for name, cell in _CELLS.items() if not name.endswith("Cell")},
    **{name: _unary(function) for name, function in _ACTIVATIONS.items()},
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
    "Attention": _attention,
    "BatchNormalization": _normalise("batch"),
    "Bidirectional": _bidirectional,
    "Concatenate": _concatenate,
    "Dense": _dense,
    "Dot": _dot,
    "Einsum": _einsum,
    "EinsumDense": _einsum_dense,
    "Embedding": _embedding,
    "Flatten": plain(Kind.FLATTEN),
    "GroupNormalization": _normalise("group"),
    "LayerNormalization": _normalise("layer"),
    "MultiHeadAttention": _multi_head,
    "Normalization": _normalise("instance"),
    "PReLU": plain(Kind.BINARY, function="prelu", like_first=True),
    "Permute": _permute,
    "RMSNormalization": _normalise("rms"),
    "RNN": _rnn,
    "RepeatVector": _repeat,
    "Reshape": _reshape,
    "Resizing": _resizing,
    "TimeDistributed": _distributed,
    "UnitNormalization": _normalise("l2"),
}  # fmt: skip
