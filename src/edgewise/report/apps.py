"""Which apps ship models, how many, and how heavy they are."""

from __future__ import annotations

from edgewise.report.charts import category, rows_by, size_axis, tooltip
from edgewise.report.names import APPS_NAMED
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Section, Table

_TABLE = f"""
    with {APPS_NAMED},
    held as (
      select app_key, count(*) filter (status = 'parsed') as parsed, count(*) as candidates,
        sum(size_bytes) filter (status = 'parsed') as model_bytes
      from models where app_key is not null group by app_key),
    used as (
      select app_key, string_agg(distinct name, ', ' order by name) as frameworks
      from evidence where kind = 'framework' group by app_key)
    select app, package,
      version_name as version, kind, size_bytes, coalesce(parsed, 0) as models,
      coalesce(candidates, 0) as candidates, model_bytes, frameworks
    from apps_named left join held on held.app_key = key left join used on used.app_key = key
    order by models desc, model_bytes desc nulls last, app
"""

_WEIGHT = f"""
    with {APPS_NAMED}
    select app,
      coalesce(m.format, 'unknown') as format, sum(m.size_bytes) as model_bytes,
      count(*) as models, max(a.size_bytes) as package_bytes
    from models m join apps_named a on a.key = m.app_key
    where m.status = 'parsed' and m.size_bytes > 0 and a.key in (
      select app_key from models where status = 'parsed' and app_key is not null
      group by app_key order by sum(size_bytes) desc limit 25)
    group by a.key, app, m.format order by sum(model_bytes) over (partition by app) desc, format
"""


def section(ask: Ask) -> Section | None:
    """None where no app is in the store."""
    table = ask.numbers(_TABLE, TABLE_ROWS)
    if not table.rows:
        return None
    parts: list[Figure | Table] = [Table("Apps", "", table)]
    if figure := _weight(ask):
        parts.append(figure)
    with_models = ask.one(
        "select count(distinct app_key) as apps from models"
        " where status = 'parsed' and app_key is not null"
    )["apps"]
    lead = f"{with_models:,} of {table.total:,} ship at least one model that could be parsed."
    return Section("apps", "Apps", lead, parts)


def _weight(ask: Ask) -> Figure | None:
    numbers = ask.numbers(_WEIGHT)
    if not numbers.rows:
        return None
    heaviest = numbers.objects()[0]["app"]
    spec = {
        "height": {"step": 24},
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "y": rows_by("app", {"field": "model_bytes", "op": "sum", "order": "descending"}),
            "x": {
                "field": "model_bytes", "type": "quantitative",
                "axis": size_axis("bytes of models, uncompressed"),
            },
            "color": category("format", "format"),
            "tooltip": tooltip(
                ("app", "app"), ("format", "format"), ("models", "models", ",d"),
                ("model_bytes", "bytes of models", ".3~s"),
                ("package_bytes", "bytes of the package", ".3~s"),
            ),
        },
    }  # fmt: skip
    return Figure(
        "How much model each app carries",
        "The 25 apps with the most bytes of models.",
        f"Bars of model bytes for each app, split by format; most in {heaviest}.",
        spec,
        numbers,
        unit="bytes, uncompressed",
        origin="read from the packages",
    )
