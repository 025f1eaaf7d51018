"""Records as HTML for notebooks: a summary of one, a table of several.

Names in records come from strangers' files: everything is escaped, and what steers a terminal or
turns text around is replaced. Nothing is fetched; the styles are inline, as notebooks want them.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

#: Columns of a table, by the type's name: fields, with a dot into what they hold. Others show
#: their plain fields.
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "App": ("path", "package", "version_name", "size_bytes", "models", "evidence", "error"),
    "Model": ("path", "format", "status", "task", "parameters", "macs", "weight_bytes",
              "quantization", "reason"),
    "Evidence": ("kind", "name", "grade", "reach", "owner", "where", "detail"),
    "Measurement": ("model", "target.device", "target.runtime", "target.delegate",
                    "target.threads", "target.batch", "latency_ms.p50", "latency_ms.ci95_low",
                    "latency_ms.ci95_high", "peak_memory_bytes", "stability", "status", "reason"),
    "Placement": ("model", "device", "server", "link", "on_device.total_ms", "cloud.total_ms",
                  "faster", "on_device.energy_j", "cloud.energy_j", "frugal", "reason"),
    "SimulationRow": ("policy", "profiles", "network", "sla_ms", "accuracy", "attainment",
                      "effective_accuracy", "mean_ms", "p99_ms"),
    "LayerRow": ("index", "name", "op", "output_shapes", "macs", "parameters", "output_bytes"),
}  # fmt: skip
#: Columns whose cells have a bar as long as their share of the largest.
BARS = frozenset({"macs", "latency_ms.p50", "effective_accuracy"})
#: What is shown unfolded of a record that holds others.
_OPEN = frozenset({"models", "evidence", "layer_table"})
_MOST_ROWS, _MOST_COLUMNS, _MOST_CHARACTERS = 60, 12, 120
_BAR = "background:linear-gradient(to right,rgba(70,130,220,.25) {0:.1f}%,transparent {0:.1f}%)"
_CELL = "padding:2px 8px;vertical-align:top;text-align:"
#: A cell with more characters is given room to wrap in.
_LONG, _ROOM = 40, ";min-width:18em"


def summary(record: msgspec.Struct) -> str:
    """One record: its plain fields, and tables of the records that it holds, folded.

    What is None is left out, as is what holds nothing.
    """
    held, plain = {}, {}
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct):
            held[name] = value
        elif value is not None and value not in ((), {}):
            plain[name] = value
    rows = "".join(
        f'<tr><th style="{_CELL}left;white-space:nowrap">{_heading(name)}</th>'
        f'<td style="{_CELL}left">{_text(value)}</td></tr>'
        for name, value in plain.items()
    )
    folded = "".join(
        f"<details{' open' if name in _OPEN else ''}><summary>{_heading(name)} ({len(each)})"
        f"</summary>{table(each)}</details>"
        for name, each in held.items()
    )
    return f"<div><b>{_text(type(record).__name__)}</b><table>{rows}</table>{folded}</div>"


def table(records: Sequence[msgspec.Struct]) -> str:
    """Records of one type, a row each; columns of which nothing is known are left out."""
    if not records:
        return "<p>nothing</p>"
    shown = records[:_MOST_ROWS]
    columns = {name: [_of(each, name) for each in shown] for name in _columns(records[0])}
    known = {name: values for name, values in columns.items() if _known(values)}
    return _grid(known, len(shown), len(records))


def grid(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Rows of plain values below the names of their columns."""
    shown = rows[:_MOST_ROWS]
    columns = {name: [row[at] for row in shown] for at, name in enumerate(names)}
    return _grid(columns, len(shown), len(rows))


def _grid(columns: Mapping[str, Sequence[Any]], count: int, of: int) -> str:
    """So many rows, the first ones of all."""
    heads = "".join(
        f'<th style="{_CELL}{_side(values)}">{_heading(name)}</th>'
        for name, values in columns.items()
    )
    largest = {name: _largest(values) for name, values in columns.items() if name in BARS}
    rows = "".join(
        "<tr>" + "".join(_cell(values[at], _side(values), largest.get(name))
                         for name, values in columns.items()) + "</tr>"
        for at in range(count)
    )  # fmt: skip
    left_out = f"<p>and {of - count:,} more</p>" if of > count else ""
    return (
        f'<div style="overflow-x:auto"><table><thead><tr>{heads}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{left_out}"
    )


def _columns(record: msgspec.Struct) -> Iterable[str]:
    if known := COLUMNS.get(type(record).__name__):
        return known
    plain = (
        name
        for name in record.__struct_fields__
        if not isinstance(getattr(record, name), msgspec.Struct | tuple | dict)
    )
    return list(plain)[:_MOST_COLUMNS]


def _of(record: Any, name: str) -> Any:
    """A field, or one of what a field holds; of several records how many they are."""
    for part in name.split("."):
        record = getattr(record, part, None)
    if isinstance(record, tuple) and record and isinstance(record[0], msgspec.Struct):
        return len(record)
    return None if record in ((), {}) else record


def _known(values: Sequence[Any]) -> bool:
    return any(value is not None for value in values)


def _side(values: Sequence[Any]) -> str:
    return "right" if any(_is_number(value) for value in values) else "left"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _largest(values: Sequence[Any]) -> float:
    return max((float(value) for value in values if _is_number(value)), default=0.0)


def _cell(value: Any, side: str, largest: float | None) -> str:
    text = "–" if value is None else _text(value)
    more = _ROOM if len(text) > _LONG else ""
    if largest and _is_number(value) and 0 <= value <= largest:
        more += ";" + _BAR.format(100 * value / largest)
    return f'<td style="{_CELL}{side}{more}">{text}</td>'


def _heading(name: str) -> str:
    return _text(name.replace("_", " ").replace(".", " "))


def _text(value: Any) -> str:
    """A value for people, escaped."""
    plain = "".join(sign if sign.isprintable() else "�" for sign in _plain(value))
    if len(plain) > _MOST_CHARACTERS:
        plain = plain[: _MOST_CHARACTERS - 1] + "…"
    return html.escape(plain)


def _plain(value: Any) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case float():
            return f"{value:.4g}" if abs(value) < 1e4 else f"{value:,.0f}"
        case msgspec.Struct():
            pairs = ((name, getattr(value, name)) for name in value.__struct_fields__)
            return _pairs((name, each) for name, each in pairs if each not in (None, (), {}))
        case dict():
            return _pairs(value.items())
        case tuple() | list():
            return ", ".join(map(_plain, value[:_MOST_ROWS]))
        case _:
            return str(value)


def _pairs(pairs: Iterable[tuple[Any, Any]]) -> str:
    return ", ".join(f"{name} {_plain(value)}" for name, value in pairs)
