"""The verb `demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgewise.cli import output

if TYPE_CHECKING:
    from rich.console import Console

    from edgewise.demo.walk import Step
    from edgewise.records import Model


def demo(
    folder: Path = typer.Option(
        Path("edgewise-demo"), "-o", "--output", help="Folder for the store and the report."
    ),
    quiet: bool = typer.Option(False, "--quiet", help=output.QUIET_HELP),
) -> None:
    """All of it once, on the app and the models that come with the package."""
    from edgewise.demo.walk import commands, walk

    typed = commands(folder)
    with output.progress("demo", 8, quiet=quiet) as advance:
        for step in walk(folder, lambda what: advance(what, 0)):
            _print(output.console(), step, typed[type(step)])
            advance()


def _print(console: Console, step: Step, typed: str) -> None:
    from edgewise.cli.apps import print_report as print_app
    from edgewise.cli.bench_table import print_table
    from edgewise.cli.evaluate import rows_table as accuracy_table
    from edgewise.cli.load import run_table as load_table
    from edgewise.cli.place_print import rows as print_placements
    from edgewise.cli.selection_print import rows_table as simulation_table
    from edgewise.demo.walk import (
        Evaluated,
        Inspected,
        Loaded,
        Measured,
        Placed,
        Reported,
        Scanned,
        Simulated,
    )

    match step:
        case Scanned(app):
            _heading(console, "What the demo app ships", typed)
            print_app(console, app)
        case Inspected(models):
            _heading(console, "What its family of models costs", typed)
            console.print(_models_table(models), "")
        case Measured(measurements):
            _heading(console, "What that means on this machine", typed)
            print_table(console, measurements)
            console.print()
        case Evaluated(rows):
            _heading(console, "How often each variant is right", typed)
            console.print(accuracy_table(rows), "")
        case Simulated(rows):
            rate = f"{rows[0].offered_per_s:,.0f}"
            exact = f"poisson:{rows[0].offered_per_s:.0f}"
            _heading(
                console, "Which one should answer, under load",
                typed.replace("poisson:RATE", exact),
            )  # fmt: skip
            console.print(f"One worker, {rate} requests per second; in percent of all requests")
            shown = [row for row in rows if row.sla_ms in _DEADLINES_SHOWN]
            for network in dict.fromkeys(row.network for row in shown):
                console.print(f"over {network}", style="bold")
                console.print(simulation_table([r for r in shown if r.network == network]), "")
        case Loaded(runs):
            _heading(console, "The same, served for real", typed)
            for run in runs:
                console.print(f"over {', '.join(run.links)}", style="bold")
                console.print(load_table(run), "")
        case Placed(rows):
            _heading(console, "On this machine, or there?", typed)
            print_placements([row for row in rows if row.connection == "warm"])
            console.print()
        case Reported(report, store, findings):
            _heading(console, "The pictures", typed)
            console.print("\n[bold cyan]In short[/bold cyan]")
            for point in findings[:_SENTENCES]:
                text = point.text.replace("`", "")
                console.print(f"- {text} [dim]({point.origin})[/dim]", soft_wrap=True)
            console.print(f"\nThe report is in {report.resolve()}", soft_wrap=True, markup=False)
            console.print(f"The store is in {store.resolve()}", soft_wrap=True, markup=False)
            command = typed.partition(" report ")[0]
            console.print(f"Now your own app: [bold]{command} scan YOUR.apk[/bold]", soft_wrap=True)


#: Of the ten that are simulated; the report draws them all.
_DEADLINES_SHOWN = (60.0, 140.0)


#: Findings at the end; the report has them all.
_SENTENCES = 5


def _heading(console: Console, text: str, command: str) -> None:
    from rich.markup import escape

    console.print(f"[bold cyan]{text}[/bold cyan]\n[dim]{escape(command)}[/dim]", soft_wrap=True)


def _models_table(models: tuple[Model, ...]) -> object:
    table = output.table(
        "model", ">size", ">parameters", ">MACs", ">peak activations", "quantisation"
    )
    for model in models:
        table.add_row(
            Path(model.path).name,
            output.size(model.size_bytes),
            output.count(model.parameters),
            output.count(model.macs),
            output.size(model.peak_activation_bytes),
            model.quantization or "–",
        )
    return table
