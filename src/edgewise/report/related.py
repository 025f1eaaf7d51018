"""Lineage across apps: models that come from one another, and those with the same layers."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from textwrap import dedent
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
    select sha256, label, format, quantization, size_bytes, weight_bytes, apps
    from named left join holders using (sha256)
    where sha256 in ({contents})
"""

#: Contents by the kinds and sizes of their layers with weights, in order: made once for a report.
_STRUCTURES = f"""
    with {NAMED},
    layered as (
      select model_key, count(*) as weight_layers, sum(parameters)::bigint as parameters,
        md5(string_agg(kind || ':' || parameters, ',' order by index)) as structure
      from main.layers where parameters > 0 group by model_key)
    select sha256, label, format, coalesce(quantization, 'unknown') as quantization, architecture,
      any_value(structure) as structure, any_value(l.weight_layers) as weight_layers,
      any_value(l.parameters) as parameters
    from (select * exclude parameters, unnest(keys) as key from named) n
      join layered l on l.model_key = n.key
    where sha256 is not null and weight_layers > 2 group by all
"""

#: Contents of other bytes with the same layers.
_ALIKE = f"""
    {APPS_NAMED.strip()},
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
    from structures c left join held h on h.sha256 = c.sha256
    group by structure having count(distinct c.sha256) > 1
    order by apps desc, contents desc, for_example
"""

_COLUMNS_OF_EACH = (
    "sha256", "model", "this_one", "shared_weights_share", "layers_differing", "format",
    "quantization", "size_bytes", "in_apps", "notes",
)  # fmt: skip
#: What a content is of another one: of a pair, both ways.
_BOTH_WAYS = {
    "same_network": ("is the same network", "is the same network"),
    "quantised": ("is quantised from it", "is what it was quantised from"),
    "fine_tuned": ("is trained on or pruned from it, or it from this one",) * 2,
    "shares_layers": ("shares layers with it",) * 2,
    "same_layers": ("has the same layers, other weights or number types",) * 2,
}


def parts(ask: Ask) -> list[Figure | Table]:
    """Nothing where no content is related to another one."""
    found: list[Figure | Table] = []
    known = kin(ask)
    if known.pairs:
        names = _named(ask, {content for pair in known.pairs for content in (pair.a, pair.b)})
        numbers = _numbers(known.pairs, names)
        found += [_figure(known, names), Table("Related models", _note(known), numbers)]
    make_structures(ask)
    alike = replace(
        ask.numbers(f"with {_ALIKE}", TABLE_ROWS),
        sql=dedent(f"    with structures as ({_STRUCTURES}),\n    {_ALIKE}").strip(),
    )
    if alike.rows:
        found.append(Table("The same layers, other bytes", _ALIKE_NOTE, alike))
    return found


#: Two contents, and how they are related; None: they have the same layers.
_Pair = tuple[str, str, Lineage | None]


def of_each(ask: Ask, rows: int) -> Numbers:
    """What each content is of others by their weights, both ways. Of a report of one model what the
    whole store tells, also by layers: a report of many has `structures` for that."""
    pairs: list[_Pair] = [(each.a, each.b, each) for each in kin(ask).pairs]
    names = _named(ask, {content for a, b, _ in pairs for content in (a, b)})
    if ask.only is None:
        return _both_ways(pairs, names, rows)
    mine = {row[0] for row in ask.numbers("select sha256 from models").rows}
    with Ask(ask.store) as whole:
        make_structures(whole)
        pairs = [(each.a, each.b, each) for each in kin(whole).pairs if {each.a, each.b} & mine]
        told = {content for a, b, _ in pairs for content in (a, b)} | mine
        listed = ", ".join(f"'{content}'" for content in mine if content)
        alike = whole.numbers(_SAME_LAYERS.format(contents=listed or "''"), rows).rows
        pairs += [(a, b, None) for a, b in alike if b not in told]
        names = _named(whole, {content for a, b, _ in pairs for content in (a, b)})
    return _both_ways(pairs, names, rows)


def make_structures(ask: Ask) -> None:
    """Make `structures`, a table of contents with the hash of their layers with weights."""
    ask.make(f"create temp table if not exists structures as {_STRUCTURES}")


def _both_ways(pairs: list[_Pair], names: dict[str, dict[str, Any]], rows: int) -> Numbers:
    found: list[tuple[Any, ...]] = []
    for a, b, pair in pairs:
        if a not in names or b not in names:
            continue
        ways = _BOTH_WAYS[pair.relation if pair else "same_layers"]
        if pair and pair.relation == "quantised" and _bytes(names[a]) > _bytes(names[b]):
            ways = ways[::-1]
        shared = (pair.shared_weight_fraction, pair.layers_differing) if pair else (None, None)
        notes = "; ".join(pair.notes) if pair else ""
        for mine, other, way in ((a, names[b], ways[0]), (b, names[a], ways[1])):
            found.append(
                (mine, other["label"], way, *shared, other["format"], other["quantization"],
                 other["size_bytes"], _apps(other), notes or None)
            )  # fmt: skip
    return Numbers(_COLUMNS_OF_EACH, found[:rows], len(found), "")


def _bytes(row: dict[str, Any]) -> int:
    return row["weight_bytes"] or row["size_bytes"] or 0


_SAME_LAYERS = """
    select a.sha256 as a, b.sha256 as b from structures a join structures b using (structure)
    where a.sha256 in ({contents}) and a.sha256 <> b.sha256 order by all
"""

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


def _named(ask: Ask, wanted: set[str]) -> dict[str, dict[str, Any]]:
    """Of each content its name, format, size and apps."""
    contents = sorted(wanted)
    if not contents:
        return {}
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
