"""What a free worker of a pool does next: which variant the first in the queue gets, and who else
comes along in a batch."""

from __future__ import annotations

from collections.abc import Sequence

from edgewise.selection.engine import discipline
from edgewise.selection.engine.families import Family
from edgewise.selection.engine.jobs import Assignment, Batching, Rejection, Ticket
from edgewise.selection.engine.pool_state import Job, PoolState
from edgewise.selection.engine.waiting import Entry


class Dispatcher:
    """Starts work on pools as promised."""

    def __init__(self, families: dict[str, Family], batching: Batching | None) -> None:
        self._families = families
        self._most = batching.max_size if batching else 1

    def next(self, pool_state: PoolState, now_ms: float) -> Assignment | Rejection | None:
        """The next start, or a refusal of whoever cannot be in time any more; None: neither."""
        waiting = pool_state.waiting
        if not waiting.entries:
            return None
        idle = pool_state.idle()
        if not idle:
            if waiting.next_due_ms() >= now_ms:
                return None
            return self._expire(pool_state, now_ms)
        entry = waiting.entries[0]
        factor = entry.lane.busy.at(pool_state.busy + 1)
        row = self._choose(pool_state, entry, idle, factor, now_ms)
        if row < 0:
            return self._expire(pool_state, now_ms)
        return self._start(pool_state, entry, row, idle, factor, now_ms)

    def probe(
        self, pool_state: PoolState, ticket: Ticket, variant: str, now_ms: float
    ) -> Assignment | None:
        """A run to learn from, on a worker that has the variant loaded."""
        family = self._families[ticket.family]
        lane = family.lanes[pool_state.name]
        row = lane.offset + lane.index[variant]
        ready = [worker for worker in pool_state.idle() if not pool_state.is_cold(worker, row)]
        if not ready:
            return None
        factor = lane.busy.at(pool_state.busy + 1)
        work = Assignment(
            tickets=(ticket,),
            variant=variant,
            worker=ready[0],
            pool=pool_state.name,
            probability=1.0,
            probabilities=family.certain(variant),
            predicted_queue_ms=0.0,
            predicted_ms=float(pool_state.arrays.mean_ms[row]) * factor,
            why="probe: not seen for long",
            probe=True,
        )
        job = Job(work, lane, row, pool_state.busy + 1, cold=False, started_ms=now_ms)
        pool_state.start(ready[0], job, now_ms, 0.0, factor)
        return work

    def _expire(self, pool_state: PoolState, now_ms: float) -> Rejection:
        entry = pool_state.waiting.remove(0)
        ticket = entry.ticket
        if pool_state.live:  # else nothing was planned wrongly
            ended_ms = now_ms + float(pool_state.arrays.fast_ms[entry.kind])
            pool_state.ended(ticket, entry.kept, now_ms, ended_ms)
        return Rejection(ticket, "expired", max(pool_state.wait_ms(now_ms), 1.0))

    def _choose(
        self,
        pool_state: PoolState,
        entry: Entry,
        idle: Sequence[int],
        factor: float,
        now_ms: float,
    ) -> int:
        """The row of the variant for the first in the queue, −1: none can be in time."""
        loads_ms = pool_state.loads_ms(idle)
        only = pool_state.only[entry.kind]
        if entry.model < 0 and only >= 0:
            # As `choose` would, which takes longer to call.
            load_ms = float(loads_ms[only]) if len(loads_ms) else 0.0
            left_ms = entry.ticket.due_ms - now_ms - load_ms
            likely = pool_state.chance(entry.ticket, only, left_ms, factor)
            return only if likely > entry.lane.floor else -1
        if entry.model < 0:
            policy = entry.lane.policy
            attainment = policy.rule.attainment if policy is not None else 0.0
            return discipline.choose(
                pool_state.waiting.queue, pool_state.running, now_ms, pool_state.terminal(now_ms),
                loads_ms, factor, attainment, entry.lane.floor, pool_state.arrays,
                pool_state.future,
            )  # fmt: skip
        row = entry.model
        if entry.tentative:
            row = self._again(pool_state, entry, factor, now_ms)
        load_ms = float(loads_ms[row]) if len(loads_ms) else 0.0
        left_ms = entry.ticket.due_ms - now_ms - load_ms
        return row if pool_state.chance(entry.ticket, row, left_ms, factor) > 0 else -1

    def _again(self, pool_state: PoolState, entry: Entry, factor: float, now_ms: float) -> int:
        """What a policy that knows the queue chooses now; as before where that makes one late."""
        lane, ticket = entry.lane, entry.ticket
        assert lane.choosing is not None
        of, chooser = lane.choosing
        chosen = chooser.choose(max(ticket.sla_ms, 0.0), ticket.due_ms - now_ms, 0.0)
        model = of.models[chosen] if chosen >= 0 else None
        if model is None or (ticket.eligible is not None and model not in ticket.eligible):
            return entry.model
        row = lane.offset + lane.index[model]
        if row == entry.model:
            return row
        queue, arrays, state = (
            pool_state.waiting.queue,
            pool_state.arrays,
            pool_state.state(now_ms),
        )
        broken, before = (
            discipline.holds(queue, each, 0.0, factor, state.free_ms, state.square, now_ms, arrays)
            for each in (row, entry.model)
        )
        return row if broken <= before else entry.model

    def _start(
        self,
        pool_state: PoolState,
        entry: Entry,
        row: int,
        idle: Sequence[int],
        factor: float,
        now_ms: float,
    ) -> Assignment:
        worker = next((each for each in idle if not pool_state.is_cold(each, row)), idle[0])
        cold = pool_state.is_cold(worker, row)
        lane, first = entry.lane, entry.ticket
        variant = lane.models[row - lane.offset]
        load_ms = lane.cold_ms[row - lane.offset] if cold else 0.0
        size = 1
        if self._most > 1 and len(idle) == 1 and not cold:
            size = self._batch(pool_state, entry, row, factor, now_ms)
        family = self._families[lane.family]
        if size > 1:
            factor *= family.learners.batches_of(variant).at(size)
        if entry.model < 0 and first.pinned is None:
            lane.started(
                float(pool_state.arrays.mean_ms[row]),
                float(pool_state.arrays.fast_ms[entry.kind]),
            )
        entries = [pool_state.waiting.remove(0) for _ in range(size)]
        tickets = tuple(each.ticket for each in entries)
        work = Assignment(
            tickets=tickets,
            variant=variant,
            worker=worker,
            pool=pool_state.name,
            probability=entry.probability,
            probabilities=entry.probabilities or family.certain(variant),
            predicted_queue_ms=max(now_ms - first.arrived_ms, 0.0),
            predicted_ms=load_ms + float(pool_state.arrays.mean_ms[row]) * factor,
            why=_why(family, entry, len(pool_state.waiting), size),
        )
        kept = tuple(each.kept for each in entries)
        job = Job(work, lane, row, pool_state.busy + 1, cold, now_ms, kept)
        pool_state.start(worker, job, now_ms, load_ms, factor)
        return work

    def _batch(
        self, pool_state: PoolState, entry: Entry, row: int, factor: float, now_ms: float
    ) -> int:
        """How many of the first in the queue can run at once, with all promises kept."""
        family = self._families[entry.lane.family]
        sizes = family.learners.batches_of(entry.lane.models[row - entry.lane.offset])
        waiting, arrays, state = (
            pool_state.waiting,
            pool_state.arrays,
            pool_state.state(now_ms),
        )
        longest_ms = float(arrays.mean_ms[row] + arrays.tail_ms[row]) * factor
        left_ms = entry.ticket.due_ms - now_ms
        best = 1
        for size in range(2, min(self._most, len(waiting.entries)) + 1):
            other = waiting.entries[size - 1]
            slower = sizes.at(size)
            if not self._joins(pool_state, entry, other, row) or longest_ms * slower > left_ms:
                break
            queue = waiting.queue._replace(first=size - 1)
            broken = discipline.holds(
                queue, row, 0.0, factor * slower, state.free_ms, state.square, now_ms, arrays
            )
            if broken == 0:
                best = size
        return best

    def _joins(self, pool_state: PoolState, entry: Entry, other: Entry, row: int) -> bool:
        """Whether another one may run the same variant in the same batch."""
        if other.lane is not entry.lane:
            return False
        if other.model >= 0 and not other.tentative:
            return other.model == row
        allowed, model = other.ticket.eligible, entry.lane.models[row - entry.lane.offset]
        return other.ticket.pinned in (None, model) and (allowed is None or model in allowed)


def _why(family: Family, entry: Entry, behind: int, size: int) -> str:
    if entry.ticket.pinned is not None:
        return "pinned"
    words = family.policy
    if size > 1:
        words += f": a batch of {size}"
    return words if behind == 0 else f"{words}, {behind} behind it"
