"""Whether the shortest deadline that `recommend` names holds in other runs.

    python benchmarks/bench_recommend.py [--requests 10000] [--runs 20] [--cells 4] [--smoke]

Each cell asks for the shortest deadline that meets an objective, and then runs what is recommended
on other requests, and on other profiles where those are samples (`variations.redrawn`). The service
has to meet the objective in 19 of 20.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import NamedTuple

from edgewise.network.catalogue import pairs, resolve
from edgewise.network.link import Network, Pair
from edgewise.selection.engine.queueing import Load, parse, run
from edgewise.selection.policies.published import Static
from edgewise.selection.profiles.sources import load as profiles
from edgewise.selection.recommend import Objective, recommend
from edgewise.selection.variations import redrawn
from edgewise.selection.workload.arrivals import parse as arrivals
from edgewise.selection.workload.setup import Setup
from smoke import shortened


class Cell(NamedTuple):
    profiles: str
    network: str
    arrivals: str
    workers: int
    attainment: float
    accuracy: float


CELLS = (
    Cell("p2", "campus", "poisson:60", 2, 0.99, 70.0),
    Cell("c5", "home", "poisson:20", 2, 0.95, 65.0),
    Cell("p2", "artificial", "gamma:40,4", 4, 0.95, 70.0),
    Cell("pixel3", "link:campus", "poisson:30", 2, 0.9, 60.0),
)


def network(name: str) -> Network:
    return pairs()[name] if name in pairs() else resolve(name)


def held(cell: Cell, requests: int, runs: int) -> tuple[float, str, int]:
    """The deadline, what is to run, and in how many other runs it met the objective."""
    link = network(cell.network)
    source = profiles(cell.profiles).table
    setup = Setup(source, link, isinstance(link, Pair), requests, seed=0)
    asked = Objective(None, cell.attainment, cell.accuracy)
    load = Load(arrivals(cell.arrivals), cell.workers)
    found = recommend(setup, asked, load)
    policy = parse(found.policy)
    table = source.without(found.leave_out)
    if isinstance(policy, Static):
        table = source
    met = 0
    for number in range(runs):
        other = redrawn(replace(setup, table=table, seed=7), number + 1)
        row = run(other, policy, found.sla_ms, replace(load, discipline="edf"))
        met += asked.shortfall(row) == 0
    return found.sla_ms, found.policy, met


def main() -> None:
    shortened("--cells", "1", "--requests", "600", "--runs", "2")
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--requests", type=int, default=10_000)
    options.add_argument("--runs", type=int, default=20)
    options.add_argument("--cells", type=int, default=len(CELLS))
    asked = options.parse_args()
    for cell in CELLS[: asked.cells]:
        sla_ms, policy, met = held(cell, asked.requests, asked.runs)
        print(
            f"{', '.join(map(str, cell))}: {sla_ms:g} ms, {policy}: {met} of {asked.runs}",
            flush=True,
        )


if __name__ == "__main__":
    main()
