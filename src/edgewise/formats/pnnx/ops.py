"""torch's modules and functions, as pnnx writes them, in common words.

Whatever moves data or computes element by element without a rule of its own has the shapes that
the file states: pnnx traced it for its inputs. Only operators that may multiply and accumulate
need one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from edgewise.formats.netlist import Netlist, Operand
from edgewise.formats.pnnx.operator import Operator
from edgewise.graph import Kind

FIRST = "channels_first"
Stored = Mapping[str, int]
Translator = Callable[[Netlist, Operator, Stored], None]

#: May multiply and accumulate, and have no rule here: their cost is unknown.
_UNKNOWN = frozenset({
    "bilinear", "Bilinear", "tensordot", "chain_matmul", "cdist", "multi_head_attention_forward",
    "EmbeddingBag", "deform_conv2d", "DeformConv2d", "addbmm", "ger", "outer", "inner", "conv_tbc",
    "LSTMCell", "GRUCell", "RNNCell", "addmv", "addr", "kron", "multi_dot",
})  # fmt: skip
#: Where torch's operators stand; any other name is a module of the network's own.
_SPACES = ("nn.", "F.", "torch.", "Tensor.", "aten::", "prim::", "pnnx.", "torchvision.ops.")


def translate(builder: Netlist, operator: Operator, stored: Stored) -> None:
    """Add an operator to the graph."""
    rule = _RULES.get(operator.type)
    if rule is not None:
        rule(builder, operator, stored)
        return
    last = operator.type.rpartition(".")[2]
    known = operator.type.startswith(_SPACES) and last not in _UNKNOWN
    known = known and "quantized" not in operator.type
    kind = Kind.POSTPROCESS if known else Kind.UNKNOWN
    _add(builder, operator, kind, *operator.inputs, *stored.values())


def _add(
    builder: Netlist, operator: Operator, kind: Kind, *inputs: Operand, **attributes: Any
) -> None:
    builder.layer(operator.name, operator.type, kind, inputs, operator.outputs, **attributes)


def _plain(kind: Kind, **attributes: Any) -> Translator:
    return lambda builder, operator, stored: _add(
        builder, operator, kind, *operator.inputs, *stored.values(), **attributes
    )


def _weights(operator: Operator, stored: Stored, *names: str) -> list[Operand]:
    """Weights by name: stored beside the operator, or else inputs in the same order."""
    if names[0] in stored:
        return [stored.get(name) for name in names]
    return list(operator.inputs[1 : 1 + len(names)])


def _convolution(axes: int, transposed: bool = False) -> Translator:
    def add(builder: Netlist, operator: Operator, stored: Stored) -> None:
        weights = _weights(operator, stored, "weight", "bias")
        padding = operator.arguments.get("padding", 0)
        pads: Any = padding
        if not isinstance(padding, str):
            pads = operator.sizes("padding", axes) * 2
        attributes: dict[str, Any] = {
            "layout": FIRST,
            "weight_layout": "IO*" if transposed else "OI*",
            "strides": operator.sizes("stride", axes, 1),
            "dilations": operator.sizes("dilation", axes, 1),
            "groups": operator.integer("groups", 1),
            "pads": pads,
        }
        if transposed:
            attributes["output_padding"] = operator.sizes("output_padding", axes)
        kind = Kind.CONV_TRANSPOSE if transposed else Kind.CONV
        _add(builder, operator, kind, operator.inputs[0], *weights, **attributes)

    return add


def _linear(builder: Netlist, operator: Operator, stored: Stored) -> None:
    weights = _weights(operator, stored, "weight", "bias")
    _add(builder, operator, Kind.DENSE, operator.inputs[0], *weights, keep_dims=True)


def _added_matmul(builder: Netlist, operator: Operator, stored: Stored) -> None:
    """addmm and baddbmm: the bias first."""
    bias, *factors = operator.inputs
    _add(builder, operator, Kind.MATMUL, *factors, bias)


def _recurrent(cell: str) -> Translator:
    def add(builder: Netlist, operator: Operator, stored: Stored) -> None:
        layers = operator.integer("num_layers", 1)
        hidden = operator.integer("hidden_size")
        directions = 2 if operator.arguments.get("bidirectional") else 1
        batch_first = bool(operator.arguments.get("batch_first"))
        projection = operator.integer("proj_size") or None
        attributes: dict[str, Any] = {
            "cell": cell,
            "hidden": hidden,
            "directions": directions,
            "projection": projection,
            "time_axis": 1 if batch_first else 0,
            "batch_axis": 0 if batch_first else 1,
        }
        body = Netlist(operator.name, builder.graph.format)
        value: str = "x"
        body.input(value)
        outside = sorted(stored)
        for name in outside:
            body.input(name)
        for number in range(layers):
            parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
            ends = [f"_l{number}", f"_l{number}_reverse"][:directions]
            names = [part + end for end in ends for part in parts if part + end in stored]
            forms = ("sequence", "onnx_state", "onnx_cell")
            results = (f"y{number}", f"h{number}", f"c{number}")
            count = max(1, min(len(operator.outputs), 3))
            body.layer(
                f"{operator.name}.{number}", operator.type, Kind.RECURRENT, (value, *names),
                results[:count], outputs=forms[:count], states=(), **attributes,
            )  # fmt: skip
            value = results[0]
        for made, name in zip("hc", operator.outputs[1:], strict=False):
            parts_made = [f"{made}{number}" for number in range(layers)]
            body.layer(f"{operator.name}.{made}", operator.type, Kind.CONCAT, parts_made, (name,))
        layer = builder.layer(
            operator.name, operator.type, Kind.CALL,
            (operator.inputs[0], *(stored[name] for name in outside)), operator.outputs,
        )  # fmt: skip
        layer.bodies = (body.finish([value, *operator.outputs[1:3]]),)

    return add


def _attention(builder: Netlist, operator: Operator, stored: Stored) -> None:
    """torch's MultiheadAttention: three projections, attention, a projection of the result."""
    heads, batch_first = operator.integer("num_heads", 1), operator.arguments.get("batch_first")
    body = Netlist(operator.name, builder.graph.format)
    reads = [f"in{at}" for at in range(len(operator.inputs))]
    for name in (*reads, *sorted(stored)):
        body.input(name)
    count = min(3, len(reads))
    if operator.arguments.get("attn_mask") or "attn_mask" in operator.named:
        count = max(1, min(3, len(reads) - 1))
    values = []
    parts = "in_proj_weight" in stored
    for at, part in enumerate("qkv"):
        source = reads[min(at, count - 1)]
        if not batch_first:
            body.layer(
                part, operator.type, Kind.TRANSPOSE, (source,), (f"t{part}",),
                by_rank={2: (0, 1), 3: (1, 0, 2)},
            )  # fmt: skip
            source = f"t{part}"
        weight = f"{part}_proj_weight"
        if parts:
            body.layer(
                part, operator.type, Kind.SPLIT, ("in_proj_weight",),
                tuple(f"w{part}" if at == place else None for place in range(3)), axis=0,
            )  # fmt: skip
            weight = f"w{part}"
        bias = "in_proj_bias" if "in_proj_bias" in stored else None  # one vector for all three
        reads_of = (source, weight, bias)
        body.layer(part, operator.type, Kind.DENSE, reads_of, (part,), keep_dims=True)
        values.append(part)
    body.layer("attention", operator.type, Kind.ATTENTION, values, ("a",), heads=heads, packed=True)
    out = [name for name in ("out_proj.weight", "out_proj.bias") if name in stored]
    body.layer("out", operator.type, Kind.DENSE, ("a", *out), ("y",), keep_dims=True)
    if not batch_first:
        order = {2: (0, 1), 3: (1, 0, 2)}
        body.layer("out", operator.type, Kind.TRANSPOSE, ("y",), ("y",), by_rank=order)
    inputs: list[Operand] = [*operator.inputs, *(stored[name] for name in sorted(stored))]
    layer = builder.layer(operator.name, operator.type, Kind.CALL, inputs, operator.outputs[:1])
    layer.bodies = (body.finish(["y"]),)
    for name in operator.outputs[1:]:
        builder.define(name)


