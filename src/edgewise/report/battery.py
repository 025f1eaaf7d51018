"""What scenarios take from a battery, with the models whose energy was metered."""

from __future__ import annotations

from edgewise.report.charts import category, rows_by, tooltip
from edgewise.report.names import NAMED
from edgewise.report.numerals import many
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Numbers, Spec, Table

_ROWS = 40
_COLUMNS = (
    "scenario", "model", "target", "inferences", "busy_s", "energy_j", "charge_mah",
    "percent_of_battery", "by", "why_not",
)  # fmt: skip
_TASKS = f"""
    with {NAMED}
    select sha256, label, task from named where sha256 in (
      select sha256 from measurements where status = 'ok' and energy is not null)
"""


def parts(ask: Ask) -> list[Figure | Table]:
    """Nothing where no metered model has a task that a scenario is about."""
    from edgewise.energy.scenarios import Battery, costs, scenarios
    from edgewise.records import Measurement

    models = {row["sha256"]: row for row in ask.numbers(_TASKS, TABLE_ROWS).objects()}
    if not models:
        return []
    measured = ask.store.read(
        Measurement, without=("samples",), where="status = 'ok' and energy is not null"
    )
    tasks = {content: str(row["task"]) for content, row in models.items() if row["task"]}
    battery = Battery()
    found = costs(list(scenarios().values()), measured, tasks, battery)
    rows = [
        (
            each.title, models[each.sha256]["label"] if each.sha256 in models else each.model,
            f"{each.target.device} {each.target.runtime} {each.target.delegate}", each.inferences,
            each.busy_s, each.energy_j, each.mah,
            each.battery_percent, each.method,
            each.reason,
        )
        for each in found
    ]  # fmt: skip
    if not rows:
        return []
    rows.sort(key=lambda row: (row[7] is None, -(row[7] or 0.0), row[0], row[1]))
    numbers = Numbers(_COLUMNS, rows[:TABLE_ROWS], len(rows), "")
    size = f"{battery.mah:g} mAh at {battery.volts:g} V"
    note = (
        f"Above idle, of a battery of {size}. How often a scenario infers is an assumption that "
        "`edgewise scenarios` states; it takes your own, and your battery."
    )
    figure = [_figure(numbers, size)] if any(row[5] is not None for row in rows) else []
    return [*figure, Table("Battery by scenario", note, numbers)]


def _figure(numbers: Numbers, size: str) -> Figure:
    known = [row for row in numbers.objects() if row["energy_j"] is not None]
    spec: Spec = {
        "height": {"step": 24},
        "transform": [
            {"filter": "isValid(datum.percent_of_battery)"},
            {
                "calculate": "datum.model + ' · ' + datum.target + ' · ' + datum.scenario",
                "as": "run",
            },
            {"window": [{"op": "row_number", "as": "place"}]},
            {"filter": f"datum.place <= {_ROWS}"},
        ],
        "mark": {"type": "bar", "height": {"band": 0.7}},
        "encoding": {
            "y": rows_by("run"),
            "x": {
                "field": "percent_of_battery", "type": "quantitative",
                "axis": {"title": "of the battery, %", "format": "~g", "tickCount": 6},
            },
            "color": category("scenario", ""),
            "tooltip": tooltip(
                ("scenario", "scenario"), ("model", "model"), ("target", "target"),
                ("inferences", "inferences", ",d"), ("energy_j", "J", ".3~s"),
                ("charge_mah", "mAh", ".3~g"), ("percent_of_battery", "of the battery, %", ".2~g"),
                ("by", "metered by"),
            ),
        },
    }  # fmt: skip
    most = known[0]
    return Figure(
        "What scenarios take from a battery",
        f"Of {size}, above what an idle device takes.",
        f"Bars of the battery's percent for {many(len(known), 'pair')} of scenario and model; most "
        f"takes {most['scenario']} with {most['model']}, {most['percent_of_battery']:.2g} %.",
        spec,
        numbers,
        unit="percent of the battery",
        origin="metered energy, times the scenario's inferences",
        n=f"{many(len(known), 'pair')} of scenario and measurement",
    )
