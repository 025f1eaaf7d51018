"""Deadlines and goodput at half to five times what the service can do, in an open loop.

    python benchmarks/bench_overload.py [--seconds 10] [--rounds 2] [--workers 1] [--computed]
                                        [--service-cores 0] [--generator-cores 1]

A family of five variants is served by `edgewise serve`; its capacity is what its fastest variant
delivers when offered twice that. Then Poisson arrivals at 0.5, 1, 2 and 5 times the capacity, by
turns and back, on the same running service. For each load:

- of what was accepted (not refused), the share that was in time: wanted 99.5 %
- goodput, answers in time per second: wanted at least 95 % of the highest of any load, above 1
- refusals: how long the caller waited for one, and the service's own time for it: wanted 2 ms
- effective accuracy beside the fluid bound, which no policy can pass, for the times and the
  overhead per job that the same run measured

The variants wait for a drawn time, so that neighbours on the machine do not decide
(`paced_family.py`); --computed takes the ones that compute (`slow_family.py`). The generator comes
before everything else on its core, so it has the last one and the service all others: on one that
they share, what is measured is how long the one keeps the other from it. A run whose generator was
late (p99 above 1 ms) says nothing, and is left out. Where a hypervisor has taken the cores away, as
each run tells, stalls of tens of milliseconds are its, and lateness as well.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import paced_family
import slow_family
from edgewise.load.run import drive
from edgewise.load.settings import LoadSettings
from edgewise.records import LoadRun, LoadSample, Profile
from edgewise.selection.engine.fluid import fluid_bound
from edgewise.selection.profiles.table import ProfileTable, table
from served import Stolen, apart, cores, serving
from smoke import fewer, shortened

LOADS = fewer((0.5, 1.0, 2.0, 5.0), (2.0,))
#: A deadline of so many times what the fastest variant takes.
SLA = 25
ACCEPTED, GOODPUT, REFUSAL_MS = 99.5, 95.0, 2.0
#: Not counted: the service learns that the load has changed.
WARMUP_S = fewer(3.0, 0.5)


@dataclass(frozen=True)
class Bench:
    """What all runs share. Accuracies are in percent; `cores` are the generator's."""

    url: str
    model: str
    inputs: Path
    accuracy: dict[str, float]
    workers: int
    cores: tuple[int, ...]

    @property
    def fastest(self) -> str:
        """The least accurate variant."""
        return min(self.accuracy, key=self.accuracy.__getitem__)

    def drive(self, arrivals: str, **more: object) -> LoadRun:
        """A run with every request kept."""
        given = {
            "url": self.url, "model": self.model, "inputs": (self.inputs,), "clients": 4,
            "samples": True, "arrivals": arrivals, "cores": self.cores,
        }  # fmt: skip
        return drive(LoadSettings(**given | more))  # type: ignore[arg-type]


def service_ms(samples: Sequence[LoadSample]) -> np.ndarray:
    """What each answer took its worker."""
    return np.array([
        (s.inference_ms or 0.0) + (s.preprocess_ms or 0.0)
        for s in samples if s.inference_ms is not None
    ])  # fmt: skip


def capacity(bench: Bench) -> tuple[float, float]:
    """Answers per second of the fastest variant, and the ms of a worker that each needs beyond
    its service: from a queue that never runs empty."""
    few = bench.drive("poisson:10", model=bench.fastest, requests=15, seed=1)
    rate = 2000 * bench.workers / float(np.median(service_ms(few.samples)))
    run = bench.drive(f"gamma:{rate:.3f},0", model=bench.fastest, seconds=fewer(3, 1), seed=2)
    between_ms = 1000 * bench.workers / run.achieved_per_s - float(service_ms(run.samples).mean())
    return run.achieved_per_s, max(between_ms, 0.0)


