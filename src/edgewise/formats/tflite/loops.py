"""How often a TFLite WHILE runs, where the file fixes it.

Converters write a recurrent layer as a loop over time steps: a counter that starts at a constant,
that the body raises by a constant, and that the condition compares with a constant limit. A limit
may also be carried through the loop unchanged, and a condition may join several comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgewise.graph import Graph, Layer, Tensor

#: Comparisons that go on while a counter is below (or at) a limit, by the place of the counter.
_BELOW: dict[tuple[object, int], int] = {
    ("less", 0): 0,
    ("less_equal", 0): 1,
    ("greater", 1): 0,
    ("greater_equal", 1): 1,
}
_MOST_JOINED = 4


def trip_count(layer: Layer, graph: Graph) -> int | None:
    """How often the body of a loop (`style="while"`) in `graph` runs; None: not fixed."""
    if len(layer.bodies) != 2:
        return None
    condition, body = layer.bodies
    if len(condition.outputs) != 1:
        return None
    return _Loop(layer, graph, condition, body).trips(condition.outputs[0])


@dataclass(slots=True)
class _Loop:
    layer: Layer
    graph: Graph
    condition: Graph
    body: Graph

    def trips(self, goes_on: int, depth: int = 0) -> int | None:
        """How often a condition holds. Both sides of an `and` have to: the smaller one counts."""
        test = _maker(self.condition, goes_on)
        if test is None or len(test.inputs) != 2 or depth > _MOST_JOINED:
            return None
        function = test.attributes.get("function")
        if function == "and":
            sides = [None if one is None else self.trips(one, depth + 1) for one in test.inputs]
            known = [side for side in sides if side is not None]
            return min(known) if len(known) == 2 else None
        for place in (0, 1):
            if (function, place) in _BELOW:
                beyond = _BELOW[function, place]
                return self._counted(test.inputs[place], test.inputs[1 - place], beyond)
        return None

    def _counted(self, counter: int | None, limit: int | None, beyond: int) -> int | None:
        start, step = self._start(counter), self._step(counter)
        end = _constant(self.condition, limit)
        if end is None and self._step(limit) == 0:
            end = self._start(limit)
        if start is None or end is None or step is None or step < 1:
            return None
        return max(0, -((start - end - beyond) // step))

    def _start(self, inside: int | None) -> int | None:
        """The value of a state before the first trip."""
        place = self._place(inside)
        if place is None or place >= len(self.layer.inputs):
            return None
        return _constant(self.graph, self.layer.inputs[place])

    def _step(self, inside: int | None) -> int | None:
        """What a trip adds to a state: 0 if the body hands it through."""
        place = self._place(inside)
        if place is None or place >= min(len(self.body.inputs), len(self.body.outputs)):
            return None
        before, after = self.body.inputs[place], self.body.outputs[place]
        if before == after:
            return 0
        adds = _maker(self.body, after)
        if adds is None or adds.attributes.get("function") != "add" or before not in adds.inputs:
            return None
        others = [index for index in adds.inputs if index != before]
        return _constant(self.body, others[0]) if len(others) == 1 else None

    def _place(self, inside: int | None) -> int | None:
        """Which state a tensor of the condition is."""
        return self.condition.inputs.index(inside) if inside in self.condition.inputs else None


def _maker(graph: Graph, tensor: int) -> Layer | None:
    return next((layer for layer in graph.layers if tensor in layer.outputs), None)


def _constant(graph: Graph, tensor: int | None) -> int | None:
    """The value of a stored scalar of whole numbers."""
    stored = None if tensor is None else graph.tensors[tensor]
    if stored is None or stored.weights is None or not _is_whole_scalar(stored):
        return None
    return int.from_bytes(stored.weights.load(), "little", signed=True)


def _is_whole_scalar(tensor: Tensor) -> bool:
    sizes = {"int32": 4, "int64": 8}
    return (
        tensor.shape in ((), (1,))
        and tensor.weights is not None
        and tensor.weights.nbytes == sizes.get(tensor.dtype)
    )
