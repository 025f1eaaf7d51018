"""A table in the page: rows as HTML, all of them as values for the page's script."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any
from urllib.parse import quote

from edgewise.report import packs
from edgewise.report.numerals import cell, many
from edgewise.report.parts import Numbers

#: Rows that a reader with scripts sees at first.
_FIRST_ROWS = 25
#: Characters of markup of a cell, about: what all rows for readers without scripts take is told
#: before they are made.
_CELL = 24

#: What columns of these names hold is the name of something that has a page of its own.
Linked = Mapping[str, AbstractSet[str]]


def packed(numbers: Numbers, linked: Linked) -> dict[str, Any]:
    """The rows by column, and which cells lead to a page."""
    table = packs.table(numbers)
    for column in table["columns"]:
        if known := linked.get(column["name"]):
            said = {each for each in column.get("texts", column.get("values")) if each is not None}
            if said & known:
                column |= {"link": column["name"], "unlinked": sorted(said - known)}
    return table


def markup(
    numbers: Numbers, table: Mapping[str, Any], name: str, title: str, spare: int = 0
) -> str:
    """The first rows, until scripts run; for readers without them all rows, where their markup
    takes about `spare` characters at most. `table` is `packed`."""
    rows = numbers.rows
    whole = len(rows) > _FIRST_ROWS and size(numbers) <= spare
    every = f"<noscript>{_scroll(rows, table, title)}</noscript>" if whole else ""
    shown = len(rows) if whole else min(_FIRST_ROWS, len(rows))
    return f"""<div class="rows{" doubled" if whole else ""}" data-table="{text(name)}" \
data-title="{text(title)}">
{_scroll(rows[:_FIRST_ROWS], table, title)}{every}
{_more(numbers.total - shown)}</div>
"""


def size(numbers: Numbers) -> int:
    """About how many characters all rows take as markup."""
    return len(numbers.rows) * len(numbers.columns) * _CELL


def _scroll(rows: Sequence[Sequence[Any]], table: Mapping[str, Any], title: str) -> str:
    columns = table["columns"]
    head = "".join(
        f'<th scope="col"{_class(column)}>{text(column["heading"])}</th>' for column in columns
    )
    body = "\n".join(f"<tr>{''.join(map(_cell, columns, row))}" for row in rows)
    return f"""<div class="scroll" tabindex="0" role="region" aria-label="{text(title)}: numbers">
<table><caption>{text(title)}</caption><thead><tr>{head}</thead>
<tbody>{body}</table></div>"""


def _more(more: int) -> str:
    if more <= 0:
        return ""
    return (
        f'<p class="more">{many(more, "more row")}: the page\'s script shows them, and the query '
        "gives them.</p>\n"
    )


def _cell(column: Mapping[str, Any], value: Any) -> str:
    said = text(cell(column["name"], value))
    if "link" in column and value is not None and value not in column["unlinked"]:
        said = f'<a href="#{column["link"]}/{quote(value, safe="")}">{said}</a>'
    return f"<td{_class(column)}>{said}</td>"


def _class(column: Mapping[str, Any]) -> str:
    """Numbers stand to the right, long texts wrap."""
    return ' class="n"' if "number" in column else ' class="w"' if "long" in column else ""


def text(said: str) -> str:
    """A text as HTML."""
    return html.escape(said, quote=True)
