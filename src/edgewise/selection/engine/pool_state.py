"""A pool's workers and queue, and the arrays from which compiled code decides for them."""

from __future__ import annotations

import math
from bisect import insort
from collections.abc import Iterable
from statistics import NormalDist

import msgspec
import numpy as np

from edgewise.selection.engine.jobs import Assignment, Ticket
from edgewise.selection.engine.lanes import Fitted, Lane
from edgewise.selection.engine.margin import SafetyMargin
from edgewise.selection.engine.waiting import Waiting
from edgewise.selection.policies import kernel_arrays
from edgewise.selection.policies.kernel_arrays import (
    FACTOR,
    IDLE,
    LOST,
    MODEL,
    PARTS,
    STAGES,
    START,
    PoolArrays,
    undominated,
)
from edgewise.selection.profiles.table import Floats

#: Nodes of backlog, and how far beyond the largest budget they reach before prices are fitted.
_NODES, _BEYOND = 32, 1.2
#: A slow-down that changed by less changes no plan.
_ALIKE = 0.02
#: No times: of variants that are all resident.
NOTHING = np.empty(0)

#: The variants that a ticket may get: of a lane all (None), a subset, or one.
Allowed = frozenset[str] | str | None


class Job(msgspec.Struct, frozen=True, gc=False):
    """What runs on a worker: its model's row in the arrays, the workers busy with it, and the share
    of its wait that was kept free for each of its tickets, None: it was promised nothing."""

    work: Assignment
    lane: Lane
    row: int
    busy: int
    cold: bool
    started_ms: float
    kept: tuple[float | None, ...] = ()


class State(msgspec.Struct, frozen=True, gc=False):
    """The workers at one moment, times from then on: see `kernel_arrays.unfinished`."""

    free_ms: Floats
    square: Floats
    work_ms: float


