"""How good a model is for the time that it takes: accuracy against latency, and the frontier."""

from __future__ import annotations

from typing import Any

from edgewise.report import published
from edgewise.report.charts import by_log, category, dot_names, tooltip
from edgewise.report.names import DEVICE, NAMED, TARGET
from edgewise.report.numerals import many
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Numbers, Section, Spec, Table

#: Pictures at most: one for each device and data set.
_SETTINGS = 6

#: `joined`: for each evaluated file, data set and device the target with the least median time.
#: `frontier`: no other is as fast and more accurate, nor faster and as accurate.
_JOINED = f"""
    {NAMED},
    timed as (
      select sha256, {DEVICE} as device, min(latency_ms.p50) as p50_ms,
        arg_min({TARGET}, latency_ms.p50) as target,
        arg_min(target.runtime, latency_ms.p50) as runtime,
        arg_min(latency_ms.ci95_low, latency_ms.p50) as low_ms,
        arg_min(latency_ms.ci95_high, latency_ms.p50) as high_ms,
        arg_min(latency_ms.n, latency_ms.p50) as runs, arg_min(origin, latency_ms.p50) as origin
      from measurements
      where status = 'ok' and target.batch = 1 and latency_ms.p50 > 0 and sha256 is not null
      group by all),
    evaluated as (
      from accuracies where accuracy is not null and sha256 is not null
      qualify row_number() over (partition by sha256 order by n desc, stored_at desc) = 1),
    joined as (
      select device, data, coalesce(e.model, label) as model, accuracy, e.ci95_low as low,
        e.ci95_high as high, n as inputs, p50_ms, low_ms, high_ms, runs, target, timed.runtime,
        origin, coalesce(accuracy > max(accuracy) over (
          partition by device, data order by p50_ms, accuracy desc
          rows between unbounded preceding and 1 preceding), true) as frontier
      from evaluated e join timed using (sha256) left join named using (sha256))
"""

_SETTINGS_SQL = f"""
    with {_JOINED}
    select device, data, count(*) as models from joined group by all
    order by models desc, device, data
"""

_DOTS = """
    with {joined}
    select model, accuracy, low, high, inputs, p50_ms, low_ms, high_ms, runs, target, runtime,
      origin, frontier
    from joined where device = {device} and data = {data} order by p50_ms, accuracy desc, model
"""

_ALL = f"""
    with {_JOINED}
    select model, device, accuracy, low as from_accuracy, high as to_accuracy, inputs,
      parse_filename(data) as data, p50_ms, runs, target, origin,
      case when frontier then 'yes' else 'no' end as frontier
    from joined order by accuracy desc, p50_ms, model, device
"""


def section(ask: Ask) -> Section | None:
    """None where no file was both evaluated and measured, or has a published accuracy."""
    settings = ask.numbers(_SETTINGS_SQL)
    known = published.parts(ask)
    if not settings.rows:
        lead = "How right the models are, as published for their networks: none was evaluated here."
        return Section("frontier", "Accuracy against latency", lead, known) if known else None
    shown = settings.objects()[:_SETTINGS]
    several = settings.total > 1
    figures = [_figure(ask, row["device"], row["data"], several) for row in shown]
    table = Table("Accuracy and time", _NOTE, ask.numbers(_ALL, TABLE_ROWS))
    parts = [*figures, table, *known]
    return Section("frontier", "Accuracy against latency", _lead(ask, settings), parts)


_NOTE = (
    "Accuracy in percent with its 95 % interval. Time is the median of one inference on the "
    "fastest target that was measured on the device."
)


def _lead(ask: Ask, settings: Numbers) -> str:
    alone = ask.one("""
        select count(distinct sha256) as models from accuracies where accuracy is not null
          and sha256 is not null and sha256 not in (select sha256 from measurements
            where sha256 is not null and status = 'ok' and target.batch = 1
              and latency_ms.p50 > 0)
    """)["models"]
    text = "How right the models are for the time that they take, both measured."
    if settings.total > _SETTINGS:
        text += f" {_SETTINGS} of {settings.total:,} pairs of device and data are drawn."
    if alone:
        text += f" {alone:,} more were evaluated, but not timed."
    return text


def _figure(ask: Ask, device: str, data: str, several: bool) -> Figure:
    sql = _DOTS.format(joined=_JOINED, device=_quoted(device), data=_quoted(data))
    numbers = ask.numbers(sql)
    rows = numbers.objects()
    on = [row for row in rows if row["frontier"]]
    file = data.replace("\\", "/").rpartition("/")[2]
    inputs = sorted({row["inputs"] for row in rows})
    of = f"{inputs[0]:,}" if len(inputs) == 1 else f"{inputs[0]:,} to {inputs[-1]:,}"
    origin = " and ".join(sorted({row["origin"] for row in rows}))
    return Figure(
        f"Accuracy against latency on {device}" + (f", {file}" if several else ""),
        f"Up and to the left is better; no dot beats those on the line. Accuracy: measured on "
        f"{of} inputs of {file}, the evaluation with the most of them. Time: {origin}. "
        "Bars are 95 % intervals.",
        f"Dots of accuracy over median latency for {len(rows)} models on {device}; on the "
        f"frontier: {', '.join(row['model'] for row in on[:8])}; the most accurate is "
        f"{on[-1]['model']} with {on[-1]['accuracy']:.1f} % at {on[-1]['p50_ms']:.3g} ms.",
        _spec(rows),
        numbers,
        unit="percent over ms",
        origin=f"accuracy measured, time {origin}",
        n=f"{many(len(rows), 'model')}, {of} inputs",
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_TIP = tooltip(
    ("model", "model"), ("accuracy", "accuracy, %", ".2f"), ("low", "from, %", ".2f"),
    ("high", "to, %", ".2f"), ("inputs", "inputs", ",d"), ("p50_ms", "median, ms", ".4~g"),
    ("runs", "runs", ",d"), ("target", "target"), ("origin", "time"),
)  # fmt: skip


def _spec(rows: list[dict[str, Any]]) -> Spec:
    x = by_log("p50_ms", "median latency, ms", (row["p50_ms"] for row in rows), "~g")
    y: Spec = {
        "field": "accuracy", "type": "quantitative", "scale": {"zero": False},
        "axis": {"title": "accuracy, %", "tickCount": 6},
    }  # fmt: skip
    return {
        "height": 380,
        "encoding": {"x": x, "y": y},
        "layer": [
            {
                "transform": [{"filter": "datum.frontier"}],
                "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2,
                         "color": "#8c93a0", "opacity": 0.8},
            },
            {
                "transform": [{"filter": "isValid(datum.low) && isValid(datum.high)"}],
                "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.35},
                "encoding": {
                    "y": {**y, "field": "low"},
                    "y2": {"field": "high"},
                    "color": category("runtime", "runtime"),
                },
            },
            dot_names("model", x, y, rows, first="frontier"),
            {
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 0.95},
                "encoding": {"color": category("runtime", "runtime"), "tooltip": _TIP},
            },
        ],
    }  # fmt: skip
