"""Which models are the same, or come from one another: by their weights, not by their names.

Models that may be related are found without comparing all pairs (`kindred.py`). Weights that are
all alike (ones, zeros) tie nothing: they have no sketch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import msgspec
import numpy as np

from edgewise.analysis.kindred import NEAR, kindred
from edgewise.analysis.sketch import shape_key
from edgewise.records import Kinship, Lineage, Model, TensorRow

#: Up to this distance of two sketches it is rounding, in another format or after folding.
_SAME = 0.002
#: Of the hashes below the smaller limit, the share that a pruned tensor keeps of its origin's.
_PRUNED = 0.25
#: So many layers that are only near tell; one or two may be so by chance.
_TELLING = 3
#: From this share of the elements on, models whose other layers differ are one made from the other.
_MOSTLY = 0.5
#: Few bits, and zeros where there were small weights, move the sums of low frequencies least. How
#: well those of two models' layers must agree (the correlation of all, and how far each pair is
#: apart), over how many frequencies and at least how many pairs: where one is quantised, and where
#: one is pruned. Of networks trained apart the correlation was below 0.6.
_ROUGH, _THINNED = (0.9, 0.35, 4, 3), (0.8, 0.5, 2, 6)
_MORE_ZEROS = 0.1
#: Of so many parts a layer is put together again.
_PARTS = (2, 3, 4, 6, 8, 16)
_INTEGERS = ("int", "uint")
_PALETTE = 256


@dataclass(frozen=True)
class _Known:
    """A model as it is compared."""

    model: Model
    layers: tuple[TensorRow, ...]
    elements: int
    key: int
    quantised: bool
    by_size: Mapping[int, Sequence[TensorRow]]


@dataclass
class _Match:
    """Layers of two models, paired one to one."""

    same: int = 0
    near: int = 0
    pruned: int = 0
    differing: int = 0
    same_elements: int = 0
    near_elements: int = 0
    pruned_elements: int = 0
    unpaired: int = 0
    #: Those that are not the same; of which those that differ.
    apart: list[tuple[TensorRow, TensorRow]] = field(default_factory=list)
    far: list[tuple[TensorRow, TensorRow]] = field(default_factory=list)
    left_over: list[int] = field(default_factory=lambda: [0, 0])
    notes: list[str] = field(default_factory=list)


def lineage(models: Iterable[Model]) -> Iterator[Lineage]:
    """Related pairs, each once; the closest relation that holds.

    Args:
        models: parsed ones with their `tensors` (`summarise` with weights).
    """
    distinct: dict[str, Model] = {}
    for model in models:
        if model.status != "parsed":
            continue
        key = model.sha256 or model.path
        if key in distinct and distinct[key].path != model.path:
            yield Lineage(
                a=distinct[key].path, b=model.path, relation="identical",
                shared_weight_fraction=1.0, layers_differing=0,
            )  # fmt: skip
        distinct.setdefault(key, model)
    known = [one for model in distinct.values() if (one := _known(model)) is not None]
    for first, second in kindred([(one.key, one.layers) for one in known]):
        if (found := compare_known(known[first], known[second])) is not None:
            yield found


def compare(a: Model, b: Model) -> Lineage | None:
    """How two models with their `tensors` are related; None: they are not."""
    if a.sha256 is not None and a.sha256 == b.sha256:
        return Lineage(
            a=a.path, b=b.path, relation="identical", shared_weight_fraction=1.0,
            layers_differing=0,
        )  # fmt: skip
    first, second = _known(a), _known(b)
    return None if first is None or second is None else compare_known(first, second)


def _known(model: Model) -> _Known | None:
    layers = tuple(row for row in model.tensors or () if row.sketch is not None)
    if not layers:
        return None
    by_size: dict[int, list[TensorRow]] = {}
    for row in layers:
        by_size.setdefault(row.elements, []).append(row)
    return _Known(
        model=model,
        layers=layers,
        elements=sum(row.elements for row in layers),
        key=shape_key([row.elements for row in layers]),
        quantised=any(_is_quantised(row) for row in layers),
        by_size=by_size,
    )


def _is_quantised(row: TensorRow) -> bool:
    palette = row.distinct_values is not None and row.distinct_values <= _PALETTE
    return row.dtype.startswith(_INTEGERS) or (palette and row.elements >= 4 * _PALETTE)


def compare_known(a: _Known, b: _Known) -> Lineage | None:
    """How two models are related; None: they are not."""
    match = _matched(a, b)
    smaller = min(a.elements, b.elements)
    relation = _relation(a, b, match, smaller)
    if relation is None:
        return None
    shared = match.same_elements
    if relation == "quantised":
        shared += match.near_elements
    if relation in ("same_network", "quantised"):
        shared += min(match.left_over)
    if match.pruned:
        match.notes.append(f"{match.pruned} layers are pruned copies")
    return Lineage(
        a=a.model.path, b=b.model.path, relation=relation,
        shared_weight_fraction=min(1.0, shared / smaller),
        layers_differing=_differing(match, relation),
        notes=tuple(match.notes),
    )  # fmt: skip


def _differing(match: _Match, relation: Kinship) -> int:
    if relation in ("same_network", "quantised"):
        return 0
    near = match.near if relation == "fine_tuned" else 0
    return match.differing + match.unpaired + near + match.pruned


def _relation(a: _Known, b: _Known, match: _Match, smaller: int) -> Kinship | None:
    larger = max(a.elements, b.elements)
    one_architecture = a.key == b.key or not match.unpaired
    one_architecture = one_architecture or _cut_otherwise(match, smaller, larger)
    if (
        one_architecture
        and not match.differing
        and not match.pruned
        and (match.same or match.near >= min(_TELLING, len(a.layers)))
    ):
        if not match.near:
            return "quantised" if a.quantised != b.quantised else "same_network"
        return "quantised" if a.quantised or b.quantised else "fine_tuned"
    paired = match.same_elements + match.near_elements
    related = paired >= _MOSTLY * smaller and (match.same > 0 or match.near >= _TELLING)
    if match.pruned and one_architecture:
        return "fine_tuned"
    if match.same and (one_architecture or related):
        return "fine_tuned"
    if match.pruned >= _TELLING and match.pruned_elements >= _MOSTLY * smaller:
        return "fine_tuned"
    if one_architecture:
        return "fine_tuned" if related else "same_architecture"
    return "shares_layers" if match.same else None


def _cut_otherwise(match: _Match, smaller: int, larger: int) -> bool:
    """Whether what has no counterpart is as much on both sides, where a format cut layers in parts
    or joined them (grouped convolutions, the gates of a recurrent layer), or is on one side alone,
    where a format writes something twice or another leaves it out."""
    paired = match.same_elements + match.near_elements
    if not match.same and match.near < _TELLING:
        return False
    alike = abs(match.left_over[0] - match.left_over[1]) <= 0.02 * smaller
    inside = min(match.left_over) == 0 and paired >= 0.6 * larger
    if match.unpaired and (alike or inside):
        match.notes.append(f"{match.unpaired} layers are cut otherwise and were not compared")
        return True
    return False


def _matched(a: _Known, b: _Known) -> _Match:
    """Pair layers of equal size, the nearest first."""
    match = _Match()
    one, other = a.by_size, b.by_size
    if a.key != b.key:
        one, other = _joined(one, other), _joined(other, one)
    for elements in {**one, **other}:
        left, right = one.get(elements, ()), other.get(elements, ())
        more = len(left) - len(right)
        match.unpaired += abs(more)
        match.left_over[more < 0] += abs(more) * elements
        if len(left) == len(right) == 1:
            _count(match, elements, _distance(left[0], right[0]), left[0], right[0])
        elif left and right:
            for distance, i, j in _nearest_first(left, right):
                _count(match, elements, distance, left[i], right[j])
    if match.far:
        _look_again(match)
    return match


_BySize = Mapping[int, Sequence[TensorRow]]


def _joined(parts: _BySize, whole: _BySize) -> _BySize:
    """Layers by size, parts of one that another file has as a whole joined: the gates of a
    recurrent layer, the groups of a convolution. They stand one behind the other."""
    found = {size: list(rows) for size, rows in parts.items()}
    for size, rows in whole.items():
        if len(rows) <= len(parts.get(size, ())):
            continue
        for count in _PARTS:
            small = found.get(size // count, [])
            if size % count or len(small) - len(whole.get(size // count, ())) < count:
                continue
            if not whole.get(size // count) and not len(small) % count:  # no other way to join
                groups = [small[at : at + count] for at in range(0, len(small), count)]
            else:
                windows = [small[at : at + count] for at in range(len(small) - count + 1)]
                nearest = (min(windows, key=partial(_apart, row)) for row in rows)
                groups = [w for w, row in zip(nearest, rows, strict=True) if _apart(row, w) <= NEAR]
            for group in groups:
                if all(any(each is row for row in small) for each in group):
                    found.setdefault(size, []).append(_one(group))
                    small[:] = [row for row in small if not any(row is each for each in group)]
    return {size: rows for size, rows in found.items() if rows}


def _apart(row: TensorRow, parts: Sequence[TensorRow]) -> float:
    return _distance(_one(parts), row)


def _one(rows: Sequence[TensorRow]) -> TensorRow:
    """The layer that its parts, of equal size, make together: sums over channels add up."""
    sums = np.array([row.sketch for row in rows])[:, : len(rows[0].sketch or ()) // 2].sum(0)
    numbers = tuple((sums / len(rows) ** 0.5).tolist())
    least = len(rows[0].bottom)
    return msgspec.structs.replace(
        rows[0],
        elements=len(rows) * rows[0].elements,
        sketch=numbers * 2,
        bottom=tuple(sorted({each for row in rows for each in row.bottom})[:least]),
        zero_fraction=sum(row.zero_fraction or 0.0 for row in rows) / len(rows),
    )


def _count(match: _Match, elements: int, distance: float, x: TensorRow, y: TensorRow) -> None:
    if distance <= _SAME:
        match.same += 1
        match.same_elements += elements
        return
    if _kept(x, y) >= _PRUNED:
        match.pruned += 1
        match.pruned_elements += elements
        return
    match.apart.append((x, y))
    if distance <= NEAR:
        match.near += 1
        match.near_elements += elements
    else:
        match.far.append((x, y))
        match.differing += 1


def _look_again(match: _Match) -> None:
    """Layers that differ may do so only by few bits or by pruning, where all together agree."""
    rough = [(x, y) for x, y in match.far if _is_quantised(x) != _is_quantised(y)]
    agreed = _agreeing(match.apart, rough, *_ROUGH)
    match.near += len(agreed)
    match.near_elements += sum(x.elements for x, _ in agreed)
    match.differing -= len(agreed)
    if not agreed:  # few bits make zeros, too
        thinned = [(x, y) for x, y in match.far if _more_zeros(x, y)]
        agreed = _agreeing(match.apart, thinned, *_THINNED)
        match.pruned += len(agreed)
        match.pruned_elements += sum(x.elements for x, _ in agreed)
        match.differing -= len(agreed)


_Pairs = list[tuple[TensorRow, TensorRow]]


def _agreeing(
    every: _Pairs, asked: _Pairs, together: float, each: float, frequencies: int, least: int
) -> _Pairs:
    """Those of the pairs that agree, if all of them do together."""
    if not asked or len(every) < least or _agreement(every, frequencies) < together:
        return []
    return [
        (x, y) for x, y in asked
        if _distance(x, y, frequencies) <= each or _agreement([(x, y)], frequencies) >= _ROUGH[0]
    ]  # fmt: skip


def _agreement(pairs: _Pairs, frequencies: int) -> float:
    """The correlation of the sums of low frequencies of two models' layers."""
    one, other = (
        np.array([pair[side].sketch for pair in pairs]).reshape(len(pairs), 2, -1)[
            ..., :frequencies
        ]
        for side in (0, 1)
    )
    norm = float(np.sqrt(np.square(one).sum() * np.square(other).sum()))
    return float((one * other).sum()) / norm if norm else 0.0


