"""Which models are the same, or come from one another: by their weights, not by their names.

Models that may be related are found without comparing all pairs: two that share a layer have one
with nearly the same sketch, two of one architecture have layers of the same sizes. Weights that are
all alike (ones, zeros) tie nothing: they have no sketch.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from math import floor

from edgewise.analysis.sketch import shape_key
from edgewise.records import Kinship, Lineage, Model, TensorRow

#: Root mean square of the differences of two sketches: up to here it is rounding, in another format
#: or after folding; up to there quantisation, or training that moved every weight a little.
_SAME, _NEAR = 0.002, 0.2
#: Of the hashes below the smaller limit, the share that a pruned tensor keeps of its origin's.
_PRUNED = 0.25
#: Width of the cells in which alike sketches are looked for, and how many of its numbers count.
_CELL, _PROBED = 0.6, 3
#: Layers by which a model is found: its largest.
_FOUND_BY = 6
#: Models of one architecture that are all compared with one another; above, with the first alone.
_ALL_PAIRS = 40
#: So many layers that are only near tell; one or two may be so by chance.
_TELLING = 3
#: From this share of the elements on, models whose other layers differ are one made from the other.
_MOSTLY = 0.5
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


@dataclass
class _Match:
    """Layers of two models, paired one to one."""

    same: int = 0
    near: int = 0
    pruned: int = 0
    differing: int = 0
    same_elements: int = 0
    near_elements: int = 0
    unpaired: int = 0
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
    for first, second in _candidates(known):
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
    return _Known(
        model=model,
        layers=layers,
        elements=sum(row.elements for row in layers),
        key=shape_key([row.elements for row in layers]),
        quantised=any(_is_quantised(row) for row in layers),
    )


def _is_quantised(row: TensorRow) -> bool:
    palette = row.distinct_values is not None and row.distinct_values <= _PALETTE
    return row.dtype.startswith(_INTEGERS) or (palette and row.elements >= 4 * _PALETTE)


def _candidates(known: Sequence[_Known]) -> Iterator[tuple[int, int]]:
    """Pairs worth a comparison, each once."""
    seen: set[tuple[int, int]] = set()
    for group in _groups(known):
        members = sorted(set(group))
        pairs: Iterable[tuple[int, int]] = combinations(members, 2)
        if len(members) > _ALL_PAIRS:
            pairs = ((members[0], other) for other in members[1:])
        for pair in pairs:
            if pair not in seen:
                seen.add(pair)
                yield pair


def _groups(known: Sequence[_Known]) -> Iterator[list[int]]:
    by_key: dict[int, list[int]] = defaultdict(list)
    by_layer: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for number, one in enumerate(known):
        by_key[one.key].append(number)
        for row in sorted(one.layers, key=lambda row: -row.elements)[:_FOUND_BY]:
            for cell in _cells(row):
                by_layer[cell].append(number)
    yield from (group for group in by_key.values() if len(group) > 1)
    yield from (group for group in by_layer.values() if len(group) > 1)


def _cells(row: TensorRow) -> Iterator[tuple[int, ...]]:
    """The cell of a sketch, and those beside it where it is near a border: alike ones share one."""
    assert row.sketch is not None
    half = len(row.sketch) // 2
    for start in (0, half):
        yield from _around(row.elements, start, row.sketch[start : start + _PROBED])


def _around(elements: int, which: int, sines: Sequence[float]) -> Iterator[tuple[int, ...]]:
    sides = []
    for value in sines:
        place = value / _CELL
        low = floor(place)
        part = place - low
        sides.append((low,) if 0.25 < part < 0.75 else (low, low - 1 if part <= 0.25 else low + 1))
    for cell in product(*sides):
        yield (elements, which, *cell)


def compare_known(a: _Known, b: _Known) -> Lineage | None:
    """How two models are related; None: they are not."""
    match = _matched(a.layers, b.layers)
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
    one_architecture = a.key == b.key or _cut_otherwise(match, smaller, larger)
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


def _matched(a: Sequence[TensorRow], b: Sequence[TensorRow]) -> _Match:
    """Pair layers of equal size, the nearest first."""
    match = _Match()
    by_size: dict[int, tuple[list[TensorRow], list[TensorRow]]] = defaultdict(lambda: ([], []))
    for side, rows in enumerate((a, b)):
        for row in rows:
            by_size[row.elements][side].append(row)
    for elements, (left, right) in by_size.items():
        more = len(left) - len(right)
        match.unpaired += abs(more)
        match.left_over[more < 0] += abs(more) * elements
        distances = sorted(
            (_distance(x, y), i, j) for i, x in enumerate(left) for j, y in enumerate(right)
        )
        used: tuple[set[int], set[int]] = set(), set()
        for distance, i, j in distances:
            if i in used[0] or j in used[1]:
                continue
            used[0].add(i)
            used[1].add(j)
            _count(match, elements, distance, left[i], right[j])
    return match


def _count(match: _Match, elements: int, distance: float, x: TensorRow, y: TensorRow) -> None:
    if distance <= _SAME:
        match.same += 1
        match.same_elements += elements
    elif _kept(x, y) >= _PRUNED:
        match.pruned += 1
    elif distance <= _NEAR:
        match.near += 1
        match.near_elements += elements
    else:
        match.differing += 1


def _distance(x: TensorRow, y: TensorRow) -> float:
    assert x.sketch is not None and y.sketch is not None
    squares = [(p - q) ** 2 for p, q in zip(x.sketch, y.sketch, strict=True)]
    half = len(squares) // 2
    nearer = min(sum(squares[:half]), sum(squares[half:]))
    return float((nearer / half) ** 0.5)


def _kept(x: TensorRow, y: TensorRow) -> float:
    """Where one has more zeros than the other: the share of the values they have in common, by the
    hashes below the limit that both know. 0 where neither is pruned."""
    zeros = abs((x.zero_fraction or 0.0) - (y.zero_fraction or 0.0))
    if zeros < 0.1 or not x.bottom or not y.bottom:
        return 0.0
    limit = min(x.bottom[-1], y.bottom[-1])
    left = {each for each in x.bottom if each <= limit}
    right = {each for each in y.bottom if each <= limit}
    fewer = min(len(left), len(right))
    return len(left & right) / fewer if fewer >= 4 else 0.0