def _pool(function: str, axes: int) -> Translator:
    def add(builder: Netlist, operator: Operator, stored: Stored) -> None:
        kernel = operator.sizes("kernel_size", axes, 1)
        stride = operator.arguments.get("stride")
        _add(
            builder,
            operator,
            Kind.POOL,
            operator.inputs[0],
            function=function,
            layout=FIRST,
            kernel=kernel,
            strides=operator.sizes("stride", axes, 1) if stride else kernel,
            pads=operator.sizes("padding", axes) * 2,
            dilations=operator.sizes("dilation", axes, 1),
            ceil_mode=bool(operator.arguments.get("ceil_mode")),
        )

    return add


def _adaptive_pool(function: str, axes: int) -> Translator:
    def add(builder: Netlist, operator: Operator, stored: Stored) -> None:
        given = operator.arguments.get("output_size", 1)
        size = given if isinstance(given, tuple) else (given,) * axes
        _add(
            builder, operator, Kind.POOL, operator.inputs[0],
            function=function, layout=FIRST, output_size=size,
        )  # fmt: skip

    return add


def _normalise(function: str) -> Translator:
    def add(builder: Netlist, operator: Operator, stored: Stored) -> None:
        _add(
            builder, operator, Kind.NORMALISE, *operator.inputs, *stored.values(),
            function=function,
        )  # fmt: skip

    return add


