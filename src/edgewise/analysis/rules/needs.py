"""What an operator needs of its inputs beyond what its kind does, as its reader declares it.

The attribute `needs` of a layer lists conditions: a word, then what it is about. An input whose
shape is not known fulfils them.

| condition | the input at place … |
|---|---|
| `("rank", p, low, high)` | has so many dimensions |
| `("size", p, axis, n)` | has this size |
| `("same", p, axis, q, axis)` | agrees with another in one size |
| `("alike", p, q)` | has the shape of another |
| `("into", p, q)` | broadcasts into the shape of another |
| `("axis", p, axis)` | has this axis |
| `("groups", p, axis, n)` | has a size that n divides |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgewise.analysis.rules.arithmetic import axis_in, broadcast
from edgewise.analysis.scope import Dims, Scope, require
from edgewise.analysis.symbolic import plain
from edgewise.graph import Layer


def check_needs(scope: Scope, layer: Layer) -> None:
    """Raise `Impossible` where a layer's declared needs are not fulfilled."""
    for word, place, *rest in layer.attributes["needs"]:
        dims = scope.maybe_shape(layer, place)
        if dims is None:
            continue
        if word in _OF_TWO:
            other = scope.maybe_shape(layer, rest[_OF_TWO[word]])
            if other is not None:
                _PAIRS[word](dims, other, rest)
        else:
            _SINGLE[word](dims, rest)


def _rank(dims: Dims, rest: list[Any]) -> None:
    low, high = rest
    require(low <= len(dims) <= high, f"{len(dims)} dimensions")


def _size(dims: Dims, rest: list[Any]) -> None:
    axis, wanted = rest
    size = dims[axis_in(axis, len(dims))]
    require(size == wanted, f"a size of {int(size)}, not {wanted}")


def _axis(dims: Dims, rest: list[Any]) -> None:
    axis_in(rest[0], len(dims))


def _groups(dims: Dims, rest: list[Any]) -> None:
    axis, count = rest
    size = dims[axis_in(axis, len(dims))]
    require(count > 0 and size % count == 0, f"{int(size)} in {count} groups")


def _same(dims: Dims, other: Dims, rest: list[Any]) -> None:
    axis, _, its = rest
    mine, theirs = dims[axis_in(axis, len(dims))], other[axis_in(its, len(other))]
    require(mine == theirs, f"sizes {int(mine)} and {int(theirs)}")


def _alike(dims: Dims, other: Dims, rest: list[Any]) -> None:
    require(dims == other, f"{plain(dims)} and {plain(other)}")


def _into(dims: Dims, other: Dims, rest: list[Any]) -> None:
    require(broadcast(dims, other) == other, f"{plain(dims)} into {plain(other)}")


_SINGLE: dict[str, Callable[[Dims, list[Any]], None]] = {
    "rank": _rank,
    "size": _size,
    "axis": _axis,
    "groups": _groups,
}
_PAIRS: dict[str, Callable[[Dims, Dims, list[Any]], None]] = {
    "same": _same,
    "alike": _alike,
    "into": _into,
}
#: Where the other input's place stands.
_OF_TWO = {"same": 1, "alike": 0, "into": 0}
