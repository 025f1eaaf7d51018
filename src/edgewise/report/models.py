"""What the models are: the table, and where they lie between parameters and work."""

from __future__ import annotations

from edgewise.report.charts import by_log, category, dot_names, tooltip
from edgewise.report.names import NAMED
from edgewise.report.numerals import many
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Section, Table

_TABLE = f"""
    with {NAMED}
    select label as model, places, format, size_bytes, layers, parameters, macs,
      peak_activation_bytes, quantization,
      list_sort(map_keys(weight_dtypes)) as weight_dtypes, task
    from named order by macs desc nulls last, size_bytes desc, label
"""

_WORK = f"""
    with {NAMED}
    select label as model, format, parameters, macs, size_bytes, quantization, places
    from named where macs > 0 and parameters > 0 order by macs desc, label
"""


def section(ask: Ask) -> Section | None:
    """None where no parsed model is in the store."""
    table = ask.numbers(_TABLE, TABLE_ROWS)
    if not table.rows:
        return None
    unknown = ask.one(f"with {NAMED} select count(*) as models from named where macs is null")
    lead = f"{table.total:,} different files."
    if unknown["models"]:
        lead += (
            f" Of {unknown['models']:,} the multiply-accumulates are unknown: an operator in them "
            "is not understood, or an input has no size. Unknown is not zero."
        )
    parts: list[Figure | Table] = [Table("Models", "Each file once, however often found.", table)]
    if figure := _work(ask):
        parts.append(figure)
    return Section("models", "Models", lead, parts)


def _work(ask: Ask) -> Figure | None:
    numbers = ask.numbers(_WORK)
    if not numbers.rows:
        return None
    points = numbers.objects()
    x = by_log("parameters", "parameters", (row["parameters"] for row in points))
    y = by_log("macs", "multiply-accumulates per inference", (row["macs"] for row in points))
    dots = {
        "mark": {"type": "point", "filled": True, "opacity": 0.8, "size": 90},
        "encoding": {
            "tooltip": tooltip(
                ("model", "model"), ("format", "format"), ("parameters", "parameters", ".3~s"),
                ("macs", "MACs", ".3~s"), ("size_bytes", "bytes", ".3~s"),
                ("quantization", "quantization"),
            ),
        },
    }  # fmt: skip
    spec = {
        "height": 340,
        "encoding": {"x": x, "y": y, "color": category("format", "format")},
        "layer": [dots, dot_names("model", x, y, points)],
    }
    largest = points[0]
    return Figure(
        "Size against work",
        "To the right: more to download and keep. Up: more to compute.",
        f"Points of parameters against multiply-accumulates for {len(numbers.rows)} models; the "
        f"most work is in {largest['model']}.",
        spec,
        numbers,
        unit="multiply-accumulates over parameters",
        origin="computed from the files",
        n=many(numbers.total, "file"),
        points=True,
    )
