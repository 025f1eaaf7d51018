"""What the simulator says of a run that it has not seen: scheduler and shaper in virtual time.

Known to it are the schedule (arrivals, clients, inputs), the links as data, and what calibration
runs told: service times of each variant, and what the service adds to the network's own time. Not
known is anything of the run itself.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

import numpy as np
from numpy.typing import NDArray

from edgewise.load.schedule import Schedule, plan
from edgewise.load.settings import LoadSettings
from edgewise.network.shaper import shape_of
from edgewise.network.shaping.pacing import Flow, Pacer, Shape
from edgewise.records import LoadRun, Profile
from edgewise.selection.engine import queueing
from edgewise.selection.engine.replay import Requests, replay
from edgewise.selection.engine.scheduling import FamilyPlan, Scheduler
from edgewise.selection.profiles.table import LEVELS, ProfileTable, table

Floats = NDArray[np.float64]
#: Requests that the load generator's clients remember.
_WINDOW = 64
#: The service's limit on its queue.
_QUEUE = 1024


@dataclass(frozen=True, eq=False)
class Calibrated:
    """What was measured before: service times of each variant in ms, in any order; what a worker
    needs between two jobs; and what the service adds to the network's time beyond that, (n,).

    `by_input`: the times of each variant for each input, (inputs,), where they are known; else
    they are drawn from `service_ms`.
    """

    service_ms: dict[str, Floats]
    accuracy: dict[str, float]
    between_ms: float
    overhead_ms: Floats
    by_input: dict[str, Floats] | None = None

    @property
    def fastest_ms(self) -> float:
        """A worker's mean time per job with the fastest variant."""
        return min(float(each.mean()) for each in self.service_ms.values()) + self.between_ms

    def write(self, path: Path) -> Path:
        """Profiles as `edgewise serve --profiles` takes them."""
        levels = [f"p{100 * level:.10g}_ms" for level in LEVELS.tolist()]
        lines = [",".join(["model", "accuracy", "mean_ms", "std_ms", "n", *levels])]
        for each in self.profiles("family").profiles:
            times = [each.accuracy, each.mean_ms, each.std_ms, each.n]
            times += [ms for _, ms in each.quantiles_ms]
            lines.append(",".join([each.model, *map(str, times)]))
        path.write_text("\n".join(lines) + "\n")
        return path

    def drawn(self, variant: str, inputs: NDArray[np.intp], rng: np.random.Generator) -> Floats:
        """How long a variant takes for requests with these inputs."""
        if self.by_input is not None:
            known: Floats = self.by_input[variant][inputs]
            return known
        return rng.choice(self.service_ms[variant], len(inputs))

    def profiles(self, name: str) -> ProfileTable:
        """As the scheduler takes them."""
        return table(name, [self._profile(variant) for variant in self.service_ms])

    def _profile(self, variant: str) -> Profile:
        times = self.service_ms[variant]
        quantiles = zip(LEVELS.tolist(), np.quantile(times, LEVELS).tolist(), strict=True)
        return Profile(
            model=variant, accuracy=self.accuracy[variant], mean_ms=float(times.mean()),
            std_ms=float(times.std(ddof=1)), n=len(times), quantiles_ms=tuple(quantiles),
        )  # fmt: skip


@dataclass(frozen=True)
class Sizes:
    """What travels per request, with HTTP's heads."""

    payload_bytes: float
    reply_bytes: float


@dataclass(frozen=True)
class Delivered:
    """What a run delivers, measured or predicted. `usage` is of the offered requests."""

    attainment: float
    effective_accuracy: float
    p99_ms: float | None
    usage: dict[str, float]


def measured(run: LoadRun) -> Delivered:
    """What a run delivered. The quantile is of whatever there is, to be held against the other."""
    times = [s.latency_ms for s in run.samples if s.outcome == "answered" and not s.warmup]
    p99_ms = float(np.quantile(np.array(times), 0.99)) if times else None
    return Delivered(run.attainment or 0.0, run.effective_accuracy or 0.0, p99_ms, run.usage)


def predict(
    settings: LoadSettings, inputs: int, known: Calibrated, *, policy: str, workers: int,
    sizes: Sizes, seeds: int = 3,
) -> Delivered:  # fmt: skip
    """The mean over several draws of networks and service times; the schedule is the run's."""
    schedule = plan(settings, inputs)
    each = [_once(settings, schedule, sizes, known, policy, workers, seed) for seed in range(seeds)]
    p99s = [one.p99_ms for one in each if one.p99_ms is not None]
    return Delivered(
        float(np.mean([one.attainment for one in each])),
        float(np.mean([one.effective_accuracy for one in each])),
        float(np.mean(p99s)) if p99s else None,
        {v: float(np.mean([one.usage[v] for one in each])) for v in known.service_ms},
    )


def _once(
    settings: LoadSettings, schedule: Schedule, sizes: Sizes, known: Calibrated,
    policy: str, workers: int, seed: int,
) -> Delivered:  # fmt: skip
    """When replies leave decides whether radios sleep, and depends on the network itself: twice
    with the same draws, the second time with the first one's stays."""
    stay_ms = np.zeros(len(schedule))
    for _ in range(2):
        rng = np.random.default_rng([7, seed])
        found, stay_ms = _through(settings, schedule, sizes, known, policy, workers, stay_ms, rng)
    return found


