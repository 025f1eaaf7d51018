"""The table that `bench` prints: a row for each measurement, its notes, and what failed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from edgewise.cli import output
from edgewise.cli.bench_print import joules_each

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from edgewise.records import Delegation, Distribution, Measurement, Target


def print_table(console: Console, found: Sequence[Measurement], *, all_notes: bool = False) -> None:
    """What was measured as a table, then notes (the heads of them in one line, unless all are
    wanted), then what failed and why."""
    from rich.markup import escape

    from edgewise.bench.cases import NOT_TRIED

    good = [each for each in found if each.status == "ok"]
    if good:
        console.print(_table(good, wide=console.width >= _WIDE))
    for each in good:
        if each.layer_times:
            console.print(f"\n{escape(each.model)} on {_target(each.target)}, per layer")
            console.print(_layer_table(each))
    notes = _notes(good)
    if not all_notes and len(notes) > 1:
        # One of those that differ in their figures alone.
        heads = "; ".join({re.sub(r"\d+", "", head): head for head in map(_head, notes)}.values())
        console.print(
            f"[dim]notes: {escape(heads)} (--notes tells all {len(notes)})[/dim]", soft_wrap=True
        )
        notes = {}
    for note, models in notes.items():
        whom = "" if len(models) == len(good) else f" ({_some(models)})"
        console.print(f"[dim]note: {escape(note + whom)}[/dim]", soft_wrap=True)
    for each in found:
        if each.status != "ok":
            tried = "" if each.target.runtime == NOT_TRIED else f" on {_target(each.target)}"
            what = f"{each.model}{tried}: {each.reason}"
            output.fail(f"failed {what}")


def _notes(found: Sequence[Measurement]) -> dict[str, list[str]]:
    """Every note once, with the measurements that have it."""
    notes: dict[str, list[str]] = {}
    called = _names(found)
    for each in found:
        reason = (
            []
            if each.stability in ("stable", None)
            else [f"{each.stability}: {each.stability_reason}"]
        )
        for note in (*reason, *each.notes):
            notes.setdefault(note, []).append(called[each.model])
    return notes


def _head(note: str) -> str:
    """What a note is about: what comes before its details."""
    return re.split(r"[:;,(]", note, maxsplit=1)[0].strip()


def _some(models: Sequence[str]) -> str:
    distinct = list(dict.fromkeys(models))
    return distinct[0] if len(distinct) == 1 else f"{distinct[0]} and {len(distinct) - 1} more"


def _names(found: Sequence[Measurement]) -> dict[str, str]:
    """What models are called, by path; a long name loses its middle."""
    return {
        path: name if len(name) <= 36 else f"{name[:12]}…{name[-23:]}"
        for path, name in output.told_apart(each.model for each in found).items()
    }


#: Columns of a terminal from which p90, first inference and load are shown beside the rest.
_WIDE = 110


def _table(found: Sequence[Measurement], *, wide: bool) -> Table:
    from rich.markup import escape

    metered = any(each.energy is not None for each in found)
    called = _names(found)
    table = output.table(
        "model", "target", ">median [95 %]", *((">p90", ">first", ">load") if wide else ()),
        ">memory", *((">above idle",) if metered else ()), "",
    )  # fmt: skip
    for each in found:
        table.add_row(
            escape(called[each.model]),
            _target(each.target, each.coverage),
            _with_interval(each.latency_ms),
            *(_further(each) if wide else ()),
            output.size(each.peak_memory_bytes),
            *((joules_each(each.energy),) if metered else ()),
            each.stability,
        )
    return table


def _further(measurement: Measurement) -> Iterator[str]:
    """90th percentile, first inference, load."""
    latency, first, load = measurement.latency_ms, measurement.first_ms, measurement.load_ms
    yield output.milliseconds(latency.p90 if latency else None)
    yield output.milliseconds(first.p50 if first else None)
    yield output.milliseconds(load.p50 if load else None)


def _layer_table(measurement: Measurement) -> Table:
    from rich.markup import escape

    table = output.table("layer", "op", ">mean", ">share")
    slowest_first = sorted(measurement.layer_times or (), key=lambda each: -each.mean_ms)
    for each in slowest_first:
        table.add_row(
            escape(each.name), escape(each.op), output.milliseconds(each.mean_ms),
            f"{each.share:.1%}",
        )  # fmt: skip
    return table


def _target(target: Target, coverage: Delegation | None = None) -> str:
    """`litert xnnpack 52/81 in 9 ×2 b4`: of 81 operators the delegate took 52, in nine pieces; two
    threads, a batch of four. This machine is not named."""
    taken = ""
    if coverage is not None and coverage.fell_back and coverage.operators is not None:
        pieces = "" if coverage.partitions is None else f" in {coverage.partitions}"
        taken = f" {coverage.delegated}/{coverage.operators}{pieces}"
    options = "".join(f" {option}" for option in target.options)
    where = "" if target.device == "host" else f"{target.device} "
    threads = "" if target.threads in (None, 1) else f" ×{target.threads}"
    batch = "" if target.batch == 1 else f" b{target.batch}"
    pinned = "" if target.affinity is None else f" @{','.join(map(str, target.affinity))}"
    return f"{where}{target.runtime} {target.delegate}{taken}{threads}{batch}{pinned}{options}"


def _with_interval(latency: Distribution | None) -> str:
    """The interval in the unit of the median."""
    if latency is None or latency.p50 is None:
        mean = None if latency is None else latency.mean
        return "–" if mean is None else f"mean {output.milliseconds(mean)}"
    text = output.milliseconds(latency.p50)
    if latency.ci95_low is None or latency.ci95_high is None:
        return text
    scale = 1000 if latency.p50 < 1 else 1 if latency.p50 < 1000 else 0.001
    return f"{text} [{latency.ci95_low * scale:.3g}, {latency.ci95_high * scale:.3g}]"
