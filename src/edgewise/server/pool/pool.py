"""The pool: worker processes that run variants, and what is resident in each.

The scheduler says which worker runs what; the pool keeps the workers alive, makes variants
resident within the memory budget, and turns everything that can happen to a process into a result
or an error. All of it on one event loop, without threads.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from edgewise.errors import EdgewiseError, WorkerFailed
from edgewise.protocol.messages import (
    InferenceFailed,
    NotBegun,
    ServingError,
    SetAside,
    Tensor,
    TooLarge,
    Unavailable,
    UnknownModel,
)
from edgewise.server.pool import arena, frames, outcomes
from edgewise.server.pool.admission import Waiting
from edgewise.server.pool.calibration import Calibration, calibrate
from edgewise.server.pool.crew import Crew
from edgewise.server.pool.frames import Done, Reply, Runnable, plain
from edgewise.server.pool.jobs import Batch, Jobs
from edgewise.server.pool.model_cache import ModelCache, Ports
from edgewise.server.pool.outcomes import JobResult
from edgewise.server.pool.process import FROM_OUTSIDE
from edgewise.server.pool.quarantine import Quarantine

__all__ = ["Calibration", "JobResult", "Pool", "Runnable"]

#: How often memory and time limits are looked at, and how long a worker has to be idle before
#: variants are loaded into it ahead of time.
_TICK_S = 0.25
_IDLE_S = 0.1


class Pool:
    """Worker processes that run variants.

    `workers` run one job each at a time. `memory_bytes` bounds what all of them together keep
    resident (None: everything may stay); it does not count the processes themselves. A worker that
    takes longer than `timeout_s` for a job is killed. `on_change` is told what a worker has
    resident whenever that changes, and None when it is lost; it is back with the next such call.
    Of `pinned` variants one copy is kept. Everything is to be called on the loop of `start`.
    """

    def __init__(
        self,
        runnables: Sequence[Runnable],
        *,
        workers: int,
        memory_bytes: int | None,
        timeout_s: float,
        on_change: Callable[[int, frozenset[str] | None], None],
        pinned: Iterable[str] = (),
    ) -> None:
        self.size = workers
        self.is_bounded = memory_bytes is not None
        self._timeout_s = timeout_s
        self._on_change = on_change
        self._quarantine, self._jobs = Quarantine(), Jobs(workers)
        self._crew = Crew(workers, self._prepare, self._up, self._lost)
        self._cache = ModelCache(
            self._crew, self._quarantine, memory_bytes, pinned, self._jobs.running, self._changed
        )
        self._cache.replace(runnables)
        self._wanted: defaultdict[str, float] = defaultdict(float)
        self._open: set[int] = set()
        self._told: dict[int, frozenset[str]] = {}
        self._held_by_lost: dict[int, list[str]] = {}
        self.causes = [""] * workers
        self._closed = False
        self._calibrating = 0
        self._ticking: asyncio.TimerHandle | None = None

    # -- life ------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Start the workers; nothing is resident yet.

        Raises:
            WorkerFailed: a worker cannot be started.
        """
        self._loop = asyncio.get_running_loop()
        try:
            await self._crew.start()
        except BaseException:
            await self.close()
            raise
        self._tick()

    async def close(self) -> None:
        """End the workers. Jobs that have not ended fail."""
        self._closed = True
        if self._ticking is not None:
            self._ticking.cancel()
        await self._crew.close()
        self._cache.admission.drop(lambda _: True)
        for worker, job in self._jobs.waiting():
            self._finish(worker, job, Unavailable("the service shuts down"))

    @property
    def pids(self) -> tuple[int | None, ...]:
        """Process ids by worker, None where one is being replaced."""
        return self._crew.pids

    @property
    def used_bytes(self) -> int:
        """Memory that resident variants use, of what the budget counts."""
        return self._cache.residency.used_bytes

    def resident_bytes(self, key: str) -> int:
        """What one copy of a variant takes, as measured, or as large as its file."""
        return self._cache.residency.size_bytes(key)

    def cold_ms(self, key: str) -> float:
        """How long loading a variant took, or is thought to take."""
        return self._cache.residency.cold_ms(key)

    @property
    def set_aside(self) -> Mapping[str, str]:
        """Variants that killed too many workers in a row, or do not load, and so are not run any
        more; and why."""
        return self._quarantine.reasons

    def restarts_at_once(self, worker: int) -> bool:
        """Whether a lost worker is likely to be back within a second."""
        return self._crew.restarts_at_once(worker)

    def has_begun(self, worker: int) -> bool:
        """Whether a worker is at its job, rather than being replaced or without room for it."""
        return self._jobs.waits(worker) is None

    def cancel(self, worker: int) -> None:
        """Nobody waits for a worker's job any more: it is not begun. One that is ends."""
        self._give_back(worker, NotBegun("nobody waits for it"))

    def _give_back(self, worker: int, why: Unavailable) -> None:
        """End a worker's job where that has not begun."""
        if (job := self._jobs.waits(worker)) is not None:
            self._cache.admission.drop(lambda load: load.owner is job)
            self._finish(worker, job, why)

    # -- jobs ------------------------------------------------------------------------------------

    def run(
        self,
        worker: int,
        key: str,
        inputs: Sequence[Sequence[Tensor]],
        done: Callable[[JobResult | EdgewiseError], None],
    ) -> None:
        """Run one batch (the inputs of each request); `done` is called once, on the loop, later.

        A worker that is just being replaced takes the job when it is back. `done` gets

        - `BadRequest`: the inputs do not fit, `TooLarge`: they do not fit into memory
        - `InferenceFailed`: the runtime refused; `Interrupted`: the worker died
        - `SetAside`: the variant does not load, or too many workers died at it
        - `NotBegun`: another worker is there sooner, or nobody waits any more
        - `Unavailable`: no worker or no memory in time; `UnknownModel`: the variant is gone.

        Raises:
            RuntimeError: the worker has a job (a defect of the caller).
        """
        job = Batch(key, inputs, done, self._loop.time())
        self._jobs.give(worker, job)
        if (refusal := self._refusal(key)) is not None:
            self._loop.call_soon(self._finish, worker, job, refusal)
            return
        self._wanted[key] += 1.0
        if worker in self._open:
            self._begin(worker, job)

    def note_demand(self, key: str, amount: float = 1.0) -> None:
        """A variant would have been chosen, had it been resident."""
        self._wanted[key] += amount

    def _refusal(self, key: str) -> ServingError | None:
        if self._closed:
            return Unavailable("the service shuts down")
        if key not in self._cache:
            return UnknownModel(f"the variant '{plain(key)}' is not served any more")
        reason = self._quarantine.reasons.get(key)
        return SetAside(reason, hint="reload the family to try again") if reason else None

    def _begin(self, worker: int, job: Batch) -> None:
        job.cold = not self._cache.residency.is_resident(worker, job.key)
        if not job.cold:
            self._send(worker, job)
            return
        self._tell_demand(self._loop.time())
        go = partial(self._send, worker, job)
        self._cache.admission.enter(Waiting(worker, job.key, job, go, gone=lambda: None))

    def _send(self, worker: int, job: Batch) -> None:
        process = self._crew.process(worker)
        if (
            process is None or not process.alive
        ):  # lost, as will be told: the job stays for the next
            return
        try:
            requests = arena.write(process.requests, job.inputs)
        except (ValueError, OSError) as error:
            if job.cold:
                self._cache.residency.evicted(worker, job.key)
            refusal = TooLarge(f"'{plain(job.key)}': the inputs are too large: {error}")
            self._loop.call_soon(self._finish, worker, job, refusal)
            return
        job.inputs = ()
        job.begun_s = self._loop.time()
        load = self._cache.runnable(job.key) if job.cold else None
        command = frames.Run(job.key, requests, process.requests.size, load)
        process.connection.ask(
            command, partial(self._answered, worker, job, process.replies), job.key, self._timeout_s
        )

    def _answered(
        self, worker: int, job: Batch, area: arena.Area, reply: Reply | WorkerFailed
    ) -> None:
        if isinstance(reply, Done):
            outcome = self._outcome(worker, job, area, reply)
        elif self._closed:
            outcome = Unavailable("the service shuts down")
        else:
            outcome = outcomes.job_error(job.key, reply)
            if isinstance(outcome, SetAside):
                self._cache.refused(worker, job.key, reply)
            elif job.cold and not isinstance(reply, WorkerFailed):
                self._cache.drop(worker, job.key)
        self._finish(worker, job, outcome)

    def _outcome(
        self, worker: int, job: Batch, area: arena.Area, done: Done
    ) -> JobResult | ServingError:
        self._quarantine.absolve(job.key)
        if job.cold:
            self._cache.made_resident(worker, job.key, done.resident_bytes, done.cold_ms)
        try:
            size_bytes = self._cache.residency.size_bytes(job.key)
            outcome = outcomes.job_result(job.key, done, area, size_bytes)
        except ValueError as error:
            if process := self._crew.process(worker):
                process.end(f"broke the protocol: {error}")
            return InferenceFailed(
                f"'{plain(job.key)}': the worker process broke the protocol: {error}"
            )
        if job.cold and isinstance(outcome, JobResult) and job.begun_s is not None:
            waited_ms = 1e3 * (job.begun_s - job.since_s)
            return replace(outcome, cold_ms=outcome.cold_ms + waited_ms)
        return outcome

    def _finish(self, worker: int, job: Batch, outcome: JobResult | ServingError) -> None:
        """The job is over; its worker takes the next from here on."""
        if not self._jobs.over(worker, job, self._loop.time()):
            return
        if job.cold:
            self._cache.admission.advance()
        job.done(outcome)

    # -- variants --------------------------------------------------------------------------------

    async def describe(self, key: str) -> Ports:
        """Inputs and outputs of a variant, which is loaded and run for that once.

        Raises:
            RuntimeRefused: the runtime does not take its file, it does not run, or its output does
                not match the labels.
            WorkerFailed: a worker died at it.
            UsageError: it is larger than the memory budget.
        """
        if (known := self._cache.ports(key)) is not None:
            return known
        while not self._open and not self._closed:
            await asyncio.sleep(_IDLE_S)
        worker = min(self._open, key=lambda each: (not self._jobs.is_free(each), each), default=0)
        loaded = await self._cache.load(worker, key)
        return loaded.inputs, loaded.outputs

    async def preload(self, worker: int, key: str) -> None:
        """Make a variant resident in a worker, once there is room.

        Raises: as `describe`.
        """
        await self._cache.load(worker, key)

    async def evict(self, worker: int, key: str) -> None:
        """Drop a variant from a worker."""
        if self._cache.residency.is_resident(worker, key):
            await self._cache.evict(worker, key)

    async def calibrate(
        self, keys: Sequence[str], samples: int, seconds: float
    ) -> dict[str, Calibration]:
        """Measure variants on synthetic inputs, preprocessing included: alone, and with several
        workers at it. `samples` runs for each, and about `seconds` for everything.

        Raises: as `describe`.
        """
        self._calibrating += 1
        try:
            return await calibrate(self._cache, self.size, keys, samples, seconds)
        finally:
            self._calibrating -= 1

    def replace(self, runnables: Sequence[Runnable]) -> None:
        """Serve other variants from now on. Running jobs end on the old; a variant whose
        description and file are as before stays resident."""
        self._cache.replace(runnables)
        for worker, job in self._jobs.waiting():
            if (refusal := self._refusal(job.key)) is not None:
                self._loop.call_soon(self._finish, worker, job, refusal)

    # -- workers ---------------------------------------------------------------------------------

    def _prepare(self) -> frames.Prepare:
        runnables = self._cache.runnables
        return frames.Prepare(
            runtimes=tuple(sorted({each.runtime for each in runnables})),
            images=any(each.input_kind == "image" for each in runnables),
        )

    def _up(self, worker: int) -> None:
        """A process is ready: the worker is back once it holds what the one before it held."""
        held = self._held_by_lost.pop(worker, [])
        self._cache.restore(worker, held, partial(self._reopen, worker))

    def _reopen(self, worker: int) -> None:
        self._open.add(worker)
        self._jobs.idles_since(worker, self._loop.time())
        self._changed(worker)
        for other in set(range(self.size)) - self._open:
            self._give_back(other, NotBegun("another worker is there sooner"))
        if (job := self._jobs.waits(worker)) is None:
            return
        if (refusal := self._refusal(job.key)) is None:
            self._begin(worker, job)
        else:  # set aside while it waited for this worker: nobody else would tell
            self._loop.call_soon(self._finish, worker, job, refusal)

    def _changed(self, worker: int) -> None:
        resident = self._cache.residency.resident(worker)
        if worker in self._open and self._told.get(worker) != resident:
            self._told[worker] = resident
            self._on_change(worker, resident)

    def _lost(self, worker: int, cause: str, about: str | None) -> None:
        self.causes[worker] = cause
        if about is not None:
            self._quarantine.blame(about, cause, killed=FROM_OUTSIDE in cause)
        self._held_by_lost.setdefault(worker, []).extend(self._cache.lost(worker))
        if worker in self._open:
            self._open.discard(worker)
            self._told.pop(worker, None)
        self._on_change(worker, None)
        if self._open and self._jobs.waits(worker) is not None:
            self._loop.call_soon(self._give_back, worker, NotBegun("its worker was lost"))
        self._cache.admission.advance()

    def _tick(self) -> None:
        """Now and then: who hangs is killed, who waits too long is told, who idles is used."""
        self._crew.end_overdue()
        now_s = self._loop.time()
        for worker, job in self._jobs.waiting():
            if now_s - job.since_s > self._timeout_s:
                self._give_back(worker, Unavailable(f"'{plain(job.key)}' could not begin in time"))
        self._tell_demand(now_s)
        idle = self._idle(now_s)
        if not self._calibrating:
            self._cache.improve(idle)
        self._ticking = self._loop.call_later(min(_TICK_S, self._timeout_s / 4), self._tick)

    def _tell_demand(self, now_s: float) -> None:
        for key, amount in self._wanted.items():
            if key in self._cache:
                self._cache.residency.demand(key, now_s, amount)
        self._wanted.clear()

    def _idle(self, now_s: float) -> set[int]:
        """Workers without anything to do for a while; their areas give memory back."""
        idle = set()
        for worker in self._open:
            process = self._crew.process(worker)
            if process is None or not process.connection.idle:
                continue
            if self._jobs.idle_s(worker, now_s) >= _IDLE_S:
                process.requests.trim()
                process.replies.trim()
                idle.add(worker)
        return idle
