"""Which model per request: what the policies choose at each deadline on each network, and what
choosing delivers under load, as simulated."""

from __future__ import annotations

from edgewise.report import chosen
from edgewise.report.charts import category, tooltip
from edgewise.report.numerals import many
from edgewise.report.parts import Ask, Explorer, Figure, Numbers, Section, Spec, Table

#: Pictures at most: one for each set of profiles, network and load.
_SETTINGS = 6

_SIMULATED = """
    simulated as (
      select coalesce(regexp_extract(profiles, '[^/]+$') || ' over ', '') || network
          || coalesce(', ' || arrivals || ', workers ' || workers, '') as setting, *
      from simulations)
"""

_CURVES = """
    with {simulated}
    select policy, sla_ms, effective_accuracy, accuracy, 100 * attainment as in_time, fluid_bound,
      requests
    from simulated where setting = {setting} order by policy, sla_ms
"""


_USAGE = """
    with {simulated}
    select sla_ms, entry.key as variant, entry.value as requests_share from (
      select sla_ms, unnest(map_entries(usage)) as entry from simulated
      where setting = {setting} and policy = {policy})
    order by sla_ms, variant
"""


def section(ask: Ask) -> Section | None:
    """None where nothing was simulated, and fewer than two models can be chosen among."""
    parts: list[Figure | Table | Explorer] = [*chosen.parts(ask)]
    settings = ask.numbers(
        f"with {_SIMULATED} select setting, max(stored_at) as latest from simulated"
        f" group by setting order by latest desc, setting"
    )
    shown = [str(row[0]) for row in settings.rows[:_SETTINGS]]
    for name in shown:
        curves = _figure(ask, name)
        parts += [curves, *_used(ask, name, curves.numbers)]
    if not parts:
        return None
    lead = "The most accurate model that still answers in time, for every request anew."
    if shown:
        lead += f" {many(settings.total, 'setting')} simulated"
        lead += f", the latest {len(shown)} shown." if settings.total > len(shown) else "."
    return Section("choice", "Which model per request", lead, parts)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _figure(ask: Ask, setting: str) -> Figure:
    numbers = ask.numbers(_CURVES.format(simulated=_SIMULATED, setting=_quoted(setting)))
    rows = numbers.objects()
    best = max(rows, key=lambda row: row["effective_accuracy"])
    bounded = any(row["fluid_bound"] is not None for row in rows)
    return Figure(
        setting,
        "Effective accuracy over all requests: an answer that is late or refused counts 0."
        + (" Dashed: what no policy can pass, deadlines ignored." if bounded else ""),
        f"Lines of effective accuracy over the deadline, one per policy; the highest is "
        f"{best['policy']} with {best['effective_accuracy']:.1f} % at {best['sla_ms']:g} ms.",
        {"height": 320, "layer": [_lines(numbers), *([_BOUND] if bounded else [])]},
        numbers,
        unit="percent over ms",
        origin=f"simulated, {rows[0]['requests']:,} requests for each dot",
    )


def _used(ask: Ask, setting: str, curves: Numbers) -> list[Figure]:
    """What the best of the policies used at each deadline, where it chose among several."""
    totals: dict[str, float] = {}
    for row in curves.objects():
        totals[row["policy"]] = totals.get(row["policy"], 0.0) + row["effective_accuracy"]
    policy = max(totals, key=lambda name: (totals[name], name))
    numbers = ask.numbers(
        _USAGE.format(simulated=_SIMULATED, setting=_quoted(setting), policy=_quoted(policy))
    )
    rows = numbers.objects()
    variants = sorted({row["variant"] for row in rows})
    if len({row["variant"] for row in rows if row["requests_share"] > 0}) < 2:
        return []
    colour = category("variant", "", variants)
    spec: Spec = {
        "height": 220,
        "mark": {"type": "bar"},
        "encoding": {
            "x": {
                "field": "sla_ms", "type": "ordinal",
                "axis": {"title": "deadline, ms", "labelAngle": 0, "labelOverlap": "greedy"},
            },
            "y": {
                "field": "requests_share", "type": "quantitative", "stack": "zero",
                "scale": {"domain": [0, 1]},
                "axis": {"title": "of the requests", "format": ".0%", "tickCount": 5},
            },
            "color": colour,
            "tooltip": tooltip(
                ("sla_ms", "deadline, ms", "~g"), ("variant", "variant"),
                ("requests_share", "of the requests", ".1%"),
            ),
        },
    }  # fmt: skip
    return [
        Figure(
            f"Which variants {policy} uses: {setting}",
            f"`{policy}` is the best of these policies over all deadlines. What is missing to "
            "100 % was refused.",
            f"Bars of the variants that {policy} uses at each deadline; {len(variants)} in all.",
            spec,
            numbers,
            unit="share of the requests",
            origin="simulated",
            n=many(len({row["sla_ms"] for row in rows}), "deadline"),
        )
    ]


_DEADLINE = {
    "field": "sla_ms",
    "type": "quantitative",
    "axis": {"title": "deadline, ms", "tickCount": 8},
}
_BOUND = {
    "mark": {"type": "line", "strokeDash": [5, 4], "opacity": 0.7},
    "encoding": {
        "x": _DEADLINE,
        "y": {"field": "fluid_bound", "type": "quantitative", "aggregate": "max"},
    },
}


def _lines(numbers: Numbers) -> dict[str, object]:
    policies = sorted({row["policy"] for row in numbers.objects()})
    colour = category("policy", "", policies)
    return {
        "mark": {"type": "line", "point": {"size": 24}, "strokeWidth": 2},
        "encoding": {
            "x": _DEADLINE,
            "y": {
                "field": "effective_accuracy", "type": "quantitative",
                "axis": {"title": "effective accuracy, %"},
            },
            "color": colour,
            "tooltip": tooltip(
                ("policy", "policy"), ("sla_ms", "deadline, ms", "~g"),
                ("effective_accuracy", "effective, %", ".2f"), ("accuracy", "accuracy, %", ".2f"),
                ("in_time", "in time, %", ".2f"), ("requests", "requests", ",d"),
            ),
        },
    }  # fmt: skip
