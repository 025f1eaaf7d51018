"""`deadline` on profile sets, networks and traces that nobody chose.

    python benchmarks/bench_unseen.py [TRACES] [--cells 100] [--seed 17] [--from 0]
                                      [--only cellular] [--discipline edf] [--smoke]

Each cell is drawn: profiles (published ones, or 3 to 12 models at random), how their service times
are spread (normal, lognormal, of two lengths, heavy-tailed), a network (a published kind of pair, a
link, a made cellular trace with outages, a bandwidth trace of the folder TRACES; traces at one
request a second or at the pace of arrivals), a deadline, workers, bursts and load. Cells in which
fewer than 3 % of the requests could be in time are drawn again. `deadline` meets the same requests
as every static model that no other beats, `fastest`, `mdinference`, `mdinference+queue` and
`cnnselect`.
"""

from __future__ import annotations

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import NormalDist
from typing import Literal, NamedTuple

import numpy as np

from edgewise.network.capacity import Recorded
from edgewise.network.catalogue import Carried, resolve
from edgewise.network.link import Network, Pair
from edgewise.network.link import Path as Route
from edgewise.records import Profile
from edgewise.selection.engine import queueing
from edgewise.selection.profiles.sources import load as profiles
from edgewise.selection.profiles.table import LEVELS, Floats, ProfileTable, table
from edgewise.selection.workload.arrivals import parse as arrivals
from edgewise.selection.workload.setup import Setup, block
from smoke import shortened

OTHERS = ("fastest", "mdinference", "mdinference+queue", "cnnselect")
LINKS = ("wifi", "lte", "3g", "5g-low-band", "link:campus", "link:home")
NORMAL = np.array([NormalDist().inv_cdf(level) for level in np.clip(LEVELS, 1e-6, 1 - 1e-6)])


class Cell(NamedTuple):
    setup: Setup
    sla_ms: float
    load: queueing.Load
    name: str


class Asked(NamedTuple):
    requests: int
    discipline: Literal["fcfs", "edf"]


class Result(NamedTuple):
    name: str
    kind: str
    deadline: float
    best: float
    best_name: str


def spread(mean_ms: float, kind: str, width: float, factor: float, share: float) -> Floats | None:
    """Quantiles of a service, None: a normal."""
    if kind == "normal":
        return None
    if kind == "lognormal":
        return np.asarray(mean_ms * np.exp(2 * width * NORMAL))
    if kind == "two lengths":
        shorter = 1 - share
        lengths = np.where(shorter > LEVELS, 1.0, factor)
        return np.maximum.accumulate(mean_ms * lengths * (1 + 0.02 * NORMAL))
    return np.asarray(mean_ms * 0.7 * (1 - LEVELS) ** (-1 / (2.2 + 3 * width)))


def models(rng: np.random.Generator) -> tuple[ProfileTable, str]:
    base = str(rng.choice(["p2", "c5", "pixel3", "random", "random", "random"]))
    if base == "random":
        count = int(rng.integers(3, 13))
        means_ms = np.sort(np.exp(rng.uniform(np.log(2), np.log(300), count)))
        accuracy = np.sort(rng.uniform(35, 90, count)) + rng.normal(0, 4, count)
        known = [
            (f"m{i}", float(accuracy[i].clip(5, 97)), float(means_ms[i])) for i in range(count)
        ]
    else:
        known = [(p.model, p.accuracy or 0.0, p.mean_ms) for p in profiles(base).table.profiles]
    kind = str(rng.choice(["normal", "lognormal", "two lengths", "two lengths", "heavy"]))
    width, factor = float(rng.uniform(0.01, 0.3)), float(rng.uniform(3, 15))
    share = float(rng.uniform(0.02, 0.2))
    made = []
    for model, points, mean_ms in known:
        times = spread(mean_ms, kind, width, factor, share)
        if times is None:
            made.append(
                Profile(model=model, accuracy=points, mean_ms=mean_ms, std_ms=mean_ms * width)
            )
            continue
        quantiles = tuple(zip(LEVELS.tolist(), times.tolist(), strict=True))
        made.append(
            Profile(
                model=model,
                accuracy=points,
                mean_ms=float(times.mean()),
                std_ms=float(times.std()),
                quantiles_ms=quantiles,
            )
        )
    return table(f"{base}, {kind}", made), kind


def cellular(rng: np.random.Generator) -> Route:
    """Lognormal rates that stay for a while, with outages: downloads of a mean of several medians.
    Both directions fade together, or each on its own beside the outages that they share."""
    steps, step_ms = 6000, 100.0
    held = float(np.exp(-step_ms / rng.choice([300.0, 1000.0, 5000.0])))
    width, share = float(rng.uniform(0.5, 1.2)), float(rng.uniform(0.02, 0.15))
    outage_ms = float(rng.choice([300.0, 1000.0, 3000.0]))
    ends, begins = step_ms / outage_ms, step_ms / outage_ms * share / (1 - share)
    draws = rng.random(steps)
    out = np.zeros(steps, dtype=bool)
    for step in range(1, steps):
        out[step] = draws[step] < (1 - ends if out[step - 1] else begins)
    rates = []
    for median_mbps in rng.uniform([3, 5], [20, 40]):
        level = rng.standard_normal(steps)
        for step in range(1, steps):
            level[step] = held * level[step - 1] + (1 - held**2) ** 0.5 * level[step]
        rates.append(np.where(out, 0.0, median_mbps * np.exp(width * level)))
    edges_ms = step_ms * np.arange(steps + 1)
    down = Recorded(edges_ms, rates[1])
    up = down if rng.random() < 0.3 else Recorded(edges_ms, rates[0])
    payload, reply = float(rng.choice([2e4, 1e5])), float(rng.choice([1e3, 2e4]))
    rtt_ms = float(rng.uniform(20, 80))
    return Route("cellular", up, down, rtt_ms, rtt_ms / 20, 0.0, 0.0, payload, reply)


