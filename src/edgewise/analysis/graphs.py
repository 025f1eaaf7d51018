"""Small questions about graphs that several parts of the analysis ask."""

from __future__ import annotations

from collections.abc import Callable

from edgewise.analysis.symbolic import product
from edgewise.graph import Graph, Tensor

#: A tensor by its index in the graph at hand.
Lookup = Callable[[int], Tensor]


def elements(tensor: Tensor) -> int:
    """How many numbers a stored tensor holds."""
    return int(product([d for d in tensor.shape or () if isinstance(d, int)]))


def lookup(graph: Graph, outside: Lookup | None = None) -> Lookup:
    """Tensors of a graph or body; what a body captures is the tensor outside, with its weights."""

    def tensor(index: int) -> Tensor:
        captured = graph.captures.get(index)
        if captured is None or outside is None:
            return graph.tensors[index]
        return outside(captured)

    return tensor
