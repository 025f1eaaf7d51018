"""What the networks are made of: which layers do the work, and which there are."""

from __future__ import annotations

from edgewise.report.charts import category, rows_by, tooltip
from edgewise.report.names import NAMED
from edgewise.report.parts import Ask, Figure, Numbers, Section

#: The kinds of `docs/kinds.md` in families small enough for a legend, in the legend's order.
FAMILIES = {
    "convolution": ("conv", "conv_transpose"),
    "dense, matrix product": ("dense", "matmul", "einsum"),
    "recurrent, attention": ("recurrent", "svdf", "attention"),
    "arithmetic": (
        "unary", "binary", "where", "normalise", "softmax", "quantize", "dequantize", "cumulative",
    ),
    "pooling, reduction, resizing": ("pool", "global_pool", "reduce", "arg_reduce", "resize"),
    "control flow": ("if", "loop", "call"),
    "not understood": ("unknown",),
}  # fmt: skip
REST = "data movement"
_SHOWN = 30

_KINDS = ", ".join(
    f"('{kind}', '{family}')" for family, kinds in FAMILIES.items() for kind in kinds
)

#: `tabled`: the layers of the files with the most work, each from one place where it was found.
_TABLED = f"""
    families(kind, family) as (values {_KINDS}),
    {NAMED},
    found as (
      select label, macs as model_macs, unnest(keys) as model_key from named),
    largest as (
      select label, model_macs, min(model_key) as model_key
      from found semi join (from layers where index = 0) using (model_key)
      group by label, model_macs order by model_macs desc nulls last, label limit {_SHOWN}),
    tabled as (
      select label as model, coalesce(family, '{REST}') as family, model_macs, layers.macs
      from largest join layers using (model_key)
      left join families on families.kind = layers.kind)
"""

_MIX = f"""
    with {_TABLED}
    select model, family, count(*) as layers,
      count(*) / sum(count(*)) over (partition by model) as layers_share,
      sum(macs) as macs,
      sum(macs) / nullif(sum(sum(macs)) over (partition by model), 0) as macs_share
    from tabled
    group by model, model_macs, family order by model_macs desc nulls last, model, family
"""


def section(ask: Ask) -> Section | None:
    """None where no layer table is in the store."""
    numbers = ask.numbers(_MIX)
    if not numbers.rows:
        return None
    models = len({row[0] for row in numbers.rows})
    lead = f"The layers of the {models} models with the most work, by what they do."
    figures = [_figure(numbers, "macs", "Where the multiply-accumulates are")]
    figures.append(_figure(numbers, "layers", "What the layers do"))
    return Section("layers", "Layers", lead, figures)


def _figure(numbers: Numbers, count: str, title: str) -> Figure:
    order = [*FAMILIES, REST]
    present = {row["family"] for row in numbers.objects() if row[count]}
    noun = {"macs": "multiply-accumulates", "layers": "layers"}[count]
    spec = {
        "height": {"step": 24},
        "transform": [
            {"filter": f"datum.{count} > 0"},
            {"calculate": f"indexof({order}, datum.family)", "as": "order"},
        ],
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "y": rows_by("model"),
            "x": {
                "field": f"{count}_share", "type": "quantitative", "stack": "zero",
                "scale": {"domain": [0, 1]},
                "axis": {"title": "share", "format": ".0%", "tickCount": 5},
            },
            "color": category("family", "", [name for name in order if name in present]),
            "order": {"field": "order", "type": "quantitative"},
            "tooltip": tooltip(
                ("model", "model"), ("family", "layers"), (count, noun, ".3~s"),
                (f"{count}_share", "share", ".1%"),
            ),
        },
    }  # fmt: skip
    caption = (
        "Data movement, arithmetic and pooling multiply-accumulate nothing by definition."
        if count == "macs"
        else "Many layers cost no multiply-accumulates and still take time."
    )
    return Figure(
        title,
        caption,
        f"Stacked bars, one per model: the share of its {noun} by family of layers.",
        spec,
        numbers,
        unit=f"share of its {noun}",
        origin="read from the files",
    )
