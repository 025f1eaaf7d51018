"""What a running service delivered of the load that was driven against it."""

from __future__ import annotations

import json

from edgewise.report.charts import category, rows_by, size_axis, tooltip
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Numbers, Section, Spec, Table

#: Runs that are drawn at most, the latest.
_RUNS = 12

#: How requests end, always in this order and these colours.
_ENDS = {"in time": "#2fa58a", "late": "#d8ab2b", "refused": "#9aa1ad", "failed": "#dd5a72"}

_NAMED = f"""
    numbered as (
      select row_number() over (order by started_at, stored_at, key) as number, * from loads),
    runs as (
      select number || ': ' || model || ', ' || round(offered_per_s)::bigint || ' per s, '
          || coalesce(nullif(array_to_string(links, '+'), ''), 'no link')
          || coalesce(', ' || round(sla_ms)::bigint || ' ms', '') as run,
        coalesce(list_sum(map_values(failed)), 0) as failures, *
      from numbered order by number desc limit {_RUNS})
"""

_OUTCOMES = f"""
    with {_NAMED},
    ended as (
      select number, run, requests, unnest([
        {{'name': 'in time', 'n': answered - coalesce(late, 0)}}, {{'name': 'late', 'n': late}},
        {{'name': 'refused', 'n': refused}}, {{'name': 'failed', 'n': failures}}]) as ending
      from runs where requests > 0)
    select run, ending.name as ending, ending.n as requests, ending.n / requests as of_offered_share
    from ended where ending.n > 0 order by number, ending
"""

_USAGE = f"""
    with {_NAMED},
    used as (select number, run, requests, unnest(map_entries(usage)) as part from runs)
    select run, part.key as variant, part.value as of_offered_share,
      round(part.value * requests) as requests
    from used order by number, variant
"""

_LOADS = f"""
    with {_NAMED}
    select run, model, offered_per_s, 100 * attainment as in_time, 100 * attainment_ci95[1] as low,
      100 * attainment_ci95[2] as high, effective_accuracy, goodput_per_s, policy, status
    from runs where attainment is not null and status <> 'void' order by offered_per_s, run
"""

_TABLE = """
    select started_at as started, model, arrivals, array_to_string(links, ', ') as links, sla_ms,
      requests, attainment as in_time_share, attainment_ci95[1] as from_share,
      attainment_ci95[2] as to_share, effective_accuracy, measured_effective_accuracy as measured,
      latency_ms.p50 as p50_ms, latency_ms.p99 as p99_ms, network_ms, queue_ms, refused,
      list_sum(map_values(failed)) as failed, lag_p99_ms, status, reason
    from loads order by started_at desc, stored_at desc, key
"""


def section(ask: Ask) -> Section | None:
    """None where no load was driven."""
    table = ask.numbers(_TABLE, TABLE_ROWS)
    if not table.rows:
        return None
    outcomes, usage, loads = ask.numbers(_OUTCOMES), ask.numbers(_USAGE), ask.numbers(_LOADS)
    figures = [_outcomes(outcomes), _usage(usage), _over_load(loads)]
    return Section(
        "load",
        "Delivered by a service",
        _lead(ask, table.total),
        [*(figure for figure in figures if figure), Table("Runs", _NOTE, table)],
    )


_NOTE = (
    "Latency counts from the intended send time, of answered requests; in time is of all that were "
    "offered. Intervals are of 95 %, from batch means."
)


def _lead(ask: Ask, total: int) -> str:
    said = ask.one(
        "select sum(requests) as requests, count(*) filter (status = 'void') as void from loads"
    )
    text = f"{total:,} runs offered {said['requests'] or 0:,} requests to a running service."
    if said["void"]:
        text += f" {said['void']:,} are void: the generator itself was late."
    if total > _RUNS:
        text += f" The latest {_RUNS} are drawn."
    return text


