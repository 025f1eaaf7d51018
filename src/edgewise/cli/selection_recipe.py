"""A published simulation run again: `edgewise simulate --recipe`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgewise.cli import output, papers
from edgewise.errors import UsageError

if TYPE_CHECKING:
    from edgewise.records import PublishedFinding, SimulationRow


def run(
    name: str, requests: int, seed: int, jobs: int, store: str | None, *, as_json: bool, quiet: bool
) -> None:
    """Simulate as the paper did, and print its statements beside what came out.

    Raises:
        UsageError: no such paper.
    """
    from edgewise.selection.recipes import RECIPES

    if name not in RECIPES:
        raise UsageError(f"no recipe '{name}'", hint=f"known: {', '.join(RECIPES)}")
    paper, simulate, find = RECIPES[name]
    rows: list[SimulationRow] = []
    with output.kept_in(store) as keep, output.progress(name, None, quiet=quiet) as advance:
        for row in simulate(requests, seed, jobs):
            rows.append(row)
            if row.duplicate is None:  # of one deadline only: a dent in a curve that is drawn
                keep(row)
            advance()
    found = find(rows)
    if as_json:
        for each in found:
            output.emit(each)
        return
    _curves(found)
    papers.show(paper, found, store)


def _curves(found: Sequence[PublishedFinding]) -> None:
    """The whole curve of the headline, by profiles and network."""
    from edgewise.selection.recipes.cnnselect import curves

    details = next(each.details for each in found if each.details)
    ends = details[0]["deadlines_ms"]
    curve = f"cnnselect less greedy, {ends[0]:g} to {ends[-1]:g} ms"
    table = output.table("profiles", "network", "most points in time", curve)
    for cells in curves(details):
        table.add_row(*cells)
    output.console().print(table, "")
