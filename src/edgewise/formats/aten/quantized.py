"""PyTorch's quantised operators, whose weights stand packed with their bias."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from edgewise.formats.aten.compute import recurrent
from edgewise.formats.aten.elementwise import ELEMENTWISE
from edgewise.formats.aten.making import scalar_type
from edgewise.formats.aten.recorder import Call, Entry, NotPlain, Ref
from edgewise.formats.building import Meaning, function
from edgewise.graph import Kind


@dataclass(slots=True)
class Packed:
    """Weights packed for a quantised operator: the stored tensors and numbers in them, in order."""

    tensors: list[Ref]
    numbers: list[int] = field(default_factory=list)

    def weight_and_bias(self) -> tuple[Ref, Ref | None]:
        """The weight, and the bias if there is one. Raises NotPlain where neither is clear."""
        ranked = [
            (len(ref.owner.graph.tensors[ref.index].shape or ()), ref) for ref in self.tensors
        ]
        weights = [ref for rank, ref in ranked if rank > 1]
        biases = [ref for rank, ref in ranked if rank == 1]
        if not weights:
            raise NotPlain
        return weights[-1], biases[-1] if biases else None


def _packed(call: Call) -> tuple[Ref, Ref | None]:
    value = call["packed"]
    if not isinstance(value, Packed):
        raise NotPlain
    return value.weight_and_bias()


def _linear(call: Call) -> Any:
    weight, bias = _packed(call)
    attributes: dict[str, Any] = {"transpose_b": True}
    if "relu" in call.op:
        attributes["activation"] = "relu"
    dtype = "float32" if "dynamic" in call.op else "uint8"
    return call.emit(Meaning(Kind.MATMUL, attributes), [call["self"], weight, bias], dtype=dtype)


def _conv(call: Call) -> Any:
    """The window's numbers are packed too: axes, strides, pads, dilations, more pads, groups."""
    weight, bias = _packed(call)
    value = call["packed"]
    shape = weight.owner.graph.tensors[weight.index].shape or ()
    axes = len(shape) - 2
    numbers = value.numbers if isinstance(value, Packed) else []
    if len(numbers) < 4 * axes + 2 or numbers[0] != axes:
        raise NotPlain
    strides, pads, dilations, extra = (
        tuple(numbers[1 + axes * at : 1 + axes * (at + 1)]) for at in range(4)
    )
    groups, transposed = (
        numbers[1 + 4 * axes],
        bool(numbers[2 + 4 * axes : 3 + 4 * axes][0:1] == [1]),
    )
    attributes: dict[str, Any] = {
        "layout": "channels_first", "strides": strides, "pads": (*pads, *pads),
        "dilations": dilations, "groups": groups, "weight_layout": "IO*" if transposed else "OI*",
    }  # fmt: skip
    if "relu" in call.op:
        attributes["activation"] = "relu"
    if transposed:
        attributes["output_padding"] = extra
    kind = Kind.CONV_TRANSPOSE if transposed else Kind.CONV
    dtype = "float32" if "dynamic" in call.op else "uint8"
    return call.emit(Meaning(kind, attributes), [call["self"], weight, bias], dtype=dtype)


def _embedding(call: Call) -> Any:
    weight, _ = _packed(call)
    return call.emit(Meaning(Kind.GATHER, {"axis": 0}), [weight, call["indices"]], dtype="float32")


def _cells(value: Any) -> list[Ref]:
    """The parameters of one layer and direction, weights first."""
    if not isinstance(value, Packed):
        raise NotPlain
    tensors = [(ref.owner.graph.tensors[ref.index], ref) for ref in value.tensors]
    # A bias stands beside its weight and in the list of all: it is the same one.
    apart = {id(tensor.weights): (len(tensor.shape or ()), ref) for tensor, ref in tensors}
    owned = list(apart.values())
    return [ref for rank, ref in owned if rank > 1] + [ref for rank, ref in owned if rank == 1]


def _recurrent(cell: str) -> Callable[[Call], Any]:
    def translate(call: Call) -> Any:
        value = call["params"]
        packs = [value] if isinstance(value, Packed) else call.list("params")
        params = [ref for pack in packs for ref in _cells(pack)]
        if call.flag("batched_apart"):
            raise NotPlain
        y, states, cells = recurrent(
            call, cell, call["input"], params, biases=call.flag("has_biases", True),
            directions=2 if call.flag("bidirectional") else 1,
            batch_first=call.flag("batch_first"),
        )  # fmt: skip

        def joined(parts: list[Any]) -> Any:
            one = len(parts) == 1
            return parts[0] if one else call.emit(Meaning(Kind.CONCAT, {"axis": 0}), parts)

        return (y, joined(states), joined(cells)) if cell == "lstm" else (y, joined(states))

    return translate


def _binary(name: str) -> Entry:
    def translate(call: Call) -> Any:
        activation = {"activation": "relu"} if call.op.endswith("relu") else {}
        values = [v for v in (call["self"], call["other"]) if isinstance(v, Ref)]
        return call.emit(function(Kind.BINARY, name, **activation), values)

    return "self other scale zero_point", translate


def _cat(call: Call) -> Any:
    return call.emit(Meaning(Kind.CONCAT, {"axis": call.integer("dim")}), call.list("tensors"))


