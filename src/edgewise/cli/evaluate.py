"""The verb `eval`: accuracy on labelled data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgewise.cli import output
from edgewise.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from edgewise.bench.accuracy import Evaluated
    from edgewise.family import Preprocess
    from edgewise.records import AccuracyRow


def evaluate(
    paths: list[str] = typer.Argument(help="Families (.toml) or model files."),
    data: Path = typer.Option(
        ...,
        "--data",
        help="A folder per class, a CSV of files and labels, or an npz file with images and "
        "labels.",
    ),
    labels: Path | None = typer.Option(
        None, "--labels", help="Of a model file: its classes, a line each."
    ),
    runtime: str | None = typer.Option(None, "--runtime", help="Instead of the preferred one."),
    mean: str = typer.Option("0", "--mean", help="Of a model file: one number or one per channel."),
    scale: str = typer.Option("1", "--scale", help="The input is (x - mean) / scale."),
    colour: str | None = typer.Option(None, "--colour", help="Of a model file: rgb, bgr, grey."),
    crop: float | None = typer.Option(
        None, "--crop", help="Of a model file: the central part of each side, such as 0.875."
    ),
    shorter: int | None = typer.Option(
        None,
        "--shorter",
        min=1,
        help="Of a model file: resize the shorter side to this, then cut the centre out.",
    ),
    resample: str = typer.Option(
        "bilinear", "--filter", help="Of a model file: bilinear, bicubic, nearest, box, lanczos."
    ),
    label_offset: int | None = typer.Option(
        None,
        "--label-offset",
        help="How much higher an output is than its label's index.  [found out]",
    ),
    samples: Path | None = typer.Option(
        None, "--samples", help="Write times and answers per input, for simulate --profiles."
    ),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
    store: str | None = typer.Option(None, "--store", help=output.STORE_HELP),
    quiet: bool = typer.Option(False, "--quiet", help=output.QUIET_HELP),
) -> int:
    """How often a model is right, with Wilson's 95 % interval."""
    from edgewise.bench.accuracy import evaluate as run
    from edgewise.bench.accuracy import write_samples

    how = parse_preprocess(mean, scale, colour, crop=crop, shorter=shorter, filter=resample)
    if samples:
        output.check_writable(samples, "--samples")
    done: list[Evaluated] = []
    with output.kept_in(store, at_once=True) as keep:
        try:
            with output.progress("eval", None, quiet=quiet, store=store) as advance:
                for path in paths:
                    for one in run(path, data, how, runtime, label_offset, labels):
                        done.append(one)
                        if one.row.error is None:
                            keep(one.row)
                        if as_json:
                            output.emit(one.row)
                        advance(one.row.model)
        finally:
            if not as_json and done:
                _print([one.row for one in done])
            if samples:
                write_samples(done, samples)
    return 1 if any(one.row.error for one in done) else 0


def parse_preprocess(
    mean: str, scale: str, colour: str | None, **more: float | str | None
) -> Preprocess:
    """How images are prepared for a model file.

    Raises:
        UsageError: an option has a value that is none.
    """
    import msgspec

    from edgewise.family import Preprocess

    try:
        values = {
            "mean": [float(word) for word in mean.split(",")],
            "scale": [float(word) for word in scale.split(",")],
            "colour": colour,
            **more,
        }
        how = msgspec.convert(values, Preprocess)
    except (ValueError, msgspec.ValidationError) as error:
        raise UsageError(f"--mean, --scale, --colour or --filter: {error}") from error
    if how.crop is not None and not 0 < how.crop <= 1:
        raise UsageError(f"--crop {how.crop:g}", hint="a part of each side, such as 0.875")
    if 0 in how.scale:
        raise UsageError("--scale is 0")
    return how


def rows_table(rows: Sequence[AccuracyRow]) -> Table:
    """Accuracies with their intervals, for people."""
    table = output.table("model", ">accuracy", ">95 % interval", ">top 5", ">right", ">recorded")
    called = _called(rows)
    for row in rows:
        if row.accuracy is None:
            table.add_row(called[row.path], "–", "–", "–", "–", "–")
            continue
        table.add_row(
            called[row.path],
            output.percent(row.accuracy, 2),
            f"{row.ci95_low:.2f} … {row.ci95_high:.2f}",
            output.percent(row.top5_accuracy, 2),
            f"{row.correct} of {row.n}",
            output.percent(row.recorded_accuracy, 2),
        )
    return table


def _called(rows: Sequence[AccuracyRow]) -> dict[str, str]:
    """What models are called, by path: by their name where no other has it."""
    of_name: dict[str, set[str]] = {}
    for row in rows:
        of_name.setdefault(row.model, set()).add(row.path)
    apart = output.told_apart(row.path for row in rows)
    return {row.path: apart[row.path] if len(of_name[row.model]) > 1 else row.model for row in rows}


def _print(rows: Sequence[AccuracyRow]) -> None:
    screen = output.console()
    screen.print(rows_table(rows))
    called = _called(rows)
    for row in rows:
        for text in row.notes:
            screen.print(f"{called[row.path]}: {text}", markup=False)
        if row.error:
            output.fail(f"{called[row.path]}: {row.error}")
