"""What choosing costs: a decision, the published sweep, and the same as a plain-Python loop.

    python benchmarks/bench_selection.py

All in one process on one core, except the last line: the command from cold. Absolute times depend
on the machine; the ratio to the plain loop is what travels.
"""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from edgewise.network.catalogue import resolve
from edgewise.network.link import Pair
from edgewise.selection.engine.simulate import sweep
from edgewise.selection.policies.registry import parse_all
from edgewise.selection.profiles.sources import load
from edgewise.selection.workload.setup import Setup
from smoke import fewer

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "selection"))
from plain import Model, choices

SIX = ("fastest", "greedy", "exploration", "budget_weighted", "mdinference", "cnnselect")
OTHERS = ("budget_uniform", "cnnselect:threshold=20", "cnnselect:threshold=20:exclude_dominated")
DEADLINES = [10.0 * step for step in range(fewer(51, 3))]
REQUESTS = fewer(10_000, 500)


def timed(call: Callable[[], object], repeats: int = 5) -> float:
    """Median seconds, after one call that warms up."""
    call()
    seconds = []
    for _ in range(repeats):
        started = perf_counter()
        call()
        seconds.append(perf_counter() - started)
    return median(seconds)


def decision_us(profiles: str, policy: str) -> float:
    """Mean time of one choice over budgets across the whole table, in µs."""
    table = load(profiles).table
    (parsed,) = parse_all([policy])
    chooser = parsed.on(table)
    rng = np.random.default_rng(0)
    budgets = rng.uniform(0, 1.2 * float(table.mean_ms.max()), 20_000).tolist()
    draws = rng.random(20_000).tolist()

    def run() -> None:
        choose = chooser.choose
        for budget, draw in zip(budgets, draws, strict=True):
            choose(250.0, budget, draw)

    return timed(run) / len(budgets) * 1e6


def vectorised() -> float:
    """Seconds of a full published sweep."""
    setup = Setup(load("p2").table, resolve("artificial"), True, REQUESTS, 0)
    policies = parse_all(SIX)
    return timed(lambda: list(sweep([setup], policies, DEADLINES)))


def plain(every: int = 40) -> float:
    """Seconds of the same as a plain loop, from one request in `every`."""
    models = [
        Model(p.model, p.accuracy or 0.0, p.mean_ms, p.std_ms) for p in load("p2").table.profiles
    ]
    by_name = {model.name: model for model in models}
    pair = resolve("artificial")
    assert isinstance(pair, Pair)
    rng = random.Random(0)

    def positive(mean: float, std: float) -> float:
        while (value := rng.gauss(mean, std)) <= 0:
            continue
        return value

    started = perf_counter()
    for sla in DEADLINES:
        for policy in SIX:
            for _ in range(REQUESTS // every):
                network = 2 * positive(pair.mean_ms, pair.std_ms)
                chances = choices(policy, models, sla, sla - network)
                chosen = by_name[rng.choices(list(chances), list(chances.values()))[0]]
                positive(chosen.mean, chosen.std)
    return (perf_counter() - started) * every


def cold() -> float:
    """Seconds of `edgewise simulate` with its defaults, as a command."""
    command = [sys.executable, "-m", "edgewise", "simulate", "--json"]
    return timed(lambda: subprocess.run(command, check=True, capture_output=True), 3)


def main() -> None:
    """Print the table."""
    print("one decision among 23 models, µs")
    for policy in (*SIX, *OTHERS):
        costs = "  ".join(f"{name} {decision_us(name, policy):5.2f}" for name in ("p2", "c5"))
        print(f"  {policy:42} {costs}")
    ours, loop = vectorised(), plain()
    print(f"published sweep, 51 deadlines × {REQUESTS} requests × {len(SIX)} policies")
    print(f"  vectorised {ours:.3f} s, plain loop {loop:.1f} s: {loop / ours:.0f} times")
    print(f"  as a command from cold {cold():.2f} s")


if __name__ == "__main__":
    main()
