"""What the models cost on a device: work against time, time by target, the first answer, threads
and batches, what quantisation bought, what delegates took, energy and battery."""

from __future__ import annotations

from typing import Any

from edgewise.report import battery, delegates, metered, quantised, scaling
from edgewise.report.charts import PALETTE, by_log, category, dot_names, rows_by, tooltip
from edgewise.report.names import DEVICE, MEASURED
from edgewise.report.numerals import many
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Numbers, Section, Spec, Table

_TABLE = f"""
    with {MEASURED}
    select model, device, target, latency_ms.p50 as p50_ms, latency_ms.ci95_low as low_ms,
      latency_ms.ci95_high as high_ms, latency_ms.p90 as p90_ms, latency_ms.n as runs,
      throughput_items_per_s as items_per_s, peak_memory_bytes,
      case when status = 'ok' then stability else status end as verdict,
      case when status <> 'ok' then reason
        when stability <> 'stable' then stability_reason end as why,
      origin || coalesce(' from ' || reported.tool, '') as origin
    from measured order by model, device, target, stored_at
"""

_LATENCY = f"""
    with {MEASURED}
    select model, target, runtime, threads, batch, device, macs, latency_ms.p50 as p50_ms,
      latency_ms.ci95_low as low_ms, latency_ms.ci95_high as high_ms, stability,
      macs / latency_ms.p50 / 1e6 as gmacs_per_s, origin
    from measured where status = 'ok' and latency_ms.p50 > 0
    order by p50_ms, model, device, target
"""

_START = f"""
    with {MEASURED},
    started as (
      select model, target, latency_ms.p50 as steady,
        unnest([
          {{'phase': 'load', 'ms': load_ms.p50, 'n': load_ms.n}},
          {{'phase': 'first run', 'ms': first_ms.p50, 'n': first_ms.n}},
          {{'phase': 'steady run', 'ms': latency_ms.p50, 'n': latency_ms.n}}]) as spent
      from (from measured where status = 'ok' and load_ms.p50 > 0 and latency_ms.p50 > 0
        qualify row_number() over (partition by model, device, runtime order by threads, batch) = 1
        order by load_ms.p50 desc limit 40))
    select model || ' · ' || target as run, spent.phase as phase, spent.ms as spent_ms,
      spent.n as samples
    from started where spent.ms > 0 order by steady desc, run, phase
"""


def section(ask: Ask) -> Section | None:
    """None where nothing was measured."""
    table = ask.numbers(_TABLE, TABLE_ROWS)
    if not table.rows:
        return None
    latency = ask.numbers(_LATENCY)
    figures = [_work(latency), _targets(latency), _start(ask.numbers(_START))]
    return Section(
        "cost",
        "What it costs",
        _lead(ask),
        [
            *(figure for figure in figures if figure),
            *scaling.parts(ask),
            Table("Measurements", _NOTE, table),
            *quantised.parts(ask),
            *delegates.parts(ask),
            *metered.parts(ask),
            *battery.parts(ask),
        ],
    )


#: How far beyond the medians, as a factor, an axis follows their intervals.
_MARGIN = 5
#: Devices that the lead names.
_DEVICES = 6
_NOTE = (
    "Median first, then the 95 % interval of the median over processes. A quantile without "
    "enough samples is left out. A noisy or drifting run says so."
)


def _lead(ask: Ask) -> str:
    said = ask.one(
        "select count(*) as runs, count(*) filter (status <> 'ok') as failed,"
        " count(*) filter (stability in ('noisy', 'drifting')) as unsteady,"
        " count(*) filter (origin = 'imported') as imported,"
        f" list_sort(list(distinct {DEVICE})) as devices,"
        " string_agg(distinct context.container, ', ') as containers from measurements"
    )
    devices = said["devices"]
    more = f" and {len(devices) - _DEVICES:,} more" if len(devices) > _DEVICES else ""
    within = f" (in {said['containers']})" if said["containers"] else ""
    text = f"{said['runs']:,} measurements on {', '.join(devices[:_DEVICES])}{more}{within}."
    if said["imported"]:
        text += f" {said['imported']:,} were imported from another tool's output."
    if said["failed"]:
        text += f" {said['failed']:,} failed."
    if said["unsteady"]:
        text += f" {said['unsteady']:,} ran noisily or drifted: read those with care."
    return text


_TIP = tooltip(
    ("model", "model"), ("device", "device"), ("target", "target"),
    ("p50_ms", "median, ms", ".4~g"), ("low_ms", "from, ms", ".4~g"), ("high_ms", "to, ms", ".4~g"),
    ("macs", "MACs", ".3~s"),
    ("gmacs_per_s", "G MACs per s", ".3~g"), ("stability", "stability"), ("origin", "origin"),
)  # fmt: skip


def _by_time(rows: list[dict[str, Any]]) -> Spec:
    """The median's place. Intervals fit on the axis too, but for what is wider than it: a few
    processes that disagree give one over many decades."""
    middles = [row["p50_ms"] for row in rows]
    low, high = min(middles) / _MARGIN, max(middles) * _MARGIN
    ends = (row[name] for row in rows for name in ("low_ms", "high_ms") if row[name] is not None)
    within = [min(max(end, low), high) for end in ends]
    return by_log("p50_ms", "median latency, ms", middles + within, "~g")


