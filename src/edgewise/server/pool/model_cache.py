"""What is resident in which worker, and the loads and evictions that make it so."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence, Set
from functools import partial
from pathlib import Path

from edgewise.errors import EdgewiseError, RuntimeRefused, WorkerFailed
from edgewise.records import Port
from edgewise.server.pool import frames, outcomes
from edgewise.server.pool.admission import Admission, Waiting
from edgewise.server.pool.crew import Crew
from edgewise.server.pool.frames import Failed, Loaded, Reply, Runnable
from edgewise.server.pool.quarantine import Quarantine
from edgewise.server.pool.residency import Evict, Load, Residency

Ports = tuple[tuple[Port, ...], tuple[Port, ...]]
#: What a load, and what an eviction may take.
COMMAND_S, _EVICT_S = 60.0, 5.0
#: What a load takes until one was measured.
_COLD_GUESS_MS = 100.0


class ModelCache:
    """The variants that are served, and where they are resident.

    `running` says what workers are at, `changed` is told of a worker whose residents changed.
    """

    def __init__(
        self,
        crew: Crew,
        quarantine: Quarantine,
        memory_bytes: int | None,
        pinned: Iterable[str],
        running: Callable[[], Set[tuple[int, str]]],
        changed: Callable[[int], None],
    ) -> None:
        self.residency = Residency(memory_bytes, pinned=pinned)
        self._crew = crew
        self._quarantine = quarantine
        self._running = running
        self._changed = changed
        self._runnables: dict[str, Runnable] = {}
        self._stamps: dict[str, tuple[int, ...]] = {}
        self._ports: dict[str, Ports] = {}
        self.admission = Admission(self.residency, self._evict, running, _now_s)

    # -- what is served --------------------------------------------------------------------------

    def replace(self, runnables: Sequence[Runnable]) -> None:
        """Serve these from now on. What is another variant or another file than before is evicted
        behind whatever its workers are at, and out of quarantine."""
        coming = {each.key: each for each in runnables}
        stamps = {key: _stamp(each) for key, each in coming.items()}
        for key, runnable in list(self._runnables.items()):
            if coming.get(key) != runnable or stamps[key] != self._stamps[key]:
                self._forget(key)
        for key in self._quarantine.reasons.keys() & coming.keys():  # somebody knows better
            self._quarantine.release(key)
        for key in coming.keys() - self._runnables.keys():
            self.residency.expect(key, stamps[key][0], _COLD_GUESS_MS)
        self._runnables, self._stamps = coming, stamps
        self.admission.drop(lambda load: load.key not in coming)

    def _forget(self, key: str) -> None:
        del self._runnables[key]
        self._ports.pop(key, None)
        self._quarantine.release(key)
        for evict in self.residency.forget(key):
            self._evict(evict)

    def __contains__(self, key: str) -> bool:
        return key in self._runnables

    def runnable(self, key: str) -> Runnable:
        """One that is served."""
        return self._runnables[key]

    @property
    def runnables(self) -> tuple[Runnable, ...]:
        """All that are served."""
        return tuple(self._runnables.values())

    def ports(self, key: str) -> Ports | None:
        """Inputs and outputs, None where it was never loaded."""
        return self._ports.get(key)

    # -- loading and evicting --------------------------------------------------------------------

    async def load(self, worker: int, key: str) -> Loaded:
        """Make a variant resident, when there is room; what it is.

        Raises:
            RuntimeRefused: it does not load or run, or has killed too many workers.
            WorkerFailed: the worker died at it.
            UsageError: it is larger than the memory budget.
        """
        if reason := self._quarantine.reasons.get(key):
            raise RuntimeRefused(reason)
        answer: asyncio.Future[Loaded] = asyncio.get_running_loop().create_future()
        settle = partial(_settle, answer, key)
        self.admission.enter(
            Waiting(
                worker,
                key,
                owner=answer,
                go=partial(self._ask_load, worker, key, settle),
                gone=partial(settle, WorkerFailed("its worker was lost, or it is served no more")),
            )
        )
        loaded = await answer
        try:
            self.residency.check(key)
        except EdgewiseError:
            self.drop(worker, key)
            raise
        return loaded

    def begin_load(self, worker: int, key: str) -> None:
        """Load a variant that room is reserved for."""
        self._ask_load(worker, key, lambda _: None)

    def _ask_load(
        self, worker: int, key: str, then: Callable[[Reply | WorkerFailed], None]
    ) -> None:
        def answered(reply: Reply | WorkerFailed) -> None:
            if isinstance(reply, Loaded):
                self._note(worker, key, reply)
            elif isinstance(reply, WorkerFailed):  # whatever the worker had is gone with it
                self.residency.evicted(worker, key)
            else:
                self.refused(worker, key, reply)
            then(reply)

        runnable = self._runnables[key]
        self._crew.ask(worker, frames.Load(runnable), answered, about=key, seconds=COMMAND_S)

    def refused(self, worker: int, key: str, reply: Reply | WorkerFailed) -> None:
        """A load came to nothing: it would again, so the variant is set aside, at once unless it
        was for want of memory."""
        if isinstance(reply, Failed) and reply.kind == "memory":
            self._quarantine.blame(key, reply.message)
        elif isinstance(reply, Failed):
            self._quarantine.bar(key, reply.message.strip().splitlines()[-1])
        self.drop(worker, key)

    def _note(self, worker: int, key: str, loaded: Loaded) -> None:
        if key in self._runnables:
            self._ports[key] = (loaded.inputs, loaded.outputs)
        cold_ms = loaded.load_ms + (loaded.first_ms or 0.0)
        self.made_resident(worker, key, loaded.resident_bytes, cold_ms)

    def made_resident(self, worker: int, key: str, size_bytes: int | None, cold_ms: float) -> None:
        """A load has ended well. A size of 0 means that it could not be seen."""
        self.residency.loaded(worker, key, size_bytes or None, cold_ms)
        self._changed(worker)
        self.admission.advance()

    def drop(self, worker: int, key: str) -> None:
        """Have a worker forget a variant, whatever it has of it."""
        self.residency.leave(worker, key)
        self._evict(Evict(worker, key))

    async def evict(self, worker: int, key: str) -> None:
        """Drop a variant; returns when its memory is free."""
        gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.residency.leave(worker, key)

        def done() -> None:
            if not gone.done():
                gone.set_result(None)

        self._evict(Evict(worker, key), done)
        await gone

    def _evict(self, evict: Evict, then: Callable[[], None] = lambda: None) -> None:
        def answered(_: Reply | WorkerFailed) -> None:  # a worker that died has evicted all
            self.residency.evicted(evict.worker, evict.key)
            self.admission.advance()
            then()

        command = frames.Evict(evict.key)
        self._crew.ask(evict.worker, command, answered, seconds=_EVICT_S)
        self._changed(evict.worker)

    async def calibrate(
        self, worker: int, key: str, runs: int, seconds: float, seed: int
    ) -> tuple[float, ...]:
        """Service times of a resident variant on synthetic inputs, in ms; at most `runs`, and about
        `seconds`. None at all where no input can be made up, or it is not resident any more.

        Raises:
            RuntimeRefused: it does not run.
            WorkerFailed: the worker died at it.
        """
        answer: asyncio.Future[Reply | WorkerFailed] = asyncio.get_running_loop().create_future()

        def answered(reply: Reply | WorkerFailed) -> None:
            if not answer.done():
                answer.set_result(reply)

        command = frames.Calibrate(key, runs, seconds, seed)
        self._crew.ask(worker, command, answered, about=key, seconds=COMMAND_S + seconds)
        reply = await answer
        if not isinstance(reply, frames.Calibrated):
            raise outcomes.load_error(key, reply)
        return reply.hot_ms

    # -- over time -------------------------------------------------------------------------------

    def lost(self, worker: int) -> list[str]:
        """A worker died: what it held."""
        held = self.residency.lost(worker)
        self.admission.drop(lambda load: load.worker == worker)
        return held

    def restore(self, worker: int, keys: Iterable[str], then: Callable[[], None]) -> None:
        """Load into a fresh worker what its predecessor held, as far as there is room; `then` is
        called when that is done, not at all where the worker dies over it."""
        barred = self._quarantine.reasons
        wanted = [k for k in keys if k in self._runnables and k not in barred]
        left = [k for k in wanted if self.residency.reserve(worker, k)]
        if not left:
            then()
            return

        def answered(key: str, reply: Reply | WorkerFailed) -> None:
            left.remove(key)
            if not left and not isinstance(reply, WorkerFailed):
                then()

        for key in list(left):
            self._ask_load(worker, key, partial(answered, key))

    def improve(self, idle: Set[int]) -> None:
        """Load ahead of time what the traffic asks for, on idle workers."""
        if len(self.admission):
            return
        barred = self._quarantine.reasons.keys()
        for action in self.residency.decide(_now_s(), idle, self._running(), barred):
            match action:
                case Evict():
                    self._evict(action)
                case Load(worker, key):
                    self.begin_load(worker, key)


def _settle(answer: asyncio.Future[Loaded], key: str, reply: Reply | WorkerFailed) -> None:
    if answer.done():
        return
    if isinstance(reply, Loaded):
        answer.set_result(reply)
        return
    try:
        answer.set_exception(outcomes.load_error(key, reply))
    except RuntimeError as defect:
        answer.set_exception(defect)


def _now_s() -> float:
    return asyncio.get_running_loop().time()


def _stamp(runnable: Runnable) -> tuple[int, ...]:
    """Size, and what changes when the file does. A missing file is refused when it is loaded."""
    try:
        found = Path(runnable.file).stat()
    except OSError:
        return (0,)
    return found.st_size, found.st_mtime_ns, found.st_ino
