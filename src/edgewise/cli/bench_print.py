"""What `bench` prints beside its table: what is to come, and how measurements compare."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from edgewise.cli import output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgewise.bench.cases import Outline
    from edgewise.bench.comparing import Compared
    from edgewise.records import Energy, Target


def announce(outline: Outline) -> None:
    """Say what is to come on standard error, where it is more than one target."""
    if outline.targets > 1:
        typer.echo(
            f"{outline.targets} targets, {outline.processes} processes in random order: "
            f"{_duration(outline.least_s)} to {_duration(outline.most_s)}",
            err=True,
        )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def print_comparisons(found: Sequence[Compared]) -> None:
    """Each against the first: a ratio, its interval, and what that shows."""
    console = output.console()
    for each in found:
        console.print(_words(each), soft_wrap=True, highlight=False, markup=False)
        for note in each.notes:
            console.print(f"  note: {note}", soft_wrap=True, markup=False, style="dim")


def _words(one: Compared) -> str:
    baseline = _what(one.baseline_model, one.baseline_target)
    what = f"{_what(one.model, one.target)} against {baseline}"
    if one.ratio is None or one.low is None or one.high is None:
        return f"{what}: {one.verdict}"
    interval = f"{one.ratio:.3f} [{one.low:.3f}, {one.high:.3f}] of its time"
    if one.verdict == "can't tell":
        return f"{what}: can't tell: {interval}"
    return f"{what}: {one.verdict}: {interval}"


def _what(model: str, target: Target) -> str:
    pinned = "" if target.affinity is None else f" @{','.join(map(str, target.affinity))}"
    options = "".join(f" {option}" for option in target.options)
    return (
        f"{model.rpartition('/')[2]} ({target.runtime} {target.delegate} ×{target.threads} "
        f"b{target.batch}{pinned}{options})"
    )


def joules_each(energy: Energy | None) -> str:
    """Joules of an inference above idle; those of a declared power say so."""
    joules = None if energy is None else energy.net_inference_j
    if energy is None or joules is None:
        return "–"
    scale, unit = next(
        (pair for pair in ((1.0, "J"), (1e3, "mJ"), (1e6, "µJ")) if abs(joules) * pair[0] >= 0.1),
        (1e9, "nJ"),
    )
    declared = " (declared)" if energy.method.startswith("model") else ""
    return f"{joules * scale:.3g} {unit}{declared}"
