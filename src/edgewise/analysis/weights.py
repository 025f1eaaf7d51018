"""What a file stores: parameters, their bytes by type, and how the network is quantised.

Parameters are the elements of stored weights, tied ones once, batch-normalisation statistics
included; shapes, indices, axes, scales, zero points and lone scalars are not parameters. Which
constants are weights follows from the place they take in a layer, not from their names.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from edgewise.analysis.symbolic import product
from edgewise.graph import Graph, Kind, Layer, Tensor

Quantized = Literal["none", "float16", "weights", "full", "mixed"]

_COMPUTE = frozenset(
    {
        Kind.CONV,
        Kind.CONV_TRANSPOSE,
        Kind.DENSE,
        Kind.MATMUL,
        Kind.EINSUM,
        Kind.RECURRENT,
        Kind.SVDF,
        Kind.ATTENTION,
    }
)
#: How many leading inputs of a kind may hold parameters; kinds not named: all.
_LEADING: Mapping[Kind, int] = {
    Kind.CONV: 3, Kind.CONV_TRANSPOSE: 3, Kind.DENSE: 3, Kind.MATMUL: 3, Kind.SVDF: 4,
    Kind.UNARY: 1, Kind.SOFTMAX: 1, Kind.POOL: 1, Kind.REDUCE: 1, Kind.ARG_REDUCE: 1,
    Kind.QUANTIZE: 1, Kind.DEQUANTIZE: 1, Kind.RESIZE: 1, Kind.RESHAPE: 1, Kind.TRANSPOSE: 1,
    Kind.SQUEEZE: 1, Kind.EXPAND_DIMS: 1, Kind.SPLIT: 1, Kind.SLICE: 1, Kind.STRIDED_SLICE: 1,
    Kind.GATHER: 1, Kind.GATHER_ELEMENTS: 1, Kind.GATHER_ND: 1, Kind.PAD: 1, Kind.TILE: 1,
    Kind.BROADCAST_TO: 1, Kind.CUMULATIVE: 1, Kind.TOP_K: 1, Kind.ONE_HOT: 0, Kind.FILL: 0,
    Kind.RANGE: 0, Kind.SHAPE: 0, Kind.SPACE_TO_BATCH: 1, Kind.BATCH_TO_SPACE: 1,
    Kind.CONSTANT: 0, Kind.POSTPROCESS: 1,
}  # fmt: skip
#: Integer types that a weight has only where it is quantised, or is a bias beside such a weight.
_INDEX_TYPES = frozenset(
    {"int32", "int64", "uint32", "uint64", "bool", "string", "int16", "uint16"}
)
_SMALL_INTEGERS = frozenset({"int2", "uint2", "int4", "uint4", "int8", "uint8"})
_HALF = frozenset({"float16", "bfloat16"})
#: Layers that hand a weight on unchanged in meaning.
_PASS_ON = frozenset(
    {Kind.DEQUANTIZE, Kind.QUANTIZE, Kind.CAST, Kind.IDENTITY, Kind.RESHAPE, Kind.TRANSPOSE,
     Kind.EXPAND_DIMS, Kind.SQUEEZE, Kind.PAD}
)  # fmt: skip
#: Layers that move a value, or parts of it.
_MOVES = frozenset(
    {Kind.IDENTITY, Kind.CAST, Kind.RESHAPE, Kind.SQUEEZE, Kind.EXPAND_DIMS, Kind.TRANSPOSE,
     Kind.SPLIT, Kind.SLICE, Kind.STRIDED_SLICE, Kind.GATHER, Kind.TILE, Kind.BROADCAST_TO}
)  # fmt: skip
#: A converter leaves its smallest layers as they were: below this share they do not decide.
_NEGLIGIBLE = 0.1


@dataclass(frozen=True, slots=True)
class Stored:
    """Totals over a graph's parameters: elements, bytes, bytes by dtype."""

    parameters: int
    size_bytes: int
    by_dtype: dict[str, int]