class PoolState:
    """One pool: workers, the queue before them, lanes of families."""

    def __init__(self, name: str, workers: int, promise: float, loaded: bool) -> None:
        self.name = name
        self.size = self.live = workers
        self.waiting = Waiting()
        self.jobs: list[Job | None] = [None] * workers
        self.lanes: list[Lane] = []
        self.priced: list[Lane] = []
        self.busy = 0
        self.future = np.zeros((STAGES + 2, _NODES))
        self._free = list(range(workers))
        self._at_rest = State(np.zeros(workers), np.zeros(workers), 0.0)
        self._all_resident = True
        self._promise, self._loaded = promise, loaded
        self.deviations = NormalDist().inv_cdf(promise)
        self.running = np.zeros((workers, 3))
        self.running[:, MODEL] = IDLE
        self._resident: list[set[int] | None] = [None] * workers
        self._kind_of: dict[tuple[int, Allowed], int] = {}
        #: Of each kind the one row that there is to choose, −1 where there are several.
        self.only: list[int] = []
        self._error_ms = self._cold_ms = NOTHING
        self._reach_ms = 1.0
        self._margin = SafetyMargin()
        self.arrays: PoolArrays

    # -- what is known of variants ----------------------------------------------------------------

    def furnish(self, lanes: Iterable[Lane]) -> None:
        """Set the arrays up for the lanes."""
        self.lanes = list(lanes)
        self.priced = [lane for lane in self.lanes if lane.policy is not None]
        models = 0
        for lane in self.lanes:
            lane.offset, models = models, models + len(lane.models)
        self._error_ms, self._cold_ms = np.zeros(models), np.zeros(models)
        levels = self.lanes[0].table.quantiles_ms.shape[1] if self.lanes else 1
        self.arrays = PoolArrays(
            quantiles_ms=np.zeros((models, levels)),
            mean_ms=np.zeros(models),
            jobs_ms=np.zeros((models, len(PARTS) - 1)),
            tail_ms=np.zeros(models),
            gain=np.concatenate([NOTHING, *(lane.gain for lane in self.lanes)]),
            kinds=np.zeros((0, models), dtype=np.intp),
            fast_ms=NOTHING,
            fast_tail_ms=NOTHING,
            grid_ms=NOTHING,
            cells=np.zeros((models, _NODES), dtype=np.intp),
            parts=np.zeros((models, _NODES)),
            share=1.0 / max(self.live, 1),
            factor=1.0,
            slip=0.0,
            missed=0.0,
        )
        for lane in self.lanes:
            for index in range(len(lane.models)):
                self._describe(lane, index)
        self.relay()

    def _describe(self, lane: Lane, index: int) -> None:
        """Copy what a lane knows of one of its models."""
        row, arrays = lane.offset + index, self.arrays
        quantiles_ms = lane.service.quantiles_ms[index]
        arrays.quantiles_ms[row] = quantiles_ms
        mean_ms = lane.service.means_ms[index]
        promised = math.ceil(self._promise * len(quantiles_ms)) - 1
        arrays.mean_ms[row] = mean_ms
        edges = np.round(PARTS * len(quantiles_ms)).astype(np.intp)
        arrays.jobs_ms[row] = np.add.reduceat(quantiles_ms, edges[:-1]) / np.diff(edges)
        arrays.tail_ms[row] = max(quantiles_ms[promised] - mean_ms, 0.0)
        error = float(quantiles_ms.std()) / lane.service.certainty(index) ** 0.5
        self._error_ms[row] = self.deviations * error
        self._cold_ms[row] = lane.cold_ms[index]

    def relearn(self, lane: Lane, index: int) -> None:
        """A row of a lane was made anew."""
        self._describe(lane, index)
        row, arrays = lane.offset + index, self.arrays
        work_ms = arrays.mean_ms[row] * arrays.factor * arrays.share
        kernel_arrays.shifts(arrays.grid_ms, work_ms, arrays.cells, arrays.parts, row)
        self._rekind(lane)

    def relay(self) -> None:
        """Anew after prices were fitted, a worker came or went, or work became slower."""
        fitted = [lane.later.grid_ms[-1] for lane in self.lanes if lane.later is not None]
        self._reach_ms = max(fitted, default=self._reach_ms)
        grid_ms = self._reach_ms * (np.arange(_NODES) / (_NODES - 1)) ** 2
        share, factor = 1.0 / max(self.live, 1), self.factor_at(self.live)
        for lane in self.lanes:
            lane.lay_out(grid_ms)
        self.arrays = arrays = self.arrays._replace(
            grid_ms=grid_ms,
            share=share,
            factor=factor,
            missed=math.fsum(lane.later.missed for lane in self.lanes if lane.later is not None),
        )
        for row, mean_ms in enumerate(arrays.mean_ms):
            kernel_arrays.shifts(grid_ms, mean_ms * factor * share, arrays.cells, arrays.parts, row)
        self._rekind(None)

    def reprice(self, lane: Lane, fitted: Fitted) -> None:
        """Go by new prices of a lane."""
        lane.take(fitted)
        self.relay()

    def reach(self, budget_ms: float) -> None:
        """See as far as a budget, while no prices say how far that is."""
        further = self._reach_ms < budget_ms * _BEYOND < math.inf
        if further and all(lane.later is None for lane in self.lanes):
            self._reach_ms = budget_ms * _BEYOND
            self.relay()

    def factor_at(self, busy: int) -> float:
        """How much slower work is with so many workers busy."""
        return max((lane.busy.at(busy) for lane in self.lanes), default=1.0)

    def has_slowed(self) -> bool:
        """Whether plans rest on a slow-down that is no longer true."""
        now = self.factor_at(self.live)
        return abs(now - self.arrays.factor) > _ALIKE * self.arrays.factor

    def ended(self, ticket: Ticket, kept: float | None, started_ms: float, ended_ms: float) -> None:
        """A ticket is done, or would have been: plans learn how late that was.

        Who hardly waited says something of its own service only, who was promised nothing nothing.
        """
        hardly_ms = (ended_ms - started_ms) / 2
        hardly = started_ms - ticket.arrived_ms <= hardly_ms
        if hardly or kept is None or ticket.due_ms == math.inf:
            return
        if self._margin.add(kept, ended_ms - ticket.due_ms, ended_ms - ticket.arrived_ms):
            self.arrays = self.arrays._replace(slip=self._margin.share)

    @property
    def by_means(self) -> PoolArrays:
        """What is known, for plans that promise nothing."""
        tail_ms, fast_tail_ms = self.arrays.tail_ms, self.arrays.fast_tail_ms
        return self.arrays._replace(
            tail_ms=np.zeros_like(tail_ms), fast_tail_ms=np.zeros_like(fast_tail_ms)
        )

    # -- kinds of tickets -------------------------------------------------------------------------

    def kind(self, lane: Lane, allowed: Allowed) -> int:
        """The kind of a ticket that may get these of a lane's variants."""
        key = (lane.offset, allowed)
        kind = self._kind_of.get(key)
        if kind is None:
            kind = self._kind_of[key] = len(self._kind_of)
            self.only.append(-1)
            arrays = self.arrays
            self.arrays = arrays._replace(
                kinds=np.vstack([arrays.kinds, np.full((1, arrays.kinds.shape[1]), -1)]),
                fast_ms=np.append(arrays.fast_ms, 0.0),
                fast_tail_ms=np.append(arrays.fast_tail_ms, 0.0),
            )
            self._fill(kind, lane, allowed)
        return kind

    def highest_per_ms(self, lane: Lane) -> int:
        """The row of a lane's variant that brings most per ms of work."""
        rows = slice(lane.offset, lane.offset + len(lane.models))
        return lane.offset + int(np.argmax(self.arrays.gain[rows] / self.arrays.mean_ms[rows]))

    def _rekind(self, changed: Lane | None) -> None:
        for (offset, allowed), kind in self._kind_of.items():
            if changed is None or offset == changed.offset:
                lane = next(lane for lane in self.lanes if lane.offset == offset)
                self._fill(kind, lane, allowed)

    def _fill(self, kind: int, lane: Lane, allowed: Allowed) -> None:
        arrays = self.arrays
        rows = np.array(
            [
                lane.offset + index
                for index, model in enumerate(lane.models)
                if allowed is None or model == allowed or model in _several(allowed)
            ],
            dtype=np.intp,
        )
        loads_ms = self._cold_anywhere()
        needs_ms = arrays.mean_ms[rows] + self._error_ms[rows] + loads_ms[rows]
        fastest = rows[int(np.argmin(needs_ms))]
        arrays.fast_ms[kind] = arrays.mean_ms[fastest] + self._error_ms[fastest]
        arrays.fast_tail_ms[kind] = arrays.tail_ms[fastest] + loads_ms[fastest]
        if not loads_ms.any():  # else a slower, less accurate one that is resident may be best
            rows = undominated(arrays.quantiles_ms, rows)
        arrays.kinds[kind] = -1
        arrays.kinds[kind, : len(rows)] = rows
        self.only[kind] = int(rows[0]) if len(rows) == 1 else -1

    # -- memory -----------------------------------------------------------------------------------

    def set_resident(self, worker: int, models: Iterable[str]) -> None:
        """The variants loaded on a worker, as `variant` or `family/variant`."""
        given = set(models)
        self._resident[worker] = {
            lane.offset + index
            for lane in self.lanes
            for index, model in enumerate(lane.models)
            if model in given or f"{lane.family}/{model}" in given
        }
        rows = len(self._cold_ms)
        self._all_resident = all(each is None or len(each) == rows for each in self._resident)
        self._rekind(None)

    def is_cold(self, worker: int, row: int) -> bool:
        """Whether a model has to be loaded before it can run on a worker."""
        resident = self._resident[worker]
        return resident is not None and row not in resident

    def loads_ms(self, workers: Iterable[int]) -> Floats:
        """What each model needs at least before it can run on one of the workers, (M,); (0,)
        where all are resident."""
        if self._all_resident:
            return NOTHING
        best: Floats | None = None
        for worker in workers:
            resident = self._resident[worker]
            if resident is None or len(resident) == len(self._cold_ms):
                return NOTHING
            loads = self._cold_ms.copy()
            loads[list(resident)] = 0.0
            best = loads if best is None else np.minimum(best, loads)
        return NOTHING if best is None else best

    def _cold_anywhere(self) -> Floats:
        loads = self.loads_ms(range(self.size))
        return loads if len(loads) else np.zeros(len(self._cold_ms))

    # -- workers ----------------------------------------------------------------------------------

    @property
    def may_try(self) -> bool:
        """Whether a request may be tried that can be promised nothing: nothing waits, and a worker
        is idle."""
        return self.busy < self.live and not self.waiting.entries

    def idle(self) -> list[int]:
        """Workers that are up and do nothing, in order."""
        return self._free

    def state(self, now_ms: float) -> State:
        """What the live workers have yet to do."""
        if self.busy == 0:
            return self._at_rest
        return State(*kernel_arrays.unfinished(self.arrays, self.running, now_ms))

    def start(self, worker: int, job: Job, now_ms: float, load_ms: float, factor: float) -> None:
        """A worker begins a job."""
        self.jobs[worker] = job
        self._free.remove(worker)
        self.busy += 1
        running = self.running
        running[worker, START], running[worker, MODEL] = now_ms + load_ms, job.row
        running[worker, FACTOR] = factor
        resident = self._resident[worker]
        if resident is not None:
            resident.add(job.row)

    def stop(self, worker: int, work: Assignment) -> Job | None:
        """A worker's job ended; None where it is not that job's any more."""
        job = self.jobs[worker]
        if job is None or job.work is not work:
            return None
        self.jobs[worker] = None
        self.running[worker, MODEL] = IDLE
        insort(self._free, worker)
        self.busy -= 1
        return job

    def lose(self, worker: int) -> None:
        """A worker is down; what it did is lost."""
        if self.running[worker, MODEL] == LOST:
            return
        if self.jobs[worker] is None:
            self._free.remove(worker)
        else:
            self.jobs[worker] = None
            self.busy -= 1
        self.running[worker, MODEL] = LOST
        self._count(-1)

    def regain(self, worker: int) -> None:
        """A worker is up again, with nothing to do."""
        if self.running[worker, MODEL] == LOST:
            self.running[worker, MODEL] = IDLE
            insort(self._free, worker)
            self._count(1)

    def _count(self, more: int) -> None:
        self.live += more
        self._at_rest = State(np.zeros(self.live), np.zeros(self.live), 0.0)
        self.relay()

    def chance(self, ticket: Ticket, row: int, left_ms: float, factor: float) -> float:
        """P that an answer is in time whose service may take so long, the way back included."""
        return kernel_arrays.chance(
            self.arrays.quantiles_ms, row, left_ms, factor, ticket.errors_ms[None], 0
        )

    def terminal(self, now_ms: float) -> Floats:
        """What a backlog is worth for requests yet to come of all families, (N,)."""
        at_rest = not self._loaded and self.busy == 0 and len(self.waiting) <= 1
        total = self.priced[0].terminal(now_ms, at_rest=at_rest)
        for lane in self.priced[1:]:
            total = total + lane.terminal(now_ms, at_rest=at_rest)
        return total

    def wait_ms(self, now_ms: float) -> float:
        """The work of each worker until all that is queued is done as fast as can be."""
        arrays = self.arrays
        queue = self.waiting.queue
        queued_ms = float(arrays.fast_ms[queue.kind[: queue.last]].sum()) * arrays.factor
        return float(self.state(now_ms).work_ms + queued_ms) / max(self.live, 1)


def _several(allowed: Allowed) -> Iterable[str]:
    return allowed if isinstance(allowed, frozenset) else ()
