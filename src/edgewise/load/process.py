"""One process of a load: all that is known before its first request, and how it sends them."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from edgewise.load.device import Sending
from edgewise.load.generator import Generator
from edgewise.load.placing import kept_on, urgent
from edgewise.load.schedule import Schedule
from edgewise.load.settings import LoadSettings
from edgewise.protocol.http import prepared as encoding
from edgewise.protocol.http.attempt import Attempt
from edgewise.protocol.http.prepared import Body
from edgewise.protocol.http.target import ServerAbout, Target
from edgewise.protocol.inputs import Inputs

#: Told how many requests ended since it was told last.
Advance = Callable[[int], None]


@dataclass(frozen=True, eq=False)
class Prepared:
    """All that is known before the first request: what to send, when, where to."""

    settings: LoadSettings
    target: Target
    server: ServerAbout
    inputs: Inputs
    bodies: list[Body]
    schedule: Schedule


def alone(
    prepared: Prepared,
    mine: Callable[[int], bool] = lambda client: True,
    start: Callable[[], float] | None = None,
    advance: Advance | None = None,
    stoppable: Callable[[Callable[[], None]], None] | None = None,
) -> tuple[float, list[Attempt], bool]:
    """Send the requests of the clients that are `mine` from this process: when it started, what
    ended, and whether it was interrupted: by Ctrl-C or, from any thread, by the function that
    `stoppable` is given.

    Raises:
        InputError: the connection is refused.
    """
    settings = prepared.settings
    with (
        kept_on(settings.cores),
        urgent(wanted=settings.realtime),
        asyncio.Runner(loop_factory=_fast_loop()) as runner,
    ):
        return runner.run(_drive(prepared, mine, start, advance, stoppable))


async def _drive(
    prepared: Prepared,
    mine: Callable[[int], bool],
    start: Callable[[], float] | None,
    advance: Advance | None,
    stoppable: Callable[[Callable[[], None]], None] | None,
) -> tuple[float, list[Attempt], bool]:
    loop = asyncio.get_running_loop()
    generator = Generator(
        prepared.settings, prepared.schedule, prepared.target, sending_of(prepared), mine
    )
    interrupted = False

    def stop() -> None:
        nonlocal interrupted
        interrupted = True
        generator.stop()

    def stop_soon() -> None:
        with suppress(RuntimeError):  # the loop is closed: all is done
            loop.call_soon_threadsafe(stop)

    if stoppable is not None:
        stoppable(stop_soon)
    with _on_interrupt(loop, stop):
        start_ms, exchanges = await generator.run(start, advance)
    return start_ms, exchanges, interrupted


@contextmanager
def _on_interrupt(loop: asyncio.AbstractEventLoop, stop: Callable[[], None]) -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    try:
        loop.add_signal_handler(signal.SIGINT, stop)
    except (NotImplementedError, ValueError, RuntimeError):
        # Only the main thread gets signals; elsewhere whoever started the thread stops it.
        yield
        return
    try:
        yield
    finally:
        # uvloop would leave its own handler behind, and the next Ctrl-C would do nothing.
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, before)


def sending_of(prepared: Prepared) -> Sending:
    """What all requests of a prepared load have in common.

    Raises:
        InputError: the certificates cannot be read.
    """
    settings, target, binary = prepared.settings, prepared.target, prepared.server.binary
    keep = settings.connection == "warm"
    labels = prepared.inputs.labels
    path = target.infer_path(settings.model)
    return Sending(
        head=encoding.head(path, target.authority, target.token, binary=binary, keep=keep),
        bodies=prepared.bodies,
        labels=None if labels is None else labels.tolist(),
        sla_ms=settings.sla_ms,
        binary=binary,
        edgewise=prepared.server.edgewise,
        keep=keep,
        tls=target.context(),
        server_name=target.host,
    )


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