def elements(tensor: Tensor) -> int:
    """How many numbers a stored tensor holds."""
    return int(product(d for d in tensor.shape or () if isinstance(d, int)))


#: A tensor by its index in the graph at hand.
Lookup = Callable[[int], Tensor]


def _lookup(graph: Graph, outside: Lookup | None = None) -> Lookup:
    """Tensors of a graph or body; what a body captures is the tensor outside, with its weights."""

    def tensor(index: int) -> Tensor:
        captured = graph.captures.get(index)
        if captured is None or outside is None:
            return graph.tensors[index]
        return outside(captured)

    return tensor


def parameters_by_layer(graph: Graph) -> list[list[Tensor]]:
    """For each layer the parameters that it is the first to use, those of its bodies included."""
    seen: set[int] = set()
    tensor = _lookup(graph)
    states = _states(graph)
    return [list(_parameters(layer, tensor, states, seen)) for layer in graph.layers]


def _parameters(
    layer: Layer, of: Lookup, states: frozenset[int], seen: set[int]
) -> Iterator[Tensor]:
    leading = _LEADING.get(layer.kind, len(layer.inputs))
    for place, index in enumerate(layer.inputs[:leading]):
        if index is None or index in states:
            continue
        tensor = of(index)
        if tensor.weights is None or id(tensor.weights) in seen:
            continue
        if _counts(layer, place, tensor):
            seen.add(id(tensor.weights))
            yield tensor
    for body in layer.bodies:
        inside, inner_states = _lookup(body, of), _states(body)
        for inner in body.layers:
            yield from _parameters(inner, inside, inner_states, seen)


def _states(graph: Graph) -> frozenset[int]:
    """Tensors that are nothing but where a state begins, or are moved there and nowhere else.

    Where a state begins may be stored (as zeros mostly); it is no weight.
    """
    only: dict[int, bool] = dict.fromkeys(graph.outputs, False)
    for layer in reversed(graph.layers):
        places = _state_places(layer)
        moved = layer.kind in _MOVES and all(only.get(o) for o in layer.outputs if o is not None)
        for place, index in enumerate(layer.inputs):
            if index is not None:
                here = place in places or (moved and place == 0)
                only[index] = here and only.get(index, True)
    return frozenset(index for index, alone in only.items() if alone)


def _state_places(layer: Layer) -> range | tuple[int, ...]:
    """Inputs that say where a state begins.

    Of ONNX's recurrent cells these are 4 to 6 (lengths, initial_h, initial_c); of a loop all that
    its body does not pass on as it is.
    """
    if layer.kind is Kind.RECURRENT:
        if "states" in layer.attributes:
            return tuple(layer.attributes["states"])
        onnx = any(str(o).startswith("onnx") for o in layer.attributes.get("outputs", ()))
        return range(4, 7) if onnx else ()
    if layer.kind is not Kind.LOOP or not layer.bodies:
        return ()
    into, out = layer.bodies[-1].inputs, layer.bodies[-1].outputs
    # ONNX's Loop has the trip count first on the way in, and nothing there on the way out.
    shift = 1 if layer.attributes.get("style") == "onnx" else 0
    carried = len(layer.inputs) - layer.attributes.get("scan_inputs", 0)
    return tuple(
        place
        for place in range(carried)
        if into[place : place + 1] != out[max(place - shift, 0) : place - shift + 1]
    )


def _counts(layer: Layer, place: int, tensor: Tensor) -> bool:
    if layer.kind in _COMPUTE:
        recurrent_extra = layer.kind is Kind.RECURRENT and place > 2
        return not (recurrent_extra and tensor.dtype in _INDEX_TYPES and not tensor.quantization)
    if tensor.shape == () or tensor.dtype in ("string", "bool"):
        return False
    return tensor.dtype not in _INDEX_TYPES or tensor.quantization is not None


