"""In what number types the weights are stored."""

from __future__ import annotations

from edgewise.report.charts import category, rows_by, size_axis, tooltip
from edgewise.report.names import NAMED
from edgewise.report.parts import Ask, Figure, Section

_DTYPES = f"""
    with {NAMED},
    stored as (
      select label as model, quantization, weight_bytes as total_bytes,
        unnest(map_entries(weight_dtypes)) as entry
      from (from named where weight_bytes > 0 order by weight_bytes desc, label limit 30))
    select model, entry.key as dtype, entry.value as weight_bytes,
      entry.value / total_bytes as weight_share, quantization
    from stored order by total_bytes desc, model, dtype
"""

_CLASSES = f"""
    with {NAMED}
    select coalesce(quantization, 'unknown') as quantization, format, count(*) as models,
      sum(weight_bytes) as weight_bytes
    from named group by all order by all
"""


def section(ask: Ask) -> Section | None:
    """None where no model with weights is in the store."""
    dtypes = ask.numbers(_DTYPES)
    if not dtypes.rows:
        return None
    lead = (
        "What a network weighs is its parameters times the bytes of their number type; "
        "quantisation is the cheapest way to a smaller download."
    )
    return Section("weights", "Weights", lead, [_by_dtype(ask, dtypes.sql), _by_class(ask)])


def _by_dtype(ask: Ask, sql: str) -> Figure:
    numbers = ask.numbers(sql)
    spec = {
        "height": {"step": 24},
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "y": rows_by("model", {"field": "weight_bytes", "op": "sum", "order": "descending"}),
            "x": {
                "field": "weight_bytes", "type": "quantitative",
                "axis": size_axis("bytes of weights"),
            },
            "color": category("dtype", "stored as"),
            "tooltip": tooltip(
                ("model", "model"), ("dtype", "stored as"), ("weight_bytes", "bytes", ".3~s"),
                ("weight_share", "share", ".1%"), ("quantization", "quantization"),
            ),
        },
    }  # fmt: skip
    heaviest = numbers.objects()[0]["model"]
    return Figure(
        "Weights by number type",
        "The 30 models with the heaviest weights.",
        f"Bars of weight bytes for each model, split by number type; most in {heaviest}.",
        spec,
        numbers,
        unit="bytes",
        origin="read from the files",
    )


def _by_class(ask: Ask) -> Figure:
    numbers = ask.numbers(_CLASSES)
    spec = {
        "height": {"step": 30},
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "y": rows_by("quantization", "-x"),
            "x": {
                "field": "models", "type": "quantitative",
                "axis": size_axis("models", tickMinStep=1),
            },
            "color": category("format", "format"),
            "tooltip": tooltip(
                ("quantization", "quantization"), ("format", "format"), ("models", "models", ",d")
            ),
        },
    }  # fmt: skip
    return Figure(
        "How many are quantised",
        "none: float32 throughout. float16: half the bytes. weights: integers that are expanded "
        "to floats to compute. full: computed in integers. mixed: some of each.",
        "Bars of models for each class of quantisation, split by format.",
        spec,
        numbers,
        unit="models",
        origin="read from the files",
    )
