"""One operator of MNN's, as a layer of the graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgewise.formats.flatbuffer import Table
from edgewise.formats.mnn.body import Body, Operator
from edgewise.formats.netlist import Operand
from edgewise.graph import Kind

FIRST = "channels_first"
Translator = Callable[[Body, Operator], None]


def operands(body: Body, operator: Operator) -> list[Operand]:
    """What it reads, by name; None for an input left out."""
    return [None if index < 0 else body.key(index) for index in operator.inputs]


def make(
    body: Body,
    operator: Operator,
    kind: Kind,
    *weights: Operand,
    inputs: list[Operand] | None = None,
    **attributes: Any,
) -> None:
    """A layer that reads `inputs` (as the operator has them where None), then `weights`."""
    reads = operands(body, operator) if inputs is None else inputs
    made = [body.key(index) for index in operator.outputs]
    body.netlist.layer(operator.name, operator.op, kind, (*reads, *weights), made, **attributes)


def vector(body: Body, operator: Operator, table: Table, slot: int, name: str) -> int | None:
    """A stored vector of floats as a tensor; None where there is none."""
    load, count = body.values.floats(table, slot)
    if not count:
        return None
    return body.netlist.weight(f"{operator.name}.{name}", "float32", (count,), load)
