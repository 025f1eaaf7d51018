"""The verb `scenarios`: what using the measured models takes from a battery."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgewise.cli import arguments, output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewise.energy.scenarios import Scenario, ScenarioCost


def scenarios(
    store: str | None = typer.Argument(None, help="A store with measurements; none: the list."),
    scenario: str | None = typer.Option(None, help="Only these; several with commas."),
    file: Path | None = typer.Option(
        None, "--scenarios", metavar="FILE.toml", help="Scenarios of your own."
    ),
    battery: float = typer.Option(4000.0, min=1.0, help="The battery's charge in mAh."),
    volts: float = typer.Option(3.85, min=0.1, help="Its mean voltage."),
    power: str | None = typer.Option(
        None, help="A declared power where nothing was metered: NAME or FILE.toml:NAME."
    ),
    all_models: bool = typer.Option(
        False, "--all-models", help="Also models whose task does not fit, or is not known."
    ),
    device: str | None = arguments.DEVICE,
    server: str | None = arguments.SERVER,
    runtime: str | None = arguments.RUNTIME,
    delegate: str | None = arguments.DELEGATE,
    threads: int | None = arguments.THREADS,
    batch: int | None = arguments.BATCH,
    target: str | None = arguments.TARGET,
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
) -> None:
    """What scenarios take from a battery, with the models that a store has measurements of.

    Example: edgewise scenarios results --battery 4500 --power pixel-3
    """
    from edgewise.energy import power as powers
    from edgewise.energy.scenarios import Battery, costs, read_scenarios
    from edgewise.energy.scenarios import scenario as named
    from edgewise.energy.scenarios import scenarios as known

    there = known() if file is None else read_scenarios(file)
    chosen = (
        [named(each, there) for each in arguments.parse_words(scenario)]
        if scenario
        else [*there.values()]
    )
    if store is None:
        _list(chosen, as_json)
        return
    import msgspec

    from edgewise.records import Measurement, Model
    from edgewise.selection.profiles.targets import narrowed
    from edgewise.store import Store

    which = arguments.wanted(server or device, runtime, delegate, threads, batch, target)
    opened = narrowed(Store.open(store), which)
    tasks = {each.sha256: each.task for each in opened.read(Model) if each.sha256 and each.task}
    found = costs(
        chosen,
        opened.read(Measurement, without=("samples",)),
        tasks,
        Battery(mah=battery, volts=volts),
        power=None if power is None else powers.power(power),
        all_models=all_models,
    )
    if as_json:
        for each in found:
            output.emit(msgspec.to_builtins(each))
    else:
        _print(found)


def _list(wanted: Sequence[Scenario], as_json: bool) -> None:
    if as_json:
        import msgspec

        for each in wanted:
            output.emit(msgspec.to_builtins(each))
        return
    table = output.table("scenario", "what", ">inferences", ">a second", "source")
    for each in wanted:
        rate = "–" if each.rate_hz is None else f"{each.rate_hz:g}"
        table.add_row(each.name, each.title, f"{each.inferences:,}", rate, each.source)
    output.console().print(table)


def _print(found: Sequence[ScenarioCost]) -> None:
    from rich.markup import escape

    console = output.console()
    if not found:
        console.print("no measured model has a task that fits (--all-models takes all)")
        return
    table = output.table("scenario", "model", "target", ">energy", ">charge", ">battery", "by")
    for each in found:
        target = f"{each.target.device} {each.target.runtime} {each.target.delegate}"
        figures = ("–", "–", "–")
        if each.energy_j is not None and each.mah is not None:
            percent = f"{each.battery_percent:.2g} %"
            figures = (f"{each.energy_j:.3g} J", f"{each.mah:.3g} mAh", percent)
        by = each.method or each.reason or ""
        model = each.model.rpartition("/")[2]
        table.add_row(each.scenario, escape(model), escape(target), *figures, escape(by))
    console.print(table)
    first = found[0].battery
    console.print(f"[dim]of a battery of {first.mah:g} mAh at {first.volts:g} V; above idle[/dim]")
    for note in dict.fromkeys(note for each in found for note in each.notes):
        console.print(f"[dim]note: {escape(note)}[/dim]", soft_wrap=True)
