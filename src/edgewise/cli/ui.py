"""The verb `ui`: the report over a live store."""

from __future__ import annotations

from contextlib import suppress

import typer

from edgewise.cli import output


def ui(
    store: str = typer.Argument(help="A folder or URL that verbs store to, also meanwhile."),
    host: str = typer.Option("127.0.0.1", "--host", help="Address to listen on."),
    port: int = typer.Option(8090, "--port", min=0, max=65535, help="0: any that is free."),
    token: str | None = typer.Option(
        None, "--token", envvar="EDGEWISE_TOKEN", help="Readers must show it; needed off loopback."
    ),
) -> None:
    """The report's page over a live store, made anew when the store changed. Ctrl-C ends it."""
    from edgewise.extras import check
    from edgewise.report.live import Server
    from edgewise.store import Store

    check(["report"], "ui")
    with Server(Store.open(store), host, port, token) as server:
        console = output.console()
        console.print(f"{store} on {server.url}", soft_wrap=True, markup=False, emoji=False)
        console.print("stop: Ctrl-C", style="dim")
        with suppress(KeyboardInterrupt):
            server.serve_forever()
