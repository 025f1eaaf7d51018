"""What quantisation bought: the same network before and after, in bytes, time, accuracy, energy."""

from __future__ import annotations

from typing import Any

from edgewise.report.charts import by_log, category, rows_by, tooltip
from edgewise.report.kin import kin
from edgewise.report.names import DEVICE, NAMED, TARGET
from edgewise.report.numerals import many
from edgewise.report.parts import TABLE_ROWS, Ask, Figure, Numbers, Spec, Table

_ROWS = 30
_COLUMNS = (
    "before", "after", "quantization", "before_bytes", "after_bytes", "bytes_ratio", "device",
    "before_ms", "after_ms", "time_ratio", "accuracy_before", "accuracy_after", "accuracy_points",
    "before_j", "after_j", "energy_ratio", "runs", "inputs", "on", "told_by",
)  # fmt: skip

#: Contents in another number type than float32, or that equal such in their layers' work.
_MODELS = f"""
    with {NAMED},
    known as (
      select sha256, label, quantization, weight_bytes, parameters, macs, layers from named
      where sha256 is not null and quantization is not null and weight_bytes > 0),
    evaluated as (
      select sha256, accuracy, n, data from accuracies where accuracy is not null
      qualify row_number() over (partition by sha256 order by n desc, stored_at desc) = 1)
    select known.*, accuracy, n as inputs, data from known left join evaluated using (sha256)
"""

_TIMED = f"""
    select sha256, {DEVICE} as device, {TARGET} as target,
      arg_max(latency_ms.p50, stored_at) as p50_ms, arg_max(latency_ms.n, stored_at) as runs,
      arg_max(energy.inference_j, stored_at) as inference_j
    from measurements where status = 'ok' and latency_ms.p50 > 0 and sha256 is not null
    group by all
"""


def parts(ask: Ask) -> list[Figure | Table]:
    """Nothing where no quantised content has its origin in the store."""
    rows = _rows(ask)
    if not rows:
        return []
    numbers = Numbers(_COLUMNS, rows[:TABLE_ROWS], len(rows), "")
    return [_figure(numbers), Table("Before and after quantisation", _NOTE, numbers)]


def pairs(ask: Ask) -> list[dict[str, Any]]:
    """Every pair of before and after, with the columns of the table."""
    return [dict(zip(_COLUMNS, row, strict=True)) for row in _rows(ask)]


def _rows(ask: Ask) -> list[tuple[Any, ...]]:
    models = {row["sha256"]: row for row in ask.numbers(_MODELS, 100_000).objects()}
    if len({row["quantization"] for row in models.values()}) < 2:
        return []
    pairs = {**_by_cost(models), **_by_weights(ask, models)}
    if not pairs:
        return []
    timed: dict[str, dict[tuple[str, str], dict[str, Any]]] = {}
    wanted = {content for pair in pairs for content in pair}
    for row in ask.numbers(_TIMED, 100_000).objects():
        if row["sha256"] in wanted:
            timed.setdefault(row["sha256"], {})[row["device"], row["target"]] = row
    rows = [
        _row(models[before], models[after], timed.get(before, {}), timed.get(after, {}), told)
        for (before, after), told in pairs.items()
    ]
    rows.sort(key=lambda row: (row[9] is None, row[5], row[0], row[1]))
    return rows


_NOTE = (
    "Ratios are after over before: below 1 is less. Time and energy are of the same device and "
    "target where both were measured on one, else of each one's fastest there. Told by: how it is "
    "known that both are the same network."
)


def _by_weights(ask: Ask, models: dict[str, Any]) -> dict[tuple[str, str], str]:
    """Pairs whose weights are the same, in number types of different width."""
    found = {}
    for pair in kin(ask).pairs:
        if pair.relation not in ("quantised", "same_network"):
            continue
        two = [models.get(content) for content in (pair.a, pair.b)]
        if two[0] and two[1] and (ordered := _ordered(two[0], two[1])):
            found[ordered] = "weights"
    return found


def _by_cost(models: dict[str, Any]) -> dict[tuple[str, str], str]:
    """Pairs with as many multiply-accumulates and about as many parameters, where each work is of
    one unquantised network only."""
    groups: dict[int, list[dict[str, Any]]] = {}
    for row in models.values():
        if row["macs"] and row["parameters"]:
            groups.setdefault(row["macs"], []).append(row)
    found = {}
    for group in groups.values():
        plain = [row for row in group if row["quantization"] == "none"]
        for row in group:
            near = [
                one
                for one in plain
                if abs(one["parameters"] - row["parameters"]) <= 0.01 * one["parameters"]
            ]
            if len(near) == 1 and (ordered := _ordered(near[0], row)):
                found[ordered] = "equal work and parameters"
    return found


#: From more to less: what a pair is ordered by.
_WIDTHS = ("none", "mixed", "float16", "weights", "full")


def _ordered(a: dict[str, Any], b: dict[str, Any]) -> tuple[str, str] | None:
    """The unquantised one first; None where neither is, or both are."""
    before, after = sorted((a, b), key=lambda row: _WIDTHS.index(row["quantization"]))
    if before["quantization"] != "none" or after["quantization"] == "none":
        return None
    return before["sha256"], after["sha256"]


