"""`cascade` in the simulator without queues: requests that are samples, seen by two models."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgewise.errors import UsageError
from edgewise.records import SimulationRow
from edgewise.selection.engine.cases import P99_SAMPLES, UNQUEUED_BLOCK
from edgewise.selection.policies.cascade import Cascade, Fitted, Served, cross_fitted, serve
from edgewise.selection.profiles.sketch import Sketch
from edgewise.selection.workload.setup import Block, SampledService, Setup, block

#: Share of the downloads that an answer held back to the last moment must be in time for.
_ON_TIME = 0.99


def run(setup: Setup, cascade: Cascade, sla_ms: float) -> SimulationRow:
    """What a cascade delivers. Each half of the samples is served by what the other calibrated.

    `usage` says whose answer was used; the note, how often the costly model ran.

    Raises:
        UsageError: profiles without samples or confidences; a duplicate on the device.
    """
    if setup.samples is None:
        cascade.on(setup.table)
    if setup.duplicate is not None:
        raise UsageError(
            "cascade has no duplicate on the device",
            hint="its cheap answer is there when the costly one is late; leave --duplicate away",
        )
    total = _Totals(setup)
    margin_ms = _margin_ms(setup)
    pair = cross_fitted(total.samples, cascade)
    for number, start in enumerate(range(0, setup.requests, UNQUEUED_BLOCK)):
        requests = block(setup, sla_ms, number, min(UNQUEUED_BLOCK, setup.requests - start))
        assert isinstance(requests.service, SampledService)
        rows = requests.service.recorded
        budget_ms = requests.budget_ms - margin_ms
        for half, fitted in enumerate(pair):
            too_slow = budget_ms < setup.table.mean_ms[fitted.cheap]
            for used, those in (
                (fitted, np.flatnonzero((rows % 2 == half) & ~too_slow)),
                (_fastest_alone(fitted, setup), np.flatnonzero((rows % 2 == half) & too_slow)),
            ):
                done = serve(total.samples, used, rows[those], budget_ms[those])
                total.add(requests, those, done, (used.cheap, used.costly))
    return total.row(cascade.name, sla_ms)


def _fastest_alone(fitted: Fitted, setup: Setup) -> Fitted:
    """Where not even the cheap model is in time the fastest answers, as in every policy."""
    return replace(fitted, cheap=setup.table.fastest, threshold=-np.inf)


def _margin_ms(setup: Setup) -> float:
    """How long before its budget ends a held-back cheap answer leaves.

    The budget is what is *expected* to be left: an answer that leaves at its very end is late as
    often as the download takes longer than predicted.
    """
    errors_ms = setup.network_error_ms
    return 0.0 if errors_ms is None else max(0.0, float(np.quantile(errors_ms, _ON_TIME)))


class _Totals:
    """Sums over blocks, from which a row is made."""

    def __init__(self, setup: Setup) -> None:
        assert setup.samples is not None
        self.setup, self.samples = setup, setup.samples
        self.right = self.in_time = self.right_in_time = self.escalated = 0
        self.latency_ms = 0.0
        self.usage = np.zeros(len(setup.table), dtype=np.int64)
        self.sketch = Sketch()

    def add(
        self, requests: Block, those: np.ndarray, done: Served, models: tuple[int, int]
    ) -> None:
        """Some requests of a block, served by one calibration."""
        in_time = done.time_ms <= requests.left_ms[those]
        latency_ms = requests.network_ms[those] + done.time_ms
        self.right += int(done.right.sum())
        self.in_time += int(in_time.sum())
        self.right_in_time += int((done.right & in_time).sum())
        self.escalated += int(done.escalated.sum())
        self.latency_ms += float(latency_ms.sum())
        replaced = int(done.replaced.sum())
        self.usage[list(models)] += len(those) - replaced, replaced
        self.sketch.add_many(latency_ms)

    def row(self, policy: str, sla_ms: float) -> SimulationRow:
        """What was delivered; accuracy is measured, not the table's."""
        n = self.setup.requests
        enough = n >= P99_SAMPLES
        notes = [f"the costly model ran for {self.escalated / n:.1%} of the requests"]
        return SimulationRow(
            policy=policy,
            network=self.setup.network.name,
            sla_ms=sla_ms,
            requests=n,
            accuracy=100 * self.right / n,
            attainment=self.in_time / n,
            effective_accuracy=100 * self.right_in_time / n,
            mean_ms=self.latency_ms / n,
            p99_ms=self.sketch.quantile(0.99) if enough else None,
            usage={
                model: count / n
                for model, count in zip(self.setup.table.models, self.usage.tolist(), strict=True)
                if count
            },
            refused=0,
            profiles=self.setup.table.name,
            notes=tuple(notes if enough else [*notes, f"p99 needs {P99_SAMPLES} answers"]),
        )