def _interval(axis: str) -> Spec:
    """The interval of the median along an axis."""
    ends = {axis: {"field": "low_ms", "type": "quantitative"}, f"{axis}2": {"field": "high_ms"}}
    return {
        "transform": [{"filter": "isValid(datum.low_ms) && datum.low_ms > 0"}],
        "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.55, "clip": True},
        "encoding": ends,
    }


def _origins(numbers: Numbers) -> str:
    """Measured here, imported, or both."""
    return " and ".join(sorted({row["origin"] for row in numbers.objects()}))


def _by_device(numbers: Numbers) -> Spec | None:
    """Colour by device, where there are several."""
    devices = {row["device"] for row in numbers.objects()}
    return category("device", "device") if len(devices) > 1 else None


def _work(numbers: Numbers) -> Figure | None:
    known = [row for row in numbers.objects() if row["macs"]]
    if not known:
        return None
    point: dict[str, Any] = {
        "mark": {"type": "point", "filled": True, "size": 90, "opacity": 0.9},
        "encoding": {
            "y": _by_time(known),
            "shape": {"field": "threads", "type": "nominal", "title": "threads"},
            "tooltip": _TIP,
        },
    }  # fmt: skip
    x = by_log("macs", "multiply-accumulates per run", (row["macs"] for row in known))
    spec = {
        "height": 380,
        "transform": [{"filter": "datum.macs > 0"}],
        "encoding": {
            "x": x,
            "color": _by_device(numbers) or category("runtime", "runtime"),
        },
        "layer": [_interval("y"), point, dot_names("model", x, _by_time(known), known)],
    }  # fmt: skip
    left_out = len(numbers.rows) - len(known)
    return Figure(
        "Work against time",
        "The same work can cost very different time: what lies high for its place does little "
        "per millisecond. Bars are 95 % intervals of the median."
        + (f" {left_out:,} of unknown work are not shown." if left_out else ""),
        f"Points of median latency over multiply-accumulates for {len(known)} measurements, "
        f"from {known[0]['p50_ms']:.3g} to {known[-1]['p50_ms']:.3g} ms, by device or runtime, "
        "and threads.",
        spec,
        numbers,
        unit="ms, median, over multiply-accumulates",
        origin=_origins(numbers),
        n=many(len(known), "measurement"),
    )


def _targets(numbers: Numbers) -> Figure | None:
    if not numbers.rows:
        return None
    few = len({row["target"] for row in numbers.objects()}) <= len(PALETTE)
    colour = (
        category("target", "target") if few
        else _by_device(numbers) or category("runtime", "runtime")
    )  # fmt: skip
    row = rows_by("model", {"field": "p50_ms", "op": "min", "order": "ascending"}, grid=True)
    dot = {
        "mark": {"type": "point", "filled": True, "size": 90, "opacity": 0.9},
        "encoding": {
            "x": _by_time(numbers.objects()),
            "tooltip": _TIP,
        },
    }  # fmt: skip
    spec = {
        "height": {"step": 26},
        "encoding": {"y": row, "color": colour},
        "layer": [_interval("x"), dot],
    }
    first = numbers.objects()[0]
    return Figure(
        "Time by target",
        "Each dot is one model on one target: runtime, threads and batch.",
        f"Dots of median latency for each model, coloured by target; the fastest is "
        f"{first['model']} on {first['target']} with {first['p50_ms']:.3g} ms.",
        spec,
        numbers,
        unit="ms, median",
        origin=_origins(numbers),
        n=many(numbers.total, "measurement"),
    )


def _start(numbers: Numbers) -> Figure | None:
    if not numbers.rows:
        return None
    phases = ["steady run", "first run", "load"]
    x = by_log("spent_ms", "ms", (row["spent_ms"] for row in numbers.objects()), "~g")
    spec = {
        "height": {"step": 26},
        "encoding": {"y": rows_by("run", grid=True)},
        "layer": [
            {
                "mark": {"type": "rule", "opacity": 0.35, "strokeWidth": 2},
                "encoding": {
                    "x": {"aggregate": "min", **x},
                    "x2": {"aggregate": "max", "field": "spent_ms"},
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                "encoding": {
                    "x": x,
                    "color": category("phase", "", phases),
                    "tooltip": tooltip(
                        ("run", "run"), ("phase", "phase"), ("spent_ms", "median, ms", ".4~g"),
                        ("samples", "samples", ",d"),
                    ),
                },
            },
        ],
    }  # fmt: skip
    return Figure(
        "What the first answer costs",
        "Loading, the first run, and a run once warm, file in the page cache; each model on its "
        "smallest target per runtime.",
        "For each model three dots on one line: time of loading, of the first and of a steady run.",
        spec,
        numbers,
        unit="ms, median",
        origin="measured",
        n=many(numbers.total // len(phases), "run"),
    )
