"""The verb `import`: what other benchmark tools measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgewise.cli import output

if TYPE_CHECKING:
    from edgewise.records import Measurement


def import_(
    files: list[Path] = typer.Argument(help="Outputs of benchmark tools, as they printed them."),
    device: str = typer.Option("unknown", help="The device that they ran on."),
    model: str | None = typer.Option(
        None, help="The model, where the output does not name it, or names it otherwise."
    ),
    exit_status: int | None = typer.Option(
        None, "--exit-status", help="Of the tool's process, where it is known; -1: connection lost."
    ),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
    store: str | None = typer.Option(None, "--store", help=output.STORE_HELP),
) -> int:
    """Logs of other benchmark tools: benchmark_model, benchncnn, MNN, ONNX Runtime, ExecuTorch,
    llama-bench, CSV."""
    from edgewise.bench.imported import read_file
    from edgewise.errors import InputError

    found: list[Measurement] = []
    failed = 0
    with output.kept_in(store) as keep:
        for file in files:
            try:
                runs = read_file(file, device=device, model=model, exit_status=exit_status)
            except InputError as error:
                failed += 1
                typer.echo(f"edgewise: {error}", err=True)
                if as_json:
                    output.emit({"path": str(file), "error": str(error)})
                continue
            for run in runs:
                keep(run)
                if as_json:
                    output.emit(run)
            found += runs
        if not as_json:
            _print(found)
    return 1 if failed else 0


def _print(found: Sequence[Measurement]) -> None:
    from edgewise.cli.bench_table import print_table

    if found:
        print_table(output.console(), found)
