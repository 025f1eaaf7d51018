"""Numbers and headings for people. A column's unit is the end of its name."""

from __future__ import annotations

from typing import Any

_SCALES = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))

_HEADINGS = {
    "macs": "MACs", "flops": "FLOPs", "p50_ms": "median", "p90_ms": "p90", "low_ms": "from",
    "high_ms": "to", "load_ms": "load", "first_ms": "first run", "steady_ms": "steady run",
    "min_sdk": "min SDK", "sha256": "SHA-256", "path": "file", "model_bytes": "size of models",
    "inference_j": "gross", "net_inference_j": "net", "idle_watt": "idle, W",
    "mean_watt": "mean, W", "busy_s": "busy, s", "charge_mah": "charge, mAh",
    "macs_before": "MACs before", "macs_after": "MACs after",
}  # fmt: skip
_UNITS = ("_bytes", "_ms", "_share", "_mbps", "_j")


def heading(column: str) -> str:
    """A column's name as people read it, without its unit."""
    if column in _HEADINGS:
        return _HEADINGS[column]
    for unit in _UNITS:
        column = column.removesuffix(unit)
    return column.replace("_", " ")


def unit(column: str) -> str | None:
    """What a column is measured in, as its name ends: `bytes`, `ms`, `share`, `mbps`, `j`."""
    return next((each.removeprefix("_") for each in _UNITS if column.endswith(each)), None)


def cell(column: str, value: Any) -> str:
    """A value as people read it, with its unit."""
    if value is None:
        return "–"
    if isinstance(value, list | tuple):
        return ", ".join(str(each) for each in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int | float):
        return str(value)
    if column.endswith("_bytes"):
        return bytes_text(value)
    if column.endswith("_ms"):
        return _milliseconds(value)
    if column.endswith("_share"):
        return f"{value:.1%}"
    if column.endswith("_mbps"):
        return f"{value:.3g} Mbps"
    if column.endswith("_j"):
        return _joules(value)
    return count_text(value)


def count_text(value: float | None) -> str:
    """1234 → '1,234'; 1_234_567 → '1.23 M'; None → '–'."""
    if value is None:
        return "–"
    if abs(value) < 10_000:
        return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
    scale, sign = next(each for each in _SCALES if abs(value) >= each[0])
    return f"{value / scale:.3g} {sign}"


def many(count: int, what: str) -> str:
    """1, "app" → '1 app'; 1200, "app" → '1,200 apps'."""
    return f"{count:,} {what}{'' if count == 1 else 's'}"


def percent(share: float) -> str:
    """0.5 → '50 %'; 0.9861 → '98.6 %'."""
    return f"{float(f'{100 * share:.3g}'):g} %"


def short(name: str) -> str:
    """A long name without its middle: files' names differ at their ends."""
    return name if len(name) <= 44 else f"{name[:14]}…{name[-26:]}"


def bytes_text(value: float) -> str:
    """1_500_000 → '1.5 MB' (decimal)."""
    for scale, sign in _SCALES:
        if value >= scale:
            return f"{value / scale:.3g} {sign}B"
    return f"{value:.0f} B"


def _milliseconds(value: float) -> str:
    if value < 1:
        return f"{value * 1000:.3g} µs"
    return f"{value:.3g} ms" if value < 1000 else f"{value / 1000:.3g} s"


def _joules(value: float) -> str:
    if value == 0 or value >= 1:
        return f"{value:.3g} J"
    return f"{value * 1e3:.3g} mJ" if value >= 1e-3 else f"{value * 1e6:.3g} µJ"
