"""Which model per request: what the policies choose at each deadline on each network, and what
choosing delivers under load, as simulated."""

from __future__ import annotations

from edgewise.report import chosen
from edgewise.report.charts import PALETTE, category, tooltip
from edgewise.report.numerals import many
from edgewise.report.parts import Ask, Explorer, Figure, Numbers, Section, Table

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


def section(ask: Ask) -> Section | None:
    """None where nothing was simulated, and fewer than two models can be chosen among."""
    parts: list[Figure | Table | Explorer] = [*chosen.parts(ask)]
    settings = ask.numbers(
        f"with {_SIMULATED} select setting, max(stored_at) as latest from simulated"
        f" group by setting order by latest desc, setting"
    )
    shown = [str(row[0]) for row in settings.rows[:_SETTINGS]]
    parts += [_figure(ask, name) for name in shown]
    if not parts:
        return None
    lead = "The most accurate model that still answers in time, for every request anew."
    if shown:
        lead += f" {many(settings.total, 'setting')} simulated under load"
        lead += f", the latest {len(shown)} shown." if settings.total > len(shown) else "."
    return Section("choice", "Which model per request", lead, parts)


def _figure(ask: Ask, setting: str) -> Figure:
    quoted = "'" + setting.replace("'", "''") + "'"
    numbers = ask.numbers(_CURVES.format(simulated=_SIMULATED, setting=quoted))
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
    if len(policies) > len(PALETTE):
        colour["scale"]["scheme"] = "category20"
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
