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


#: The pixels of a picture that names are given room for, of a letter, and of a line.
_ROOM, _LETTER, _LINE = (640, 300), 6.3, 15


def dot_names(
    name: str, x: Spec, y: Spec, rows: Sequence[dict[str, Any]], *, first: str | None = None,
    most: int = 24,
) -> Spec:  # fmt: skip
    """A layer with the names of dots: each name once, at its lowest dot, where there is room: no
    name on another. Those with the largest `first` come first, then the lowest. They stand towards
    the middle of the axis `x` (`by_log`). Narrow pictures have none."""
    low, high = x["scale"]["domain"][0], x["scale"]["domain"][-1]
    right = f"datum.{x['field']} > {(low * high) ** 0.5!r}"
    lowest: Spec = {"field": y["field"], "order": "ascending"}
    one: list[Spec] = [{"op": "row_number", "as": "nth"}]
    # By where they are: no name stands in an expression.
    places = " || ".join(
        " && ".join(f"datum.{axis['field']} == {float(row[axis['field']])!r}" for axis in (x, y))
        for row in _with_room(name, x, y, rows, first)[:most]
    )
    return {
        "transform": [
            {"window": one, "groupby": [name], "sort": [lowest]},
            {"filter": "datum.nth == 1"},
            {"filter": places or "false"},
            {"window": one, "groupby": [x["field"], y["field"]]},
            {"filter": "datum.nth == 1"},
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


def _with_room(
    name: str, x: Spec, y: Spec, rows: Sequence[dict[str, Any]], first: str | None
) -> list[dict[str, Any]]:
    """Of each name's lowest dot those whose text lies on no other's; those that come first do."""
    known = [row for row in rows if row[x["field"]] and row[y["field"]] is not None]
    lowest = sorted(known, key=lambda row: row[y["field"]])
    dots = list({row[name]: row for row in reversed(lowest)}.values())[::-1]
    if first:
        dots.sort(key=lambda row: -(row[first] or 0))
    across, up = _place(x, dots, _ROOM[0]), _place(y, dots, _ROOM[1])
    taken: list[tuple[float, float, float]] = []
    found = []
    for row, at, height in zip(dots, across, up, strict=True):
        wide = min(len(row[name]), 38) * _LETTER
        begin = at - 7 - wide if at > _ROOM[0] / 2 else at + 7
        end = begin + wide
        if all(
            end < other or begin > other_end or abs(height - beside) >= _LINE
            for other, other_end, beside in taken
        ):
            taken.append((begin, end, height))
            found.append(row)
    return found


def _place(axis: Spec, rows: Sequence[dict[str, Any]], pixels: int) -> list[float]:
    """Where the rows lie along an axis of so many pixels."""
    values = [float(row[axis["field"]]) for row in rows]
    domain = axis.get("scale", {}).get("domain")
    if axis.get("scale", {}).get("type") == "log":
        values = [math.log10(value) if value > 0 else -math.inf for value in values]
        domain = domain and [math.log10(end) for end in domain]
    low, high = (domain[0], domain[-1]) if domain else (min(values), max(values))
    return [(value - low) / ((high - low) or 1) * pixels for value in values]


def category(field: str, title: str, domain: Sequence[str] | None = None) -> Spec:
    """Colour by a category; a `domain` fixes its order, and no two of it look the same."""
    spec: Spec = {"field": field, "type": "nominal", "title": title}
    if not domain:
        return spec
    more = {"scheme": "category20"} if len(domain) > len(PALETTE) else {}
    return spec | {"scale": {"domain": list(domain), **more}, "sort": list(domain)}


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