def _through(
    settings: LoadSettings, schedule: Schedule, sizes: Sizes, known: Calibrated,
    policy: str, workers: int, stay_ms: Floats, rng: np.random.Generator,
) -> tuple[Delivered, Floats]:  # fmt: skip
    """There, through the scheduler and back; and how long each request stayed."""
    n, sla_ms = len(schedule), settings.sla_ms
    assert sla_ms is not None
    up_ms, down_ms = _network(schedule, settings, known, sizes, stay_ms, rng)
    expected_ms = _expected(schedule, up_ms + down_ms, stay_ms, settings.clients)
    arrival_ms = schedule.due_ms + up_ms
    # The service counts back from when the request is there: what it is told of the upload and the
    # download is a guess, what the upload really took is not known to it.
    due_ms = arrival_ms + sla_ms - expected_ms
    order = np.argsort(arrival_ms, kind="stable")
    requests = Requests(arrival_ms[order], due_ms[order], np.full(n, sla_ms))
    profiles = known.profiles("family")
    scheduler = Scheduler(
        {"family": FamilyPlan("family", profiles, queueing.parse(policy),
                              dict.fromkeys(profiles.models, "local"))},
        {"local": workers}, queue_limit=_QUEUE,
    )  # fmt: skip
    # In the order of arrival at the service, as `replay` numbers them.
    inputs = schedule.input[order]
    drawn = {variant: known.drawn(variant, inputs, rng) for variant in known.service_ms}
    out = replay(
        scheduler, "family", requests,
        lambda number, variant, busy: float(drawn[variant][number]),
        overhead_ms=known.between_ms,
    )  # fmt: skip
    latency_ms, model = np.empty(n), np.empty(n, dtype=np.intp)
    latency_ms[order] = np.where(
        out.model >= 0, arrival_ms[order] + out.sojourn_ms + down_ms[order], np.inf
    )
    model[order] = out.model
    latency_ms -= schedule.due_ms
    accuracy = np.array([*(known.accuracy[variant] for variant in out.variants), 0.0])
    stayed_ms = np.zeros(n)
    stayed_ms[order] = np.where(out.model >= 0, out.sojourn_ms, 0.0)
    return _counted(schedule, latency_ms, model, accuracy, out.variants, sla_ms), stayed_ms


def _counted(
    schedule: Schedule, latency_ms: Floats, model: NDArray[np.intp], accuracy: Floats,
    variants: tuple[str, ...], sla_ms: float,
) -> Delivered:  # fmt: skip
    """After the warm-up."""
    latency_ms, model = latency_ms[schedule.warmup :], model[schedule.warmup :]
    in_time = latency_ms <= sla_ms
    answered = latency_ms[model >= 0]
    return Delivered(
        float(in_time.mean()),
        float((accuracy[model] * in_time).mean()),
        float(np.quantile(answered, 0.99)) if len(answered) else None,
        {variant: float((model == i).mean()) for i, variant in enumerate(variants)},
    )


def _network(
    schedule: Schedule,
    settings: LoadSettings,
    known: Calibrated,
    sizes: Sizes,
    stay_ms: Floats,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Up and down of every request, (n,), that stays with the service so long; half of what the
    service adds goes to either."""
    n = len(schedule)
    up_ms, down_ms = np.zeros(n), np.zeros(n)
    for client in range(settings.clients if settings.links else 0):
        mine = np.flatnonzero(schedule.client == client)
        link = settings.links[client % len(settings.links)]
        shape = shape_of(f"link:{link}", seed=int(rng.integers(1 << 30)))
        up_ms[mine], down_ms[mine] = _moved(shape, schedule.due_ms[mine], stay_ms[mine], sizes)
    half_ms = rng.choice(known.overhead_ms, n) / 2
    return up_ms + half_ms, down_ms + half_ms


def _moved(shape: Shape, due_ms: Floats, stay_ms: Floats, sizes: Sizes) -> tuple[Floats, Floats]:
    """One client's requests through the shaper's rules, in the order in which things happen: its
    radio sleeps, its rate is shared. A reply leaves when the payload was there and has stayed."""
    wire = Pacer(shape).connect(0.0)
    up_ms, down_ms = np.zeros(len(due_ms)), np.zeros(len(due_ms))
    events = [(at_ms, number, False) for number, at_ms in enumerate(due_ms.tolist())]
    heapq.heapify(events)
    while events:
        at_ms, number, is_reply = heapq.heappop(events)
        if is_reply:
            down_ms[number] = _pass(wire.down, at_ms, int(sizes.reply_bytes)) - at_ms
            continue
        there_ms = _pass(wire.up, at_ms, int(sizes.payload_bytes))
        up_ms[number] = there_ms - at_ms
        heapq.heappush(events, (there_ms + stay_ms[number], number, True))
    return up_ms, down_ms


def _pass(flow: Flow, at_ms: float, left: int) -> float:
    """When the last of so many bytes is there."""
    there_ms = at_ms
    while left > 0:
        at_ms = max(at_ms, flow.ready_ms)
        piece = min(left, flow.allowance(at_ms))
        there_ms = flow.offer(at_ms, piece).arrives_ms
        left -= piece
    return there_ms


def _expected(schedule: Schedule, total_ms: Floats, stay_ms: Floats, clients: int) -> Floats:
    """What each client would say of its network with each request: the median of the last of its
    earlier ones that are answered by then. Its first requests say nothing: 0."""
    expected_ms = np.zeros(len(schedule))
    for client in range(clients):
        seen_ms: deque[float] = deque(maxlen=_WINDOW)
        waiting: deque[tuple[float, float]] = deque()
        for i in np.flatnonzero(schedule.client == client):
            now_ms = schedule.due_ms[i]
            while waiting and waiting[0][0] <= now_ms:
                seen_ms.append(waiting.popleft()[1])
            expected_ms[i] = median_low(seen_ms) if seen_ms else 0.0
            waiting.append((now_ms + total_ms[i] + stay_ms[i], total_ms[i]))
    return expected_ms
