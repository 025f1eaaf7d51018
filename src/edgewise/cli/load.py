"""The verb `load`: drive a running service and report what it delivered."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from edgewise.cli import output
from edgewise.cli.arguments import parse_numbers, parse_words

if TYPE_CHECKING:
    from rich.table import Table

    from edgewise.load.settings import LoadSettings
    from edgewise.records import Distribution, LoadRun

_INTERRUPTED = 130


def load(
    url: str = typer.Argument(help="A server of the Open Inference Protocol, http or https."),
    model: str = typer.Option(..., "--model", help="A family or a variant that it serves."),
    inputs: list[Path] = typer.Option(
        ..., "--input", help="A folder of images (or one per class), an npz file, or images."
    ),
    arrivals: str = typer.Option(
        "poisson:10", "--arrivals", metavar="poisson:80|gamma:80,4|trace:FILE", help="Per second."
    ),
    requests: int | None = typer.Option(None, "--requests", help="How many after the warm-up."),
    seconds: float | None = typer.Option(None, "--seconds", help="How long after the warm-up."),
    sla: float | None = typer.Option(
        None, "--sla", help="Deadline in ms from the intended send time to the last byte back."
    ),
    link: str = typer.Option(
        "", "--link", metavar="A,B,…", help="Links by name, or traces; clients take turns."
    ),
    clients: int = typer.Option(1, "--clients", help="Each with a link of its own."),
    connection: Literal["warm", "fresh"] = typer.Option(
        "warm", "--connection", help="One that stays open, or one for each request."
    ),
    warmup: float = typer.Option(0.0, "--warmup", help="Seconds that are not counted."),
    timeout: float = typer.Option(10.0, "--timeout", help="Seconds until a request has failed."),
    seed: int = typer.Option(0, "--seed", min=0, help="Same seed, same requests."),
    token: str | None = typer.Option(None, "--token", envvar="EDGEWISE_TOKEN", help="Bearer."),
    ca: Path | None = typer.Option(None, "--ca", help="Certificates that vouch for the server."),
    labels: Path | None = typer.Option(
        None, "--labels", help="Names of the classes, one per line, for folders named by class."
    ),
    processes: int = typer.Option(1, "--processes", help="More where one lags."),
    cores: str = typer.Option(
        "", "--cores", metavar="A,B,…", help="Keep the generator on these, off the service's."
    ),
    realtime: bool = typer.Option(
        True, "--realtime/--no-realtime", help="Before other work, where the system allows it."
    ),
    wait: float = typer.Option(
        0.0, "--wait", help="Seconds to wait until the service is there and ready."
    ),
    samples: bool = typer.Option(False, "--samples", help="Keep every request in the record."),
    as_json: bool = typer.Option(False, "--json", help=output.JSON_HELP),
    store: str | None = typer.Option(None, "--store", help=output.STORE_HELP),
    quiet: bool = typer.Option(False, "--quiet", help=output.QUIET_HELP),
) -> int:
    """Drive a running service with an open loop; what was late or refused counts as missed."""
    from edgewise.load.settings import LoadSettings

    settings = LoadSettings(
        url=url,
        model=model,
        inputs=tuple(inputs),
        arrivals=arrivals,
        requests=requests,
        seconds=seconds,
        warmup_s=warmup,
        sla_ms=sla,
        links=parse_words(link),
        clients=clients,
        connection=connection,
        timeout_s=timeout,
        seed=seed,
        token=token,
        ca=ca,
        labels=labels,
        processes=processes,
        cores=parse_numbers("--cores", cores) if cores else (),
        realtime=realtime,
        samples=samples,
    )
    if wait:
        from edgewise.protocol.http.target import parse

        parse(url, token, ca).await_model(model, wait)
    with output.kept_in(store, at_once=True) as keep:
        run = _run(settings, quiet=quiet, store=store)
        keep(run)
        if as_json:
            output.emit(run)
        else:
            _print(run)
    return _INTERRUPTED if run.status == "interrupted" else 0


def _run(settings: LoadSettings, *, quiet: bool, store: str | None) -> LoadRun:
    from concurrent.futures import ThreadPoolExecutor

    from edgewise.load.run import carry_out, prepare

    prepared = prepare(settings)
    with (
        output.progress("load", len(prepared.schedule), quiet=quiet, store=store) as advance,
        ThreadPoolExecutor(1) as aside,  # a disk must not make the generator late
    ):

        def tell(ended: int) -> None:
            aside.submit(advance, None, ended)

        return carry_out(prepared, tell)


def _print(run: LoadRun) -> None:
    screen = output.console()
    screen.print(run_table(run))
    if run.status == "void":
        screen.print(f"void: {run.reason}", style="bold red", markup=False)
    elif run.reason:
        screen.print(f"{run.status}: {run.reason}", markup=False)
    for note in run.notes:
        screen.print(note, markup=False)


def run_table(run: LoadRun) -> Table:
    """What a run delivered, for people: a name and a value per row."""
    from rich.table import Table

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(style="bold")
    table.add_column()
    for name, value in _rows(run):
        table.add_row(name, value)
    return table


def _rows(run: LoadRun) -> list[tuple[str, str]]:
    failed = sum(run.failed.values())
    rows = [
        ("offered", f"{run.requests} requests in {run.duration_s:.1f} s, {run.arrivals}: "
                    f"{run.offered_per_s:.1f} per s over {', '.join(run.links) or 'no link'}"),
        ("answered", f"{run.answered} ({run.achieved_per_s:.1f} per s), {run.refused} refused, "
                     f"{failed} failed{_kinds(run)}"),
    ]  # fmt: skip
    if run.attainment is not None:
        rows.append((
            "in time", f"{output.percent(100 * run.attainment, 2)}"
            f"{_interval(run.attainment_ci95, 100)} within {run.sla_ms:g} ms, "
            f"{run.goodput_per_s or 0:.1f} per s",
        ))  # fmt: skip
    rows.append(("accuracy", _accuracies(run)))
    rows.append(("latency", _quantiles(run.latency_ms)))
    if run.refusal_ms.n:
        rows.append(("refusals", _quantiles(run.refusal_ms)))
    if run.queue_ms is not None:
        rows.append(("of it, mean", f"network {output.milliseconds(run.network_ms)}, "
                     f"queue {output.milliseconds(run.queue_ms)}, "
                     f"preprocess {output.milliseconds(run.preprocess_ms)}, "
                     f"inference {output.milliseconds(run.inference_ms)}"))  # fmt: skip
    if run.usage:
        shares = sorted(run.usage.items(), key=lambda item: -item[1])
        rows.append(("variants", ", ".join(f"{name} {100 * part:.1f} %" for name, part in shares)))
    rows.append(("generator", f"late by {run.lag_p99_ms:.2f} ms at p99"))
    return rows


def _kinds(run: LoadRun) -> str:
    kinds = ", ".join(f"{kind} {count}" for kind, count in run.failed.items())
    return f" ({kinds})" if kinds else ""


def _accuracies(run: LoadRun) -> str:
    parts = []
    if run.accuracy is not None:
        interval = _interval(run.effective_ci95, 1)
        parts += [
            f"{output.percent(run.accuracy, 2)} stated",
            f"{output.percent(run.effective_accuracy, 2)}{interval} right in time",
        ]
    if run.measured_accuracy is not None:
        parts += [
            f"{output.percent(run.measured_accuracy, 2)} measured",
            f"{output.percent(run.measured_effective_accuracy, 2)} right in time",
        ]
    return ", ".join(parts) or "–"


def _quantiles(times: Distribution) -> str:
    known = [("median", times.p50), ("p90", times.p90), ("p95", times.p95), ("p99", times.p99)]
    shown = [f"{name} {output.milliseconds(ms)}" for name, ms in known if ms is not None]
    return ", ".join(shown) or "–"


def _interval(interval: tuple[float, float] | None, scale: float) -> str:
    if interval is None:
        return ""
    return f" ({scale * interval[0]:.2f} … {scale * interval[1]:.2f})"
