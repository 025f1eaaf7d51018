"""Are the intervals and comparisons of `edgewise bench` calibrated?

Three questions, 200 tries each:

1. How often does the 95 % interval of the median hold the true median? (Simulated: only there the
   truth is known.) Beside it the hierarchical bootstrap without correction, and an interval that
   takes runs for independent.
2. How often is a model called different from itself? (At most 5 %.)
3. How often is an injected slow-down of 3 % found? (At least 80 %, for enough rounds.)

Simulated noise: runs of a process follow an AR(1) process, processes differ, and rounds share what
the machine did meanwhile. Real noise: one model measured against a copy of itself by `edgewise
bench` in short interleaved processes. Every try draws some of these rounds: the tries are not
independent of each other, and say how it went on this machine at this time.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from edgewise.bench.plan import Plan, Settings
from edgewise.bench.run import measure
from edgewise.bench.statistics import compare_processes, median_interval, timed_by_process
from smoke import SMOKE, fewer, shortened

TRIES = fewer(200, 10)
SLOWER = 1.03
ROUNDS = fewer((5, 10, 20), (5,))
FALSE_ALLOWED, FOUND_WANTED = 0.05, 0.80
MODEL = Path(str(files("edgewise"))) / "demo" / "data" / "digits" / "digits-xl.tflite"

Processes = dict[int, list[float]]
Draw = Callable[[int], tuple[Processes, Processes]]


@dataclass(frozen=True)
class Noise:
    """Standard deviations, relative. `lag1`: correlation of a run with the one before."""

    name: str
    lag1: float
    within: float
    between: float
    shared: float
    runs: int = 500


NOISES = (
    Noise("quiet machine", lag1=0.75, within=0.02, between=0.005, shared=0.01),
    Noise("desktop", lag1=0.75, within=0.05, between=0.01, shared=0.02),
    Noise("long memory", lag1=0.96, within=0.05, between=0.01, shared=0.02),
)


def simulate(noise: Noise, rounds: int, shared: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Runs of `rounds` processes, (rounds, runs), around a true median of 1 ms."""
    innovation = noise.within * (1 - noise.lag1**2) ** 0.5
    state = rng.normal(0, noise.within, rounds)
    runs = np.empty((rounds, noise.runs))
    for step in range(noise.runs):
        state = noise.lag1 * state + rng.normal(0, innovation, rounds)
        runs[:, step] = state
    return np.exp(runs + rng.normal(0, noise.between, (rounds, 1)) + shared[:, None])


def simulated_pairs(noise: Noise, rng: np.random.Generator) -> Draw:
    """Two measurements of the same thing, that share what the machine did in each round."""

    def draw(rounds: int) -> tuple[Processes, Processes]:
        shared = rng.normal(0, noise.shared, rounds)
        both = [simulate(noise, rounds, shared, rng) for _ in range(2)]
        a, b = ({i: list(row) for i, row in enumerate(each)} for each in both)
        return a, b

    return draw


def measured_pairs(a: Processes, b: Processes, rng: random.Random) -> Draw:
    """Some of the rounds that were really measured, which is which decided by chance."""

    def draw(rounds: int) -> tuple[Processes, Processes]:
        chosen = rng.sample(sorted(a.keys() & b.keys()), rounds)
        swapped = rng.random() < 0.5
        left, right = (b, a) if swapped else (a, b)
        return {i: left[i] for i in chosen}, {i: right[i] for i in chosen}

    return draw


def false_and_found(draw: Draw, rounds: int) -> tuple[float, float]:
    """Shares of the tries: the same called different; the slowed-down copy called slower."""
    false = found = 0
    for _ in range(TRIES):
        a, b = draw(rounds)
        false += compare_processes(a, b).verdict != "can't tell"
        slowed = {number: [ms * SLOWER for ms in samples] for number, samples in b.items()}
        found += compare_processes(a, slowed).verdict == "slower"
    return false / TRIES, found / TRIES


