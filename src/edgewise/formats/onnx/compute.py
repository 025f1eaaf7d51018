"""What ONNX's convolutions, products, recurrent cells, attention, pooling and normalisation mean.

Attributes and their defaults are those of the operators' schemas
(https://onnx.ai/onnx/operators), in every version up to opset 28.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.kit import Meaning, function, stated
from edgewise.formats.onnx.operator import Operator, Translation
from edgewise.graph import Kind

_AUTO_PADS = {"SAME_UPPER": "same", "SAME_LOWER": "same_lower", "VALID": "valid"}
_FIRST, _LAST = "channels_first", "channels_last"
_WORD_OF_DIRECTION = {"forward": 1, "reverse": 1, "bidirectional": 2}


def pads(operator: Operator) -> str | tuple[int, ...]:
    """Padding of a window: a rule's name, or explicit (begin…, end…)."""
    rule = operator.text("auto_pad", "NOTSET")
    if rule in _AUTO_PADS:
        return _AUTO_PADS[rule]
    return operator.integers("pads") or "valid"


def layout(operator: Operator) -> str:
    """Channels come first, but for ONNX Runtime's operators that say otherwise."""
    return _LAST if operator.flag("channels_last") else _FIRST


def fused(operator: Operator) -> dict[str, str]:
    """The attribute `activation` of fused operators, in common words."""
    name = operator.text("activation").lower()
    return {"activation": name} if name and name != "none" else {}


def conv(*order: int | None, layout_of: Callable[[Operator], str] = layout) -> Translation:
    """A convolution whose x, weight and bias stand at these positions."""

    def translate(operator: Operator) -> Meaning:
        attributes = stated(
            strides=operator.integers("strides"), dilations=operator.integers("dilations")
        )
        attributes |= {
            "layout": layout_of(operator), "weight_layout": "OI*", "pads": pads(operator),
            "groups": operator.integer("group", 1), **fused(operator),
        }  # fmt: skip
        return Meaning(Kind.CONV, attributes, order)

    return translate


def conv_transpose(*order: int | None) -> Translation:
    """A transposed convolution whose x, weight and bias stand at these positions."""

    def translate(operator: Operator) -> Meaning:
        attributes = stated(
            strides=operator.integers("strides"), dilations=operator.integers("dilations"),
            output_padding=operator.integers("output_padding"),
            output_shape=operator.integers("output_shape"),
        )  # fmt: skip
        attributes |= {
            "layout": _FIRST, "weight_layout": "IO*", "pads": pads(operator),
            "groups": operator.integer("group", 1), **fused(operator),
        }  # fmt: skip
        # The input after the bias is TFLite's output_shape, which ONNX has not.
        return Meaning(Kind.CONV_TRANSPOSE, attributes, (*order, None))

    return translate


def causal_conv(operator: Operator) -> Meaning:
    """A depthwise convolution over time that sees the past only; its state replaces padding."""
    weight = operator.shape(1)
    if weight is None or len(weight) != 3 or operator.flag("channels_last"):
        return Meaning(Kind.UNKNOWN)
    dilation = operator.integer("dilation", 1) or 1
    return Meaning(Kind.CONV, {
        "layout": _FIRST, "weight_layout": "OI*", "strides": (1,), "dilations": (dilation,),
        "pads": ((weight[2] - 1) * dilation, 0), "groups": weight[0], **fused(operator),
    })  # fmt: skip


def matmul(*order: int | None) -> Translation:
    """A matrix product whose factors and bias stand at these positions."""

    def translate(operator: Operator) -> Meaning:
        if operator.flag("transBatchA") or operator.flag("transBatchB"):
            return Meaning(Kind.UNKNOWN)
        attributes: dict[str, Any] = dict(fused(operator))
        for mine, theirs in (("transpose_a", "transA"), ("transpose_b", "transB")):
            if operator.flag(theirs):
                attributes[mine] = True
        if operator.op == "Gemm":
            attributes["unidirectional"] = True
        return Meaning(Kind.MATMUL, attributes, order)

    return translate


def einsum(operator: Operator) -> Meaning:
    """Einsum's equation."""
    return Meaning(Kind.EINSUM, {"equation": operator.text("equation")})


