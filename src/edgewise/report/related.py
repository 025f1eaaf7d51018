"""Lineage across apps: models that come from one another, and those with the same layers."""

from __future__ import annotations

from collections import Counter
from typing import Any

from edgewise.records import Lineage
from edgewise.report.charts import category, rows_by, shortened, tooltip
from edgewise.report.kin import Kin, kin
from edgewise.report.names import APPS_NAMED, NAMED
from edgewise.report.numerals import many
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Numbers, Spec, Table

#: Models that are drawn at most: those with the most relations.
_DRAWN = 30
_APPS_SHOWN = 5
#: Relations in words, the closest first, in their colours.
_RELATIONS = {
    "same_network": ("the same network", "#2fa58a"),
    "quantised": ("quantised", "#3f7fd9"),
    "fine_tuned": ("fine-tuned or pruned", "#e8873a"),
    "shares_layers": ("shares layers", "#8c93a0"),
}
_COLUMNS = (
    "model", "and", "are", "shared_weights_share", "layers_differing", "model_in_apps",
    "and_in_apps", "formats", "notes",
)  # fmt: skip

_NAMES = """
    with {named}, {apps},
    holders as (
      select m.sha256, list_sort(list(distinct app)) as apps
      from models m join apps_named a on a.key = m.app_key
      where m.sha256 in ({contents}) group by m.sha256)
    select sha256, label, format, apps from named left join holders using (sha256)
    where sha256 in ({contents})
"""

#: Contents whose weights lie in the same layers, in order: what those of other bytes share.
_ALIKE = f"""
    with {NAMED}, {APPS_NAMED},
    layered as (
      select model_key, count(*) as weight_layers, sum(parameters)::bigint as parameters,
        md5(string_agg(kind || ':' || parameters, ',' order by index)) as structure
      from main.layers where parameters > 0 group by model_key),
    contents as (
      select sha256, label, format, coalesce(quantization, 'unknown') as quantization, architecture,
        any_value(structure) as structure, any_value(l.weight_layers) as weight_layers,
        any_value(l.parameters) as parameters
      from (select * exclude parameters, unnest(keys) as key from named) n
        join layered l on l.model_key = n.key
      where sha256 is not null group by all),
    held as (
      select m.sha256, coalesce(package, a.key) as owner, called
      from models m join apps_named a on a.key = m.app_key
      where m.status = 'parsed')
    select min(label) as for_example,
      coalesce(any_value(architecture), 'not known') as architecture,
      count(distinct c.sha256) as contents, any_value(weight_layers) as weight_layers,
      any_value(parameters) as parameters, count(distinct owner) as apps,
      array_to_string(list_sort(list(distinct format)), ', ') as formats,
      array_to_string(list_sort(list(distinct quantization)), ', ') as quantization,
      array_to_string(list_sort(list(distinct called))[:{_APPS_SHOWN}], ', ') as found_in
    from contents c left join held h on h.sha256 = c.sha256
    where weight_layers > 2 group by structure having count(distinct c.sha256) > 1
    order by apps desc, contents desc, for_example
"""


def parts(ask: Ask) -> list[Figure | Table]:
    """Nothing where no content is related to another one."""
    found: list[Figure | Table] = []
    known = kin(ask)
    if known.pairs:
        names = _named(ask, known.pairs)
        numbers = _numbers(known.pairs, names)
        found += [_figure(known, names), Table("Related models", _note(known), numbers)]
    alike = ask.numbers(_ALIKE, TABLE_ROWS)
    if alike.rows:
        found.append(Table("The same layers, other bytes", _ALIKE_NOTE, alike))
    return found


_ALIKE_NOTE = (
    "Told by kinds and sizes of the layers that have weights, in order: converted, retrained or "
    "quantised from one another, or only built after the same plan."
)


def _note(known: Kin) -> str:
    left = known.contents - known.compared
    return (
        f"By their weights: sketches of {known.compared:,} contents, compared as "
        "`edgewise lineage` does. The closest relation that holds, each pair once."
        + (f" Of {many(left, 'other content')} the weights were not kept: `scan --weights` "
           "keeps them." if left else "")
    )  # fmt: skip


