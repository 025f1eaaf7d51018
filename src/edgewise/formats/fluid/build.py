"""From a program to a graph: what is fed, what is stored, what is run."""

from __future__ import annotations

from collections.abc import Iterable

from edgewise.errors import RejectedModel
from edgewise.formats.fluid.ops import add
from edgewise.formats.fluid.program import Operator, Program
from edgewise.formats.netlist import Netlist
from edgewise.graph import FreeDim, Graph, Shape


def build(program: Program, netlist: Netlist) -> Graph:
    """The graph of a program.

    Raises:
        RejectedModel: an operator reads what nothing makes.
    """
    outputs: list[str] = []
    for variable in program.variables.values():
        if variable.persistable and variable.dims is not None:
            program.store(netlist, variable)
    for operator in program.operators:
        if operator.type == "feed":
            for name in operator.outputs.get("Out", []):
                _input(netlist, program, name)
        elif operator.type == "fetch":
            outputs += operator.inputs.get("X", [])
        else:
            _check(netlist, program, operator)
            add(netlist, operator)
    if not netlist.graph.layers:
        raise RejectedModel("a program without operators")
    return netlist.finish(outputs or None)


def _input(netlist: Netlist, program: Program, name: str) -> None:
    variable = program.variables.get(name)
    if variable is None or not variable.dims:  # older optimisers leave the sizes of inputs out
        netlist.input(name)
        return
    netlist.input(name, variable.dtype, open_shape(name, variable.dims))


def open_shape(name: str, dims: Iterable[int]) -> Shape:
    """A shape with its free dimensions, the first of which is the batch."""
    return tuple(
        size if size >= 0 else FreeDim("batch" if axis == 0 else f"{name}_{axis}")
        for axis, size in enumerate(dims)
    )


def _check(netlist: Netlist, program: Program, operator: Operator) -> None:
    """What is read has to be there; a variable that nothing writes is fed."""
    for name in (argument for names in operator.inputs.values() for argument in names):
        if netlist.known(name):
            continue
        if name not in program.variables:
            raise RejectedModel(f"{operator.type}: nothing makes {name!r}")
        _input(netlist, program, name)
