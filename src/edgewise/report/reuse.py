"""Who reuses what: the same content in several apps, and models that come from one another."""

from __future__ import annotations

from edgewise.report import related
from edgewise.report.charts import category, rows_by, shortened, size_axis, tooltip
from edgewise.report.kin import Kin, kin
from edgewise.report.names import APPS_NAMED
from edgewise.report.numerals import many
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Numbers, Section, Spec, Table

_ROWS = 25
_APPS_SHOWN = 8
_APPS_DRAWN = 25

#: `shared`: contents in more than one app; versions of one package are one app.
_SHARED = f"""
    {APPS_NAMED},
    owners as (
      select coalesce(package, key) as owner, any_value(called) as called, list(key) as keys
      from apps_named group by all),
    owned as (
      select owner, unnest(keys) as key, case when count(*) over (partition by called) > 1
        then called || ' · ' || owner else called end as called
      from owners),
    held as (
      select m.sha256, regexp_extract(m.path, '[^/]+$') as file, m.format, m.status, m.size_bytes,
        owner, called
      from models m join owned on owned.key = m.app_key
      where m.sha256 is not null and m.status in ('parsed', 'opaque')),
    contents as (
      select sha256, min(file) as file, count(distinct file) as names, any_value(format) as format,
        any_value(status) as status, any_value(size_bytes) as size_bytes, count(*) as copies,
        count(distinct owner) as apps, list_sort(list(distinct called)) as called
      from held group by sha256),
    shared as (
      select *, file || case when count(*) over (partition by file) > 1
        then ' · ' || left(sha256, 6) else '' end as content
      from contents where apps > 1)
"""

_TABLE = f"""
    with {_SHARED}
    select content as model, format, status as outcome, size_bytes, apps, copies,
      array_to_string(called[:{_APPS_SHOWN}], ', ') || case when len(called) > {_APPS_SHOWN}
        then ' and ' || (len(called) - {_APPS_SHOWN}) || ' more' else '' end as found_in,
      names as file_names
    from shared order by apps desc, copies desc, content
"""


#: Pairs of apps, of those that share the most contents, and how many each pair has in common.
_APPS = f"""
    with {_SHARED},
    holders as (
      select distinct held.sha256, content, held.called from held join shared using (sha256)),
    most as (
      select called from holders group by called order by count(*) desc, called
      limit {_APPS_DRAWN})
    select a.called as app, b.called as other, count(*) as contents,
      array_to_string(list_sort(list(a.content))[:{_APPS_SHOWN}], ', ') as such_as
    from (from holders semi join most using (called)) a
      join (from holders semi join most using (called)) b using (sha256)
    where a.called < b.called group by all order by contents desc, app, other
"""


def section(ask: Ask) -> Section | None:
    """None where there is nothing to compare: fewer than two contents."""
    numbers = ask.numbers(_TABLE, TABLE_ROWS)
    lineage = related.parts(ask)
    parts: list[Figure | Table] = []
    if numbers.rows:
        note = "The same bytes, whatever the file is called. Versions of one package are one app."
        parts += [_figure(numbers), Table("Contents in several apps", note, numbers)]
        parts.append(_between(ask.numbers(_APPS)))
    parts += lineage
    known = kin(ask)
    if not parts and known.contents < 2:
        return None
    return Section("reuse", "Who reuses what", _lead(ask, numbers) + _compared(known), parts)


def _compared(known: Kin) -> str:
    """How much of it weights tell, and how to know more."""
    if known.sketched > 1:
        return ""
    return (
        " Compared were bytes and layers: which of them were retrained, quantised or converted is "
        "not known, as no weights were kept. `edgewise scan APPS --weights --store STORE` keeps "
        "what tells it."
    )


def _lead(ask: Ask, numbers: Numbers) -> str:
    if not numbers.rows:
        return "No content is in more than one app."
    counts = ask.one(f"""
        with {_SHARED}
        select (select count(*) from contents) as contents,
          (select sum(copies) from contents)::bigint as files, sum(copies)::bigint as copies,
          sum(size_bytes * (copies - 1))::bigint as again_bytes
        from shared
    """)
    return (
        f"{numbers.total:,} of {counts['contents']:,} different contents are in more than one app: "
        f"{counts['copies']:,} of {counts['files']:,} files found in apps."
    )


def _between(numbers: Numbers) -> Figure:
    rows = numbers.objects()
    count = {row["app"] for row in rows} | {row["other"] for row in rows}
    most = max(row["contents"] for row in rows)
    spec: Spec = {
        "height": {"step": 24},
        "mark": {"type": "rect"},
        "encoding": {
            "y": rows_by("app"),
            "x": {
                "field": "other", "type": "nominal", "title": None, "sort": None,
                "axis": {
                    "labelAngle": -60, "labelLimit": 130, "grid": True,
                    "labelExpr": shortened("datum.label"),
                },
            },
            "color": {
                "field": "contents", "type": "quantitative", "title": "contents in common",
                "scale": {"scheme": "blues", "domain": [0, most]},
                "legend": {"values": [0, most], "format": "d"},
            },
            "tooltip": tooltip(
                ("app", "app"), ("other", "and"), ("contents", "contents in common", ",d"),
                ("such_as", "such as"),
            ),
        },
    }  # fmt: skip
    first = rows[0]
    return Figure(
        "Which apps share models",
        f"The {len(count)} apps with the most shared contents, each pair once.",
        f"A matrix of apps by contents that both ship; most in common have {first['app']} and "
        f"{first['other']}, {first['contents']}.",
        spec,
        numbers,
        unit="contents in common",
        origin="read from the packages: equal bytes",
        n=many(numbers.total, "pair") + " of apps",
    )


def _figure(numbers: Numbers) -> Figure:
    rows = numbers.objects()
    spec: Spec = {
        "height": {"step": 24},
        "transform": [
            {"window": [{"op": "row_number", "as": "place"}]}, {"filter": f"datum.place <= {_ROWS}"}
        ],
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "y": rows_by("model"),
            "x": {
                "field": "apps", "type": "quantitative", "axis": size_axis("apps", tickMinStep=1),
            },
            "color": category("format", "format"),
            "tooltip": tooltip(
                ("model", "model"), ("format", "format"), ("apps", "apps", ",d"),
                ("copies", "copies", ",d"), ("size_bytes", "bytes", ".3~s"),
                ("found_in", "found in"),
            ),
        },
    }  # fmt: skip
    return Figure(
        "The most reused",
        f"Contents by the number of apps that ship them"
        f"{f', the first {_ROWS}' if numbers.total > _ROWS else ''}.",
        f"Bars of apps for each reused content; most often {rows[0]['model']}, in "
        f"{rows[0]['apps']} apps.",
        spec,
        numbers,
        unit="apps",
        origin="read from the packages: equal bytes",
        n=many(numbers.total, "content"),
    )
