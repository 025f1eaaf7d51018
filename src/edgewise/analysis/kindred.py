"""Which of many models may be related, without comparing all pairs.

Two that share a layer have one whose sketches are near, two of one architecture have layers of the
same sizes, and what pruning left of a layer shares the smallest hashes of its values. Near sketches
are found as near points in space: cells as wide as near is, one axis after the other, and distances
only between points of neighbouring cells.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from edgewise.records import TensorRow

#: Root mean square of the differences of two sketches: up to here it is quantisation, or training
#: that moved every weight a little. Two layers this near may be so by chance; one nearer than
#: `_TELLING` alone, or several, are looked into.
NEAR = 0.2
_TELLING, _SEVERAL = 0.1, 2
#: Layers by which a model is found: its largest. Of their values' hashes, the smallest.
_FOUND_BY, _HASHES = 6, 8
#: Models of one architecture that are all compared with one another; above, with the first alone.
#: So are those that have one layer.
_ALL_PAIRS = 40
#: Points that others are held against at a time.
_AT_ONCE = 512
#: Points against points: fewer are not parted any further.
_SMALL = 1 << 14

Pair = tuple[int, int]
Points = NDArray[np.float64]


def kindred(models: Sequence[tuple[int, Sequence[TensorRow]]]) -> Iterator[Pair]:
    """Pairs worth a comparison, each once, the lower place first.

    Args:
        models: the key of its architecture (`sketch.shape_key`), and the layers that have a sketch.
    """
    largest = [sorted(layers, key=lambda row: -row.elements)[:_FOUND_BY] for _, layers in models]
    by_key: dict[int, list[int]] = defaultdict(list)
    for number, (key, _) in enumerate(models):
        by_key[key].append(number)
    seen: set[Pair] = set()
    for pairs in (*map(_among, by_key.values()), _pruned(largest), _near(largest)):
        for pair in pairs:
            if pair not in seen:
                seen.add(pair)
                yield pair


def _among(members: Sequence[int]) -> Iterator[Pair]:
    if len(members) > _ALL_PAIRS:
        return ((members[0], other) for other in members[1:])
    return combinations(members, 2)


def _pruned(largest: Sequence[Sequence[TensorRow]]) -> Iterator[Pair]:
    """Models of which one has zeros where the other has values, the other values alike."""
    by_hash: dict[Pair, dict[int, bool]] = defaultdict(dict)
    for number, rows in enumerate(largest):
        for row in rows:
            for each in row.bottom[:_HASHES]:
                by_hash[row.elements, each][number] = bool(row.zero_fraction)
    for members in by_hash.values():
        if len(members) > 1 and any(members.values()):
            yield from _among(list(members))


def _near(largest: Sequence[Sequence[TensorRow]]) -> Iterator[Pair]:
    """Models with layers whose sketches are near."""
    alike: dict[int, tuple[dict[tuple[float, ...], list[int]], ...]]
    alike = defaultdict(lambda: (defaultdict(list), defaultdict(list)))
    for number, rows in enumerate(largest):
        for row in rows:
            assert row.sketch is not None
            half = len(row.sketch) // 2
            for side, part in enumerate((row.sketch[:half], row.sketch[half:])):
                members = alike[row.elements][side].setdefault(part, [])
                if members[-1:] != [number]:
                    members.append(number)
    times: Counter[Pair] = Counter()
    for sides in alike.values():
        for owners in sides:
            for members in owners.values():
                yield from _among(members)
        times += _layers(sides[0]) | _layers(sides[1])
    for (one, other), count in times.items():
        if one != other and count >= min(_SEVERAL, len(largest[one]), len(largest[other])):
            yield one, other


def _layers(owners: Mapping[tuple[float, ...], Sequence[int]]) -> Counter[Pair]:
    """How many near layers pairs of models have, of those that have sketches given by their owners;
    one that is nearer than by chance counts for several."""
    places = list(owners.values())
    times: Counter[Pair] = Counter()
    for (left, right), distance in close(np.array(list(owners)), NEAR).items():
        both = places[left], places[right]
        if len(both[0]) * len(both[1]) > _ALL_PAIRS:
            both = both[0][:1], both[1][:1]
        for one, other in product(*both):
            times[min(one, other), max(one, other)] += _SEVERAL if distance <= _TELLING else 1
    return times


def close(points: Points, limit: float) -> dict[Pair, float]:
    """Pairs of points whose root mean square distance is at most `limit`, the lower place first,
    with that distance; of a point with many such, the pair with the first of them.

    Args:
        points: (number, axes).
    """
    axes = points.shape[1]
    cells = np.floor(points / (limit * axes**0.5)).astype(np.int64)
    everything = np.arange(len(points))
    found: dict[Pair, float] = {}
    for left, right in _neighbours(cells, everything, everything, 0):
        for one, near in _partners(points, left, right, limit).items():
            for other, distance in near.items():
                found[min(one, other), max(one, other)] = distance
    return found


def _partners(
    points: Points, left: NDArray[np.int64], right: NDArray[np.int64], limit: float
) -> dict[int, dict[int, float]]:
    """Of each point on the left those on the right within the limit; the first, where many are: it
    is not looked at any further then."""
    partners: dict[int, dict[int, float]] = {}
    for some in np.split(right, range(_AT_ONCE, len(right), _AT_ONCE)):
        squares = np.zeros((len(left), len(some)))
        for axis in range(points.shape[1]):
            squares += np.square(points[left, axis][:, None] - points[some, axis])
        distances = np.sqrt(squares / points.shape[1])
        near = (distances <= limit) & (left[:, None] != some)
        before = np.array([len(partners.get(each, ())) for each in left.tolist()])
        crowded = before + near.sum(1) > _ALL_PAIRS
        first = near.argmax(1)
        for i in np.flatnonzero(crowded).tolist():
            known = partners.get(int(left[i])) or {int(some[first[i]]): distances[i, first[i]]}
            partners[int(left[i])] = dict([*known.items()][:1])
        near[crowded] = False
        for i, j in np.argwhere(near).tolist():
            partners.setdefault(int(left[i]), {})[int(some[j])] = float(distances[i, j])
        left = left[~crowded]
    return partners


def _neighbours(
    cells: NDArray[np.int64], left: NDArray[np.int64], right: NDArray[np.int64], axis: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Points, and those in their cells and the cells beside them."""
    if axis == cells.shape[1] or len(left) * len(right) <= _SMALL:
        yield left, right
        return
    own, theirs = cells[left, axis], cells[right, axis]
    for cell in np.unique(own).tolist():
        beside = right[np.abs(theirs - cell) <= 1]
        yield from _neighbours(cells, left[own == cell], beside, axis + 1)
