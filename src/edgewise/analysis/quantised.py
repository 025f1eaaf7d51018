"""How a network is quantised, and what belongs to quantisation alone: scales and zero points."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from edgewise.analysis.graphs import Lookup, elements, lookup
from edgewise.graph import Graph, Kind, Layer, Tensor

Quantized = Literal["none", "float16", "weights", "full", "mixed"]

#: Kinds whose weights decide.
_COMPUTE = frozenset(
    {Kind.CONV, Kind.CONV_TRANSPOSE, Kind.DENSE, Kind.MATMUL, Kind.EINSUM, Kind.RECURRENT,
     Kind.SVDF}
)  # fmt: skip
SMALL_INTEGERS = frozenset({"int2", "uint2", "int4", "uint4", "int8", "uint8"})
_INTEGERS = SMALL_INTEGERS | {"int16", "uint16"}
_HALF = frozenset({"float16", "bfloat16"})
#: Layers that hand a value on unchanged in meaning.
_PASS_ON = frozenset(
    {Kind.DEQUANTIZE, Kind.QUANTIZE, Kind.CAST, Kind.IDENTITY, Kind.RESHAPE, Kind.TRANSPOSE,
     Kind.EXPAND_DIMS, Kind.SQUEEZE, Kind.PAD}
)  # fmt: skip
#: Plain arithmetic that dequantises: a cast to reals, less a zero point, times a scale.
_SCALING = ("mul", "sub", "div", "add")
#: A converter leaves its smallest layers as they were: below this share they do not decide.
_NEGLIGIBLE = 0.1
#: Layers between a weight and the layer that uses it.
_FARTHEST = 8


def quantization(graph: Graph) -> Quantized:
    """How the layers that compute are quantised.

    "full": integer weights and integer activations; "weights": integer weights, activations in
    floating point, also where each layer quantises them for itself while it runs; "float16":
    weights in 16-bit floating point; "mixed": more than one of these, or a share of more than a
    tenth of the weights in 32-bit floating point beside one of them.
    A network whose layers have no weights is "full" where its activations are integers.
    """
    shares: dict[str, int] = {}
    _add_shares(graph, lookup(graph), shares)
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


def scales_only(graph: Graph) -> frozenset[int]:
    """Stored tensors that arithmetic uses to dequantise weights: scales and zero points."""
    makers = _makers(graph)
    of = lookup(graph)
    found = set()
    for layer in graph.layers:
        if not _scales(layer):
            continue
        sides = [index for index in layer.inputs if index is not None]
        for at, index in enumerate(sides):
            others = [other for place, other in enumerate(sides) if place != at]
            if (
                of(index).weights is not None
                and of(index).dtype not in SMALL_INTEGERS
                and any(
                    makers.get(other) is not None and _stored_behind(other, of, makers) is not None
                    for other in others
                )
            ):
                found.add(index)
    return frozenset(found)


def _scales(layer: Layer) -> bool:
    return layer.kind is Kind.BINARY and layer.attributes.get("function") in _SCALING


def _makers(graph: Graph) -> dict[int, Layer]:
    return {i: layer for layer in graph.layers for i in layer.outputs if i is not None}


def _add_shares(graph: Graph, of: Lookup, shares: dict[str, int]) -> None:
    makers = _makers(graph)
    for layer in graph.layers:
        for body in layer.bodies:
            _add_shares(body, lookup(body, of), shares)
        if layer.kind is Kind.WEIGHTS:
            for held in (of(index) for index in layer.inputs if index is not None):
                if len(held.shape or ()) > 1:
                    kind = _class_of(held, False)
                    shares[kind] = shares.get(kind, 0) + elements(held)
        if layer.kind not in _COMPUTE:
            continue
        for place in (1, 2) if layer.kind in (Kind.RECURRENT, Kind.SVDF) else (1, 0):
            weight = _weight(layer, place, of, makers)
            if weight is not None:
                whole = _is_integer(layer, 0 if place else 1, of, makers)
                kind = _class_of(weight, whole)
                shares[kind] = shares.get(kind, 0) + elements(weight)
                break


def _weight(layer: Layer, place: int, of: Lookup, makers: Mapping[int, Layer]) -> Tensor | None:
    """The stored tensor that an input stands for, behind dequantisation and the like."""
    index = layer.inputs[place] if place < len(layer.inputs) else None
    for _ in range(_FARTHEST):
        if index is None:
            return None
        maker = makers.get(index)
        if maker is not None and _scales(maker):
            return _stored_behind(index, of, makers)
        if maker is None or maker.kind not in _PASS_ON or not maker.inputs:
            break
        index = maker.inputs[0]
    tensor = None if index is None else of(index)
    return tensor if tensor is not None and tensor.weights is not None else None


def _stored_behind(index: int, of: Lookup, makers: Mapping[int, Layer]) -> Tensor | None:
    """The stored small integers that a value is made of by casts and scaling alone."""
    waiting = [index]
    for _ in range(_FARTHEST):
        if not waiting:
            return None
        at = waiting.pop()
        maker, tensor = makers.get(at), of(at)
        if maker is None:
            if tensor.weights is not None and tensor.dtype in SMALL_INTEGERS and tensor.shape:
                return tensor
        elif maker.kind in _PASS_ON and maker.inputs[:1] != (None,):
            waiting += [i for i in maker.inputs[:1] if i is not None]
        elif _scales(maker):
            waiting += [i for i in maker.inputs if i is not None]
    return None


def _is_integer(layer: Layer, place: int, of: Lookup, makers: Mapping[int, Layer]) -> bool:
    """Whether what flows into a layer are integers that the file fixes the scales of."""
    index = layer.inputs[place] if place < len(layer.inputs) else None
    for _ in range(_FARTHEST):
        if index is None:
            return False
        whole = of(index).dtype in _INTEGERS
        maker = makers.get(index)
        if maker is None or not maker.inputs:
            return whole
        if maker.kind is Kind.QUANTIZE and whole:
            return len(maker.outputs) == 1  # else scales are found anew each time: it is dynamic
        if maker.kind is Kind.DEQUANTIZE:
            source = maker.inputs[0]
            behind = None if source is None else makers.get(source)
            if behind is not None and behind.kind is Kind.GATHER:
                return False  # rows of a table, real from here on
        elif whole:
            return True
        if maker.kind not in _PASS_ON:
            return False
        index = maker.inputs[0]
    return False


def _class_of(weight: Tensor, whole: bool) -> str:
    if weight.dtype in _HALF:
        return "float16"
    if weight.dtype not in SMALL_INTEGERS and weight.weights and weight.weights.decode is None:
        return "none"
    return "full" if whole else "weights"


def _integer_activations(graph: Graph) -> bool:
    kinds = [
        tensor.dtype in SMALL_INTEGERS | {"int16"} and tensor.quantization is not None
        for tensor in (graph.tensors[i] for layer in graph.layers for i in layer.outputs if i)
    ]
    return bool(kinds) and all(kinds)
