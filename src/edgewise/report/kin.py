"""Which of a store's models come from one another: by the sketches of weights that it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from edgewise.records import Lineage
from edgewise.report.parts import Ask

#: Layers that are compared at most: of more, those of the models that are found most often.
_LAYERS = 20_000

#: `sketched`: each content once, with the keys of one row that has sketches; the most found first.
_SKETCHED = f"""
    with found as (
      select sha256, count(*) as places from models
      where status = 'parsed' and sha256 is not null group by sha256),
    with_sketches as (
      select model_key, count(*) as layers from main.tensors where sketch is not null
      group by model_key),
    sketched as (
      select m.sha256, max(m.key) as key, arg_max(w.layers, m.key) as layers,
        any_value(places) as places
      from main.models m join with_sketches w on w.model_key = m.key join found using (sha256)
      group by m.sha256),
    taken as (
      from sketched
      qualify sum(layers) over (order by places desc, sha256
        rows between unbounded preceding and current row) <= {_LAYERS})
"""

_TENSORS = f"""
    {_SKETCHED.strip()}
    select sha256, name, dtype, shape, elements, size_bytes, zero_fraction, distinct_values, sketch,
      bottom
    from main.tensors t join taken on taken.key = t.model_key where sketch is not null
    order by places desc, sha256
"""

_COUNTS = f"""
    {_SKETCHED.strip()}
    select (select count(*) from found) as contents, (select count(*) from sketched) as sketched,
      (select count(*) from taken) as compared
"""


@dataclass(frozen=True)
class Kin:
    """Related pairs, `a` and `b` being hashes of contents; of how many contents, how many have
    sketches, and how many of these were compared."""

    pairs: tuple[Lineage, ...]
    contents: int
    sketched: int
    compared: int


_KNOWN: WeakKeyDictionary[Ask, Kin] = WeakKeyDictionary()


def kin(ask: Ask) -> Kin:
    """The related pairs of a store; worked out once for all sections."""
    if ask not in _KNOWN:
        _KNOWN[ask] = _compared(ask)
    return _KNOWN[ask]


def _compared(ask: Ask) -> Kin:
    from edgewise.analysis.lineage import lineage
    from edgewise.records import Model, TensorRow

    counts = ask.one(_COUNTS)
    by_content: dict[str, list[TensorRow]] = {}
    rows: list[dict[str, Any]] = []
    if counts["compared"] > 1:
        rows = ask.numbers(_TENSORS, _LAYERS).objects()
    for row in rows:
        content = row.pop("sha256")
        by_content.setdefault(content, []).append(
            TensorRow(
                **row | {"shape": _tuple(row["shape"]), "sketch": tuple(row["sketch"]),
                         "bottom": tuple(row["bottom"] or ())}
            )
        )  # fmt: skip
    models = (
        Model(path=content, format=None, sha256=content, tensors=tuple(tensors))
        for content, tensors in by_content.items()
    )
    return Kin(
        tuple(pair for pair in lineage(models) if pair.relation != "same_architecture"),
        counts["contents"], counts["sketched"], counts["compared"],
    )  # fmt: skip


def _tuple(shape: list[int] | None) -> tuple[int, ...] | None:
    return None if shape is None else tuple(shape)
