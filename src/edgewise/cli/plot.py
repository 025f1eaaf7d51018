"""The verb `plot`: one figure of the report as a file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgewise.cli import arguments, output
from edgewise.errors import UsageError

if TYPE_CHECKING:
    from edgewise.report.plots import Named


def plot(
    what: list[str] = typer.Argument(
        metavar="[NAME] STORE", help="A figure's name or its beginning, and a store."
    ),
    out: Path | None = typer.Option(
        None, "-o", "--output", help="The picture: .png, .svg or .pdf.  [NAME.png]"
    ),
    csv: bool = typer.Option(True, "--csv/--no-csv", help="Its data beside it."),
    width: int = typer.Option(720, "--width", min=100, max=4000, help="Pixels within the axes."),
    device: str | None = arguments.DEVICE,
    server: str | None = arguments.SERVER,
    runtime: str | None = arguments.RUNTIME,
    delegate: str | None = arguments.DELEGATE,
    threads: int | None = arguments.THREADS,
    batch: int | None = arguments.BATCH,
    target: str | None = arguments.TARGET,
    as_json: bool = typer.Option(False, "--json", help=f"Of a list: {output.JSON_HELP}"),
) -> None:
    """One figure of the report for a paper; without a name, which figures a store gives."""
    from edgewise.extras import check
    from edgewise.report import plots
    from edgewise.selection.profiles.targets import narrowed
    from edgewise.store import Store

    check(["report"], "plot")
    if len(what) > 2:
        raise UsageError(f"plot {' '.join(what)}", hint="edgewise plot NAME STORE -o figure.pdf")
    name = what[0] if len(what) == 2 else None
    if name is not None:
        arguments.check_order("plot", what[1], name)
    elif not Store.is_at(what[0]):
        raise UsageError(
            f"{what[0]}: no store there", hint="`edgewise plot STORE` lists its figures"
        )
    which = arguments.wanted(server or device, runtime, delegate, threads, batch, target)
    found = plots.figures(narrowed(Store.open(what[-1]), which))
    if name is None:
        _list(found.values(), as_json)
        return
    asked = plots.named(found, name)
    out = out or Path(f"{asked.name}.png")
    output.check_writable(out, "-o", plots.SUFFIXES)
    beside = plots.draw(asked.figure, out, width=width, data=csv)
    console = output.console()
    for written in filter(None, (out, beside)):
        console.print(str(written), soft_wrap=True, markup=False, emoji=False)
    numbers = asked.figure.numbers
    if left_out := numbers.total - len(numbers.rows):
        console.print(f"{left_out:,} more rows are left out, as in the report", style="dim")


def _list(found: Iterable[Named], as_json: bool) -> None:
    from rich.text import Text

    table = output.table("name", "section", "title", ">rows")
    for each in found:
        title, rows = each.figure.title, each.figure.numbers.total
        if as_json:
            output.emit({"name": each.name, "section": each.section, "title": title, "rows": rows})
        table.add_row(each.name, each.section, Text(output.plain(title)), f"{rows:,}")
    if not as_json:
        output.console().print(table)