def _reshape(builder: Netlist, operator: Operator, stored: Stored) -> None:
    shape = operator.arguments.get("shape", operator.arguments.get("size"))
    fixed = isinstance(shape, tuple) and all(isinstance(size, int) for size in shape)
    kind = Kind.RESHAPE if fixed else Kind.POSTPROCESS
    _add(builder, operator, kind, operator.inputs[0], shape=shape)


def _permute(builder: Netlist, operator: Operator, stored: Stored) -> None:
    _add(
        builder, operator, Kind.TRANSPOSE, operator.inputs[0],
        permutation=operator.arguments.get("dims"),
    )  # fmt: skip


def _transpose(builder: Netlist, operator: Operator, stored: Stored) -> None:
    rank = operator.input_rank()
    order = list(range(rank))
    first, second = operator.integer("dim0"), operator.integer("dim1", 1)
    if not (-rank <= first < rank and -rank <= second < rank):
        _add(builder, operator, Kind.POSTPROCESS, *operator.inputs)
        return
    order[first], order[second] = order[second], order[first]
    _add(builder, operator, Kind.TRANSPOSE, operator.inputs[0], permutation=tuple(order))


def _embedding(builder: Netlist, operator: Operator, stored: Stored) -> None:
    weight = _weights(operator, stored, "weight")[0]
    _add(builder, operator, Kind.GATHER, weight, *operator.inputs[:1])


def _reduce(function: str) -> Translator:
    def add(builder: Netlist, operator: Operator, stored: Stored) -> None:
        given = operator.arguments.get("dim")
        _add(
            builder,
            operator,
            Kind.REDUCE,
            operator.inputs[0],
            function=function,
            axes=given if given is None or isinstance(given, tuple) else (given,),
            keep_dims=bool(operator.arguments.get("keepdim")),
        )

    return add


def _expression(builder: Netlist, operator: Operator, stored: Stored) -> None:
    """Arithmetic of several steps in one; a list is sizes, not values."""
    listed = str(operator.arguments.get("expr", "")).startswith("[")
    if listed or not operator.inputs:
        _add(builder, operator, Kind.POSTPROCESS, *operator.inputs)
    elif len(operator.inputs) == 1:
        _add(builder, operator, Kind.UNARY, *operator.inputs, function="expression")
    else:
        _add(builder, operator, Kind.BINARY, *operator.inputs, function="expression", loose=True)


def _along(kind: Kind) -> Translator:
    return lambda builder, operator, stored: _add(
        builder, operator, kind, *operator.inputs, axis=operator.integer("dim")
    )


_ELEMENTWISE = (
    "relu", "relu6", "gelu", "silu", "mish", "hardswish", "hardsigmoid", "hardtanh", "sigmoid",
    "tanh", "elu", "selu", "celu", "leaky_relu", "softplus", "softsign", "logsigmoid",
    "hardshrink", "softshrink", "tanhshrink", "threshold",
)  # fmt: skip
_MODULES = (
    "ReLU", "ReLU6", "GELU", "SiLU", "Mish", "Hardswish", "Hardsigmoid", "Hardtanh", "Sigmoid",
    "Tanh", "ELU", "SELU", "CELU", "LeakyReLU", "Softplus", "Softsign", "LogSigmoid",
    "Hardshrink", "Softshrink", "Tanhshrink", "Threshold",
)  # fmt: skip

