"""The simulator against the service: held-out runs, measured and predicted.

    python benchmarks/bench_replay.py [--seconds 8] [--only NAME] [--computed]
                                      [--service-cores 1] [--generator-cores 0]

A family is served by one worker. Calibration: each variant pinned, alone, at 0.6 of what it can do
(service times; the service's own share of the network's time), and the fastest at twice that (what
a worker needs between two jobs). Then held-out runs with other seeds, loads, policies and links,
each on a service that was just started and was given the calibration's profiles. For each the
simulator gets the same profiles, the run's schedule and links, never its outcome
(`prediction.py`). Wanted: attainment within 3 points wherever it lies between 20 and 95 %. A run
whose generator was late (p99 above 1 ms), or whose jobs took longer than they were told to, is
void and does not count: the machine was at something else.

The variants take as long as each input says (`paced_family.py`), so that the machine's speed is no
part of the question. --computed takes variants that compute (`slow_family.py`) and calibrates
before every run; each run then says how its service times compare with the calibration's.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import paced_family
import slow_family
from edgewise.load.run import drive
from edgewise.load.settings import LoadSettings
from edgewise.network.catalogue import Carried, resolve
from edgewise.records import LoadRun
from prediction import Calibrated, Delivered, Sizes, measured, predict
from served import serving
from smoke import fewer, shortened

Floats = NDArray[np.float64]
CLIENTS, WARMUP_S = 8, 2.0
REPLY_BYTES = 800.0
#: Little jitter, no radio that sleeps.
CALIBRATION_LINK = "ethernet"
#: How busy a worker is kept while its variants are measured: an idle core is slow to wake.
BUSY = 0.6
CALIBRATION_S = fewer(3.0, 1.0)
#: A calibration that is void is made again, so often in all: what it told would not be the
#: service's, and every prediction would rest on it.
CALIBRATIONS = fewer(4, 1)
#: A run in which jobs took longer than they were told to, at the 95th percentile, is void as well.
MOST_BEYOND_MS = 1.0
#: Within this the prediction has to be, and where it has to.
TARGET_POINTS, FROM, TO = 3.0, 0.20, 0.95


@dataclass(frozen=True)
class HeldOut:
    """A run. `load` is in multiples of what the worker can do with its fastest variant, `sla` in
    multiples of what that takes."""

    name: str
    policy: str
    load: float
    sla: float
    links: tuple[str, ...]
    bursts: float = 1.0
    seed: int = 11
    longer: float = 1.0

    def arrivals(self, fastest_ms: float) -> str:
        """As `--arrivals`."""
        rate = self.load * 1000 / fastest_ms
        return f"gamma:{rate:.3f},{self.bursts:g}"


RUNS = (
    HeldOut("overload", "deadline", 1.6, 15, ("ethernet",)),
    HeldOut("twice", "deadline", 2.2, 25, ("wifi",), seed=12),
    HeldOut("bursts", "deadline", 0.9, 15, ("wifi",), bursts=4, seed=13),
    HeldOut("jitter", "deadline", 1.2, 8, ("campus",), seed=14),
    HeldOut("mixed", "deadline", 1.3, 20, ("campus", "wifi"), seed=15),
    HeldOut("unaware", "mdinference", 0.12, 22, ("ethernet",), seed=16, longer=4),
    HeldOut("greedy", "greedy", 0.10, 20, ("wifi",), seed=17, longer=4),
    HeldOut("static", "static:{second}", 0.52, 10, ("wifi",), seed=18),
)


@dataclass(frozen=True)
class Served:
    """A family: its accuracies in percent, and how long variants take for each input, if known."""

    name: str
    path: Path
    inputs: Path
    accuracy: dict[str, float]
    environment: dict[str, str]
    by_input: dict[str, Floats] | None

    @classmethod
    def paced(cls, folder: Path) -> Served:
        """Of variants that take as long as the input says."""
        path, inputs = paced_family.build(folder), paced_family.inputs(folder)
        with np.load(inputs) as content:
            levels = paced_family.levels(len(content["x"]))
        by_input = {name: paced_family.taken_ms(name, levels) for name in paced_family.VARIANTS}
        accuracy = {name: of[2] for name, of in paced_family.VARIANTS.items()}
        environment = paced_family.environment(path)
        return cls(paced_family.NAME, path, inputs, accuracy, environment, by_input)

    @classmethod
    def computed(cls, folder: Path) -> Served:
        """Of variants that compute."""
        accuracy = {name: of[1] for name, of in slow_family.VARIANTS.items()}
        path, inputs = slow_family.build(folder), slow_family.inputs(folder)
        return cls(slow_family.NAME, path, inputs, accuracy, {}, None)

    @property
    def variants(self) -> list[str]:
        """From the least accurate on."""
        return sorted(self.accuracy, key=self.accuracy.__getitem__)


@dataclass(frozen=True)
class Bench:
    """What all runs share."""

    folder: Path
    family: Served
    seconds: float
    service_cores: tuple[int, ...]
    generator_cores: tuple[int, ...]

    def drive(self, url: str, **more: object) -> LoadRun:
        """A run against a service."""
        return drive(self.settings(url, **more))

    def sizes(self) -> Sizes:
        """What travels: a tensor with its JSON and heads, and an answer."""
        with np.load(self.family.inputs) as content:
            return Sizes(float(content["x"][0].nbytes + 500), REPLY_BYTES)

    def settings(self, url: str, **more: object) -> LoadSettings:
        """Of a run."""
        given = {
            "url": url, "model": self.family.name, "inputs": (self.family.inputs,),
            "clients": CLIENTS, "cores": self.generator_cores, "samples": True, "timeout_s": 30.0,
        }  # fmt: skip
        return LoadSettings(**given | more)  # type: ignore[arg-type]

    def serving(self, policy: str = "deadline", *more: str) -> AbstractContextManager[str]:
        """A service of its own."""
        return serving(
            self.family.path, cores=self.service_cores, policy=policy, more=more,
            environment=self.family.environment,
        )  # fmt: skip


def calibrate(bench: Bench) -> Calibrated:
    """Runs of their own, with seeds that no held-out run has."""
    family = bench.family
    service_ms: dict[str, Floats] = {}
    by_input: dict[str, Floats] = {}
    residue: list[Floats] = []
    with bench.serving() as url:
        usual_ms = {name: _alone_ms(_few(bench, url, name)) for name in family.variants}
        for name in family.variants:
            run = _undisturbed(bench, url, name, 1000 * BUSY / usual_ms[name])
            samples = [s for s in run.samples if s.inference_ms is not None and not s.warmup]
            times = np.array([_service_ms(s) for s in samples])
            residue.append(np.array([s.network_ms for s in samples], dtype=np.float64))
            if family.by_input is not None:
                stated_ms = family.by_input[name]
                beyond_ms = float(np.median(times - stated_ms[[s.input for s in samples]]))
                times = by_input[name] = stated_ms + beyond_ms
            service_ms[name] = times
            _say(f"calibrated {name}: {times.mean():.2f} ms ± {times.std():.2f}, {run.status}")
        between_ms = _between_ms(bench, url, family.variants[0])
    # Passing a job there and back is the worker's time in the replay.
    overhead_ms = np.maximum(_overhead_ms(bench, np.concatenate(residue)) - between_ms, 0.0)
    _say(f"the service adds {overhead_ms.mean():.2f} ms (median {np.median(overhead_ms):.2f}) to "
         f"the network's own, a worker needs {between_ms:.2f} ms between jobs")  # fmt: skip
    return Calibrated(service_ms, family.accuracy, between_ms, overhead_ms, by_input or None)


def _undisturbed(bench: Bench, url: str, name: str, rate: float) -> LoadRun:
    """A variant's calibration: the first run that is not void, of a few; else the last."""
    for seed in range(2, 2 + CALIBRATIONS):
        run = bench.drive(
            url, model=name, arrivals=f"poisson:{rate:.3f}", warmup_s=0.5,
            seconds=CALIBRATION_S, links=(CALIBRATION_LINK,), seed=seed,
        )  # fmt: skip
        if run.status == "ok":
            break
    return run


