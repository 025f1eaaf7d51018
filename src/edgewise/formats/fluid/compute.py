"""Paddle's operators that multiply and accumulate, and its pools."""

from __future__ import annotations

from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.fluid.program import Operator
from edgewise.formats.netlist import Netlist, Operand
from edgewise.graph import Kind


def layout(operator: Operator) -> str:
    """The order of the axes."""
    form = operator.text("data_format") or operator.text("data_layout")
    return "channels_last" if form in ("NHWC", "NDHWC", "NLC") else "channels_first"


def _positive(operator: Operator, name: str, axes: int) -> tuple[int, ...]:
    values = operator.integers(name) or [1]
    values = values * axes if len(values) == 1 else values
    if len(values) != axes or min(values) < 1:
        raise RejectedModel(f"{operator.type}: {name} {values}")
    return tuple(values)


def pads(operator: Operator, axes: int) -> Any:
    """Padding: by name, one per axis, or before and after in pairs."""
    named = operator.text("padding_algorithm", "EXPLICIT")
    if named in ("SAME", "VALID"):
        return named.lower()
    values = operator.integers("paddings") or [0]
    values = values * axes if len(values) == 1 else values
    if len(values) == 2 * axes:
        return (*values[0::2], *values[1::2])
    if len(values) != axes:
        raise RejectedModel(f"{operator.type}: paddings {values}")
    return (*values, *values)


def activation(operator: Operator) -> str | None:
    """An activation that an optimiser joined to the operator."""
    named = operator.text("act_type") or operator.text("activation_type")
    if named in ("", "identity"):
        return "relu" if operator.flag("fuse_relu") else None
    return named


def convolution(axes: int, transposed: bool = False) -> Any:
    """A translator for convolutions of so many axes."""

    def build(netlist: Netlist, operator: Operator) -> None:
        bias = operator.first("Bias")
        inputs: list[Operand] = [operator.first("Input", "X"), operator.first("Filter"), bias]
        attributes: dict[str, Any] = {
            "layout": layout(operator),
            "weight_layout": "IO*" if transposed else "OI*",
            "strides": _positive(operator, "strides", axes),
            "dilations": _positive(operator, "dilations", axes),
            "groups": operator.integer("groups", 1),
            "pads": pads(operator, axes),
            "activation": activation(operator),
        }
        if transposed:
            attributes["output_padding"] = tuple(operator.integers("output_padding")) or None
            attributes["output_shape"] = tuple(operator.integers("output_size")) or None
        kind = Kind.CONV_TRANSPOSE if transposed else Kind.CONV
        emit(netlist, operator, kind, inputs, "Output", **attributes)

    return build


def emit(
    netlist: Netlist, operator: Operator, kind: Kind, inputs: list[Operand], *outputs: str,
    **attributes: Any,
) -> None:  # fmt: skip
    """A layer that writes all that the operator does, what `outputs` name first."""
    made = operator.results(*outputs)
    netlist.layer(made[0] if made else "", operator.type, kind, inputs, made, **attributes)


def dense(netlist: Netlist, operator: Operator) -> None:
    """fc and mul: the first axes are rows, the others are columns."""
    rows = operator.integer("in_num_col_dims", operator.integer("x_num_col_dims", 1))
    inputs: list[Operand] = [
        operator.first("Input", "X"), operator.first("W", "Y"), operator.first("Bias"),
    ]  # fmt: skip
    emit(
        netlist, operator, Kind.DENSE, inputs, keep_dims=rows > 1, weight_layout="IO",
        activation=activation(operator),
    )  # fmt: skip


def matmul(netlist: Netlist, operator: Operator) -> None:
    """A matrix product."""
    a = operator.flag("trans_x") or operator.flag("transpose_X")
    b = operator.flag("trans_y") or operator.flag("transpose_Y")
    inputs: list[Operand] = [operator.first("X"), operator.first("Y"), operator.first("Bias")]
    emit(netlist, operator, Kind.MATMUL, inputs, transpose_a=a, transpose_b=b)


def recurrent(netlist: Netlist, operator: Operator) -> None:
    """rnn: layers of LSTM, GRU or plain cells over (time, batch, features)."""
    cell = {"LSTM": "lstm", "GRU": "gru"}.get(operator.text("mode"), "rnn")
    hidden, layers = operator.integer("hidden_size"), operator.integer("num_layers", 1)
    directions = 2 if operator.flag("is_bidirec") else 1
    if hidden < 1 or not 1 <= layers <= 64:
        raise RejectedModel(f"rnn: {layers} layers of {hidden}")
    weights = operator.inputs.get("WeightList", [])
    matrices = weights[: 2 * layers * directions]
    value: Operand = operator.first("Input")
    made = operator.outputs.get("Out", [""])[0]
    for number in range(layers):
        part = matrices[2 * directions * number : 2 * directions * (number + 1)]
        rest = weights[2 * layers * directions :][2 * directions * number :][: 2 * directions]
        last = number == layers - 1
        out = made if last else f"{made}.{number}"
        states = operator.outputs.get("State", []) if last else []
        forms = ("sequence", *(("onnx_state", "onnx_cell")[: len(states)] if layers == 1 else ()))
        netlist.layer(
            made, operator.type, Kind.RECURRENT, (value, *part, *rest),
            (out, *states), cell=cell, hidden=hidden, directions=directions,
            time_axis=0, batch_axis=1, outputs=forms, states=(),
        )  # fmt: skip
        value = out


def pool(axes: int) -> Any:
    """A translator for pools of so many axes."""

    def build(netlist: Netlist, operator: Operator) -> None:
        kind = operator.text("pooling_type", "max")
        function = "average" if kind == "avg" else "max"
        inputs: list[Operand] = [operator.first("X")]
        kernel = operator.integers("ksize")
        kernel = kernel * axes if len(kernel) == 1 else kernel
        if operator.flag("global_pooling"):
            emit(
                netlist, operator, Kind.GLOBAL_POOL, inputs, function=function,
                layout=layout(operator),
            )  # fmt: skip
        elif operator.flag("adaptive"):
            emit(
                netlist, operator, Kind.POOL, inputs, function=function, layout=layout(operator),
                output_size=tuple(kernel),
            )  # fmt: skip
        else:
            if len(kernel) != axes or min(kernel) < 1:
                raise RejectedModel(f"{operator.type}: kernel {kernel}")
            emit(
                netlist, operator, Kind.POOL, inputs, function=function, layout=layout(operator),
                kernel=tuple(kernel), strides=_positive(operator, "strides", axes),
                pads=pads(operator, axes), ceil_mode="all" if operator.flag("ceil_mode") else False,
            )  # fmt: skip

    return build


def lookup(netlist: Netlist, operator: Operator) -> None:
    """Rows of a table; the older operator has indices with a last axis of 1."""
    indices: Operand = operator.first("Ids")
    if operator.type == "lookup_table":
        netlist.layer("", operator.type, Kind.SQUEEZE, (indices,), ("indices",), axes=(-1,))
        indices = "indices"
    emit(netlist, operator, Kind.GATHER, [operator.first("W"), indices])


def attention(netlist: Netlist, operator: Operator) -> None:
    """multihead_matmul: one product with a joined weight, then attention."""
    inputs: list[Operand] = [
        operator.first("Input"), operator.first("W"), operator.first("Bias"),
    ]  # fmt: skip
    emit(netlist, operator, Kind.UNKNOWN, inputs)