def _row(
    before: dict[str, Any],
    after: dict[str, Any],
    timed_before: dict[tuple[str, str], dict[str, Any]],
    timed_after: dict[tuple[str, str], dict[str, Any]],
    told: str,
) -> tuple[Any, ...]:
    was, now, on = _on_one_target(timed_before, timed_after)
    comparable = before["data"] is not None and before["data"] == after["data"]
    accuracy = (before["accuracy"], after["accuracy"]) if comparable else (None, None)
    return (
        before["label"], after["label"], after["quantization"],
        before["weight_bytes"], after["weight_bytes"],
        after["weight_bytes"] / before["weight_bytes"],
        was.get("device"), was.get("p50_ms"), now.get("p50_ms"),
        _ratio(now.get("p50_ms"), was.get("p50_ms")), *accuracy,
        None if not comparable else after["accuracy"] - before["accuracy"],
        was.get("inference_j"), now.get("inference_j"),
        _ratio(now.get("inference_j"), was.get("inference_j")), now.get("runs"),
        after["inputs"] if comparable else None, on, told,
    )  # fmt: skip


def _ratio(after: float | None, before: float | None) -> float | None:
    return after / before if after and before else None


def _on_one_target(
    before: dict[tuple[str, str], dict[str, Any]], after: dict[tuple[str, str], dict[str, Any]]
) -> tuple[dict[str, Any], dict[str, Any], str | None]:
    """Two measurements that compare, and on what; nothing where there are none."""
    if same := before.keys() & after.keys():
        best = min(same, key=lambda key: before[key]["p50_ms"])
        return before[best], after[best], best[1]
    devices = {device for device, _ in before} & {device for device, _ in after}
    if not devices:
        return {}, {}, None
    device = min(devices)
    was, now = (
        min((row for key, row in each.items() if key[0] == device), key=lambda row: row["p50_ms"])
        for each in (before, after)
    )
    return was, now, f"{was['target']} before, {now['target']} after"


def _accuracy(rows: list[dict[str, Any]]) -> str:
    points = [row["accuracy_points"] for row in rows if row["accuracy_points"] is not None]
    if not points:
        return " Accuracy: no pair was evaluated on the same data."
    return (
        f" Accuracy, of {many(len(points), 'pair')} evaluated on the same data: {min(points):+.1f} "
        f"to {max(points):+.1f} points."
    )


def _figure(numbers: Numbers) -> Figure:
    rows = numbers.objects()[:_ROWS]
    measures = {"weights": "bytes_ratio", "time": "time_ratio", "energy": "energy_ratio"}
    values = [row[field] for row in rows for field in measures.values() if row[field]]
    least = min(rows, key=lambda row: row["bytes_ratio"])
    twice = len({row["after"] for row in rows}) < len(rows)
    before = " + ' ← ' + datum.before" if twice else ""
    x = by_log("ratio", "after ÷ before", [*values, 0.9, 1.1], "~g")
    spec: Spec = {
        "height": {"step": 36, "for": "position"},
        "transform": [
            {"window": [{"op": "row_number", "as": "place"}]},
            {"filter": f"datum.place <= {_ROWS}"},
            {"fold": list(measures.values()), "as": ["field", "ratio"]},
            {"filter": "isValid(datum.ratio)"},
            {"calculate": "replace(datum.field, '_ratio', '')", "as": "measure"},
            {"calculate": "datum.measure == 'bytes' ? 'weights' : datum.measure", "as": "measure"},
            {"calculate": f"datum.after{before}", "as": "pair"},
        ],
        "encoding": {"y": rows_by("pair", grid=True)},
        "layer": [
            {
                "data": {"values": [{"same": 1}]},
                "mark": {"type": "rule", "strokeDash": [4, 4]},
                "encoding": {"x": {**x, "field": "same"}, "y": None},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 80, "opacity": 1},
                "encoding": {
                    "x": x,
                    "yOffset": {"field": "measure", "sort": list(measures)},
                    "color": category("measure", "", list(measures)),
                    "tooltip": tooltip(
                        ("before", "before"), ("after", "after"), ("measure", "of"),
                        ("ratio", "after ÷ before", ".3~g"),
                        ("accuracy_points", "accuracy, points", "+.2f"), ("on", "target"),
                        ("told_by", "told by"),
                    ),
                },
            },
        ],
    }  # fmt: skip
    with_time = sum(row["time_ratio"] is not None for row in rows)
    return Figure(
        "What quantisation bought",
        "Left of the dashed line is less than before: of the weights' bytes, of the time, of the "
        "energy." + _accuracy(rows),
        f"Dots of what is left after quantisation for {many(len(rows), 'pair')}; the smallest is "
        f"{least['after']} with {least['bytes_ratio']:.0%} of the bytes of {least['before']}.",
        spec,
        numbers,
        unit="after ÷ before",
        origin="bytes read from the files; time, accuracy and energy measured",
        n=f"{many(numbers.total, 'pair')}, {with_time} of them timed",
    )
