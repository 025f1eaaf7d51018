"""What a layer costs: multiply-accumulates and floating-point operations, by counting.md.

MACs are those of convolutions, fully connected layers, matrix products, recurrent gates, SVDF and
attention products, padding taps included, for the batch that shapes were propagated with. FLOPs
are twice that, plus one per output element of elementwise layers, activations (fused ones too),
normalisation, softmax and resizing, one per window element of pools, and one per input element of
reductions. Data movement is free. Unknown is not zero.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgewise.analysis.rules.attention import attention_sizes
from edgewise.analysis.rules.compute import (
    einsum_sizes,
    einsum_terms,
    hidden_units,
    operands,
    recurrent_steps,
)
from edgewise.analysis.rules.windows import spatial
from edgewise.analysis.scope import CannotTell, Dims, Shapes, Sizes
from edgewise.analysis.symbolic import product
from edgewise.graph import Graph, Kind, Layer


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one layer or of a whole graph; None where it cannot be told, `why` says why.

    `known` is the part of the MACs that is certain: all of it where `macs` is not None.
    """

    macs: int | None
    flops: int | None
    known: int
    why: tuple[str, ...] = ()


FREE = Cost(0, 0, 0)


class _View(Sizes):
    """The inputs and outputs of one layer with their shapes: what the formulas read."""

    def __init__(self, layer: Layer, dims: list[Dims | None]) -> None:
        super().__init__(dims)
        self.layer = layer

    def x(self, place: int = 0) -> Dims:
        return self.shape(self.layer, place)

    def out(self, place: int = 0) -> Dims:
        index = self.layer.outputs[place] if place < len(self.layer.outputs) else None
        dims = None if index is None else self.dims[index]
        if dims is None:
            raise CannotTell
        return dims


def layer_costs(graph: Graph, shapes: Shapes) -> list[Cost]:
    """The cost of every layer, in order; control flow with its bodies."""
    return [
        _refused(layer, shapes.refused[index])
        if index in shapes.refused
        else _control(layer, shapes, index)
        if layer.bodies
        else _plain(layer, shapes.dims)
        for index, layer in enumerate(graph.layers)
    ]


def total(costs: list[Cost]) -> Cost:
    """The sum. One layer that cannot be told makes the sum unknown; `known` has the rest."""
    macs: int | None = 0
    flops: int | None = 0
    known: int = 0
    why: dict[str, None] = {}
    for cost in costs:
        macs = None if macs is None or cost.macs is None else cost.macs + macs
        flops = None if flops is None or cost.flops is None else cost.flops + flops
        known = cost.known + known
        why.update(dict.fromkeys(cost.why))
    return Cost(macs, flops, known, tuple(why))


def _refused(layer: Layer, why: str) -> Cost:
    return Cost(None, None, 0, (f"{layer.op}: cannot run with these sizes: {why}",))


def _plain(layer: Layer, dims: list[Dims | None]) -> Cost:
    if layer.kind is Kind.UNKNOWN:
        return Cost(None, None, 0, (f"{layer.op}: not understood, it may multiply and accumulate",))
    if layer.kind is Kind.WEIGHTS:
        return Cost(None, None, 0, ("weights alone: what is done with them is not in the file",))
    view = _View(layer, dims)
    try:
        macs = _MACS[layer.kind](view) if layer.kind in _MACS else 0
    except (CannotTell, IndexError, KeyError, TypeError):
        return Cost(None, None, 0, (f"{layer.op}: MACs need a shape that is not known",))
    try:
        extra = _EXTRA.get(layer.kind, _none)(view)
        if layer.attributes.get("activation"):
            extra = product(view.out()) + extra
    except (CannotTell, IndexError, KeyError, TypeError):
        return Cost(macs, None, macs, (f"{layer.op}: FLOPs need a shape that is not known",))
    return Cost(macs, macs * 2 + extra, macs)


def _control(layer: Layer, shapes: Shapes, index: int) -> Cost:
    """The costlier branch of an `if`; a loop's body as often as it runs."""
    if layer.attributes.get("once"):  # set-up, done before the first inference
        return FREE
    found = shapes.bodies.get(index)
    if found is None:
        return Cost(None, None, 0, (f"{layer.op}: a body that could not be followed",))
    bodies = [total(layer_costs(b, s)) for b, s in zip(layer.bodies, found, strict=True)]
    if layer.kind is Kind.IF:
        taken = shapes.taken.get(index)
        # A branch that these sizes never take may not fit them: then it does not count.
        return _costlier([b for at, b in enumerate(bodies) if taken in (None, at) or not b.why])
    once = total(bodies)
    trips = shapes.trips.get(index)
    if trips is not None:
        return Cost(
            _times(once.macs, trips), _times(once.flops, trips), once.known * trips, once.why
        )
    reason = f"{layer.op}: how often it loops is not constant"
    return Cost(0 if once.macs == 0 else None, None, 0, (*once.why, reason))