def network(
    rng: np.random.Generator, rate: float, traces: list[Path], only: str | None
) -> tuple[Network, str]:
    kinds = ["trace"] * 3 * bool(traces) + ["pair", "link", "cellular"]
    kind = only or str(rng.choice(kinds))
    if kind == "link":
        name = str(rng.choice(LINKS))
        return resolve(name), name
    if kind == "pair":
        mean_ms = float(np.exp(rng.uniform(np.log(10), np.log(300))))
        pair = Pair("pair", mean_ms, mean_ms * float(rng.uniform(0, 1)))
        return pair, f"pair {pair.mean_ms:.0f},{pair.std_ms:.0f}"
    if kind == "cellular":
        found, name = cellular(rng), kind
    else:
        file = traces[int(rng.integers(len(traces)))]
        sizes = Carried(payload_bytes=float(rng.choice([2e4, 1e5])))
        traced, name = resolve(str(file), sizes), file.name
        assert isinstance(traced, Route)
        found = traced
    pace_ms = 1000.0 if rng.random() < 0.6 else 1000 / rate
    return replace(found, spacing_ms=pace_ms), f"{name} at {pace_ms:.0f} ms"


def draw(
    number: int, seed: int, traces: list[Path], only: str | None, asked: Asked
) -> tuple[Cell, str]:
    rng = np.random.default_rng([seed, number])
    while True:
        source, kind = models(rng)
        workers, cv = int(rng.choice([1, 4])), float(rng.choice([1, 4]))
        busy = float(rng.choice([0.1, 0.3, 0.8, 1.2, 2]))
        rate = busy * workers * 1000 / float(source.mean_ms.min())
        route, where = network(rng, rate, traces, only)
        sla_ms = float(rng.choice([100, 200, 300, 400, 600, 1000]))
        setup = Setup(
            source, route, isinstance(route, Pair), asked.requests, int(rng.integers(100))
        )
        left_ms = block(setup, sla_ms, 0, 4000).left_ms
        if (left_ms > np.median(source.quantiles_ms, axis=1).min()).mean() > 0.03:
            break
    name = f"{source.name}; {where}; {sla_ms:g} ms, {workers} worker(s), cv {cv:g}, load {busy:g}"
    load = queueing.Load(arrivals(f"gamma:{rate},{cv}"), workers, asked.discipline)
    return Cell(setup, sla_ms, load, name), kind


def measure(number: int, seed: int, traces: list[Path], only: str | None, asked: Asked) -> Result:
    (setup, sla_ms, load, name), kind = draw(number, seed, traces, only, asked)
    models, means_ms = setup.table.models, setup.table.mean_ms
    # Models come best first: one that is no faster than a better one is beaten by it.
    kept = [m for at, m in enumerate(models) if (means_ms[:at] > means_ms[at]).all()]

    def effective(policy: str) -> float:
        return queueing.run(setup, queueing.parse(policy), sla_ms, load).effective_accuracy

    others = [*(f"static:{model}" for model in kept), *OTHERS]
    best, best_name = max((effective(policy), policy) for policy in others)
    return Result(name, kind, effective("deadline"), best, best_name)


def main() -> None:
    shortened("--cells", "1", "--requests", "3000")
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("traces", nargs="?", type=Path, help="a folder of bandwidth traces")
    options.add_argument("--cells", type=int, default=100)
    options.add_argument("--from", dest="first", type=int, default=0, help="the first cell")
    options.add_argument("--seed", type=int, default=17)
    options.add_argument("--requests", type=int, default=30_000)
    options.add_argument("--discipline", choices=("fcfs", "edf"), default="fcfs")
    options.add_argument("--only", choices=("pair", "link", "cellular", "trace"))
    asked = options.parse_args()
    files = sorted(asked.traces.rglob("*")) if asked.traces else []
    traces = [file for file in files if file.is_file() and "LICEN" not in file.name]
    numbers = range(asked.first, asked.first + asked.cells)
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 2)) as pool:
        work = partial(
            measure, seed=asked.seed, traces=traces, only=asked.only,
            asked=Asked(asked.requests, asked.discipline),
        )  # fmt: skip
        results = list(pool.map(work, numbers, chunksize=2))
    for kind in ("", "normal", "lognormal", "two lengths", "heavy"):
        ahead = np.array([r.deadline - r.best for r in results if kind in ("", r.kind)])
        if len(ahead):
            print(
                f"{kind or 'all':12} {len(ahead):4} cells: deadline − best of all others "
                f"{ahead.mean():+.2f} in the mean, least {ahead.min():+.2f}; "
                f"behind by more than 0.1 in {(ahead < -0.1).sum()}, "
                f"than 0.5 in {(ahead < -0.5).sum()}"
            )
    print("the ten cells furthest behind:")
    for r in sorted(results, key=lambda r: r.deadline - r.best)[:10]:
        print(
            f"  {r.deadline - r.best:+.2f}  {r.deadline:.2f}, {r.best_name} {r.best:.2f}: {r.name}"
        )


if __name__ == "__main__":
    main()
