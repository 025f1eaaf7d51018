"""The verb `study`."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from edgewise.cli import output
from edgewise.cli.arguments import check_order

if TYPE_CHECKING:
    from edgewise.apps.study import Study
    from edgewise.store import Store

_SHOWN = 20


def study(
    what: list[str] = typer.Argument(
        metavar="[PAPER] STORE",
        help="A store of scans; before it a paper, gaugenn: its findings beside the store's.",
    ),
    name: str | None = typer.Option(
        None, "--study", help="A file: made where none is, and then what the tables are made of."
    ),
    table: list[str] = typer.Option([], "--table", help="Only this table; may be repeated."),
    csv_to: Path | None = typer.Option(None, "--csv", help="Also a CSV of each table, here."),
    figures: Path | None = typer.Option(None, "--figures", help="Also charts (SVG), here."),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
) -> int:
    """What many apps add up to: frameworks, tasks, layers, reuse, quantisation, protection.

    Shares are bounds: seen, and at most (seen, or in an app that hides it). Example:
    `edgewise study mystore --csv tables --figures figures`
    """
    from edgewise.apps import study as studies
    from edgewise.errors import UsageError
    from edgewise.extras import check
    from edgewise.store import Store

    if len(what) > 2:
        raise UsageError(f"study {' '.join(what)}", hint="edgewise study gaugenn STORE")
    if len(what) == 2:
        check_order("study", what[1], what[0])
        if table or csv_to or figures:
            raise UsageError("--table, --csv and --figures go without a paper")
        return _beside(what[0], Store.open(what[1]), name, as_json=as_json)
    store = what[0]

    if unknown := sorted(set(table) - studies.TABLES.keys()):
        known = ", ".join(studies.TABLES)
        raise UsageError(f"no table {', '.join(unknown)}", hint=f"there are {known}")
    if figures is not None:
        check(["report"], "--figures")
    opened = Store.open(store)
    chosen = _study(opened, name) if name else None
    for folder in filter(None, (csv_to, figures)):
        folder.mkdir(parents=True, exist_ok=True)
    for title, rows in studies.tables(opened, chosen):
        if table and title not in table:
            continue
        if as_json:
            for row in rows:
                output.emit({"table": title, **row})
        else:
            _print(title, rows)
        if csv_to is not None:
            _write_csv(csv_to / f"{title}.csv", rows)
        if figures is not None:
            _draw(figures, title, rows)
    return 0


def _beside(paper: str, store: Store, study: str | None, *, as_json: bool) -> int:
    """A paper's statements beside what the store says."""
    from edgewise.apps.recipes import RECIPES
    from edgewise.cli import papers
    from edgewise.errors import UsageError

    if paper not in RECIPES:
        raise UsageError(f"no paper '{paper}'", hint=f"there are {', '.join(RECIPES)}")
    read, answer = RECIPES[paper]
    chosen = _study(store, study) if study else None
    with output.progress(paper, None, quiet=False) as advance:
        found = answer(store, chosen, advance)
    if as_json:
        for each in found:
            output.emit(each)
    else:
        papers.show(read, found, store.url)
    return 0


def _study(store: Store, name: str) -> Study:
    """The study of a file, which is made where none is."""
    import msgspec

    from edgewise.apps import study as studies

    path = Path(name)
    if path.is_file():
        return studies.read_study(path.read_bytes(), name)
    output.check_writable(path, "--study")
    made = studies.frozen(store, path.stem)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(made)) + b"\n")
    return made


def _print(title: str, rows: list[dict[str, Any]]) -> None:
    from rich.markup import escape

    console = output.console()
    console.print(f"[bold]{title.replace('_', ' ')}[/bold]")
    if not rows:
        console.print("  none\n")
        return
    numeric = [name for name, value in rows[0].items() if isinstance(value, int | float)]
    table = output.table(
        *(f"{'>' * (name in numeric)}{name.replace('_', ' ')}" for name in rows[0])
    )
    for row in rows[:_SHOWN]:
        table.add_row(*(escape(_cell(name, value)) for name, value in row.items()))
    console.print(table)
    if len(rows) > _SHOWN:
        console.print(f"  and {len(rows) - _SHOWN} more (--csv, --json)")
    console.print()


def _cell(name: str, value: Any) -> str:
    if value is None:
        return "–"
    if name.startswith("share"):
        return f"{100 * float(value):.1f} %"
    if isinstance(value, int | float):
        return output.count(value) if abs(value) >= 10_000 else output.number(value)
    return output.plain(str(value))


def _write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        if rows:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def _draw(folder: Path, title: str, rows: list[dict[str, Any]]) -> None:
    from edgewise.apps.figures import figure

    drawn = figure(title, rows)
    if drawn is not None:
        (folder / f"{title}.svg").write_text(drawn, encoding="utf-8")
        _write_csv(folder / f"{title}.csv", rows)
