"""Sections to one self-contained HTML file.

Everything shown may come from a stranger's file, so all text is escaped, data lie in inert JSON,
and the page's own policy forbids every request and every script but the two that it came with.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import html
import io
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from edgewise import __version__
from edgewise.errors import InputError
from edgewise.report import charts, explorer
from edgewise.report.numerals import cell, heading, is_numeric, many
from edgewise.report.parts import Ask, Explorer, Figure, Numbers, Point, Section, Spec, Table, Tile
from edgewise.report.sections import SECTIONS
from edgewise.store import Store

#: Width of the still pictures for readers without scripts, in pixels.
_STILL_WIDTH = 720
#: The class of a column of numbers.
_NUMBER = ' class="n"'
#: Texts from this many characters on may wrap in a table.
_LONG_TEXT = 36


def write(store: Store, out: Path, advance: Callable[[], object] = lambda: None) -> None:
    """Write the report of a store; `advance` is called after each section.

    Raises:
        NewerStore, StoreError: the store cannot be read.
        InputError: the file cannot be written.
    """
    page = page_of(store, advance)
    try:
        out.write_text(page, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {out}: {error.strerror or error}") from error


def page_of(store: Store, advance: Callable[[], object] = lambda: None) -> str:
    """The report of a store as it is now, as one HTML page.

    Raises:
        NewerStore, StoreError: the store cannot be read.
    """
    sections = []
    with Ask(store) as ask:
        name = _only_app(ask) or store.url.rstrip("/").rpartition("/")[2]
        for make in SECTIONS:
            if section := make(ask):
                sections.append(section)
            advance()
    return render(sections, name)


def _only_app(ask: Ask) -> str | None:
    """What the app is called, where the store is about one."""
    rows = ask.numbers("select coalesce(label, package) as app from apps limit 2").objects()
    return rows[0]["app"] if len(rows) == 1 else None


def render(sections: list[Section], name: str) -> str:
    """The page, under the store's name."""
    return _Page(name).render(sections)


class _Page:
    """One page; numbers its parts, so that scripts and tables find each other."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._specs: dict[str, Spec] = {}
        self._explorers: dict[str, dict[str, Any]] = {}

    def render(self, sections: list[Section]) -> str:
        body = "".join(self._section(section) for section in sections)
        themes = {"light": charts.LIGHT, "dark": charts.DARK}
        data = {"themes": themes, "specs": self._specs, "explorers": self._explorers}
        scripts = [_bundle(), _asset("page.js")] if self._specs else []
        if self._explorers:
            scripts.append(_asset("explorer.js"))
        if "<table" in body:
            scripts.append(_asset("tables.js"))
        return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_policy(scripts)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{_text(self._name)} · Edgewise</title>
<style>{_asset("page.css")}</style>
</head>
<body>
{self._header(sections)}
<main>
{body}</main>
<footer>Made by Edgewise {_text(__version__)}. Everything is in this file; nothing is fetched.
</footer>
<script type="application/json" id="data">{_inert_json(data)}</script>
{"".join(f"<script>{script}</script>{chr(10)}" for script in scripts)}</body>
</html>
"""

    def _header(self, sections: list[Section]) -> str:
        made = datetime.now(UTC).strftime("%-d %B %Y, %H:%M UTC")
        links = "".join(
            f'<li><a href="#{section.name}">{_text(section.title)}</a></li>' for section in sections
        )
        return f"""<header>
<p class="brand">Edgewise</p>
<h1>{_text(self._name)}</h1>
<p class="made">{made}</p>
<nav aria-label="Sections"><ul>{links}</ul></nav>
</header>"""

    def _section(self, section: Section) -> str:
        tiles = "".join(map(_tile, section.tiles))
        points = "".join(map(_point, section.points))
        parts = "".join(self._part(part) for part in section.parts)
        return f"""<section id="{section.name}" aria-labelledby="{section.name}-title">
<h2 id="{section.name}-title">{_text(section.title)}</h2>
<p class="lead">{_text(section.lead)}</p>
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
        key = f"chart-{len(self._specs) + 1}"
        self._specs[key] = whole_spec(figure)
        return f"""<figure class="card">
<figcaption><h3>{_text(figure.title)}</h3><p>{_text(figure.caption)}</p></figcaption>
<div class="chart" id="{key}" role="img" aria-label="{_text(figure.alt)}"></div>
<noscript>{_still(self._specs[key], figure.alt)}</noscript>
{_facts(figure, f"{key}-rows")}
<details><summary>The numbers <span>{many(figure.numbers.total, "row")}</span></summary>
<div id="{key}-rows">{self._numbers(figure.numbers, figure.title)}</div></details>
</figure>
"""

    def _table(self, table: Table) -> str:
        note = f"<p>{_text(table.caption)}</p>" if table.caption else ""
        return f"""<div class="card">
