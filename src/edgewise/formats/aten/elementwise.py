"""Operators element by element, reductions, pools, normalisations."""

from __future__ import annotations

from typing import Any

from edgewise.formats.aten.recorder import Call, Entry, NotPlain, Ref, row
from edgewise.formats.building import Meaning, function
from edgewise.graph import Kind


def _unary(name: str) -> Entry:
    def translate(call: Call) -> Any:
        x = call["self"]
        kind = x.kind if isinstance(x, Ref) else "tensor"
        return call.emit(function(Kind.UNARY, name), [x], kind=kind)

    return "self", translate


def _binary(name: str, dtype: str | None = None) -> Entry:
    def translate(call: Call) -> Any:
        values = [call["self"], call["other"]]
        refs = [value for value in values if isinstance(value, Ref)]
        numbers = bool(refs) and all(ref.kind != "tensor" for ref in refs)
        kind = ("bool" if dtype == "bool" else refs[0].kind) if numbers else "tensor"
        # A number beside a tensor changes nothing that is counted.
        inputs = values if numbers else refs
        stored = [call.recorder.seen(r).weights is not None for r in refs]
        if len(refs) == 2 and stored == [True, False] and name in ("add", "mul"):
            inputs = inputs[::-1]
        found = call.recorder.seen(refs[0]).dtype if refs else None
        if len(refs) == 2 and stored[0] and not stored[1]:
            found = call.recorder.seen(refs[1]).dtype
        return call.emit(function(Kind.BINARY, name), inputs, dtype=dtype or found, kind=kind)

    return "self other alpha", translate


def _reduce(name: str, *, dtype: str | None = None) -> Entry:
    def translate(call: Call) -> Any:
        attributes: dict[str, Any] = {"function": name, "keep_dims": call.flag("keepdim")}
        try:
            axes = call.integers("dim") if call.given("dim") else ()
        except NotPlain:
            return call.unknown()
        if isinstance(call["dim"], bool):  # var(x, unbiased)
            axes, attributes["keep_dims"] = (), False
        if axes:
            attributes["axes"] = axes
        return call.emit(Meaning(Kind.REDUCE, attributes), [call["self"]], dtype=dtype)

    return "self dim keepdim dtype", translate


def _extreme(name: str) -> Entry:
    """max and min: of all, along an axis with the places (two outputs), or of two tensors."""

    def translate(call: Call) -> Any:
        dim = call["dim"]
        if isinstance(dim, Ref) and dim.kind == "tensor":
            return call.emit(function(Kind.BINARY, name), [call["self"], dim])
        attributes: dict[str, Any] = {"function": name, "keep_dims": call.flag("keepdim")}
        if dim is None:
            if call.outputs == 2:
                return call.unknown()
            return call.emit(Meaning(Kind.REDUCE, attributes), [call["self"]])
        attributes["axes"] = call.integers("dim")
        values = call.emit(Meaning(Kind.REDUCE, attributes), [call["self"]])
        places = call.emit(Meaning(Kind.ARG_REDUCE, attributes), [call["self"]], dtype="int64")
        return values, places

    return "self dim keepdim", translate


def _arg(name: str) -> Entry:
    def translate(call: Call) -> Any:
        attributes: dict[str, Any] = {"function": name, "keep_dims": call.flag("keepdim")}
        if call.given("dim"):
            attributes["axes"] = (call.integer("dim"),)
        return call.emit(Meaning(Kind.ARG_REDUCE, attributes), [call["self"]], dtype="int64")

    return "self dim keepdim", translate


def _var_mean(call: Call) -> Any:
    attributes: dict[str, Any] = {"keep_dims": call.flag("keepdim")}
    if call.given("dim") and not isinstance(call["dim"], bool):
        attributes["axes"] = call.integers("dim")
    made = [
        call.emit(Meaning(Kind.REDUCE, {"function": name, **attributes}), [call["self"]])
        for name in ("var", "mean")
    ]
    return made[0], made[1]


def _normalise(name: str, parameters: str, takes: str, outputs: int = 1) -> Entry:
    """A normalisation whose inputs are the parameters named in `takes`."""

    def translate(call: Call) -> Any:
        made = call.emit(function(Kind.NORMALISE, name), [call[part] for part in takes.split()])
        # The further outputs are statistics, which nothing reads at inference.
        return made if outputs == 1 else (made, *[None] * (outputs - 1))

    return parameters, translate


def _pool(name: str, parameters: str, outputs: int = 1) -> Entry:
    def translate(call: Call) -> Any:
        kernel = call.integers("kernel_size")
        padding = call.integers("padding", (0,))
        padding = padding * len(kernel) if len(padding) == 1 else padding
        pads = (*padding, *padding)
        meaning = Meaning(Kind.POOL, {
            "function": name, "kernel": kernel, "strides": call.integers("stride") or kernel,
            "dilations": call.integers("dilation", (1,)), "pads": pads,
            "layout": "channels_first", "ceil_mode": call.flag("ceil_mode"),
        })  # fmt: skip
        return call.emit(meaning, [call["self"]], outputs)

    return parameters, translate


