"""`deadline`: the most expected accuracy in time, where time has a price.

For a request with budget T_U that would wait w behind a backlog W it picks

    argmax over m of A(m) · P(w + service(m) + network error ≤ T_U) − price(m, W),

or refuses where the price of every model is above what it would bring, or where no P is above a
floor. P comes from the empirical quantiles of service; the price is what the work costs later
requests (`prices.py`), refitted from the traffic lately seen. Without load the price is 0.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple

import numpy as np

from edgewise.errors import UsageError
from edgewise.selection.policies.arrays import Prices
from edgewise.selection.policies.protocol import REFUSED, Indices
from edgewise.selection.policies.published import Steps
from edgewise.selection.policies.recent import RecentService, Traffic, TrafficLog
from edgewise.selection.profiles.table import Floats, ProfileTable

if TYPE_CHECKING:
    from edgewise.selection.policies import prices

#: A model not seen for so many requests is worth a probe, if that costs later requests fewer
#: points than this.
PROBE_AFTER, PROBE_POINTS = 500, 1.0


@dataclass(frozen=True)
class Deadline:
    """Most accuracy in time, less the price of the server's time; refuses what is not worth it.

    `attainment`: only models that are in time with at least this probability, where there are
    any. `floor`: a request whose best P is not above it is refused at once. `fallback`: percent
    that a late or refused request still scores, as its caller's device answers it meanwhile.
    """

    kind: ClassVar[str] = "deadline"
    attainment: float = 0.0
    floor: float = 0.0
    fallback: float = 0.0

    def __post_init__(self) -> None:
        for name, below in (("attainment", 1.0), ("floor", 1.0), ("fallback", 100.0)):
            if not 0 <= getattr(self, name) < below:
                raise UsageError(
                    f"deadline: {name} is {getattr(self, name)}",
                    hint=f"it is at least 0 and below {below:g}",
                )

    @property
    def name(self) -> str:
        """`deadline`, with the parameters that are not at their defaults."""
        given = [
            f"{name}={getattr(self, name):g}"
            for name in ("attainment", "floor", "fallback")
            if getattr(self, name)
        ]
        return ":".join([self.kind, *given])

    def on(self, table: ProfileTable, network_error_ms: Floats | None = None) -> Steps:
        """The policy without load, where time is free: steps over the budget, −1 refuses."""
        quantiles_ms = with_error(table.quantiles_ms, network_error_ms)
        edges = np.unique(quantiles_ms)
        # Exactly i edges lie below the value: a quantile equal to it does not count as met.
        below = np.stack(
            [np.searchsorted(row, edges, side="right") / len(row) for row in quantiles_ms]
        )
        likely = np.concatenate([np.zeros((len(table), 1)), below], axis=1)
        gain = (table.accuracy - self.fallback)[:, None] * likely
        attained = likely >= self.attainment
        eligible = (likely > self.floor) & (attained | ~attained.any(axis=0))
        gain = np.where(eligible, gain, -np.inf)
        best = np.where(gain.max(axis=0) > 0, gain.argmax(axis=0), REFUSED)
        changes = np.flatnonzero(np.diff(best))
        return Steps(edges[changes], best[np.append(changes, len(best) - 1)])


class Choice(NamedTuple):
    """What to do with one request. `model` None: refuse, or let the device answer.

    `row` is the model's in the table, or −1; `probability` that of an answer in time;
    `predicted_ms` the expected wait, load and service; `price` the points that the work costs
    later requests. `probe` names a model that should run on the same input once this request is
    answered: the service is idle and has not seen it for long.
    """

    model: str | None
    row: int
    probability: float
    predicted_ms: float | None
    price: float
    probe: str | None


def with_error(quantiles_ms: Floats, error_ms: Floats | None) -> Floats:
    """Quantiles of service + error, independent: (M, Q), (n,) or None → (M, Q)."""
    if error_ms is None or not np.any(error_ms):
        return quantiles_ms
    levels = _midpoints(quantiles_ms.shape[1])
    coarse = _midpoints(64)
    errors = _quantiles(error_ms, coarse)
    services = _quantiles(quantiles_ms, coarse)
    sums = (services[:, :, None] + errors).reshape(len(quantiles_ms), -1)
    return np.ascontiguousarray(_quantiles(sums, levels))


def _quantiles(values: Floats, levels: Floats) -> Floats:
    """`numpy.quantile` along the last axis, to the bit: it partitions by every level, which for
    many of them takes ten times as long as to sort."""
    ordered = np.sort(values, axis=-1)
    position = (ordered.shape[-1] - 1) * levels
    below = position.astype(np.intp)
    above = np.minimum(below + 1, ordered.shape[-1] - 1)
    share, low, high = position - below, ordered[..., below], ordered[..., above]
    step = high - low
    return np.asarray(np.where(share >= 0.5, high - step * (1 - share), low + step * share))


def _midpoints(n: int) -> Floats:
    return np.asarray((np.arange(n) + 0.5) / n)


def undominated(quantiles_ms: Floats) -> Indices:
    """Models, best first, that no more accurate one beats at every quantile."""
    kept: list[int] = []
    for model, row in enumerate(quantiles_ms):
        if not any((quantiles_ms[better] <= row).all() for better in kept):
            kept.append(model)
    return np.array(kept, dtype=np.intp)


class DeadlinePolicy:
    """`deadline` in a service: it chooses, watches, and prices time by what it saw.

    One call of `choose` per request, in order of arrival; `observe` for each hot service time;
    `refit` whenever `due` says so (some 2 ms). Not safe for several threads at once.

    Args:
        table: profiles of M models, best first.
        rule: the parameters.
        workers: servers that work on one request each, first come first served.
        network_error_ms: sample of (actual − expected) network times, None where they are known.
    """

    def __init__(
        self,
        table: ProfileTable,
        rule: Deadline | None = None,
        *,
        workers: int = 1,
        network_error_ms: Floats | None = None,
    ) -> None:
        if workers < 1:
            raise UsageError(f"{workers} workers", hint="there is at least one")
        from edgewise.selection.policies import kernels, prices

        self._kernels, self._pricing = kernels, prices
        self.table = table
        self.rule = rule or Deadline()
        self.workers = workers
        self._network_error_ms = network_error_ms
        self._service = RecentService(table.quantiles_ms)
        self._traffic = TrafficLog()
        self._seen_at = np.zeros(len(table), dtype=np.int64)
        self._next_probe = 0
        self._no_load = np.empty(0)
        self.prices = prices.start(
            Prices(
                gain=table.accuracy - self.rule.fallback,
                service_ms=table.quantiles_ms,
                quantiles_ms=with_error(table.quantiles_ms, network_error_ms),
                value=np.empty((0, 0)),
                reach_ms=0.0,
                edges_ms=np.empty(0),
                models=undominated(table.quantiles_ms),
                attainment=self.rule.attainment,
                floor=self.rule.floor,
            )
        )

    def choose(
        self,
        budget_ms: float,
        wait_ms: float = 0.0,
        *,
        backlog_ms: float | None = None,
        spread_ms: float = 0.0,
        load_ms: Floats | None = None,
        now_ms: float | None = None,
    ) -> Choice:
        """Choose for one request.

        Args:
            budget_ms: T_U, what the expected network time leaves of the deadline.
            wait_ms: expected time until a worker takes it.
            backlog_ms: expected unfinished work per worker; None: the wait.
            spread_ms: standard deviation of the wait.
            load_ms: what each model needs before it can run, shape (M,): 0 for a resident one.
            now_ms: any clock; None: the monotonic one.

        Raises:
            UsageError: a time that is NaN, or a wait, backlog or spread that is negative.
        """
        backlog_ms = wait_ms if backlog_ms is None else backlog_ms
        if not (budget_ms == budget_ms and wait_ms >= 0 and backlog_ms >= 0 and spread_ms >= 0):
            raise UsageError(
                f"a budget of {budget_ms} ms, wait {wait_ms}, backlog {backlog_ms}, "
                f"spread {spread_ms}",
                hint="no time is NaN, no wait negative",
            )
        at_ms = time.monotonic() * 1000 if now_ms is None else now_ms
        self.note(at_ms, budget_ms, backlog_ms, wait_ms, spread_ms)
        cold = load_ms is not None
        prices = self._all_models if cold else self.prices
        loads = load_ms if load_ms is not None else self._no_load
        index, probability, price = self._kernels.decide(
            prices, budget_ms, wait_ms, backlog_ms, spread_ms, loads
        )
        if index < 0:
            return Choice(None, REFUSED, 0.0, None, 0.0, self.probe(backlog_ms))
        load = float(loads[index]) if cold else 0.0
        predicted_ms = wait_ms + load + self._service.means_ms[index]
        model = self.table.models[index]
        return Choice(model, index, probability, predicted_ms, price, self.probe(backlog_ms))

    def observe(self, model: str, service_ms: float) -> None:
        """A hot service time; the first after a load is cold and does not belong here.

        Raises:
            UsageError: no such model, or a time that is not positive.
        """
        index = self.table.index(model)
        if not 0 < service_ms < np.inf:
            raise UsageError(f"{model}: a service time of {service_ms} ms", hint="it is positive")
        if self.learn(index, service_ms):
            self._reprofile()

    def learn(self, index: int, service_ms: float) -> bool:
        """`observe` by the model's row, for who keeps arrays of its own: whether its quantiles
        were made anew. Prices learn of it at the next `refit`."""
        self._seen_at[index] = self._traffic.count
        return self._service.add(index, service_ms)

    def note(
        self, now_ms: float, budget_ms: float, backlog_ms: float, wait_ms: float, spread_ms: float
    ) -> None:
        """A request came, as `choose` notes it: for who chooses by other means."""
        self._traffic.add(now_ms, budget_ms, backlog_ms, wait_ms, spread_ms)

    def saw(self, traffic: Traffic) -> None:
        """Many requests at once, as `choose` would have noted them: for the simulator."""
        self._traffic.extend(traffic)

    @property
    def due(self) -> bool:
        """Whether the prices should be fitted again: the traffic has changed, or more is known."""
        return self._traffic.waits_for <= 0

    @property
    def patience(self) -> int:
        """Requests until `due` has to be asked again."""
        return max(self._traffic.waits_for, 1)

    def refit(self, slowdown: float = 1.0, left_ms: float = 0.0) -> None:
        """Fit profiles and prices to what was seen lately.

        Services last `slowdown` times what was observed of them; a job that runs has `left_ms`
        left in the mean, where that is known (`prices.solve`).
        """
        self.prices = self.fitting(slowdown, left_ms)()

    def fitting(
        self,
        slowdown: float,
        left_ms: float,
        network_error_ms: Floats | None = None,
    ) -> Callable[[], Prices]:
        """`refit` in two: what this returns does the work, in any thread, without touching the
        policy; its result is to be kept in `prices`."""
        if network_error_ms is not None:
            self._network_error_ms = network_error_ms
        self._reprofile(slowdown)
        before, workers, solve = self.prices, self.workers, self._pricing.solve
        if not self._traffic.count:
            return lambda: before
        traffic = self._traffic.latest()
        self._traffic.fitted()
        return lambda: solve(before, traffic, workers, left_ms)

    def later(self, left_ms: float = 0.0) -> Callable[[Prices], prices.Later]:
        """Tells what a backlog is worth for requests yet to come under prices, by how long none has
        come; in any thread."""
        traffic, workers, later = self._traffic.latest(), self.workers, self._pricing.later
        return lambda fitted: later(fitted, traffic, workers, left_ms)

    @property
    def service(self) -> RecentService:
        """What is known of service times."""
        return self._service

    def expected_ms(self, model: str) -> float:
        """Mean service time as known now: what a queued request will take."""
        return self._service.means_ms[self.table.index(model)]

    def price_ms(self, backlog_ms: float, work_ms: float, budget_ms: float = np.inf) -> float:
        """Points that `work_ms` of further work cost later requests, at a backlog per worker,
        once a request with a budget has come."""
        prices, worth = self.prices, self._kernels.worth
        group = self._kernels.stretch(prices, budget_ms)
        more_ms = backlog_ms + work_ms / self.workers
        return float(worth(prices, group, -1, backlog_ms) - worth(prices, group, -1, more_ms))

    @property
    def _all_models(self) -> Prices:
        """A dominated model that is resident may beat a better one that is not."""
        return self.prices._replace(models=np.arange(len(self.table)))

    def _reprofile(self, slowdown: float = 1.0) -> None:
        self._service.renew()
        service_ms = slowdown * self._service.quantiles_ms
        self.prices = self.prices._replace(
            service_ms=service_ms,
            quantiles_ms=with_error(service_ms, self._network_error_ms),
            models=undominated(service_ms),
        )

    def probe(self, backlog_ms: float) -> str | None:
        """The model not seen for longest, if that is long, nothing waits and the price is low."""
        count = self._traffic.count
        if backlog_ms > 0 or count < self._next_probe:
            return None
        index = int(np.argmin(self._seen_at))
        if count - self._seen_at[index] < PROBE_AFTER:
            self._next_probe = int(self._seen_at[index]) + PROBE_AFTER
            return None
        idle = self.prices.value[:, 0]
        if (idle[:, -1] - idle[:, index]).max() > PROBE_POINTS:
            return None
        self._seen_at[index] = count
        return self.table.models[index]
