"""Energy of an inference where it was metered, by which meter, and why not elsewhere."""

from __future__ import annotations

from edgewise.report.charts import by_log, category, rows_by, tooltip
from edgewise.report.names import MEASURED
from edgewise.report.numerals import many
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Numbers, Spec, Table

_ROWS = 40
#: The meters in words, as `edgewise energy` has them; of other meters, their name.
_METHODS = {
    "rapl": "processor's energy counters (rapl)",
    "battery": "the battery's gauge",
    "odpm": "the phone's power rails (odpm)",
    "jetson": "the board's power sensors",
    "monsoon": "a power monitor at the supply (monsoon)",
    "perfetto": "a trace of power rails or battery (perfetto)",
}
_IN_WORDS = "".join(
    f" when '{name}' then '{words.replace(chr(39), chr(39) * 2)}'"
    for name, words in _METHODS.items()
)

_ENERGY = f"""
    with {MEASURED}
    select model, device, target, energy.inference_j as inference_j,
      energy.ci95_low_j as from_j, energy.ci95_high_j as to_j,
      energy.net_inference_j as net_inference_j, energy.inferences as inferences,
      energy.idle_w as idle_watt, energy.mean_w as mean_watt,
      case energy.method {_IN_WORDS} else energy.method end as method,
      energy.boundary as boundary, energy.reason as why, origin
    from measured where energy is not null
    order by inference_j nulls last, model, device, target
"""


def parts(ask: Ask) -> list[Figure | Table]:
    """Nothing where no meter read."""
    numbers = ask.numbers(_ENERGY, TABLE_ROWS)
    if not numbers.rows:
        return []
    without = ask.one(
        "select count(*) as runs from measurements where status = 'ok' and energy is null"
    )["runs"]
    note = (
        "Gross: all that is inside the boundary while it infers. Net: with idle power of equal "
        "length taken off. Method: what read it."
        + (f" {without:,} measurements had no meter and have no energy." if without else "")
    )
    known = any(row["inference_j"] for row in numbers.objects())
    return [*([_figure(numbers)] if known else []), Table("Energy", note, numbers)]


def _figure(numbers: Numbers) -> Figure:
    known = [row for row in numbers.objects() if row["inference_j"]]
    ends = [row[name] for row in known for name in ("inference_j", "from_j", "to_j")]
    x = by_log("inference_j", "J per inference", (end for end in ends if end and end > 0), "~s")
    spec: Spec = {
        "height": {"step": 26},
        "transform": [
            {"filter": "datum.inference_j > 0"},
            {"calculate": "datum.model + ' · ' + datum.target", "as": "run"},
            {"window": [{"op": "row_number", "as": "place"}]},
            {"filter": f"datum.place <= {_ROWS}"},
        ],
        "encoding": {
            "y": rows_by("run", grid=True),
            "color": category("method", "metered by"),
        },
        "layer": [
            {
                "transform": [{"filter": "datum.from_j > 0 && datum.to_j > 0"}],
                "mark": {"type": "rule", "strokeWidth": 2, "opacity": 0.55},
                "encoding": {"x": {**x, "field": "from_j"}, "x2": {"field": "to_j"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
                "encoding": {
                    "x": x,
                    "tooltip": tooltip(
                        ("model", "model"), ("device", "device"), ("target", "target"),
                        ("inference_j", "J gross", ".3~s"), ("net_inference_j", "J net", ".3~s"),
                        ("inferences", "inferences", ",d"), ("method", "method"),
                        ("boundary", "boundary"), ("origin", "origin"),
                    ),
                },
            },
        ],
    }  # fmt: skip
    return Figure(
        "Energy of one inference",
        "Gross, with its 95 % interval over processes. Meters with different boundaries do not "
        "compare: a rail is not a phone.",
        f"Dots of energy per inference for {len(known)} measurements; the least is "
        f"{known[0]['model']} with {known[0]['inference_j']:.3g} J.",
        spec,
        numbers,
        unit="joules per inference",
        origin="metered",
        n=many(len(known), "measurement"),
    )
