"""A family in a pool: what is known of its variants there, and what their time is worth."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

import numpy as np

from edgewise.selection.engine.jobs import CERTAIN
from edgewise.selection.policies.arrays import Prices
from edgewise.selection.policies.deadline import Deadline, DeadlinePolicy
from edgewise.selection.policies.prices import Later, dear
from edgewise.selection.policies.protocol import Chooser
from edgewise.selection.policies.recent import RecentService
from edgewise.selection.profiles.slowdown import Factors
from edgewise.selection.profiles.table import Floats, ProfileTable

#: How quickly what is lately seen of jobs is followed.
_FOLLOW = 0.02
#: Prices are those of a queue whose jobs are fixed when they arrive. Here all that wait can still
#: be given less when more arrive, so that what new ones lack of time is borne by both, about one
#: half each, as far as jobs are longer than they have to be.
_SHARED = 0.5

#: Prices, and what they say of a backlog.
Fitted = tuple[Prices, Later]


class Lane:
    """One family's variants in one pool; their rows on the pool's arrays begin at `offset`.

    `policy` prices time where the family's rule is `deadline`. `choosing` chooses again at the
    start where the rule knows the queue: a table, whose order may be another than that of the
    rows, and a chooser on it. Neither is there where a choice is made once.
    """

    def __init__(
        self,
        family: str,
        table: ProfileTable,
        rule: Deadline | None,
        busy: Factors,
        workers: int,
    ) -> None:
        self.family = family
        self.table = table
        self.models = table.models
        self.index = {model: row for row, model in enumerate(table.models)}
        self.policy = DeadlinePolicy(table, rule, workers=workers) if rule else None
        self.choosing: tuple[ProfileTable, Chooser] | None = None
        self.busy = busy
        self.offset = 0
        self.gain: Floats = table.accuracy - (rule.fallback if rule else 0.0)
        self.floor = rule.floor if rule else 0.0
        self.service = self.policy.service if self.policy else RecentService(table.quantiles_ms)
        self.cold_ms = [_load_ms(p.cold_ms, p.mean_ms) for p in table.profiles]
        self.slowdown = 1.0
        self.later: Later | None = None
        self._spare = self._mean_ms = self._square = 0.0
        self._values: list[list[Floats]] = []
        self._budget_ms = np.inf
        self._elapsed_ms: list[float] = []
        self._workers = workers
        self._clock_ms = self._seen_ms = 0.0
        self._errors_ms = CERTAIN
        self._others_ms = 0.0

    # -- traffic: the lane's own clock stands still while workers do the work of others ----------

    def add_others(self, work_ms: float) -> None:
        """Work that this lane did not decide on came before its own."""
        self._others_ms += work_ms

    def idle_ms(self, now_ms: float) -> float:
        """Time since the last request that it decided on, less the work of others since."""
        return max(now_ms - self._seen_ms - self._others_ms / self._workers, 0.0)

    def note(
        self,
        now_ms: float,
        budget_ms: float,
        backlog_ms: float,
        wait_ms: float,
        spread_ms: float,
        errors_ms: Floats,
    ) -> None:
        """A request came that it decides on."""
        assert self.policy is not None
        if self._errors_ms is CERTAIN:
            self._errors_ms = errors_ms
        self._errors_ms = self._errors_ms + _FOLLOW * (errors_ms - self._errors_ms)
        self._clock_ms += self.idle_ms(now_ms)
        self._seen_ms, self._others_ms, self._budget_ms = now_ms, 0.0, budget_ms
        self.policy.note(self._clock_ms, budget_ms, backlog_ms, wait_ms, spread_ms)

    # -- prices -----------------------------------------------------------------------------------

    def fitting(self) -> Callable[[], Fitted]:
        """Finds prices for the traffic lately seen, in any thread."""
        assert self.policy is not None
        # What is left of a job, seen at any moment of it: long jobs are seen more often.
        left_ms = self._square / (2 * self._mean_ms) if self._mean_ms > 0 else 0.0
        fit = self.policy.fitting(self.slowdown, left_ms, self._errors_ms)
        later = self.policy.later(left_ms)

        def find() -> Fitted:
            prices = fit()
            return prices, later(prices)

        return find

    def take(self, fitted: Fitted) -> None:
        """Go by prices that were found."""
        assert self.policy is not None
        self.policy.prices, self.later = fitted

    def lay_out(self, grid_ms: Floats) -> None:
        """Bring the values of a backlog onto the pool's grid."""
        if self.later is None:
            # As prices start: free time would fill a queue with the slowest first.
            means_ms = np.array(self.service.means_ms)
            each_ms = self._workers * dear(means_ms, self.gain)
            self._elapsed_ms, self._values = [0.0], [[-each_ms * grid_ms]]
            return
        self._elapsed_ms = self.later.elapsed_ms.tolist()
        firm = 1 - _SHARED * self._spare
        self._values = [
            [firm * np.interp(grid_ms, self.later.grid_ms, value) for value in group]
            for group in self.later.value
        ]

    def terminal(self, now_ms: float, *, at_rest: bool) -> Floats:
        """What a backlog is worth for its requests yet to come, on the pool's grid. Before there
        are prices time is free to who comes alone: `at_rest`, nothing runs and nobody else waits.
        """
        if self.later is None and at_rest:
            return np.zeros_like(self._values[0][0])
        level = bisect_right(self._elapsed_ms, self.idle_ms(now_ms)) - 1
        group = 0
        if len(self._values) > 1 and self.later is not None:
            group = int(np.searchsorted(self.later.edges_ms, self._budget_ms, side="right"))
        return self._values[group][max(level, 0)]

    def started(self, job_ms: float, fast_ms: float) -> None:
        """It gave a request a job that could have been as short as `fast_ms`."""
        self._spare += _FOLLOW * (max(1 - fast_ms / job_ms, 0.0) - self._spare)
        self._mean_ms += _FOLLOW * (job_ms - self._mean_ms)
        self._square += _FOLLOW * (job_ms**2 - self._square)

    # -- learning ---------------------------------------------------------------------------------

    def learn(self, row: int, service_ms: float, factor: float) -> bool:
        """A hot service time, freed of the slow-down it met; whether the row was made anew."""
        self.slowdown += _FOLLOW * (factor - self.slowdown)
        if self.policy is not None:
            return self.policy.learn(row, service_ms)
        return self.service.add(row, service_ms)

    def loaded(self, row: int, first_ms: float) -> None:
        """A first run after a load, with the load."""
        load_ms = max(first_ms - self.service.means_ms[row], 0.0)
        known = self.cold_ms[row]
        self.cold_ms[row] = load_ms if known == 0 else known + 0.3 * (load_ms - known)


def _load_ms(cold_ms: float | None, mean_ms: float) -> float:
    return max(cold_ms - mean_ms, 0.0) if cold_ms is not None else 0.0
