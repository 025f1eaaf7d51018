"""What the operations of ML programs mean (coremltools' reference of MIL, iOS 15 to 18)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgewise.formats.coreml.operation import Call, Found, Translation, Unknowable
from edgewise.formats.kit import evaluated, integer
from edgewise.graph import Kind

_FIRST = "channels_first"


def _row(kind: Kind, inputs: str = "x", /, **attributes: Any) -> Translation:
    """An operation whose inputs are arguments by their names, `*name` all tensors of one, `**` of
    all; attributes are constants, or functions of the call."""
    names = inputs.split()

    def translate(call: Call) -> Found:
        found = evaluated(attributes, call)
        if inputs == "**":
            return Found(kind, found, call.every())
        if inputs.startswith("*"):
            return Found(kind, found, call.indices(inputs[1:]))
        return Found(kind, found, [call.index(name) for name in names])

    return translate


def _mask(name: str) -> Callable[[Call], int]:
    """Truths of the axes, as bits."""
    return lambda call: sum(1 << at for at, bit in enumerate(call.numbers(name) or ()) if bit)


def _dtype(call: Call) -> str:
    """That of what the operation gives."""
    return call.outputs[0][1]


def _space(kind: Kind, name: str) -> Translation:
    return _row(kind, block=integer(name, 1), layout=_FIRST)


def _arg(function: str) -> Translation:
    return _row(
        Kind.ARG_REDUCE, function=function, axes=lambda call: (call.integer("axis", -1),),
        keep_dims=lambda call: call.flag("keep_dims", True),
    )  # fmt: skip


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
    return Found(Kind.CONV, attributes, [call.index(n) for n in _CONV.split()])


def _conv_transpose(call: Call) -> Found:
    attributes = _window(call) | {"weight_layout": "IO*", "groups": call.integer("groups", 1)}
    if call.given("output_shape"):
        attributes["output_shape"] = call.integers("output_shape")
    return Found(Kind.CONV_TRANSPOSE, attributes, [call.index(n) for n in _CONV.split()])


def _matmul(call: Call) -> Found:
    attributes = {
        ours: True
        for ours, theirs in (("transpose_a", "transpose_x"), ("transpose_b", "transpose_y"))
        if call.flag(theirs)
    }
    return Found(Kind.MATMUL, attributes, [call.index("x"), call.index("y")])


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


def _axes(kind: Kind) -> Translation:
    def translate(call: Call) -> Found:
        axes = call.integers("axes")
        return Found(kind, {"axes": axes} if axes is not None else {}, [call.index("x")])

    return translate


def _split(call: Call) -> Found:
    attributes: dict[str, Any] = {"axis": call.integer("axis", 0)}
    sizes = call.integers("split_sizes")
    if sizes:
        attributes["sizes"] = sizes
    return Found(Kind.SPLIT, attributes, [call.index("x")])


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


def _resize(call: Call) -> Found:
    """Sizes of the last axes, 0 for one that stays."""
    sizes = call.integers("shape")
    if not sizes or 0 in sizes:
        raise Unknowable
    axes = tuple(range(-len(sizes), 0))
    return Found(Kind.RESIZE, {"layout": None, "sizes": sizes, "axes": axes}, [call.index("x")])


def _crop(call: Call) -> Found:
    height, width = (call.integers(f"crop_{side}") or (0, 0) for side in ("height", "width"))
    pads = (-height[0], -height[1], -width[0], -width[1])
    attributes = {"order": "pairs", "pads": pads, "axes": (-2, -1)}
    return Found(Kind.PAD, attributes, [call.index("x")])


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

#: Arguments of a convolution, and of what changes parts of a value.
_CONV, _SCATTERED = "x weight bias", "data indices updates"
_QUANTIZED = "input scale zero_point"

OPERATIONS: Mapping[str, Translation] = {
    **{op: _row(Kind.UNARY, function=op) for op in _UNARY},
    **{op: _row(Kind.BINARY, "x y", function=function) for op, function in _BINARY.items()},
    **{op: _reduce(function) for op, function in _REDUCED.items()},
    **dict.fromkeys(_STATED, _row(Kind.POSTPROCESS, "**")),
    **dict.fromkeys(_STATES, _row(Kind.VARIABLE, "**")),
    **dict.fromkeys(("scatter", "scatter_along_axis", "scatter_nd"),
                    _row(Kind.SCATTER, _SCATTERED)),
    **dict.fromkeys(("argsort", "reverse", "reverse_sequence"), _row(Kind.IDENTITY, exact=False)),
    **dict.fromkeys(("resize_nearest_neighbor", "resize_bilinear"), _row(
        Kind.RESIZE, layout=_FIRST, sizes=lambda call: [
            call.integer("target_size_height", 1), call.integer("target_size_width", 1)])),
    "logical_not": _row(Kind.UNARY, function="not"),
    "prelu": _row(Kind.BINARY, "x alpha", function="prelu"),
    "reduce_argmax": _arg("max"), "reduce_argmin": _arg("min"),
    "conv": _conv, "conv_transpose": _conv_transpose,
    "linear": _row(Kind.MATMUL, _CONV, transpose_b=True), "matmul": _matmul,
    "einsum": _row(Kind.EINSUM, "*values", equation=lambda call: call.text("equation")),
    "lstm": _recurrent("lstm"), "gru": _recurrent("gru"), "rnn": _recurrent("rnn"),
    "scaled_dot_product_attention": _row(
        Kind.ATTENTION, "query key value", heads=None, packed=False),
    "avg_pool": _pool("average"), "max_pool": _pool("max"), "l2_pool": _pool("l2"),
    "batch_norm": _row(Kind.NORMALISE, "x gamma beta mean variance", function="batch"),
    "instance_norm": _row(Kind.NORMALISE, "x gamma beta", function="instance"),
    "layer_norm": _row(Kind.NORMALISE, "x gamma beta", function="layer"),
    "l2_norm": _row(Kind.NORMALISE, function="l2"),
    "local_response_norm": _row(Kind.NORMALISE, function="local_response"),
    "softmax": _row(Kind.SOFTMAX, axis=integer("axis", -1)),
    "concat": _row(Kind.CONCAT, "*values", axis=integer("axis")),
    "stack": _row(Kind.STACK, "*values", axis=integer("axis")), "split": _split,
    "reshape": _row(Kind.RESHAPE, "x shape", zero_copies=True),
    "transpose": _row(Kind.TRANSPOSE, permutation=lambda call: call.integers("perm")),
    "squeeze": _axes(Kind.SQUEEZE), "expand_dims": _axes(Kind.EXPAND_DIMS),
    "slice_by_index": _row(
        Kind.STRIDED_SLICE, "x begin end stride", begin_mask=_mask("begin_mask"),
        end_mask=_mask("end_mask"), shrink_axis_mask=_mask("squeeze_mask")),
    "slice_by_size": _row(Kind.SLICE, "x begin size"),
    "slice_update": _row(Kind.SCATTER, "x update"),
    "gather": _row(
        Kind.GATHER, "x indices", axis=integer("axis"), batch_dims=integer("batch_dims")),
    "gather_along_axis": _row(Kind.GATHER_ELEMENTS, "x indices"),
    "gather_nd": _row(Kind.GATHER_ND, "x indices", batch_dims=integer("batch_dims")),
    "pad": _pad, "crop": _crop, "tile": _row(Kind.TILE, "x reps"),
    "upsample_nearest_neighbor": _scaled, "upsample_bilinear": _scaled, "resize": _resize,
    "pixel_shuffle": _space(Kind.DEPTH_TO_SPACE, "upscale_factor"),
    "pixel_unshuffle": _space(Kind.SPACE_TO_DEPTH, "downscale_factor"),
    "depth_to_space": _space(Kind.DEPTH_TO_SPACE, "block_size"),
    "space_to_depth": _space(Kind.SPACE_TO_DEPTH, "block_size"),
    "shape": _row(Kind.SHAPE), "range_1d": _row(Kind.RANGE, "start end step"),
    "fill": _row(Kind.FILL, "shape value", dtype=_dtype),
    "fill_like": _row(Kind.UNARY, "ref_tensor", function="fill"),
    "one_hot": _row(
        Kind.ONE_HOT, "indices one_hot_vector_size", axis=integer("axis", -1), dtype=_dtype),
    "topk": _row(Kind.TOP_K, "x k", axis=integer("axis", -1)),
    "cumsum": _row(Kind.CUMULATIVE, axis=integer("axis")),
    "select": _row(Kind.WHERE, "cond a b"), "cast": _row(Kind.CAST, dtype=_dtype),
    "identity": _row(Kind.IDENTITY), "non_zero": _row(Kind.DATA_DEPENDENT, "**"),
    "quantize": _row(Kind.QUANTIZE, _QUANTIZED, dtype=_dtype),
    "dequantize": _row(Kind.DEQUANTIZE, _QUANTIZED, dtype=_dtype),
}  # fmt: skip
