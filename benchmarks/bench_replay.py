"""The simulator against the service: held-out runs, measured and predicted.

    python benchmarks/bench_replay.py [--seconds 20] [--only NAME] [--recalibrate]
                                      [--service-cores 1] [--generator-cores 0]

A family of slow variants is served by one worker. Calibration: each variant pinned, alone, at
0.6 of what it can do (service times; the service's own share of the network's time), and the
fastest at twice that (what a worker needs between two jobs). Then held-out runs with other seeds,
loads, policies and links, each on a service that was just started. For each the simulator gets the
run's schedule and links, never its outcome (`prediction.py`). Wanted: attainment within 3 points
wherever it lies between 20 and 95 %. Each run says how its service times compare with those of the
calibration: on a machine that others use too they drift; --recalibrate then measures before each.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgewise.network.catalogue import Carried, resolve
from edgewise.records import LoadRun
from edgewise.serving.load.run import drive
from edgewise.serving.load.settings import LoadSettings
from prediction import Calibrated, Delivered, Sizes, measured, predict
from served import serving
from slow_family import NAME, VARIANTS, build, inputs

Floats = NDArray[np.float64]
CLIENTS, WARMUP_S, INPUTS = 8, 3.0, 32
REPLY_BYTES = 800.0
#: Little jitter, no radio that sleeps.
CALIBRATION_LINK = "ethernet"
#: How busy a worker is kept while its variants are measured: an idle core is slow to wake.
BUSY = 0.6
#: Within this the prediction has to be, and where it has to.
TARGET_POINTS, FROM, TO = 3.0, 0.20, 0.95


@dataclass(frozen=True)
class HeldOut:
    """A run. `load` is in multiples of what the worker can do with its fastest variant."""

    name: str
    policy: str
    load: float
    sla_ms: float
    links: tuple[str, ...]
    bursts: float = 1.0
    seed: int = 11

    def arrivals(self, fastest_ms: float) -> str:
        """As `--arrivals`."""
        rate = self.load * 1000 / fastest_ms
        return f"gamma:{rate:.3f},{self.bursts:g}"


RUNS = (
    HeldOut("overload", "deadline", 1.6, 60, ("ethernet",)),
    HeldOut("twice", "deadline", 2.2, 100, ("wifi",), seed=12),
    HeldOut("bursts", "deadline", 0.9, 60, ("wifi",), bursts=4, seed=13),
    HeldOut("jitter", "deadline", 0.7, 45, ("campus",), seed=14),
    HeldOut("mixed", "deadline", 1.2, 80, ("campus", "wifi"), seed=15),
    HeldOut("unaware", "mdinference", 0.12, 90, ("ethernet",), seed=16),
    HeldOut("greedy", "greedy", 0.10, 80, ("wifi",), seed=17),
    HeldOut("static", "static:stack-14", 0.52, 40, ("wifi",), seed=18),
)


@dataclass(frozen=True)
class Bench:
    """What all runs share."""

    folder: Path
    family: Path
    inputs: Path
    seconds: float
    service_cores: tuple[int, ...]
    generator_cores: tuple[int, ...]

    def drive(self, url: str, **more: object) -> LoadRun:
        """A run against a service."""
        return drive(self.settings(url, **more))

    def sizes(self) -> Sizes:
        """What travels: a tensor with its JSON and heads, and an answer."""
        with np.load(self.inputs) as content:
            return Sizes(float(content["x"][0].nbytes + 500), REPLY_BYTES)

    def settings(self, url: str, **more: object) -> LoadSettings:
        """Of a run."""
        given = {
            "url": url, "model": NAME, "inputs": (self.inputs,), "clients": CLIENTS,
            "cores": self.generator_cores, "samples": True, "timeout_s": 30.0,
        }  # fmt: skip
        return LoadSettings(**given | more)  # type: ignore[arg-type]


def calibrate(bench: Bench) -> Calibrated:
    """Runs of their own, with seeds that no held-out run has."""
    service_ms: dict[str, Floats] = {}
    residue: list[Floats] = []
    with serving(bench.family, cores=bench.service_cores) as url:
        usual_ms = {name: _alone_ms(_few(bench, url, name)) for name in VARIANTS}
        for name in VARIANTS:
            rate = 1000 * BUSY / usual_ms[name]
            run = bench.drive(
                url, model=name, arrivals=f"poisson:{rate:.3f}", warmup_s=1.0,
                seconds=max(bench.seconds / 2, 5), links=(CALIBRATION_LINK,), seed=2,
            )  # fmt: skip
            samples = [s for s in run.samples if s.inference_ms is not None and not s.warmup]
            times = service_ms[name] = np.array([_service_ms(s) for s in samples])
            residue.append(np.array([s.network_ms for s in samples], dtype=np.float64))
            _say(f"calibrated {name}: {times.mean():.2f} ms ± {times.std():.2f}, {run.status}")
        between_ms = _between_ms(bench, url, min(usual_ms, key=usual_ms.__getitem__))
    overhead_ms = _overhead_ms(bench, np.concatenate(residue))
    _say(f"the service adds {overhead_ms.mean():.2f} ms (median {np.median(overhead_ms):.2f}) to "
         f"the network's own, a worker needs {between_ms:.2f} ms between jobs")  # fmt: skip
    accuracy = {name: of[1] for name, of in VARIANTS.items()}
    return Calibrated(service_ms, accuracy, between_ms, overhead_ms)


def _few(bench: Bench, url: str, name: str) -> LoadRun:
    """A first look at how long a variant takes."""
    return bench.drive(url, model=name, arrivals="poisson:8", requests=30, seed=1)


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
    fastest_ms = min(float(times.mean()) for times in known.service_ms.values())
    with serving(bench.family, policy=each.policy, cores=bench.service_cores) as url:
        settings = bench.settings(
            url, arrivals=each.arrivals(fastest_ms), seconds=bench.seconds, sla_ms=each.sla_ms,
            links=each.links, seed=each.seed, warmup_s=WARMUP_S,
        )  # fmt: skip
        run = drive(settings)
    predicted = predict(
        replace(settings, url=""), INPUTS, known, policy=each.policy, workers=1,
        sizes=bench.sizes(),
    )  # fmt: skip
    found = measured(run)
    points = 100 * (predicted.attainment - found.attainment)
    counts = FROM <= found.attainment <= TO and run.status == "ok"
    _report(each, run, found, predicted, points, counts=counts)
    _drift(run, known)
    return points if counts else None


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
    moved = sum(abs(found.usage.get(v, 0) - predicted.usage.get(v, 0)) for v in VARIANTS) / 2
    _say(f"\n{each.name}: {each.policy}, {run.offered_per_s:.0f} per s ({each.load:g} × capacity), "
         f"{each.sla_ms:g} ms over {'+'.join(each.links)}, {run.requests} requests, {run.status}"
         f"{'' if counts else ' (does not count)'}")  # fmt: skip
    _say(f"  {'':12}{'in time':>10}{'effective':>11}{'p99':>9}   variants of the offered")
    for name, one in (("measured", found), ("predicted", predicted)):
        mix = ", ".join(f"{v} {100 * one.usage.get(v, 0):.0f}" for v in VARIANTS)
        p99 = "–" if one.p99_ms is None else f"{one.p99_ms:.0f} ms"
        shares = f"{100 * one.attainment:9.1f}%{one.effective_accuracy:10.1f}%"
        _say(f"  {name:12}{shares}{p99:>9}   {mix}")
    _say(f"  measured 95 %: {100 * low:.1f} … {100 * high:.1f}; off by {points:+.1f} points, "
         f"{100 * moved:.0f} % of the requests on other variants")  # fmt: skip


def _say(text: str) -> None:
    print(text, flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seconds", type=float, default=20.0)
    arguments.add_argument("--only", default="")
    arguments.add_argument("--recalibrate", action="store_true")
    arguments.add_argument("--service-cores", default="")
    arguments.add_argument("--generator-cores", default="")
    given = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bench = Bench(
            folder, build(folder), inputs(folder, INPUTS), given.seconds,
            _cores(given.service_cores), _cores(given.generator_cores),
        )  # fmt: skip
        known = calibrate(bench)
        runs = [each for each in RUNS if not given.only or each.name in given.only.split(",")]
        points = []
        for number, each in enumerate(runs):
            if number and given.recalibrate:
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
