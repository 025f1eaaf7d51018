"""Policies under load: the table of the specification again, a wide sweep, and the speeds.

    python benchmarks/bench_queueing.py [--full] [--part 1/4 --keep F]
                                        [--only tables|sweep|seeds|speeds]

The sweep compares `deadline` with the best `static` in hindsight and with the best of the other
policies, request for request the same; `--full` takes every network, three deadlines and loads
from 0.02 to 2 times the capacity of the fastest model (about ten minutes on two cores; `--part 2/4`
takes every fourth cell from the second on, and what `--keep` gathers is summed up together).
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from msgspec import structs

from edgewise.network.catalogue import pairs
from edgewise.selection.engine import queueing
from edgewise.selection.engine.fluid import bound_in_time
from edgewise.selection.policies.deadline import Deadline, DeadlinePolicy
from edgewise.selection.profiles.sources import load as profiles
from edgewise.selection.profiles.table import LEVELS
from edgewise.selection.profiles.table import table as profile_table
from edgewise.selection.workload.arrivals import parse as arrivals
from edgewise.selection.workload.setup import Setup, generator
from smoke import fewer, shortened

PAIRS = pairs()
#: The specification's table: p2, `artificial`, 250 ms, one worker, Poisson.
PROTOTYPE = {1: 81.1, 10: 77.5, 40: 72.4, 80: 71.0, 150: 70.6, 300: 52.4, 450: 37.5}
OTHERS = ("fastest", "greedy", "mdinference", "mdinference+queue", "cnnselect")


class Cell(NamedTuple):
    profiles: str
    network: str
    sla_ms: float
    workers: int
    cv: float
    load: float
    requests: int


class Result(NamedTuple):
    cell: Cell
    deadline: float
    static: float
    other: float
    fluid: float
    in_time: float


def table(requests: int, workers: int, cv: float) -> None:
    """The specification's rates, per worker, with the best static model in hindsight."""
    print(
        f"p2, artificial, 250 ms, {workers} worker(s), gaps of variation {cv:g}: effective accuracy"
    )
    source = profiles("p2").table
    setup = Setup(source, PAIRS["artificial"], True, requests, seed=0)
    names = ("fastest", "mdinference", "mdinference+queue", "deadline")
    heads = [*names, "best static", "prototype", "fluid bound", "in time"]
    print("  per s |" + "".join(f"{head:>18}" for head in heads))
    budgets = 250 - 2 * PAIRS["artificial"].one_way_ms(20_000, generator(7, "network"))
    for each, prototype in PROTOTYPE.items():
        load = queueing.Load(arrivals(f"gamma:{each * workers},{cv}"), workers)
        rows = [queueing.run(setup, queueing.parse(name), 250, load) for name in names]
        statics = [f"static:{model}" for model in source.models]
        best = max(
            queueing.run(setup, queueing.parse(name), 250, load).effective_accuracy
            for name in statics
        )
        values = [row.effective_accuracy for row in rows]
        low, high = rows[-1].effective_ci95 or (float("nan"), float("nan"))
        bounds = rows[-1].fluid_bound or 0, bound_in_time(source, budgets, each * workers, workers)
        shown = prototype if (workers, cv) == (1, 1.0) else float("nan")
        cells = "".join(f"{value:18.1f}" for value in (*values, best, shown, *bounds))
        print(f"{each * workers:7} |{cells}   deadline's 95 %: {low:.1f} … {high:.1f}")


def measure(cell: Cell) -> Result:
    source = profiles(cell.profiles).table
    setup = Setup(source, PAIRS[cell.network], True, cell.requests, seed=1)
    rate = cell.load * cell.workers * 1000 / float(source.mean_ms.min())
    load = queueing.Load(arrivals(f"gamma:{rate},{cell.cv}"), cell.workers)

    def effective(name: str) -> float:
        return queueing.run(setup, queueing.parse(name), cell.sla_ms, load).effective_accuracy

    ours = queueing.run(setup, Deadline(), cell.sla_ms, load)
    network = PAIRS[cell.network]
    budgets = cell.sla_ms - 2 * network.one_way_ms(20_000, generator(7, "network"))
    return Result(
        cell,
        ours.effective_accuracy,
        max(effective(f"static:{model}") for model in source.models),
        max(effective(name) for name in OTHERS),
        ours.fluid_bound or 0.0,
        bound_in_time(source, budgets, rate, cell.workers),
    )


def cells(full: bool) -> Iterator[Cell]:
    networks = tuple(PAIRS) if full else ("artificial", "home-high-sigma")
    deadlines = (100.0, 250.0, 500.0) if full else (250.0,)
    loads = (0.02, 0.1, 0.3, 0.8, 1.2, 2.0) if full else (0.1, 0.8, 1.2)
    requests = 40_000 if full else 20_000
    axes = itertools.product(("p2", "c5", "pixel3"), networks, deadlines, (1, 4), (1.0, 4.0), loads)
    for cell in axes:
        yield Cell(*cell, requests)