def _adaptive(name: str, outputs: int = 1) -> Entry:
    def translate(call: Call) -> Any:
        value = call.plain("output_size", ())
        sizes = tuple(value) if isinstance(value, (list, tuple)) else (value,)
        if not all(size is None or isinstance(size, int) for size in sizes):
            raise NotPlain
        if all(size == 1 for size in sizes) and outputs == 1:
            meaning = function(Kind.GLOBAL_POOL, name, layout="channels_first")
        else:
            meaning = function(Kind.POOL, name, output_size=sizes, layout="channels_first")
        return call.emit(meaning, [call["self"]], outputs)

    return "self output_size", translate


def _where(call: Call) -> Any:
    if not call.given("self"):
        return call.emit(Meaning(Kind.DATA_DEPENDENT), [call["condition"]], call.outputs or 1)
    values = [call["self"], call["other"]]
    dtypes = [call.recorder.seen(v).dtype for v in values if isinstance(v, Ref)]
    numbers = [v if isinstance(v, Ref) else call.recorder.ref(call.recorder.constant(v, "float32"))
               for v in values]  # fmt: skip
    dtype = dtypes[0] if dtypes else "float32"
    return call.emit(Meaning(Kind.WHERE), [call["condition"], *numbers], dtype=dtype)


def _lerp(call: Call) -> Any:
    values = [v for v in (call["self"], call["other"], call["third"]) if isinstance(v, Ref)]
    return call.emit(function(Kind.BINARY, call.op), values)


def _glu(call: Call) -> Any:
    """The half of an axis times the sigmoid of the other half."""
    dim = call.integer("dim", -1)
    first, second = call.emit(Meaning(Kind.SPLIT, {"axis": dim}), [call["self"]], 2)
    gate = call.emit(function(Kind.UNARY, "sigmoid"), [second])
    return call.emit(function(Kind.BINARY, "mul"), [first, gate])


_UNARY = (
    "abs", "acos", "acosh", "asin", "asinh", "atan", "atanh", "bitwise_not", "ceil", "celu",
    "cos", "cosh", "digamma", "elu", "erf", "erfc", "erfinv", "exp", "exp2", "expm1", "fix",
    "floor", "frac", "gelu", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu",
    "lgamma", "log", "log10", "log1p", "log2", "log_sigmoid", "logit", "mish", "nan_to_num",
    "neg", "negative", "positive", "rad2deg", "deg2rad", "reciprocal", "relu", "relu6", "round",
    "rrelu", "rsqrt", "selu", "sgn", "sigmoid", "sign", "signbit", "silu", "sin", "sinc",
    "sinh", "softplus", "softshrink", "softsign", "special_expit", "square", "sqrt", "swish",
    "tan", "tanh", "tanhshrink", "threshold", "trunc", "clamp", "clamp_min", "clamp_max",
    "clip", "isnan", "isinf", "isfinite", "logical_not", "hardmax", "dropout",
    "feature_dropout", "alpha_dropout", "native_dropout", "bernoulli",
)  # fmt: skip
_NOT_ARITHMETIC = ("dropout", "feature_dropout", "alpha_dropout")
_BINARY = {
    "add": "add", "sub": "sub", "subtract": "sub", "rsub": "sub", "mul": "mul", "multiply": "mul",
    "div": "div", "divide": "div", "true_divide": "div", "floordiv": "floor_div",
    "floor_divide": "floor_div", "remainder": "mod", "fmod": "mod", "pow": "pow",
    "maximum": "max", "minimum": "min", "fmax": "max", "fmin": "min", "atan2": "atan2",
    "bitwise_and": "bitwise_and", "bitwise_or": "bitwise_or", "bitwise_xor": "bitwise_xor",
    "bitwise_left_shift": "shift", "bitwise_right_shift": "shift", "hypot": "hypot",
    "logaddexp": "logaddexp", "xlogy": "xlogy", "__lshift__": "shift", "__rshift__": "shift",
    "copysign": "copysign", "special_xlogy": "xlogy",
}  # fmt: skip
_COMPARED = {
    "eq": "equal", "ne": "not_equal", "lt": "less", "le": "less_equal", "gt": "greater",
    "ge": "greater_equal", "greater": "greater", "less": "less", "not_equal": "not_equal",
    "greater_equal": "greater_equal", "less_equal": "less_equal", "logical_and": "and",
    "logical_or": "or", "logical_xor": "xor", "__and__": "and", "__or__": "or", "__xor__": "xor",
}  # fmt: skip
_REDUCED = {
    "mean": "mean", "sum": "sum", "prod": "prod", "amax": "max", "amin": "min", "all": "all",
    "any": "any", "var": "var", "std": "std", "logsumexp": "log_sum_exp", "nansum": "sum",
    "norm": "l2",
}  # fmt: skip
_MAX_POOL = "self kernel_size stride padding dilation ceil_mode"
_AVG_POOL = "self kernel_size stride padding ceil_mode count_include_pad divisor_override"
_BATCH_NORM = "input weight bias running_mean running_var training momentum eps cudnn_enabled"
_FUSED_NORM = "input weight bias running_mean running_var momentum eps"
_STATISTICS = "input weight bias running_mean running_var"
_AFFINE = "input weight bias"

