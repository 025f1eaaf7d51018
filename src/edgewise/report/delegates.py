"""How much of each graph a delegate took, and what fell back."""

from __future__ import annotations

from edgewise.report.charts import category, rows_by, tooltip
from edgewise.report.names import MEASURED
from edgewise.report.numerals import many
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Numbers, Spec, Table

_ROWS = 40
_COVERAGE = f"""
    with {MEASURED}
    select model, device, target, coverage.delegate as delegate, coverage.operators as operators,
      coverage.delegated as delegated,
      coverage.delegated / nullif(coverage.operators, 0) as taken_share,
      coverage.partitions as partitions,
      nullif(array_to_string([each.key || ' × ' || each.value
        for each in map_entries(coverage.fell_back)], ', '), '') as fell_back,
      coverage.reason as why
    from measured where coverage is not null and coverage.delegate <> 'cpu'
    order by taken_share nulls last, partitions desc, model, device, target
"""


def parts(ask: Ask) -> list[Figure | Table]:
    """Nothing where no delegate ran."""
    numbers = ask.numbers(_COVERAGE, TABLE_ROWS)
    if not numbers.rows:
        return []
    note = (
        "As the runtime tells it. What fell back, the runtime's own kernels ran; each partition "
        "more is a change between the two. What a runtime does not tell is left out."
    )
    known = [row for row in numbers.objects() if row["taken_share"] is not None]
    figure = [_figure(numbers)] if known else []
    return [*figure, Table("What the delegates took", note, numbers)]


def _figure(numbers: Numbers) -> Figure:
    known = [row for row in numbers.objects() if row["taken_share"] is not None]
    whole = sum(row["taken_share"] == 1 for row in known)
    spec: Spec = {
        "height": {"step": 24},
        "transform": [
            {"filter": "isValid(datum.taken_share)"},
            {"calculate": "datum.model + ' · ' + datum.target", "as": "run"},
            {"window": [{"op": "row_number", "as": "place"}]},
            {"filter": f"datum.place <= {_ROWS}"},
        ],
        "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
        "encoding": {
            "y": rows_by("run", grid=True),
            "x": {
                "field": "taken_share", "type": "quantitative",
                "scale": {"domain": [0, 1]},
                "axis": {"title": "share of the operators", "format": ".0%", "tickCount": 6},
            },
            "color": category("delegate", "delegate"),
            "tooltip": tooltip(
                ("model", "model"), ("target", "target"), ("delegated", "delegated", ",d"),
                ("operators", "operators", ",d"), ("partitions", "partitions", ",d"),
                ("fell_back", "fell back"),
            ),
        },
    }  # fmt: skip
    return Figure(
        "Coverage of delegates",
        f"Share of the graph's operators that the delegate took, the least first; {whole:,} of "
        f"{len(known):,} ran on it as a whole.",
        f"Dots of the delegated share for {len(known)} measurements; the least is "
        f"{known[0]['model']} with {known[0]['taken_share']:.0%}.",
        spec,
        numbers,
        unit="share of the operators",
        origin="told by the runtime",
        n=many(len(known), "measurement"),
    )
