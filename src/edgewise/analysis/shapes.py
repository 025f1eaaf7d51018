"""Shapes, propagated from the inputs.

What a file states of intermediate shapes may be stale, missing or symbolic, so every layer's
output shapes follow from its inputs by the rule of its kind (`rules/`). Small integer values
(shapes, axes, sizes) are computed along the way, since they decide later shapes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from edgewise.analysis.rules import apply
from edgewise.analysis.scope import Rules, Scope, Shapes, open_batch
from edgewise.analysis.stated import stated_dims
from edgewise.analysis.symbolic import Symbols
from edgewise.errors import UsageError
from edgewise.graph import FreeDim, Graph

#: Times that a network is walked through again with sizes learnt from its weights.
LEARNT_AT_MOST = 4


def propagate(
    graph: Graph,
    overrides: Mapping[str, Sequence[int]] | None = None,
    supposed: Mapping[str, int] = MappingProxyType({}),
) -> Shapes:
    """Shapes of all tensors of a network.

    A free dimension whose size is told by the weights that it meets (features, channels) takes
    that size: then the network is walked through once more.

    Args:
        graph: the network.
        overrides: shapes of inputs by name, instead of what the file states.
        supposed: sizes of free dimensions by name, where nothing else says them.

    Raises:
        UsageError: an override names no input, or has another number of dimensions.
    """
    said = _said(graph, overrides or {})
    learnt: dict[str, int] = {}
    for _ in range(LEARNT_AT_MOST + 1):
        scope = Scope(graph, Symbols(), [], 0, Rules(apply, stated_dims))
        scope.learnt, scope.supposed = learnt, supposed
        for index in graph.inputs:
            tensor = graph.tensors[index]
            wanted = (overrides or {}).get(tensor.name)
            scope.dims[index] = scope.opened(tensor, wanted, said, known=True)
            if wanted is None:
                scope.as_the_file_says.add(index)
        shapes = scope.run()
        batches = {d.name for d in map(open_batch, scope.inputs()) if d is not None}
        known = said.keys() | learnt.keys() | batches
        more = {n: size for n, size in scope.symbols.fits.items() if n not in known}
        if not more:
            break
        learnt = {**learnt, **more}
    return shapes


def _said(graph: Graph, overrides: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """The sizes of free dimensions that overrides give: one said is that of all that share it."""
    names = [graph.tensors[index].name for index in graph.inputs]
    for name in overrides:
        if name not in names:
            raise UsageError(f"--shape: no input {name!r}", hint=f"inputs: {', '.join(names)}")
    said: dict[str, int] = {}
    for index in graph.inputs:
        tensor = graph.tensors[index]
        wanted = overrides.get(tensor.name)
        if wanted is not None and tensor.shape is not None and len(wanted) != len(tensor.shape):
            raise UsageError(
                f"--shape: {tensor.name} has {len(tensor.shape)} dimensions, not {len(wanted)}"
            )
        for axis, (stated, size) in enumerate(zip(tensor.shape or (), wanted or (), strict=False)):
            if isinstance(stated, FreeDim):
                said.setdefault(stated.name, int(size))
            elif stated != size and not graph.resizable:
                raise UsageError(
                    f"--shape: axis {axis} of {tensor.name} is {stated} in the file, not {size}"
                )
    return said
