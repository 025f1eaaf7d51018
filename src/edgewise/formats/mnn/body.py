"""A graph of MNN's while it is read, and one operator of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgewise.errors import LimitExceeded
from edgewise.formats.flatbuffer import Table
from edgewise.formats.mnn.weights import Values
from edgewise.formats.netlist import Netlist
from edgewise.graph import Graph

MAX_DEPTH = 16


@dataclass(slots=True)
class Operator:
    """One operator: its name, its parameters, and the tensors it reads and writes, by number."""

    op: str
    name: str
    main: Table
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    channels_last: bool


@dataclass(slots=True)
class Body:
    """One graph of the file while it is read. Tensors are named by their number."""

    netlist: Netlist
    names: Sequence[str]
    values: Values
    subgraphs: dict[str, Table]
    #: Reads one of them.
    read: Callable[[Table, Body], Graph]
    depth: int = 0
    #: The order of the axes of each tensor, by number (`schema.NCHW` and so on).
    orders: dict[int, int] = field(default_factory=dict)

    def key(self, number: int) -> str:
        """The name under which a tensor is built."""
        return str(number)

    def subgraph(self, name: str | None) -> Graph | None:
        """The graph of that name; None where there is none.

        Raises:
            LimitExceeded: bodies are nested too deeply.
        """
        table = self.subgraphs.get(name or "")
        if table is None:
            return None
        if self.depth >= MAX_DEPTH:
            raise LimitExceeded(f"control flow nested deeper than {MAX_DEPTH}")
        return self.read(table, self)
