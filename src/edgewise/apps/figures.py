"""A study's tables as bar charts: Vega-Lite drawn to SVG, the data beside it."""

from __future__ import annotations

from typing import Any

#: Tables that are drawn: what is along the side, and how much.
DRAWN = {
    "apps": ("what", "share"),
    "frameworks": ("name", "share_seen"),
    "language_models": ("name", "share_seen"),
    "accelerators": ("name", "share_seen"),
    "cloud_apis": ("name", "share_seen"),
    "formats": ("format", "models"),
    "tasks": ("task", "models"),
    "layers": ("kind", "share_of_layers"),
    "quantisation": ("quantization", "models"),
    "categories": ("category", "with_models"),
}
_MOST_BARS = 30
_HIGH = "share_at_most"


def figure(name: str, rows: list[dict[str, Any]]) -> str | None:
    """A chart as SVG, or None where the table is not drawn or has no rows.

    Where the upper bound is known a thin line reaches from what was seen to it.
    """
    if name not in DRAWN or not rows:
        return None
    label, value = DRAWN[name]
    shown = rows[:_MOST_BARS]
    y = {"field": label, "type": "nominal", "sort": None, "title": None}
    share = value.startswith("share")
    axis = {"format": "%"} if share else {}
    bars = {
        "mark": {"type": "bar", "color": "#4c6a92"},
        "encoding": {
            "y": y,
            "x": {"field": value, "type": "quantitative", "title": value.replace("_", " "),
                  "axis": axis},
        },
    }  # fmt: skip
    layers: list[dict[str, Any]] = [bars]
    if _HIGH in shown[0]:
        x = {"field": value, "type": "quantitative"}
        layers.append(
            {"mark": {"type": "rule", "color": "#222"},
             "encoding": {"y": y, "x": x, "x2": {"field": _HIGH}}}
        )  # fmt: skip
    spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": name.replace("_", " "),
        "data": {"values": shown},
        "width": 480,
        "layer": layers,
    }
    import vl_convert

    return str(vl_convert.vegalite_to_svg(spec))
