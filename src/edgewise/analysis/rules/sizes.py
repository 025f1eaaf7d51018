"""Rules of kinds that make values out of sizes, and sizes out of values."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.analysis.rules.arithmetic import axis_in, broadcast
from edgewise.analysis.scope import SMALL_ELEMENTS, CannotTell, Dims, Scope, require, whole
from edgewise.analysis.symbolic import Dim, ceil_div, product
from edgewise.graph import Kind, Layer


def _objects(values: list[Any] | Any) -> np.ndarray[Any, Any]:
    return np.array(values, dtype=object)


def _shape(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    part = x[slice(layer.attributes.get("start", 0), layer.attributes.get("end"))]
    value = np.empty(len(part), dtype=object)
    value[:] = part
    scope.set_value(layer, value)
    return [(len(part),)]


def _scalar(scope: Scope, layer: Layer, number: int) -> list[Dims | None]:
    value = np.empty((), dtype=object)
    value[()] = number
    scope.set_value(layer, value)
    return [()]


def _size(scope: Scope, layer: Layer) -> list[Dims | None]:
    return _scalar(scope, layer, product(scope.shape(layer, 0)))


def _rank(scope: Scope, layer: Layer) -> list[Dims | None]:
    return _scalar(scope, layer, len(scope.shape(layer, 0)))


def _constant(scope: Scope, layer: Layer) -> list[Dims | None]:
    value = layer.attributes.get("value")
    if value is None:
        raise CannotTell
    array = _objects(value)
    scope.set_value(layer, array)
    return [array.shape]


def _fill(scope: Scope, layer: Layer) -> list[Dims | None]:
    wanted = scope.ints(layer, "shape", 0)
    if wanted is None:
        raise CannotTell
    filler = layer.attributes.get("value")
    if filler is None and (given := scope.value(layer, 1)) is not None and given.size == 1:
        filler = given.reshape(-1)[0]
    if filler is not None and product(wanted) <= SMALL_ELEMENTS:
        one = np.array(filler, dtype=object)
        scope.set_value(layer, one, spread=[int(size) for size in wanted])
    return [tuple(wanted)]


def _range(scope: Scope, layer: Layer) -> list[Dims | None]:
    ends = [scope.value(layer, place) for place in range(3)]
    known = [value.reshape(-1)[0] for value in ends if value is not None and value.size == 1]
    if len(known) != 3:
        raise CannotTell
    start, limit, step = known
    onward = not layer.attributes.get("forward") or (limit - start) * step >= 0
    require(step != 0 and onward, f"from {start} to {limit} in steps of {step}")
    if all(isinstance(number, int) for number in known) and step > 0:
        length = ceil_div(limit - start, step) if limit > start else 0
    else:
        length = max(0, int(np.ceil((limit - start) / step)))
    if not isinstance(length, Dim) and length <= SMALL_ELEMENTS:
        scope.set_value(layer, _objects([start + i * step for i in range(length)]))
    return [(length,)]


def _one_hot(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    depth = scope.ints(layer, "depth", 1)
    if depth is None:
        raise CannotTell
    require(depth[0] > 0 or not layer.attributes.get("positive"), f"a depth of {int(depth[0])}")
    axis = axis_in(layer.attributes.get("axis", -1), len(x) + 1)
    return [(*x[:axis], depth[0], *x[axis:])]


def _top_k(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    k = scope.ints(layer, "k", 1)
    if not k:
        raise CannotTell
    axis = axis_in(layer.attributes.get("axis", -1), len(x))
    require(0 <= k[0] <= x[axis], f"the {int(k[0])} largest of {int(x[axis])}")
    return [(*x[:axis], whole(k[0]), *x[axis + 1 :])] * len(layer.outputs)


def _broadcast_shape(scope: Scope, layer: Layer) -> list[Dims | None]:
    ranks = [int(scope.shape(layer, place)[0]) for place in range(len(layer.inputs))]
    values = [scope.value(layer, place) for place in range(len(layer.inputs))]
    shapes = [tuple(map(whole, value)) for value in values if value is not None]
    if len(shapes) == len(ranks):
        dims = broadcast(*shapes)
        value = np.empty(len(dims), dtype=object)
        value[:] = dims
        scope.set_value(layer, value)
    return [(max(ranks),)]


def _by_the_file(scope: Scope, layer: Layer) -> list[Dims | None]:
    """Sizes depend on data, or on an operator that is not understood."""
    raise CannotTell


RULES = {
    Kind.SHAPE: _shape,
    Kind.SIZE: _size,
    Kind.RANK: _rank,
    Kind.CONSTANT: _constant,
    Kind.FILL: _fill,
    Kind.RANGE: _range,
    Kind.ONE_HOT: _one_hot,
    Kind.TOP_K: _top_k,
    Kind.BROADCAST_SHAPE: _broadcast_shape,
    Kind.DATA_DEPENDENT: _by_the_file,
    Kind.VARIABLE: _by_the_file,
    Kind.POSTPROCESS: _by_the_file,
    Kind.WEIGHTS: _by_the_file,
    Kind.UNKNOWN: _by_the_file,
}
