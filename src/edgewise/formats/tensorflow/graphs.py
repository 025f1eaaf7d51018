"""From nodes to layers in an order that runs: what the outputs need, and nothing else.

Functions become bodies; so do the loops of TensorFlow 1, which lie in the graph as cycles of
Enter, Merge, Switch, NextIteration and Exit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from edgewise.errors import LimitExceeded, RejectedModel
from edgewise.formats.messages import Message
from edgewise.formats.netlist import Netlist
from edgewise.formats.tensorflow.frames import Frame, frame_of
from edgewise.formats.tensorflow.nodes import Node, node_of, open_shape, store
from edgewise.formats.tensorflow.ops import add
from edgewise.graph import Graph, Kind

MAX_NODES = 400_000
MAX_DEPTH = 24
MAX_LAYERS_IN_ALL = 1_000_000

#: A value: a node and which of its outputs.
Ref = tuple[str, int]
#: Outputs by name of operators that have several, as functions refer to them.
_NAMED_OUTPUTS = {
    "FusedBatchNorm": ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2"),
    "FusedBatchNormV2": ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2"),
    "FusedBatchNormV3": ("y", "batch_mean", "batch_variance", "reserve_space_1", "reserve_space_2",
                         "reserve_space_3"),
    "TopKV2": ("values", "indices"), "Unique": ("y", "idx"), "MaxPoolWithArgmax": ("output",
                                                                                  "argmax"),
    "BlockLSTM": ("i", "cs", "f", "o", "ci", "co", "h"),
    "BlockLSTMV2": ("i", "cs", "f", "o", "ci", "co", "h"),
    "LSTMBlockCell": ("i", "cs", "f", "o", "ci", "co", "h"),
    "GRUBlockCell": ("r", "u", "c", "h"), "Switch": ("output_false", "output_true"),
    "Moments": ("mean", "variance"), "SoftmaxCrossEntropyWithLogits": ("loss", "backprop"),
}  # fmt: skip


@dataclass(slots=True)
class Context:
    """What all graphs of a file share."""

    data: memoryview
    library: Mapping[str, Message]
    variable: Callable[[Netlist, Node, str], bool]
    notes: dict[str, None] = field(default_factory=dict)
    functions: dict[str, Graph] = field(default_factory=dict)
    open: list[str] = field(default_factory=list)

    def function(self, name: str) -> Graph | None:
        """The body that a function is; None where the file has none of that name.

        Raises:
            RejectedModel: it calls itself.
            LimitExceeded: calls are nested too deeply.
        """
        if name in self.functions:
            return self.functions[name]
        definition = self.library.get(name)
        if definition is None:
            return None
        if name in self.open:
            raise RejectedModel(f"function {name!r} calls itself")
        if len(self.open) >= MAX_DEPTH:
            raise LimitExceeded(f"functions nested deeper than {MAX_DEPTH}")
        self.open.append(name)
        self.functions[name] = _function(name, definition, self)
        self.open.pop()
        return self.functions[name]


def _function(name: str, definition: Message, context: Context) -> Graph:
    signature = definition.message("signature")
    nodes = [node_of(message) for message in definition.messages("node_def")]
    netlist = Netlist(name, "tensorflow")
    builder = Builder(nodes, context, netlist)
    for argument in signature.messages("input_arg"):
        label = argument.text("name")
        netlist.input(f"{label}:0")
        builder.bound[label, 0] = f"{label}:0"
    returned = {entry.text("key"): entry.text("value") for entry in definition.messages("ret")}
    wanted = [
        builder.ref(returned.get(argument.text("name"), ""))
        for argument in signature.messages("output_arg")
    ]
    return builder.build(wanted)


def size_of(graph: Graph) -> int:
    """Layers, those of bodies counted as often as they are used."""
    known: dict[int, int] = {}

    def size(one: Graph) -> int:
        if id(one) not in known:
            known[id(one)] = len(one.layers) + sum(
                size(body) for layer in one.layers for body in layer.bodies
            )
        return known[id(one)]

    return size(graph)


class Builder:
    """One graph (or body) while it is built."""

    def __init__(self, nodes: Iterable[Node], context: Context, netlist: Netlist) -> None:
        self.nodes = {node.name: node for node in nodes}
        if len(self.nodes) > MAX_NODES:
            raise LimitExceeded(f"{len(self.nodes):,} nodes, more than {MAX_NODES:,}")
        self.context = context
        self.netlist = netlist
        #: Values that are made elsewhere, by the name that they have in this graph.
        self.bound: dict[Ref, str] = {}
        self.depth = 0
        self.frames: dict[str, Frame] | None = None
        self._done: set[str] = set()

    def ref(self, text: str) -> Ref:
        """The value that an input names: `node`, `node:1`, or `node:output:1` in a function."""
        name, *rest = text.split(":")
        if not rest:
            return name, 0
        if not rest[-1].isdigit() or len(rest) > 2 or len(rest[-1]) > 6:
            raise RejectedModel(f"{text!r} is no value of a node")
        index = int(rest[-1])
        node = self.nodes.get(name)
        if len(rest) == 2 and node is not None:
            names = _NAMED_OUTPUTS.get(node.op, ())
            if rest[0] in names:
                return name, names.index(rest[0]) + index
        return name, index

    def name_of(self, ref: Ref) -> str:
        """What a value is called in the graph at hand."""
        return self.bound.get(ref, f"{ref[0]}:{ref[1]}")

    def build(self, outputs: list[Ref]) -> Graph:
        """The graph that gives these values."""
        for ref in outputs:
            self._require(ref)
        graph = self.netlist.graph
        graph.outputs = [self.netlist.value(self.name_of(ref)) for ref in outputs]
        if size_of(graph) > MAX_LAYERS_IN_ALL:
            raise LimitExceeded(f"functions of more than {MAX_LAYERS_IN_ALL:,} layers in all")
        return graph

    def _require(self, wanted: Ref) -> None:
        """Add the node of a value, after all that it needs."""
        stack = [wanted]
        path: set[str] = set()
        while stack:
            ref = stack[-1]
            name = ref[0]
            if ref in self.bound or name in self._done:
                stack.pop()
                path.discard(name)
                continue
            node = self.nodes.get(name)
            if node is None:
                raise RejectedModel(f"nothing makes {name!r}")
            needs = [one for one in self._needs(node) if one not in self.bound]
            missing = [one for one in needs if one[0] not in self._done]
            if missing:
                if name in path:
                    raise RejectedModel(f"node {name!r} needs its own value")
                path.add(name)
                stack += missing
                continue
            self._done.add(name)
            self._emit(node)
            stack.pop()
            path.discard(name)

    def _needs(self, node: Node) -> list[Ref]:
        if node.op in ("Exit", "RefExit"):
            return frame_of(self, node).needs()
        return [self.ref(text) for text in node.inputs]

    def _emit(self, node: Node) -> None:
        made = f"{node.name}:0"
        if node.op in ("Exit", "RefExit"):
            frame = frame_of(self, node)
            if frame.key not in self.bound:
                frame.emit()
            self.bound[node.name, 0] = self.bound[frame.exits[node.name]]
        elif node.op in ("Const", "HostConst"):
            value = node.attributes.get("value", Message()).message("tensor")
            store(self.netlist, made, value, self.context.data)
        elif node.op in ("Placeholder", "PlaceholderV2", "PlaceholderWithDefault"):
            shape = open_shape(node.name, node.shape("shape"))
            index = self.netlist.input(made, node.dtype("dtype"), shape)
            self.netlist.tensor(index).name = node.name
        elif not self.context.variable(self.netlist, node, made):
            inputs = [self.name_of(self.ref(text)) for text in node.inputs]
            add(self, node, inputs)

    def body(self, bound: dict[Ref, str], inputs: list[str], outputs: list[Ref]) -> Graph:
        """A body over the same nodes, with the values that are its inputs.

        Raises:
            LimitExceeded: loops are nested too deeply.
        """
        if self.depth >= MAX_DEPTH:
            raise LimitExceeded(f"loops nested deeper than {MAX_DEPTH}")
        inner = Builder((), self.context, Netlist("", "tensorflow"))
        inner.nodes, inner.depth = self.nodes, self.depth + 1
        for name in inputs:
            inner.netlist.input(name)
        inner.bound = dict(bound)
        return inner.build(outputs)

    def call(self, node: Node, inputs: list[str], kind: Kind, bodies: list[str | None]) -> bool:
        """A layer with the functions of these names as bodies; False where one is not there."""
        found = [self.context.function(name or "") for name in bodies]
        graphs = tuple(graph for graph in found if graph is not None)
        if len(graphs) != len(bodies):
            return False
        count = max(len(graph.outputs) for graph in graphs)
        if kind is Kind.LOOP:
            count = len(inputs)
        made = [f"{node.name}:{at}" for at in range(count)]
        attributes = {"style": "while"} if kind is Kind.LOOP else {}
        layer = self.netlist.layer(node.name, node.op, kind, inputs, made, **attributes)
        layer.bodies = graphs
        return True
