"""Loops of TensorFlow 1: cycles in the graph, told by the name of their frame.

Each state enters by Enter, meets its next value in Merge, leaves the loop or goes round by Switch,
and comes back by NextIteration. What enters without a Merge stays as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgewise.errors import RejectedModel
from edgewise.formats.tensorflow.nodes import Node
from edgewise.graph import Kind

if TYPE_CHECKING:
    from edgewise.formats.tensorflow.graphs import Builder, Ref


class Frame:
    """One loop. `exits` gives the state that an Exit node is, as a value of the loop's layer."""

    def __init__(self, builder: Builder, name: str) -> None:
        self._builder = builder
        self.name = name
        self.key: Ref = (f"loop {name}", 0)
        self.exits: dict[str, Ref] = {}
        self._enters: list[Node] = []
        self._merges: list[Node | None] = []
        self._next: dict[str, Ref] = {}
        self._switches: dict[str, str] = {}
        self._condition: Ref | None = None

    def needs(self) -> list[Ref]:
        """What has to be there before the loop: the first values of its states."""
        return [self._builder.ref(enter.inputs[0]) for enter in self._enters]

    def fill(self, nodes: dict[str, Node], users: dict[str, list[Node]]) -> None:
        """Find the parts of the loop.

        Raises:
            RejectedModel: one is missing.
        """
        enters = [
            node
            for node in nodes.values()
            if node.op in ("Enter", "RefEnter") and node.text("frame_name") == self.name
        ]
        if any(not enter.inputs for enter in enters):
            raise RejectedModel(f"loop {self.name!r}: an Enter without an input")
        for enter in enters:
            merge = next((u for u in users.get(enter.name, ()) if u.op.endswith("Merge")), None)
            self._enters.append(enter)
            self._merges.append(merge)
            if merge is not None:
                self._state(len(self._enters) - 1, merge, nodes, users)
        if self._condition is None:
            raise RejectedModel(f"loop {self.name!r} has no condition")

    def _state(
        self, place: int, merge: Node, nodes: dict[str, Node], users: dict[str, list[Node]]
    ) -> None:
        back = [nodes.get(text.split(":")[0]) for text in merge.inputs]
        turns = next((n for n in back if n is not None and n.op.endswith("NextIteration")), None)
        if turns is None or not turns.inputs:
            raise RejectedModel(f"loop {self.name!r}: {merge.name!r} has no next value")
        self._next[merge.name] = self._builder.ref(turns.inputs[0])
        for switch in users.get(merge.name, ()):
            if not switch.op.endswith("Switch") or len(switch.inputs) != 2:
                continue
            self._switches[merge.name] = switch.name
            test = nodes.get(switch.inputs[1].split(":")[0])
            if test is not None and test.op == "LoopCond" and test.inputs:
                self._condition = self._builder.ref(test.inputs[0])
            for leaves in users.get(switch.name, ()):
                if leaves.op.endswith("Exit"):
                    self.exits[leaves.name] = (self.key[0], place)

    def emit(self) -> None:
        """Add the loop as a layer with its condition and body."""
        builder = self._builder
        if self._condition is None:
            raise RejectedModel(f"loop {self.name!r} has no condition")
        names = [f"state{place}" for place in range(len(self._enters))]
        inside: dict[Ref, str] = {}
        around: dict[Ref, str] = {}
        results: list[Ref] = []
        for enter, merge, name in zip(self._enters, self._merges, names, strict=True):
            if merge is None:
                inside[enter.name, 0] = around[enter.name, 0] = name
                results.append((enter.name, 0))
                continue
            inside[merge.name, 0] = name
            around[self._switches.get(merge.name, ""), 1] = name
            results.append(self._next[merge.name])
        condition = builder.body(inside, names, [self._condition])
        body = builder.body(around, names, results)
        inputs = [builder.name_of(ref) for ref in self.needs()]
        made = [f"{self.key[0]}:{place}" for place in range(len(names))]
        layer = builder.netlist.layer(self.name, "While", Kind.LOOP, inputs, made, style="while")
        layer.bodies = (condition, body)
        for place, name in enumerate(made):
            builder.bound[self.key[0], place] = name


def frame_of(builder: Builder, leaves: Node) -> Frame:
    """The loop that an Exit node leaves.

    Raises:
        RejectedModel: there is none.
    """
    frames = _frames(builder)
    found = frames.get(leaves.name)
    if found is None:
        raise RejectedModel(f"{leaves.op} {leaves.name!r} leaves no loop")
    return found


def _frames(builder: Builder) -> dict[str, Frame]:
    if builder.frames is None:
        users: dict[str, list[Node]] = {}
        for node in builder.nodes.values():
            for text in node.inputs:
                users.setdefault(text.split(":")[0], []).append(node)
        names = dict.fromkeys(
            node.text("frame_name")
            for node in builder.nodes.values()
            if node.op in ("Enter", "RefEnter")
        )
        builder.frames = {}
        for name in names:
            frame = Frame(builder, name)
            frame.fill(builder.nodes, users)
            builder.frames.update(dict.fromkeys(frame.exits, frame))
    return builder.frames