def bootstrap_interval(processes: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """Hierarchical bootstrap of the median, uncorrected: processes, then runs within each."""
    count, runs = processes.shape
    medians = []
    for _ in range(200):
        chosen = processes[rng.integers(0, count, count)]
        picked = np.take_along_axis(chosen, rng.integers(0, runs, (count, runs)), axis=1)
        medians.append(float(np.median(picked)))
    low, high = np.quantile(medians, (0.025, 0.975))
    return float(low), float(high)


def independent_interval(processes: np.ndarray) -> tuple[float, float]:
    """The order statistics that would hold the median if runs were independent."""
    ordered = np.sort(processes, axis=None)
    half, reach = ordered.size / 2, 0.98 * ordered.size**0.5
    return float(ordered[int(half - reach)]), float(ordered[int(half + reach)])


def coverage(noise: Noise, rng: np.random.Generator) -> tuple[float, float, float]:
    """How often ours, the plain bootstrap and the naive interval hold 1 ms, of 5 processes."""
    held = [0, 0, 0]
    for _ in range(TRIES):
        runs = simulate(noise, 5, rng.normal(0, noise.shared, 5), rng)
        ours = median_interval([statistics.median(row) for row in runs.tolist()])
        intervals = (ours, bootstrap_interval(runs, rng), independent_interval(runs))
        for index, (low, high) in enumerate(intervals):
            held[index] += low is not None and high is not None and low <= 1 <= high
    return held[0] / TRIES, held[1] / TRIES, held[2] / TRIES


def measure_twice(model: Path, rounds: int) -> tuple[Processes, Processes]:
    """One model and a copy of it, in short processes, interleaved as `edgewise bench` does."""
    settings = Settings(
        processes=rounds, load_processes=0, evicted_processes=0, runs=20, min_time_s=0.1
    )
    with tempfile.TemporaryDirectory() as folder:
        paths = [str(Path(folder) / f"{name}{model.suffix}") for name in "ab"]
        for path in paths:
            shutil.copy(model, path)
        both = measure(Plan(paths=tuple(paths), settings=settings))
    for each in both:
        print(f"  {each.stability}: {each.stability_reason}; {'; '.join(each.notes)}")
    a, b = ({n: list(ms) for n, ms in timed_by_process(each).items()} for each in both)
    return a, b


def print_calibration(name: str, draw: Draw) -> bool:
    """A line per number of rounds; whether all false rates and the best finding rate are good."""
    good, best = True, 0.0
    for rounds in ROUNDS:
        false, found = false_and_found(draw, rounds)
        good &= false <= FALSE_ALLOWED
        best = max(best, found)
        print(f"{name:<16}{rounds:>8}{false:>22.1%}{found:>18.1%}")
    return good and best >= FOUND_WANTED


def main() -> int:
    """Print all three; exit status 1 where a goal is missed."""
    shortened("--rounds", "6")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL, help="for the real runs")
    parser.add_argument("--rounds", type=int, default=60, help="real rounds measured")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)

    print(f"{'noise':<16}{'interval holds':>16}{'plain bootstrap':>18}{'as if independent':>20}")
    for noise in NOISES:
        ours, plain, naive = coverage(noise, rng)
        print(f"{noise.name:<16}{ours:>16.1%}{plain:>18.1%}{naive:>20.1%}")

    print(f"\n{'noise':<16}{'rounds':>8}{'called different':>22}{'3 % found':>18}")
    good = [print_calibration(noise.name, simulated_pairs(noise, rng)) for noise in NOISES]
    print(f"\nmeasuring {options.model.name} against itself, {options.rounds} rounds")
    a, b = measure_twice(options.model, options.rounds)
    good.append(print_calibration("measured here", measured_pairs(a, b, random.Random(0))))
    return 0 if all(good) or SMOKE else 1


if __name__ == "__main__":
    sys.exit(main())
