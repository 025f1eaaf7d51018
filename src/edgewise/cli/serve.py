"""The verb `serve`: a family behind the Open Inference Protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from edgewise.cli import arguments, output
from edgewise.errors import UsageError
from edgewise.extras import check

if TYPE_CHECKING:
    from edgewise.server.main import Listening
    from edgewise.server.settings import ServerSettings

_MB = 1024 * 1024
_MOST_BYTES = 1 << 60


def serve(
    families: list[Path] = typer.Argument(
        metavar="FAMILY.toml|MODEL…", help="What to serve: families, or a model file alone."
    ),
    host: str = typer.Option("127.0.0.1", "--host", help="Address to listen on."),
    port: int = typer.Option(8080, "--port", help="HTTP; 0: any free one."),
    grpc_port: int | None = typer.Option(
        None, "--grpc-port", help="gRPC; 0: any free one; without it there is no gRPC."
    ),
    token: str | None = typer.Option(
        None, "--token", envvar="EDGEWISE_TOKEN", help="Callers must show it (Bearer)."
    ),
    certificate: Path | None = typer.Option(None, "--certificate", help="TLS: a PEM file."),
    key: Path | None = typer.Option(None, "--key", help="TLS: its private key, a PEM file."),
    insecure: bool = typer.Option(
        False, "--insecure", help="Serve other machines without a token."
    ),
    workers: int = typer.Option(0, "--workers", help="Worker processes; 0: one per core."),
    threads: int | None = typer.Option(
        None, "--threads", min=1, help="Threads of one inference, and of a store's profiles.  [1]"
    ),
    policy: str = typer.Option("deadline", "--policy", help="As in `simulate`."),
    sla: float | None = typer.Option(
        None, "--sla", help="Deadline in ms for requests that state none."
    ),
    profiles: str | None = typer.Option(
        None,
        "--profiles",
        help="Times to start from: a store, which has the accuracies too, or a CSV; else measured "
        "at start.",
    ),
    device: str | None = arguments.DEVICE,
    server: str | None = arguments.SERVER,
    runtime: str | None = arguments.RUNTIME,
    delegate: str | None = arguments.DELEGATE,
    target: str | None = arguments.TARGET,
    state: Path | None = typer.Option(
        None, "--state", help="Folder where learned profiles are kept between runs."
    ),
    decisions: str | None = typer.Option(
        None, "--decisions", help="Store that the decision log goes to."
    ),
    memory: float | None = typer.Option(
        None, "--memory", help="MB that variants may take in all workers together."
    ),
    batch: int = typer.Option(1, "--batch", help="Largest batch; no deadline is broken for one."),
    body: float = typer.Option(64.0, "--body", help="Largest request body in MB."),
    connections: int = typer.Option(4096, "--connections", help="Most open connections."),
    drain: float = typer.Option(30.0, "--drain", help="Seconds to finish in after SIGTERM."),
    log: Literal["requests", "errors", "off"] = typer.Option(
        "errors", "--log", help="What is logged, as JSON on standard error."
    ),
    ray: bool = typer.Option(False, "--ray", help="Variants as replicas on a Ray cluster."),
    ray_address: str | None = typer.Option(
        None, "--ray-address", help="A running cluster; without it a local one is started."
    ),
    seed: int = typer.Option(0, "--seed", help="For policies that draw lots."),
    as_json: bool = typer.Option(False, "--json", help="Say where it listens as a line of JSON."),
) -> None:
    """Serve families: per request the most accurate variant that still meets its deadline."""
    from edgewise.server.settings import Limits, ServerSettings

    arguments.check_wanted(
        arguments.wanted(server or device, runtime, delegate, target=target), [profiles or ""]
    )
    settings = ServerSettings(
        host=host,
        port=port,
        grpc_port=grpc_port,
        token=token,
        certificate=certificate,
        key=key,
        insecure=insecure,
        workers=workers,
        threads=threads or 1,
        policy=policy,
        sla_ms=sla,
        memory_bytes=None if memory is None else _bytes("--memory", memory),
        batch=batch,
        state=state,
        decisions=decisions,
        profiles=profiles,
        target=arguments.wanted(server or device, runtime, delegate, threads, target=target),
        drain_seconds=drain,
        seed=seed,
        log=log,
        limits=Limits(body_bytes=_bytes("--body", body), connections=connections),
    )
    _run(families, settings, ray=ray, ray_address=ray_address, as_json=as_json)


def _bytes(option: str, megabytes: float) -> int:
    if not 0 < megabytes * _MB < _MOST_BYTES:
        raise UsageError(f"{option} {megabytes:g}", hint="in MB, above 0")
    return int(megabytes * _MB)


def _run(
    families: list[Path],
    settings: ServerSettings,
    *,
    ray: bool,
    ray_address: str | None,
    as_json: bool,
) -> None:
    def say(at: Listening) -> None:
        if as_json:
            output.emit(at.to_dict())
            return
        screen = output.console()
        screen.print(f"serving {', '.join(at.families)} on [bold]{at.http}[/bold]")
        if at.grpc:
            screen.print(f"gRPC on [bold]{at.grpc}[/bold]")
        screen.print(f"status page: {at.http}/   stop: Ctrl-C", style="dim")
        for note in at.notes:
            screen.print(f"note: {note}", style="dim", markup=False)

    check(["serve", *(["ray"] if ray else []), *(["store"] if settings.decisions else [])], "serve")
    if ray:
        from edgewise.server import cluster as on_ray

        on_ray.run(families, settings, say, address=ray_address)
        return
    if ray_address is not None:
        raise UsageError("--ray-address without --ray")
    from edgewise.server import main as server

    server.run(families, settings, say)