def sweep(full: bool, part: str, keep: Path | None) -> None:
    first, parts = (int(word) for word in part.split("/"))
    chosen = list(cells(full))[first - 1 :: parts]
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 2)) as pool:
        results = list(pool.map(measure, chosen, chunksize=4))
    if keep:
        with keep.open("a") as file:
            file.writelines(f"{json.dumps(result)}\n" for result in results)
        lines = [json.loads(line) for line in keep.read_text().splitlines()]
        results = [Result(Cell(*cell), *values) for cell, *values in lines]
    ahead_static = np.array([r.deadline - r.static for r in results])
    ahead_other = np.array([r.deadline - max(r.other, r.static) for r in results])
    # Where hardly a request has any time left, a share of next to nothing says nothing.
    share = np.array([r.deadline / r.in_time if r.in_time > 1 else 1.0 for r in results])
    print(f"\n{len(results)} cells (profiles × network × deadline × workers × cv × load)")
    _spread("deadline − best static in hindsight, points", ahead_static)
    _spread("deadline − best of all others, points", ahead_other)
    _spread("deadline / bound in time", share)
    for load in sorted({r.cell.load for r in results}):
        for cv in (1.0, 4.0):
            of = np.array([r.cell.load == load and r.cell.cv == cv for r in results])
            print(
                f"  load {load:4}  cv {cv:g}:   best static {_brief(ahead_static[of])}   "
                f"all others {_brief(ahead_other[of])}   of the bound {share[of].mean():.3f} "
                f"(least {share[of].min():.3f})"
            )
    for workers, cv in itertools.product((1, 4), (1.0, 4.0)):
        of = np.array([(r.cell.workers, r.cell.cv) == (workers, cv) for r in results])
        _spread(f"  workers {workers}, cv {cv:g}: share of the bound in time", share[of])
    print("the ten cells furthest behind:")
    for at in np.argsort(ahead_other)[:10]:
        print(f"  {ahead_other[at]:+.2f}  {results[at]}")


def _brief(values: np.ndarray) -> str:
    return f"{values.mean():+6.2f} (worst {values.min():+.2f})"


def _spread(name: str, values: np.ndarray) -> None:
    quantiles = np.quantile(values, [0, 0.05, 0.5, 0.95])
    print(f"{name}: least {quantiles[0]:.3f}, 5 % {quantiles[1]:.3f}, median {quantiles[2]:.3f}")


def seeds(requests: int, count: int) -> None:
    """Two workers at the fastest model's capacity, services of two lengths: no start may last."""
    made = []
    for each in profiles("pixel3").table.profiles:
        times = np.where(LEVELS < 0.98, 1.0, 10.0) * each.mean_ms / 1.18
        quantiles = tuple(zip(LEVELS.tolist(), times.tolist(), strict=True))
        made.append(
            structs.replace(
                each,
                mean_ms=float(times.mean()),
                std_ms=float(times.std()),
                quantiles_ms=quantiles,
            )
        )
    family, load = profile_table("two lengths", made), queueing.Load(arrivals("poisson:1690"), 2)
    rows = [
        queueing.run(Setup(family, PAIRS["home"], True, requests, seed), Deadline(), 400, load)
        for seed in range(count)
    ]
    values = np.array([row.effective_accuracy for row in rows])
    bound = float(np.mean([row.fluid_bound or 0.0 for row in rows]))
    print(
        f"\n{count} seeds at capacity: least {values.min():.2f}, mean {values.mean():.2f}, "
        f"fluid bound {bound:.2f} in the mean"
    )


def speeds(requests: int) -> None:
    print("\nspeeds, one core")
    source = profiles("p2").table
    setup = Setup(source, PAIRS["artificial"], True, requests, seed=0)
    load = queueing.Load(arrivals("poisson:150"))
    for name in ("fastest", "mdinference", "mdinference+queue", "deadline"):
        queueing.run(setup, queueing.parse(name), 250, load)
        start = time.perf_counter()
        queueing.run(setup, queueing.parse(name), 250, load)
        spent = time.perf_counter() - start
        print(f"  {name:18} {requests / spent / 1e6:6.2f} million requests/s")
    policy = DeadlinePolicy(source)
    rng = np.random.default_rng(0)
    n = fewer(50_000, 500)
    arrive = np.cumsum(rng.exponential(6.0, n)).tolist()
    budgets, waits = rng.normal(150, 40, n).tolist(), rng.exponential(10, n).tolist()
    policy.choose(150.0, now_ms=0.0)  # compiled and loaded
    start = time.perf_counter()
    refitting = 0.0
    for now_ms, budget_ms, wait_ms in zip(arrive, budgets, waits, strict=True):
        policy.choose(budget_ms, wait_ms, now_ms=now_ms)
        if policy.due:
            before = time.perf_counter()
            policy.refit()
            refitting += time.perf_counter() - before
    spent = time.perf_counter() - start
    print(
        f"  one decision for {len(source)} models: {(spent - refitting) / n * 1e6:.2f} µs; "
        f"with the refits that were due {spent / n * 1e6:.2f} µs"
    )


def main() -> None:
    shortened("--only", "speeds")
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--full", action="store_true", help="all networks, deadlines and loads")
    options.add_argument("--only", choices=("tables", "sweep", "seeds", "speeds"))
    options.add_argument("--part", default="1/1", help="of the sweep's cells")
    options.add_argument("--keep", type=Path, help="a file of JSON lines that gathers the parts")
    asked = options.parse_args()
    if asked.only in (None, "tables"):
        for workers, cv in ((1, 1.0), (1, 4.0), (4, 1.0), (4, 4.0)):
            table(100_000, workers, cv)
    if asked.only in (None, "sweep"):
        sweep(asked.full, asked.part, asked.keep)
    if asked.only in (None, "seeds"):
        seeds(40_000, 100)
    if asked.only in (None, "speeds"):
        speeds(fewer(2_000_000, 20_000))


if __name__ == "__main__":
    main()
