"""One worker process for each app, on all cores, with limits on time and memory.

Workers are forked from a server that has imported what they need, so that one costs milliseconds.
One that crashes, hangs or takes too much memory is a row with an error, and the others go on. All
workers end with this process, however it ends.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import signal
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, ForkServerProcess

import msgspec

from edgewise import sandbox
from edgewise.apps.scan import Target, scan_target
from edgewise.apps.summaries import InFolder, InMemory
from edgewise.archive import DiskFile
from edgewise.errors import EdgewiseError
from edgewise.records import App

#: Modules that workers find imported.
_IMPORTED = ["edgewise.apps.workers", "edgewise.apps.worker_imports"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one app may take. `memory_bytes` is private writable memory (`sandbox`)."""

    seconds: float = 600.0
    memory_bytes: int = 2 << 30


@dataclass(frozen=True, slots=True)
class Known:
    """What a store has of an app: if its bytes are still these, it need not be scanned again."""

    sha256: str
    app: App


def cores() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def scan_many(
    targets: list[Target],
    *,
    jobs: int | None = None,
    bounds: Bounds | None = None,
    known: dict[str, Known] | None = None,
    models_of: Iterable[App] = (),
    weights: bool = False,
) -> Iterator[tuple[int, App, bool]]:
    """Scan targets, several at a time. Gives each one's number, its record, and whether it is new.

    `known` are apps that are passed over where their bytes are the same; `models_of` are apps of
    an older analysis of code whose models need not be read again. `weights`: read the models'
    weights as well. In order of completion.
    """
    known = known or {}
    with tempfile.TemporaryDirectory(prefix="edgewise-") as folder:
        InFolder(folder, weights).fill(model for app in models_of for model in app.models)
        pool = _Pool(jobs or cores(), bounds or Bounds(), folder, weights)
        try:
            yield from pool.run(targets, known)
        finally:
            pool.end()


@dataclass(slots=True)
class _Running:
    number: int
    target: Target
    process: ForkServerProcess
    until: float


class _Pool:
    def __init__(self, jobs: int, bounds: Bounds, folder: str, weights: bool) -> None:
        self._jobs, self._bounds, self._folder, self._weights = jobs, bounds, folder, weights
        self._context = _context()
        self._running: dict[Connection, _Running] = {}

    def run(
        self, targets: list[Target], known: dict[str, Known]
    ) -> Iterator[tuple[int, App, bool]]:
        waiting = iter(enumerate(targets))
        more = True
        while more or self._running:
            while more and len(self._running) < self._jobs:
                following = next(waiting, None)
                if following is None:
                    more = False
                else:
                    number, target = following
                    self._start(number, target, known.get(target.path))
            yield from self._finished(known)

    def _start(self, number: int, target: Target, known: Known | None) -> None:
        receiving, sending = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_work,
            args=(
                sending, target, self._folder, self._bounds.memory_bytes,
                known.sha256 if known else None, self._weights, dict(os.environ),
            ),
            daemon=True,
        )  # fmt: skip
        process.start()
        sending.close()
        until = time.monotonic() + self._bounds.seconds
        self._running[receiving] = _Running(number, target, process, until)

    def _finished(self, known: dict[str, Known]) -> Iterator[tuple[int, App, bool]]:
        """Those that have answered or are overdue; waits for at least one."""
        if not self._running:
            return
        first = min(each.until for each in self._running.values())
        ready = wait(list(self._running), max(0.0, first - time.monotonic()))
        for connection in ready:
            assert isinstance(connection, Connection)
            running = self._running[connection]
            answer = self._answer(connection, running)
            self._drop(connection)
            if answer is None:
                yield running.number, known[running.target.path].app, False
            else:
                yield running.number, answer, True
        for connection, running in list(self._running.items()):
            if running.until <= time.monotonic():
                self._drop(connection)
                seconds = f"{self._bounds.seconds:g}"
                app = App(path=running.target.path, error=f"no result within {seconds} s (limit)")
                yield running.number, app, True

    def _answer(self, connection: Connection, running: _Running) -> App | None:
        """What a worker sent; None where the app is as it was known."""
        try:
            data = connection.recv_bytes(sandbox.ANSWER_BYTES)
        except (EOFError, OSError):
            running.process.join(5)
            how = sandbox.status_words(running.process.exitcode)
            return App(path=running.target.path, error=f"the worker process was {how}")
        return msgspec.msgpack.decode(data, type=App | None)

    def _drop(self, connection: Connection) -> None:
        running = self._running.pop(connection)
        connection.close()
        running.process.kill()
        running.process.join()
        running.process.close()

    def end(self) -> None:
        """No worker is left."""
        for connection in list(self._running):
            self._drop(connection)


def _context() -> ForkServerContext:
    """A server to fork workers from. Its numeric libraries start no threads of their own."""
    from multiprocessing import forkserver

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTED)
    before = {name: os.environ.get(name) for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")}
    os.environ.update(dict.fromkeys(before, "1"))
    try:
        forkserver.ensure_running()
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return context


def _work(
    answer: Connection, target: Target, summaries: str, memory_bytes: int, known: str | None,
    weights: bool, environment: dict[str, str],
) -> None:  # fmt: skip
    """The worker's side: one app. The server it was forked from may be older than `environment`."""
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sandbox.die_with(os.getppid())
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    resource.setrlimit(resource.RLIMIT_DATA, (memory_bytes, hard))
    app = one(target, summaries=summaries, known=known, memory_bytes=memory_bytes, weights=weights)
    with contextlib.suppress(BrokenPipeError):
        answer.send_bytes(msgspec.msgpack.encode(app))
    os._exit(0)  # taking the interpreter down would only cost time


def one(
    target: Target, *, summaries: str | None = None, known: str | None = None,
    memory_bytes: int | None = None, weights: bool = False,
) -> App | None:  # fmt: skip
    """Scan one app whatever happens: what goes wrong is its `error`. None where its bytes are
    those `known`."""
    path = target.path
    try:
        if known is not None and target.files is None and DiskFile(path).sha256() == known:
            return None
        kept = InFolder(summaries, weights) if summaries else InMemory(weights)
        return scan_target(target, summaries=kept)
    except EdgewiseError as refused:
        return App(path=path, error=str(refused))
    except MemoryError:
        limit = "" if memory_bytes is None else f" (limit {memory_bytes / 1e6:.0f} MB)"
        return App(path=path, error=f"ran out of memory{limit}")
    except Exception as defect:  # noqa: BLE001  one app must not end a run over thousands
        return App(path=path, error=f"a defect of edgewise: {type(defect).__name__}: {defect}")
