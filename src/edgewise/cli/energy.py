"""The verb `energy`: joules from what a meter recorded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgewise.cli import output
from edgewise.errors import EdgewiseError

if TYPE_CHECKING:
    from edgewise.records import Energy


def energy(
    files: list[Path] = typer.Argument(
        help="A meter's log (Monsoon CSV, Perfetto trace), or a folder with tree/ and series.jsonl."
    ),
    active: str = typer.Option(
        ..., metavar="BEGIN:END", help="When it worked, in seconds from the recording's start."
    ),
    idle: list[str] = typer.Option(
        [], metavar="BEGIN:END", help="When it idled; repeatable.  [as long before and after]"
    ),
    inferences: int | None = typer.Option(None, min=1, help="How many ran in the active part."),
    meter: str | None = typer.Option(None, help="The kind of meter.  [found out]"),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
) -> int:
    """Joules from a meter's recording: idle, active, idle; or why they cannot be known.

    Example: edgewise energy samples.csv --active 20:40 --inferences 500
    """
    from edgewise.energy import reckoning, recorded

    during = recorded.window(active)
    quiet = tuple(map(recorded.window, idle))
    failed = 0
    for file in files:
        try:
            recording = recorded.read(file, meter)
        except EdgewiseError as error:
            failed = 1
            if as_json:
                output.emit({"path": str(file), "error": str(error)})
            else:
                output.fail(str(error))
            continue
        windows = reckoning.around(during, recording)
        if quiet:
            windows = reckoning.Windows(during, quiet)
        found = reckoning.energy(recording, windows, inferences)
        failed = failed or int(found.reason is not None)
        if as_json:
            output.emit(_as_json(file, found, recording.refresh_s, dict(recording.details)))
        else:
            _print(file, found)
    return failed


def _as_json(
    file: Path, found: Energy, refresh_s: float | None, details: dict[str, str]
) -> dict[str, object]:
    import msgspec

    fields: dict[str, object] = msgspec.to_builtins(found)
    return {"path": str(file), "valid": found.reason is None, **fields, "refresh_s": refresh_s,
            "details": details}  # fmt: skip


def _print(file: Path, found: Energy) -> None:
    from rich.markup import escape

    console = output.console()
    console.print(f"[bold]{escape(str(file))}[/bold]  {found.method}: {found.boundary}")
    if found.reason is not None:
        output.fail(f"{file}: no joules: {found.reason}")
    table = output.table("rail", ">gross", ">net", ">idle", "")
    for rail in found.rails:
        beside = rail.reason or ("" if rail.counted else "inside another, not added")
        table.add_row(
            escape(rail.name), _joules(rail.gross_j), _joules(rail.net_j), _watts(rail.idle_w),
            escape(beside),
        )  # fmt: skip
    if len(found.rails) > 1 or found.reason is not None:
        console.print(table)
    if found.gross_j is not None:
        console.print(
            f"  {_joules(found.gross_j)} in {found.active_s:g} s ({_watts(found.mean_w)}), "
            f"{_joules(found.net_j)} above idle ({_watts(found.idle_w)})"
        )
    if found.inference_j is not None:
        console.print(
            f"  {_joules(found.inference_j)} each of {found.inferences}, "
            f"{_joules(found.net_inference_j)} above idle"
        )
    for note in found.notes:
        console.print(f"  [dim]note: {escape(note)}[/dim]")


def _joules(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.4g} J" if abs(value) >= 0.1 else f"{value * 1e3:.4g} mJ"


def _watts(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g} W"