def profiles(bench: Bench, between_ms: float) -> ProfileTable:
    """The mean times of all variants as this run's service takes them, for the bound."""
    rows = []
    for name, accuracy in bench.accuracy.items():
        run = bench.drive("poisson:8", model=name, requests=fewer(24, 3), seed=3)
        mean_ms = float(service_ms(run.samples).mean()) + between_ms
        rows.append(Profile(model=name, accuracy=accuracy, mean_ms=mean_ms, std_ms=0.0))
    return table(bench.model, rows)


@dataclass(frozen=True)
class Delivered:
    """One load, over all of its runs that count."""

    load: float
    offered_per_s: float
    goodput_per_s: float
    accepted: int
    late: int
    late_there: int
    failed: int
    effective: float
    bound: float
    refusal_ms: np.ndarray
    own_ms: np.ndarray
    usage: dict[str, float]

    @property
    def in_time(self) -> float:
        """Of what was accepted, percent."""
        return 100 * (1 - self.late / self.accepted) if self.accepted else float("nan")


def delivered(load: float, runs: Sequence[LoadRun], of: ProfileTable, workers: int) -> Delivered:
    """What several runs of one load come to."""
    counted = [s for run in runs for s in run.samples if not s.warmup]
    refused = [s for s in counted if s.outcome == "refused"]
    accepted = [s for s in counted if s.outcome != "refused"]
    offered_per_s = float(np.mean([run.offered_per_s for run in runs]))
    return Delivered(
        load=load,
        offered_per_s=offered_per_s,
        goodput_per_s=float(np.mean([run.goodput_per_s or 0.0 for run in runs])),
        accepted=len(accepted),
        late=sum(not s.in_time for s in accepted),
        late_there=sum(not s.in_time and _took_too_long(s) for s in accepted),
        failed=sum(s.outcome == "failed" for s in accepted),
        effective=float(np.mean([run.effective_accuracy or 0.0 for run in runs])),
        bound=fluid_bound(of, offered_per_s, workers),
        refusal_ms=np.array([s.latency_ms for s in refused if s.latency_ms is not None]),
        own_ms=np.array([s.server_ms for s in refused if s.server_ms is not None]),
        usage={v: float(np.mean([run.usage.get(v, 0.0) for run in runs])) for v in of.models},
    )


def _took_too_long(sample: LoadSample) -> bool:
    """Whether the service itself needed more than the budget it knew of; else what was late was
    the way there and back, or its last steps."""
    parts = (sample.queue_ms, sample.preprocess_ms, sample.inference_ms, sample.cold_ms)
    if sample.budget_ms is None or None in parts:
        return True
    return sum(part or 0.0 for part in parts) > sample.budget_ms


def _quantiles(times_ms: np.ndarray) -> str:
    if len(times_ms) < 30:
        return f"{len(times_ms)} only"
    median, high = np.quantile(times_ms, [0.5, 0.95])
    return f"{median:.2f} / {high:.2f}"


def show(found: Sequence[Delivered], capacity_per_s: float, sla_ms: float) -> None:
    """A row per load, and whether each target is met."""
    print(f"\ncapacity {capacity_per_s:.0f} per s, deadline {sla_ms:.0f} ms")
    print(f"{'load':>5}{'offered':>9}{'accepted':>10}{'in time':>10}{'goodput':>9}"
          f"{'effective':>11}{'bound':>8}   refusal p50 / p95: caller, service (ms)")  # fmt: skip
    for each in found:
        print(f"{each.load:5g}{each.offered_per_s:8.0f}/s{each.accepted:10d}{each.in_time:9.2f}%"
              f"{each.goodput_per_s:7.1f}/s{each.effective:10.2f}%{each.bound:7.2f}%   "
              f"{_quantiles(each.refusal_ms)}, {_quantiles(each.own_ms)}")  # fmt: skip
        mix = ", ".join(f"{v} {100 * part:.1f}" for v, part in each.usage.items())
        print(f"       of the offered, percent: {mix}")
        print(f"       late: {each.late}, {each.late_there} of them by the service's own times; "
              f"failed: {each.failed}")  # fmt: skip
    peak_per_s = max(each.goodput_per_s for each in found)
    print(f"\nwanted: {ACCEPTED} % in time, {GOODPUT} % of the peak, refusals in {REFUSAL_MS:g} ms")
    for each in (one for one in found if one.load >= 1):
        share = 100 * each.goodput_per_s / peak_per_s
        verdict = [f"in time {_met(each.in_time >= ACCEPTED)}"]
        if each.load > 1:
            verdict.append(f"goodput {share:.1f} % of its peak {_met(share >= GOODPUT)}")
        if len(each.refusal_ms) >= 30:
            share = 100 * float(np.mean(each.refusal_ms <= REFUSAL_MS))
            verdict.append(f"{share:.1f} % of refusals in time for the caller")
        if len(each.own_ms) >= 30:
            share = 100 * float(np.mean(each.own_ms <= REFUSAL_MS))
            verdict.append(f"{share:.1f} % in the service")
        of_bound = each.effective / each.bound
        print(f"  {each.load:g}×: {', '.join(verdict)}, effective {of_bound:.3f} of the bound")


