"""Rules of arithmetic without multiply-accumulate: element by element, pools, reductions."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgewise.analysis.rules.windows import assemble, per_axis, slide, spatial
from edgewise.analysis.shapes import CannotTell, Dims, Scope, Value
from edgewise.analysis.symbolic import Dim, product
from edgewise.graph import Kind, Layer


def broadcast(*shapes: Dims) -> Dims:
    """numpy's broadcasting, with formulas kept where two dimensions agree."""
    rank = max((len(dims) for dims in shapes), default=0)
    result: list[int] = []
    for axis in range(-rank, 0):
        size: int = 1
        for dims in shapes:
            if len(dims) >= -axis:
                size = _join(size, dims[axis])
        result.append(size)
    return tuple(result)


def _join(a: int, b: int) -> int:
    if a == b:
        return a if isinstance(a, Dim) else b
    if a == 1:
        return b
    if b == 1:
        return a
    raise CannotTell


def _floor_or_true_divide(a: Any, b: Any) -> Any:
    """ONNX and TFLite divide integers with truncation, reals as reals."""
    if not (isinstance(a, int) and isinstance(b, int)):
        return a / b
    return a // b if (a >= 0) == (b >= 0) else -(-a // b)


_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": _floor_or_true_divide,
    "floor_div": operator.floordiv,
    "mod": operator.mod,
    "pow": operator.pow,
    "max": lambda a, b: a if a >= b else b,
    "min": lambda a, b: a if a <= b else b,
    "equal": operator.eq,
    "not_equal": operator.ne,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "and": lambda a, b: bool(a) and bool(b),
    "or": lambda a, b: bool(a) or bool(b),
}

_UNARY: Mapping[str, Callable[[Any], Any]] = {
    "neg": operator.neg,
    "abs": abs,
    "floor": lambda x: x if isinstance(x, int) else math.floor(x),
    "ceil": lambda x: x if isinstance(x, int) else math.ceil(x),
    "round": lambda x: x if isinstance(x, int) else round(x),
    "not": operator.not_,
    "sqrt": math.sqrt,
    "relu": lambda x: x if x > 0 else 0,
}


def each(function: Callable[..., Any], *arrays: Value) -> Value:
    """Apply to arrays of Python numbers, element by element, broadcasting."""
    spread = np.broadcast_arrays(*arrays)
    result = np.empty(spread[0].shape, dtype=object)
    flat = [array.reshape(-1) for array in spread]
    result.reshape(-1)[:] = [function(*numbers) for numbers in zip(*flat, strict=True)]
    return result


def _unary(scope: Scope, layer: Layer) -> list[Dims | None]:
    function = _UNARY.get(layer.attributes.get("function", ""))
    if function is not None and (value := scope.value(layer, 0)) is not None:
        scope.set_value(layer, each(function, value))
    return _same(scope, layer)


def _binary(scope: Scope, layer: Layer) -> list[Dims | None]:
    places = [p for p in range(len(layer.inputs)) if layer.inputs[p] is not None]
    _supply_vectors(scope, layer)
    dims = _broadcast(layer, [scope.shape(layer, place) for place in places])
    function = _BINARY.get(layer.attributes.get("function", ""))
    # Most are activations: a product of networks' feature maps has no small value.
    if function is not None and len(places) == 2 and scope.small(dims):
        first = scope.value(layer, places[0])
        second = None if first is None else scope.value(layer, places[1])
        if first is not None and second is not None:
            scope.set_value(layer, each(function, first, second))
    return [dims]


def _supply_vectors(scope: Scope, layer: Layer) -> None:
    """Weights without a shape: one number for each place along the axis `vectors`."""
    axis = layer.attributes.get("vectors")
    if axis is not None:
        length = int(scope.shape(layer, 0)[axis])
        for place in range(1, len(layer.inputs)):
            scope.supply(layer, place, (length,))


def _broadcast(layer: Layer, shapes: list[Dims]) -> Dims:
    """numpy's broadcasting, or what older formats do instead of it."""
    if layer.attributes.get("like_first"):
        return shapes[0]
    axis = layer.attributes.get("axis", -1)
    if axis >= 0 and len(shapes) == 2 and len(shapes[1]) < len(shapes[0]):
        behind = len(shapes[0]) - axis - len(shapes[1])
        shapes = [shapes[0], shapes[1] + (1,) * max(behind, 0)]
    try:
        return broadcast(*shapes)
    except CannotTell:
        if not layer.attributes.get("loose"):
            raise
        return max(shapes, key=lambda dims: (len(dims), product(dims)))


