"""The scheduler: earliest deadline first, choosing when a worker is free, keeping what it promised.

Pure and without a clock: whoever calls says what time it is, in ms on any monotonic clock, and runs
what `next` says. The same calls in the same order give the same answers.

- **Order**: of a pool's queue the earliest deadline goes first, first come first among equals,
  those without a deadline last. Work that has begun is not interrupted.
- **Admission**: a request is refused at once that cannot be in time, or would make one late that
  was admitted before it, with the fastest variants and at the promised level (`promise`, 99.5 %);
  and one whose work costs later requests more than it brings. Under `deadline` one that can be
  promised nothing is tried where it brings much more than its work costs.
- **Choice**: `deadline` chooses when a worker becomes free, by the plan for all that wait and the
  price of time for those that will come (`discipline.py`, `prices.py`). Published policies choose
  on arrival, as they know no queue; with `+queue` they choose on arrival and again at the start, as
  long as that makes nobody late.
- **Learning**: every answer tells about its variant, freed of the slow-down by other busy workers,
  which is learned beside it (`slowdown.py`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from edgewise.errors import UsageError
from edgewise.selection.engine.admission import Admitted, Refusal, offer, place_bound, start_of
from edgewise.selection.engine.dispatch import Dispatcher
from edgewise.selection.engine.families import Bound, Family, learned_file
from edgewise.selection.engine.jobs import Assignment, Batching, FamilyPlan, Plan, Rejection, Ticket
from edgewise.selection.engine.lanes import Fitted, Lane
from edgewise.selection.engine.pool_state import Job, PoolState
from edgewise.selection.profiles.table import ProfileTable

__all__ = ["Assignment", "Batching", "FamilyPlan", "Plan", "Rejection", "Scheduler", "Ticket"]

#: When to ask again where no worker is up.
_DOWN_MS = 1000.0
#: Passing a job to its worker and back takes less.
_PASSING_MS = 100.0


class Scheduler:
    """Decides for the requests of several families that share pools of workers.

    Args:
        families: what is served, by name.
        pools: workers of each pool, one request (or batch) at a time each.
        seed: of the policies that draw lots.
        batching: how several requests may run at once; None: never.
        queue_limit: requests that may wait, over all pools.
        promise: the share of those admitted that shall be in time.
        learned: folder of `save`; families that it knows go on from there.
        loaded: a load is to be expected; else the first who comes alone may take its time.

    Raises:
        UsageError: no family, a pool without workers, a variant in no pool, a policy that cannot
            choose for a queue.
        InputError: what was learned cannot be read.
    """

    def __init__(
        self,
        families: Mapping[str, FamilyPlan],
        pools: Mapping[str, int],
        *,
        seed: int = 0,
        batching: Batching | None = None,
        queue_limit: int = 1024,
        promise: float = 0.995,
        learned: Path | None = None,
        loaded: bool = False,
    ) -> None:
        _check(families, pools, promise)
        self._families = {
            name: Family(plan, learned_file(learned, name) if learned else None, seed)
            for name, plan in families.items()
        }
        self._stations = {name: PoolState(name, n, promise, loaded) for name, n in pools.items()}
        for family in self._families.values():
            family.furnish(pools)
        for name, pool_state in self._stations.items():
            pool_state.furnish(f.lanes[name] for f in self._families.values() if name in f.lanes)
        self._dispatcher = Dispatcher(self._families, batching)
        self._limit = queue_limit
        self._queued: dict[int, tuple[PoolState, Ticket]] = {}
        self._probe: tuple[PoolState, Ticket, str] | None = None

    # -- requests ---------------------------------------------------------------------------------

    def arrive(self, ticket: Ticket, now_ms: float) -> Plan | Rejection:
        """Admit a request to a queue, or refuse it.

        Raises:
            UsageError: an unknown family or variant, an id that is queued already, a deadline that
                is NaN.
        """
        family = self._families.get(ticket.family)
        if family is None:
            raise UsageError(f"no family '{ticket.family}' is served")
        if ticket.id in self._queued or ticket.due_ms != ticket.due_ms:
            raise UsageError(f"the request {ticket.id} is queued already, or due at no time")
        family.check(ticket)
        if len(self._queued) >= self._limit:
            return Rejection(ticket, "full", max(self.backlog_ms(now_ms), 1.0))
        found = self._best(family, ticket, now_ms)
        if found is None:
            return Rejection(ticket, "down", _DOWN_MS)
        # Prices rest on requests that they decide on; all others are work that is just there.
        priced = found.lane.policy is not None and ticket.pinned is None
        priced = priced and found.seen[0] < math.inf
        if priced:
            found.lane.note(now_ms, *found.seen, ticket.errors_ms)
        if isinstance(found, Refusal):
            return Rejection(ticket, found.reason, found.retry_after_ms)
        self._queued[ticket.id] = (found.pool_state, ticket)
        _tell_others(found, priced)
        return found.plan

    def cancel(self, ticket_id: int, now_ms: float) -> bool:
        """Take a queued request out; False where it is not queued (any more)."""
        found = self._queued.pop(ticket_id, None)
        if found is None:
            return False
        pool_state, ticket = found
        pool_state.waiting.remove(pool_state.waiting.find(ticket))
        return True

    def next(self, now_ms: float) -> list[Assignment | Rejection]:
        """All that can start now on idle workers, and queued requests whose time ran out."""
        actions: list[Assignment | Rejection] = []
        for pool_state in self._stations.values():
            while (action := self._dispatcher.next(pool_state, now_ms)) is not None:
                actions.append(action)
                if isinstance(action, Rejection):
                    del self._queued[action.ticket.id]
                else:
                    for ticket in action.tickets:
                        del self._queued[ticket.id]
        if self._probe is not None and not self._queued:
            probe, self._probe = self._probe, None
            if probe[0].busy == 0 and (started := self._dispatcher.probe(*probe, now_ms)):
                actions.append(started)
        return actions

    # -- outcomes ---------------------------------------------------------------------------------

    def done(
        self,
        assignment: Assignment,
        now_ms: float,
        *,
        inference_ms: float,
        service_ms: float,
        cold_ms: float,
    ) -> None:
        """A job ended: its worker is free, and its times are learned from.

        Args:
            assignment: as `next` gave it.
            now_ms: the time.
            inference_ms: of the inference alone; only checked.
            service_ms: how long the worker was occupied, without a load.
            cold_ms: how long the load before it took, 0: none.

        Raises:
            UsageError: a time that is negative or not finite.
        """
        if not (0 <= inference_ms < math.inf and 0 <= service_ms < math.inf and cold_ms >= 0):
            raise UsageError(f"times of {inference_ms}, {service_ms} and {cold_ms} ms")
        pool_state = self._stations[assignment.pool]
        job = pool_state.stop(assignment.worker, assignment)
        if job is None:
            return
        for ticket, kept in zip(assignment.tickets, job.kept, strict=False):  # of a probe, none
            pool_state.ended(ticket, kept, job.started_ms, now_ms)
        if service_ms > 0:
            self._learn(pool_state, job, now_ms, service_ms, cold_ms)
        if not assignment.probe and pool_state.busy == 0 and not pool_state.waiting.entries:
            self._seek_probe(pool_state, job)

    def failed(self, assignment: Assignment, now_ms: float) -> None:
        """A job ended without a result: its worker is free, nothing is learned."""
        self._stations[assignment.pool].stop(assignment.worker, assignment)

    def worker_lost(self, pool: str, worker: int, now_ms: float) -> None:
        """A worker is down; the job on it has ended. What is queued waits."""
        self._stations[pool].lose(worker)

    def withdraw(self, pool: str) -> list[Ticket]:
        """Take out all that is queued for a pool, in its order: it may `arrive` again."""
        pool_state = self._stations[pool]
        found = [pool_state.waiting.remove(0).ticket for _ in range(len(pool_state.waiting))]
        for ticket in found:
            del self._queued[ticket.id]
        return found

    def worker_back(self, pool: str, worker: int, now_ms: float) -> None:
        """It is up again."""
        self._stations[pool].regain(worker)

    def resident(
        self, pool: str, worker: int, variants: Mapping[str, bool] | Iterable[str]
    ) -> None:
        """What a worker has loaded, as names of variants or `family/variant`; until this is said,
        everything counts as loaded."""
        loaded = [v for v, is_there in variants.items() if is_there] \
            if isinstance(variants, Mapping) else variants  # fmt: skip
        self._stations[pool].set_resident(worker, loaded)

    # -- what is known ----------------------------------------------------------------------------

    @property
    def queue_length(self) -> int:
        """Requests that wait."""
        return len(self._queued)

    def backlog_ms(self, now_ms: float) -> float:
        """The expected work of each worker until the shortest queue is empty; infinite where no
        worker is up."""
        live = (each.wait_ms(now_ms) for each in self._stations.values() if each.live)
        return min(live, default=math.inf)

    def profiles(self, family: str) -> ProfileTable:
        """A family's profiles as they are known now, with one worker busy."""
        return self._families[family].learners.table()

    def slowdown(self, family: str, pool: str, busy: int) -> float:
        """How many times longer work lasts when so many workers of a pool are busy."""
        return self._families[family].learners.slowdown_in(pool).at(busy)

    @property
    def refit_due(self) -> bool:
        """Whether `refit` should be called when there is time."""
        return any(family.due for family in self._families.values())

    def refit(self) -> None:
        """Fit the prices of one family in one pool to its traffic (2 to 7 ms), and rebuild the
        choosers of families that have learned enough. Repeat while `refit_due`."""
        if (found := self.fitting()) is not None:
            find, take = found
            take(find())

    def fitting(self) -> tuple[Callable[[], Fitted], Callable[[Fitted], None]] | None:
        """`refit` in two: a search for prices, which touches nothing and may be done in another
        thread, and who takes what it finds. None where no prices are due."""
        for family in self._families.values():
            if not family.due:
                continue
            if family.inner is not None:
                family.renew()
            for pool, lane in family.lanes.items():
                if lane.policy is not None and lane.policy.due:
                    return lane.fitting(), partial(self._stations[pool].reprice, lane)
        return None

    def save(self, folder: Path) -> None:
        """Keep what was learned: a file per family; an interrupted save leaves the old one."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, family in self._families.items():
            family.learners.save(learned_file(folder, name))

    # -- inside -----------------------------------------------------------------------------------

    def _best(self, family: Family, ticket: Ticket, now_ms: float) -> Admitted | Refusal | None:
        """The pool in which a request brings most; the first refusal where all refuse; None where
        no worker is up."""
        if family.rule is None:
            return self._bound(family, ticket, now_ms)
        best: Admitted | Refusal | None = None
        for pool, lane in family.lanes.items():
            pool_state = self._stations[pool]
            if not pool_state.live or not _has(lane, ticket):
                continue
            best = _better(best, offer(pool_state, lane, ticket, now_ms))
        return best

    def _bound(self, family: Family, ticket: Ticket, now_ms: float) -> Admitted | Refusal | None:
        if family.knows_queue and ticket.pinned is None:
            return self._knowing(family, ticket, now_ms)
        bound = family.bind(ticket, ticket.due_ms - now_ms)
        if bound is None:
            lane = next(iter(family.lanes.values()))
            return Refusal(lane, "late", 1.0, (math.inf, 0.0, 0.0, 0.0))
        pool = family.pool_of[bound.variant]
        pool_state = self._stations[pool]
        if not pool_state.live:
            return None
        return place_bound(pool_state, family.lanes[pool], ticket, bound, now_ms, tentative=False)

    def _knowing(self, family: Family, ticket: Ticket, now_ms: float) -> Admitted | Refusal | None:
        """In every pool what its wait leaves of the budget can buy."""
        best: Admitted | Refusal | None = None
        for pool, lane in family.lanes.items():
            pool_state = self._stations[pool]
            if not pool_state.live or not _has(lane, ticket):
                continue
            start_ms = start_of(pool_state, lane, ticket, now_ms)
            best = _better(best, self._place(family, pool_state, lane, ticket, start_ms, now_ms))
        return best

    def _place(
        self,
        family: Family,
        pool_state: PoolState,
        lane: Lane,
        ticket: Ticket,
        start_ms: float,
        now_ms: float,
    ) -> Admitted | Refusal:
        variant = family.choose_in(lane, ticket, ticket.due_ms - now_ms - start_ms)
        if variant is None:
            return Refusal(lane, "late", max(start_ms, 1.0), (math.inf, 0.0, 0.0, 0.0))
        bound = Bound(variant, 1.0, family.certain(variant))
        return place_bound(pool_state, lane, ticket, bound, now_ms, tentative=True)

    def _learn(
        self, pool_state: PoolState, job: Job, now_ms: float, service_ms: float, cold_ms: float
    ) -> None:
        """Profiles learn what the worker says, plans what the job took as seen from here: passing
        it there and back is time, too."""
        lane, work, size = job.lane, job.work, len(job.work.tickets)
        index = job.row - lane.offset
        family = self._families[lane.family]
        if cold_ms > 0:
            first_ms = cold_ms + service_ms
            family.learn(work.variant, first_ms, cold=True)
            lane.loaded(index, first_ms)
            pool_state.relearn(lane, index)
            return
        mean_ms = lane.service.means_ms[index]
        passing_ms = now_ms - job.started_ms - service_ms
        if passing_ms > _PASSING_MS:  # it waited for a new worker: that tells nothing of others
            passing_ms = 0.0
        seen_ms = service_ms + max(passing_ms, 0.0)
        if size > 1:
            busy = lane.busy.at(job.busy)
            family.learners.batches_of(work.variant).observe(size, seen_ms / mean_ms / busy)
            return
        lane.busy.observe(job.busy, seen_ms / mean_ms)
        factor = lane.busy.at(job.busy)
        family.learn(work.variant, service_ms / factor)
        if lane.learn(index, seen_ms / factor, factor):
            pool_state.relearn(lane, index)
            if pool_state.has_slowed():
                pool_state.relay()

    def _seek_probe(self, pool_state: PoolState, job: Job) -> None:
        policy = job.lane.policy
        variant = policy.probe(0.0) if policy is not None else None
        if variant is not None and variant != job.work.variant:
            self._probe = (pool_state, job.work.tickets[0], variant)


def _better(best: Admitted | Refusal | None, found: Admitted | Refusal) -> Admitted | Refusal:
    """The one that brings more; the other one gives its place back."""
    if best is None:
        return found
    if isinstance(found, Refusal) or (isinstance(best, Admitted) and best.points >= found.points):
        if isinstance(found, Admitted):
            found.withdraw()
        return best
    if isinstance(best, Admitted):
        best.withdraw()
    return found


def _tell_others(found: Admitted, priced: bool) -> None:
    """Other families' prices count this work as time that is not theirs, and so does its own where
    it did not decide."""
    work_ms = found.plan.predicted_ms - found.plan.predicted_queue_ms
    for lane in found.pool_state.priced:
        if lane is not found.lane or not priced:
            lane.add_others(work_ms)


def _has(lane: Lane, ticket: Ticket) -> bool:
    """Whether a lane has a variant that a ticket may get."""
    if ticket.pinned is not None:
        return ticket.pinned in lane.index
    return ticket.eligible is None or not ticket.eligible.isdisjoint(lane.index)


def _check(families: Mapping[str, FamilyPlan], pools: Mapping[str, int], promise: float) -> None:
    if not families:
        raise UsageError("no family to schedule")
    if empty := [name for name, workers in pools.items() if workers < 1]:
        raise UsageError(f"the pool '{empty[0]}' has no worker", hint="at least one")
    if not 0.5 <= promise < 1:
        raise UsageError(f"a promise of {promise}", hint="at least 0.5 and below 1")
