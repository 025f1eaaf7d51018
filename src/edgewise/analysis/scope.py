"""What the rules see of a graph while its shapes are propagated, and what propagation gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from edgewise.analysis.symbolic import Dim, Symbols, product
from edgewise.analysis.typed import Value, as_type
from edgewise.errors import InputError
from edgewise.graph import DTYPE_BITS, FreeDim, Graph, Layer, Tensor

Dims = tuple[int, ...]

#: Constants up to this size are read where a rule asks for their value.
SMALL_BYTES = 64 * 1024
#: Computed values are kept up to this many elements.
SMALL_ELEMENTS = 4096
#: Bodies of control flow nested deeper than this are not followed.
DEEPEST = 32


class CannotTell(Exception):
    """A rule lacks what it needs to tell a shape, or the layer contradicts itself."""


class Impossible(CannotTell):
    """No runtime could run the layer: the sizes of its inputs, all known, do not fit."""


def require(fits: bool, why: str) -> None:
    """Raise `Impossible` with the reason where a layer's sizes do not fit together."""
    if not fits:
        raise Impossible(why)


#: What a rule meets in a layer that lacks something.
_LACKING = (CannotTell, KeyError, TypeError)
#: What it meets in a layer whose parts do not fit together.
_CONTRADICTIONS = (IndexError, ValueError, ZeroDivisionError, OverflowError)
#: A size beyond this is none: no runtime counts so far.
_LARGEST = 1 << 62


