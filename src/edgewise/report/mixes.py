"""Many users, each behind a link of their own: whom the cloud answers sooner, and what it costs."""

from __future__ import annotations

from typing import Any

from edgewise.report.charts import category, rows_by, tooltip
from edgewise.report.numerals import many
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Numbers, Spec, Table

_ROWS = 30
_MIXES = """
    select model, device, server, mix, nullif(users, 0) as users, cloud_share, device_ms, cloud_ms,
      best_ms, cloud_frugal_share, cost_per_million, best_cost_per_million, price_per_core_hour,
      utilisation
    from placement_mixes order by stored_at desc, model, device, server, mix, key
"""

#: A mix as one row: which model, on what, for whom.
_CASES = """
    cases as (
      select *,
        parse_filename(model) || ' · ' || device || ' or ' || server || ' · ' || mix as case_
      from placement_mixes
      qualify row_number() over (partition by model, device, server, mix, price_per_core_hour
        order by stored_at desc, key) = 1)
"""

_TIMES = f"""
    with {_CASES.strip()}
    select case_ as "case", cloud_share, device_ms, cloud_ms, best_ms, nullif(users, 0) as users
    from cases order by cloud_share desc, case_ limit {_ROWS}
"""

_MONEY = f"""
    with {_CASES.strip()}
    select case_ as "case", parse_filename(model) as model, server, mix, cost_per_million,
      best_cost_per_million, cloud_share, price_per_core_hour, service_ms, cores, utilisation
    from cases where cost_per_million is not null
    order by cost_per_million desc, case_ limit {_ROWS}
"""
_NOTE = (
    "The share of users whom the cloud answers sooner; what a million requests cost the server if "
    "all go there, and if only those users' do, in the currency of the price per core hour."
)


def priced(ask: Ask) -> list[dict[str, Any]]:
    """What each model's requests cost for its users, the dearest first."""
    return ask.numbers(_MONEY).objects()


def parts(ask: Ask) -> list[Figure | Table]:
    """Nothing where no mix of users was asked about."""
    table = ask.numbers(_MIXES, TABLE_ROWS)
    if not table.rows:
        return []
    money = ask.numbers(_MONEY)
    found: list[Figure | Table] = [_times(ask.numbers(_TIMES))]
    if money.rows:
        found.append(_money(money))
    return [*found, Table("Mixes of users", _NOTE, table)]


def _times(numbers: Numbers) -> Figure:
    rows = numbers.objects()
    spec: Spec = {
        "height": {"step": 26},
        "mark": {"type": "bar", "height": {"band": 0.7}, "color": "#3f7fd9"},
        "encoding": {
            "y": rows_by("case"),
            "x": {
                "field": "cloud_share", "type": "quantitative", "scale": {"domain": [0, 1]},
                "axis": {"title": "of the users", "format": ".0%", "tickCount": 5},
            },
            "tooltip": tooltip(
                ("case", "case"), ("cloud_share", "sooner from the cloud", ".1%"),
                ("device_ms", "on the device, ms", ".3~g"),
                ("cloud_ms", "from the cloud, ms", ".3~g"),
                ("best_ms", "the faster for each, ms", ".3~g"), ("users", "users", ",d"),
            ),
        },
    }  # fmt: skip
    first = rows[0]
    return Figure(
        "Whom the cloud answers sooner",
        "The share of users; the others are answered sooner by their own device.",
        f"Bars of the share of users for {many(len(rows), 'case')}; the most is "
        f"{first['cloud_share']:.0%}, {first['case']}.",
        spec,
        numbers,
        unit="share of the users",
        origin="computed over the mix of links",
        n=many(numbers.total, "case"),
    )


def _money(numbers: Numbers) -> Figure:
    rows = numbers.objects()
    names = {"cost_per_million": "all ask the cloud", "best_cost_per_million": "only who gains"}
    prices = sorted({row["price_per_core_hour"] for row in rows})
    price = f"{prices[0]:g}" + (f" to {prices[-1]:g}" if len(prices) > 1 else "")
    spec: Spec = {
        "height": {"step": 34},
        "transform": [
            {"fold": list(names), "as": ["field", "cost"]},
            {"filter": "isValid(datum.cost)"},
            {
                "calculate": f"datum.field == 'cost_per_million' ? '{names['cost_per_million']}' : "
                f"'{names['best_cost_per_million']}'",
                "as": "who",
            },
        ],
        "mark": {"type": "bar", "height": {"band": 0.8}},
        "encoding": {
            "y": rows_by("case"),
            "yOffset": {"field": "who", "sort": list(names.values())},
            "x": {
                "field": "cost", "type": "quantitative",
                "axis": {"title": "for a million requests", "tickCount": 6},
            },
            "color": category("who", "", list(names.values())),
            "tooltip": tooltip(
                ("case", "case"), ("who", "who asks"), ("cost", "a million requests", ".3~g"),
                ("cloud_share", "sooner from the cloud", ".1%"),
                ("price_per_core_hour", "a core hour", ".3~g"),
                ("service_ms", "service, ms", ".3~g"),
            ),
        },
    }  # fmt: skip
    first = rows[0]
    return Figure(
        "What the cloud costs",
        f"The server's cores for a million requests, at {price} a core hour: if every request goes "
        "there, and if only those go that the cloud answers sooner. Networks and storage are left "
        "out.",
        f"Bars of money for a million requests for {many(len(rows), 'case')}; the most is "
        f"{first['cost_per_million']:.3g}, {first['case']}.",
        spec,
        numbers,
        unit="the currency of the price, a million requests",
        origin="computed: service time, cores, utilisation and a price that was given",
        n=many(numbers.total, "case"),
    )
