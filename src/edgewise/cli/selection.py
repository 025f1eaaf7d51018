"""The verb `simulate`: policies against networks, deadlines and load."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from edgewise.cli import arguments, output
from edgewise.cli.selection_print import print_comparison, print_rows
from edgewise.errors import InputError, UsageError
from edgewise.extras import check

if TYPE_CHECKING:
    from edgewise.network.link import Network
    from edgewise.records import Profile, SimulationRow
    from edgewise.selection.engine.cases import AnyPolicy, Load
    from edgewise.selection.profiles.targets import Wanted
    from edgewise.selection.workload.setup import Setup

_POLICIES = "fastest,greedy,exploration,budget_weighted,mdinference,cnnselect"
#: A longer deadline is a mistake; see `selection.profiles`.
_LONGEST_MS = 1e9


def simulate(
    context: typer.Context,
    profiles: list[str] | None = typer.Option(
        None,
        "--profiles",
        show_default="p2",
        help="A published set, a CSV file, samples, or a store; repeatable.",
    ),
    device: str | None = arguments.DEVICE,
    server: str | None = arguments.SERVER,
    runtime: str | None = arguments.RUNTIME,
    delegate: str | None = arguments.DELEGATE,
    threads: int | None = arguments.THREADS,
    batch: int | None = arguments.BATCH,
    target: str | None = arguments.TARGET,
    network: list[str] = typer.Option(
        ["artificial"],
        "--network",
        metavar="NAME|MEAN,STD|FILE",
        help="A published pair or a link by name, one-way ms, or a trace; repeatable.",
    ),
    published: bool | None = typer.Option(
        None,
        "--published/--not-published",
        help="One draw for both directions, known when choosing; the default for pairs.",
    ),
    payload: float = typer.Option(100_000, "--payload", help="Bytes up, for links and traces."),
    reply: float = typer.Option(1_000, "--reply", help="Bytes down, for links and traces."),
    rtt: float = typer.Option(60.0, "--rtt", help="Round trip in ms, for traces."),
    jitter: float = typer.Option(0.0, "--jitter", help="Its deviation in ms, for traces."),
    connection: Literal["warm", "fresh"] = typer.Option(
        "warm", "--connection", help="One that is open, or a new one for each request."
    ),
    idle: float = typer.Option(0.0, "--idle", help="How long the device was silent, in ms."),
    sla: str = typer.Option(
        "0:500:10", "--sla", metavar="FROM:TO:STEP|A,B,…", help="Deadlines in ms."
    ),
    policy: str = typer.Option(_POLICIES, "--policy", metavar="A,B,…", help="Policies by name."),
    requests: int = typer.Option(10_000, "--requests", help="Requests per deadline."),
    seed: int = typer.Option(0, "--seed", help="Same seed, same result."),
    arrivals: str | None = typer.Option(
        None, "--arrivals", metavar="poisson:80|gamma:80,4|trace:FILE", help="Queueing, per second."
    ),
    workers: int = typer.Option(1, "--workers", help="Servers that share the queue."),
    discipline: Literal["fcfs", "edf"] = typer.Option(
        "fcfs",
        "--discipline",
        help="Order of service: of arrival, or earliest deadline first, by what serves.",
    ),
    duplicate: str | None = typer.Option(
        None,
        "--duplicate",
        metavar="PROFILES:MODEL",
        help="The device runs this model too, and uses it where the server is late.",
    ),
    compare: str | None = typer.Option(
        None, "--compare", metavar="A,B", help="Only where A beats B, and by how much."
    ),
    decisions: str | None = typer.Option(
        None,
        "--decisions",
        metavar="STORE",
        help="What the policies would have delivered on a service's decision log.",
    ),
    recipe: str | None = typer.Option(
        None, "--recipe", help="A paper's simulation and its findings beside ours: cnnselect."
    ),
    plot: Path | None = typer.Option(None, "--plot", help="A picture: .png, .svg or .html."),
    jobs: int = typer.Option(1, "--jobs", min=1, help="Processes; the result is the same."),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
    store: str | None = typer.Option(None, "--store", help=output.STORE_HELP),
    quiet: bool = typer.Option(False, "--quiet", help=output.QUIET_HELP),
) -> None:
    """Policies against networks, deadlines and load: accuracy, attainment, both at once."""
    which = arguments.wanted(server or device, runtime, delegate, threads, batch, target)
    if recipe:
        arguments.refuse_others(context, "with --recipe", names=(
            "recipe", "requests", "seed", "jobs", "store", "as_json", "quiet",
        ))  # fmt: skip
        from edgewise.cli import selection_recipe

        selection_recipe.run(recipe, requests, seed, jobs, store, as_json=as_json, quiet=quiet)
        return
    if decisions:
        arguments.refuse_others(
            context, "with --decisions",
            names=("decisions", "policy", "profiles", "as_json", "quiet"),
            panels=(arguments.OF_A_STORE,),
        )  # fmt: skip
        from edgewise.cli.decisions import replay

        replay(decisions, policy.split(","), profiles or [], which, as_json=as_json)
        return
    profiles = profiles or ["p2"]
    arguments.check_wanted(which, [*profiles, (duplicate or "").rpartition(":")[0]])
    check_picture(plot)
    deadlines = parse_deadlines(sla)
    names = list(_two(compare)) if compare else policy.split(",")
    networks = _networks(network, payload, reply, rtt, jitter, connection, idle)
    setups = _setups(profiles, which, networks, published, requests, seed, duplicate, device)
    load = _load(arrivals, workers, discipline)
    runs = _runs(setups, names, deadlines, load, jobs)
    rows: list[SimulationRow] = []
    with output.kept_in(store) as keep:
        with output.progress("simulate", None, quiet=quiet, store=store) as advance:
            for row in map(_noting(setups), runs):
                rows.append(row)
                keep(row)
                advance()
                if as_json and not compare:
                    output.emit(row)
        if compare:
            written = rows[0].policy, rows[1].policy
            print_comparison(rows, written, as_json=as_json)
        elif not as_json:
            print_rows(rows)
            for note in dict.fromkeys(note for setup in setups for note in setup.table.notes):
                output.console().print(f"note: {note}", style="dim", markup=False)
    if plot:
        _draw(rows, setups, deadlines, plot, load=arrivals is not None)


def check_picture(path: Path | None) -> None:
    """Refuse a picture that could not be written before anything is simulated for it.

    Raises:
        UsageError: its name does not say what it should be.
        InputError: there is no such folder.
        MissingExtra: what draws it is not installed.
    """
    if path is None:
        return
    if path.suffix.lower() not in (".png", ".svg", ".html"):
        raise UsageError(f"a picture named {path}", hint="name it .png, .svg or .html")
    if not path.parent.is_dir():
        raise InputError(f"{path} cannot be written: there is no folder {path.parent}")
    check(["report"], "--plot")


def parse_deadlines(text: str) -> list[float]:
    """`0:500:10`, both ends included, or `50,100,250`.

    Raises:
        UsageError: neither, or a deadline that is negative, or far too many.
    """
    hint = "write FROM:TO:STEP or A,B,…, in ms"
    try:
        numbers = [float(word) for word in text.replace(":", ",").split(",")]
    except ValueError:
        raise UsageError(f"--sla {text}: not numbers", hint=hint) from None
    if not all(0 <= number <= _LONGEST_MS for number in numbers):
        raise UsageError(f"--sla {text}: a deadline is 0 to {_LONGEST_MS:g} ms", hint=hint)
    if ":" not in text:
        return numbers
    if len(numbers) != 3 or text.count(":") != 2 or numbers[2] == 0 or numbers[0] > numbers[1]:
        raise UsageError(f"--sla {text}: not a range", hint=hint)
    start, end, step = numbers
    count = int((end - start) / step + 1e-9) + 1
    if count > 100_000:
        raise UsageError(f"--sla {text}: {count} deadlines", hint="take a larger step")
    # In decimals, so that three tenths are 0.3.
    first, each = Decimal(str(start)), Decimal(str(step))
    return [float(first + each * index) for index in range(count)]


def _two(compare: str) -> tuple[str, str]:
    policy, _, baseline = compare.partition(",")
    if not policy or not baseline or "," in baseline:
        raise UsageError(f"--compare {compare}: not two policies", hint="cnnselect,greedy")
    return policy.strip(), baseline.strip()


def _networks(
    names: list[str],
    payload: float,
    reply: float,
    rtt: float,
    jitter: float,
    connection: Literal["warm", "fresh"],
    idle: float,
) -> list[Network]:
    from edgewise.network.catalogue import Carried, resolve
    from edgewise.network.link import Connection

    carried = Carried(payload, reply, rtt, jitter, Connection(connection, idle))
    return [resolve(name, carried) for name in names]


def _setups(
    profiles: list[str],
    which: Wanted,
    networks: list[Network],
    published: bool | None,
    requests: int,
    seed: int,
    duplicate: str | None,
    device: str | None,
) -> list[Setup]:
    from edgewise.network.link import Pair
    from edgewise.selection.profiles.sources import load
    from edgewise.selection.workload.setup import Setup

    here = _device(duplicate, device) if duplicate else None
    sources = [load(where, target=which) for where in profiles]
    return [
        Setup(
            table=source.table,
            network=network,
            published=isinstance(network, Pair) if published is None else published,
            requests=requests,
            seed=seed,
            samples=source.samples,
            duplicate=here,
        )
        for source, network in product(sources, networks)
    ]


def _device(text: str, device: str | None) -> Profile:
    """The duplicate's profile from `PROFILES:MODEL`."""
    from edgewise.selection.profiles.sources import load

    where, _, model = text.rpartition(":")
    if not where:
        raise UsageError(f"--duplicate {text}", hint="PROFILES:MODEL, such as pixel3:SqueezeNet")
    table = load(where, target=arguments.wanted(device)).table
    return table.profiles[table.index(model)]