def _costlier(branches: list[Cost]) -> Cost:
    why = tuple(dict.fromkeys(reason for branch in branches for reason in branch.why))
    macs = [branch.macs for branch in branches]
    flops = [branch.flops for branch in branches]
    return Cost(
        None if None in macs else max((m for m in macs if m is not None), default=0),
        None if None in flops else max((f for f in flops if f is not None), default=0),
        max((branch.known for branch in branches), default=0),
        why,
    )


def _times(value: int | None, trips: int) -> int | None:
    return None if value is None else value * trips


# Multiply-accumulates


def _conv(view: _View) -> int:
    layout = view.layer.attributes.get("layout", "channels_first")
    places = spatial(view.out(), layout)
    return product((view.out()[0], *places, *view.x(1)))


def _conv_transpose(view: _View) -> int:
    layout = view.layer.attributes.get("layout", "channels_first")
    return product((view.x()[0], *spatial(view.x(), layout), *view.x(1)))


def _dense(view: _View) -> int:
    flipped = view.layer.attributes.get("weight_layout", "OI") == "IO"
    return product(view.out()) * (view.x(1)[0] if flipped else view.x(1)[-1])


def _matmul(view: _View) -> int:
    columns: int | None = view.layer.attributes.get("n")
    if columns is not None:
        return product(view.x()) * columns
    a, b = operands(view.x(0), view.x(1), view.layer)
    out = view.out()
    lead = out[: max(len(a), len(b)) - 2]
    return product((*lead, a[-2], a[-1], b[-1]))


def _einsum(view: _View) -> int:
    """Every label once: the loop nest; a single operand, or none summed, multiplies nothing."""
    shapes = [view.x(place) for place in range(len(view.layer.inputs))]
    terms, out = einsum_terms(view.layer.attributes["equation"], shapes)
    sizes = einsum_sizes(terms, shapes)
    if len(shapes) < 2 or set(sizes) == set(out):
        return 0
    return product(sizes.values()) * (len(shapes) - 1)


_GATES = {"lstm": 4, "gru": 3, "rnn": 1}


def _recurrent(view: _View) -> int:
    attributes = view.layer.attributes
    steps, batch = recurrent_steps(view.x(), view.layer)
    hidden, projection = hidden_units(view, view.layer), attributes.get("projection")
    size = attributes.get("input_size") or view.x()[-1]
    gates = _GATES[attributes["cell"]] - bool(attributes.get("coupled_input_gate"))
    state = projection or hidden
    once = gates * (size * hidden + state * hidden) + (hidden * projection if projection else 0)
    return product((steps, batch, attributes.get("directions", 1), once))


def _svdf(view: _View) -> int:
    """Per filter: its features and its memory (counting.md: units·rank·(input + memory))."""
    batch, filters, size, memory = view.x()[0], view.x(1)[0], view.x(1)[1], view.x(2)[1]
    return product((batch, filters, size + memory))


def _attention(view: _View) -> int:
    found = attention_sizes(view, view.layer)
    products = (found.keys, found.size + found.value_size)
    macs = product((found.batch, found.heads, found.queries, *products))
    if found.projection is None:
        return macs
    return product((found.batch, found.queries, *found.projection)) + macs


_MACS: dict[Kind, Callable[[_View], int]] = {
    Kind.CONV: _conv,
    Kind.CONV_TRANSPOSE: _conv_transpose,
    Kind.DENSE: _dense,
    Kind.MATMUL: _matmul,
    Kind.EINSUM: _einsum,
    Kind.RECURRENT: _recurrent,
    Kind.SVDF: _svdf,
    Kind.ATTENTION: _attention,
}

# Everything else that computes


def _none(view: _View) -> int:
    return 0


def _per_output(view: _View) -> int:
    return product(view.out())


def _per_input(view: _View) -> int:
    return product(view.x())


def _pool(view: _View) -> int:
    if view.layer.attributes.get("output_size"):  # adaptive: windows that cover the input
        return product(view.x())
    kernel = view.layer.attributes["kernel"]
    window = kernel if isinstance(kernel, int) else product(kernel)
    return product(view.out()) * window


def _gate_activations(view: _View) -> int:
    attributes = view.layer.attributes
    steps, batch = recurrent_steps(view.x(), view.layer)
    directions = attributes.get("directions", 1)
    return product(
        (steps, batch, directions, _GATES[attributes["cell"]], hidden_units(view, view.layer))
    )


def _attention_softmax(view: _View) -> int:
    found = attention_sizes(view, view.layer)
    return product((found.batch, found.heads, found.queries, found.keys))


_EXTRA: dict[Kind, Callable[[_View], int]] = {
    **dict.fromkeys(
        (
            Kind.UNARY,
            Kind.BINARY,
            Kind.WHERE,
            Kind.NORMALISE,
            Kind.SOFTMAX,
            Kind.QUANTIZE,
            Kind.DEQUANTIZE,
            Kind.RESIZE,
            Kind.GRID_SAMPLE,
            Kind.ROI_POOL,
        ),
        _per_output,
    ),
    **dict.fromkeys((Kind.REDUCE, Kind.ARG_REDUCE, Kind.CUMULATIVE, Kind.GLOBAL_POOL), _per_input),
    Kind.POOL: _pool,
    Kind.RECURRENT: _gate_activations,
    Kind.ATTENTION: _attention_softmax,
}
