"""From ONNX's messages to a `Graph`: names to tensors, scopes, bodies, functions.

Values are names in ONNX. A body of control flow sees the values of the graphs around it (its
`Graph.captures`); a model-local function sees its arguments only and is read anew for each call,
as its attributes may differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from edgewise.errors import LimitExceeded, RejectedModel
from edgewise.formats.kit import Meaning, arrange
from edgewise.formats.onnx.constants import constant_tensor
from edgewise.formats.onnx.control import CONTROL_FLOW, control_flow, given_dtypes
from edgewise.formats.onnx.decoder import Decoder, Node, Operation, Value
from edgewise.formats.onnx.dtypes import UNKNOWN, output_dtypes
from edgewise.formats.onnx.needs import needs
from edgewise.formats.onnx.operator import Operator
from edgewise.formats.onnx.ops import is_listed, meaning
from edgewise.formats.onnx.quantization import describe_weights
from edgewise.formats.onnx.weights import ExternalFiles, sparse_tensor, stored_tensor
from edgewise.formats.onnx.wire import GraphTag, Message, Reference, decode_attribute
from edgewise.formats.protobuf import Span, Wire
from edgewise.graph import FreeDim, Graph, Kind, Layer, Tensor

#: Nodes, stored tensors and stated values in all graphs, bodies and calls of functions together.
PART_LIMIT = 300_000
#: A function is read anew at each call: functions that call functions grow fast.
_WEIGHT_OF_CALLS = 6
#: Bodies and calls within one another.
DEPTH_LIMIT = 64

#: Parts of a GraphProto that are read.
_PARTS = frozenset((
    GraphTag.NODE, GraphTag.NAME, GraphTag.INITIALIZER, GraphTag.SPARSE_INITIALIZER,
    GraphTag.INPUT, GraphTag.OUTPUT, GraphTag.VALUE_INFO,
))  # fmt: skip

#: What a call names: domain, operator and overload.
Key = tuple[str, str, str]


@dataclass(slots=True)
class Function:
    """A model-local function, its nodes not yet decoded. `defaults` are its attributes'."""

    inputs: list[str]
    outputs: list[str]
    nodes: list[Span]
    opsets: Mapping[str, int]
    defaults: Mapping[str, Any]
    values: list[Span]


@dataclass(slots=True)
class Context:
    """What all graphs of one file share. `notes` is a dict to say each thing once, in order."""

    wire: Wire
    files: ExternalFiles
    functions: Mapping[Key, Function] = field(default_factory=dict)
    notes: dict[str, None] = field(default_factory=dict)
    parts: int = 0
    decoder: Decoder = field(init=False)

    def __post_init__(self) -> None:
        self.decoder = Decoder(self.wire)

    def count(self, parts: int = 1) -> None:
        """Raise `LimitExceeded` at the limit."""
        self.parts += parts
        if self.parts > PART_LIMIT:
            raise LimitExceeded(f"more than {PART_LIMIT:,} nodes and tensors")


@dataclass(slots=True)
class Surroundings:
    """Where a graph stands: around it, what it may refer to, how deep it is.

    `bound` are the attributes of the function it belongs to, `calls` the functions being read,
    `given` the dtypes of its inputs as the node around it passes them.
    """

    opsets: Mapping[str, int]
    outer: GraphReader | None = None
    bound: Mapping[str, Any] = field(default_factory=dict)
    calls: frozenset[Key] = frozenset()
    depth: int = 0
    given: Sequence[str] = ()