@dataclass(slots=True)
class Shapes:
    """What propagation found for one graph.

    `dims` has a shape or None per tensor; `values` the known small values; `bodies` the same for
    each control-flow layer (by its index), in the order of `Layer.bodies`; `trips` how often a
    loop's body runs, None where that is not constant; `taken` which body of an `if` runs, where
    that follows from the sizes. `refused` has the layers that cannot run with these sizes, by
    their index, with the reason.
    """

    dims: list[Dims | None]
    values: dict[int, Value]
    bodies: dict[int, list[Shapes]] = field(default_factory=dict)
    trips: dict[int, int | None] = field(default_factory=dict)
    taken: dict[int, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    refused: dict[int, str] = field(default_factory=dict)

    @property
    def impossible(self) -> bool:
        """Whether a layer, or one in a body that runs, cannot run with these sizes."""
        return bool(self.refused) or any(
            body.impossible
            for index, bodies in self.bodies.items()
            for at, body in enumerate(bodies)
            if self.taken.get(index, at) == at
        )


def open_batch(tensor: Tensor) -> FreeDim | None:
    """The first of several dimensions, where it is free: a batch, which is 1."""
    first = tensor.shape[0] if tensor.shape and len(tensor.shape) > 1 else None
    return first if isinstance(first, FreeDim) else None


class Sizes:
    """The shapes of a graph's tensors, None where one is not known, as its layers see them."""

    def __init__(self, dims: list[Dims | None]) -> None:
        self.dims = dims

    def shape(self, layer: Layer, place: int) -> Dims:
        """Shape of the input at `place`. Raises CannotTell where there is none or it is unknown."""
        dims = self.maybe_shape(layer, place)
        if dims is None:
            raise CannotTell
        return dims

    def maybe_shape(self, layer: Layer, place: int) -> Dims | None:
        """Shape of the input at `place`, or None."""
        index = layer.inputs[place] if place < len(layer.inputs) else None
        return None if index is None else self.dims[index]


class Scope(Sizes):
    """One graph or body while its shapes are propagated: what the rules see."""

    def __init__(
        self, graph: Graph, symbols: Symbols, notes: list[str], depth: int, rules: Rules
    ) -> None:
        self.graph = graph
        self.symbols = symbols
        self.notes = notes
        self.depth = depth
        self._rules = rules
        super().__init__([None] * len(graph.tensors))
        self.values: dict[int, Value] = {}
        self.bodies: dict[int, list[Shapes]] = {}
        self.trips: dict[int, int | None] = {}
        self.taken: dict[int, int] = {}
        self.refused: dict[int, str] = {}
        self.learnt: Mapping[str, int] = {}
        self.supposed: Mapping[str, int] = {}
        #: Inputs whose shape the user did not say.
        self.as_the_file_says: set[int] = set()
        self._at = 0
        for index, tensor in enumerate(graph.tensors):
            if tensor.weights is not None and tensor.shape is not None:
                self.dims[index] = tuple(d for d in tensor.shape if isinstance(d, int))

    def run(self) -> Shapes:
        """Propagate through all layers, in the file's order."""
        self._open_the_unproduced()
        for index, layer in enumerate(self.graph.layers):
            self._at = index
            self._apply(layer)
        return Shapes(
            self.dims, self.values, self.bodies, self.trips, self.taken, self.notes, self.refused
        )

    def inputs(self) -> list[Tensor]:
        """The inputs of the graph."""
        return [self.graph.tensors[index] for index in self.graph.inputs]

    def _apply(self, layer: Layer) -> None:
        found: list[Dims | None] = []
        try:
            found = self._rules.apply(self, layer)
            if any(not 0 <= size < _LARGEST for dims in found for size in dims or ()):
                raise Impossible("a size below 0, or beyond all bounds")
        except Impossible as error:
            self._refuse(layer, str(error))
            return
        except _CONTRADICTIONS:
            self._refuse(layer, "its parts do not fit together")
            return
        except _LACKING:
            found = []  # the file's word is taken below, or the cost becomes unknown
        for place, index in enumerate(layer.outputs):
            if index is None or self.graph.tensors[index].weights is not None:
                continue
            dims = found[place] if place < len(found) else None
            self.dims[index] = dims if dims is not None else self._rules.stated(self, layer, index)

    def _refuse(self, layer: Layer, why: str) -> None:
        """No runtime runs the layer with these sizes: nothing is known of what follows."""
        self.refused[self._at] = why
        for index in layer.outputs:
            if index is not None and self.graph.tensors[index].weights is None:
                self.dims[index] = None
                self.values.pop(index, None)

    def _open_the_unproduced(self) -> None:
        """State that lives across runs is produced by no layer: its stated shape counts."""
        produced = {index for layer in self.graph.layers for index in layer.outputs}
        for layer in self.graph.layers:
            for index in layer.inputs:
                if index is not None and self.dims[index] is None and index not in produced:
                    self.dims[index] = self.opened(self.graph.tensors[index], None)

    def opened(
        self,
        tensor: Tensor,
        wanted: Sequence[int] | None,
        said: Mapping[str, int] = MappingProxyType({}),
        known: bool = False,
    ) -> Dims | None:
        """A stated shape with its free dimensions filled in (counting.md), noted where not a batch.

        `wanted` is its whole shape, `said` the sizes of free dimensions by name. `known`: the
        caller feeds it, its free dimensions are those of whatever else has their names.
        """
        if tensor.shape is None:
            return None if wanted is None else tuple(wanted)
        dims = []
        for axis, stated in enumerate(tensor.shape):
            if not isinstance(stated, FreeDim):
                size = stated if wanted is None else int(wanted[axis])
                if size != stated:
                    self.note(f"{tensor.name}: the file fixes axis {axis} at {stated}; said {size}")
                dims.append(size)
                continue
            if wanted is not None:
                value = int(wanted[axis])
            elif stated.name in said:
                value = said[stated.name]
            elif stated.name in self.learnt:
                size = self.learnt[stated.name]
                self.note(f"{tensor.name}: free dimension {stated} is {size}, its weights say")
                dims.append(size)
                continue
            else:
                value = self._assumed(tensor, stated, open_batch(tensor) is stated)
            dims.append(self.symbols.dim(stated.name, value))
            if known:
                self.symbols.opened.setdefault(stated.name, dims[-1])
        return tuple(dims)

    def _assumed(self, tensor: Tensor, dim: FreeDim, batch: bool) -> int:
        """The size that a free dimension is counted as (counting.md), where nothing says one."""
        if batch:
            return 1
        return self.supposed_size(tensor, dim)

    def supposed_size(self, tensor: Tensor, dim: FreeDim) -> int:
        """The size that a free dimension is counted as where nothing says one, noted."""
        size = self.supposed.get(dim.name, 1 if dim.default is None else dim.default)
        self.note(f"{tensor.name}: free dimension {dim} counted as {size}")
        return size

    def note(self, text: str) -> None:
        """Tell the user once."""
        if text not in self.notes:
            self.notes.append(text)

    # What rules ask

    def value(self, layer: Layer, place: int) -> Value | None:
        """Value of the input at `place` where it is small and known, or None."""
        index = layer.inputs[place] if place < len(layer.inputs) else None
        return None if index is None else self.value_of(index)

    def value_of(self, index: int) -> Value | None:
        """Value of a tensor where it is small and known, or None."""
        known = self.values.get(index)
        if known is not None:
            return known
        tensor = self.graph.tensors[index]
        if tensor.weights is None or tensor.weights.nbytes > SMALL_BYTES:
            return None
        try:
            array = tensor.array()
        except (InputError, ValueError):
            return None
        if array.dtype.kind not in "iufb":
            return None
        self.values[index] = np.array(array.tolist(), dtype=object)
        return self.values[index]

    def ints(self, layer: Layer, name: str, place: int | None = None) -> list[int] | None:
        """Whole numbers given as attribute `name` or as the input at `place`; None where absent.

        Raises:
            CannotTell: the input is there, but its value is not known.
        """
        given = layer.attributes.get(name)
        if given is not None:
            return [given] if isinstance(given, int) else list(given)
        if place is None or place >= len(layer.inputs) or layer.inputs[place] is None:
            return None
        value = self.value(layer, place)
        if value is None:
            raise CannotTell
        return [whole(item) for item in value.reshape(-1)]

    def supply(self, layer: Layer, place: int, dims: Dims) -> None:
        """Give a stored input the shape that follows from its layer, where the file states none.

        Its weights did not come along: only what it takes of the layer's inputs tells its shape.
        """
        index = layer.inputs[place] if place < len(layer.inputs) else None
        if index is None or self.dims[index] is not None:
            return
        tensor = self.graph.tensors[index]
        if tensor.weights is None or tensor.shape is not None:
            return
        self.dims[index] = dims
        tensor.shape = tuple(int(size) for size in dims)
        nbytes = int(product(tensor.shape)) * DTYPE_BITS.get(tensor.dtype, 32) // 8
        tensor.weights = replace(tensor.weights, nbytes=nbytes)

    def set_value(
        self, layer: Layer, value: Value, place: int = 0, spread: Sequence[int] | None = None
    ) -> None:
        """Keep the value of an output where it is small, as its type holds it.

        Args:
            spread: the shape over which the value is repeated, instead of its own.
        """
        index = layer.outputs[place] if place < len(layer.outputs) else None
        if index is not None and value.size <= SMALL_ELEMENTS:
            held = as_type(value, self.graph.tensors[index].dtype)
            self.values[index] = held if spread is None else np.broadcast_to(held, spread)

    def enter(self, body: Graph) -> Scope:
        """A scope for a body of control flow; what it captures is known from here.

        Raises:
            CannotTell: bodies are nested too deeply.
        """
        if self.depth >= DEEPEST:
            raise CannotTell
        inner = Scope(body, self.symbols, self.notes, self.depth + 1, self._rules)
        inner.learnt, inner.supposed = self.learnt, self.supposed
        for inside, outside in body.captures.items():
            inner.dims[inside] = self.dims[outside]
            value = self.value_of(outside)
            if value is not None:
                inner.values[inside] = value
        return inner

    def fit(self, size: int, wanted: int) -> None:
        """Learn what a free dimension has to be for the weights that it meets."""
        if isinstance(size, Dim) and not isinstance(wanted, Dim):
            size.fit(wanted)

    def small(self, dims: Dims) -> bool:
        """Whether a value of this shape is worth computing (and safe: files state any size)."""
        return product(dims) <= SMALL_ELEMENTS

    def keep(self, bodies: list[Shapes], trips: int | None = 1, taken: int | None = None) -> None:
        """Remember what was found for the bodies of the layer at hand."""
        self.bodies[self._at] = bodies
        self.trips[self._at] = trips
        if taken is not None:
            self.taken[self._at] = taken


def whole(number: Any) -> int:
    """A Python int, its formula kept where it has one."""
    return number if isinstance(number, int) and not isinstance(number, bool) else int(number)


#: How a layer's output shapes follow from its inputs, in order; None for one that cannot be told.
Rule = Callable[[Scope, Layer], list[Dims | None]]


class Rules(NamedTuple):
    """What propagation goes by: the rule of every layer, and the file's word on an output that no
    rule tells, None where that no longer holds."""

    apply: Rule
    stated: Callable[[Scope, Layer, int], Dims | None]
