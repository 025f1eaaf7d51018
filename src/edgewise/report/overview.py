"""What was looked at, and how it ended: all four outcomes, side by side."""

from __future__ import annotations

from edgewise.report.charts import OUTCOMES, rows_by, size_axis, tooltip
from edgewise.report.numerals import bytes_text, count_text, many
from edgewise.report.parts import Ask, Figure, Numbers, Section, Spec, Table, Tile

_COUNTS = """
    select (select count(*) from apps) as apps,
      (select count(*) from apps where error is not null) as apps_failed,
      (select sum(coverage.entries) from apps) as entries,
      (select sum(coverage.examined) from apps) as examined,
      count(*) as candidates,
      count(*) filter (status = 'parsed') as parsed,
      sum(size_bytes) filter (status = 'parsed') as parsed_bytes,
      count(*) filter (status = 'opaque') as opaque,
      count(*) filter (status = 'rejected') as rejected,
      count(*) filter (status = 'not_examined') as not_examined,
      count(distinct sha256) filter (status = 'parsed') as distinct_models,
      (select count(*) from measurements) as measurements,
      (select count(*) from measurements where status <> 'ok') as measurements_failed,
      (select count(distinct sha256) from measurements) as measured_models
    from models
"""

_OUTCOMES = """
    select coalesce(format, 'unknown') as format, status, count(*) as files,
      sum(size_bytes) as size_bytes
    from models group by all order by all
"""


def section(ask: Ask) -> Section:
    """Always there, also for an empty store: nothing found must not read like nothing looked at."""
    counts = ask.one(_COUNTS)
    parts: list[Figure | Table] = []
    if counts["candidates"]:
        parts.append(_outcomes(ask.numbers(_OUTCOMES), counts))
    return Section("overview", "What was looked at", _lead(counts), parts, _tiles(counts))


def _lead(counts: dict[str, int]) -> str:
    if not counts["apps"] and not counts["candidates"] and not counts["measurements"]:
        return (
            "No app, model or measurement is in this store. Add some with "
            "`edgewise scan app.apk --store …`, `edgewise inspect model.tflite --store …` or "
            "`edgewise bench model.tflite --store …` and make the report again."
        )
    return (
        "Every file that may be a model ends in one of four outcomes: parsed, opaque (only its "
        "format is certain), rejected (it looked like a model and is none), or not examined "
        "(a limit was hit). Why, is at the end."
    )


def _tiles(counts: dict[str, int]) -> list[Tile]:
    def said(name: str, after: str) -> list[str]:
        return [f"{count_text(counts[name])} {after}"] if counts[name] else []

    others = ("opaque", "rejected", "not_examined")
    entries = said("examined", f"of {count_text(counts['entries'])} entries examined")
    return [
        _tile(counts, "apps", "apps", [*entries, *said("apps_failed", "could not be processed")]),
        _tile(counts, "candidates", "candidates", ["files that may be models"]),
        _tile(
            counts, "parsed", "parsed",
            [f"{count_text(counts[name])} {name.replace('_', ' ')}" for name in others],
        ),
        _tile(
            counts, "distinct_models", "distinct models",
            [f"{bytes_text(counts['parsed_bytes'])} with copies"] if counts["parsed_bytes"] else [],
        ),
        _tile(
            counts, "measurements", "measurements",
            [f"of {count_text(counts['measured_models'])} different files",
             *said("measurements_failed", "failed")],
        ),
    ]  # fmt: skip


def _tile(counts: dict[str, int], name: str, label: str, details: list[str]) -> Tile:
    return Tile(label, count_text(counts[name]), ", ".join(details))


def _outcomes(numbers: Numbers, counts: dict[str, int]) -> Figure:
    order = list(OUTCOMES)
    spec: Spec = {
        "height": {"step": 30},
        "transform": [
            {"calculate": f"indexof({order}, datum.status)", "as": "order"},
            {"calculate": "replace(datum.status, '_', ' ')", "as": "outcome"},
        ],
        "mark": {"type": "bar", "height": {"band": 0.72}},
        "encoding": {
            "y": rows_by("format", {"field": "files", "op": "sum", "order": "descending"}),
            "x": {
                "field": "files", "type": "quantitative", "stack": "zero",
                "axis": size_axis("files", tickMinStep=1),
            },
            "color": {
                "field": "outcome", "type": "nominal", "title": None,
                "scale": {
                    "domain": [name.replace("_", " ") for name in order],
                    "range": list(OUTCOMES.values()),
                },
            },
            "order": {"field": "order", "type": "quantitative"},
            "tooltip": tooltip(
                ("format", "format"), ("outcome", "outcome"), ("files", "files", ",d")
            ),
        },
    }  # fmt: skip
    share = counts["parsed"] / counts["candidates"]
    return Figure(
        title="How the candidates ended, by format",
        caption=f"{share:.0%} of {counts['candidates']:,} candidates were parsed.",
        alt=f"Bars of files by format, split by outcome: {counts['parsed']} parsed, "
        f"{counts['opaque']} opaque, {counts['rejected']} rejected, "
        f"{counts['not_examined']} not examined.",
        spec=spec,
        numbers=numbers,
        unit="files",
        origin="read from the packages and files",
        n=many(counts["candidates"], "candidate"),
    )
