"""What all charts share: colours, type, and the two themes that they are drawn in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from edgewise.report.parts import Spec

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"

#: Told apart by hue and by lightness, on white and on near-black alike.
PALETTE = (
    "#3f7fd9", "#e8873a", "#2fa58a", "#b565c9", "#d8ab2b", "#dd5a72", "#5cb0cf", "#8c93a0",
)  # fmt: skip
#: The four outcomes, always in this order and these colours.
OUTCOMES = {
    "parsed": "#2fa58a",
    "opaque": "#d8ab2b",
    "rejected": "#9aa1ad",
    "not_examined": "#dd5a72",
}


def config(ink: str, muted: str, line: str) -> Spec:
    """Vega-Lite's look for a theme: colours of text, of secondary text, of rules."""
    return {
        "background": None,
        "font": _FONT,
        "padding": {"left": 0, "right": 4, "top": 4, "bottom": 6},
        "view": {"stroke": None},
        "range": {"category": list(PALETTE)},
        "axis": {
            "domainColor": line, "tickColor": line, "gridColor": line, "gridOpacity": 0.7,
            "labelColor": muted, "labelFontSize": 12, "labelPadding": 6,
            "titleColor": muted, "titleFontSize": 12, "titleFontWeight": "normal",
            "titlePadding": 10, "tickSize": 4,
        },
        "axisY": {"domain": False, "ticks": False, "labelLimit": 220},
        "axisX": {"grid": True, "domain": False, "ticks": False, "labelOverlap": "greedy"},
        "axisBand": {"grid": False, "labelColor": ink},
        "legend": {
            "orient": "top", "direction": "horizontal", "offset": 12, "symbolType": "circle",
            "labelColor": ink, "labelFontSize": 12, "titleColor": muted, "titleFontSize": 12,
            "titleFontWeight": "normal", "symbolSize": 90, "symbolStrokeWidth": 0,
            "symbolOpacity": 1, "symbolBaseFillColor": muted,
            "columnPadding": 14, "labelLimit": 200,
        },
        "bar": {"cornerRadiusEnd": 2},
        "rule": {"color": muted},
        "text": {"color": ink},
    }  # fmt: skip


def fitted(config: Spec, spec: Spec, width: int) -> Spec:
    """A look for a chart of so many pixels: labels beside it take a third, the legend as many
    columns as its longest label allows. `page.js` does the same for the window that it finds."""
    labels = max(90, round(width * 0.33))
    layers = [spec, *spec.get("layer", [])[-1:]]
    colours = [each["encoding"].get("color", {}) for each in layers if "encoding" in each]
    field = next((colour["field"] for colour in colours if "field" in colour), None)
    domain = next((c["scale"]["domain"] for c in colours if "domain" in c.get("scale", {})), ())
    said = [len(str(row.get(field) or "")) for row in spec["data"]["values"]]
    said += [len(str(each)) for each in domain]
    column = max([12, *said]) * 6.6 + 36
    return config | {
        "axisY": config["axisY"] | {"labelLimit": labels},
        "legend": config["legend"]
        | {"columns": max(1, int((width - labels) / column)), "labelLimit": width - labels - 40},
    }


LIGHT = config(ink="#1c2430", muted="#5b6675", line="#e3e7ec")
DARK = config(ink="#e8ebf0", muted="#9aa5b4", line="#323a46")


def size_axis(title: str, **more: Any) -> Spec:
    """An axis of counts or bytes: 0, 1.5k, 20M."""
    zero = "datum.value === 0 ? '0' : datum.label"
    return {"title": title, "format": "~s", "labelExpr": zero, "tickCount": 6, **more}


def by_log(field: str, title: str, values: Iterable[float | None], format_: str = "~s") -> Spec:
    """A position on a logarithmic scale around the values, numbered where people count."""
    known = [value for value in values if value]
    ticks = _log_ticks(min(known), max(known))
    return {
        "field": field,
        "type": "quantitative",
        "scale": {"type": "log", "domain": [ticks[0], ticks[-1]], "nice": False},
        "axis": {"title": f"{title} (log)", "values": ticks, "format": format_},
    }