def _more_zeros(x: TensorRow, y: TensorRow) -> bool:
    return abs((x.zero_fraction or 0.0) - (y.zero_fraction or 0.0)) >= _MORE_ZEROS


def _distance(x: TensorRow, y: TensorRow, frequencies: int | None = None) -> float:
    """Of two sketches: by channels, or whole, whichever is nearer; of all frequencies, or of the
    lowest."""
    assert x.sketch is not None and y.sketch is not None
    squares = [(p - q) ** 2 for p, q in zip(x.sketch, y.sketch, strict=True)]
    half = len(squares) // 2
    halves = (squares[:half][:frequencies], squares[half:][:frequencies])
    return float((min(map(sum, halves)) / len(halves[0])) ** 0.5)


def _nearest_first(
    left: Sequence[TensorRow], right: Sequence[TensorRow]
) -> Iterator[tuple[float, int, int]]:
    """Distances of layers and their places, paired one to one."""
    one, other = (np.array([row.sketch for row in rows]) for rows in (left, right))
    squares = np.square(one[:, None] - other[None])
    half = squares.shape[2] // 2
    nearer = np.minimum(squares[..., :half].sum(2), squares[..., half:].sum(2))
    distances = np.sqrt(nearer / half)
    used: tuple[set[int], set[int]] = set(), set()
    for place in np.argsort(distances, axis=None, kind="stable").tolist():
        i, j = divmod(place, len(right))
        if i not in used[0] and j not in used[1]:
            used[0].add(i)
            used[1].add(j)
            yield float(distances[i, j]), i, j


def _kept(x: TensorRow, y: TensorRow) -> float:
    """Where one has more zeros than the other: the share of the values they have in common, by the
    hashes below the limit that both know. 0 where neither is pruned."""
    if not _more_zeros(x, y) or not x.bottom or not y.bottom:
        return 0.0
    limit = min(x.bottom[-1], y.bottom[-1])
    left = {each for each in x.bottom if each <= limit}
    right = {each for each in y.bottom if each <= limit}
    fewer = min(len(left), len(right))
    return len(left & right) / fewer if fewer >= 4 else 0.0