<h3>{_text(table.title)}</h3>{note}
{self._numbers(table.numbers, table.title)}</div>
"""

    def _numbers(self, numbers: Numbers, title: str) -> str:
        name = f"{title.lower().replace(' ', '-').replace(',', '')}"
        left_out = numbers.total - len(numbers.rows)
        more = f"<p>{left_out:,} more rows are left out here.</p>" if left_out else ""
        return f"""{_html_table(numbers, title)}
<div class="take">{more}
{_download(f"{name}.csv", "text/csv", as_csv(numbers), "CSV")}
{_download(f"{name}.json", "application/json", msgspec.json.encode(numbers.objects()), "JSON")}
{_query(numbers.sql)}</div>
"""


def _query(sql: str) -> str:
    if not sql:
        return ""
    return (
        '<details class="sql"><summary>The query, for <code>edgewise query</code></summary>\n'
        f"<pre>{_text(sql)}</pre></details>"
    )


def _point(point: Point) -> str:
    """A sentence with its origin; every second part between backquotes is code."""
    parts = [
        f"<code>{_text(part)}</code>" if place % 2 else _text(part)
        for place, part in enumerate(point.text.split("`"))
    ]
    see = f' · <a href="#{point.see}">its numbers</a>' if point.see else ""
    return f"<li>{''.join(parts)} <small>{_text(point.origin)}{see}</small></li>"


def _tile(tile: Tile) -> str:
    return (
        f"<div><dt>{_text(tile.label)}</dt><dd><b>{_text(tile.value)}</b>"
        f"<span>{_text(tile.detail)}</span></dd></div>"
    )


def _facts(figure: Figure, rows: str) -> str:
    """How much stands behind a figure, its unit, its origin, and the way to its rows: a browser
    opens what a link leads into."""
    n = figure.n or many(figure.numbers.total, "row")
    return (
        f'<p class="facts">n: {_text(n)} · unit: {_text(figure.unit)} · '
        f"origin: {_text(figure.origin)} · "
        f'<a href="#{rows}">its rows</a></p>'
    )


def whole_spec(figure: Figure) -> Spec:
    """A figure's specification with its data, as wide as what it stands in."""
    return {
        "$schema": charts.SCHEMA,
        "description": figure.alt,
        "width": "container",
        "data": {"values": figure.numbers.objects()},
        **figure.spec,
    }


def _still(spec: Spec, alt: str) -> str:
    """The chart as a picture, for readers without scripts. As an image it cannot do anything."""
    import vl_convert

    picture = vl_convert.vegalite_to_svg(spec | {"width": _STILL_WIDTH}, config=charts.LIGHT)
    source = f"data:image/svg+xml;base64,{_base64(picture.encode())}"
    return f'<img class="still" alt="{_text(alt)}" src="{source}">'


def _html_table(numbers: Numbers, title: str) -> str:
    cells = [
        [cell(column, value) for column, value in zip(numbers.columns, row, strict=True)]
        for row in numbers.rows
    ]
    kinds = [_kind(numbers, cells, place) for place in range(len(numbers.columns))]
    head = "".join(
        f'<th scope="col"{kind}>{_text(heading(column))}</th>'
        for column, kind in zip(numbers.columns, kinds, strict=True)
    )
    body = "\n".join(
        "<tr>" + "".join(map(_cell, texts, kinds, row))
        for texts, row in zip(cells, numbers.rows, strict=True)
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{_text(title)}: numbers">'
        f"<table><caption>{_text(title)}</caption><thead><tr>{head}</thead>\n"
        f"<tbody>{body}</table></div>"
    )


def _cell(text: str, kind: str, value: Any) -> str:
    """A number's text is rounded and has a unit: its value is what the table sorts by."""
    exact = f' data-v="{value!r}"' if kind == _NUMBER and value is not None else ""
    return f"<td{kind}{exact}>{_text(text)}</td>"


def _kind(numbers: Numbers, cells: list[list[str]], place: int) -> str:
    """The class of a column: numbers stand to the right, long texts wrap."""
    if is_numeric(numbers.rows, place):
        return _NUMBER
    return ' class="w"' if any(len(row[place]) > _LONG_TEXT for row in cells) else ""


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


def _download(name: str, kind: str, content: bytes, label: str) -> str:
    return (
        f'<a download="{_text(name)}" href="data:{kind};base64,{_base64(content)}">'
        f"{label}</a>"
    )  # fmt: skip


def _bundle() -> str:
    """Vega, Vega-Lite and Vega-Embed, which the page's own script calls."""
    import vl_convert

    return str(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def _asset(name: str) -> str:
    return files("edgewise.report").joinpath(name).read_text(encoding="utf-8")


def _policy(scripts: Iterable[str]) -> str:
    hashes = [_base64(hashlib.sha256(script.encode()).digest()) for script in scripts]
    allowed = " ".join(f"'sha256-{digest}'" for digest in hashes) or "'none'"
    return f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:"


def _text(text: str) -> str:
    return html.escape(text, quote=True)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _inert_json(value: Any) -> str:
    """JSON that no HTML parser takes for markup."""
    text = msgspec.json.encode(value).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
