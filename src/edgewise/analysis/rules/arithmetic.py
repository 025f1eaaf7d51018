"""Rules of arithmetic without multiply-accumulate: element by element, pools, reductions."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgewise.analysis.rules.windows import assemble, per_axis, slide, spatial
from edgewise.analysis.scope import Dims, Impossible, Scope, require
from edgewise.analysis.symbolic import Dim, plain, product
from edgewise.analysis.typed import Value
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
    raise Impossible(f"sizes {int(a)} and {int(b)} do not broadcast")


def _cut_divide(a: Any, b: Any) -> Any:
    """Runtimes divide whole numbers towards zero."""
    return a // b if (a >= 0) == (b >= 0) else -(-a // b)


def _cut_modulo(a: Any, b: Any) -> Any:
    """C's remainder has the sign of the dividend."""
    return a - _cut_divide(a, b) * b if isinstance(a, int) else math.fmod(a, b)


_BINARY: Mapping[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "floor_div": operator.floordiv,
    "mod": operator.mod,
    "fmod": _cut_modulo,
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
    if layer.attributes.get("function") == "prelu":  # one slope for each channel, or for all
        return [scope.shape(layer, 0)]
    places = [p for p in range(len(layer.inputs)) if layer.inputs[p] is not None]
    _supply_vectors(scope, layer)
    dims = _broadcast(layer, [scope.shape(layer, place) for place in places])
    function = _function(scope, layer, places)
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
    if layer.attributes.get("alike"):
        require(all(dims == shapes[0] for dims in shapes), f"parts of {[plain(s) for s in shapes]}")
    if layer.attributes.get("like_first"):
        return shapes[0]
    axis = layer.attributes.get("axis", -1)
    if axis >= 0 and len(shapes) == 2 and len(shapes[1]) < len(shapes[0]):
        behind = len(shapes[0]) - axis - len(shapes[1])
        shapes = [shapes[0], shapes[1] + (1,) * max(behind, 0)]
    try:
        return broadcast(*shapes)
    except Impossible:
        if not layer.attributes.get("loose"):
            raise
        return max(shapes, key=lambda dims: (len(dims), product(dims)))


def _function(scope: Scope, layer: Layer, places: list[int]) -> Callable[[Any, Any], Any] | None:
    """What a layer does to numbers; division depends on their type."""
    name = layer.attributes.get("function", "")
    if name == "div" and places and _is_whole(scope, layer.inputs[places[0]]):
        return _cut_divide
    return _BINARY.get(name)


def _is_whole(scope: Scope, index: int | None) -> bool:
    return index is not None and "int" in scope.graph.tensors[index].dtype


def _where(scope: Scope, layer: Layer) -> list[Dims | None]:
    if layer.attributes.get("rows"):
        test, first, second = (scope.shape(layer, place) for place in range(3))
        require(first == second, "the two choices differ in shape")
        require(test in ((), first) or test == first[:1], "the condition does not fit the choices")
        return [first]
    dims = broadcast(*(scope.shape(layer, place) for place in range(3)))
    if scope.small(dims):
        known = [v for v in (scope.value(layer, place) for place in range(3)) if v is not None]
        if len(known) == 3:
            scope.set_value(layer, each(lambda test, a, b: a if test else b, *known))
    return [dims]


def _same(scope: Scope, layer: Layer) -> list[Dims | None]:
    """The output has the shape of the first input."""
    return [scope.shape(layer, 0)]


def _cumulative(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    axis = scope.value(layer, 1) if len(layer.inputs) > 1 else None
    if axis is not None and axis.size == 1:
        axis_in(int(axis.reshape(-1)[0]), len(x))
    return [x]


def _softmax(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    axis_in(layer.attributes.get("axis", -1), max(len(x), 1))
    return [x]


def _normalise(scope: Scope, layer: Layer) -> list[Dims | None]:
    _supply_vectors(scope, layer)
    x = scope.shape(layer, 0)
    _check_parameters(scope, layer, x)
    same = layer.attributes.get("same", (0,))
    return [x if place in same else None for place in range(len(layer.outputs))]


def _check_parameters(scope: Scope, layer: Layer, x: Dims) -> None:
    """Scales, means and so on: one for each channel, or for what is normalised together."""
    what = layer.attributes.get("function")
    given = [scope.maybe_shape(layer, place) for place in range(1, len(layer.inputs))]
    channels = layer.attributes.get("channel_axis")
    if channels is not None:
        size = x[axis_in(channels, len(x))]
        for dims in given:
            fits = dims is None or len(dims) != 1 or _equal(scope, size, dims[0])
            require(fits, f"{int(size)} channels, parameters of {dims}")
    elif what in ("layer", "rms") and "axis" in layer.attributes:
        axis_in(layer.attributes["axis"], len(x))
        for dims in given[:2]:
            if dims is not None:
                require(broadcast(dims, x) == x, f"{plain(x)} and parameters of {dims}")


def _equal(scope: Scope, size: int, wanted: int) -> bool:
    """Whether two sizes are one; what a free one should be is learnt."""
    if size != wanted:
        scope.fit(size, wanted)
    return size == wanted


def _quantize(scope: Scope, layer: Layer) -> list[Dims | None]:
    """A dynamic quantisation gives its scale and zero point as scalars."""
    x, scale = scope.shape(layer, 0), scope.maybe_shape(layer, 1)
    axis = layer.attributes.get("axis")
    if axis is not None and scale is not None and len(scale) == 1 and scale[0] > 1 and x:
        size = x[axis_in(axis, len(x))]
        blocks = layer.attributes.get("block_size")
        require(bool(blocks) or size == scale[0], f"{int(size)} channels, {scale[0]} scales")
    return [x, *[()] * (len(layer.outputs) - 1)]


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
    if attributes.get("fewer_axes"):
        attributes = _first_axes(attributes, axes)
    kernel = per_axis(attributes["kernel"], axes)
    if attributes.get("strict"):
        _check_pool(attributes, kernel)
    places = slide(
        space,
        kernel,
        per_axis(attributes.get("strides"), axes),
        per_axis(attributes.get("dilations"), axes),
        attributes.get("pads"),
        ceil_mode=attributes.get("ceil_mode", False),
        small=attributes.get("small", "cut"),
    )
    return [assemble(x[0], channels, places, layout)] * len(layer.outputs)


def _first_axes(attributes: Mapping[str, Any], axes: int) -> dict[str, Any]:
    """A window stated for more axes than the value has: those behind have length 1."""
    cut = {
        name: attributes[name][:axes]
        for name in ("kernel", "strides", "dilations")
        if isinstance(attributes.get(name), tuple)
    }
    pads = attributes.get("pads")
    if isinstance(pads, tuple):
        half = len(pads) // 2
        cut["pads"] = (*pads[:half][:axes], *pads[half:][:axes])
    return {**attributes, **cut}


def _check_pool(attributes: Mapping[str, Any], kernel: list[int]) -> None:
    """A window must reach into its input from every place."""
    given, pads = attributes["kernel"], attributes.get("pads")
    require(len(given) == len(kernel), f"a window of {len(given)} axes for {len(kernel)}")
    if isinstance(pads, tuple):
        fits = all(pad < size for pad, size in zip(pads, kernel * 2, strict=True))
        require(fits, f"pads of {pads} around a window of {kernel}")


def _global_pool(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    layout = layer.attributes.get("layout", "channels_first")
    channels = x[-1] if layout == "channels_last" else x[1]
    require(len(x) > 2, f"{len(x)} dimensions have no spatial ones")
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
        axes = list(range(axis_in(first, len(x)), len(x)))
    if not axes:
        if layer.attributes.get("noop_with_empty_axes"):
            return [x]
        axes = list(range(len(x)))
    chosen = {axis_in(axis, len(x)) for axis in axes}
    keep = bool(layer.attributes.get("keep_dims"))
    _reduce_value(scope, layer, chosen, keep)
    if keep:
        return [tuple(1 if axis in chosen else size for axis, size in enumerate(x))]
    return [tuple(size for axis, size in enumerate(x) if axis not in chosen)]


def _arg_reduce(scope: Scope, layer: Layer) -> list[Dims | None]:
    found = _reduce(scope, layer)
    value = scope.value(layer, 0)
    axes = scope.ints(layer, "axes", 1)
    keep = bool(layer.attributes.get("keep_dims"))
    if value is not None and value.size and axes is not None and len(axes) == 1:
        numbers = np.array(value.tolist(), dtype=object)
        best = np.argmax if "max" in layer.attributes.get("function", "") else np.argmin
        axis = axes[0] % max(numbers.ndim, 1)
        where = best(numbers, axis=axis)
        last = bool(layer.attributes.get("last"))
        if last:
            where = numbers.shape[axis] - 1 - best(np.flip(numbers, axis), axis=axis)
        result = np.expand_dims(where, axis) if keep else np.asarray(where)
        whole_numbers = np.empty(result.shape, dtype=object)
        whole_numbers.reshape(-1)[:] = [int(number) for number in result.reshape(-1)]
        scope.set_value(layer, whole_numbers)
    return found


def _reduce_value(scope: Scope, layer: Layer, axes: set[int], keep: bool) -> None:
    reducer = _REDUCERS.get(layer.attributes.get("function", ""))
    value = None if reducer is None else scope.value(layer, 0)
    if reducer is not None and value is not None and not value.ndim:
        scope.set_value(layer, value)
    if reducer is None or value is None or value.ndim != 1 or axes != {0} or not value.size:
        return
    total = value[0]
    for number in value[1:]:
        total = reducer(total, number)
    result = np.empty((1,) if keep else (), dtype=object)
    result[...] = total
    scope.set_value(layer, result)


def axis_in(axis: int, rank: int) -> int:
    """An axis counted from the front. Raises Impossible where it is out of range."""
    require(-rank <= axis < rank, f"axis {int(axis)} of {rank} dimensions")
    return axis % rank


RULES = {
    Kind.UNARY: _unary,
    Kind.BINARY: _binary,
    Kind.WHERE: _where,
    Kind.NORMALISE: _normalise,
    Kind.SOFTMAX: _softmax,
    Kind.POOL: _pool,
    Kind.GLOBAL_POOL: _global_pool,
    Kind.REDUCE: _reduce,
    Kind.ARG_REDUCE: _arg_reduce,
    Kind.CUMULATIVE: _cumulative,
    Kind.QUANTIZE: _quantize,
    Kind.DEQUANTIZE: _quantize,
}
