"""Keras' layers that multiply and accumulate."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.keras.call import layout, make, padding, sizes
from edgewise.formats.keras.model import Call, Model
from edgewise.formats.netlist import Operand
from edgewise.graph import Kind

Translator = Callable[[Model, Call], None]
AXES = {"1D": 1, "2D": 2, "3D": 3}

_CELLS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "rnn", "CuDNNLSTM": "lstm", "CuDNNGRU": "gru",
          "LSTMCell": "lstm", "GRUCell": "gru", "SimpleRNNCell": "rnn"}  # fmt: skip


def _convolution(axes: int, *, transposed: bool = False, depthwise: bool = False) -> Translator:
    def run(model: Model, call: Call) -> None:
        causal = call.config.get("padding") == "causal"
        attributes: dict[str, Any] = {
            "layout": layout(call),
            "weight_layout": "*OI" if transposed else "*GO" if depthwise else "*IO",
            "strides": sizes(call, "strides", axes),
            "dilations": sizes(call, "dilation_rate", axes),
            # Causal padding stands before the first step: as many steps come out as with "same".
            "pads": "same" if causal else padding(call),
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
    """The result is as long as its windows reach, and at least a stride a place."""
    kernel = sizes(call, "kernel_size", axes)
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
            layout=layout(call), weight_layout="*GO", groups=None, pads=padding(call),
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


COMPUTE: dict[str, Translator] = {
    **{f"Conv{end}": _convolution(axes) for end, axes in AXES.items()},
    **{f"Convolution{end}": _convolution(axes) for end, axes in AXES.items()},
    **{f"Conv{end}Transpose": _convolution(axes, transposed=True) for end, axes in AXES.items()},
    **{f"DepthwiseConv{end}": _convolution(axes, depthwise=True) for end, axes in AXES.items()},
    **{f"SeparableConv{end}": _separable(axes) for end, axes in AXES.items()},
    **{name: _recurrent(cell) for name, cell in _CELLS.items() if not name.endswith("Cell")},
    "Attention": _attention,
    "Bidirectional": _bidirectional,
    "Dense": _dense,
    "Dot": _dot,
    "Einsum": _einsum,
    "EinsumDense": _einsum_dense,
    "Embedding": _embedding,
    "MultiHeadAttention": _multi_head,
    "RNN": _rnn,
    "TimeDistributed": _distributed,
}