def _unary(name: str) -> Entry:
    return "self", lambda call: call.emit(function(Kind.UNARY, name), [call["self"]])


def _quantize(call: Call) -> Any:
    dtype = scalar_type(call["dtype"]) or "int8"
    scales = [v for v in (call["scale"], call["zero_point"]) if isinstance(v, Ref)]
    return call.emit(Meaning(Kind.QUANTIZE, {"dtype": dtype}), [call["self"], *scales], dtype=dtype)


def _dequantize(call: Call) -> Any:
    scales = [v for v in (call["scale"], call["zero_point"]) if isinstance(v, Ref)]
    return call.emit(Meaning(Kind.DEQUANTIZE), [call["self"], *scales], dtype="float32")


def _parameters(call: Call) -> Any:
    """Scale and zero point, found while it runs."""
    return call.emit(Meaning(Kind.POSTPROCESS), [call["self"]], 2)


_DYNAMIC_RNN = (
    "input hx params has_biases num_layers dropout train bidirectional batch_first dtype "
    "use_dynamic"
)
_DECOMPOSED = "self scale zero_point quant_min quant_max dtype"
_PER_CHANNEL = "self scale zero_point axis quant_min quant_max dtype"
_AFFINE = "self block_size scale zero_point input_dtype quant_min quant_max"

QUANTIZED: dict[str, Entry] = {
    **dict.fromkeys(
        (f"quantized::linear{end}" for end in (
            "", "_relu", "_dynamic", "_relu_dynamic", "_dynamic_fp16", "_relu_dynamic_fp16",
            "_leaky_relu", "_tanh")), ("self packed scale zero_point", _linear)),
    **dict.fromkeys(
        (f"quantized::conv{d}{end}" for d in ("1d", "2d", "3d", "_transpose1d", "_transpose2d",
                                              "_transpose3d")
         for end in ("", "_relu", "_dynamic", "_add", "_add_relu")),
        ("self packed scale zero_point", _conv)),
    **dict.fromkeys(
        ("quantized::embedding_byte", "quantized::embedding_4bit", "quantized::embedding_2bit"),
        ("packed indices", _embedding)),
    "quantized_lstm": (_DYNAMIC_RNN, _recurrent("lstm")),
    "quantized_gru": (_DYNAMIC_RNN, _recurrent("gru")),
    **{f"quantized::{op}": _binary(op.split("_")[0]) for op in (
        "add", "add_relu", "add_out", "add_relu_out", "mul", "mul_relu", "mul_out", "add_scalar",
        "add_scalar_relu", "mul_scalar", "mul_scalar_relu", "matmul_", "cat_", "sub")},
    "quantized::cat": ("tensors dim scale zero_point", _cat),
    "quantized::cat_relu": ("tensors dim scale zero_point", _cat),
    "quantized::matmul": (
        "self other scale zero_point",
        lambda call: call.emit(Meaning(Kind.MATMUL), [call["self"], call["other"]])),
    **{f"quantized::{op}": _unary(op) for op in (
        "hardswish", "leaky_relu", "sigmoid", "elu", "celu", "relu6", "tanh", "prelu", "dropout",
        "softmax")},
    **{f"quantized::batch_norm{end}": ELEMENTWISE["batch_norm"]
       for end in ("", "1d", "2d", "3d", "_relu", "2d_relu", "3d_relu")},
    **{f"quantized::{op}": ELEMENTWISE[op] for op in ("layer_norm", "group_norm", "instance_norm")},
    "quantize_per_tensor": ("self scale zero_point dtype", _quantize),
    "quantize_per_channel": ("self scale zero_point axis dtype", _quantize),
    "quantize_per_tensor_dynamic": ("self dtype reduce_range", _quantize),
    "dequantize": ("self", _dequantize), "int_repr": ("self", _dequantize),
    **{f"quantized_decomposed::{op}": (parameters, does) for parameters, ops in (
        (_DECOMPOSED, ("per_tensor", "per_token")), (_PER_CHANNEL, ("per_channel",)),
        ("self scale zero_point quant_min quant_max dtype group_size", ("per_channel_group",)))
       for kind in ops for op, does in (
           (f"quantize_{kind}", _quantize), (f"dequantize_{kind}", _dequantize))},
    **dict.fromkeys(
        ("quantized_decomposed::choose_qparams", "torchao::choose_qparams_affine",
         "quantized_decomposed::choose_qparams_per_token_asymmetric",
         "quantized_decomposed::_choose_qparams_per_token_asymmetric_impl",
         "quantized_decomposed::choose_qparams_per_token"), ("self", _parameters)),
    "torchao::quantize_affine": (_AFFINE, _quantize),
    "torchao::dequantize_affine": (_AFFINE, _dequantize),
    "fake_quantize_per_tensor_affine": ("self", _quantize),
    "fake_quantize_per_channel_affine": ("self", _quantize),
    "quantized_decomposed::embedding_byte": (
        "weight scale zero_point qmin qmax indices",
        lambda call: call.emit(
            Meaning(Kind.GATHER, {"axis": 0}), [call["weight"], call["indices"]], dtype="float32")),
    "quantized_decomposed::embedding_4bit": (
        "weight scale zero_point qmin qmax indices",
        lambda call: call.emit(
            Meaning(Kind.GATHER, {"axis": 0}), [call["weight"], call["indices"]], dtype="float32")),
}  # fmt: skip
