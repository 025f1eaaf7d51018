"""The verb `bench`: measure models on devices."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

from edgewise.cli import output
from edgewise.cli.arguments import parse_numbers, parse_option, parse_shape, parse_words
from edgewise.cli.bench_print import announce, print_comparisons
from edgewise.cli.bench_table import print_table
from edgewise.errors import EdgewiseError, UsageError

if TYPE_CHECKING:
    from edgewise.bench.plan import Plan
    from edgewise.devices.contract import Options
    from edgewise.records import Measurement, Target


def bench(
    files: list[str] = typer.Argument(
        help="Model files, folders to search, or files inside packages: app.apk!/assets/m.tflite."
    ),
    device: str = typer.Option(
        "host", help="Where to measure (see `edgewise devices`); several with commas."
    ),
    runtime: str = typer.Option(
        "auto", help="auto, or names (see `edgewise devices`); several are compared: a,b."
    ),
    delegate: str | None = typer.Option(
        None, help="How a runtime computes (see `edgewise devices`); several with commas."
    ),
    threads: str = typer.Option("1", help="Threads, such as 1,2,4."),
    batch: str = typer.Option("1", help="Items per call, such as 1,4."),
    affinity: str | None = typer.Option(None, help="CPUs to pin to, such as 0,1."),
    shape: list[str] = typer.Option(
        [], "--shape", metavar="NAME=1x3x224x224", help="Shape of an input; repeatable."
    ),
    input_path: Path | None = typer.Option(
        None, "--input", metavar="FILE.npy", help="Inputs, instead of random ones; .npz by name."
    ),
    quick: bool = typer.Option(False, "--quick", help="A first look: 3 processes, 20 runs each."),
    processes: int | None = typer.Option(None, help="Fresh processes that time runs.  [5]"),
    load_processes: int | None = typer.Option(
        None, help="Fresh processes for load and first inference.  [10]"
    ),
    evicted_processes: int | None = typer.Option(
        None, help="The same with the file evicted from the page cache.  [10]"
    ),
    runs: int | None = typer.Option(None, help="At least so many runs per process.  [100]"),
    min_time: float | None = typer.Option(None, help="At least so many seconds each.  [1]"),
    max_time: float | None = typer.Option(
        None, help="At most so many seconds for all processes of a target; wins.  [150]"
    ),
    warmup: int | None = typer.Option(None, help="Warm-up runs.  [until steady]"),
    timeout: float | None = typer.Option(
        None, help="Seconds a process may need beyond its runs.  [60]"
    ),
    memory_mb: int | None = typer.Option(
        None, "--memory", help="MB of private memory a process may use.  [all there are]"
    ),
    seed: int = typer.Option(0, help="Of the random inputs, and of the order of processes."),
    profile: bool = typer.Option(False, "--profile", help="Times per layer, by its own profiler."),
    samples: bool = typer.Option(False, "--samples", help="With --json: every timed run."),
    all_notes: bool = typer.Option(False, "--notes", help="All notes, not one line of them."),
    binary: Path | None = typer.Option(
        None, "--binary", help="Phones: the benchmark_model to run there."
    ),
    screen: Literal["keep", "off"] | None = typer.Option(
        None, help="Phones: keep it on, or off where the frequency holds."
    ),
    cool_to: float | None = typer.Option(
        None, "--cool-to", help="Phones: wait before each process until they are this cool, in °C."
    ),
    pause: float = typer.Option(0.0, help="Phones: seconds between processes."),
    detached: bool = typer.Option(
        False, "--detached", help="Phones: run without the connection, collect afterwards."
    ),
    hub: str | None = typer.Option(
        None, metavar="LOCATION:PORT", help="With --detached: cut this USB port's power (uhubctl)."
    ),
    reconnect: float = typer.Option(
        60.0, help="Seconds that a phone may stay away before it is given up."
    ),
    cpus: list[str] = typer.Option(
        [], "--cpus", metavar="big|little|0-3", help="CPUs to pin to; repeated, each is measured."
    ),
    compare: bool = typer.Option(
        False, "--compare", help="Each against the first, with an interval of the ratio."
    ),
    rate: float | None = typer.Option(
        None, help="Inferences a second at most, with pauses between them.  [back to back]"
    ),
    scenario: str | None = typer.Option(
        None, help="Paced as a scenario is (see `edgewise scenarios`)."
    ),
    option: list[str] = typer.Option(
        [], "--option", metavar="NAME=VALUE", help="A runtime's own (see `edgewise devices`)."
    ),
    sustained: float | None = typer.Option(
        None, help="One process more infers for so many seconds: first minute against last."
    ),
    meter: str | None = typer.Option(
        None, help="Energy too: rapl, battery, jetson, odpm; or model:NAME, a declared power."
    ),
    meter_root: Path = typer.Option(Path("/"), help="Where the meter's sysfs is."),
    energy_time: float = typer.Option(
        10.0, help="With --meter: seconds of idling, of inference, of idling again, each."
    ),
    packages: Path | None = typer.Option(
        None, help="Browser: serve LiteRT.js and onnxruntime-web from this node_modules folder."
    ),
    listen: str | None = typer.Option(
        None, metavar="ADDRESS:PORT", help="Browser: where the page is served to the network."
    ),
    plain: bool = typer.Option(
        False, "--plain", help="Browser: plain http to the network: one thread, a coarse clock."
    ),
    link_out: Path | None = typer.Option(
        None, "--link-out", metavar="FILE.toml", help="Browser: its link to here, for place --link."
    ),
    resume: bool = typer.Option(
        False, "--resume", help="Leave out what the store has from an earlier run."
    ),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
    store: str | None = typer.Option(None, "--store", help=output.STORE_HELP),
    quiet: bool = typer.Option(False, "--quiet", help=output.QUIET_HELP),
) -> int:
    """Measure models on a device: load, first and repeated inference, memory."""
    from edgewise.bench import comparing
    from edgewise.bench.plan import QUICK, Plan, Settings

    if scenario is not None:
        from edgewise.energy import scenarios

        used_so = scenarios.scenario(scenario)
        rate = used_so.rate_hz if rate is None else rate
        option = [*used_so.options, *option]
    plan = Plan(
        paths=tuple(dict.fromkeys(files)),
        devices=parse_words(device),
        runtimes=parse_words(runtime),
        delegates=parse_words(delegate or ""),
        threads=parse_numbers("--threads", threads),
        batches=parse_numbers("--batch", batch),
        affinity=None if affinity is None else parse_numbers("--affinity", affinity),
        cpus=tuple(dict.fromkeys(cpus)),
        shapes={name: tuple(dims) for name, dims in map(parse_shape, shape)},
        input_path=input_path,
        runtime_options=tuple(map(parse_option, option)),
        settings=QUICK if quick else Settings(),
        options=_options(
            binary=binary, screen=screen, cool_to_c=cool_to, pause_s=pause, detached=detached,
            hub=hub, reconnect_s=reconnect, packages=packages, listen=listen, plain=plain,
            on_link=None if link_out is None else _link_writer(link_out),
        ),
    )  # fmt: skip
    changed = {
        "processes": processes, "load_processes": load_processes,
        "evicted_processes": evicted_processes, "runs": runs, "min_time_s": min_time,
        "max_time_s": max_time, "warmup_runs": warmup, "timeout_s": timeout,
        "memory_bytes": None if memory_mb is None else memory_mb * 1_000_000,
        "rate_hz": rate, "meter": meter, "meter_root": meter_root, "energy_s": energy_time,
        "sustained_s": sustained,
    }  # fmt: skip
    given = {name: value for name, value in changed.items() if value is not None}
    plan = plan.with_settings(**given, seed=seed, profile=profile)
    if compare and processes is None and not quick:
        plan = plan.with_settings(processes=comparing.ROUNDS)
    if samples and not as_json:
        raise UsageError("--samples goes with --json", hint="a store keeps every sample anyway")
    if resume:
        if not store:
            raise UsageError("--resume goes with --store")
        plan = dataclasses.replace(plan, done=_done(store))
    found = _measure(
        plan, store, as_json=as_json, samples=samples, quiet=quiet, all_notes=all_notes
    )
    if compare:
        compared = comparing.against_first(found)
        if as_json:
            for each in compared:
                output.emit({"comparison": each})
        else:
            print_comparisons(compared)
    return 1 if any(_all_failed(path, found) for path in plan.paths) else 0


def _options(**given: Any) -> Options:
    """The devices' options.

    Raises:
        UsageError: a file is not there, or an option lacks the one that it goes with.
    """
    from edgewise.devices.contract import Options

    if given["binary"] is not None and not given["binary"].is_file():
        raise UsageError(f"--binary {given['binary']}: no such file")
    if given["hub"] is not None and not given["detached"]:
        raise UsageError("--hub goes with --detached: without power there is no connection")
    return Options(**given)


def _link_writer(file: Path) -> Callable[[Sequence[Sequence[float]]], None]:
    """Writes what a phone saw of its link to here as a file that `place --link` takes."""
    from edgewise.network.estimate import Observation
    from edgewise.network.measured import measure
    from edgewise.placement.own_link import as_toml

    output.check_writable(file, "--link-out", (".toml",))

    def write(observations: Sequence[Sequence[float]]) -> None:
        try:
            seen = measure(
                [Observation(int(a), int(b), waited, read) for a, b, waited, read in observations]
            )
            file.write_text(as_toml([seen.profile(file.stem)]), encoding="utf-8")
        except (EdgewiseError, OSError) as error:
            typer.echo(f"edgewise: --link-out {file}: {error}", err=True)

    return write


def _done(url: str) -> frozenset[tuple[str, Target]]:
    """Files and targets that a store has a good measurement of; none where there is no store."""
    from edgewise.errors import StoreError
    from edgewise.store import Store

    try:
        stored = Store.open(url).measurements()
    except StoreError:
        return frozenset()
    return frozenset(
        (each.sha256, each.target)
        for each in stored
        if each.status == "ok"
        and each.sha256
        and not any(note.startswith("interrupted:") for note in each.notes)
    )


def _measure(
    plan: Plan, store: str | None, *, as_json: bool, samples: bool, quiet: bool, all_notes: bool
) -> list[Measurement]:
    """Measure; what is complete is printed and stored at once."""
    from edgewise.bench.run import measure

    found: list[Measurement] = []
    with output.kept_in(store, at_once=True) as keep:

        def done(measurement: Measurement) -> None:
            found.append(measurement)
            keep(measurement)
            if as_json:
                output.emit(_as_json(measurement, samples))

        try:
            with output.progress("bench", None, quiet=quiet, store=store) as advance:

                def step(total: int, next_model: str) -> None:
                    advance(next_model.rpartition("/")[2], total=total)

                start = None if quiet or as_json else announce
                found[:] = measure(plan, on_result=done, progress=step, on_start=start)
        finally:
            if not as_json and found:
                print_table(output.console(), found, all_notes=all_notes)
    return found


def _all_failed(path: str, found: Sequence[Measurement]) -> bool:
    """The user named this path, and nothing could be measured of it. In a folder: a finding."""
    statuses = [each.status for each in found if each.model == path]
    return bool(statuses) and "ok" not in statuses


def _as_json(measurement: Measurement, samples: bool) -> dict[str, object]:
    """The record without its raw samples; those timed as `samples_ms` where asked for."""
    import msgspec

    fields: dict[str, object] = msgspec.to_builtins(
        msgspec.structs.replace(measurement, samples=())
    )
    del fields["samples"]
    if fields["layer_times"] is None:
        del fields["layer_times"]
    if not measurement.target.options:
        del fields["target"]["options"]  # type: ignore[attr-defined]
    if samples:
        timed = (sample for sample in measurement.samples if sample.phase == "timed")
        fields["samples_ms"] = [sample.ms for sample in timed]
    return fields
