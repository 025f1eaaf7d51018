"""Sections to one self-contained HTML file.

Everything shown may come from a stranger's file, so all text is escaped, data lie in inert JSON,
and the page's own policy forbids every request and every script but the two that it came with.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from edgewise import __version__
from edgewise.errors import InputError
from edgewise.report import charts, explorer, tables, vega
from edgewise.report.numerals import many
from edgewise.report.only import Only
from edgewise.report.packs import Packs
from edgewise.report.parts import Ask, Explorer, Figure, Numbers, Point, Section, Spec, Table, Tile
from edgewise.report.sections import SECTIONS
from edgewise.report.subjects import Subjects
from edgewise.report.tables import text as _text
from edgewise.store import Store

#: Width of the still pictures, for paper (two beside one another) and for readers without scripts,
#: in pixels.
_STILL_WIDTH = 440
_NO_SUBJECT = "<noscript><p>The page's script makes it of the data in this file.</p></noscript>"
_WITHOUT_SCRIPTS = (
    ".still { display: block; } .chart { display: none !important; } .doubled > .scroll { display: "
    "none; }"
)
#: Characters of rows that only readers without scripts see, at most.
_ROWS_WITHOUT_SCRIPTS = 1_000_000
#: Rows that a chart draws at most: more are slow to draw, and hide one another.
DRAWN_ROWS = 2000


def write(
    store: Store,
    out: Path,
    advance: Callable[[], object] = lambda: None,
    only: Only | None = None,
    before: Store | None = None,
) -> None:
    """Write the report of a store; `advance` is called after each section. `before` is an older
    store, of the same market or phone, to compare with.

    Raises:
        NewerStore, StoreError: the store cannot be read.
        UsageError: `only` is not in the store.
        InputError: the file cannot be written.
    """
    if not out.exists() and not os.access(out.parent, os.W_OK):  # said before the work is done
        raise InputError(f"cannot write {out}: there is no folder that can be written")
    page = page_of(store, advance, only=only, before=before)
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error


def page_of(
    store: Store,
    advance: Callable[[], object] = lambda: None,
    *,
    only: Only | None = None,
    before: Store | None = None,
    live: Mapping[str, Any] | None = None,
) -> str:
    """The report of a store as it is now, as one HTML page; or the page of one app or model of it.

    Args:
        before: an older store to compare with.
        live: what a server offers beside the page (`subjects.js`).

    Raises:
        NewerStore, StoreError: the store cannot be read.
        UsageError: `only` is not in the store.
    """
    sections = []
    with Ask(store, only, before) as ask:
        subjects = Subjects(ask)
        if only is not None:
            return _Page(only.name, subjects, live, only).render([])
        name = _only_app(ask) or store.url.rstrip("/").rpartition("/")[2]
        for make in SECTIONS:
            if section := make(ask):
                sections.append(section)
            advance()
    return _Page(name, subjects, live).render(sections)


def _only_app(ask: Ask) -> str | None:
    """What the app is called, where the store is about one."""
    rows = ask.numbers("select coalesce(label, package) as app from apps limit 2").objects()
    return rows[0]["app"] if len(rows) == 1 else None


class _Page:
    """One page; numbers its parts, so that scripts and tables find each other."""

    def __init__(
        self,
        name: str,
        subjects: Subjects,
        live: Mapping[str, Any] | None = None,
        only: Only | None = None,
    ) -> None:
        self._name, self._subjects, self._live, self._only = name, subjects, live, only
        self._names: set[str] = set()
        self._charts: dict[str, Spec] = {}
        self._explorers: dict[str, dict[str, Any]] = {}
        self._packs = Packs()
        self._tables = 0
        self._spare = _ROWS_WITHOUT_SCRIPTS

    def render(self, sections: list[Section]) -> str:
        self._names = {section.name for section in sections}
        body = "".join(self._section(section) for section in sections)
        scripts = self._scripts()
        drawing = vega.bundle() if self._draws() else ""
        return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy([*scripts, drawing])}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{_text(self._name)} · Edgewise</title>
<style>{_asset("page.css")}</style>
<noscript><style>{_WITHOUT_SCRIPTS}</style></noscript>
</head>
<body>
{self._header(sections)}
<main>
<section id="subject" aria-labelledby="subject-title">{_NO_SUBJECT if self._only else ""}</section>
{body}</main>
<footer>Made by Edgewise {_text(__version__)}. Everything is in this file; nothing is fetched.
</footer>
<script type="application/json" id="data">{_inert_json(self._data())}</script>
{self._packs.html()}<script type="text/plain" id="vega">{drawing}</script>
{"".join(f"<script>{script}</script>{chr(10)}" for script in scripts)}</body>
</html>
"""

    def _scripts(self) -> list[str]:
        """The page's own, and where something is to be drawn what draws it; an empty page needs
        none."""
        if not self._tables and self._subjects.empty:
            return []
        drawn = [_asset("page.js")] if self._draws() else []
        more = [_asset("explorer.js")] if self._explorers else []
        own = [_asset(name) for name in ("rows.js", "tables.js")]
        return [*own, *drawn, *more, _asset("subjects.js")]

    def _draws(self) -> bool:
        return bool(self._charts) or self._subjects.layered

    def _data(self) -> dict[str, Any]:
        for name, table in self._subjects.tables.items():
            if not self._subjects.empty:
                self._packs.add(name, table)
        return {
            "themes": {"light": charts.LIGHT, "dark": charts.DARK}, "draws": self._draws(),
            "charts": self._charts, "explorers": self._explorers,
            "subjects": self._subjects.data() | {"live": self._live},
            "only": self._only and self._only.address, "tables": self._packs.inline,
        }  # fmt: skip

    def _header(self, sections: list[Section]) -> str:
        made = datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC")
        links = "".join(
            f'<li><a href="#{section.name}">{_text(section.title)}</a></li>' for section in sections
        )
        nav = f'<nav aria-label="Sections"><ul>{links}</ul></nav>' if links else ""
        return f"""<header>
<p class="brand">Edgewise</p>
<h1>{_text(self._name)}</h1>
<p class="made">{made}</p>
{nav}</header>"""

    def _section(self, section: Section) -> str:
        tiles = "".join(map(_tile, section.tiles))
        points = "".join(_point(point, self._names) for point in section.points)
        parts = "".join(self._part(part) for part in section.parts)
        return f"""<section id="{section.name}" aria-labelledby="{section.name}-title">
<h2 id="{section.name}-title">{_text(section.title)}</h2>
<p class="lead">{_said(section.lead)}</p>
{f'<ul class="points">{points}</ul>' if points else ""}
{f'<dl class="tiles">{tiles}</dl>' if tiles else ""}
{parts}</section>
"""

    def _part(self, part: Figure | Table | Explorer) -> str:
        match part:
            case Figure():
                return self._figure(part)
            case Table():
                return self._table(part)
        key = f"explorer-{len(self._explorers) + 1}"
        self._explorers[key] = part.picks.data()
        return explorer.html(part, key)

    def _figure(self, figure: Figure) -> str:
        key = f"chart-{len(self._charts) + 1}"
        rows, drawn = self._numbers(figure.numbers, figure.title), drawn_rows(figure)
        self._charts[key] = {
            "spec": shape_of(figure), "table": f"rows-{self._tables}", "rows": len(drawn),
            "every": _step(figure),
        }  # fmt: skip
        return f"""<figure class="card">
<figcaption><h3>{_text(figure.title)}</h3><p>{_said(figure.caption + _drawn(figure))}</p>
</figcaption>
<div class="chart" id="{key}" role="img" aria-label="{_text(figure.alt)}"></div>
{_still(figure)}
{_facts(figure, f"{key}-rows")}
<details><summary>The numbers <span>{many(figure.numbers.total, "row")}</span></summary>
<div id="{key}-rows">{rows}</div></details>
</figure>
"""

    def _table(self, table: Table) -> str:
        note = f"<p>{_said(table.caption)}</p>" if table.caption else ""
        return f"""<div class="card">
<h3>{_text(table.title)}</h3>{note}
{self._numbers(table.numbers, table.title)}</div>
"""

    def _numbers(self, numbers: Numbers, title: str) -> str:
        self._tables += 1
        name = f"rows-{self._tables}"
        packed = tables.packed(numbers, self._subjects.names)
        self._packs.add(name, packed)
        said = tables.markup(numbers, packed, name, title, self._spare)
        if "<noscript>" in said:
            self._spare -= tables.size(numbers)
        return said + _query(numbers.sql)


