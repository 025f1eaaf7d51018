"""Policies under load: requests queue for a few workers, first come first served, or by deadline
as the service does it (`replay`).

`run(setup, policy, sla_ms, load)` gives the row of one policy at one deadline. A policy of the
publications chooses as if there were no queue; `KnowingQueue` wraps one so that the expected wait
is taken off its budget; `Deadline` also knows what its choice costs later requests. What policies
know of the queue is expected from profiles: the actual length of a job shows when it ends.

Requests go by in blocks, so memory does not grow with their number. All random numbers depend
only on seed, deadline and block: policies meet the same requests, in whatever process.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from edgewise.errors import UsageError
from edgewise.records import SimulationRow
from edgewise.selection.engine import tally
from edgewise.selection.engine.cases import (
    BLOCK,
    AnyPolicy,
    KnowingQueue,
    Load,
    WithCascades,
    check_deadline,
    parse,
    parse_all,
    sizes,
)
from edgewise.selection.policies import arrays, kernels
from edgewise.selection.policies.cascade import Cascade, with_cascades
from edgewise.selection.policies.deadline import Deadline, DeadlinePolicy
from edgewise.selection.policies.protocol import Chooser, Policy
from edgewise.selection.policies.published import Oracle, Static, Steps
from edgewise.selection.policies.recent import Traffic
from edgewise.selection.profiles.table import Floats
from edgewise.selection.workload.setup import (
    Block,
    EmpiricalService,
    SampledService,
    Setup,
    block,
    generator,
)

__all__ = [
    "BLOCK", "AnyPolicy", "KnowingQueue", "Load", "WithCascades", "parse", "parse_all", "run",
    "run_many",
]  # fmt: skip
#: The risks of the cascades that `+cascade` adds, in percent.
RISKS = (0.5, 1.0, 2.0, 5.0)


def run(setup: Setup, policy: AnyPolicy, sla_ms: float, load: Load) -> SimulationRow:
    """What a policy delivers under load.

    Raises:
        UsageError: a negative deadline; the oracle, which would have to know the future of the
            queue; a policy that draws lots made to know the queue.
    """
    check_deadline(sla_ms)
    if load.discipline == "edf":
        from edgewise.selection.engine import replay  # the scheduler is compiled, too

        return replay.run(setup, policy, sla_ms, load)
    name = policy.name
    setup, policy = _composed(setup, policy)
    server = _server(setup, policy, sla_ms, load)
    report = tally.Report(setup, sla_ms)
    start = 0
    now_ms = 0.0
    for number, n in enumerate(sizes(setup.requests)):
        drawn = block(setup, sla_ms, number, n)
        rng = generator(setup.seed, "arrivals", number)
        gap_ms = load.arrivals.gaps_ms(start, n, rng)
        arrival_ms = now_ms + np.cumsum(gap_ms)
        now_ms = float(arrival_ms[-1])
        out = server.serve(drawn, gap_ms, arrival_ms)
        report.add(out, drawn, start)
        start += n
    watched = not isinstance(server, _Choosing)
    return report.row(name, load.arrivals, load.workers, now_ms, watched=watched)


def run_many(
    setup: Setup, cases: Sequence[tuple[AnyPolicy, float, Load]], processes: int = 1
) -> list[SimulationRow]:
    """`run` for several policies, deadlines and loads; the same rows by however many processes."""
    if processes <= 1 or len(cases) <= 1:
        return [run(setup, *case) for case in cases]
    with ProcessPoolExecutor(min(processes, len(cases))) as pool:
        return list(pool.map(run, [setup] * len(cases), *zip(*cases, strict=True)))


def _composed(setup: Setup, policy: AnyPolicy) -> tuple[Setup, Policy | KnowingQueue]:
    """A cascade becomes a model of the family: an escalation goes on at once on the same worker."""
    if not isinstance(policy, Cascade | WithCascades):
        return setup, policy
    if setup.samples is None:
        raise UsageError(
            f"'{policy.name}': the profiles '{setup.table.name}' have no samples to cascade on",
            hint="give --profiles a file of samples with a column 'confidence'",
        )
    cascades = [policy] if isinstance(policy, Cascade) else [Cascade(risk=risk) for risk in RISKS]
    samples = with_cascades(setup.samples, cascades)
    inner = Static(policy.name) if isinstance(policy, Cascade) else policy.policy
    return replace(setup, table=samples.table, samples=samples), inner


class _Server(Protocol):
    """Workers, and somebody who chooses."""

    def serve(self, drawn: Block, gap_ms: Floats, arrival_ms: Floats) -> arrays.Outcome:
        """Serve a block of n requests."""


def _server(setup: Setup, policy: Policy | KnowingQueue, sla_ms: float, load: Load) -> _Server:
    workers = _Workers(setup, load.workers)
    if isinstance(policy, Deadline):
        fallback = policy.fallback or tally.fallback(setup, sla_ms)
        return _Pricing(workers, replace(policy, fallback=fallback))
    plain = policy.policy if isinstance(policy, KnowingQueue) else policy
    if isinstance(plain, Oracle):
        raise UsageError(
            "the oracle knows a request's own times, not the queue's",
            hint="under load, compare with the fluid bound",
        )
    chooser = plain.on(setup.table, setup.network_error_ms)
    if not isinstance(policy, KnowingQueue):
        return _Choosing(workers, chooser)
    if not isinstance(chooser, Steps) or chooser.by_deadline:
        raise UsageError(
            f"'{policy.name}': only a policy that goes by the budget and draws no lots can know "
            "the queue",
            hint="mdinference+queue, or deadline, which always does",
        )
    return _Stepping(workers, chooser)


class _Workers:
    """The queue, whoever chooses."""

    def __init__(self, setup: Setup, count: int) -> None:
        self.setup = setup
        self.count = count
        self.state = arrays.servers(count)
        self._moments = np.stack([setup.table.mean_ms, setup.table.std_ms], axis=1)
        self._tails_ms = arrays.tails(setup.table.quantiles_ms)
        self._by_level = np.ascontiguousarray(setup.table.quantiles_ms.T)

    def services(self, drawn: Block) -> arrays.Services:
        """Where the service times of a block come from: the same numbers as without a queue."""
        service, n = drawn.service, len(drawn)
        noise, samples, rows = np.zeros(n), np.empty((0, 0)), np.zeros(n, dtype=np.intp)
        if isinstance(service, SampledService):
            samples, rows = service.samples.service_ms, service.recorded
        else:
            rng = generator(service.seed, "service", *service.key)
            if isinstance(service, EmpiricalService):
                samples, rows = self._by_level, rng.integers(0, len(self._by_level), n)
            else:
                noise = rng.standard_normal(n)
        quantiles_ms = self.setup.table.quantiles_ms
        return arrays.Services(self._moments, quantiles_ms, self._tails_ms, noise, samples, rows)


@dataclass(frozen=True, eq=False)
class _Choosing:
    """Chosen as if there were no queue."""

    workers: _Workers
    chooser: Chooser

    def serve(self, drawn: Block, gap_ms: Floats, arrival_ms: Floats) -> arrays.Outcome:
        chosen = self.chooser.choose_many(drawn.sla_ms, drawn.budget_ms, drawn.draw)
        out = arrays.outcome(len(drawn))._replace(model=chosen)
        services = self.workers.services(drawn)
        kernels.serve_chosen(arrival_ms, services, self.workers.state, out)
        return out


@dataclass(frozen=True, eq=False)
class _Stepping:
    """Chosen by the budget less the wait."""

    workers: _Workers
    steps: Steps

    def serve(self, drawn: Block, gap_ms: Floats, arrival_ms: Floats) -> arrays.Outcome:
        out = arrays.outcome(len(drawn))
        services = self.workers.services(drawn)
        edges, choices = self.steps.edges, self.steps.choices
        kernels.serve_stepped(
            arrival_ms, drawn.budget_ms, edges, choices, services, self.workers.state, out
        )
        return out


class _Pricing:
    """Chosen by `deadline`, which learns the traffic as it comes: nothing is known beforehand."""

    def __init__(self, workers: _Workers, rule: Deadline) -> None:
        self._workers = workers
        setup = workers.setup
        self._policy = DeadlinePolicy(
            setup.table, rule, workers=workers.count, network_error_ms=setup.network_error_ms
        )

    def serve(self, drawn: Block, gap_ms: Floats, arrival_ms: Floats) -> arrays.Outcome:
        policy = self._policy
        services = self._workers.services(drawn)
        out = arrays.outcome(len(drawn))
        start = 0
        while start < len(drawn):
            part = slice(start, min(start + policy.patience, len(drawn)))
            seen = out.part(part)
            budget_ms = drawn.budget_ms[part]
            kernels.serve_priced(
                arrival_ms[part],
                budget_ms,
                policy.prices,
                services.part(part),
                self._workers.state,
                seen,
            )
            policy.saw(
                Traffic(gap_ms[part], budget_ms, seen.backlog_ms, seen.wait_ms, seen.spread_ms)
            )
            if policy.due:
                policy.refit()
            start = part.stop
        return out
