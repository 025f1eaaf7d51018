"""One use of a layer of Keras', as a layer of the graph, and its settings by type."""

from __future__ import annotations

from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.keras.model import Call, Model
from edgewise.formats.netlist import Operand
from edgewise.graph import Kind

_ACTIVATED = frozenset({Kind.CONV, Kind.CONV_TRANSPOSE, Kind.DENSE, Kind.EINSUM})


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


def activation_of(call: Call) -> str | None:
    """The activation that a layer ends with."""
    named = call.config.get("activation")
    if isinstance(named, dict):
        named = named.get("config") if isinstance(named.get("config"), str) else "custom"
    return None if named in (None, "linear") else str(named)


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


def padding(call: Call) -> str:
    """`same` or `valid`."""
    padding = str(call.config.get("padding", "valid")).lower()
    return "same" if padding == "same" else "valid"
