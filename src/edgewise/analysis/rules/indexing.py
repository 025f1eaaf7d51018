"""Rules of kinds that pick by indices, and put back by them."""

from __future__ import annotations

import numpy as np

from edgewise.analysis.rules.arithmetic import axis_in
from edgewise.analysis.scope import CannotTell, Dims, Scope, require
from edgewise.analysis.symbolic import plain, product
from edgewise.graph import Kind, Layer


def _gather(scope: Scope, layer: Layer) -> list[Dims | None]:
    x, indices = scope.shape(layer, 0), scope.shape(layer, 1)
    axis = axis_in((scope.ints(layer, "axis", 2) or [0])[0], len(x))
    batch = layer.attributes.get("batch_dims", 0)
    taken = layer.attributes.get("joined", 1)  # axes that the indices go over together
    batch = axis_in(batch, len(indices) + 1)
    fits = x[:batch] == indices[:batch] and batch <= axis
    require(fits, f"batches of {plain(x)} and {plain(indices)}")
    dims = (*x[:axis], *indices[batch:], *x[axis + taken :])
    size = product(x[axis : axis + taken])
    _check_indices(scope, layer, size, layer.attributes.get("negative", True))
    value = scope.value(layer, 0) if scope.small(dims) and not batch else None
    where = None if value is None else scope.value(layer, 1)
    if value is not None and where is not None:
        picked = np.take(value, where.astype(np.int64), axis=axis)
        scope.set_value(layer, np.asarray(picked, dtype=object))
    return [dims]


def _check_indices(scope: Scope, layer: Layer, size: int, negative: bool) -> None:
    """Indices that are known must lie inside."""
    index = layer.inputs[1]
    if index is None or (where := scope.value_of(index)) is None:
        return
    low = -int(size) if negative else 0
    require(all(low <= int(i) < size for i in where.reshape(-1)), f"an index beyond {int(size)}")


def _gather_nd(scope: Scope, layer: Layer) -> list[Dims | None]:
    x, indices = scope.shape(layer, 0), scope.shape(layer, 1)
    batch = layer.attributes.get("batch_dims", 0)
    depth = batch + int(indices[-1])
    fits = depth <= len(x) and batch < len(indices)
    require(fits, f"indices of {plain(indices)} into {plain(x)}")
    return [(*indices[:-1], *x[depth:])]


def _gather_elements(scope: Scope, layer: Layer) -> list[Dims | None]:
    x, indices = scope.shape(layer, 0), scope.shape(layer, 1)
    if "axis" in layer.attributes:
        _check_elements(x, indices, layer.attributes["axis"])
    axis = layer.attributes.get("from_axis", 0)
    return [(*x[:axis], *indices[axis:])]


def _check_elements(x: Dims, indices: Dims, axis: int) -> None:
    beside = axis_in(axis, max(len(x), 1))
    fits = len(x) == len(indices) and all(
        at == beside or have >= want for at, (have, want) in enumerate(zip(x, indices, strict=True))
    )
    require(fits, f"indices of {plain(indices)} into {plain(x)}")


def _scatter(scope: Scope, layer: Layer) -> list[Dims | None]:
    x, style = scope.shape(layer, 0), layer.attributes.get("style")
    if style == "elements":
        indices, updates = scope.shape(layer, 1), scope.shape(layer, 2)
        require(indices == updates, f"indices of {plain(indices)}, updates of {plain(updates)}")
        _check_elements(x, indices, layer.attributes.get("axis", 0))
    elif style == "nd":
        indices, updates = scope.shape(layer, 1), scope.shape(layer, 2)
        depth = int(indices[-1])
        fits = depth <= len(x) and updates == (*indices[:-1], *x[depth:])
        require(fits, f"updates of {plain(updates)} at indices of {plain(indices)} in {plain(x)}")
    return [x]


def _scatter_nd(scope: Scope, layer: Layer) -> list[Dims | None]:
    wanted = scope.ints(layer, "shape", 2)
    if wanted is None:
        raise CannotTell
    indices, updates = scope.maybe_shape(layer, 0), scope.maybe_shape(layer, 1)
    if indices and updates is not None and layer.attributes.get("checked"):
        depth = int(indices[-1])
        fits = depth <= len(wanted) and updates == (*indices[:-1], *wanted[depth:])
        require(fits, f"updates of {plain(updates)} at indices of {plain(indices)}")
    return [tuple(wanted)]


RULES = {
    Kind.GATHER: _gather,
    Kind.GATHER_ELEMENTS: _gather_elements,
    Kind.GATHER_ND: _gather_nd,
    Kind.SCATTER: _scatter,
    Kind.SCATTER_ND: _scatter_nd,
}