_RULES: dict[str, Translator] = {
    **{f"F.{name}": _plain(Kind.UNARY, function=name) for name in _ELEMENTWISE},
    **{f"torch.{name}": _plain(Kind.UNARY, function=name) for name in ("sigmoid", "tanh", "relu")},
    **{f"nn.{name}": _plain(Kind.UNARY, function=name.lower()) for name in _MODULES},
    **{f"{s}.{n}": _plain(Kind.SOFTMAX, axis=-1)
       for s, n in (("F", "softmax"), ("F", "log_softmax"), ("nn", "Softmax"), ("torch", "softmax"),
                    ("nn", "LogSoftmax"))},
    **{f"{s}{axes}d": _convolution(axes) for axes in (1, 2, 3) for s in ("nn.Conv", "F.conv")},
    **{f"{s}{axes}d": _convolution(axes, transposed=True)
       for axes in (1, 2, 3) for s in ("nn.ConvTranspose", "F.conv_transpose")},
    **{f"{s}{axes}d": _pool(function, axes)
       for axes in (1, 2, 3)
       for s, function in (("nn.MaxPool", "max"), ("F.max_pool", "max"), ("nn.AvgPool", "average"),
                           ("F.avg_pool", "average"), ("nn.LPPool", "l2"), ("F.lp_pool", "l2"))},
    **{f"{s}{axes}d": _adaptive_pool(function, axes)
       for axes in (1, 2, 3)
       for s, function in (("nn.AdaptiveAvgPool", "average"), ("F.adaptive_avg_pool", "average"),
                           ("nn.AdaptiveMaxPool", "max"), ("F.adaptive_max_pool", "max"))},
    **{f"nn.BatchNorm{axes}d": _normalise("batch") for axes in (1, 2, 3)},
    **{f"nn.InstanceNorm{axes}d": _normalise("instance") for axes in (1, 2, 3)},
    **{f"{s}.{n}": _normalise(function)
       for s, n, function in (("nn", "LayerNorm", "layer"), ("F", "layer_norm", "layer"),
                              ("nn", "GroupNorm", "group"), ("F", "group_norm", "group"),
                              ("F", "batch_norm", "batch"), ("F", "instance_norm", "instance"),
                              ("nn", "RMSNorm", "rms"), ("F", "rms_norm", "rms"),
                              ("F", "normalize", "l2"),
                              ("nn", "LocalResponseNorm", "local_response"),
                              ("F", "local_response_norm", "local_response"))},
    **{f"torch.{name}": _reduce(name) for name in ("mean", "sum", "prod", "amax", "amin", "norm")},
    **dict.fromkeys(("torch.matmul", "torch.mm", "torch.bmm", "torch.mv", "torch.dot"),
                    _plain(Kind.MATMUL)),
    **dict.fromkeys(("torch.addmm", "torch.baddbmm"), _added_matmul),
    **dict.fromkeys(("Tensor.reshape", "Tensor.view", "torch.reshape"), _reshape),
    **dict.fromkeys(("nn.Linear", "F.linear"), _linear),
    **dict.fromkeys(("nn.Embedding", "F.embedding"), _embedding),
    **dict.fromkeys(("torch.cat", "torch.concat"), _along(Kind.CONCAT)),
    **dict.fromkeys(("Tensor.permute", "torch.permute"), _permute),
    "torch.transpose": _transpose,
    "torch.stack": _along(Kind.STACK),
    "torch.unbind": _along(Kind.UNSTACK),
    "nn.LSTM": _recurrent("lstm"),
    "nn.GRU": _recurrent("gru"),
    "nn.RNN": _recurrent("rnn"),
    "nn.MultiheadAttention": _attention,
    "nn.PReLU": _plain(Kind.BINARY, function="prelu", like_first=True),
    "F.prelu": _plain(Kind.BINARY, function="prelu", like_first=True),
    "F.scaled_dot_product_attention": _plain(Kind.ATTENTION, heads=None, packed=False),
    "pnnx.Expression": _expression,
    "pnnx.Attribute": _plain(Kind.IDENTITY),
    "torch.einsum": lambda builder, operator, stored: _add(
        builder, operator, Kind.EINSUM, *operator.inputs,
        equation=str(operator.arguments.get("equation", "")),
    ),
}  # fmt: skip
