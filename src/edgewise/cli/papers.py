"""A paper's public findings beside ours, for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgewise.cli import output

if TYPE_CHECKING:
    from edgewise.papers import Paper
    from edgewise.records import PublishedFinding

_AGREES = {"yes": "green", "no": "red", "cannot tell": "yellow"}


def show(paper: Paper, found: Sequence[PublishedFinding], plotted: str | None) -> None:
    """Each statement: the paper's word, ours, whether they agree, and why not. `plotted`: the
    store that `edgewise plot` draws the paper's kinds of figures from, None: there is none."""
    from rich.markup import escape
    from rich.table import Table

    screen = output.console()
    screen.print(f"[bold]{escape(paper.title)}[/bold]", soft_wrap=True)
    screen.print(f"{paper.authors}, {paper.venue}, {paper.url}", markup=False, soft_wrap=True)
    for each in found:
        screen.print(f"\n[bold]{escape(each.statement)}[/bold]", soft_wrap=True)
        lines = Table.grid(padding=(0, 1), pad_edge=False)
        lines.add_column(style="dim", no_wrap=True)
        lines.add_column(overflow="fold")
        lines.add_row("  the paper", escape(f"{_theirs(each)} ({each.where})"))
        lines.add_row("  here", escape(_ours(each)))
        lines.add_row("  agrees", f"[{_AGREES[each.agrees]}]{each.agrees}[/]")
        if each.why:
            lines.add_row("  why", escape(output.plain(each.why)))
        screen.print(lines)
    screen.print(f"\nRead: {paper.read}.", markup=False, soft_wrap=True)
    screen.print(_figures(paper, plotted), markup=False, soft_wrap=True)


def _figures(paper: Paper, store: str | None) -> str:
    """How to draw the paper's kinds of figures: those that a store has the numbers for."""
    if store is None:
        names = ", ".join(f"{name}…" if name.endswith("-") else name for name in paper.figures)
        return f"Figures: keep the rows with --store DIR; edgewise plot NAME DIR; NAME: {names}"
    from edgewise.report.plots import figures
    from edgewise.store import Store

    found = [name for name in figures(Store.open(store)) if name.startswith(paper.figures)]
    if not found:
        return f"Figures: {store} has the numbers for none of the paper's kinds"
    return f"Figures: edgewise plot NAME {store}; NAME: {', '.join(found)}"


def _theirs(each: PublishedFinding) -> str:
    return _said(each.theirs, each.unit)


def _ours(each: PublishedFinding) -> str:
    if each.ours is None:
        return "not known"
    return output.plain(f"{_said(each.ours, each.unit)} (n = {each.n:,})")


def _said(value: float | str, unit: str) -> str:
    """A number with its unit; words have their own."""
    return value if isinstance(value, str) else f"{output.number(value, 4)} {unit}"