def _query(sql: str) -> str:
    if not sql:
        return ""
    return (
        '<div class="take"><details class="sql"><summary>The query, for '
        "<code>edgewise query</code></summary>\n"
        f"<pre>{_text(sql)}</pre></details></div>\n"
    )


def _point(point: Point, sections: set[str]) -> str:
    """A sentence with its origin, and the way to its numbers."""
    see = f'<span> · <a href="#{point.see}">its numbers</a></span>' if point.see in sections else ""
    return f"<li>{_said(point.text)} <small>{_text(point.origin)}{see}</small></li>"


def _said(text: str) -> str:
    """A sentence: every second part between backquotes is code."""
    parts = (
        f"<code>{_text(part)}</code>" if place % 2 else _text(part)
        for place, part in enumerate(text.split("`"))
    )
    return "".join(parts)


def _tile(tile: Tile) -> str:
    return (
        f"<div><dt>{_text(tile.label)}</dt><dd><b>{_text(tile.value)}</b>"
        f"<span>{_text(tile.detail)}</span></dd></div>"
    )


def _facts(figure: Figure, rows: str) -> str:
    """How much stands behind a figure, its unit, its origin, and the way to its rows: a browser
    opens what a link leads into."""
    return (
        f'<p class="facts">n: {_text(n_of(figure))} · unit: {_text(figure.unit)} · '
        f"origin: {_text(figure.origin)}"
        f'<span> · <a href="#{rows}">its rows</a></span></p>'
    )


