"""Which models are the same, or come from one another: by their weights, not by their names.

Models that may be related are found without comparing all pairs (`kindred.py`). Weights that are
all alike (ones, zeros) tie nothing: they have no sketch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

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


def _matched(a: _Known, b: _Known) -> _Match:
    """Pair layers of equal size, the nearest first."""
    match = _Match()
    for elements in {**a.by_size, **b.by_size}:
        left, right = a.by_size.get(elements, ()), b.by_size.get(elements, ())
        more = len(left) - len(right)
        match.unpaired += abs(more)
        match.left_over[more < 0] += abs(more) * elements
        if len(left) == len(right) == 1:
            _count(match, elements, _distance(left[0], right[0]), left[0], right[0])
        elif left and right:
            for distance, i, j in _nearest_first(left, right):
                _count(match, elements, distance, left[i], right[j])
    return match


def _count(match: _Match, elements: int, distance: float, x: TensorRow, y: TensorRow) -> None:
    if distance <= _SAME:
        match.same += 1
        match.same_elements += elements
    elif _kept(x, y) >= _PRUNED:
        match.pruned += 1
    elif distance <= NEAR:
        match.near += 1
        match.near_elements += elements
    else:
        match.differing += 1


def _distance(x: TensorRow, y: TensorRow) -> float:
    """Of two sketches: by channels, or whole, whichever is nearer."""
    assert x.sketch is not None and y.sketch is not None
    squares = [(p - q) ** 2 for p, q in zip(x.sketch, y.sketch, strict=True)]
    half = len(squares) // 2
    return float((min(sum(squares[:half]), sum(squares[half:])) / half) ** 0.5)


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
    zeros = abs((x.zero_fraction or 0.0) - (y.zero_fraction or 0.0))
    if zeros < 0.1 or not x.bottom or not y.bottom:
        return 0.0
    limit = min(x.bottom[-1], y.bottom[-1])
    left = {each for each in x.bottom if each <= limit}
    right = {each for each in y.bottom if each <= limit}
    fewer = min(len(left), len(right))
    return len(left & right) / fewer if fewer >= 4 else 0.0
