"""Peak activation memory: the largest sum of live tensor bytes over the execution order.

Inputs and outputs of the running layer are both live, nothing happens in place; weights do not
count (counting.md), nor does what follows from weights alone (a float32 copy of float16 weights). A
model's inputs live until their last use, its outputs to the end; state that survives a run is live
throughout. A control-flow layer adds the peak of its costlier body.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgewise.analysis.scope import Dims, Shapes
from edgewise.graph import DTYPE_BITS, Graph, Kind


def tensor_bytes(dims: Dims | None, dtype: str) -> int | None:
    """Bytes of a tensor, sub-byte types packed; None for an unknown shape or a type of no size.

    A handle of a variable holds nothing itself: what is read through it is another tensor.
    """
    if dtype == "resource":
        return 0
    bits = DTYPE_BITS.get(dtype)
    if dims is None or bits is None:
        return None
    return (math.prod(map(int, dims)) * bits + 7) // 8


def peak_activation_bytes(
    graph: Graph,
    shapes: Shapes,
    constants: frozenset[int] = frozenset(),
    arguments: frozenset[int] = frozenset(),
) -> int | None:
    """The peak, in bytes; None where the size of a live tensor is not known.

    Args:
        graph: the network, or a body of control flow.
        shapes: its shapes.
        constants: tensors of a body that follow from weights alone outside it.
        arguments: tensors of a body that are those of its caller, which counts them.
    """
    if graph.layers and all(layer.kind is Kind.WEIGHTS for layer in graph.layers):
        return None  # nothing is known to run
    constant = _constants(graph, constants)
    sizes = _activation_sizes(graph, shapes, constant | arguments)
    last = _last_uses(graph)
    produced = {index for layer in graph.layers for index in layer.outputs if index is not None}
    live = {index for index in last if index in sizes and index not in produced}
    live |= {index for index in graph.inputs if index in sizes}
    if any(sizes[index] is None for index in live):
        return None
    now = sum(sizes[index] or 0 for index in live)
    peak = now
    for step, layer in enumerate(graph.layers):
        before = now
        for index in layer.outputs:
            if index is None or index in live or index not in sizes:
                continue
            size = sizes[index]
            if size is None:
                return None
            live.add(index)
            now += size
        inner = _bodies_peak(graph, shapes, step, constant)
        if inner is None:
            return None
        # What a function makes is what it returns: its results are not there twice.
        peak = max(peak, now, inner + (before if layer.kind is Kind.CALL else now))
        for index in {*layer.inputs, *layer.outputs}:
            if index in live and last.get(index, step) <= step:
                live.discard(index)
                now -= sizes[index] or 0
    return peak


def _activation_sizes(graph: Graph, shapes: Shapes, without: set[int]) -> dict[int, int | None]:
    return {
        index: tensor_bytes(dims, tensor.dtype)
        for index, (tensor, dims) in enumerate(zip(graph.tensors, shapes.dims, strict=True))
        if index not in without and index not in graph.captures
    }


def _constants(graph: Graph, given: frozenset[int]) -> set[int]:
    """Stored tensors, those given, and those that are computed from such alone."""
    constant = {i for i, tensor in enumerate(graph.tensors) if tensor.weights is not None} | given
    for layer in graph.layers:
        sources = [index for index in layer.inputs if index is not None]
        if sources and not layer.bodies and constant.issuperset(sources):
            constant.update(index for index in layer.outputs if index is not None)
    return constant


def _last_uses(graph: Graph) -> dict[int, int]:
    """The step after which a tensor is not needed any more; outputs and state: never."""
    last: dict[int, int] = {}
    produced: set[int] = set()
    state: set[int] = set()
    for step, layer in enumerate(graph.layers):
        for index in layer.inputs:
            if index is not None:
                last[index] = step
                if index not in produced and index not in graph.inputs:
                    state.add(index)
        for body in layer.bodies:
            last.update(dict.fromkeys(body.captures.values(), step))
        produced.update(index for index in layer.outputs if index is not None)
    end = len(graph.layers)
    last.update(dict.fromkeys((*graph.outputs, *state), end))
    return last


def _bodies_peak(graph: Graph, shapes: Shapes, step: int, constant: set[int]) -> int | None:
    layer = graph.layers[step]
    bodies = layer.bodies
    if not bodies:
        return 0
    found = shapes.bodies.get(step)
    if found is None:
        return None
    arguments = layer.inputs if layer.kind is Kind.CALL else ()
    peaks = [
        _body_peak(body, inner, arguments, constant)
        for body, inner in zip(bodies, found, strict=True)
    ]
    if (taken := shapes.taken.get(step)) is not None and peaks[taken] is not None:
        peaks = [peak for peak in peaks if peak is not None]
    return None if None in peaks else max(p for p in peaks if p is not None)


def _body_peak(
    body: Graph, shapes: Shapes, arguments: Sequence[int | None], constant: set[int]
) -> int | None:
    """The peak of one body; `arguments` are the caller's tensors that its inputs stand for."""
    outside = dict(body.captures)
    outside.update(
        (inside, index)
        for inside, index in zip(body.inputs, arguments, strict=False)
        if index is not None
    )
    weights = frozenset(inside for inside, index in outside.items() if index in constant)
    return peak_activation_bytes(body, shapes, weights, frozenset(outside))
