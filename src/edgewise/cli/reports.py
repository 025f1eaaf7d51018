"""Verbs that read a store: `report` and `query`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import typer

from edgewise.cli import arguments, output
from edgewise.errors import UsageError

_STORE = typer.Argument(help="A folder or URL that scan, inspect or bench stored to.")


def report(
    store: str = _STORE,
    out: Path = typer.Option(Path("report.html"), "-o", "--output", help="The HTML file to write."),
    app: str | None = typer.Option(
        None, "--app", metavar="PACKAGE", help="Only this app's page; also by label or SHA-256."
    ),
    model: str | None = typer.Option(
        None, "--model", metavar="SHA-256", help="Only this model's page; its start will do."
    ),
    before: str | None = typer.Option(
        None, "--before", metavar="STORE", help="An older store: what came, went and changed since."
    ),
    device: str | None = arguments.DEVICE,
    server: str | None = arguments.SERVER,
    runtime: str | None = arguments.RUNTIME,
    delegate: str | None = arguments.DELEGATE,
    threads: int | None = arguments.THREADS,
    batch: int | None = arguments.BATCH,
    target: str | None = arguments.TARGET,
    quiet: bool = typer.Option(False, "--quiet", help=output.QUIET_HELP),
) -> None:
    """The pictures: one HTML file, readable anywhere, with the numbers behind each."""
    from edgewise.extras import check
    from edgewise.report import SECTIONS, Only, write
    from edgewise.selection.profiles.targets import narrowed
    from edgewise.store import Store

    if app is not None and model is not None:
        raise UsageError("--app and --model: a file has one of them")
    only = Only("app", app) if app is not None else None
    only = Only("model", model) if model is not None else only
    check(["report"], "report")
    which = arguments.wanted(server or device, runtime, delegate, threads, batch, target)
    opened = narrowed(Store.open(store), which)
    older = None if before is None else Store.open(before)
    output.check_writable(out, "-o", (".html", ".htm"))
    with output.progress("report", len(SECTIONS), quiet=quiet) as advance:
        write(opened, out, advance, only, older)
    output.console().print(str(out), soft_wrap=True, markup=False)


def query(
    store: str = _STORE,
    sql: str = typer.Argument(help='DuckDB\'s SQL: "select path, macs from models".'),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
    limit: int = typer.Option(
        100, "--limit", min=1, help="Rows of the table that is printed; not with --json."
    ),
) -> None:
    """SQL over a store. Its tables are described in docs/store.md; `show tables` lists them."""
    from edgewise.store import Store

    arguments.check_order("query", store, sql)
    columns, rows = Store.open(store).query(sql)
    names = _distinct(columns)
    if as_json:
        for row in rows:
            output.emit({name: _plain(value) for name, value in zip(names, row, strict=True)})
    else:
        _print_table(names, rows, limit)


def _distinct(names: Iterable[str]) -> list[str]:
    """Columns' names as the fields of an object: `count`, `count_2` where SQL gives two alike."""
    taken: list[str] = []
    for name in names:
        number, free = 1, name
        while free in taken:
            number += 1
            free = f"{name}_{number}"
        taken.append(free)
    return taken


def _plain(value: Any) -> Any:
    """A value of DuckDB as JSON can hold it: times in ISO 8601, bytes in hex."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case date() | datetime() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case dict():
            return {str(_plain(key)): _plain(each) for key, each in value.items()}
        case list() | tuple() | set():
            return [_plain(each) for each in value]
        case _:
            return _number_or_text(value)


def _number_or_text(value: Any) -> float | str:
    from decimal import Decimal

    return float(value) if isinstance(value, Decimal) else str(value)


def _print_table(names: list[str], rows: Iterator[tuple[Any, ...]], limit: int) -> None:
    from rich.table import Table
    from rich.text import Text

    found = list(islice(rows, limit))
    more = next(rows, None) is not None
    console = output.console()
    cells = [[_cell(value) for value in row] for row in found]
    fit = _columns_that_fit(names, cells, console.width)
    table = Table(header_style="bold", box=None, pad_edge=False)
    for position, name in enumerate(names[:fit]):
        numeric = any(isinstance(row[position], int | float) for row in found)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row[:fit]))
    console.print(table)
    console.print(f"{len(found)} row{'' if len(found) == 1 else 's'}", style="dim", end="")
    console.print("; more with --limit or --json" if more else "", style="dim")
    if fit < len(names):
        console.print(f"{len(names) - fit} more columns: {', '.join(names[fit:])}", style="dim")


_HASH = re.compile("[0-9a-f]{32,}")
#: Characters of a cell from which its middle is left out; `--json` has it whole.
_WIDEST = 44


def _columns_that_fit(names: list[str], cells: list[list[str]], width: int) -> int:
    """How many columns stand beside one another without being folded; at least one."""
    used = 0
    for position, name in enumerate(names):
        used += max(len(name), *(len(row[position]) for row in cells), 0) + 2
        if used > width + 2:
            return max(1, position)
    return len(names)


def _cell(value: Any) -> str:
    """A value for people. Names come from strangers' files: control characters are spelt out."""
    if value is None:
        return "–"
    plain = _plain(value)
    text = output.number(plain) if isinstance(plain, float) else str(plain)
    text = "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in text)
    if isinstance(value, datetime):
        return text.partition(".")[0]
    if _HASH.fullmatch(text):
        return f"{text[:8]}…"
    keep = (_WIDEST - 1) // 2
    return text if len(text) <= _WIDEST else f"{text[:keep]}…{text[-keep:]}"
