"""What more threads and larger batches bring, where several were measured."""

from __future__ import annotations

from edgewise.report.charts import by_log, category, shortened, tooltip
from edgewise.report.names import MEASURED
from edgewise.report.numerals import many
from edgewise.report.parts import Ask, Figure, Numbers, Spec

#: Lines at most: models with the most steps, then the slowest.
_LINES = 12

_SERIES = """
    with {measured},
    latest as (
      from measured where status = 'ok' and latency_ms.p50 > 0 and {steps} is not null
      qualify row_number() over (
        partition by sha256, model, device, runtime, delegate, threads, batch
        order by stored_at desc) = 1),
    stepped as (
      select model || ' · ' || runtime || {others} || case
          when (select count(distinct device) from latest) > 1 then ' · ' || device else '' end
          as line,
        {steps} as {steps}, latency_ms.p50 as p50_ms, latency_ms.ci95_low as low_ms,
        latency_ms.ci95_high as high_ms, latency_ms.p50 / batch as item_ms,
        first_value(latency_ms.p50 / batch) over each / (latency_ms.p50 / batch) as speedup,
        latency_ms.n as runs, stability, origin,
        count(*) over (partition by model, sha256, device, runtime, delegate, {other}) as seen
      from latest
      window each as (
        partition by model, sha256, device, runtime, delegate, {other} order by {steps})),
    lines as (
      select line from stepped where seen > 1
      group by line order by max(seen) desc, max(p50_ms) desc, line limit {most})
    select * exclude seen from stepped semi join lines using (line)
    where seen > 1 order by line, {steps}
"""
_DELEGATE = "case when delegate <> 'cpu' then ' ' || delegate else '' end"
_THREADS = _SERIES.format(
    measured=MEASURED, steps="threads", other="batch", most=_LINES,
    others=f"{_DELEGATE} || case when batch > 1 then ', batch ' || batch else '' end",
)  # fmt: skip
_BATCHES = _SERIES.format(
    measured=MEASURED, steps="batch", other="threads", most=_LINES,
    others=f"{_DELEGATE} || case when threads > 1 then ', ' || threads || ' threads' else '' end",
)  # fmt: skip


def parts(ask: Ask) -> list[Figure]:
    """Nothing where each model was measured with one number of threads and one batch."""
    found = (_threads(ask.numbers(_THREADS)), _batches(ask.numbers(_BATCHES)))
    return [figure for figure in found if figure is not None]


def _threads(numbers: Numbers) -> Figure | None:
    rows = numbers.objects()
    if not rows:
        return None
    best = max(rows, key=lambda row: row["speedup"])
    y: Spec = {
        "field": "speedup", "type": "quantitative", "scale": {"zero": False},
        "axis": {"title": "times as fast as with the fewest threads", "tickCount": 6},
    }  # fmt: skip
    return _figure(
        "What more threads bring",
        "Against the fewest threads of the same model, runtime and batch. Below 1 they make it "
        "slower: a small model spends more on sharing out than it saves.",
        f"Lines of speed over threads; the most is {best['speedup']:.2g} times, {best['line']} "
        f"with {best['threads']} threads.",
        numbers, "threads", y, "times as fast",
    )  # fmt: skip


def _batches(numbers: Numbers) -> Figure | None:
    rows = numbers.objects()
    if not rows:
        return None
    best = max(rows, key=lambda row: row["speedup"])
    y = by_log("item_ms", "ms for each item", (row["item_ms"] for row in rows), "~g")
    return _figure(
        "What batches bring",
        "The time of a batch, shared among its items: what falls gets cheaper by the batch, while "
        "everyone waits for the whole one.",
        f"Lines of the time for each item over the batch; the most is {best['speedup']:.2g} times "
        f"as fast, {best['line']} in batches of {best['batch']}.",
        numbers, "batch", y, "ms for each item, median",
    )  # fmt: skip


def _figure(
    title: str, caption: str, alt: str, numbers: Numbers, steps: str, y: Spec, unit: str
) -> Figure:
    rows = numbers.objects()
    values = sorted({row[steps] for row in rows})
    # A rank where there are more lines than colours that can be told apart.
    colour = category("line", "", sorted({row["line"] for row in rows}))
    spec: Spec = {
        "height": 300,
        "mark": {"type": "line", "point": {"size": 60}, "strokeWidth": 2},
        "encoding": {
            "x": {
                "field": steps, "type": "ordinal", "sort": values,
                "axis": {"title": steps, "labelAngle": 0, "grid": True},
            },
            "y": y,
            "color": colour | {"legend": {"labelExpr": shortened("datum.label")}},
            "tooltip": tooltip(
                ("line", "model"), (steps, steps, ",d"), ("p50_ms", "median, ms", ".4~g"),
                ("item_ms", "for each item, ms", ".4~g"), ("speedup", "times as fast", ".2f"),
                ("runs", "runs", ",d"), ("stability", "stability"),
            ),
        },
    }  # fmt: skip
    origin = " and ".join(sorted({row["origin"] for row in rows}))
    n = many(numbers.total, "measurement")
    return Figure(title, caption, alt, spec, numbers, unit=unit, origin=origin, n=n)
