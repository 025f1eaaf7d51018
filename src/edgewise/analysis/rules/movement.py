"""Rules of data movement that reorder, cut and join: shapes, and values where they are small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgewise.analysis.rules.arithmetic import axis_in, broadcast
from edgewise.analysis.scope import CannotTell, Dims, Scope, require
from edgewise.analysis.symbolic import ceil_div, plain, product
from edgewise.analysis.typed import Value, as_type
from edgewise.graph import Kind, Layer


def _identity(scope: Scope, layer: Layer) -> list[Dims | None]:
    value = scope.value(layer, 0) if layer.attributes.get("exact", True) else None
    if value is not None:
        scope.set_value(layer, value)
    return [scope.maybe_shape(layer, place) for place in range(len(layer.inputs))]


def _cast(scope: Scope, layer: Layer) -> list[Dims | None]:
    value = scope.value(layer, 0)
    if value is not None:
        scope.set_value(layer, as_type(value, str(layer.attributes.get("dtype", ""))))
    return [scope.shape(layer, 0)]


def _reshape(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    sizes = layer.attributes.get("sizes")
    if sizes is not None:  # of inputs, by place and axis
        wanted: list[int] | None = [
            size if isinstance(size, int) else scope.shape(layer, size[0])[size[1]]
            for size in sizes
        ]
    else:
        wanted = scope.ints(layer, "shape", 1)
    if wanted is None:
        raise CannotTell
    inside = layer.attributes.get("axis")
    if inside is not None:  # one axis alone becomes several
        at = axis_in(inside, len(x))
        return [(*x[:at], *_filled_in(wanted, x[at]), *x[at + 1 :])]
    if layer.attributes.get("zero_copies"):
        wanted = [x[i] if size == 0 else size for i, size in enumerate(wanted)]
    require(min(wanted, default=0) >= -1, f"a target shape of {plain(tuple(wanted))}")
    known = product(size for size in wanted if size != -1)
    total = product(x)
    why = f"{int(total):,} elements do not fill {plain(tuple(wanted))}"
    if -1 in wanted:
        require(wanted.count(-1) == 1 and known > 0 and int(total) % int(known) == 0, why)
        wanted[wanted.index(-1)] = total // known
    require(int(total) == int(product(wanted)), why)
    dims = tuple(wanted)
    _moved(scope, layer, lambda value: value.reshape([int(size) for size in dims]))
    return [dims]


def _filled_in(wanted: list[int], total: int) -> list[int]:
    """Sizes whose product is `total`, with -1 for the one that follows from the others."""
    known = product(size for size in wanted if size != -1)
    if known == 0 or int(total) % int(known):
        raise CannotTell
    return [total // known if size == -1 else size for size in wanted]


def _moved(scope: Scope, layer: Layer, move: Any) -> None:
    """Keep the value of an output that is the input's, moved."""
    value = scope.value(layer, 0)
    if value is not None:
        scope.set_value(layer, move(value))


