"""The verb `recommend`: which variants to keep and which policy to run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from edgewise.cli import arguments, output
from edgewise.cli.selection import check_picture
from edgewise.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

    from edgewise.records import Recommendation, SimulationRow
    from edgewise.selection.engine.cases import Load
    from edgewise.selection.profiles.targets import Wanted
    from edgewise.selection.workload.setup import Setup


def recommend(
    profiles: str = typer.Option(
        "p2", "--profiles", help="A published set, a CSV file, samples, or a store."
    ),
    device: str | None = arguments.DEVICE,
    server: str | None = arguments.SERVER,
    runtime: str | None = arguments.RUNTIME,
    delegate: str | None = arguments.DELEGATE,
    threads: int | None = arguments.THREADS,
    batch: int | None = arguments.BATCH,
    target: str | None = arguments.TARGET,
    network: str = typer.Option(
        "artificial",
        "--network",
        metavar="NAME|MEAN,STD|FILE",
        help="A published pair or a link by name, one-way ms, or a trace.",
    ),
    payload: float = typer.Option(100_000, "--payload", help="Bytes up, for links and traces."),
    reply: float = typer.Option(1_000, "--reply", help="Bytes down, for links and traces."),
    sla: float | None = typer.Option(
        None, "--sla", help="Deadline in ms; without it, the shortest that meets the objective."
    ),
    attainment: float = typer.Option(
        0.0, "--attainment", help="Objective: the share of all requests in time, such as 0.99."
    ),
    accuracy: float = typer.Option(
        0.0, "--accuracy", help="Objective: the mean accuracy of the answers, in percent."
    ),
    arrivals: str | None = typer.Option(
        None, "--arrivals", metavar="poisson:80|gamma:80,4|trace:FILE", help="Queueing, per second."
    ),
    workers: int = typer.Option(1, "--workers", help="Servers that share the queue."),
    requests: int = typer.Option(20_000, "--requests", help="Requests per simulation."),
    seed: int = typer.Option(0, "--seed", help="Same seed, same result."),
    plot: Path | None = typer.Option(
        None, "--plot", help="The curve over deadlines: .png, .svg or .html."
    ),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
    store: str | None = typer.Option(
        None, "--store", help="Also append the curve to a store: a folder or a URL."
    ),
    quiet: bool = typer.Option(False, "--quiet", help=output.QUIET_HELP),
) -> None:
    """Which variants to keep and which policy to run, for a network and an objective."""
    from msgspec.structs import replace

    from edgewise.selection.recommend import Objective
    from edgewise.selection.recommend import recommend as find

    check_picture(plot)
    if 0 < accuracy <= 1:
        raise UsageError(
            f"--accuracy {accuracy:g} would be {accuracy:g} percent", hint="75, not 0.75"
        )
    objective = Objective(sla, attainment, accuracy)
    load = _load(arrivals, workers)
    which = arguments.wanted(server or device, runtime, delegate, threads, batch, target)
    arguments.check_wanted(which, [profiles])
    setup = _setup(profiles, which, network, payload, reply, requests, seed)
    with output.kept_in(store) as keep:
        with output.progress("recommend", None, quiet=quiet):
            found = find(setup, objective, load)
        found = replace(found, notes=(*found.notes, *setup.table.notes))
        for row in (found.expected, *found.curve):
            keep(row)
        if as_json:
            output.emit(found)
        else:
            _print(found)
    if plot:
        from edgewise.report.curves import policy_curves, write_picture

        write_picture(policy_curves(list(found.curve)), plot)


def _load(arrivals: str | None, workers: int) -> Load | None:
    if arrivals is None:
        if workers != 1:
            raise UsageError("--workers without --arrivals", hint="--arrivals poisson:80")
        return None
    from edgewise.selection.engine.cases import Load
    from edgewise.selection.workload.arrivals import parse

    return Load(parse(arrivals), workers)


def _setup(
    profiles: str,
    target: Wanted,
    network: str,
    payload: float,
    reply: float,
    requests: int,
    seed: int,
) -> Setup:
    from edgewise.network.catalogue import Carried, resolve
    from edgewise.network.link import Pair
    from edgewise.selection.profiles.sources import load
    from edgewise.selection.workload.setup import Setup

    source = load(profiles, target=target)
    path = resolve(network, Carried(payload, reply))
    return Setup(
        table=source.table,
        network=path,
        published=isinstance(path, Pair),
        requests=requests,
        seed=seed,
        samples=source.samples,
    )


def _print(found: Recommendation) -> None:
    screen = output.console()
    row = found.expected
    bound = "" if found.bound is None else f", of {found.bound:.1f} % that any policy can"
    low, high = row.effective_ci95 or (row.effective_accuracy, row.effective_accuracy)
    least, most = row.attainment_ci95 or (row.attainment, row.attainment)
    lines = [
        f"{found.profiles} over {found.network}, {found.sla_ms:g} ms",
        f"run     {found.policy}",
        f"keep    {', '.join(found.keep)}",
        f"expect  {output.percent(row.accuracy)} right, {100 * row.attainment:.2f} % of all in "
        f"time, {row.effective_accuracy:.1f} % right in time{bound}",
        f"        in another run {100 * least:.2f} to {100 * most:.2f} % in time, {low:.1f} to "
        f"{high:.1f} % right in time ({found.runs} runs, {found.runs_met} meet the objective)",
        f"        mean {output.milliseconds(row.mean_ms)}, p99 {output.milliseconds(row.p99_ms)}",
        *(f"note    {note}" for note in found.notes),
    ]
    if found.enough_sla_ms is not None:
        lines.append(f"enough  a deadline of {found.enough_sla_ms:g} ms would meet the objective")
    if found.enough_workers is not None:
        lines.append(f"enough  {found.enough_workers} workers would meet the objective")
    screen.print("\n".join(lines), markup=False)
    screen.print(_table("other policies, all variants", found.alternatives, "policy"))
    screen.print(
        _table(
            f"{found.policy} over the deadline",
            found.curve if found.workers else found.curve[1::2],
            "deadline",
        )
    )


def _table(title: str, rows: tuple[SimulationRow, ...], first: str) -> Table:
    table = output.table(first, ">accuracy", ">in time", ">right in time", ">p99", title=title)
    for row in rows:
        table.add_row(
            row.policy if first == "policy" else f"{row.sla_ms:g} ms",
            output.percent(row.accuracy),
            output.percent(100 * row.attainment),
            output.percent(row.effective_accuracy),
            output.milliseconds(row.p99_ms),
        )
    return table
