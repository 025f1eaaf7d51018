"""What the operations of ML programs mean (coremltools' reference of MIL, iOS 15 to 18)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from edgewise.formats.coreml.operation import Call, Found, Translation, Unknowable
from edgewise.graph import Kind

if TYPE_CHECKING:
    pass

_FIRST = "channels_first"


def _x(kind: Kind, function: str | None = None, *more: str, name: str = "x") -> Translation:
    """Kinds with a function, of one input and those named."""
    attributes = {} if function is None else {"function": function}
    return lambda call: Found(kind, attributes, [call.index(n) for n in (name, *more)])


def _two(function: str) -> Translation:
    return lambda call: Found(
        Kind.BINARY, {"function": function}, [call.index("x"), call.index("y")]
    )


def _window(call: Call, kernel: tuple[int, ...] | None = None) -> dict[str, Any]:
    pad_type = call.text("pad_type", "valid")
    attributes: dict[str, Any] = {"layout": _FIRST, "pads": pad_type}
    if pad_type == "custom":
        pad = call.integers("pad") or ()
        attributes["pads"] = (*pad[0::2], *pad[1::2])
    for ours, theirs in (("strides", "strides"), ("dilations", "dilations")):
        found = call.integers(theirs)
        if found is not None:
            attributes[ours] = found
    if kernel is not None:
        attributes.setdefault("strides", (1,) * len(kernel))
    return attributes


def _conv(call: Call) -> Found:
    attributes = _window(call) | {"weight_layout": "OI*", "groups": call.integer("groups", 1)}
    return Found(Kind.CONV, attributes, [call.index(n) for n in ("x", "weight", "bias")])


def _conv_transpose(call: Call) -> Found:
    attributes = _window(call) | {"weight_layout": "IO*", "groups": call.integer("groups", 1)}
    if call.given("output_shape"):
        attributes["output_shape"] = call.integers("output_shape")
    return Found(Kind.CONV_TRANSPOSE, attributes, [call.index(n) for n in ("x", "weight", "bias")])


def _linear(call: Call) -> Found:
    inputs = [call.index(n) for n in ("x", "weight", "bias")]
    return Found(Kind.MATMUL, {"transpose_b": True}, inputs)


def _matmul(call: Call) -> Found:
    attributes = {
        ours: True
        for ours, theirs in (("transpose_a", "transpose_x"), ("transpose_b", "transpose_y"))
        if call.flag(theirs)
    }
    return Found(Kind.MATMUL, attributes, [call.index("x"), call.index("y")])


def _einsum(call: Call) -> Found:
    return Found(Kind.EINSUM, {"equation": call.text("equation")}, call.indices("values"))


def _recurrent(cell: str) -> Translation:
    """x is (steps, batch, input); the sequence, or its last step alone; then the states."""

    def translate(call: Call) -> Found:
        both = call.text("direction", "forward") == "bidirectional"
        whole = call.flag("output_sequence")
        outputs = ("sequence" if whole else "last", "joined_state", "joined_cell")
        attributes = {
            "cell": cell, "directions": 2 if both else 1, "time_axis": 0, "batch_axis": 1,
            "outputs": outputs[: len(call.outputs)],
        }  # fmt: skip
        names = ["x", "weight_ih", "weight_hh", "bias", "input_bias", "peephole", "weight_ih_back",
                 "weight_hh_back", "bias_back", "peephole_back"]  # fmt: skip
        given = [name for name in names if call.given(name)]
        return Found(Kind.RECURRENT, attributes, [call.index(name) for name in given])

    return translate


def _attention(call: Call) -> Found:
    inputs = [call.index(n) for n in ("query", "key", "value")]
    return Found(Kind.ATTENTION, {"heads": None, "packed": False}, inputs)


def _pool(function: str) -> Translation:
    def translate(call: Call) -> Found:
        kernel = call.integers("kernel_sizes")
        if not kernel:
            raise Unknowable
        attributes = _window(call, kernel) | {
            "function": function, "kernel": kernel, "ceil_mode": call.flag("ceil_mode"),
        }  # fmt: skip
        return Found(Kind.POOL, attributes, [call.index("x")])

    return translate


def _reduce(function: str) -> Translation:
    def translate(call: Call) -> Found:
        attributes: dict[str, Any] = {"function": function, "keep_dims": call.flag("keep_dims")}
        axes = call.integers("axes")
        if axes:
            attributes["axes"] = axes
        return Found(Kind.REDUCE, attributes, [call.index("x")])

    return translate


def _arg(function: str) -> Translation:
    return lambda call: Found(Kind.ARG_REDUCE, {
        "function": function, "axes": (call.integer("axis", -1),),
        "keep_dims": call.flag("keep_dims", True),
    }, [call.index("x")])  # fmt: skip


def _axis(kind: Kind, default: int = 0, name: str = "x") -> Translation:
    return lambda call: Found(kind, {"axis": call.integer("axis", default)}, [call.index(name)])


def _axes(kind: Kind) -> Translation:
    def translate(call: Call) -> Found:
        axes = call.integers("axes")
        return Found(kind, {"axes": axes} if axes is not None else {}, [call.index("x")])

    return translate


def _joined(kind: Kind) -> Translation:
    return lambda call: Found(kind, {"axis": call.integer("axis", 0)}, call.indices("values"))


def _reshape(call: Call) -> Found:
    return Found(Kind.RESHAPE, {"zero_copies": True}, [call.index("x"), call.index("shape")])


def _transpose(call: Call) -> Found:
    return Found(Kind.TRANSPOSE, {"permutation": call.integers("perm")}, [call.index("x")])


def _split(call: Call) -> Found:
    attributes: dict[str, Any] = {"axis": call.integer("axis", 0)}
    sizes = call.integers("split_sizes")
    if sizes:
        attributes["sizes"] = sizes
    return Found(Kind.SPLIT, attributes, [call.index("x")])


def _mask(call: Call, name: str) -> int:
    return sum(1 << at for at, bit in enumerate(call.numbers(name) or ()) if bit)


def _slice_by_index(call: Call) -> Found:
    attributes = {
        "begin_mask": _mask(call, "begin_mask"), "end_mask": _mask(call, "end_mask"),
        "shrink_axis_mask": _mask(call, "squeeze_mask"),
    }  # fmt: skip
    inputs = [call.index(n) for n in ("x", "begin", "end", "stride")]
    return Found(Kind.STRIDED_SLICE, attributes, inputs)


def _gather(call: Call) -> Found:
    attributes = {"axis": call.integer("axis", 0), "batch_dims": call.integer("batch_dims", 0)}
    return Found(Kind.GATHER, attributes, [call.index("x"), call.index("indices")])


def _pad(call: Call) -> Found:
    pads = call.integers("pad")
    if pads is None:
        raise Unknowable
    axes = tuple(range(-(len(pads) // 2), 0))
    attributes = {"order": "pairs", "pads": pads, "axes": axes}
    return Found(Kind.PAD, attributes, [call.index("x")])


def _scaled(call: Call) -> Found:
    scales = [call.numbers(f"scale_factor_{side}") or [1] for side in ("height", "width")]
    attributes = {"layout": _FIRST, "scales": [float(scale[0]) for scale in scales]}
    return Found(Kind.RESIZE, attributes, [call.index("x")])


def _sized(call: Call) -> Found:
    sizes = [call.integer(f"target_size_{side}", 1) for side in ("height", "width")]
    return Found(Kind.RESIZE, {"layout": _FIRST, "sizes": sizes}, [call.index("x")])


def _resize(call: Call) -> Found:
    """Sizes of the last axes, 0 for one that stays."""
    sizes = call.integers("shape")
    if not sizes or 0 in sizes:
        raise Unknowable
    axes = tuple(range(-len(sizes), 0))
    return Found(Kind.RESIZE, {"layout": None, "sizes": sizes, "axes": axes}, [call.index("x")])


def _space(kind: Kind, name: str) -> Translation:
    return lambda call: Found(
        kind, {"block": call.integer(name, 1), "layout": _FIRST}, [call.index("x")]
    )


def _tile(call: Call) -> Found:
    return Found(Kind.TILE, {}, [call.index("x"), call.index("reps")])


def _range(call: Call) -> Found:
    return Found(Kind.RANGE, {}, [call.index(n) for n in ("start", "end", "step")])


def _fill(call: Call) -> Found:
    return Found(
        Kind.FILL, {"dtype": call.outputs[0][1]}, [call.index("shape"), call.index("value")]
    )


def _fill_like(call: Call) -> Found:
    return Found(Kind.UNARY, {"function": "fill"}, [call.index("ref_tensor")])


def _one_hot(call: Call) -> Found:
    attributes = {"axis": call.integer("axis", -1), "dtype": call.outputs[0][1]}
    return Found(
        Kind.ONE_HOT, attributes, [call.index("indices"), call.index("one_hot_vector_size")]
    )


def _top_k(call: Call) -> Found:
    return Found(Kind.TOP_K, {"axis": call.integer("axis", -1)}, [call.index("x"), call.index("k")])


def _select(call: Call) -> Found:
    return Found(Kind.WHERE, {}, [call.index(n) for n in ("cond", "a", "b")])


def _cast(call: Call) -> Found:
    return Found(Kind.CAST, {"dtype": call.outputs[0][1]}, [call.index("x")])


def _scatter(call: Call) -> Found:
    return Found(Kind.SCATTER, {}, [call.index(n) for n in ("data", "indices", "updates")])


def _slice_update(call: Call) -> Found:
    return Found(Kind.SCATTER, {}, [call.index("x"), call.index("update")])


def _reverse(call: Call) -> Found:
    return Found(Kind.IDENTITY, {"exact": False}, [call.index("x")])


def _stated(call: Call) -> Found:
    return Found(Kind.POSTPROCESS, {}, call.every())


def _by_data(call: Call) -> Found:
    return Found(Kind.DATA_DEPENDENT, {}, call.every())


def _variable(call: Call) -> Found:
    return Found(Kind.VARIABLE, {}, call.every())


def _softmax(call: Call) -> Found:
    return Found(Kind.SOFTMAX, {"axis": call.integer("axis", -1)}, [call.index("x")])


def _normalise(function: str, *more: str) -> Translation:
    return _x(Kind.NORMALISE, function, *more)


def _shape_of(call: Call) -> Found:
    return Found(Kind.SHAPE, {}, [call.index("x")])


def _slice_by_size(call: Call) -> Found:
    return Found(Kind.SLICE, {}, [call.index(n) for n in ("x", "begin", "size")])


def _indexed(kind: Kind, **attributes: Any) -> Translation:
    return lambda call: Found(kind, attributes, [call.index("x"), call.index("indices")])


def _crop(call: Call) -> Found:
    height, width = (call.integers(f"crop_{side}") or (0, 0) for side in ("height", "width"))
    pads = (-height[0], -height[1], -width[0], -width[1])
    attributes = {"order": "pairs", "pads": pads, "axes": (-2, -1)}
    return Found(Kind.PAD, attributes, [call.index("x")])


def _quantize(kind: Kind) -> Translation:
    return lambda call: Found(
        kind, {"dtype": call.outputs[0][1]},
        [call.index(n) for n in ("input", "scale", "zero_point")],
    )  # fmt: skip


_UNARY = (
    "abs", "acos", "asin", "atan", "atanh", "ceil", "clip", "cos", "cosh", "erf", "exp", "exp2",
    "floor", "inverse", "log", "round", "rsqrt", "sign", "sin", "sinh", "sqrt", "square", "tan",
    "tanh", "threshold", "relu", "relu6", "sigmoid", "silu", "softsign", "softplus", "gelu", "elu",
    "leaky_relu", "linear_activation", "scaled_tanh", "sigmoid_hard", "softplus_parametric",
    "clamped_relu", "thresholded_relu", "band_part",
)  # fmt: skip
_BINARY = {
    "add": "add", "sub": "sub", "mul": "mul", "real_div": "div", "floor_div": "floor_div",
    "mod": "mod", "pow": "pow", "maximum": "max", "minimum": "min", "equal": "equal",
    "not_equal": "not_equal", "less": "less", "less_equal": "less_equal", "greater": "greater",
    "greater_equal": "greater_equal", "logical_and": "and", "logical_or": "or",
    "logical_xor": "xor",
}  # fmt: skip
_REDUCED = {
    "reduce_l1_norm": "l1", "reduce_l2_norm": "l2", "reduce_log_sum": "log_sum",
    "reduce_log_sum_exp": "log_sum_exp", "reduce_max": "max", "reduce_mean": "mean",
    "reduce_min": "min", "reduce_prod": "prod", "reduce_sum": "sum",
    "reduce_sum_square": "sum_square",
}  # fmt: skip
_STATED = (
    "classify", "non_maximum_suppression", "crop_resize", "resample", "affine", "random_bernoulli",
    "random_categorical", "random_normal", "random_uniform", "sliding_windows", "space_to_batch",
    "batch_to_space", "flatten2d", "reshape_like", "complex_fft", "complex_ifft",
)  # fmt: skip
_STATES = (
    "make_list", "list_gather", "list_length", "list_read", "list_scatter", "list_write",
    "read_state", "coreml_update_state",
)  # fmt: skip

OPERATIONS: Mapping[str, Translation] = {
    **{op: _x(Kind.UNARY, op) for op in _UNARY},
    "logical_not": _x(Kind.UNARY, "not"),
    "prelu": lambda call: Found(
        Kind.BINARY, {"function": "prelu"}, [call.index("x"), call.index("alpha")]),
    **{op: _two(function) for op, function in _BINARY.items()},
    **{op: _reduce(function) for op, function in _REDUCED.items()},
    **dict.fromkeys(_STATED, _stated), **dict.fromkeys(_STATES, _variable),
    "reduce_argmax": _arg("max"), "reduce_argmin": _arg("min"),
    "conv": _conv, "conv_transpose": _conv_transpose, "linear": _linear, "matmul": _matmul,
    "einsum": _einsum, "lstm": _recurrent("lstm"), "gru": _recurrent("gru"),
    "rnn": _recurrent("rnn"), "scaled_dot_product_attention": _attention,
    "avg_pool": _pool("average"), "max_pool": _pool("max"), "l2_pool": _pool("l2"),
    "batch_norm": _normalise("batch", "gamma", "beta", "mean", "variance"),
    "instance_norm": _normalise("instance", "gamma", "beta"),
    "layer_norm": _normalise("layer", "gamma", "beta"), "l2_norm": _normalise("l2"),
    "local_response_norm": _normalise("local_response"), "softmax": _softmax,
    "concat": _joined(Kind.CONCAT), "stack": _joined(Kind.STACK), "split": _split,
    "reshape": _reshape, "transpose": _transpose, "squeeze": _axes(Kind.SQUEEZE),
    "expand_dims": _axes(Kind.EXPAND_DIMS), "slice_by_index": _slice_by_index,
    "slice_by_size": _slice_by_size, "slice_update": _slice_update, "gather": _gather,
    "gather_along_axis": _indexed(Kind.GATHER_ELEMENTS),
    "gather_nd": lambda call: Found(
        Kind.GATHER_ND, {"batch_dims": call.integer("batch_dims", 0)},
        [call.index("x"), call.index("indices")]),
    "scatter": _scatter, "scatter_along_axis": _scatter, "scatter_nd": _scatter,
    "pad": _pad, "crop": _crop, "tile": _tile, "upsample_nearest_neighbor": _scaled,
    "upsample_bilinear": _scaled, "resize_nearest_neighbor": _sized, "resize_bilinear": _sized,
    "resize": _resize, "pixel_shuffle": _space(Kind.DEPTH_TO_SPACE, "upscale_factor"),
    "pixel_unshuffle": _space(Kind.SPACE_TO_DEPTH, "downscale_factor"),
    "depth_to_space": _space(Kind.DEPTH_TO_SPACE, "block_size"),
    "space_to_depth": _space(Kind.SPACE_TO_DEPTH, "block_size"),
    "shape": _shape_of, "range_1d": _range, "fill": _fill, "fill_like": _fill_like,
    "one_hot": _one_hot, "topk": _top_k, "argsort": _reverse, "reverse": _reverse,
    "reverse_sequence": _reverse, "cumsum": _axis(Kind.CUMULATIVE), "select": _select,
    "cast": _cast, "identity": _x(Kind.IDENTITY), "non_zero": _by_data,
    "quantize": _quantize(Kind.QUANTIZE), "dequantize": _quantize(Kind.DEQUANTIZE),
}  # fmt: skip
