"""What is counted of simulated requests: sums per batch, usage and a histogram of latencies."""

from __future__ import annotations

import numpy as np

from edgewise import intervals
from edgewise.records import SimulationRow
from edgewise.selection.compiled import njit
from edgewise.selection.engine.cases import P99_SAMPLES
from edgewise.selection.engine.fluid import fluid_bound
from edgewise.selection.policies.arrays import Outcome
from edgewise.selection.policies.protocol import Indices
from edgewise.selection.profiles.table import Floats
from edgewise.selection.workload.arrivals import Arrivals
from edgewise.selection.workload.setup import Block, SampledService, Setup, generator

#: Batches whose means give the intervals (measuring.md).
BATCHES = 32
#: A batch lasts so many times as long as a queue takes to settle, at least.
_SETTLED = 20.0
#: Requests that a batch needs, to be nearly independent of its neighbours.
MIN_BATCH = 100

#: Histogram of latencies: bins of one percent, from e^-7 ms (0.9 µs) to e^23 ms.
BINS, _PER_E, _SHIFT = 3000, 100.0, 700.0
#: Running sums of `count`, by column.
OFFERED, IN_TIME, EFFECTIVE, ANSWERED, ACCURACY, LATENCY = range(6)
COLUMNS = 6


@njit()
def count(
    out: Outcome,
    network_ms: Floats,
    sla_ms: float,
    points_of: Floats,
    rows: Indices,
    device_ms: Floats,
    device_points: float,
    start: int,
    batch: int,
    sums: Floats,
    usage: Indices,
    histogram: Indices,
) -> None:
    """Add n requests, the first of them the `start`-th, to what is reported.

    Args:
        network_ms: time of both directions, (n,).
        points_of: points of an answer, (1, M), or (R, M) with the row of each request in `rows`,
            (n,).
        device_ms: when the caller's device has its own answer, (n,); empty: it makes none. It is
            held back until the deadline and used where the server's is late.
        batch: requests per batch of `sums`, (batches, COLUMNS).
        usage: requests per model, (M,). histogram: latencies of answers, (BINS,).
    """
    for i in range(out.model.shape[0]):
        model, sum_of = out.model[i], sums[(start + i) // batch]
        latency_ms, points = np.inf, 0.0
        if model >= 0:
            usage[model] += 1
            latency_ms = out.sojourn_ms[i] + network_ms[i]
            points = points_of[rows[i] if points_of.shape[0] > 1 else 0, model]
        if latency_ms > sla_ms and device_ms.shape[0] > 0 and device_ms[i] < latency_ms:
            latency_ms, points = max(device_ms[i], sla_ms), device_points
        sum_of[OFFERED] += 1
        if latency_ms < np.inf:
            sum_of[ANSWERED] += 1
            sum_of[ACCURACY] += points
            sum_of[LATENCY] += latency_ms
            histogram[min(max(int(np.log(latency_ms) * _PER_E + _SHIFT), 0), BINS - 1)] += 1
        if latency_ms <= sla_ms:
            sum_of[IN_TIME] += 1
            sum_of[EFFECTIVE] += points


def quantile_ms(histogram: Indices, level: float) -> float | None:
    """A quantile of the latencies, within half a percent of its value; None: there are none."""
    total = histogram.sum()
    if total == 0:
        return None
    index = int(np.searchsorted(np.cumsum(histogram), level * total))
    return float(np.exp((index + 0.5 - _SHIFT) / _PER_E))


def fallback(setup: Setup, sla_ms: float) -> float:
    """What a request scores without the server: the accuracy of the device's duplicate."""
    device = setup.duplicate
    return 0.0 if device is None or device.mean_ms > sla_ms else device.accuracy or 0.0


class Report:
    """Sums over blocks, from which a row is made."""

    def __init__(self, setup: Setup, sla_ms: float) -> None:
        self._setup, self._sla_ms = setup, sla_ms
        self._batch = -(-setup.requests // BATCHES)
        self._sums = np.zeros((BATCHES, COLUMNS))
        self._usage = np.zeros(len(setup.table), dtype=np.intp)
        self._histogram = np.zeros(BINS, dtype=np.intp)
        samples = setup.samples
        self._points: Floats = (
            setup.table.accuracy[None] if samples is None else np.float64(100) * samples.correct
        )

    def add(self, out: Outcome, drawn: Block, start: int) -> None:
        """Add a block that begins with the `start`-th request."""
        service = drawn.service
        rows = service.recorded if isinstance(service, SampledService) else out.model
        device_ms, device_points = self._device(drawn)
        count(
            out, drawn.network_ms, self._sla_ms, self._points, rows, device_ms, device_points,
            start, self._batch, self._sums, self._usage, self._histogram,
        )  # fmt: skip

    def _device(self, drawn: Block) -> tuple[Floats, float]:
        duplicate, service = self._setup.duplicate, drawn.service
        if duplicate is None:
            return np.empty(0), 0.0
        noise = generator(service.seed, "duplicate", *service.key).standard_normal(len(drawn))
        times_ms = np.maximum(duplicate.mean_ms + duplicate.std_ms * noise, 0.0)
        return times_ms, duplicate.accuracy or 0.0

    def row(
        self,
        policy: str,
        arrivals: Arrivals,
        workers: int,
        last_ms: float,
        *,
        watched: bool = True,
    ) -> SimulationRow:
        """What the policy delivered, with intervals from the means of batches. The fluid bound is
        that of the requests drawn, the last at `last_ms`: the time to answer it counts too.
        `watched`: the policy goes by the queue, and so bounds it."""
        setup, n = self._setup, self._setup.requests
        total = self._sums.sum(axis=0)
        answered = float(total[ANSWERED])
        enough = answered >= P99_SAMPLES
        notes = [] if enough else [f"p99 needs {P99_SAMPLES} answers"]
        if answered == 0:
            notes.append("every request was refused")
        settled = watched or not self._is_saturated(workers, last_ms)
        if not settled:
            notes.append("no intervals: close to saturation the queue outlasts this run")
        attainment, effective = total[IN_TIME] / n, total[EFFECTIVE] / n
        return SimulationRow(
            policy=policy,
            network=setup.network.name,
            sla_ms=self._sla_ms,
            requests=n,
            accuracy=float(total[ACCURACY]) / answered if answered else None,
            attainment=float(attainment),
            effective_accuracy=float(effective),
            mean_ms=float(total[LATENCY]) / answered if answered else None,
            p99_ms=quantile_ms(self._histogram, 0.99) if enough else None,
            usage={
                model: count / n
                for model, count in zip(setup.table.models, self._usage.tolist(), strict=True)
                if count
            },
            offered_per_s=arrivals.rate_per_s,
            refused=n - int(self._usage.sum()),
            fluid_bound=fluid_bound(
                setup.table,
                n * 1000 / (last_ms + self._sla_ms),
                workers,
                fallback(setup, self._sla_ms),
            ),
            profiles=setup.table.name,
            arrivals=arrivals.name,
            workers=workers,
            duplicate=setup.duplicate.model if setup.duplicate else None,
            attainment_ci95=self._interval(IN_TIME, 1.0) if settled else None,
            effective_ci95=self._interval(EFFECTIVE, 100.0) if settled else None,
            notes=tuple(notes),
        )

    def _interval(self, column: int, most: float) -> tuple[float, float] | None:
        """Neighbouring requests share a queue, so means of long batches are compared instead. The
        interval is cut off where no mean can be: below 0 and above `most`."""
        full = self._sums[self._sums[:, OFFERED] == self._batch]
        if len(full) < BATCHES - 1 or self._batch < MIN_BATCH:
            return None
        low, high = intervals.of_mean((full[:, column] / self._batch).tolist())
        return max(low, 0.0), min(high, most)

    def _is_saturated(self, workers: int, last_ms: float) -> bool:
        """Whether a queue that nobody watches takes longer to settle than batches last: about
        1/(1 − ρ)² requests at a utilisation of ρ. Excursions of such a queue are rarer than
        runs are long, and no spread of what was seen tells of them."""
        busy_ms = float(self._usage @ self._setup.table.mean_ms)
        idle = max(1 - busy_ms / (workers * last_ms), 0.0)
        return self._batch * idle**2 < _SETTLED
