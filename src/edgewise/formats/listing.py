"""Files that hold weights and no network: their tensors, grouped into the layers that own them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from edgewise.formats.building import Builder, Meaning
from edgewise.graph import Graph, Kind, Tensor

#: Words that end a tensor's name where it belongs to the layer named before them.
_SEPARATOR = "."


def weights_graph(
    tensors: Iterable[Tensor], fmt: str, ops: Mapping[str, str] | None = None
) -> Graph:
    """The tensors of a file as a graph of layers that only hold weights.

    `a.b.weight` and `a.b.bias` belong to the layer `a.b`. `ops` says what layers are, where the
    file does. What is done with the weights is not known, so neither are multiply-accumulates.
    """
    builder = Builder()
    owned: dict[str, list[int]] = {}
    for tensor in tensors:
        owner = tensor.name.rpartition(_SEPARATOR)[0] or tensor.name
        owned.setdefault(owner, []).append(builder.add(tensor))
    if not owned:
        builder.layer("", "weights", Meaning(Kind.WEIGHTS), (), ())
    for owner, indices in owned.items():
        op = (ops or {}).get(owner, "weights")
        builder.layer(owner, op, Meaning(Kind.WEIGHTS), indices, ())
    graph = builder.graph
    graph.format, graph.level = fmt, "operators"
    return graph
