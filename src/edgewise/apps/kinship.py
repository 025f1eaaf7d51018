"""What one model is of another: by their weights, by their layers where those cannot be read."""

from __future__ import annotations

from typing import NamedTuple

from edgewise.archive import open_file
from edgewise.errors import EdgewiseError
from edgewise.formats import registry
from edgewise.records import Kinship, LayerRow, Model

#: How close kin is: the first is the closest.
CLOSENESS: tuple[Kinship, ...] = (
    "identical", "same_network", "fine_tuned", "quantised", "shares_layers", "same_architecture",
)  # fmt: skip
#: Kinds of layers that only convert numbers, and come and go with quantisation.
_CONVERTING = frozenset(("quantize", "dequantize", "cast", "identity"))
#: Share of layers in common, counted in order from the first, that tells a common trunk, and the
#: fewest that do.
_SHARED, _FEWEST = 0.5, 3
_BY_LAYERS = "told by the layers alone, since the weights of both could not be compared"


class Kin(NamedTuple):
    """How two models are related (None: nothing tells that they are), and what to know of it."""

    relation: Kinship | None
    notes: tuple[str, ...] = ()


class Relations:
    """Tells relations; the weights of each model are read once."""

    def __init__(self) -> None:
        self._weighed: dict[tuple[str, str | None], Model | None] = {}
        self._told: dict[tuple[tuple[str, str | None], ...], Kin] = {}

    def between(self, old: Model, new: Model) -> Kin:
        """How two models are related (`Lineage` has the words)."""
        if old.sha256 is not None and old.sha256 == new.sha256:
            return Kin("identical")
        key = ((old.path, old.sha256), (new.path, new.sha256))
        if key not in self._told:
            self._told[key] = self._between(old, new)
        return self._told[key]

    def _between(self, old: Model, new: Model) -> Kin:
        from edgewise.analysis.lineage import compare

        if old.status != "parsed" or new.status != "parsed":
            return Kin(None)
        before, after = self._with_weights(old), self._with_weights(new)
        if before is None or after is None:
            relation = by_layers(old, new)
            return Kin(relation, (_BY_LAYERS,) if relation else ())
        found = compare(before, after)
        if found is None:
            return Kin(None)
        notes = found.notes
        if found.relation in ("fine_tuned", "shares_layers"):
            notes = (f"{found.shared_weight_fraction:.1%} of the weights are the same", *notes)
        return Kin(found.relation, notes)

    def _with_weights(self, model: Model) -> Model | None:
        key = (model.path, model.sha256)
        if key not in self._weighed:
            self._weighed[key] = weighed(model)
        return self._weighed[key]


def weighed(model: Model) -> Model | None:
    """The model read again with its weights; None where its file is not there as it was, or has
    nothing that can be compared."""
    from edgewise.analysis.summary import summarise

    known = {fmt.NAME: fmt for fmt in registry.formats()}
    try:
        file = open_file(model.path)
        if file.sha256() != model.sha256:
            return None
        read = summarise(file, known.get(model.format or ""), weights=True)
    except EdgewiseError:
        return None
    return read if any(row.sketch is not None for row in read.tensors or ()) else None


def by_layers(old: Model, new: Model) -> Kinship | None:
    """What layer tables tell: the same layers with other weights may be trained on, or anew."""
    before, after = _layers(old), _layers(new)
    if not before or not after:
        return None
    shapes = [_shape(row) for row in before], [_shape(row) for row in after]
    if shapes[0] == shapes[1]:
        return "fine_tuned" if _types(old) == _types(new) else "quantised"
    differing = (at for at, (one, other) in enumerate(zip(*shapes, strict=False)) if one != other)
    fewer = min(map(len, shapes))
    common = next(differing, fewer)
    if common >= max(_FEWEST, _SHARED * fewer):
        return "shares_layers"
    alike = [row.kind for row in before] == [row.kind for row in after]
    return "same_architecture" if alike else None


def _layers(model: Model) -> list[LayerRow]:
    return [row for row in model.layer_table or () if row.kind not in _CONVERTING]


def _shape(row: LayerRow) -> tuple[object, ...]:
    return row.kind, row.output_shapes, row.parameters, row.macs


def _types(model: Model) -> frozenset[str]:
    """The number types that hold most of the weights."""
    held = model.weight_dtypes or {}
    most = sum(held.values())
    return frozenset(name for name, size in held.items() if size * 10 >= most)
