"""A load from several processes: each has some of the clients, all keep to one clock."""

from __future__ import annotations

import multiprocessing
import signal
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from typing import NamedTuple

from edgewise.errors import EdgewiseError, WorkerFailed
from edgewise.load.process import Prepared, alone
from edgewise.protocol.http.attempt import Attempt, now_ms

#: From when the last process is ready to the first request.
_HEAD_START_MS = 100.0
_END_S = 5.0


class Part(NamedTuple):
    """What one process did, or why it could not."""

    exchanges: list[Attempt]
    interrupted: bool
    error: EdgewiseError | None


def split(
    prepared: Prepared, advance: Callable[[int], None] | None
) -> tuple[float, list[Attempt], bool]:
    """Send the requests of client i from process i modulo their number.

    Returns when the run started, what ended in the order of the schedule, and whether it was
    interrupted.

    Raises:
        InputError: the connection is refused.
        WorkerFailed: a process died.
    """
    count = prepared.settings.processes
    context = multiprocessing.get_context("spawn")
    pipes: list[Connection] = []
    workers = []
    for index in range(count):
        here, there = context.Pipe()
        worker = context.Process(target=_work, args=(there, prepared, index, count), daemon=True)
        worker.start()
        there.close()
        pipes.append(here)
        workers.append(worker)
    try:
        start_ms, parts, interrupted = _conduct(pipes, advance)
    finally:
        for worker, pipe in zip(workers, pipes, strict=True):
            pipe.close()
            worker.join(_END_S)
            if worker.is_alive():
                worker.kill()
                worker.join()
    exchanges = sorted((e for part in parts for e in part.exchanges), key=lambda e: e.number)
    return start_ms, exchanges, interrupted or any(part.interrupted for part in parts)


def _conduct(
    pipes: list[Connection], advance: Callable[[int], None] | None
) -> tuple[float, list[Part], bool]:
    for pipe in pipes:
        told = _received(pipe)
        if isinstance(told, Part) and told.error is not None:
            raise told.error
    start_ms = now_ms() + _HEAD_START_MS
    for pipe in pipes:
        pipe.send(start_ms)
    parts: list[Part] = []
    interrupted = False
    open_pipes = list(pipes)
    while open_pipes:
        try:
            ready = wait(open_pipes)
            for pipe in [pipe for pipe in open_pipes if pipe in ready]:
                told = _received(pipe)
                if isinstance(told, Part):
                    parts.append(told)
                    open_pipes.remove(pipe)
                elif advance is not None:
                    assert isinstance(told, int)
                    advance(told)
        except KeyboardInterrupt:  # the workers stop, and send what they have
            interrupted = True
            for pipe in open_pipes:
                with suppress(OSError):
                    pipe.send(None)
    for part in parts:
        if part.error is not None:
            raise part.error
    return start_ms, parts, interrupted


def _received(pipe: Connection) -> object:
    try:
        return pipe.recv()
    except EOFError:
        raise WorkerFailed("a process of the load generator died") from None


def _work(pipe: Connection, prepared: Prepared, index: int, count: int) -> None:
    """The body of a process. It ends early at the parent's word, which has the signals."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stops: list[Callable[[], None]] = []

    def start() -> float:
        pipe.send("ready")
        start_ms = float(pipe.recv())
        threading.Thread(target=_watch, args=(pipe, stops[0]), daemon=True).start()
        return start_ms

    # A parent that is gone wants nothing any more.
    with suppress(BrokenPipeError, EOFError):
        try:
            _, exchanges, interrupted = alone(
                prepared, lambda client: client % count == index, start, pipe.send, stops.append
            )
            pipe.send(Part(exchanges, interrupted, None))
        except EdgewiseError as error:
            pipe.send(Part([], False, error))


def _watch(pipe: Connection, stop: Callable[[], None]) -> None:
    """The parent's word ends the run, and its end does."""
    pipe.poll(None)
    stop()