def _log_ticks(low: float, high: float) -> list[float]:
    """Round numbers from below `low` to above `high`: the fewer per decade the more decades."""
    decades = math.log10(high / low)
    steps = (1, 2, 5) if decades < 1.5 else (1, 3) if decades < 3 else (1,)
    powers = range(math.floor(math.log10(low)) - 1, math.ceil(math.log10(high)) + 2)
    ticks = [float(f"{step}e{power}") for power in powers for step in steps]
    first = max(place for place, tick in enumerate(ticks) if tick <= low * 0.95)
    last = min(place for place, tick in enumerate(ticks) if tick >= high * 1.05)
    return ticks[first : last + 1]


#: In how many columns and rows of a picture there is room for a name.
_NAME_COLUMNS, _NAME_ROWS = 5, 22


def dot_names(name: str, x: Spec, y: Spec, *, first: str | None = None, most: int = 24) -> Spec:
    """A layer with the names of dots: each name once, at its lowest dot, where there is room: of
    several at one place the lowest, or the one with the largest `first`. They stand towards the
    middle of the axis `x` (`by_log`). Narrow pictures have none."""
    low, high = x["scale"]["domain"][0], x["scale"]["domain"][-1]
    right = f"datum.{x['field']} > {(low * high) ** 0.5!r}"
    ahead: list[Spec] = [{"field": first, "order": "descending"}] if first else []
    lowest: Spec = {"field": y["field"], "order": "ascending"}
    one: list[Spec] = [{"op": "row_number", "as": "nth"}]
    return {
        "transform": [
            {"window": one, "groupby": [name], "sort": [lowest]},
            {"filter": "datum.nth == 1"},
            {"calculate": _cell(x, _NAME_COLUMNS), "as": "name_column"},
            {"joinaggregate": [
                {"op": "min", "field": y["field"], "as": "least"},
                {"op": "max", "field": y["field"], "as": "largest"}]},
            {"calculate": _cell(y, _NAME_ROWS), "as": "name_row"},
            {"window": one, "groupby": ["name_column", "name_row"], "sort": [*ahead, lowest]},
            {"filter": "datum.nth == 1"},
            {"window": one, "sort": [{"field": x["field"], "order": "descending"}]},
            {"filter": f"datum.nth <= {most}"},
            {"calculate": shortened(f"datum.{name}"), "as": "shown_name"},
        ],
        "mark": {
            "type": "text", "fontSize": 11.5, "baseline": "bottom", "dy": -3,
            "align": {"expr": f"{right} ? 'right' : 'left'"},
            "dx": {"expr": f"{right} ? -7 : 7"},
            "opacity": {"expr": "width > 420 ? 0.85 : 0"},
        },
        "encoding": {"x": x, "y": y, "text": {"field": "shown_name"}},
    }  # fmt: skip


def _cell(axis: Spec, cells: int) -> str:
    """An expression of which of so many cells along an axis a datum lies in."""
    value = f"datum.{axis['field']}"
    domain = axis.get("scale", {}).get("domain")
    if not domain:
        return f"floor(({value} - datum.least) / (datum.largest - datum.least + 1e-9) * {cells})"
    width = (math.log10(domain[-1]) - math.log10(domain[0])) / cells
    return f"floor(log({value}) / {math.log(10) * width!r})"


def category(field: str, title: str, domain: Sequence[str] | None = None) -> Spec:
    """Colour by a category; a `domain` fixes its order."""
    spec: Spec = {"field": field, "type": "nominal", "title": title}
    return spec | ({"scale": {"domain": list(domain)}, "sort": list(domain)} if domain else {})


def rows_by(field: str, sort: Any = None, *, grid: bool = False) -> Spec:
    """One row per value, in the order of the data."""
    axis = {"grid": grid, "labelExpr": shortened("datum.label")}
    return {"field": field, "type": "nominal", "title": None, "sort": sort, "axis": axis}


def shortened(text: str) -> str:
    """An expression that leaves out the middle of what is long before a text's first ` · `: names
    of files differ at their ends."""
    first = f"split({text}, ' · ')[0]"
    begin, end = f"substring({text}, 0, 14)", f"substring({text}, length({first}) - 22)"
    return f"length({first}) > 40 ? {begin} + '…' + {end} : {text}"


def tooltip(*columns: tuple[str, str] | tuple[str, str, str]) -> list[Spec]:
    """Fields, their titles and, where they are numbers, their format."""
    shown = []
    for name, title, *form in columns:
        entry: Spec = {"field": name, "title": title, "type": "nominal"}
        if form:
            entry |= {"type": "quantitative", "format": form[0]}
        shown.append(entry)
    return shown