def n_of(figure: Figure) -> str:
    """How much stands behind a figure, in words."""
    return figure.n or many(figure.numbers.total, "row")


def shape_of(figure: Figure) -> Spec:
    """A figure's specification without its data, as wide as what it stands in."""
    return {
        "$schema": charts.SCHEMA,
        "description": figure.alt,
        "width": "container",
        **figure.spec,
    }


def whole_spec(figure: Figure) -> Spec:
    """A figure's specification with the data that are drawn."""
    columns = figure.numbers.columns
    values = [dict(zip(columns, row, strict=True)) for row in drawn_rows(figure)]
    return shape_of(figure) | {"data": {"values": values}}


def drawn_rows(figure: Figure) -> Sequence[tuple[Any, ...]]:
    """Of a figure's rows those that its chart draws."""
    return figure.numbers.rows[:: _step(figure)][:DRAWN_ROWS]


def _step(figure: Figure) -> int:
    """Of points every so many are drawn."""
    return max(1, -(-len(figure.numbers.rows) // DRAWN_ROWS)) if figure.points else 1


def _drawn(figure: Figure) -> str:
    """What a chart leaves out of its rows, in words."""
    total, drawn = figure.numbers.total, len(drawn_rows(figure))
    if drawn == total:
        return ""
    how = "evenly picked in the order of the rows" if figure.points else "the first"
    return f" Drawn are {drawn:,} of {total:,} rows, {how}."


def _still(figure: Figure) -> str:
    """The chart as a picture, for paper and for readers without scripts: as an image it cannot do
    anything. Paper is light and of one width, and printing waits for no script."""
    import vl_convert

    spec = whole_spec(figure)
    # Beside the labels there is room for readers whose letters are wider than those measured here.
    config = charts.fitted(charts.LIGHT, spec, _STILL_WIDTH) | {
        "aria": False, "padding": {"left": 20, "right": 6, "top": 4, "bottom": 6}
    }  # fmt: skip
    shape = {"width": _STILL_WIDTH, "autosize": {"type": "fit", "contains": "padding"}}
    picture = vl_convert.vegalite_to_svg(spec | shape, config=config)
    source = f"data:image/svg+xml;base64,{_base64(picture.encode())}"
    return f'<img class="still" alt="{_text(figure.alt)}" src="{source}">'


def as_csv(numbers: Numbers) -> bytes:
    """Rows as CSV in UTF-8, with a line of columns' names first."""
    sink = io.StringIO()
    writer = csv.writer(sink)
    writer.writerow(numbers.columns)
    writer.writerows([_csv_cell(value) for value in row] for row in numbers.rows)
    return sink.getvalue().encode()


def _csv_cell(value: Any) -> Any:
    """A spreadsheet must not take a stranger's file name for a formula."""
    if isinstance(value, list | tuple):
        value = " ".join(map(str, value))
    return f"'{value}" if isinstance(value, str) and value[:1] in tuple("=+-@\t\r") else value


def _asset(name: str) -> str:
    return files("edgewise.report").joinpath(name).read_text(encoding="utf-8")


def _policy(scripts: Iterable[str]) -> str:
    hashes = [_base64(hashlib.sha256(script.encode()).digest()) for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes) or "'none'"
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:"


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _inert_json(value: Any) -> str:
    """JSON that no HTML parser takes for markup."""
    text = msgspec.json.encode(value).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