def _where(scope: Scope, layer: Layer) -> list[Dims | None]:
    if layer.attributes.get("rows"):
        return [scope.shape(layer, 1)]
    dims = broadcast(*(scope.shape(layer, place) for place in range(3)))
    if scope.small(dims):
        known = [v for v in (scope.value(layer, place) for place in range(3)) if v is not None]
        if len(known) == 3:
            scope.set_value(layer, each(lambda test, a, b: a if test else b, *known))
    return [dims]


def _same(scope: Scope, layer: Layer) -> list[Dims | None]:
    """The output has the shape of the first input."""
    return [scope.shape(layer, 0)]


def _normalise(scope: Scope, layer: Layer) -> list[Dims | None]:
    _supply_vectors(scope, layer)
    x = scope.shape(layer, 0)
    same = layer.attributes.get("same", (0,))
    return [x if place in same else None for place in range(len(layer.outputs))]


def _quantize(scope: Scope, layer: Layer) -> list[Dims | None]:
    """A dynamic quantisation gives its scale and zero point as scalars."""
    return [scope.shape(layer, 0), *[()] * (len(layer.outputs) - 1)]


def _pool(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    attributes = layer.attributes
    layout = attributes.get("layout", "channels_first")
    space = spatial(x, layout)
    axes = len(space)
    channels = x[-1] if layout == "channels_last" else x[1]
    if attributes.get("output_size"):
        wanted = per_axis(attributes["output_size"], axes)
        places = [have if size is None else size for have, size in zip(space, wanted, strict=True)]
        return [assemble(x[0], channels, places, layout)] * len(layer.outputs)
    places = slide(
        space,
        per_axis(attributes["kernel"], axes),
        per_axis(attributes.get("strides"), axes),
        per_axis(attributes.get("dilations"), axes),
        attributes.get("pads"),
        ceil_mode=attributes.get("ceil_mode", False),
    )
    return [assemble(x[0], channels, places, layout)] * len(layer.outputs)


def _global_pool(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    layout = layer.attributes.get("layout", "channels_first")
    channels = x[-1] if layout == "channels_last" else x[1]
    return [assemble(x[0], channels, [1] * (len(x) - 2), layout)]


_REDUCERS: Mapping[str, Callable[[Any, Any], Any]] = {
    "sum": operator.add,
    "prod": operator.mul,
    "max": _BINARY["max"],
    "min": _BINARY["min"],
    "all": _BINARY["and"],
    "any": _BINARY["or"],
}


def _reduce(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    axes = scope.ints(layer, "axes", 1)
    first = layer.attributes.get("from_axis")
    if first is not None:
        axes = list(range(_axis(first, len(x)), len(x)))
    if not axes:
        if layer.attributes.get("noop_with_empty_axes"):
            return [x]
        axes = list(range(len(x)))
    chosen = {_axis(axis, len(x)) for axis in axes}
    keep = bool(layer.attributes.get("keep_dims"))
    _reduce_value(scope, layer, chosen, keep)
    if keep:
        return [tuple(1 if axis in chosen else size for axis, size in enumerate(x))]
    return [tuple(size for axis, size in enumerate(x) if axis not in chosen)]


def _reduce_value(scope: Scope, layer: Layer, axes: set[int], keep: bool) -> None:
    reducer = _REDUCERS.get(layer.attributes.get("function", ""))
    value = None if reducer is None else scope.value(layer, 0)
    if reducer is None or value is None or value.ndim != 1 or axes != {0} or not value.size:
        return
    total = value[0]
    for number in value[1:]:
        total = reducer(total, number)
    result = np.empty((1,) if keep else (), dtype=object)
    result[...] = total
    scope.set_value(layer, result)


def _axis(axis: int, rank: int) -> int:
    if not -rank <= axis < rank:
        raise CannotTell
    return axis % rank


RULES = {
    Kind.UNARY: _unary,
    Kind.BINARY: _binary,
    Kind.WHERE: _where,
    Kind.NORMALISE: _normalise,
    Kind.SOFTMAX: _same,
    Kind.POOL: _pool,
    Kind.GLOBAL_POOL: _global_pool,
    Kind.REDUCE: _reduce,
    Kind.ARG_REDUCE: _reduce,
    Kind.CUMULATIVE: _same,
    Kind.QUANTIZE: _quantize,
    Kind.DEQUANTIZE: _quantize,
}
