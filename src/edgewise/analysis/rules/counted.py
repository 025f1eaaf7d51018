"""How often a loop with a condition runs, where sizes and constants fix it.

A counter starts at a known value, the body raises it by a known one, and the condition compares it
with a limit: a constant, or a state that the body hands on as it came. A condition may join several
comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgewise.analysis.scope import Scope, whole
from edgewise.graph import Kind, Layer

#: Comparisons that go on while a counter is below (or at) a limit, by the place of the counter.
_BELOW: dict[tuple[object, int], int] = {
    ("less", 0): 0,
    ("less_equal", 0): 1,
    ("greater", 1): 0,
    ("greater_equal", 1): 1,
}
_MOST_JOINED = 4
#: Layers that hand a value on.
_HANDS_ON = frozenset({Kind.IDENTITY, Kind.CAST, Kind.RESHAPE, Kind.SQUEEZE, Kind.EXPAND_DIMS})
_FURTHEST = 16


@dataclass(slots=True)
class Loop:
    """A loop (`style="while"`) whose condition and body were walked through."""

    outside: Scope
    layer: Layer
    condition: Scope
    body: Scope

    def trips(self) -> int | None:
        """How often the body runs; None where that is not fixed."""
        outputs = self.condition.graph.outputs
        return self._while(outputs[0], 0) if outputs else None

    def _while(self, goes_on: int, depth: int) -> int | None:
        """Both sides of an `and` have to hold: the smaller count is the loop's."""
        test = _maker(self.condition, _traced(self.condition, goes_on))
        if test is None or len(test.inputs) != 2 or depth > _MOST_JOINED:
            return None
        function = test.attributes.get("function")
        if function == "and":
            sides = [None if one is None else self._while(one, depth + 1) for one in test.inputs]
            known = [side for side in sides if side is not None]
            return min(known) if len(known) == 2 else None
        for place in (0, 1):
            if (function, place) in _BELOW:
                beyond = _BELOW[function, place]
                return self._counted(test.inputs[place], test.inputs[1 - place], beyond)
        return None

    def _counted(self, counter: int | None, limit: int | None, beyond: int) -> int | None:
        start, step = self._start(counter), self._step(counter)
        end = _number(self.condition, limit)
        if end is None and self._step(limit) == 0:
            end = self._start(limit)
        if start is None or end is None or step is None or step < 1:
            return None
        return max(0, -((start - end - beyond) // step))

    def _place(self, inside: int | None) -> int | None:
        """Which state a value of the condition is."""
        at = _traced(self.condition, inside)
        inputs = self.condition.graph.inputs
        return inputs.index(at) if at in inputs else None

    def _start(self, inside: int | None) -> int | None:
        """The value of a state before the first trip."""
        place = self._place(inside)
        if place is None or place >= len(self.layer.inputs):
            return None
        return _number(self.outside, self.layer.inputs[place])

    def _step(self, inside: int | None) -> int | None:
        """What a trip adds to a state: 0 if the body hands it on."""
        place = self._place(inside)
        graph = self.body.graph
        if place is None or place >= min(len(graph.inputs), len(graph.outputs)):
            return None
        before, after = graph.inputs[place], _traced(self.body, graph.outputs[place])
        if before == after:
            return 0
        adds = _maker(self.body, after)
        if adds is None or adds.attributes.get("function") != "add":
            return None
        if adds.kind is Kind.UNARY:  # a number that the layer itself has
            step = adds.attributes.get("number")
            source = _traced(self.body, adds.inputs[0])
            return int(step) if source == before and step and step == int(step) else None
        sides = [_traced(self.body, one) for one in adds.inputs]
        others = [one for one in sides if one != before]
        return _number(self.body, others[0]) if len(sides) == 2 and len(others) == 1 else None


def _maker(scope: Scope, tensor: int | None) -> Layer | None:
    return next((layer for layer in scope.graph.layers if tensor in layer.outputs), None)


def _traced(scope: Scope, tensor: int | None) -> int | None:
    """The value that a tensor hands on."""
    for _ in range(_FURTHEST):
        maker = _maker(scope, tensor)
        if maker is None or maker.kind not in _HANDS_ON or len(maker.outputs) != 1:
            break
        tensor = maker.inputs[0] if maker.inputs else None
    return tensor


def _number(scope: Scope, tensor: int | None) -> int | None:
    """The value of a known scalar."""
    value = None if tensor is None else scope.value_of(tensor)
    if value is None or value.size != 1:
        return None
    number = value.reshape(-1)[0]
    if isinstance(number, float) and number.is_integer():  # formats that know no integers
        return int(number)
    return whole(number) if isinstance(number, int) else None
