"""The verb `devices`: what can be measured on now, and putting in place what that needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from edgewise.cli import output
from edgewise.errors import UsageError

if TYPE_CHECKING:
    from edgewise.records import Device


def devices(
    what: list[str] = typer.Argument(
        None, metavar="[prepare NAME…]", help="Put in place what measuring on these devices needs."
    ),
    python: str | None = typer.Option(
        None, help="prepare ssh:…: the Python to use there, with the runtimes installed."
    ),
    url: str | None = typer.Option(
        None, help="prepare adb, browser: fetch from there, not from where it is published."
    ),
    packages: Path | None = typer.Option(
        None, help="prepare browser: take the files from this node_modules folder."
    ),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
) -> None:
    """The devices that can be measured on now, and what each can measure."""
    from edgewise.bench.inventory import devices as find

    if what:
        _prepare(what, python=python, url=url, packages=packages)
        return
    for device in find():
        if as_json:
            output.emit(device)
        else:
            _print_device(device)


def _prepare(what: Sequence[str], **given: Any) -> None:
    from edgewise.devices.contract import Options
    from edgewise.devices.registry import kind_of

    if what[0] != "prepare" or len(what) < 2:
        raise UsageError(f"devices {' '.join(what)}", hint="edgewise devices prepare NAME…")
    for name in what[1:]:
        for done in kind_of(name).prepare(name, Options(**given)):
            typer.echo(f"{name}: {done}")


def _print_device(device: Device) -> None:
    from rich.markup import escape

    console = output.console()
    console.print(f"[bold]{device.name}[/bold]  {escape(device.description)}")
    context = device.context
    if context.architecture is not None:
        load = "unknown" if context.load_average is None else f"{context.load_average:.1f}"
        console.print(
            f"  {context.architecture}, {output.size(context.memory_bytes)} memory, "
            f"governor {context.governor or 'unknown'}, load {load}"
        )
    for note in device.notes:
        console.print(f"  {escape(note)}", style="dim")
    for runtime in device.runtimes:
        if runtime.available:
            what = f"{runtime.version or '(version unknown)'}; {', '.join(runtime.delegates)}"
        else:
            what = f"not available: {runtime.reason}"
        formats = ", ".join(runtime.formats)
        console.print(f"  {runtime.name} {escape(what)}  [dim]runs {formats}[/dim]")
    console.print(f"  meters: {', '.join(device.meters) or 'none'}")