def _few(bench: Bench, url: str, name: str) -> LoadRun:
    """A first look at how long a variant takes."""
    return bench.drive(url, model=name, arrivals="poisson:9", requests=15, seed=1)


def _overhead_ms(bench: Bench, network_ms: Floats) -> Floats:
    """What is left of the network's time without the link's mean: its jitter is small."""
    sizes = bench.sizes()
    link = resolve(f"link:{CALIBRATION_LINK}", Carried(sizes.payload_bytes, sizes.reply_bytes))
    moved = link.transfers(20_000, np.random.default_rng(5))
    left_ms: Floats = network_ms - float((moved.upload_ms + moved.download_ms).mean())
    return np.maximum(left_ms, 0.0)


def _service_ms(sample: object) -> float:
    return float(sample.preprocess_ms + sample.inference_ms)  # type: ignore[attr-defined]


def _alone_ms(run: LoadRun) -> float:
    return float(np.median([_service_ms(s) for s in run.samples if s.inference_ms is not None]))


def _between_ms(bench: Bench, url: str, fastest: str) -> float:
    """From a queue that never runs empty: time per answer less the service time."""
    run = bench.drive(url, model=fastest, arrivals="poisson:150", requests=20, seed=3)
    rate = 2000 / _alone_ms(run)
    run = bench.drive(url, model=fastest, arrivals=f"gamma:{rate:.3f},0", seconds=2.0, seed=4)
    done = [s for s in run.samples if s.outcome == "answered"]
    ends_ms = np.sort([s.intended_ms + (s.latency_ms or 0) for s in done])
    per_answer_ms = float(ends_ms[-1] - ends_ms[0]) / (len(done) - 1)
    return max(per_answer_ms - float(np.mean([_service_ms(s) for s in done])), 0.0)


