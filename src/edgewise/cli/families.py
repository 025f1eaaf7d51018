"""The verb `family`: `family init` writes the file that `eval`, `serve` and `place` take."""

from __future__ import annotations

from pathlib import Path

import typer

from edgewise.cli import output
from edgewise.cli.evaluate import parse_preprocess
from edgewise.errors import UsageError


def family(
    what: str = typer.Argument(metavar="init", help="init: write a family."),
    files: list[str] = typer.Argument(
        metavar="MODEL…", help="Model files that answer the same question."
    ),
    data: Path | None = typer.Option(
        None, "--data", help="Labelled data, as eval takes it: the accuracies are measured on it."
    ),
    out: Path = typer.Option(Path("family.toml"), "-o", "--output", help="The file to write."),
    name: str | None = typer.Option(None, "--name", help="Of the family.  [its folder's]"),
    labels: Path | None = typer.Option(
        None, "--labels", help="The classes' names, a line each.  [folders of --data]"
    ),
    mean: str = typer.Option("0", "--mean", help="The input is (x - mean) / scale."),
    scale: str = typer.Option("1", "--scale", help="See --mean."),
    colour: str | None = typer.Option(None, "--colour", help="rgb, bgr, grey."),
    force: bool = typer.Option(False, "--force", help="Write over a file that is there."),
    quiet: bool = typer.Option(False, "--quiet", help=output.QUIET_HELP),
) -> int:
    """Write a family of models: edgewise family init *.tflite --data photos/ --scale 255."""
    from edgewise.bench.familiar import describe, write

    if what != "init":
        raise UsageError(f"family {what}", hint="family init MODEL… --data FOLDER")
    if out.exists() and not force:
        raise UsageError(f"{out} is there", hint="--force writes over it, -o names another")
    output.check_writable(out, "-o", (".toml",))
    how = parse_preprocess(mean, scale, colour)
    with output.progress("family", len(files), quiet=quiet) as advance:
        found = describe(
            [Path(file) for file in files], how, data=data, labels=labels,
            name=name or out.resolve().parent.name, step=advance,
        )  # fmt: skip
    write(found, out)
    for variant in found.variants:
        right = "not measured" if variant.accuracy is None else f"{variant.accuracy:.2f} % right"
        output.console().print(f"{variant.name}  {right}", markup=False)
        for note in variant.notes:
            output.console().print(f"  note: {note}", style="dim", markup=False)
    for path, reason in found.left_out:
        output.fail(f"{path} left out: {reason}")
    output.console().print(f"{out}", markup=False, soft_wrap=True)
    if data is None:
        output.console().print("accuracies are missing: --data measures them", style="dim")
    return 1 if found.left_out and not found.variants else 0
