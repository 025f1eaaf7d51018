"""Placements for people: tables, what they say in sentences, and notes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from edgewise.cli import output

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from edgewise.records import Placement, PlacementMix

#: More rows than these speak for themselves.
_SPOKEN = 6


def rows(found: Sequence[Placement]) -> None:
    """A row per placement; sentences where there are few; notes; what failed and why."""
    from rich.markup import escape

    screen = output.console()
    known = [row for row in found if row.on_device is not None or row.cloud is not None]
    called = output.told_apart(row.model for row in found)
    if known:
        screen.print(rows_table(known, wide=screen.width >= _WIDE))
    for row in known if len(known) <= _SPOKEN else ():
        screen.print(f"\n[bold]{escape(_case(row, called))}[/bold]")
        for sentence in row.verdict:
            screen.print(f"  {escape(sentence)}", soft_wrap=True)
    _notes(screen, [row.notes for row in found])
    for what in _failures(found):
        output.fail(f"failed {what}")


def _failures(found: Sequence[Placement]) -> Iterable[str]:
    """Each model's reasons once, with the links and connections that they are of, if not of all."""
    places: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in found:
        if row.reason is not None:
            places[row.model, row.reason].append(f"{row.link}, {row.connection}")
    rows_of = Counter(row.model for row in found)
    called = output.told_apart(row.model for row in found)
    for (model, reason), where in places.items():
        over = "" if len(where) == rows_of[model] else f" over {'; '.join(where)}"
        yield f"{called[model]}{over}: {reason}"


def rows_table(found: Sequence[Placement], *, wide: bool = True) -> Table:
    """The times and energies of both ways beside each other. What all rows share is left out, and
    in a narrow table first answers and energies too."""
    from rich.markup import escape

    called = output.told_apart(row.model for row in found)
    told = [name for name in _PLACES if len({getattr(row, name) for row in found}) > 1]
    further = _FURTHER if wide else ()
    table = output.table("model", *told, ">on device", ">in cloud", *further, "faster")
    table.columns[0].min_width = 12
    for row in found:
        here = row.on_device
        table.add_row(
            escape(called[row.model]),
            *(escape(str(getattr(row, name))) for name in told),
            output.milliseconds(here.total_ms if here else None),
            output.milliseconds(_cloud_ms(row)),
            *(_further(row) if wide else ()),
            _faster(row),
        )
    return table


_PLACES = ("device", "server", "link", "connection")
_FURTHER = (">first", ">first in cloud", ">energy", ">in cloud", ">frugal")
#: Columns of a terminal from which these are shown.
_WIDE = 110


def _further(row: Placement) -> Iterable[str]:
    """First answers and energies."""
    here, there = row.on_device, row.cloud
    yield output.milliseconds(here.first_total_ms if here else None)
    yield output.milliseconds(there.first_total_ms if there else None)
    yield _joules(here.energy_j if here else None)
    yield _joules(there.energy_j if there else None)
    yield _frugal(row)


def _frugal(row: Placement) -> str:
    """Who spares the battery; both where one request alone has another answer than the run."""
    if row.frugal is None:
        return "–"
    if row.single_frugal in (None, row.frugal):
        return row.frugal
    return f"1: {row.single_frugal}, {row.requests}: {row.frugal}"


def mixes(found: Sequence[PlacementMix]) -> None:
    """A row per model: who is better served where, and what that costs."""
    from rich.markup import escape

    screen = output.console()
    called = output.told_apart(row.model for row in found)
    told = [name for name in _PLACES if len({getattr(row, name, None) for row in found}) > 1]
    ways = (">to the cloud", ">all on device", ">all in cloud", ">each its best")
    table = output.table("model", *told, *ways)
    table.columns[0].min_width = 12
    for row in found:
        table.add_row(
            escape(called[row.model]), *(escape(str(getattr(row, name))) for name in told),
            f"{row.cloud_share:.0%}", output.milliseconds(row.device_ms),
            output.milliseconds(row.cloud_ms), output.milliseconds(row.best_ms),
        )  # fmt: skip
    screen.print(table)
    for row in found:
        if row.cost_per_million is not None and row.best_cost_per_million is not None:
            screen.print(
                f"{called[row.model]} ({row.connection}): a million requests cost "
                f"{row.cost_per_million:.3g} in the cloud, {row.best_cost_per_million:.3g} where "
                "only those go there that are sooner answered",
                markup=False, soft_wrap=True,
            )  # fmt: skip
    _notes(screen, [row.notes for row in found])


def _cloud_ms(row: Placement) -> float | None:
    if row.cloud is None:
        return None
    return row.cloud.first_total_ms if row.connection == "fresh" else row.cloud.total_ms


def _faster(row: Placement) -> str:
    if row.faster is None or not row.time_ratio:
        return "–"
    ratio = row.time_ratio if row.faster == "cloud" else 1 / row.time_ratio
    return f"{row.faster} ×{ratio:.3g}"


def _joules(value: float | None) -> str:
    if value is None:
        return "–"
    if value >= 0.9995:
        return f"{value:.3g} J"
    return f"{value * 1e3:.3g} mJ" if value >= 0.9995e-3 or not value else f"{value * 1e6:.3g} µJ"


def _case(row: Placement, called: Mapping[str, str]) -> str:
    return f"{called[row.model]} on {row.device}, over {row.link} ({row.connection})"


def _notes(screen: Console, each: Iterable[Sequence[str]]) -> None:
    """Every note once."""
    from rich.markup import escape

    for note in dict.fromkeys(note for notes in each for note in notes):
        screen.print(f"[dim]note: {escape(note)}[/dim]", soft_wrap=True)