def _met(is_met: bool) -> str:
    return "(met)" if is_met else "(MISSED)"


def _taken(stolen: Stolen) -> str:
    percent = stolen.percent
    return "" if percent is None else f", the hypervisor took {percent:.0f} % of the cores"


def measure(bench: Bench, seconds: float, rounds: int) -> None:
    """All loads, up and down again. The capacity is looked at before and after; the better one is
    the service's, the other one a neighbour's."""
    before_per_s, before_ms = capacity(bench)
    sla_ms = SLA * 1000 * bench.workers / before_per_s
    runs: dict[float, list[LoadRun]] = defaultdict(list)
    for number in range(rounds):
        for load in LOADS if number % 2 == 0 else LOADS[::-1]:
            stolen = Stolen()
            run = bench.drive(
                f"poisson:{load * before_per_s:.3f}", seconds=seconds, warmup_s=WARMUP_S,
                sla_ms=sla_ms, seed=100 * number + round(10 * load),
            )  # fmt: skip
            print(f"{load:g}×: {run.status}, {run.attainment:.3f} of {run.requests} in time, "
                  f"lag {run.lag_p99_ms:.2f} ms{_taken(stolen)}", flush=True)  # fmt: skip
            if run.status == "ok":
                runs[load].append(run)
    after_per_s, after_ms = capacity(bench)
    of = profiles(bench, min(before_ms, after_ms))
    times = ", ".join(f"{p.model} {p.mean_ms:.1f}" for p in of.profiles)
    print(f"ms of a worker per job: {times}; of each {before_ms:.2f} between jobs before, "
          f"{after_ms:.2f} after")  # fmt: skip
    found = [delivered(load, runs[load], of, bench.workers) for load in LOADS if runs[load]]
    if found:
        show(found, max(before_per_s, after_per_s), sla_ms)


def main() -> None:
    shortened("--seconds", "1", "--rounds", "1")
    for_service, for_generator = apart()
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=10.0)
    arguments.add_argument("--rounds", type=int, default=2)
    arguments.add_argument("--workers", type=int, default=1)
    arguments.add_argument("--computed", action="store_true")
    arguments.add_argument("--service-cores", type=cores, default=for_service)
    arguments.add_argument("--generator-cores", type=cores, default=for_generator)
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if given.computed:
            family, inputs = slow_family.build(folder), slow_family.inputs(folder)
            accuracy = {name: of[1] for name, of in slow_family.VARIANTS.items()}
            model, environment = slow_family.NAME, {}
        else:
            family, inputs = paced_family.build(folder), paced_family.inputs(folder)
            accuracy = {name: of[2] for name, of in paced_family.VARIANTS.items()}
            model, environment = paced_family.NAME, paced_family.environment(family)
        with serving(
            family, workers=given.workers, environment=environment, cores=given.service_cores
        ) as url:
            bench = Bench(url, model, inputs, accuracy, given.workers, given.generator_cores)
            measure(bench, given.seconds, given.rounds)


if __name__ == "__main__":
    main()
