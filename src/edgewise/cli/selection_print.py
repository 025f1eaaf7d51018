"""What `simulate` prints for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from edgewise.cli import output

if TYPE_CHECKING:
    from rich.table import Table

    from edgewise.records import PolicyComparison, SimulationRow

#: More rows than fit on a screen or two are thinned out for people; `--json` has them all.
_ROWS_SHOWN = 72


def print_rows(rows: list[SimulationRow]) -> None:
    """A table for each set of profiles over each network."""
    every = -(-len(rows) // _ROWS_SHOWN)
    kept = set(sorted({row.sla_ms for row in rows})[::every])
    sets: dict[str, list[SimulationRow]] = {}
    for row in rows:
        if row.sla_ms in kept:
            sets.setdefault(f"{row.profiles} over {row.network}", []).append(row)
    screen = output.console()
    for title, shown in sets.items():
        screen.print(f"{title}, in percent", style="bold", markup=False)
        screen.print(rows_table(shown))
    if every > 1:
        screen.print(f"One deadline in {every} is shown. All of them: --json, --plot.")


def rows_table(rows: Sequence[SimulationRow]) -> Table:
    """What policies deliver, for people."""
    loaded = any(row.fluid_bound is not None for row in rows)
    table = output.table(
        ">deadline", "policy", ">accuracy", ">in time", ">effective", ">mean", ">p99",
        *((">refused", ">bound") if loaded else ()),
    )  # fmt: skip
    for row in rows:
        cells = [
            f"{row.sla_ms:g} ms",
            row.policy,
            _percent(row.accuracy),
            _percent(100 * row.attainment),
            _percent(row.effective_accuracy),
            output.milliseconds(row.mean_ms),
            output.milliseconds(row.p99_ms),
        ]
        if loaded:
            refused = None if row.refused is None else 100 * row.refused / row.requests
            cells += [_percent(refused), _percent(row.fluid_bound)]
        table.add_row(*cells)
    return table


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def print_comparison(rows: list[SimulationRow], names: tuple[str, str], *, as_json: bool) -> None:
    """How far one policy is ahead of another, over the deadlines."""
    from edgewise.selection.compare import compare

    results = compare(rows, *names)
    if as_json:
        for result in results:
            output.emit(result)
        return
    table = output.table(
        "profiles", "network", "ahead", ">in time, most", ">effective, most", ">least",
        title=f"{names[0]} less {names[1]}, in points",
    )  # fmt: skip
    for result in results:
        table.add_row(*_comparison_cells(result))
    output.console().print(table)


def _comparison_cells(result: PolicyComparison) -> list[str]:
    def points(value: float, at_ms: float) -> str:
        return f"{value:+.1f} at {at_ms:g} ms"

    ahead = "never"
    if result.ahead_from_ms is not None:
        ahead = f"{result.ahead_from_ms:g}…{result.ahead_to_ms:g} ms"
    return [
        str(result.profiles),
        result.network,
        ahead,
        points(result.attainment_peak_points, result.attainment_peak_at_ms),
        points(result.effective_peak_points, result.effective_peak_at_ms),
        points(result.effective_worst_points, result.effective_worst_at_ms),
    ]