def _outcomes(numbers: Numbers) -> Figure | None:
    rows = numbers.objects()
    if not rows:
        return None
    shares = [row["of_offered_share"] for row in rows if row["ending"] == "in time"]
    colour = category("ending", "", list(_ENDS))
    colour["scale"]["range"] = list(_ENDS.values())
    return Figure(
        "How requests ended",
        "Of all that were offered; without a deadline every answer is in time.",
        f"Bars of how requests ended, one per run; in time were {min(shares, default=0):.1%} to "
        f"{max(shares, default=0):.1%}.",
        _stacked(colour, "ending", list(_ENDS)),
        numbers,
        unit="share of the offered",
        origin="measured at a running service",
    )


def _usage(numbers: Numbers) -> Figure | None:
    rows = numbers.objects()
    if not rows:
        return None
    variants = sorted({row["variant"] for row in rows})
    most = max(rows, key=lambda row: row["of_offered_share"])
    return Figure(
        "Which variant answered",
        "What is missing to 100 % was refused or failed.",
        f"Bars of the variants that answered, one per run, {len(variants)} variants; the largest "
        f"part is {most['variant']} with {most['of_offered_share']:.0%} in run {most['run']}.",
        _stacked(category("variant", "", variants), "variant", variants),
        numbers,
        unit="share of the offered",
        origin="measured at a running service",
    )


def _stacked(colour: Spec, field: str, order: list[str]) -> Spec:
    place = f"indexof({json.dumps(order)}, datum.{field})"
    return {
        "height": {"step": 26},
        "transform": [{"calculate": place, "as": "place"}],
        "mark": {"type": "bar", "cornerRadiusEnd": 0},
        "encoding": {
            "y": rows_by("run"),
            "x": {
                "field": "of_offered_share", "type": "quantitative", "stack": "zero",
                "scale": {"domain": [0, 1]},
                "axis": {"title": "of the offered", "format": "%", "tickCount": 5},
            },
            "color": colour,
            "order": {"field": "place", "type": "quantitative"},
            "tooltip": tooltip(
                ("run", "run"), (field, field), ("of_offered_share", "of the offered", ".1%"),
                ("requests", "requests", ",d"),
            ),
        },
    }  # fmt: skip


def _over_load(numbers: Numbers) -> Figure | None:
    """Where runs differ in load: what of it was in time."""
    rows = numbers.objects()
    if len({round(row["offered_per_s"]) for row in rows}) < 2:
        return None
    models = sorted({row["model"] for row in rows})
    x = {
        "field": "offered_per_s", "type": "quantitative",
        "axis": size_axis("offered, requests per s"),
    }  # fmt: skip
    interval = {
        "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.55},
        "transform": [{"filter": "isValid(datum.low)"}],
        "encoding": {"y": {"field": "low", "type": "quantitative"}, "y2": {"field": "high"}},
    }
    point = {
        "mark": {"type": "point", "filled": True, "size": 80},
        "encoding": {
            "y": {
                "field": "in_time", "type": "quantitative", "scale": {"domain": [0, 100]},
                "axis": {"title": "in time, %"},
            },
            "tooltip": tooltip(
                ("run", "run"), ("policy", "policy"), ("offered_per_s", "offered per s", ".1f"),
                ("in_time", "in time, %", ".2f"), ("low", "from, %", ".2f"),
                ("high", "to, %", ".2f"), ("effective_accuracy", "effective accuracy, %", ".2f"),
                ("goodput_per_s", "in time per s", ".1f"),
            ),
        },
    }  # fmt: skip
    first, last = rows[0], rows[-1]
    return Figure(
        "In time over the load",
        "Of all that was offered, with its 95 % interval; void runs are left out.",
        f"Points of what was in time over the offered load; {first['in_time']:.1f} % at "
        f"{first['offered_per_s']:.0f} per s, {last['in_time']:.1f} % at "
        f"{last['offered_per_s']:.0f}.",
        {
            "height": 280,
            "encoding": {"x": x, "color": category("model", "", models)},
            "layer": [interval, point],
        },
        numbers,
        unit="percent over requests per s",
        origin="measured at a running service",
    )