class GraphReader:
    """Reads one graph: the model's, a body's or a function's.

    Every method raises `RejectedModel` where the graph is not valid ONNX.
    """

    def __init__(self, context: Context, around: Surroundings) -> None:
        if around.depth > DEPTH_LIMIT:
            raise RejectedModel(f"graphs nested deeper than {DEPTH_LIMIT}")
        self.context = context
        self.around = around
        self.graph = Graph("", [], [], [], [])
        self._ids: dict[str, int] = {}
        self._stated: dict[str, Value] = {}
        self._absent: set[str] = set()
        #: What operations mean whose attributes alone say it.
        self._meanings: dict[Operation, Meaning] = {}

    def read(self, span: Span) -> Graph:
        """The GraphProto in `span`."""
        wire = self.context.wire
        parts: dict[int, list[Span]] = {}
        for tag, start, end in wire.fields(*span):
            if tag in _PARTS:
                self.context.count()
                parts.setdefault(tag, []).append((start, end))
        for name in parts.get(GraphTag.NAME, ()):
            self.graph.name = wire.text(*name)
        inputs = self._values(parts.get(GraphTag.INPUT, ()))
        outputs = self._values(parts.get(GraphTag.OUTPUT, ()))
        self._state(self._values(parts.get(GraphTag.VALUE_INFO, ())))
        self._state(outputs)
        self._add_stored(parts)
        self._add_inputs(inputs)
        for place in parts.get(GraphTag.NODE, ()):
            self._add_node(place)
        self._close([value.name for value in outputs])
        return self.graph

    def read_function(self, function: Function, arguments: list[Tensor | None]) -> Graph:
        """The body of a function called with these arguments."""
        self.context.count(_WEIGHT_OF_CALLS * (len(function.nodes) + len(function.values)))
        self._state(self._values(function.values))
        for position, name in enumerate(function.inputs):
            given = arguments[position] if position < len(arguments) else None
            if given is None:
                self._absent.add(name)
                given = Tensor(name, UNKNOWN, None)
            self.graph.inputs.append(self._define(Tensor(name, given.dtype, given.shape)))
        for place in function.nodes:
            self._add_node(place)
        self._close(function.outputs)
        return self.graph

    def body(self, message: Message, given: Sequence[str]) -> Graph:
        """A graph that is an attribute of a node of this one; `given` are its inputs' dtypes."""
        around = self.around
        inside = Surroundings(
            around.opsets, self, around.bound, around.calls, around.depth + 1, given
        )
        return GraphReader(self.context, inside).read(message.span)

    def origin(self, index: int) -> Tensor:
        """The tensor that this one stands for, followed outwards through captures."""
        if index in self.graph.captures and self.around.outer is not None:
            return self.around.outer.origin(self.graph.captures[index])
        return self.graph.tensors[index]

    def _origins(self, inputs: Sequence[int | None]) -> list[Tensor | None]:
        if self.graph.captures:
            return [None if index is None else self.origin(index) for index in inputs]
        return [None if index is None else self.graph.tensors[index] for index in inputs]

    def _values(self, spans: Iterable[Span]) -> list[Value]:
        return list(map(self.context.decoder.value, spans))

    def _state(self, values: list[Value]) -> None:
        for value in values:
            self._stated[value.name] = value
            if value.odd:
                self.context.notes.update(dict.fromkeys(value.odd))

    def _add_stored(self, parts: Mapping[int, list[Span]]) -> None:
        wire, files = self.context.wire, self.context.files
        for span in parts.get(GraphTag.INITIALIZER, ()):
            self._define(stored_tensor(wire, span, files))
        for span in parts.get(GraphTag.SPARSE_INITIALIZER, ()):
            self._define(sparse_tensor(wire, span, files))

    def _add_inputs(self, values: list[Value]) -> None:
        """Initialisers may be listed among the inputs (before IR 4 they must): they are none."""
        for position, value in enumerate(values):
            known = self._ids.get(value.name)
            if known is not None and self.graph.tensors[known].weights is not None:
                continue
            self.context.notes.update(dict.fromkeys(value.odd))
            if value.dtype == UNKNOWN and position < len(self.around.given):
                value.dtype = self.around.given[position]
            tensor = Tensor(value.name, value.dtype, self._input_shape(value))
            self.graph.inputs.append(self._define(tensor))

    def _input_shape(self, value: Value) -> tuple[int | FreeDim, ...] | None:
        """The stated shape, but a batch of 0, some exporters' way of leaving it open, is free."""
        if self.around.outer is not None or not value.shape or 0 not in value.shape:
            return value.shape
        self.context.notes[f"{value.name}: an axis of size 0"] = None
        if value.shape[0] == 0:
            return (FreeDim(f"{value.name}_0"), *value.shape[1:])
        return value.shape

    def _define(self, tensor: Tensor) -> int:
        name, tensors = tensor.name, self.graph.tensors
        index = len(tensors)
        if self._ids.setdefault(name, index) != index:
            raise RejectedModel(f"two values are called {name!r} (not in single assignment form)")
        tensors.append(tensor)
        return index

    def _append(self, tensor: Tensor) -> int:
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _find(self, name: str) -> int | None:
        """The tensor of this name, captured from around this graph where it is not here."""
        index = self._ids.get(name)
        if index is not None or self.around.outer is None:
            return index
        outer = self.around.outer._find(name)
        if outer is None:
            return None
        seen = self.around.outer.graph.tensors[outer]
        index = self._define(Tensor(name, seen.dtype, seen.shape))
        self.graph.captures[index] = outer
        return index

    def _use(self, name: str, node: Node) -> int | None:
        if not name or name in self._absent:
            return None
        index = self._find(name)
        if index is None:
            raise RejectedModel(
                f"node {node.label!r} reads {name!r}, which nothing before it gives"
            )
        return index

    def _close(self, outputs: list[str]) -> None:
        for name in outputs:
            index = self._find(name)
            if index is None:
                raise RejectedModel(f"nothing gives the output {name!r} of {self.graph.name!r}")
            self.graph.outputs.append(index)

    def attribute(self, operation: Operation, name: str) -> Any:
        """The value of an operation's attribute, None where it is missing."""
        value = operation.decoded.get(name)
        if value is None:
            span = operation.attributes.get(name)
            if span is None:
                return None
            value = operation.decoded[name] = decode_attribute(self.context.wire, span)
        return self.around.bound.get(value.name) if isinstance(value, Reference) else value

    def _attributes(self, operation: Operation) -> dict[str, Any]:
        return {name: self.attribute(operation, name) for name in operation.attributes}

    def _operator(self, node: Node, inputs: list[int | None]) -> Operator:
        operation = node.operation

        def tensor(name: str) -> Tensor | None:
            value = self.attribute(operation, name)
            if not isinstance(value, Message) or value.what != "tensor":
                return None
            return stored_tensor(self.context.wire, value.span, self.context.files)

        return Operator(
            operation.op, partial(self.attribute, operation), self.around.opsets.get("", 1),
            self._origins(inputs),
            node.outputs, tensor,
        )  # fmt: skip

    def _add_node(self, span: Span) -> None:
        node = self.context.decoder.node(span)
        operation = node.operation
        if not operation.op:
            raise RejectedModel(f"node {node.label!r} without an operator")
        known, absent = self._ids.get, self._absent
        inputs = [
            index
            if (index := known(name)) is not None and name not in absent
            else self._use(name, node)
            for name in node.inputs
        ]
        function = self.context.functions.get((operation.domain, operation.op, operation.overload))
        if function is not None:
            self._add_call(node, inputs, function)
        elif operation.domain == "" and operation.op == "Constant":
            self._add_constant(node)
        elif operation.domain == "" and operation.op in CONTROL_FLOW:
            operator = self._operator(node, inputs)
            bodies = self._bodies(operation, given_dtypes(operator))
            parts = control_flow(operator, bodies)
            self._add_layer(node, inputs, parts.meaning, parts.dtypes, parts.bodies)
        else:
            self._add_operator(node, inputs)

    def _bodies(self, operation: Operation, given: Sequence[str] = ()) -> dict[str, Graph]:
        return {
            name: self.body(value, given)
            for name, value in self._attributes(operation).items()
            if isinstance(value, Message) and value.what == "graph"
        }

    def _add_operator(self, node: Node, inputs: list[int | None]) -> None:
        operation = node.operation
        if operation.domain not in self.around.opsets:
            self._miss_opset(operation.domain)
        operator = self._operator(node, inputs)
        describe_weights(operator)
        what = self._meanings.get(operation) or self._meaning(operation, operator)
        dtypes = output_dtypes(operator, what.attributes.get("dtype"))
        # Operators that no table has may hold networks, such as ONNX Runtime's BeamSearch.
        held = what.kind is Kind.UNKNOWN and not is_listed(operation.domain, operation.op)
        bodies = tuple(self._bodies(operation).values()) if held else ()
        self._add_layer(node, inputs, what, dtypes, bodies)

    def _meaning(self, operation: Operation, operator: Operator) -> Meaning:
        operator.looked_around = False
        what = meaning(operation.domain, operator)
        asked = needs(operator)
        if asked:
            what = what._replace(attributes={**what.attributes, "needs": asked})
        if not operator.looked_around:
            self._meanings[operation] = what
        return what

    def _miss_opset(self, domain: str) -> None:
        if not domain:
            raise RejectedModel("no version of the default operator set is imported")
        self.context.notes[f"operator set {domain!r} is used but not imported"] = None

    def _add_call(self, node: Node, inputs: list[int | None], function: Function) -> None:
        operation = node.operation
        key = (operation.domain, operation.op, operation.overload)
        if key in self.around.calls:
            raise RejectedModel(f"function {operation.op!r} calls itself")
        given = self._attributes(operation)
        inside = Surroundings(
            function.opsets, None, {**function.defaults, **given},
            self.around.calls | {key}, self.around.depth + 1,
        )  # fmt: skip
        arguments = [None if index is None else self.graph.tensors[index] for index in inputs]
        body = GraphReader(self.context, inside).read_function(function, arguments)
        body.name = operation.op
        dtypes = [body.tensors[index].dtype for index in body.outputs]
        self._add_layer(node, inputs, Meaning(Kind.CALL), dtypes, (body,))

    def _add_constant(self, node: Node) -> None:
        outputs = [name for name in node.outputs if name]
        if len(outputs) != 1:
            raise RejectedModel(f"constant {node.label!r} with {len(outputs)} outputs")
        values = self._attributes(node.operation)
        tensor = constant_tensor(self.context.wire, self.context.files, outputs[0], values)
        index = self._define(tensor)
        self.graph.layers.append(Layer(node.label, node.operation.op, Kind.CONSTANT, (), (index,)))

    def _add_layer(
        self, node: Node, inputs: list[int | None], what: Meaning,
        dtypes: list[str], bodies: tuple[Graph, ...],
    ) -> None:  # fmt: skip
        outputs = [
            self._add_output(name, dtypes[k] if k < len(dtypes) else UNKNOWN)
            for k, name in enumerate(node.outputs)
        ]
        if what.outputs is not None:
            outputs = [outputs[k] if k < len(outputs) else None for k in what.outputs]
        operation = node.operation
        op = f"{operation.domain}::{operation.op}" if operation.domain else operation.op
        self.graph.layers.append(
            Layer(node.label, op, what.kind, arrange(inputs, what, self._append, rest=True),
                  tuple(outputs), dict(what.attributes), bodies)
        )  # fmt: skip

    def _add_output(self, name: str, dtype: str) -> int | None:
        if not name:
            return None
        stated = self._stated.get(name)
        if stated is None:
            return self._define(Tensor(name, dtype, None))
        return self._define(
            Tensor(name, dtype if stated.dtype == UNKNOWN else stated.dtype, stated.shape)
        )