def _flatten(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    axis = layer.attributes.get("axis", 1)
    axis = axis + len(x) if axis < 0 else axis
    end = layer.attributes.get("end")
    if end is not None:  # PyTorch: these axes become one, the others stay
        if not x:
            return [(1,)]
        last = axis_in(end, len(x))
        dims = (*x[:axis], product(x[axis : last + 1]), *x[last + 1 :])
        _moved(scope, layer, lambda value: value.reshape([int(size) for size in dims]))
        return [dims]
    require(0 <= axis <= len(x), f"axis {axis} of {len(x)} dimensions")
    return [(product(x[:axis]), product(x[axis:]))]


def _squeeze(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    axes = scope.ints(layer, "axes", 1)
    gone = {axis_in(a, len(x)) for a in axes} if axes else {i for i, d in enumerate(x) if d == 1}
    if layer.attributes.get("only_ones"):
        gone = {axis for axis in gone if x[axis] == 1}
    require(all(x[axis] == 1 for axis in gone), f"axes {sorted(gone)} of {plain(x)} are not all 1")
    dims = tuple(size for axis, size in enumerate(x) if axis not in gone)
    _moved(scope, layer, lambda value: value.reshape([int(size) for size in dims]))
    return [dims]


def _expand_dims(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    axes = scope.ints(layer, "axes", 1)
    if axes is None:
        raise CannotTell
    rank = len(x) + len(axes)
    new = {axis_in(axis, rank) for axis in axes}
    require(len(new) == len(axes), f"axes {axes} name one twice")
    rest = iter(x)
    dims = tuple(1 if axis in new else next(rest) for axis in range(rank))
    _moved(scope, layer, lambda value: value.reshape([int(size) for size in dims]))
    return [dims]


def _transpose(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    by_rank = layer.attributes.get("by_rank")
    order = _exchanged(layer, len(x)) if by_rank is None else list(by_rank[len(x)])
    if order is None:
        order = scope.ints(layer, "permutation", 1) or list(range(len(x)))[::-1]
    fits = sorted(axis_in(a, len(x)) for a in order) == list(range(len(x)))
    require(fits, f"{order} is no order of {len(x)} axes")
    _moved(scope, layer, lambda value: value.transpose(order))
    return [tuple(x[axis] for axis in order)]


def _exchanged(layer: Layer, rank: int) -> list[int] | None:
    """A permutation said by two axes that change places, or by axes that move."""
    swap, moves = layer.attributes.get("swap"), layer.attributes.get("moves")
    if swap is not None:
        order = list(range(rank))
        if rank:
            a, b = (axis_in(axis, rank) for axis in swap)
            order[a], order[b] = b, a
        return order
    if moves is None:
        return None
    source, target = ([axis_in(axis, rank) for axis in axes] for axes in moves)
    rest = iter(axis for axis in range(rank) if axis not in source)
    placed = dict(zip(target, source, strict=True))
    return [placed[at] if at in placed else next(rest) for at in range(rank)]


def _concat(scope: Scope, layer: Layer) -> list[Dims | None]:
    shapes = [scope.shape(layer, place) for place in range(len(layer.inputs))]
    first = shapes[0]
    axis = axis_in(layer.attributes.get("axis", 0), len(first))
    total: int = 0
    for part in shapes:
        fits = len(part) == len(first) and all(
            axis == at or a == b for at, (a, b) in enumerate(zip(first, part, strict=False))
        )
        require(fits, f"{plain(first)} and {plain(part)} do not fit beside axis {axis}")
        total = part[axis] + total
    dims = (*first[:axis], total, *first[axis + 1 :])
    _joined(scope, layer, dims, lambda values: np.concatenate(values, axis))
    return [dims]


def _stack(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    axis = axis_in(layer.attributes.get("axis", 0), len(x) + 1)
    for place in range(1, len(layer.inputs)):
        part = scope.shape(layer, place)
        require(part == x, f"parts of {plain(x)} and {plain(part)}")
    dims = (*x[:axis], len(layer.inputs), *x[axis:])
    _joined(scope, layer, dims, lambda values: np.stack(values, axis))
    return [dims]


def _joined(scope: Scope, layer: Layer, dims: Dims, join: Callable[[list[Value]], Value]) -> None:
    """Keep the value of an output that is all inputs, joined."""
    if not scope.small(dims):
        return
    values = [scope.value(layer, place) for place in range(len(layer.inputs))]
    known = [value for value in values if value is not None]
    if len(known) == len(values):
        scope.set_value(layer, join(known))


def _unstack(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    axis = axis_in(layer.attributes.get("axis", 0), len(x))
    require(x[axis] == len(layer.outputs), f"{int(x[axis])} parts for {len(layer.outputs)} outputs")
    value = scope.value(layer, 0)
    if value is not None:
        for place in range(len(layer.outputs)):
            scope.set_value(layer, np.asarray(value.take(place, axis), dtype=object), place)
    return [(*x[:axis], *x[axis + 1 :])] * len(layer.outputs)


def _split(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    axis = axis_in((scope.ints(layer, "axis", 2) or [0])[0], len(x))
    sizes = scope.ints(layer, "sizes", 1)
    parts = len(layer.outputs)
    part = layer.attributes.get("part")
    if part:  # as many of this size as there are, the last one smaller
        sizes = [part] * (parts - 1) + [x[axis] - part * (parts - 1)]
    if not sizes:
        if layer.attributes.get("even"):
            require(x[axis] % parts == 0, f"{int(x[axis])} elements in {parts} even parts")
        each = ceil_div(x[axis], parts)
        sizes = [each] * (parts - 1) + [x[axis] - each * (parts - 1)]
    if -1 in sizes:
        rest = x[axis] - sum(size for size in sizes if size != -1)
        require(sizes.count(-1) == 1, f"sizes {sizes}")
        sizes = [rest if size == -1 else size for size in sizes]
    sums = min(sizes) >= 0 and sum(map(int, sizes)) == int(x[axis])
    require(sums and len(sizes) == parts, f"sizes {[int(s) for s in sizes]} of {int(x[axis])}")
    value = scope.value(layer, 0)
    if value is not None:
        edges = np.cumsum([int(size) for size in sizes])[:-1]
        for place, part in enumerate(np.split(value, edges, axis)):
            scope.set_value(layer, part, place)
    return [(*x[:axis], size, *x[axis + 1 :]) for size in sizes]


def _slice(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    size = scope.ints(layer, "size", 2)
    if size is None:
        raise CannotTell
    begin = _known(scope, layer, "begin", 1)
    if begin is None:
        if any(count < 0 for count in size):
            raise CannotTell
        return [tuple(size)]
    require(len(x) == len(begin) == len(size), f"{len(begin)} places in {len(x)} dimensions")
    dims = tuple(
        have - at if count == -1 else count for have, at, count in zip(x, begin, size, strict=True)
    )
    fits = all(
        at >= 0 and n >= 0 and at + n <= have for have, at, n in zip(x, begin, dims, strict=True)
    )
    require(fits, f"{plain(dims)} from {begin} do not lie in {plain(x)}")
    cuts = tuple(slice(int(a), int(a) + int(n)) for a, n in zip(begin, dims, strict=True))
    _moved(scope, layer, lambda value: value[cuts])
    return [dims]


def _known(scope: Scope, layer: Layer, name: str, place: int) -> list[int] | None:
    try:
        return scope.ints(layer, name, place)
    except CannotTell:
        return None


def _pad(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    pads = scope.ints(layer, "pads", 1)
    if pads is None:
        raise CannotTell
    axes = scope.ints(layer, "axes", 3)
    axes = list(range(len(x))) if axes is None else [axis_in(a, len(x)) for a in axes]
    require(len(pads) == 2 * len(axes), f"{len(pads)} pads for {len(axes)} axes")
    if layer.attributes.get("order") == "pairs":
        before, after = pads[0::2], pads[1::2]
    else:
        before, after = pads[: len(axes)], pads[len(axes) :]
    dims = list(x)
    for axis, low, high in zip(axes, before, after, strict=True):
        require(min(low, high) >= 0 or not layer.attributes.get("only_more"), f"pads of {pads}")
        if layer.attributes.get("copies"):
            require(x[axis] + min(low, 0) + min(high, 0) > 0, "nothing is left to pad with")
        most = layer.attributes.get("most")
        if most is not None:
            reach = x[axis] - 1 if most == "reflect" else x[axis]
            require(0 <= low <= reach and 0 <= high <= reach, f"pads beyond {int(x[axis])}")
        dims[axis] = dims[axis] + low + high
    return [tuple(dims)]


def _tile(scope: Scope, layer: Layer) -> list[Dims | None]:
    x = scope.shape(layer, 0)
    repeats = scope.ints(layer, "repeats", 1)
    if repeats is None:
        raise CannotTell
    fits = not layer.attributes.get("strict") or len(repeats) == len(x)
    require(fits and min(repeats, default=0) >= 0, f"repeats of {repeats} for {len(x)} dimensions")
    repeats = [1] * (len(x) - len(repeats)) + repeats
    x = (1,) * (len(repeats) - len(x)) + x
    dims = tuple(size * times for size, times in zip(x, repeats, strict=True))
    if scope.small(dims):
        _moved(scope, layer, lambda value: np.tile(value, [int(r) for r in repeats]))
    return [dims]


def _broadcast_to(scope: Scope, layer: Layer) -> list[Dims | None]:
    wanted = scope.ints(layer, "shape", 1)
    if wanted is None:
        raise CannotTell
    if layer.attributes.get("torch"):  # -1 keeps a size
        x = scope.shape(layer, 0)
        new = len(wanted) - len(x)
        wanted = [x[at - new] if size == -1 and at >= new else size
                  for at, size in enumerate(wanted)]  # fmt: skip
    dims, x = tuple(wanted), scope.shape(layer, 0)
    joined = broadcast(x, dims)
    require(bool(layer.attributes.get("two_way")) or joined == dims, f"{plain(x)} to {plain(dims)}")
    dims = joined
    if scope.small(dims):
        _moved(scope, layer, lambda value: np.broadcast_to(value, [int(size) for size in dims]))
    return [dims]


def strided_length(size: int, begin: int | None, end: int | None, step: int) -> int:
    """How many elements begin:end:step takes of `size`, formula kept (that of its clamps)."""
    if step > 0:
        start = 0 if begin is None else _clamped(begin, size, 0, size)
        stop = size if end is None else _clamped(end, size, 0, size)
        return ceil_div(stop - start, step) if stop > start else 0
    last = size - 1
    start = last if begin is None else _clamped(begin, size, -1, last)
    stop = -1 if end is None else _clamped(end, size, -1, last)
    return ceil_div(start - stop, -step) if start > stop else 0


def _clamped(at: int, size: int, low: int, high: int) -> int:
    """A place in `size` elements, counted from the end where negative, within its limits."""
    place = at if at >= 0 else size + at
    return low if place < low else high if place > high else place


RULES = {
    Kind.IDENTITY: _identity,
    Kind.CAST: _cast,
    Kind.RESHAPE: _reshape,
    Kind.FLATTEN: _flatten,
    Kind.SQUEEZE: _squeeze,
    Kind.EXPAND_DIMS: _expand_dims,
    Kind.TRANSPOSE: _transpose,
    Kind.CONCAT: _concat,
    Kind.STACK: _stack,
    Kind.UNSTACK: _unstack,
    Kind.SPLIT: _split,
    Kind.SLICE: _slice,
    Kind.PAD: _pad,
    Kind.TILE: _tile,
    Kind.BROADCAST_TO: _broadcast_to,
}
