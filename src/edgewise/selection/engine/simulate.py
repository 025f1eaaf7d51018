"""Policies against networks and deadlines, without queues: every request meets an idle server.

The published set-up (selection.md): per deadline 10,000 requests, one normal transfer time used for
both directions, service from the model's normal, accuracy from the table. With samples, times and
answers are real and accuracy is measured. With arrivals, `queueing` takes over.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgewise.records import Profile, SimulationRow
from edgewise.selection.engine import cascading
from edgewise.selection.engine.cases import P99_SAMPLES, UNQUEUED_BLOCK, check_deadlines
from edgewise.selection.policies.cascade import Cascade
from edgewise.selection.policies.protocol import REFUSED, Chooser, Indices, Policy
from edgewise.selection.policies.published import Unforeseeing
from edgewise.selection.profiles.sketch import Sketch
from edgewise.selection.profiles.table import Floats
from edgewise.selection.workload.setup import Block, SampledService, Setup, block, generator


def sweep(
    setups: Sequence[Setup],
    policies: Sequence[Policy],
    deadlines_ms: Sequence[float],
    jobs: int = 1,
) -> Iterator[SimulationRow]:
    """One row per set-up, deadline and policy, in that order; the same for any number of `jobs`.

    Raises:
        UsageError: a deadline that is negative or not finite, or none at all.
    """
    check_deadlines(deadlines_ms)
    cells = [(setup, policies, sla_ms) for setup in setups for sla_ms in deadlines_ms]
    if jobs == 1 or len(cells) == 1:
        for cell in cells:
            yield from simulate(*cell)
        return
    with ProcessPoolExecutor(min(jobs, len(cells))) as pool:
        chunk = max(1, len(cells) // (4 * jobs))
        for rows in pool.map(simulate, *zip(*cells, strict=True), chunksize=chunk):
            yield from rows


def simulate(setup: Setup, policies: Sequence[Policy], sla_ms: float) -> list[SimulationRow]:
    """One row per policy at one deadline."""
    plain = iter(_simulate(setup, [p for p in policies if not isinstance(p, Cascade)], sla_ms))
    return [
        cascading.run(setup, policy, sla_ms) if isinstance(policy, Cascade) else next(plain)
        for policy in policies
    ]


def _simulate(setup: Setup, policies: Sequence[Policy], sla_ms: float) -> list[SimulationRow]:
    choosers = [policy.on(setup.table, setup.network_error_ms) for policy in policies]
    totals = [_Totals(len(setup.table)) for _ in policies]
    for number, start in enumerate(range(0, setup.requests, UNQUEUED_BLOCK)):
        requests = block(setup, sla_ms, number, min(UNQUEUED_BLOCK, setup.requests - start))
        device_ms = _device_ms(setup, requests, number)
        for chooser, total in zip(choosers, totals, strict=True):
            total.add(setup, requests, choose(chooser, requests, setup), device_ms)
    return [
        total.row(setup, policy.name, sla_ms)
        for policy, total in zip(policies, totals, strict=True)
    ]


def choose(chooser: Chooser, requests: Block, setup: Setup) -> Indices:
    """The models chosen for a block; the oracle is shown the actual times."""
    if isinstance(chooser, Unforeseeing):
        return chooser.choose_knowing(requests.left_ms, requests.service.all(), setup.table.fastest)
    return chooser.choose_many(requests.sla_ms, requests.budget_ms, requests.draw)


def _device_ms(setup: Setup, requests: Block, number: int) -> Floats | None:
    """Times of the duplicate on the device, None where there is none."""
    if setup.duplicate is None:
        return None
    key = (round(requests.sla_ms * 1000), number)
    levels = generator(setup.seed, "duplicate", *key).standard_normal(len(requests))
    return np.maximum(setup.duplicate.mean_ms + setup.duplicate.std_ms * levels, 0.0)


@dataclass
class _Totals:
    """Sums over blocks, from which a row is made."""

    models: int
    n: int = 0
    refused: int = 0
    in_time: int = 0
    worth: float = 0.0
    worth_in_time: float = 0.0
    latency_ms: float = 0.0
    usage: NDArray[np.int64] = field(init=False)
    p99_ms: float | None = None
    _sketch: Sketch = field(default_factory=Sketch)

    def __post_init__(self) -> None:
        self.usage = np.zeros(self.models, dtype=np.int64)

    def add(self, setup: Setup, requests: Block, choice: Indices, device_ms: Floats | None) -> None:
        """Serve a block with the models chosen."""
        self.n += len(requests)
        answered = np.flatnonzero(choice != REFUSED)
        self.refused += len(choice) - len(answered)
        latency_ms = requests.network_ms + requests.service.of(choice)
        worth = _worth(setup, requests, choice)
        in_time = latency_ms <= requests.sla_ms
        if self.refused:
            in_time &= choice != REFUSED
            worth = np.where(choice == REFUSED, 0.0, worth)
        if device_ms is not None and setup.duplicate is not None:
            answered = np.arange(len(choice))
            latency_ms, worth, in_time = _with_duplicate(
                setup.duplicate, device_ms, requests.sla_ms, latency_ms, worth, in_time
            )
        self.in_time += int(np.count_nonzero(in_time))
        self.worth += float(worth.sum())
        self.worth_in_time += float(worth @ in_time)
        self.usage += np.bincount(choice[choice != REFUSED], minlength=self.models)
        times = latency_ms if len(answered) == len(latency_ms) else latency_ms[answered]
        self.latency_ms += float(times.sum())
        self._add_times(setup, times)

    def _add_times(self, setup: Setup, times_ms: Floats) -> None:
        """One block's quantile is exact, that of several comes from a sketch."""
        if setup.requests > UNQUEUED_BLOCK:
            self._sketch.add_many(times_ms)
            if self._sketch.n >= P99_SAMPLES:
                self.p99_ms = self._sketch.quantile(0.99)
        elif len(times_ms) >= P99_SAMPLES:
            self.p99_ms = _quantile(times_ms, 0.99)

    def row(self, setup: Setup, policy: str, sla_ms: float) -> SimulationRow:
        """What the policy delivered."""
        answered = self.n if setup.duplicate else self.n - self.refused
        notes = [] if self.p99_ms is not None else [f"p99 needs {P99_SAMPLES} answers"]
        if answered == 0:
            notes.append("every request was refused")
        return SimulationRow(
            policy=policy,
            network=setup.network.name,
            sla_ms=sla_ms,
            requests=self.n,
            accuracy=self.worth / answered if answered else None,
            attainment=self.in_time / self.n,
            effective_accuracy=self.worth_in_time / self.n,
            mean_ms=self.latency_ms / answered if answered else None,
            p99_ms=self.p99_ms,
            usage={
                model: count / self.n
                for model, count in zip(setup.table.models, self.usage.tolist(), strict=True)
                if count
            },
            refused=self.refused,
            profiles=setup.table.name,
            duplicate=setup.duplicate.model if setup.duplicate else None,
            notes=tuple(notes),
        )