def _load(arrivals: str | None, workers: int, discipline: Literal["fcfs", "edf"]) -> Load | None:
    """What queues, None: nothing does."""
    if arrivals is None:
        for option, given in (("--workers", workers != 1), ("--discipline", discipline != "fcfs")):
            if given:
                raise UsageError(f"{option} without --arrivals", hint="--arrivals poisson:80")
        return None
    from edgewise.selection.engine.cases import Load
    from edgewise.selection.workload.arrivals import parse

    return Load(parse(arrivals), workers, discipline)


def _noting(setups: Sequence[Setup]) -> Callable[[SimulationRow], SimulationRow]:
    """Adds to a row what was chosen of a store, and left out, to get its profiles."""
    from msgspec.structs import replace

    said = {setup.table.name: setup.table.notes for setup in setups}

    def noting(row: SimulationRow) -> SimulationRow:
        notes = said.get(row.profiles or "", ())
        return replace(row, notes=(*row.notes, *notes)) if notes else row

    return noting


def _runs(
    setups: Sequence[Setup],
    names: Sequence[str],
    deadlines: Sequence[float],
    load: Load | None,
    jobs: int,
) -> Iterator[SimulationRow]:
    """Rows in the order of set-ups, deadlines and policies."""
    if load is None:
        from edgewise.selection.engine.simulate import sweep
        from edgewise.selection.policies.registry import parse_all

        return sweep(setups, parse_all(names), deadlines, jobs)
    return _queued(setups, names, deadlines, load, jobs)


def _queued(
    setups: Sequence[Setup],
    names: Sequence[str],
    deadlines: Sequence[float],
    load: Load,
    jobs: int,
) -> Iterator[SimulationRow]:
    from edgewise.selection.engine import queueing

    policies: Sequence[AnyPolicy] = queueing.parse_all(names)
    for setup in setups:
        cases = [(policy, sla_ms, load) for sla_ms in deadlines for policy in policies]
        yield from queueing.run_many(setup, cases, jobs)


def _draw(
    rows: list[SimulationRow],
    setups: list[Setup],
    deadlines: list[float],
    path: Path,
    *,
    load: bool,
) -> None:
    """The picture; without load the oracle is simulated for it, to show the regret."""
    from edgewise.report.curves import policy_curves, write_picture
    from edgewise.selection.engine.simulate import sweep
    from edgewise.selection.policies.published import Oracle

    if not load and all(row.policy != Oracle.kind for row in rows):
        rows = [*rows, *sweep(setups, [Oracle()], deadlines)]
    write_picture(policy_curves(rows), path)
