"""What a file stores: parameters, and their bytes by type.

Parameters are the elements of stored weights, tied ones once, batch-normalisation statistics
included; shapes, indices, axes, scales, zero points and lone scalars are not parameters. Which
constants are weights follows from the place they take in a layer, not from their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgewise.analysis.graphs import Lookup, elements, lookup
from edgewise.analysis.quantised import scales_only
from edgewise.graph import Graph, Kind, Layer, Tensor

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
#: Layers that move a value, or parts of it.
_MOVES = frozenset(
    {Kind.IDENTITY, Kind.CAST, Kind.RESHAPE, Kind.SQUEEZE, Kind.EXPAND_DIMS, Kind.TRANSPOSE,
     Kind.SPLIT, Kind.SLICE, Kind.STRIDED_SLICE, Kind.GATHER, Kind.TILE, Kind.BROADCAST_TO,
     Kind.DEQUANTIZE}
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stored:
    """Totals over a graph's parameters: elements, bytes, bytes by dtype."""

    parameters: int
    size_bytes: int
    by_dtype: dict[str, int]


def parameters_by_layer(graph: Graph) -> list[list[Tensor]]:
    """For each layer the parameters that it is the first to use, those of its bodies included."""
    seen: set[int] = set()
    tensor = lookup(graph)
    states = _states(graph) | scales_only(graph)
    return [list(_parameters(layer, tensor, states, seen)) for layer in graph.layers]


def _parameters(
    layer: Layer, of: Lookup, states: frozenset[int], seen: set[int]
) -> Iterator[Tensor]:
    leading = _LEADING.get(layer.kind, len(layer.inputs))
    if layer.attributes.get("compiled"):
        return  # what it holds is no weight as the network has it
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
        inside, inner_states = lookup(body, of), _states(body) | scales_only(body)
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