ELEMENTWISE: dict[str, Entry] = {
    **{name: _unary(name) for name in _UNARY if name not in _NOT_ARITHMETIC},
    **{op: _binary(name) for op, name in _BINARY.items()},
    **{op: _binary(name, "bool") for op, name in _COMPARED.items()},
    **{op: _reduce(name) for op, name in _REDUCED.items()},
    "norm": ("self p dim keepdim dtype", _reduce("l2")[1]),
    "linalg_vector_norm": ("self ord dim keepdim dtype", _reduce("l2")[1]),
    "linalg_norm": ("self ord dim keepdim dtype", _reduce("l2")[1]),
    "frobenius_norm": _reduce("l2"),
    "var": ("self dim unbiased keepdim", _reduce("var")[1]),
    "std": ("self dim unbiased keepdim", _reduce("std")[1]),
    "var_mean": ("self dim correction keepdim", _var_mean),
    "std_mean": ("self dim correction keepdim", _var_mean),
    "max": _extreme("max"), "min": _extreme("min"), "median": _extreme("median"),
    "mode": _extreme("mode"),
    "argmax": _arg("max"), "argmin": _arg("min"), "count_nonzero": _reduce("sum", dtype="int64"),
    **{name: row("self dim dtype", Kind.SOFTMAX, axis=lambda call: call.integer("dim", -1), log=log)
       for log, names in (
           (False, ("softmax", "_softmax", "_safe_softmax", "softmin", "special_softmax")),
           (True, ("log_softmax", "_log_softmax", "special_log_softmax"))) for name in names},
    **{f"max_pool{axes}d": _pool("max", _MAX_POOL) for axes in (1, 2, 3)},
    **{f"max_pool{axes}d_with_indices": _pool("max", _MAX_POOL, 2) for axes in (1, 2, 3)},
    "quantized_max_pool2d": _pool("max", _MAX_POOL),
    **{f"avg_pool{axes}d": _pool("average", _AVG_POOL) for axes in (1, 2, 3)},
    **{f"{start}adaptive_avg_pool{axes}d": _adaptive("average")
       for start, axes in (("", 1), ("", 2), ("", 3), ("_", 2), ("_", 3))},
    **{f"adaptive_max_pool{axes}d": _adaptive("max", 2) for axes in (1, 2, 3)},
    "batch_norm": _normalise("batch", _BATCH_NORM, _STATISTICS),
    "_native_batch_norm_legit_no_training": _normalise("batch", _FUSED_NORM, _STATISTICS, 3),
    "_native_batch_norm_legit": _normalise("batch", _BATCH_NORM, _STATISTICS, 3),
    "native_batch_norm": _normalise("batch", _BATCH_NORM, _STATISTICS, 3),
    "cudnn_batch_norm": _normalise("batch", _BATCH_NORM, _STATISTICS, 4),
    "_batch_norm_impl_index": _normalise("batch", _BATCH_NORM, _STATISTICS, 5),
    "layer_norm": _normalise("layer", "input normalized_shape weight bias eps", _AFFINE),
    "native_layer_norm": _normalise(
        "layer", "input normalized_shape weight bias eps", _AFFINE, 3),
    "rms_norm": _normalise("rms", "input normalized_shape weight eps", "input weight"),
    "_fused_rms_norm": _normalise("rms", "input normalized_shape weight eps", "input weight", 2),
    "group_norm": _normalise("group", "input num_groups weight bias eps", _AFFINE),
    "native_group_norm": _normalise(
        "group", "input weight bias N C HxW group eps", _AFFINE, 3),
    "instance_norm": _normalise("instance", _BATCH_NORM, _STATISTICS),
    "local_response_norm": _normalise("local_response", "input size", "input"),
    "where": ("condition self other", _where), "masked_fill": row(
        "self mask value", Kind.BINARY, "self mask", function="masked_fill"),
    **dict.fromkeys(("lerp", "addcmul", "addcdiv"), ("self other third", _lerp)),
    **dict.fromkeys(("prelu", "_prelu_kernel"),
                    row("self weight", Kind.BINARY, "self weight", function="prelu")),
    **dict.fromkeys(("cumsum", "cumprod", "logcumsumexp"), row("self dim", Kind.CUMULATIVE)),
    "glu": ("self dim", _glu),
}  # fmt: skip