def stored(parameters: list[list[Tensor]]) -> Stored:
    """The totals of `parameters_by_layer`."""
    count = size = 0
    by_dtype: dict[str, int] = {}
    for tensor in (tensor for layer in parameters for tensor in layer):
        nbytes = tensor.weights.nbytes if tensor.weights else 0
        count += elements(tensor)
        size += nbytes
        by_dtype[tensor.dtype] = by_dtype.get(tensor.dtype, 0) + nbytes
    return Stored(count, size, dict(sorted(by_dtype.items())))


def quantization(graph: Graph) -> Quantized:
    """How the layers that compute are quantised.

    "full": integer weights and integer activations; "weights": integer weights, activations in
    floating point, also where each layer quantises them for itself while it runs; "float16":
    weights in 16-bit floating point; "mixed": more than one of these, or a share of more than a
    tenth of the weights in 32-bit floating point beside one of them.
    A network whose layers have no weights is "full" where its activations are integers.
    """
    shares: dict[str, int] = {}
    _add_shares(graph, _lookup(graph), shares)
    if not shares:
        return "full" if _integer_activations(graph) else "none"
    quantised = [kind for kind in shares if kind != "none"]
    if not quantised:
        return "none"
    if len(quantised) > 1:
        major = max(quantised, key=lambda kind: shares[kind])
        minor = sum(shares[kind] for kind in quantised if kind != major)
        if minor > _NEGLIGIBLE * sum(shares.values()):
            return "mixed"
        quantised = [major]
    if shares.get("none", 0) > _NEGLIGIBLE * sum(shares.values()):
        return "mixed"
    return quantised[0]  # type: ignore[return-value]


def _add_shares(graph: Graph, of: Lookup, shares: dict[str, int]) -> None:
    producers = {
        index: layer for layer in graph.layers for index in layer.outputs if index is not None
    }
    for layer in graph.layers:
        for body in layer.bodies:
            _add_shares(body, _lookup(body, of), shares)
        if layer.kind is Kind.WEIGHTS:
            for held in (of(index) for index in layer.inputs if index is not None):
                if len(held.shape or ()) > 1:
                    kind = _class_of(held, None)
                    shares[kind] = shares.get(kind, 0) + elements(held)
            continue
        if layer.kind not in _COMPUTE or layer.kind is Kind.ATTENTION:
            continue
        for place in (1, 2) if layer.kind in (Kind.RECURRENT, Kind.SVDF) else (1, 0):
            weight = _traced(layer, place, of, producers)
            if weight is None or weight.weights is None:
                continue
            activation = _traced(layer, 0 if place else 1, of, producers)
            kind = _class_of(weight, activation)
            shares[kind] = shares.get(kind, 0) + elements(weight)
            break


def _traced(layer: Layer, place: int, of: Lookup, producers: Mapping[int, Layer]) -> Tensor | None:
    """The tensor that an input stands for, behind dequantisation and the like."""
    index = layer.inputs[place] if place < len(layer.inputs) else None
    for _ in range(8):
        if index is None:
            return None
        maker = producers.get(index)
        if maker is None or maker.kind not in _PASS_ON or not maker.inputs:
            break
        dynamic = len(maker.outputs) > 1  # scales are found anew each time: what flows is float
        if maker.kind is Kind.QUANTIZE and not dynamic and of(index).dtype in _SMALL_INTEGERS:
            break
        index = maker.inputs[0]
    return None if index is None else of(index)


def _class_of(weight: Tensor, activation: Tensor | None) -> str:
    if weight.dtype in _HALF:
        return "float16"
    if weight.dtype not in _SMALL_INTEGERS and weight.weights and weight.weights.decode is None:
        return "none"
    integer = activation is not None and activation.dtype in _SMALL_INTEGERS | {"int16", "uint16"}
    return "full" if integer else "weights"


def _integer_activations(graph: Graph) -> bool:
    kinds = [
        tensor.dtype in _SMALL_INTEGERS | {"int16"} and tensor.quantization is not None
        for tensor in (graph.tensors[i] for layer in graph.layers for i in layer.outputs if i)
    ]
    return bool(kinds) and all(kinds)
