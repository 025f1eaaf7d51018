"""Who computes what from what: the walks over a graph that tell structures apart."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from functools import cached_property

from edgewise.graph import Graph, Kind, Layer

#: Layers that only move or round values: what comes out is what went in.
MOVING = frozenset({
    Kind.IDENTITY, Kind.CAST, Kind.RESHAPE, Kind.FLATTEN, Kind.SQUEEZE, Kind.EXPAND_DIMS,
    Kind.TRANSPOSE, Kind.QUANTIZE, Kind.DEQUANTIZE, Kind.PAD, Kind.BROADCAST_TO, Kind.TILE,
})  # fmt: skip
CUTTING = frozenset({Kind.SPLIT, Kind.SLICE, Kind.STRIDED_SLICE, Kind.UNSTACK, Kind.GATHER})
#: Layers with a weight: a product with it.
LINEAR = frozenset({Kind.DENSE, Kind.CONV, Kind.MATMUL, Kind.EINSUM})
#: What comes out of these says nothing of the values that went in.
_BLIND = frozenset({Kind.SHAPE, Kind.SIZE, Kind.RANK, Kind.CONSTANT, Kind.FILL})
_POINTWISE = MOVING | {Kind.UNARY, Kind.BINARY}
#: Layers that one walk crosses at most.
_FAR = 300
_DEEP = 40


class Wiring:
    """A graph's layers by what they give and take.

    Attributes:
        maker: the layer that gives a tensor.
        flows: tensors that depend on the values of the network's inputs.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.maker: dict[int, Layer] = {}
        self.flows = {i for i in graph.inputs if graph.tensors[i].weights is None}
        self._linear: dict[int, tuple[int, int] | None] = {}
        for layer in graph.layers:
            flows = layer.kind not in _BLIND and any(i in self.flows for i in layer.inputs)
            for place, output in enumerate(layer.outputs):
                if output is not None:
                    self.maker[output] = layer
                    # What quantises as it runs gives a scale and a zero point too.
                    if flows and (not place or layer.kind is not Kind.QUANTIZE):
                        self.flows.add(output)

    @cached_property
    def users(self) -> dict[int, list[Layer]]:
        """The layers that take a tensor."""
        found: defaultdict[int, list[Layer]] = defaultdict(list)
        for layer in self.graph.layers:
            for index in layer.inputs:
                if index is not None:
                    found[index].append(layer)
        return found

    def flowing(self, layer: Layer) -> list[int]:
        """Those inputs of a layer, each once, that are computed from the network's inputs."""
        return [i for i in dict.fromkeys(layer.inputs) if i is not None and i in self.flows]

    def source(self, tensor: int, through: frozenset[Kind] = MOVING) -> int:
        """Back from a tensor through layers of some kinds that take one: what they began with."""
        for _ in range(_FAR):
            layer = self.maker.get(tensor)
            if layer is None or layer.kind not in through:
                break
            before = self.flowing(layer)
            if len(before) != 1:
                break
            tensor = before[0]
        return tensor

    def before(self, tensor: int, kinds: frozenset[Kind], stop: frozenset[Kind]) -> Iterator[Layer]:
        """The nearest layers of `kinds` on all ways back from a tensor that do not cross `stop`."""
        seen, ahead = {tensor}, [tensor]
        for _ in range(_FAR):
            layer = self.maker.get(ahead.pop()) if ahead else None
            if layer is not None and layer.kind in kinds:
                yield layer
            elif layer is not None and layer.kind not in stop:
                fresh = [index for index in self.flowing(layer) if index not in seen]
                seen.update(fresh)
                ahead += fresh

    def linear(self, tensor: int, depth: int = 0) -> tuple[int, int] | None:
        """The product with a weight that a tensor is an activation, a scaling or a part of: what
        it takes and which part of its result. None where several come together."""
        if tensor not in self._linear:
            self._linear[tensor] = self._found_linear(tensor, depth)
        return self._linear[tensor]

    def _found_linear(self, tensor: int, depth: int) -> tuple[int, int] | None:
        layer = self.maker.get(tensor)
        if layer is None or depth > _DEEP:
            return None
        before = self.flowing(layer)
        if layer.kind in LINEAR:
            return (self.source(before[0]), tensor) if len(before) == 1 else None
        if layer.kind in CUTTING and len(before) == 1:
            found = self.linear(before[0], depth + 1)
            return None if found is None else (found[0], tensor)
        if layer.kind not in _POINTWISE or not 1 <= len(before) <= 2:
            return None
        # x · sigmoid(x), or what GELU is written as: both come of one.
        one, *rest = {self.linear(index, depth + 1) for index in before}
        return None if rest else one