def compare(bench: Bench, known: Calibrated, each: HeldOut) -> float | None:
    """Measure and predict one run; the difference in points, None where it does not count."""
    profiles = known.write(bench.folder / "profiles.csv")
    policy = each.policy.format(second=bench.family.variants[1])
    with bench.serving(policy, "--profiles", str(profiles)) as url:
        settings = bench.settings(
            url, arrivals=each.arrivals(known.fastest_ms), seconds=bench.seconds * each.longer,
            sla_ms=round(each.sla * known.fastest_ms), links=each.links, seed=each.seed,
            warmup_s=WARMUP_S,
        )  # fmt: skip
        run = drive(settings)
    with np.load(bench.family.inputs) as content:
        inputs = len(content["x"])
    predicted = predict(
        replace(settings, url=""), inputs, known, policy=policy, workers=1, sizes=bench.sizes()
    )
    found = measured(run)
    points = 100 * (predicted.attainment - found.attainment)
    beyond_ms = _beyond_ms(run, known)
    counts = FROM <= found.attainment <= TO and run.status == "ok" and beyond_ms <= MOST_BEYOND_MS
    _report(each, run, found, predicted, points, counts=counts)
    _say(f"  jobs took up to {beyond_ms:.2f} ms longer than they were told to (p95)")
    if bench.family.by_input is None:
        _drift(run, known)
    return points if counts else None


def _beyond_ms(run: LoadRun, known: Calibrated) -> float:
    """By how much jobs took longer than their inputs say, 95th percentile: more than a little, and
    the machine has kept the worker from its core, as it may have kept the service and the links."""
    if known.by_input is None:
        return 0.0
    beyond = [
        _service_ms(s) - known.by_input[s.variant][s.input]
        for s in run.samples if s.variant is not None and s.inference_ms is not None
    ]  # fmt: skip
    return float(np.quantile(beyond, 0.95)) if beyond else 0.0


def _drift(run: LoadRun, known: Calibrated) -> None:
    """Whether the machine was as it was at the calibration: else neither is to blame."""
    for variant, times in known.service_ms.items():
        seen = [_service_ms(s) for s in run.samples if s.variant == variant and not s.warmup]
        if len(seen) >= 50:
            ratio = float(np.mean(seen)) / float(times.mean())
            _say(f"  {variant} took {ratio:.2f} times as long as at the calibration")


def _report(
    each: HeldOut, run: LoadRun, found: Delivered, predicted: Delivered, points: float, *,
    counts: bool,
) -> None:  # fmt: skip
    low, high = run.attainment_ci95 or (float("nan"), float("nan"))
    variants = sorted(predicted.usage)
    moved = sum(abs(found.usage.get(v, 0) - predicted.usage.get(v, 0)) for v in variants) / 2
    _say(f"\n{each.name}: {each.policy}, {run.offered_per_s:.0f} per s ({each.load:g} × capacity), "
         f"{run.sla_ms:g} ms over {'+'.join(each.links)}, {run.requests} requests, {run.status}"
         f"{'' if counts else ' (does not count)'}")  # fmt: skip
    _say(f"  {'':12}{'in time':>10}{'effective':>11}{'p99':>9}   variants of the offered")
    for name, one in (("measured", found), ("predicted", predicted)):
        mix = ", ".join(f"{v} {100 * one.usage.get(v, 0):.0f}" for v in variants)
        p99 = "–" if one.p99_ms is None else f"{one.p99_ms:.0f} ms"
        shares = f"{100 * one.attainment:9.1f}%{one.effective_accuracy:10.1f}%"
        _say(f"  {name:12}{shares}{p99:>9}   {mix}")
    _say(f"  measured 95 %: {100 * low:.1f} … {100 * high:.1f}; off by {points:+.1f} points, "
         f"{100 * moved:.0f} % of the requests on other variants")  # fmt: skip


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    shortened("--seconds", "1", "--only", "overload")
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=8.0)
    arguments.add_argument("--only", default="")
    arguments.add_argument("--computed", action="store_true")
    arguments.add_argument("--service-cores", default="")
    arguments.add_argument("--generator-cores", default="")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        family = Served.computed(folder) if given.computed else Served.paced(folder)
        bench = Bench(
            folder, family, given.seconds, _cores(given.service_cores),
            _cores(given.generator_cores),
        )  # fmt: skip
        known = calibrate(bench)
        runs = [each for each in RUNS if not given.only or each.name in given.only.split(",")]
        points = []
        for number, each in enumerate(runs):
            if number and given.computed:
                known = calibrate(bench)
            points.append(compare(bench, known, each))
        verdict(points)


def _cores(text: str) -> tuple[int, ...]:
    return tuple(int(word) for word in text.split(",") if word)


def verdict(points: Sequence[float | None]) -> None:
    counting = [abs(each) for each in points if each is not None]
    if not counting:
        _say("\nno run counted: none had an attainment between 20 and 95 %")
        return
    _say(f"\n{len(counting)} of {len(points)} runs count; off by {np.mean(counting):.1f} points on "
         f"average, {max(counting):.1f} at most; wanted: {TARGET_POINTS:g}")  # fmt: skip


if __name__ == "__main__":
    main()
