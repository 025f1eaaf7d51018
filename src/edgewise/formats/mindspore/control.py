"""Control flow of MindSpore Lite: subgraphs that are called with values bound before.

`PartialFusion` binds values to a subgraph, `Switch` picks one of two by a condition, `Call` runs
it. A loop is a subgraph whose switch picks between a body that calls it again and what comes after.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from edgewise.errors import RejectedModel
from edgewise.formats.building import Builder
from edgewise.formats.kit import Meaning
from edgewise.formats.mindspore.model import operator
from edgewise.graph import Kind

if TYPE_CHECKING:
    from edgewise.formats.flatbuffer import Table
    from edgewise.formats.mindspore.model import Model

DEPTH_LIMIT = 64


class Bound(NamedTuple):
    """A subgraph with the numbers of the values bound to it."""

    subgraph: int
    values: tuple[int, ...]


class Picked(NamedTuple):
    """One of two by a condition."""

    condition: int
    true: Bound
    false: Bound


class Walked(NamedTuple):
    """A subgraph walked through: where it began, what its last call calls."""

    builder: Builder
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    calls: Bound | Picked | None


class Follower:
    """Adds nodes to a graph, following calls."""

    def __init__(self, model: Model, builder: Builder, depth: int = 0) -> None:
        if depth > DEPTH_LIMIT:
            raise RejectedModel(f"calls nested deeper than {DEPTH_LIMIT}")
        self._model = model
        self._builder = builder
        self._depth = depth
        self._bound: dict[int, Bound | Picked] = {}

    def node(self, node: Table) -> None:
        """Add a node, or follow it."""
        op = operator(node)
        if op not in ("PartialFusion", "Switch", "Call"):
            self._model.add_node(self._builder, node)
            return
        called = self._bind(node, op)
        if called is not None:
            self._call(called, node.uint32s(4))

    def _bind(self, node: Table, op: str) -> Bound | Picked | None:
        """Remember what a node binds or picks; what a call calls."""
        inputs, outputs = node.uint32s(3), node.uint32s(4)
        primitive = node.table(2)
        content = primitive.table(1) if primitive is not None else None
        if op == "PartialFusion" and content is not None:
            self._bound[outputs[0]] = Bound(content.int64(0), tuple(inputs))
        elif op == "Switch":
            true, false = (self._bound.get(index) for index in inputs[1:3])
            if isinstance(true, Bound) and isinstance(false, Bound):
                self._bound[outputs[0]] = Picked(inputs[0], true, false)
        else:
            called = self._bound.get(inputs[0])
            if called is None:
                raise RejectedModel("a call of what is no subgraph")
            return called
        return None

    def _call(self, called: Bound | Picked, outputs: tuple[int, ...]) -> None:
        if isinstance(called, Picked):
            self._branch(called, outputs)
            return
        probe = self._walk(called.subgraph, nested=True)
        if isinstance(probe.calls, Picked) and self._is_loop(called.subgraph, probe.calls):
            self._loop(called, probe, outputs)
        else:
            self._inline(called, outputs)

    def _inline(self, called: Bound, outputs: tuple[int, ...]) -> None:
        """A subgraph that runs once, here."""
        table = self._model.subgraphs[called.subgraph]
        for number, value in zip(table.uint32s(1), called.values, strict=False):
            self._builder.rebind(number, self._model.use(self._builder, value))
        inner = Follower(self._model, self._builder, self._depth + 1)
        for number in table.uint32s(3):
            inner.node(self._model.nodes[number])
        for given, made in zip(outputs, table.uint32s(2), strict=False):
            self._builder.rebind(given, self._model.use(self._builder, made))

    def _walk(self, subgraph: int, *, nested: bool = False) -> Walked:
        """A subgraph in a graph of its own, its last call not followed."""
        table = self._model.subgraphs[subgraph]
        builder = Builder("", self._model.budget)
        inner = Follower(self._model, builder, self._depth + 1)
        inputs = table.uint32s(1)
        for number in inputs:
            builder.graph.inputs.append(self._model.define(builder, number))
        calls: Bound | Picked | None = None
        for number in table.uint32s(3):
            node = self._model.nodes[number]
            op = operator(node)
            if op in ("PartialFusion", "Switch", "Call"):
                calls = inner._bind(node, op) or calls
            else:
                self._model.add_node(builder, node)
        return Walked(builder, inputs, table.uint32s(2), calls)

    def _is_loop(self, subgraph: int, picked: Picked) -> bool:
        body = self._walk(picked.true.subgraph)
        return isinstance(body.calls, Bound) and body.calls.subgraph == subgraph

    def _loop(self, called: Bound, condition: Walked, outputs: tuple[int, ...]) -> None:
        picked = condition.calls
        if not isinstance(picked, Picked):
            raise RejectedModel("a loop without a condition")
        body = self._walk(picked.true.subgraph)
        if not isinstance(body.calls, Bound):
            raise RejectedModel("a loop whose body does not go round")
        model = self._model
        condition.builder.graph.outputs = [model.use(condition.builder, picked.condition)]
        # The body sees the values that the condition's graph bound for it.
        order = list(condition.inputs)
        graph = body.builder.graph
        made = [model.use(body.builder, value) for value in body.calls.values]
        places = [order.index(value) if value in order else None for value in picked.true.values]
        if None in places or len(made) != len(order):
            raise RejectedModel("a loop whose body takes what the condition computes")
        inputs = list(graph.inputs)
        graph.inputs = [
            inputs[places.index(at)] if at in places else body.builder.add(model.tensor(order[at]))
            for at in range(len(order))
        ]
        graph.outputs = made
        states = [model.use(self._builder, value) for value in called.values]
        after = [self._builder.add(model.tensor(number)) for number in order]
        self._builder.layer(
            "while", "while", Meaning(Kind.LOOP, {"style": "while"}), states, after,
            (condition.builder.graph, graph),
        )  # fmt: skip
        for number, index in zip(order, after, strict=True):
            self._builder.rebind(number, index)
        self._inline(picked.false, outputs)

    def _branch(self, picked: Picked, outputs: tuple[int, ...]) -> None:
        """Both sides as bodies that take the values bound to them."""
        bodies = []
        for side in (picked.true, picked.false):
            walked = self._walk(side.subgraph)
            graph = walked.builder.graph
            for inside, value in zip(graph.inputs, side.values, strict=False):
                graph.captures[inside] = self._model.use(self._builder, value)
            graph.inputs.clear()
            graph.outputs = [self._model.use(walked.builder, number) for number in walked.outputs]
            bodies.append(graph)
        condition = self._model.use(self._builder, picked.condition)
        made = [self._model.define(self._builder, number) for number in outputs]
        self._builder.layer("if", "if", Meaning(Kind.IF), [condition], made, tuple(bodies))
