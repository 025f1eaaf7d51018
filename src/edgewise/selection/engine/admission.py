"""Whether a request that arrives is admitted to a pool's queue, and where it stands there."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgewise.selection.engine import discipline
from edgewise.selection.engine.families import Bound
from edgewise.selection.engine.jobs import Plan, Reason, Ticket
from edgewise.selection.engine.lanes import Lane
from edgewise.selection.engine.pool_state import Allowed, PoolState, State
from edgewise.selection.engine.waiting import Entry
from edgewise.selection.policies.kernel_arrays import PoolArrays

#: Refusals never ask to come back sooner than this.
_SOON_MS = 1.0
#: Who can be promised nothing is tried where that brings this share of its answer, net of what its
#: work costs later requests. Where all workers are always busy a ms costs what it brings, and
#: nobody is; where promises are what keeps them idle, nearly all are.
_WORTH_A_TRY = 0.25
#: What `discipline.admit` says.
_Entered = tuple[bool, float, float, int, float, float, float, float]


@dataclass(slots=True)
class Admitted:
    """A ticket that now stands in a pool's queue. `points` is what it brings, less what it
    costs later requests; `seen` is what prices learn from: budget, backlog, wait, deviation."""

    pool_state: PoolState
    lane: Lane
    entry: Entry
    plan: Plan
    points: float
    seen: tuple[float, float, float, float]

    def withdraw(self) -> None:
        """Take it out again: it does better elsewhere."""
        waiting = self.pool_state.waiting
        waiting.remove(waiting.find(self.entry.ticket))


@dataclass(slots=True)
class Refusal:
    """No place: why, when there may be one again, and what prices learn from it."""

    lane: Lane
    reason: Reason
    retry_after_ms: float
    seen: tuple[float, float, float, float]


def allowed(ticket: Ticket, lane: Lane) -> Allowed:
    """The part of a lane that a ticket may use: all is None."""
    if ticket.pinned is not None:
        return ticket.pinned
    if ticket.eligible is None or ticket.eligible.issuperset(lane.index):
        return None
    return ticket.eligible


def offer(pool_state: PoolState, lane: Lane, ticket: Ticket, now_ms: float) -> Admitted | Refusal:
    """Admission under `deadline`: in time as promised, nobody else late, and worth its price; or,
    where nothing can be promised, worth a try, nobody else late as far as means tell."""
    budget_ms = ticket.due_ms - now_ms
    pool_state.reach(budget_ms)
    entry = Entry(ticket, lane, pool_state.kind(lane, allowed(ticket, lane)))
    waiting, arrays = pool_state.waiting, pool_state.arrays
    entry.kept = arrays.slip
    place = waiting.place(ticket.due_ms)
    loads_ms = pool_state.loads_ms(pool_state.idle() or range(pool_state.size))
    terminal = pool_state.terminal(now_ms)

    def enter(by: PoolArrays, may_try: bool) -> _Entered:
        return discipline.admit(
            waiting.with_room(), place, ticket.due_ms, entry.kind, ticket.errors_ms,
            pool_state.running, now_ms, may_try, terminal, loads_ms, by, pool_state.future,
        )  # fmt: skip

    found = enter(arrays, pool_state.may_try)
    spread_ms = found[2] / pool_state.deviations
    if not found[0]:
        late = _late(lane, entry, budget_ms, found[1], found[-1], spread_ms, pool_state)
        if lane.later is None:
            return late
        found, entry.kept = enter(pool_state.by_means, True), None
        if not found[0]:
            return late
    waiting.inserted(place, entry)
    _, start_ms, _, model, wait_ms, chance, points, backlog_ms = found
    if entry.kept is None and (model < 0 or points < _WORTH_A_TRY * arrays.gain[model]):
        waiting.remove(place)
        return late
    seen = (budget_ms, backlog_ms, wait_ms, spread_ms)
    if model < 0:
        kinds = arrays.kinds[entry.kind]
        fastest = int(kinds[kinds >= 0][-1])
        model = int(kinds[0]) if budget_ms == math.inf else fastest
        chance = pool_state.chance(ticket, model, budget_ms - wait_ms, arrays.factor)
        if budget_ms < math.inf and chance <= 0:  # not worth a try either
            waiting.remove(place)
            return _late(lane, entry, budget_ms, start_ms, backlog_ms, spread_ms, pool_state)
        # Before there are prices, and for whom there is no choice, being in time is enough. So it
        # is where the fastest variant makes most of its time: none who waits could use it better,
        # whatever prices say that were found before the machine slowed down.
        priced = lane.later is not None and budget_ms < math.inf and ticket.pinned is None
        if priced and fastest != pool_state.highest_per_ms(lane):
            waiting.remove(place)
            return Refusal(lane, "price", max(backlog_ms, _SOON_MS), seen)
    load_ms = float(loads_ms[model]) if len(loads_ms) else 0.0
    total_ms = wait_ms + load_ms + float(arrays.mean_ms[model]) * arrays.factor
    plan = Plan(lane.models[model - lane.offset], wait_ms, total_ms, chance)
    return Admitted(pool_state, lane, entry, plan, points, seen)


def place_bound(
    pool_state: PoolState,
    lane: Lane,
    ticket: Ticket,
    bound: Bound,
    now_ms: float,
    *,
    tentative: bool,
) -> Admitted | Refusal:
    """Admission of a request whose variant is chosen: in time as promised, and nobody late."""
    budget_ms = ticket.due_ms - now_ms
    row = lane.offset + lane.index[bound.variant]
    state = pool_state.state(now_ms)
    entry = Entry(
        ticket,
        lane,
        pool_state.kind(lane, bound.variant),
        row,
        bound.probability,
        bound.probabilities,
        tentative,
        pool_state.arrays.slip,
    )
    place = pool_state.waiting.place(ticket.due_ms)
    fits, start_ms = _fits(pool_state, state, place, entry, now_ms)
    if not fits:
        return _late(lane, entry, budget_ms, start_ms, start_ms, 0.0, pool_state)
    pool_state.waiting.insert(place, entry)
    arrays = pool_state.arrays
    service_ms = float(arrays.mean_ms[row]) * arrays.factor
    chance = pool_state.chance(ticket, row, budget_ms - start_ms, arrays.factor)
    plan = Plan(bound.variant, start_ms, start_ms + service_ms, chance)
    points = float(arrays.gain[row]) * chance
    seen = (budget_ms, start_ms, start_ms, 0.0)
    return Admitted(pool_state, lane, entry, plan, points, seen)


def start_of(pool_state: PoolState, lane: Lane, ticket: Ticket, now_ms: float) -> float:
    """When a request would start, from now."""
    kind = pool_state.kind(lane, allowed(ticket, lane))
    state = pool_state.state(now_ms)
    waiting = pool_state.waiting
    place = waiting.place(ticket.due_ms)
    _, _, start_ms = discipline.late(
        waiting.queue,
        place,
        math.inf,
        kind,
        state.free_ms,
        state.square,
        now_ms,
        pool_state.arrays,
    )
    return start_ms


def _fits(
    pool_state: PoolState, state: State, place: int, entry: Entry, now_ms: float
) -> tuple[bool, float]:
    """Whether all promises hold with a new entry, and when that would start."""
    queue = pool_state.waiting.queue
    due_ms = entry.ticket.due_ms
    is_late, others, start_ms = discipline.late(
        queue,
        place,
        due_ms,
        entry.kind,
        state.free_ms,
        state.square,
        now_ms,
        pool_state.arrays,
    )
    if is_late and not pool_state.may_try:
        return False, start_ms
    if others > 0:
        _, before, _ = discipline.late(
            queue, -1, 0.0, -1, state.free_ms, state.square, now_ms, pool_state.arrays
        )
        return others <= before, start_ms
    return True, start_ms


def _late(
    lane: Lane,
    entry: Entry,
    budget_ms: float,
    start_ms: float,
    backlog_ms: float,
    spread_ms: float,
    pool_state: PoolState,
) -> Refusal:
    """It may be in time when the wait has shrunk by what it is too long now."""
    fast_ms = float(pool_state.arrays.fast_ms[entry.kind]) * pool_state.arrays.factor
    excess_ms = min(start_ms + fast_ms - budget_ms, start_ms)
    seen = (budget_ms, backlog_ms, start_ms, spread_ms)
    return Refusal(lane, "late", max(excess_ms, _SOON_MS), seen)