def _worth(setup: Setup, requests: Block, choice: Indices) -> Floats:
    """Percent that each answer is worth: 100 or 0 where it is known, else the model's accuracy."""
    if isinstance(requests.service, SampledService):
        return np.where(requests.service.correct(choice), 100.0, 0.0)
    accuracy: Floats = setup.table.accuracy[choice]
    return accuracy


def _with_duplicate(
    device: Profile,
    device_ms: Floats,
    sla_ms: float,
    latency_ms: Floats,
    worth: Floats,
    in_time: NDArray[np.bool_],
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """The device's answer where the server's is late. It is held back until the deadline, in case
    the server's comes; where both are late, the one that comes first counts."""
    device_in_time = device_ms <= sla_ms
    own = ~in_time & (device_in_time | (device_ms < latency_ms))
    device_latency_ms = np.where(device_in_time, sla_ms, device_ms)
    used_ms: Floats = np.where(own, device_latency_ms, latency_ms)
    used_worth: Floats = np.where(own, device.accuracy or 0.0, worth)
    return used_ms, used_worth, in_time | device_in_time


def _quantile(values: Floats, level: float) -> float:
    """Linear between ranks, as numpy's default, without sorting all."""
    rank = level * (len(values) - 1)
    low = int(rank)
    high = min(low + 1, len(values) - 1)
    parted = np.partition(values, (low, high))
    return float(parted[low] + (rank - low) * (parted[high] - parted[low]))