def recurrent(cell: str, size_axis: int = 2) -> Translation:
    """LSTM, GRU and RNN, whose kernels hold one matrix per direction.

    `size_axis` is the axis of the first kernel along which the input's features lie.
    """

    def translate(operator: Operator) -> Meaning:
        word = operator.text("direction", "forward").lower()
        if word not in _WORD_OF_DIRECTION:
            raise RejectedModel(f"direction {word!r} of {operator.op}")
        batch_first = operator.flag("layout")
        outputs = ("onnx_sequence", "onnx_state", "onnx_cell")[: 3 if cell == "lstm" else 2]
        if batch_first:
            outputs = tuple(f"{name}_batch_first" for name in outputs)
        kernel = operator.shape(1)
        size = kernel[size_axis] if kernel is not None and len(kernel) == 3 else None
        attributes = {
            "cell": cell, "hidden": operator.integer("hidden_size"), "input_size": size,
            "directions": _WORD_OF_DIRECTION[word], "time_axis": 1 if batch_first else 0,
            "batch_axis": 0 if batch_first else 1, "outputs": outputs,
        }  # fmt: skip
        if size_axis == 2:
            attributes["stacked"] = True
        if cell == "lstm" and operator.flag("input_forget"):
            attributes["coupled_input_gate"] = True
        return Meaning(Kind.RECURRENT, attributes)

    return translate


def attention(operator: Operator) -> Meaning:
    """ONNX's Attention (opset 23): of rank 3 with the heads in the last axis, else of rank 4."""
    heads = operator.integer("q_num_heads")
    kv_heads = operator.integer("kv_num_heads", heads)
    return Meaning(
        Kind.ATTENTION, {"heads": heads, "kv_heads": kv_heads, "packed": heads is not None}
    )


def pool(kind: str, layout_of: Callable[[Operator], str] = layout) -> Translation:
    """Pooling over a window, channels first."""

    def translate(operator: Operator) -> Meaning:
        kernel = operator.integers("kernel_shape")
        if not kernel:
            raise RejectedModel(f"{operator.op} without kernel_shape")
        ones = (1,) * len(kernel)
        return Meaning(Kind.POOL, {
            "function": kind, "kernel": kernel, "strides": operator.integers("strides") or ones,
            "dilations": operator.integers("dilations") or ones, "pads": pads(operator),
            "layout": layout_of(operator), "ceil_mode": operator.flag("ceil_mode"),
            "strict": True,
        })  # fmt: skip

    return translate


def global_pool(kind: str, layout_of: Callable[[Operator], str] = layout) -> Translation:
    """Pooling over all spatial axes."""
    return lambda operator: function(Kind.GLOBAL_POOL, kind, layout=layout_of(operator))


def normalise(kind: str, *same: int) -> Meaning:
    """A normalisation; outputs in `same` besides the first have the shape of x, too."""
    attributes: dict[str, Any] = {"same": (0, *same)} if same else {}
    if kind in ("batch", "instance"):
        attributes["channel_axis"] = 1
    return function(Kind.NORMALISE, kind, **attributes)


def _over_axes(kind: str) -> Translation:
    """A normalisation over the last axes, from `axis` on."""
    return lambda operator: function(Kind.NORMALISE, kind, axis=operator.integer("axis", -1))


def softmax(log: bool) -> Translation:
    """Softmax; until opset 12 over all axes from `axis`, which costs the same."""

    def translate(operator: Operator) -> Meaning:
        axis = operator.integer("axis", -1 if operator.opset >= 13 else 1)
        return Meaning(Kind.SOFTMAX, {"axis": axis, "log": log})

    return translate


COMPUTE: Mapping[str, Translation] = {
    "Conv": conv(0, 1, 2),
    "ConvInteger": conv(0, 1, None),
    "QLinearConv": conv(0, 3, 8),
    "DeformConv": conv(0, 1, 3),
    "CausalConvWithState": causal_conv,
    "ConvTranspose": conv_transpose(0, 1, 2),
    "Gemm": matmul(0, 1, 2),
    "MatMul": matmul(0, 1),
    "MatMulInteger": matmul(0, 1, None),
    "QLinearMatMul": matmul(0, 3, None),
    "Einsum": einsum,
    "LSTM": recurrent("lstm"),
    "GRU": recurrent("gru"),
    "RNN": recurrent("rnn"),
    "Attention": attention,
    "AveragePool": pool("average"),
    "MaxPool": pool("max"),
    "LpPool": pool("l2"),
    "GlobalAveragePool": global_pool("average"),
    "GlobalMaxPool": global_pool("max"),
    "GlobalLpPool": global_pool("l2"),
    "BatchNormalization": normalise("batch"),
    "GroupNormalization": normalise("group"),
    "InstanceNormalization": normalise("instance"),
    "LRN": normalise("local_response"),
    "LayerNormalization": _over_axes("layer"),
    "LpNormalization": normalise("l2"),
    "MeanVarianceNormalization": normalise("instance"),
    "RMSNormalization": _over_axes("rms"),
    # Kept in the default domain by ONNX Runtime's optimiser.
    "SimplifiedLayerNormalization": normalise("rms"),
    "Softmax": softmax(log=False),
    "LogSoftmax": softmax(log=True),
}
