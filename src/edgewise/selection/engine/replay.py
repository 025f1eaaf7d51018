"""The scheduler that serves, fed with requests of a simulation: discrete events, no waiting.

`run` gives the row of a policy at a deadline on the same requests that `queueing.run` draws, with
the service's own discipline, earliest deadline first, in the place of first come first served.
`replay` does it for any arrivals, deadlines and service times, such as those of a recorded load.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from edgewise.errors import UsageError
from edgewise.records import SimulationRow
from edgewise.selection.engine import tally
from edgewise.selection.engine.cases import (
    BLOCK,
    AnyPolicy,
    Load,
    WithCascades,
    check_deadline,
    sizes,
)
from edgewise.selection.engine.jobs import CERTAIN, Assignment, FamilyPlan, Plan, Rejection, Ticket
from edgewise.selection.engine.scheduling import Scheduler
from edgewise.selection.policies import arrays
from edgewise.selection.policies.deadline import Deadline
from edgewise.selection.policies.kernel_arrays import ERRORS
from edgewise.selection.policies.protocol import REFUSED, Indices
from edgewise.selection.profiles.table import Floats
from edgewise.selection.workload.setup import Setup, block, generator

#: What rows say of the order of service.
NOTE = "earliest deadline first"
#: How long a request took that was given to a variant: (index of the request, variant, workers
#: busy with it) → ms.
Service = Callable[[int, str, int], float]


@dataclass(frozen=True, eq=False)
class Requests:
    """n requests in order of arrival, all (n,), in ms: absolute arrivals, absolute times by which
    the service must be done, deadlines as stated (infinite: none)."""

    arrival_ms: Floats
    due_ms: Floats
    sla_ms: Floats
    errors_ms: Floats = field(default_factory=lambda: CERTAIN)

    def __len__(self) -> int:
        return len(self.arrival_ms)


@dataclass(frozen=True, eq=False)
class Replayed:
    """What became of n requests, all (n,): the variant's index in `variants` or −1, wait and
    service together, and whether it was admitted when it came."""

    variants: tuple[str, ...]
    model: Indices
    sojourn_ms: Floats
    admitted: NDArray[np.bool_]


def replay(
    scheduler: Scheduler,
    family: str,
    requests: Requests,
    service_ms: Service,
    *,
    overhead_ms: float = 0.0,
) -> Replayed:
    """Feed requests of one family to a scheduler.

    Args:
        scheduler: fresh; it learns as it would in service.
        family: the family's name.
        requests: what arrives.
        service_ms: how long each would take.
        overhead_ms: what a job occupies its worker with beyond the service: passing it there and
            back.
    """
    return _Run(scheduler, family, requests, service_ms, overhead_ms).play()


class _Run:
    """One replay: the events to come, and what became of the requests."""

    def __init__(
        self,
        scheduler: Scheduler,
        family: str,
        requests: Requests,
        service_ms: Service,
        overhead_ms: float,
    ) -> None:
        self._scheduler, self._family = scheduler, family
        self._busy: Counter[str] = Counter()
        self._requests, self._service_ms = requests, service_ms
        self._overhead_ms = overhead_ms
        variants = scheduler.profiles(family).models
        self._index = {variant: index for index, variant in enumerate(variants)}
        self._ends: list[tuple[float, int, Assignment, float]] = []
        self._starts = 0
        n = len(requests)
        self._out = Replayed(
            variants, np.full(n, REFUSED, dtype=np.intp), np.empty(n), np.zeros(n, dtype=bool)
        )

    def play(self) -> Replayed:
        arrivals = self._requests.arrival_ms.tolist()
        dues, slas = self._requests.due_ms.tolist(), self._requests.sla_ms.tolist()
        errors_ms = self._requests.errors_ms
        for number, now_ms in enumerate(arrivals):
            self._end_all(now_ms)
            ticket = Ticket(
                number, self._family, now_ms, dues[number], slas[number], errors_ms=errors_ms
            )
            if isinstance(self._scheduler.arrive(ticket, now_ms), Plan):
                self._out.admitted[number] = True
                self._start(now_ms)
            self._refit()
        self._end_all(math.inf)
        return self._out

    def _end_all(self, until_ms: float) -> None:
        """Let all jobs end that do so by a time, each followed by the next."""
        while self._ends and self._ends[0][0] <= until_ms:
            now_ms, _, work, service_ms = heapq.heappop(self._ends)
            self._busy[work.pool] -= 1
            self._scheduler.done(
                work, now_ms, inference_ms=service_ms, service_ms=service_ms, cold_ms=0.0
            )
            self._start(now_ms)
            self._refit()

    def _start(self, now_ms: float) -> None:
        for action in self._scheduler.next(now_ms):
            if isinstance(action, Rejection):
                continue
            self._busy[action.pool] += 1
            busy = self._busy[action.pool]
            took_ms = sum(self._service_ms(t.id, action.variant, busy) for t in action.tickets)
            self._starts += 1
            end_ms = now_ms + took_ms + self._overhead_ms
            heapq.heappush(self._ends, (end_ms, self._starts, action, took_ms))
            if not action.probe:
                for ticket in action.tickets:
                    self._out.model[ticket.id] = self._index[action.variant]
                    self._out.sojourn_ms[ticket.id] = end_ms - ticket.arrived_ms

    def _refit(self) -> None:
        if self._scheduler.refit_due:
            self._scheduler.refit()


def run(
    setup: Setup, policy: AnyPolicy, sla_ms: float, load: Load, *, promise: float = 0.995
) -> SimulationRow:
    """What a policy delivers under load, earliest deadline first; as `queueing.run`.

    Raises:
        UsageError: a negative deadline; a policy that cannot choose for a queue; a cascade.
    """
    check_deadline(sla_ms)
    if isinstance(policy, WithCascades):
        raise UsageError(f"'{policy.name}': cascades are simulated first come first served")
    name = policy.name
    if isinstance(policy, Deadline) and not policy.fallback:
        policy = Deadline(policy.attainment, policy.floor, tally.fallback(setup, sla_ms))
    table = setup.table
    scheduler = Scheduler(
        {table.name: FamilyPlan(table.name, table, policy, dict.fromkeys(table.models, "local"))},
        {"local": load.workers},
        seed=setup.seed,
        promise=promise,
        queue_limit=setup.requests,
        loaded=True,
    )
    report = tally.Report(setup, sla_ms)
    drawn = [block(setup, sla_ms, number, n) for number, n in enumerate(sizes(setup.requests))]
    gaps = [
        load.arrivals.gaps_ms(number * BLOCK, len(one), generator(setup.seed, "arrivals", number))
        for number, one in enumerate(drawn)
    ]
    arrival_ms = np.cumsum(np.concatenate(gaps))
    budget_ms = np.concatenate([one.budget_ms for one in drawn])
    errors_ms = CERTAIN
    if setup.network_error_ms is not None:
        errors_ms = np.quantile(setup.network_error_ms, (np.arange(ERRORS) + 0.5) / ERRORS)
    requests = Requests(
        arrival_ms, arrival_ms + budget_ms, np.full(len(arrival_ms), sla_ms), errors_ms
    )
    index = {variant: row for row, variant in enumerate(table.models)}
    times = [one.service.all() for one in drawn]

    def service_ms(number: int, variant: str, busy: int) -> float:
        return float(times[number // BLOCK][number % BLOCK, index[variant]])

    done = replay(scheduler, table.name, requests, service_ms)
    rows = np.array([*(index[variant] for variant in done.variants), REFUSED])
    for number, one in enumerate(drawn):
        part = slice(number * BLOCK, number * BLOCK + len(one))
        out = arrays.outcome(len(one))._replace(
            model=rows[done.model[part]], sojourn_ms=done.sojourn_ms[part]
        )
        report.add(out, one, part.start)
    row = report.row(name, load.arrivals, load.workers, float(arrival_ms[-1]))
    return structs.replace(row, notes=(*row.notes, NOTE))
