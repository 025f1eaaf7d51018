"""The verb `doctor`: what is installed, what is missing for what, how to mend it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import typer

from edgewise.cli import output

if TYPE_CHECKING:
    from edgewise.doctor import Finding

_STYLES = {"ok": "green", "missing": "dim", "problem": "red"}


def doctor(
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
    quiet: bool = typer.Option(False, "--quiet", help=output.QUIET_HELP),
) -> None:
    """What is installed, what is missing for what, and how to mend it. Changes nothing."""
    from edgewise.doctor import findings

    if as_json:
        for each in findings():
            output.emit(each)
        return
    found = []
    with output.progress("doctor", None, quiet=quiet) as advance:
        for each in findings():
            found.append(each)
            advance(each.what)
    _print(found)


def _print(found: Iterable[Finding]) -> None:
    from rich.text import Text

    table = output.table("what", "", "found", "needed for")
    mends = []
    for each in found:
        table.add_row(
            Text(each.what), Text(each.status, _STYLES[each.status]),
            Text(output.plain(each.detail)), Text(each.needed_for),
        )  # fmt: skip
        if each.mend:
            mends.append(f"{each.what}: {each.mend}")
    console = output.console()
    console.print(table)
    if mends:
        console.print("\nto mend", style="bold")
    for mend in mends:
        console.print(f"  {output.plain(mend)}", markup=False, emoji=False)
