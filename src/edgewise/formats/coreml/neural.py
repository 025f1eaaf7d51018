"""Networks of layers, as specifications had them before programs.

Older networks see every value as (sequence, batch, channels, height, width); here the sequence and
the batch are one axis, so images and feature maps are (1, C, H, W). Newer ones (exact mapping) see
values as they are. Values are blobs by name, which branches and loops write again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from edgewise.errors import RejectedModel
from edgewise.formats.coreml.call import Call
from edgewise.formats.coreml.layers import LAYERS
from edgewise.formats.coreml.scope import Scope
from edgewise.formats.coreml.spec import LAYERS as NAMES
from edgewise.formats.coreml.stored import tensor
from edgewise.formats.kit import Meaning
from edgewise.formats.messages import Message
from edgewise.formats.protobuf import Wire
from edgewise.graph import Graph, Kind, Shape

DEPTH_LIMIT = 32
_EXACT = 1


class NetworkReader:
    """Reads a network, or one inside a branch or a loop of it."""

    def __init__(self, wire: Wire, outer: NetworkReader | None = None, depth: int = 0) -> None:
        if depth > DEPTH_LIMIT:
            raise RejectedModel(f"networks nested deeper than {DEPTH_LIMIT}")
        self.wire = wire
        self.depth = depth
        self.builder: Scope = Scope(outer.builder if outer is not None else None)
        self.exact: bool = outer.exact if outer is not None else True

    def network(
        self, message: Message, inputs: Mapping[str, tuple[str, Shape | None]],
        outputs: list[str],
    ) -> Graph:  # fmt: skip
        """The graph of a whole network."""
        self.exact = message.integer("arrayMapping") == _EXACT
        for name, (dtype, shape) in inputs.items():
            self.builder.input(name, dtype, shape if self.exact else _rank_four(shape))
        self.layers(message)
        found = [self.builder.named(name) for name in outputs]
        graph = self.builder.graph
        graph.outputs = [index for index in found if index is not None]
        if not graph.outputs and graph.layers:
            graph.outputs = [index for index in graph.layers[-1].outputs if index is not None]
        return graph

    def layers(self, message: Message) -> None:
        """Add all layers of a network."""
        for layer in message.messages("layers"):
            op = next((name for name in NAMES.values() if layer.has(name)), None)
            label = layer.text("name")
            if op == "branch":
                self._branch(layer, layer.message(op), label)
            elif op == "loop":
                self._loop(layer, layer.message(op), label)
            elif op in ("loadConstant", "loadConstantND"):
                self._constant(layer, op, label)
            else:
                self._layer(layer, op, label)

    def _constant(self, layer: Message, op: str, label: str) -> None:
        parameters, names = layer.message(op), layer.texts("output")
        shape = tuple(parameters.integers("shape"))
        made = tensor(self.wire, label, parameters.message("data"), shape)
        if math.prod(shape) == 1 and made.weights is not None:
            # A number, not a weight: where older networks have no scalars, it has one axis.
            value = [float(made.array().reshape(-1)[0])]
            index = self.builder.value(names[0] if names else label, "float32", shape)
            meaning = Meaning(Kind.CONSTANT, {"value": value})
            self.builder.put(op, meaning, (), (index,), name=label)
            return
        index = self.builder.value(
            names[0] if names else label, made.dtype, made.shape, weights=made.weights,
            quantization=made.quantization,
        )  # fmt: skip
        self.builder.put(op, Meaning(Kind.CONSTANT), (), (index,), name=label)

    def _layer(self, layer: Message, op: str | None, label: str) -> None:
        inputs = [self.builder.wanted(name, label) for name in layer.texts("input")]
        parameters = layer.message(op) if op is not None else Message()
        call = Call(op or "unknown", parameters, layer, inputs, self)
        translate = LAYERS.get(op or "")
        found = translate(call) if translate is not None else None
        given = inputs if found is None else found.inputs
        kind, attributes = (Kind.UNKNOWN, {}) if found is None else (found.kind, found.attributes)
        dtype = "float32"  # whatever its weights are stored as, such a network computes in reals
        names = layer.texts("output")
        then = found.then if found is not None else None
        outputs = [self.builder.value(name, dtype, None) for name in names]
        shown = op or "unknown"
        if op == "custom":
            shown = f"custom {parameters.text('className')}".strip()
        self.builder.put(shown, Meaning(kind, attributes), given, outputs, name=label)
        if then is not None and outputs:
            last = self.builder.value(names[0], dtype, None)
            self.builder.put(shown, Meaning(*then), outputs[:1], (last,), name=label)

    def _written(self, network: Message) -> list[str]:
        """Blobs of around that a network inside writes again, in order."""
        names: dict[str, None] = {}
        waiting = [network]
        while waiting:
            for layer in waiting.pop().messages("layers"):
                names.update(dict.fromkeys(layer.texts("output")))
                if layer.has("branch"):
                    inner = layer.message("branch")
                    waiting += [inner.message("ifBranch"), inner.message("elseBranch")]
                if layer.has("loop"):
                    waiting.append(layer.message("loop").message("bodyNetwork"))
        return [name for name in names if self.builder.named(name) is not None]

    def _branch(self, layer: Message, branch: Message, label: str) -> None:
        sides = [branch.message("ifBranch"), branch.message("elseBranch")]
        readers = [NetworkReader(self.wire, self, self.depth + 1) for _ in sides]
        for reader, side in zip(readers, sides, strict=True):
            reader.layers(side)
        written = [
            [n for one in side.messages("layers") for n in one.texts("output")] for side in sides
        ]
        both = [name for name in dict.fromkeys(written[0]) if name in written[1]]
        names = list(dict.fromkeys([*both, *self._written(sides[0]), *self._written(sides[1])]))
        for reader in readers:
            reader.builder.graph.outputs = [reader.builder.wanted(name, label) for name in names]
        inputs = [self.builder.wanted(name, label) for name in layer.texts("input")]
        outputs = [self.builder.value(name, "float32", None) for name in names]
        bodies = tuple(reader.builder.graph for reader in readers)
        self.builder.put("branch", Meaning(Kind.IF), inputs[:1], outputs, name=label, bodies=bodies)

    def _loop(self, layer: Message, loop: Message, label: str) -> None:
        """Its state are the blobs that its body or its condition write again."""
        condition, body = loop.message("conditionNetwork"), loop.message("bodyNetwork")
        names = list(dict.fromkeys([*self._written(body), *self._written(condition)]))
        readers = [NetworkReader(self.wire, self, self.depth + 1) for _ in range(2)]
        for reader, network in zip(readers, (condition, body), strict=True):
            for name in names:
                seen = self.builder.graph.tensors[self.builder.wanted(name, label)]
                reader.builder.input(name, seen.dtype, seen.shape)
            reader.layers(network)
        test = loop.text("conditionVar")
        goes_on = readers[0].builder.named(test) if test else None
        readers[0].builder.graph.outputs = [goes_on] if goes_on is not None else []
        readers[1].builder.graph.outputs = [readers[1].builder.wanted(n, label) for n in names]
        attributes: dict[str, object] = {"style": "while"}
        most = loop.integer("most")
        if not condition.messages("layers") and most > 0 and not _breaks(body):
            attributes["trip_count"] = most
        inputs = [self.builder.wanted(name, label) for name in names]
        outputs = [self.builder.value(n, self.builder.graph.tensors[i].dtype, None)
                   for n, i in zip(names, inputs, strict=True)]  # fmt: skip
        bodies = tuple(reader.builder.graph for reader in readers)
        self.builder.put(
            "loop", Meaning(Kind.LOOP, attributes), inputs, outputs, name=label, bodies=bodies
        )


def _breaks(network: Message) -> bool:
    """Whether a network may leave the loop around it."""
    for layer in network.messages("layers"):
        if layer.has("loopBreak") or layer.has("loopContinue"):
            return True
        if layer.has("branch"):
            inner = layer.message("branch")
            if _breaks(inner.message("ifBranch")) or _breaks(inner.message("elseBranch")):
                return True
    return False


def _rank_four(shape: Shape | None) -> Shape | None:
    """(C), (C, H, W) and longer, as (1, C, H, W)."""
    if shape is None or len(shape) == 4:
        return shape
    if len(shape) == 1:
        return (1, shape[0], 1, 1)
    if len(shape) == 2:
        return (*shape, 1, 1)
    if len(shape) == 3:
        return (1, *shape)
    if len(shape) == 5 and shape[0] == 1:
        return shape[1:]
    return shape
