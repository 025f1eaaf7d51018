"""Costs at larger sizes, for networks that a free dimension of 1 is too small for.

A free dimension without a stored size is counted as 1 (counting.md). A network that halves its
picture five times cannot run with that, so its count is unknown. How it grows is not: at a size
that it can run with, the count comes with its formula.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from edgewise.analysis.cost import Cost, layer_costs, total
from edgewise.analysis.scope import open_batch
from edgewise.analysis.shapes import propagate
from edgewise.graph import FreeDim, Graph, Kind, Tensor

#: Sizes that are tried in turn: pictures need some dozens, sounds some thousands.
SIZES = (64, 512, 4096, 32768)


#: What sizes that the user said are rounded up to, in turn.
MULTIPLES = (2, 4, 8, 16, 32, 64)


class Larger(NamedTuple):
    """What a network costs with the dimensions `names` at `size`."""

    names: tuple[str, ...]
    size: int
    costs: list[Cost]
    macs: int


def at_larger_sizes(
    graph: Graph, overrides: Mapping[str, Sequence[int]] | None, cost: Cost
) -> Larger | None:
    """The smallest of `SIZES` at which the whole count is known.

    Args:
        graph: the network.
        overrides: shapes of inputs by name, which stay.
        cost: what was found with the sizes that count.

    Returns:
        None where `cost` is known, where no free dimension could change it, or where none does.
    """
    names = tuple(_growing(graph, overrides or {}))
    if cost.macs is not None or not names or _beyond_sizes(graph):
        return None
    for size in SIZES:
        shapes = propagate(graph, overrides, dict.fromkeys(names, size))
        costs = layer_costs(graph, shapes)
        macs = total(costs).macs
        if macs is not None:
            return Larger(names, size, costs, macs)
    return None


def fitting(
    graph: Graph, overrides: Mapping[str, Sequence[int]]
) -> tuple[dict[str, list[int]], int] | None:
    """Shapes near those that the user said, with which the whole count is known, and the count.

    The free sizes are rounded up to a multiple of 2, 4, … 64, the batch stays: networks that
    halve their input some times and join it again need that.
    """
    for multiple in MULTIPLES:
        near = {
            tensor.name: _rounded(tensor, overrides[tensor.name], multiple)
            for tensor in (graph.tensors[index] for index in graph.inputs)
            if tensor.name in overrides
        }
        if all(list(near[name]) == list(overrides[name]) for name in near):
            continue
        macs = total(layer_costs(graph, propagate(graph, near))).macs
        if macs is not None:
            return near, int(macs)
    return None


def _rounded(tensor: Tensor, said: Sequence[int], multiple: int) -> list[int]:
    batch = open_batch(tensor)
    return [
        size + -size % multiple if isinstance(dim, FreeDim) and dim is not batch else size
        for dim, size in zip(tensor.shape or (), said, strict=True)
    ]


def _growing(graph: Graph, overrides: Mapping[str, Sequence[int]]) -> dict[str, None]:
    """Names of the free dimensions counted as 1, but for the batch."""
    inputs = [graph.tensors[index] for index in graph.inputs]
    kept = {dim.name for dim in map(open_batch, inputs) if dim is not None}
    for tensor in inputs:
        if tensor.name in overrides:
            kept.update(dim.name for dim in tensor.shape or () if isinstance(dim, FreeDim))
    return {
        dim.name: None
        for tensor in inputs
        for dim in tensor.shape or ()
        if isinstance(dim, FreeDim) and dim.default is None and dim.name not in kept
    }


def _beyond_sizes(graph: Graph) -> bool:
    """Whether an operator is not understood: no size would help."""
    return any(
        layer.kind is Kind.UNKNOWN or any(map(_beyond_sizes, layer.bodies))
        for layer in graph.layers
    )