def _named(ask: Ask, pairs: tuple[Lineage, ...]) -> dict[str, dict[str, Any]]:
    """Of each content its name, format and apps."""
    contents = sorted({content for pair in pairs for content in (pair.a, pair.b)})
    sql = _NAMES.format(
        named=NAMED, apps=APPS_NAMED, contents=", ".join(f"'{each}'" for each in contents)
    )
    return {row["sha256"]: row for row in ask.numbers(sql, len(contents)).objects()}


def _numbers(pairs: tuple[Lineage, ...], names: dict[str, dict[str, Any]]) -> Numbers:
    order = list(_RELATIONS)
    known = [pair for pair in pairs if pair.a in names and pair.b in names]
    known.sort(
        key=lambda pair: (
            -(len(names[pair.a]["apps"] or ()) + len(names[pair.b]["apps"] or ())),
            order.index(pair.relation), names[pair.a]["label"], names[pair.b]["label"],
        )
    )  # fmt: skip
    rows = [
        (
            names[pair.a]["label"], names[pair.b]["label"], _RELATIONS[pair.relation][0],
            pair.shared_weight_fraction, pair.layers_differing, _apps(names[pair.a]),
            _apps(names[pair.b]), f"{names[pair.a]['format']}, {names[pair.b]['format']}",
            "; ".join(pair.notes) or None,
        )
        for pair in known[:TABLE_ROWS]
    ]  # fmt: skip
    return Numbers(_COLUMNS, rows, len(known), "")


def _apps(row: dict[str, Any]) -> str | None:
    apps = row["apps"] or []
    more = f" and {len(apps) - _APPS_SHOWN} more" if len(apps) > _APPS_SHOWN else ""
    return ", ".join(apps[:_APPS_SHOWN]) + more or None


def _figure(known: Kin, names: dict[str, dict[str, Any]]) -> Figure:
    count = Counter(content for pair in known.pairs for content in (pair.a, pair.b))
    drawn = [content for content, _ in count.most_common() if content in names][:_DRAWN]
    place = {content: number for number, content in enumerate(drawn)}
    rows = [
        (names[first]["label"], names[second]["label"], _RELATIONS[pair.relation][0],
         pair.shared_weight_fraction)
        for pair in known.pairs
        if pair.a in place and pair.b in place
        for first, second in [sorted((pair.a, pair.b), key=place.__getitem__, reverse=True)]
    ]  # fmt: skip
    numbers = Numbers(("model", "other", "relation", "shared_weights_share"), rows, len(rows), "")
    order = [names[content]["label"] for content in drawn]
    kinds = Counter[str](pair.relation for pair in known.pairs)
    said = ", ".join(f"{kinds[each]} {_RELATIONS[each][0]}" for each in _RELATIONS if kinds[each])
    colour = category("relation", "", [words for words, _ in _RELATIONS.values()])
    colour["scale"]["range"] = [shade for _, shade in _RELATIONS.values()]
    spec: Spec = {
        "height": {"step": 22},
        "mark": {"type": "rect"},
        "encoding": {
            "y": rows_by("model", order),
            "x": {
                "field": "other", "type": "nominal", "title": None, "sort": order,
                "axis": {
                    "labelAngle": -60, "labelLimit": 130, "grid": True,
                    "labelExpr": shortened("datum.label"),
                },
            },
            "color": colour,
            "tooltip": tooltip(
                ("model", "model"), ("other", "and"), ("relation", "are"),
                ("shared_weights_share", "shared weights", ".1%"),
            ),
        },
    }  # fmt: skip
    left = len(count) - len(drawn)
    return Figure(
        "What comes from what",
        f"A field for each related pair: {said}."
        + (f" {many(left, 'model')} with fewer relations are in the table." if left else ""),
        f"A matrix of {many(len(known.pairs), 'related pair')} of models: {said}.",
        spec,
        numbers,
        unit="relation of two models",
        origin="computed from sketches of the weights",
        n=f"{many(len(known.pairs), 'pair')} among {many(known.compared, 'content')}",
    )
