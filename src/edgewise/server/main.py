"""`edgewise serve`: everything of a service in one process, from start to the last answer.

SIGTERM and SIGINT drain: the ports stop accepting, what was accepted is answered, learned times
are saved. SIGHUP reads the families again.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgewise.errors import EdgewiseError, MissingExtra
from edgewise.server.inventory import Live, ProfileNow, Sources
from edgewise.server.pending import now_ms
from edgewise.server.service import Service
from edgewise.server.settings import ServerSettings
from edgewise.server.setup import Cluster, Deployment

_log = logging.getLogger("edgewise.server")
#: How often learned times are saved.
_SAVE_SECONDS = 60.0
_SWITCH_SECONDS = 0.001


@dataclass(frozen=True)
class Listening:
    """Where a service can be reached. `grpc` is host:port, None where it is off. `notes` say what
    was chosen of a store for the profiles to start from, and left out."""

    http: str
    grpc: str | None
    families: tuple[str, ...]
    models: tuple[str, ...]
    workers: int
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


Say = Callable[[Listening], None]


def run(
    families: Sequence[Path], settings: ServerSettings, say: Say, cluster: Cluster | None = None
) -> None:
    """Serve until a signal ends it.

    Args:
        families: family files.
        settings: how.
        say: told once, when requests are welcome.
        cluster: where variants run, None: worker processes of this machine.

    Raises:
        MissingExtra: a part that serving needs is not installed.
        EdgewiseError: as `Deployment.start`, or an address cannot be had.
    """
    try:
        import uvloop
    except ImportError as error:
        raise MissingExtra("serve", "serving") from error
    # A scrape or a thread of the log may hold the interpreter so long, not the default's 5 ms.
    sys.setswitchinterval(_SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_Server(families, settings, cluster).serve(say))


class _Server:
    def __init__(
        self, families: Sequence[Path], settings: ServerSettings, cluster: Cluster | None
    ) -> None:
        self._settings = settings
        self._deployment = Deployment(families, settings, cluster)
        self._stop = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, say: Say) -> None:
        """From start to end."""
        from edgewise.server.operations.assembly import Operations
        from edgewise.server.operations.decisions import DecisionLog
        from edgewise.server.operations.logs import JsonLog

        settings = self._settings
        # Before anything slow: a signal during the start ends it cleanly too.
        self._watch_signals()
        service = await self._started()
        if service is None:
            return
        log = JsonLog(requests=settings.log)
        logging.getLogger().addHandler(log.handler())
        operations = Operations(
            self._sources(),
            log=log,
            decisions=DecisionLog(settings.decisions, settings.policy)
            if settings.decisions
            else None,
        )
        for listener in operations.listeners:
            service.subscribe(listener)
        self._deployment.announce()
        try:
            await self._doors(operations, say)
        finally:
            await self._deployment.close()
            await asyncio.to_thread(operations.close)

    async def _started(self) -> Service | None:
        """The service, None where a signal came first."""
        loop = asyncio.get_running_loop()
        start = loop.create_task(self._deployment.start())
        stop = loop.create_task(self._stop.wait())
        await asyncio.wait((start, stop), return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if start.done():
            return start.result()
        start.cancel()
        await asyncio.gather(start, return_exceptions=True)
        return None

    async def _doors(self, operations: Any, say: Say) -> None:
        """Open the ports, wait for the end, close them without losing a request."""
        from edgewise.server.http.app import App
        from edgewise.server.http.server import serve_http

        settings, service = self._settings, self._deployment.service
        app = App(
            service,
            settings,
            metrics=operations.metrics,
            page=operations.page,
            snapshot=operations.snapshot,
        )
        http = await serve_http(app, settings)
        grpc = None
        if settings.grpc_port is not None:
            from edgewise.server.grpc.server import serve_grpc

            grpc = await serve_grpc(service, settings, statistics=app.statistics)
        # Nothing of the start is garbage: no collection has to look at it again, nor the end.
        gc.collect()
        gc.freeze()
        say(
            Listening(
                http=http.url,
                grpc=f"{settings.host}:{grpc.port}" if grpc else None,
                families=tuple(service.catalogue.families),
                models=tuple(service.model_names()),
                workers=settings.worker_count,
                notes=self._deployment.notes,
            )
        )
        self._spawn(self._save_now_and_then())
        await self._stop.wait()
        service.start_draining(settings.drain_seconds)
        ends: list[Awaitable[object]] = [http.drain(settings.drain_seconds)]
        if grpc is not None:
            ends.append(grpc.drain(settings.drain_seconds))
        await asyncio.gather(*ends)
        await service.drain(1.0)
        for task in self._tasks:
            task.cancel()
        self._save()

    # -- signals -----------------------------------------------------------------------------------

    def _watch_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop.set)
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)

    def _reload_soon(self) -> None:
        self._spawn(self._reload())

    async def _reload(self) -> None:
        try:
            await self._deployment.reload()
        except EdgewiseError as error:
            _log.error("the families were not read again, all is as before: %s", error)

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- what was learned --------------------------------------------------------------------------

    async def _save_now_and_then(self) -> None:
        while self._settings.state is not None:
            await asyncio.sleep(_SAVE_SECONDS)
            self._save()

    def _save(self) -> None:
        try:
            self._deployment.save()
        except OSError as error:
            _log.error("learned times could not be saved in %s: %s", self._settings.state, error)

    # -- what operators see ------------------------------------------------------------------------

    def _sources(self) -> Sources:
        return Sources(
            live=self._live,
            profiles=self._profiles,
            workers=self._settings.worker_count,
            policy=self._settings.policy,
            memory_budget_bytes=self._settings.memory_bytes,
        )

    def _live(self) -> Live:
        service = self._deployment.service
        return Live(
            queue_length=service.scheduler.queue_length,
            backlog_ms=service.scheduler.backlog_ms(now_ms()),
            workers_busy=service.running,
            set_aside=self._deployment.set_aside(),
        )

    def _profiles(self) -> list[ProfileNow]:
        found: list[ProfileNow] = []
        service = self._deployment.service
        for name in service.catalogue.families:
            at_start = self._deployment.profiles_at_start(name)
            start_ms = dict(zip(at_start.models, at_start.mean_ms.tolist(), strict=True))
            found += [
                ProfileNow(
                    family=name,
                    variant=profile.model,
                    accuracy=service.catalogue.families[name]
                    .variants[profile.model]
                    .variant.accuracy,
                    mean_ms=profile.mean_ms,
                    start_mean_ms=start_ms.get(profile.model, profile.mean_ms),
                    n=(profile.n or 0) if profile.origin == "learned" else 0,
                )
                for profile in service.scheduler.profiles(name).profiles
            ]
        return found
