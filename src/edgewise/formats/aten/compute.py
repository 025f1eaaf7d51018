"""Operators that multiply and accumulate: convolutions, products, recurrent cells, attention."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from edgewise.formats.aten.recorder import Call, Entry, NotPlain, Ref, row
from edgewise.formats.building import Meaning, function
from edgewise.graph import Kind


def _window(call: Call, axes: int) -> dict[str, Any]:
    def full(name: str, default: int) -> tuple[int, ...]:
        values = call.integers(name, (default,))
        return values * axes if len(values) == 1 else values

    attributes: dict[str, Any] = {
        "layout": "channels_first", "strides": full("stride", 1), "dilations": full("dilation", 1),
        "groups": call.integer("groups", 1),
    }  # fmt: skip
    if isinstance(call["padding"], str):
        attributes["pads"] = "same" if call["padding"] == "same" else "valid"
    else:
        padding = full("padding", 0)
        attributes["pads"] = (*padding, *padding)
    return attributes


def convolution(call: Call, *, transposed: bool) -> Any:
    """A convolution whose weight is stored, or at least of a known rank."""
    weight = call.shape("weight")
    axes = len(weight) - 2 if weight else len(call.integers("stride", (1, 1)))
    attributes = _window(call, axes)
    inputs = [call[name] for name in ("input", "weight", "bias")]
    if not transposed:
        return call.emit(Meaning(Kind.CONV, {**attributes, "weight_layout": "OI*"}), inputs)
    padding = call.integers("output_padding", (0,))
    attributes |= {
        "weight_layout": "IO*", "output_padding": padding * axes if len(padding) == 1 else padding,
    }  # fmt: skip
    return call.emit(Meaning(Kind.CONV_TRANSPOSE, attributes), inputs)


def _convolution(call: Call) -> Any:
    return convolution(call, transposed=call.flag("transposed"))


def linear(call: Call) -> Any:
    """x by a weight (O, I), transposed, plus a bias."""
    parts = [call["input"], call["weight"], call["bias"]]
    return call.emit(Meaning(Kind.MATMUL, {"transpose_b": True}), parts)


def _einsum(call: Call) -> Any:
    return call.emit(
        Meaning(Kind.EINSUM, {"equation": call.plain("equation")}), call.list("tensors")
    )


def _bilinear(call: Call) -> Any:
    first = call.emit(
        Meaning(Kind.EINSUM, {"equation": "...i,oij,...j->...o"}),
        [call["input1"], call["weight"], call["input2"]],
    )
    if not call.given("bias"):
        return first
    return call.emit(function(Kind.BINARY, "add"), [first, call["bias"]])


def _attention(call: Call) -> Any:
    outputs = 1 if call.op.startswith("scaled_dot") else max(call.outputs or 2, 2)
    meaning = Meaning(Kind.ATTENTION, {"heads": None, "packed": False})
    made = call.emit(meaning, [call["query"], call["key"], call["value"]])
    return made if outputs == 1 else (made, *[None] * (outputs - 1))


def _multi_head(call: Call) -> Any:
    """The projection of all three, attention, the projection of its output."""
    heads = call.integer("num_heads")
    attended = _self_attention(call, call["query"], heads)
    return attended, None


def _self_attention(call: Call, x: Any, heads: int) -> Ref:
    def projected(value: Any, weight: str, bias: str) -> Any:
        meaning = Meaning(Kind.MATMUL, {"transpose_b": True})
        return call.emit(meaning, [value, call[weight], call[bias]])

    joined = projected(x, "qkv_weight", "qkv_bias")
    attributes = {"heads": heads, "packed": True, "joined": True}
    attended = call.emit(Meaning(Kind.ATTENTION, attributes), [joined])
    made: Ref = projected(attended, "proj_weight", "proj_bias")
    return made


def _encoder_layer(call: Call) -> Any:
    """A whole layer of a transformer's encoder, as PyTorch's fast path has it."""
    x = call["src"]
    first = call.flag("norm_first")

    def norm(value: Any, number: int) -> Any:
        parts = [call[f"norm_weight_{number}"], call[f"norm_bias_{number}"]]
        return call.emit(function(Kind.NORMALISE, "layer"), [value, *parts])

    def dense(value: Any, number: int) -> Any:
        parts = [call[f"ffn_weight_{number}"], call[f"ffn_bias_{number}"]]
        return call.emit(Meaning(Kind.MATMUL, {"transpose_b": True}), [value, *parts])

    def added(one: Any, other: Any) -> Any:
        return call.emit(function(Kind.BINARY, "add"), [one, other])

    attended = _self_attention(call, norm(x, 1) if first else x, call.integer("num_heads"))
    x = added(x, attended)
    x = x if first else norm(x, 1)
    hidden = dense(norm(x, 2) if first else x, 1)
    active = call.emit(function(Kind.UNARY, "gelu" if call.flag("use_gelu") else "relu"), [hidden])
    x = added(x, dense(active, 2))
    return x if first else norm(x, 2)


def recurrent(
    call: Call, cell: str, x: Any, params: list[Any], *, biases: bool, directions: int,
    batch_first: bool, projected: bool = False,
) -> tuple[Any, list[Any], list[Any]]:  # fmt: skip
    """Layers of a recurrent network: (sequence, states, cells), the states one per layer."""
    per = (2 + 2 * biases + projected) * directions
    if not params or len(params) % per:
        raise NotPlain
    states, cells = [], []
    for at in range(0, len(params), per):
        part = params[at : at + per]
        hidden_weight = part[1]
        if not isinstance(hidden_weight, Ref):
            raise NotPlain
        shape = call.recorder.seen(hidden_weight).shape
        if not shape or not all(isinstance(size, int) for size in shape):
            raise NotPlain
        gates = {"lstm": 4, "gru": 3, "rnn": 1}[cell]
        rows = shape[0]
        attributes: dict[str, Any] = {
            "cell": cell, "hidden": int(rows) // gates if isinstance(rows, int) else None,
            "directions": directions, "time_axis": 1 if batch_first else 0,
            "batch_axis": 0 if batch_first else 1,
            "outputs": ("sequence", "layer_state", "layer_cell")[: 3 if cell == "lstm" else 2],
        }  # fmt: skip
        if projected:
            attributes["projection"] = int(shape[1]) if isinstance(shape[1], int) else None
        made = call.emit(
            Meaning(Kind.RECURRENT, attributes), [x, *part], 3 if cell == "lstm" else 2
        )
        x = made[0]
        states.append(made[1])
        cells += made[2:]
    return x, states, cells


def _joined(call: Call, parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else call.emit(Meaning(Kind.CONCAT, {"axis": 0}), parts)


def _recurrent(cell: str) -> Callable[[Call], Any]:
    def translate(call: Call) -> Any:
        params = call.list("params")
        packed = not isinstance(call["has_biases"], bool)
        if packed:  # (data, batch_sizes, hx, params, …): sequences of several lengths
            raise NotPlain
        hx = call.list("hx") if cell == "lstm" else []
        projected = len(hx) == 2 and len(params) % 5 == 0 and len(params) % 4 != 0
        y, states, cells = recurrent(
            call, cell, call["input"], params, biases=call.flag("has_biases", True),
            directions=2 if call.flag("bidirectional") else 1,
            batch_first=call.flag("batch_first"), projected=projected,
        )  # fmt: skip
        if cell == "lstm":
            return y, _joined(call, states), _joined(call, cells)
        return y, _joined(call, states)

    return translate


def _cell(cell: str) -> Callable[[Call], Any]:
    def translate(call: Call) -> Any:
        shape = call.shape("w_hh")
        if shape is None:
            raise NotPlain
        outputs = 2 if cell == "lstm" else 1
        attributes = {
            "cell": cell, "hidden": shape[1], "time_axis": None, "batch_axis": None,
            "outputs": ("state", "cell")[:outputs],
        }  # fmt: skip
        parts = [call[name] for name in ("input", "w_ih", "w_hh", "b_ih", "b_hh")]
        return call.emit(Meaning(Kind.RECURRENT, attributes), parts, outputs)

    return translate


_CONVOLUTION = partial(convolution, transposed=False)
_CONV = "input weight bias stride padding dilation groups"
_CONV_T = "input weight bias stride padding output_padding groups dilation"
_ANY_CONV = (
    "input weight bias stride padding dilation transposed output_padding groups "
    "benchmark deterministic cudnn_enabled allow_tf32"
)
_RNN = "input hx params has_biases num_layers dropout train bidirectional batch_first"
_SDPA = "query key value attn_mask dropout_p is_causal scale enable_gqa"
_MHA = (
    "query key value embed_dim num_heads qkv_weight qkv_bias proj_weight proj_bias mask "
    "need_weights average_attn_weights mask_type"
)
_ENCODER = (
    "src embed_dim num_heads qkv_weight qkv_bias proj_weight proj_bias use_gelu norm_first eps "
    "norm_weight_1 norm_bias_1 norm_weight_2 norm_bias_2 ffn_weight_1 ffn_bias_1 ffn_weight_2 "
    "ffn_bias_2 mask mask_type"
)

COMPUTE: dict[str, Entry] = {
    **dict.fromkeys(("conv1d", "conv2d", "conv3d"), (_CONV, _CONVOLUTION)),
    **dict.fromkeys(
        ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d"),
        (_CONV_T, partial(convolution, transposed=True))),
    "convolution": (_ANY_CONV, _convolution), "_convolution": (_ANY_CONV, _convolution),
    "convolution_overrideable": (_ANY_CONV, _convolution),
    "_convolution_mode": (_CONV, _CONVOLUTION),
    "thnn_conv2d": ("input weight kernel_size bias stride padding", _CONVOLUTION),
    "_slow_conv2d_forward": ("input weight kernel_size bias stride padding", _CONVOLUTION),
    "slow_conv3d": ("input weight kernel_size bias stride padding", _CONVOLUTION),
    **dict.fromkeys(
        ("mkldnn_convolution", "_conv_depthwise2d"),
        ("input weight bias padding stride dilation groups", _CONVOLUTION)),
    "linear": ("input weight bias", linear), "mkldnn_linear": ("input weight bias", linear),
    **dict.fromkeys(("matmul", "mm", "bmm", "mv", "linalg_matmul"),
                    row("self other", Kind.MATMUL, "self other")),
    **dict.fromkeys(("addmm", "baddbmm", "addmv", "_addmm_activation"),
                    row("self a b", Kind.MATMUL, "a b self")),
    **dict.fromkeys(("outer", "ger"),
                    row("self other", Kind.EINSUM, "self other", equation="i,j->ij")),
    **dict.fromkeys(("dot", "vdot", "inner"),
                    row("self other", Kind.EINSUM, "self other", equation="i,i->")),
    "einsum": ("equation tensors", _einsum), "bilinear": ("input1 input2 weight bias", _bilinear),
    "_cdist_forward": row("self other p mode", Kind.MATMUL, "self other", transpose_b=True),
    "cdist": row("self other p", Kind.MATMUL, "self other", transpose_b=True),
    **dict.fromkeys(
        ("scaled_dot_product_attention", "_scaled_dot_product_flash_attention",
         "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_attention_math",
         "_scaled_dot_product_efficient_attention"), (_SDPA, _attention)),
    "_native_multi_head_attention": (_MHA, _multi_head),
    "_transformer_encoder_layer_fwd": (_ENCODER, _encoder_layer),
    "lstm": (_RNN, _recurrent("lstm")), "gru": (_RNN, _recurrent("gru")),
    "rnn_tanh": (_RNN, _recurrent("rnn")), "rnn_relu": (_RNN, _recurrent("rnn")),
    "lstm_cell": ("input hx w_ih w_hh b_ih b_hh", _cell("lstm")),
    "gru_cell": ("input hx w_ih w_hh b_ih b_hh", _cell("gru")),
    "rnn_tanh_cell": ("input hx w_ih w_hh b_ih b_hh", _cell("rnn")),
    "rnn_relu_cell": ("input hx w_ih w_hh b_ih b_hh", _cell("rnn")),
    "torchvision::deform_conv2d": (
        "input weight offset mask bias stride_h stride_w pad_h pad_w dilation_h dilation_w groups",
        lambda call: _deformable(call)),
}  # fmt: skip


def _deformable(call: Call) -> Any:
    pads = (call.integer("pad_h"), call.integer("pad_w"))
    meaning = Meaning(Kind.CONV, {
        "layout": "channels_first", "weight_layout": "OI*", "groups": call.integer("groups", 1),
        "strides": (call.integer("stride_h", 1), call.integer("stride_w", 1)),
        "dilations": (call.integer("dilation_h", 1), call.integer("dilation_w", 1)),
        "pads": (*pads, *pads),
    })  # fmt: skip
    return call.emit(meaning, [call["input"], call["weight"], call["bias"]])
