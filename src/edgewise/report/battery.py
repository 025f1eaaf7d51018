"""What scenarios take from a battery: metered, else by a power that was declared for the device."""

from __future__ import annotations

import math
from typing import Any

from edgewise.energy.power import PowerModel, powers
from edgewise.energy.scenarios import Battery, costs, scenarios
from edgewise.records import Measurement
from edgewise.report.charts import category, rows_by, tooltip
from edgewise.report.names import DEVICE, NAMED
from edgewise.report.numerals import many
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Numbers, Spec, Table

_ROWS = 40
_COLUMNS = (
    "scenario", "model", "target", "inferences", "busy_s", "energy_j", "charge_mah",
    "percent_of_battery", "by", "why_not",
)  # fmt: skip
_TASKS = f"""
    with {NAMED}
    select sha256, label, task from named where task is not null and sha256 in (
      select sha256 from measurements where status = 'ok')
"""

#: By device what would tell its energy.
_UNMETERED = f"""
    select {DEVICE} as device, count(*) as measurements,
      count(distinct coalesce(sha256, model)) as models,
      case when target.device = 'host' then 'rapl, or battery on a portable'
        when target.device = 'browser' then 'none: a browser tells no energy'
        when starts_with(target.device, 'adb:') then 'odpm, battery, or monsoon at the supply'
        when starts_with(target.device, 'ssh:') then 'rapl, or jetson on a board of that kind'
        else 'the one of the tool that measured, or perfetto of a trace' end as meter_needed
    from measurements where status = 'ok' and energy is null
    group by all order by measurements desc, device
"""
_UNMETERED_NOTE = (
    "Nothing read the power while these ran: `edgewise bench --meter NAME` does, "
    "`edgewise scenarios STORE --power NAME` takes a declared one, and `edgewise doctor` says "
    "which meters may be read here."
)


def parts(ask: Ask) -> list[Figure | Table]:
    """What was metered, beside it what declared powers give for devices that nobody metered, and
    which meters would tell more; nothing where no measurement is."""
    rows = _rows(ask)
    size = f"{Battery().mah:g} mAh at {Battery().volts:g} V"
    note = (
        f"Above idle, of a battery of {size}. How often a scenario infers is an assumption that "
        "`edgewise scenarios` states; it takes your own, and your battery. By a name with "
        "“model:”: modelled, time times the power that its maker declares; else metered."
    )
    found: list[Figure | Table] = []
    if rows:
        numbers = Numbers(_COLUMNS, rows[:TABLE_ROWS], len(rows), "")
        if any(row[5] is not None for row in rows):
            found.append(_figure(numbers, size))
        found.append(Table("Battery by scenario", note, numbers))
    without = ask.numbers(_UNMETERED, TABLE_ROWS)
    if without.rows:
        found.append(Table("Energy that was not metered", _UNMETERED_NOTE, without))
    return found


def _rows(ask: Ask) -> list[tuple[Any, ...]]:
    models = {row["sha256"]: row for row in ask.numbers(_TASKS, TABLE_ROWS).objects()}
    if not models:
        return []
    tasks = {content: str(row["task"]) for content, row in models.items()}
    measured = ask.store.read(
        Measurement, without=("samples",), where="status = 'ok' and energy is not null"
    )
    wanted = list(scenarios().values())
    found = costs(wanted, measured, tasks, Battery())
    # Of what nobody metered, the fastest run of each model.
    for device, power in _declared(ask):
        fastest: dict[str, Measurement] = {}
        quoted = device.replace("'", "''")
        for each in ask.store.read(
            Measurement, without=("samples",),
            where="status = 'ok' and energy is null and latency_ms.p50 > 0 and target.batch = 1"
            f" and target.device = '{quoted}'",
        ):  # fmt: skip
            fastest[each.sha256 or ""] = min(fastest.get(each.sha256 or "", each), each, key=_ms)
        found += costs(wanted, [*fastest.values()], tasks, Battery(), power=power)
    rows = [
        (
            each.title, models[each.sha256]["label"] if each.sha256 in models else each.model,
            f"{each.target.device} {each.target.runtime} {each.target.delegate}", each.inferences,
            each.busy_s, each.energy_j, each.mah, each.battery_percent, each.method, each.reason,
        )
        for each in found
    ]  # fmt: skip
    rows.sort(key=lambda row: (row[7] is None, -(row[7] or 0.0), row[0], row[1]))
    return rows


def _ms(measured: Measurement) -> float:
    latency = measured.latency_ms
    return math.inf if latency is None or latency.p50 is None else latency.p50


def _declared(ask: Ask) -> list[tuple[str, PowerModel]]:
    """Devices with a battery whose power somebody declared: told by what they are called."""
    phones = {_plain(each.name): each for each in powers().values() if not each.processors}
    called = ask.numbers(f"select distinct target.device, {DEVICE}, context.cpu_model"
                         " from measurements where energy is null order by all").rows  # fmt: skip
    found = {
        device: power
        for device, *names in called
        for name, power in phones.items()
        if any(each and _plain(each).endswith(name) for each in (device, *names))
    }
    return list(found.items())


def _plain(name: str) -> str:
    return "".join(sign for sign in name.lower() if sign.isalnum())


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
                ("by", "by"),
            ),
        },
    }  # fmt: skip
    most = known[0]
    modelled = [str(row["by"]).startswith("model:") for row in known]
    origins = [name for name, some in (("metered energy", not all(modelled)),
               ("modelled energy (declared power)", any(modelled))) if some]  # fmt: skip
    return Figure(
        "What scenarios take from a battery",
        f"Of {size}, above what an idle device takes.",
        f"Bars of the battery's percent for {many(len(known), 'pair')} of scenario and model; most "
        f"takes {most['scenario']} with {most['model']}, {most['percent_of_battery']:.2g} %.",
        spec,
        numbers,
        unit="percent of the battery",
        origin=f"{' and '.join(origins)}, times the scenario's inferences",
        n=f"{many(len(known), 'pair')} of scenario and measurement",
    )
