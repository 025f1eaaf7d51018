"""Worker processes that are kept alive: who dies is replaced."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from edgewise.errors import WorkerFailed
from edgewise.server.pool import frames
from edgewise.server.pool.channel import Answered
from edgewise.server.pool.frames import Command, Reply
from edgewise.server.pool.process import FROM_OUTSIDE, WorkerProcess

_log = logging.getLogger(__name__)
#: What a worker may take for its imports, on a machine that is short of everything.
START_S = 120.0
#: A worker that was ready is replaced at once. One that does not come to that is started again
#: after a pause, which doubles where nobody from outside killed it.
_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 10.0
_UNLIKELY = 3


class Crew:
    """A fixed number of workers, each with a process most of the time.

    `up` is called when a worker's process is ready for commands. `lost` is called when it died,
    with the cause in words and the variant that it was at; a replacement is then under way.
    """

    def __init__(
        self,
        size: int,
        prepare: Callable[[], frames.Prepare],
        up: Callable[[int], None],
        lost: Callable[[int, str, str | None], None],
    ) -> None:
        self._prepare = prepare
        self._up = up
        self._lost = lost
        self._processes: list[WorkerProcess | None] = [None] * size
        self._all: set[WorkerProcess] = set()
        self._failed_starts = [0] * size
        self._starting: dict[int, asyncio.Future[None]] = {}
        self._closed = False

    @property
    def pids(self) -> tuple[int | None, ...]:
        """Process ids by worker, None where there is no process just now."""
        return tuple(each.pid if each else None for each in self._processes)

    async def start(self) -> None:
        """Start all; returns when all are ready.

        Raises:
            WorkerFailed: one could not be started: why.
        """
        loop = asyncio.get_running_loop()
        self._starting = {worker: loop.create_future() for worker in range(len(self._processes))}
        for worker in self._starting:
            self._spawn(worker)
        try:
            await asyncio.gather(*self._starting.values())
        finally:
            for future in self._starting.values():
                future.cancel()
            self._starting = {}

    async def close(self) -> None:
        """Kill all. They keep nothing that could be lost."""
        self._closed = True
        for each in list(self._all):
            each.end("was ended with the service")
        for each in list(self._all):
            await each.ended()

    def process(self, worker: int) -> WorkerProcess | None:
        """A worker's process, None where it is being replaced."""
        return self._processes[worker]

    def ask(
        self,
        worker: int,
        command: Command,
        answered: Answered,
        *,
        about: str | None = None,
        seconds: float,
    ) -> None:
        """Have a worker do a command; `answered` gets its reply, on the loop, later."""
        process = self._processes[worker]
        if process is None:
            lost = WorkerFailed("the worker process is being replaced")
            asyncio.get_running_loop().call_soon(answered, lost)
        else:
            process.connection.ask(command, answered, about, seconds)

    def end_overdue(self) -> None:
        """Kill workers that take longer than they may."""
        for process in self._processes:
            if process and (limit := process.connection.overdue_s) is not None:
                process.end(f"gave no answer within {limit:g} s and was killed")

    def _spawn(self, worker: int) -> None:
        if self._closed:
            return
        process: WorkerProcess | None = None

        def lost(cause: str, about: str | None) -> None:
            assert process is not None
            self._all.discard(process)
            self._ended(worker, cause, about)

        try:
            process = WorkerProcess(lost)
        except OSError as error:
            self._ended(worker, f"cannot be started: {error}", None)
            return
        self._all.add(process)
        self._processes[worker] = process
        process.connection.ask(
            self._prepare(), partial(self._prepared, worker, process), None, START_S
        )

    def _prepared(self, worker: int, process: WorkerProcess, reply: Reply | WorkerFailed) -> None:
        if isinstance(reply, frames.Failed):
            process.end(f"could not start: {reply.message.strip().splitlines()[-1]}")
        elif not isinstance(reply, WorkerFailed):
            self._failed_starts[worker] = -1
            if (future := self._starting.get(worker)) and not future.done():
                future.set_result(None)
            self._up(worker)

    def restarts_at_once(self, worker: int) -> bool:
        """Whether a lost worker is likely to be back within a second or two: starts have not failed
        in a row."""
        return self._failed_starts[worker] < _UNLIKELY

    def _ended(self, worker: int, cause: str, about: str | None) -> None:
        """A process ended: tell, and start another one, after a pause where starts fail."""
        loop = asyncio.get_running_loop()
        self._processes[worker] = None
        if self._closed:
            return
        if (future := self._starting.get(worker)) and not future.done():
            future.set_exception(WorkerFailed(cause))
            return
        was_ready = self._failed_starts[worker] < 0
        if was_ready:
            self._failed_starts[worker] = 0
        elif FROM_OUTSIDE not in cause:
            self._failed_starts[worker] += 1
        doubled = 2 ** min(self._failed_starts[worker], _UNLIKELY * 3)
        pause_s = 0.0 if was_ready else min(_FIRST_PAUSE_S * doubled, _LONGEST_PAUSE_S)
        _log.warning("worker %d: %s", worker, cause)
        self._lost(worker, cause, about)
        loop.call_later(pause_s, self._spawn, worker)
