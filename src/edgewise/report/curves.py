"""Pictures of simulated policies, as Vega-Lite: curves over the deadline, usage, regret."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgewise.errors import InputError, UsageError
from edgewise.records import SimulationRow

_METRICS = (
    ("accuracy", "Accuracy (%)"),
    ("attainment", "Attainment"),
    ("effective_accuracy", "Effective accuracy (%)"),
)
_WIDTH, _HEIGHT = 380, 220


def policy_curves(rows: Sequence[SimulationRow]) -> dict[str, Any]:
    """Accuracy, attainment and effective accuracy over the deadline per policy, with the fluid
    bound where there is load; regret against the oracle where it was simulated; model usage."""
    shown = [row for row in rows if row.policy != "oracle" or _has_only_oracle(rows)]
    panels = [_metric(shown, key, title) for key, title in _METRICS]
    if regrets := _regrets(rows):
        title = "Regret against the oracle (points)"
        panels.append(_lines(regrets, "regret", title, _policies(shown)))
    panels.append(_usage(shown))
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": _title(rows),
        "vconcat": panels,
        "resolve": {"scale": {"color": "independent"}},
        "config": {"view": {"stroke": None}, "axis": {"grid": True, "gridOpacity": 0.4}},
    }


def write_picture(spec: dict[str, Any], path: Path) -> None:
    """A Vega-Lite picture as PNG, SVG, or an HTML file that needs nothing else.

    Raises:
        UsageError: the name ends otherwise.
        InputError: the file cannot be written.
    """
    import vl_convert

    suffix = path.suffix.lower()
    try:
        if suffix == ".png":
            path.write_bytes(vl_convert.vegalite_to_png(spec, scale=2))
        elif suffix == ".svg":
            path.write_text(vl_convert.vegalite_to_svg(spec), encoding="utf-8")
        elif suffix == ".html":
            path.write_text(vl_convert.vegalite_to_html(spec, bundle=True), encoding="utf-8")
        else:
            raise UsageError(f"a picture named {path}", hint="name it .png, .svg or .html")
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error}") from error


def _has_only_oracle(rows: Sequence[SimulationRow]) -> bool:
    return all(row.policy == "oracle" for row in rows)


def _title(rows: Sequence[SimulationRow]) -> str:
    sets = sorted({_set(row) for row in rows})
    return sets[0] if len(sets) == 1 else "Policies over the deadline"


def _set(row: SimulationRow) -> str:
    workers = "1 worker" if row.workers == 1 else f"{row.workers} workers"
    load = f", {row.arrivals}, {workers}" if row.arrivals else ""
    return f"{row.profiles} over {row.network}{load}"


def _metric(rows: Sequence[SimulationRow], key: str, title: str) -> dict[str, Any]:
    values = [
        {"sla_ms": row.sla_ms, key: getattr(row, key), "policy": row.policy, "set": _set(row)}
        for row in rows
        if getattr(row, key) is not None
    ]
    if key == "effective_accuracy":
        values += [
            {"sla_ms": row.sla_ms, key: row.fluid_bound, "policy": "fluid bound", "set": _set(row)}
            for row in {(_set(row), row.sla_ms): row for row in rows}.values()
            if row.fluid_bound is not None
        ]
    return _lines(values, key, title, _policies(rows))


def _policies(rows: Sequence[SimulationRow]) -> list[str]:
    """Policies as they were asked for."""
    return list(dict.fromkeys(row.policy for row in rows))


def _regrets(rows: Sequence[SimulationRow]) -> list[dict[str, Any]]:
    oracle = {
        (_set(row), row.sla_ms): row.effective_accuracy for row in rows if row.policy == "oracle"
    }
    return [
        {
            "sla_ms": row.sla_ms,
            "regret": oracle[_set(row), row.sla_ms] - row.effective_accuracy,
            "policy": row.policy,
            "set": _set(row),
        }
        for row in rows
        if row.policy != "oracle" and (_set(row), row.sla_ms) in oracle
    ]


def _lines(
    values: list[dict[str, Any]], key: str, title: str, policies: list[str]
) -> dict[str, Any]:
    """A panel. What is no policy comes after them, so that each has one colour in all panels."""
    others = sorted({value["policy"] for value in values} - set(policies))
    encoding: dict[str, Any] = {
        "x": {"field": "sla_ms", "type": "quantitative", "title": "Deadline (ms)"},
        "y": {"field": key, "type": "quantitative", "title": title},
        "color": {
            "field": "policy",
            "type": "nominal",
            "title": "Policy",
            "scale": {"domain": [*policies, *others]},
        },
        "strokeDash": {
            "condition": {"test": "datum.policy === 'fluid bound'", "value": [6, 4]},
            "value": [1, 0],
        },
    }
    if len({value["set"] for value in values}) > 1:
        encoding["column"] = {"field": "set", "type": "nominal", "title": None}
    one_deadline = len({value["sla_ms"] for value in values}) == 1
    mark = {"type": "point", "filled": True} if one_deadline else {"type": "line"}
    return {
        "data": {"values": values},
        "mark": mark,
        "width": _WIDTH,
        "height": _HEIGHT,
        "encoding": encoding,
    }


def _usage(rows: Sequence[SimulationRow]) -> dict[str, Any]:
    """Fractions of the requests per model, stacked; a panel per policy."""
    models = sorted({model for row in rows for model in row.usage})
    several = len({_set(row) for row in rows}) > 1
    values = [
        {
            "sla_ms": row.sla_ms,
            "usage": row.usage.get(model, 0.0),
            "model": model,
            "panel": f"{row.policy}: {_set(row)}" if several else row.policy,
        }
        for row in rows
        for model in models
    ]
    return {
        "data": {"values": values},
        "facet": {"field": "panel", "type": "nominal", "title": "Model usage"},
        "columns": 3,
        "spec": {
            "width": _WIDTH / 2,
            "height": _HEIGHT / 2,
            "mark": "area",
            "encoding": {
                "x": {"field": "sla_ms", "type": "quantitative", "title": "Deadline (ms)"},
                "y": {
                    "field": "usage",
                    "type": "quantitative",
                    "stack": "zero",
                    "title": "Fraction of requests",
                    "scale": {"domain": [0, 1]},
                },
                "color": {
                    "field": "model",
                    "type": "nominal",
                    "title": "Model",
                    "scale": {"scheme": "tableau20"},
                },
            },
        },
    }
