"""The scheduler that serves: against first come first served and the bounds, its promises under
overload, and what it costs per request.

    python benchmarks/bench_scheduling.py [--requests 20000] [--only table|overload|cells|cost]

`table` is the specification's (p2, `artificial`, 250 ms), Poisson and in bursts, one worker and
four. `overload` goes from half to five times the capacity of the fastest model, with services that
vary little (p2) and much. `cells` compares both orders on other profiles, networks and deadlines.
"""

from __future__ import annotations

import argparse
import itertools
import math
import os
import time
from concurrent.futures import ProcessPoolExecutor
from random import Random
from typing import NamedTuple

import numpy as np

from edgewise.network.catalogue import pairs
from edgewise.records import Profile, SimulationRow
from edgewise.selection.engine import queueing
from edgewise.selection.engine.fluid import bound_in_time
from edgewise.selection.engine.queueing import Load
from edgewise.selection.engine.scheduling import Assignment, FamilyPlan, Scheduler, Ticket
from edgewise.selection.policies.deadline import Deadline
from edgewise.selection.profiles.sources import load as profiles
from edgewise.selection.profiles.table import ProfileTable, table
from edgewise.selection.workload.arrivals import parse as arrivals
from edgewise.selection.workload.setup import Setup, generator
from smoke import shortened

PAIRS = pairs()
RATES = (1, 10, 40, 80, 150, 300, 450)
LOADS = (0.5, 1.0, 2.0, 5.0)


def served(of: Setup, text: str, workers: int, order: str, sla_ms: float = 250) -> SimulationRow:
    discipline = "edf" if order == "edf" else "fcfs"
    return queueing.run(of, Deadline(), sla_ms, Load(arrivals(text), workers, discipline))


def effective(row: SimulationRow) -> float:
    return row.effective_accuracy or 0.0


def kept(row: SimulationRow) -> float:
    """Percent in time of what was admitted."""
    admitted = row.requests - (row.refused or 0)
    return 100 * row.attainment * row.requests / max(admitted, 1)


def specification(requests: int) -> None:
    source = profiles("p2").table
    of = Setup(source, PAIRS["artificial"], True, requests, seed=0)
    budgets = 250 - 2 * PAIRS["artificial"].one_way_ms(20_000, generator(7, "network"))
    for workers, cv in itertools.product((1, 4), (1.0, 4.0)):
        print(f"\np2, artificial, 250 ms, {workers} worker(s), gaps of variation {cv:g}")
        print("per s and worker |  fcfs    edf  | in time  fluid | of admitted in time")
        for rate in RATES:
            text = f"gamma:{rate * workers},{cv}"
            first, ours = (served(of, text, workers, order) for order in ("fcfs", "edf"))
            bound = bound_in_time(source, budgets, rate * workers, workers)
            print(
                f"{rate:16} | {effective(first):5.1f}  {effective(ours):5.1f}  |"
                f" {bound:5.1f}   {ours.fluid_bound or 0:5.1f}  | {kept(ours):7.2f}",
                flush=True,
            )


def spread() -> ProfileTable:
    """p2 with services that deviate by 30 % of their mean."""
    return table(
        "p2, deviation 30 %",
        [
            Profile(model=p.model, accuracy=p.accuracy, mean_ms=p.mean_ms, std_ms=0.3 * p.mean_ms)
            for p in profiles("p2").table.profiles
        ],
    )


def overload(requests: int) -> None:
    for source, workers in itertools.product((profiles("p2").table, spread()), (1, 4)):
        print(
            f"\n{source.name}, {workers} worker(s), Poisson: load, goodput/s, of admitted in time"
        )
        of = Setup(source, PAIRS["artificial"], True, requests, seed=0)
        capacity = workers * 1000 / float(source.mean_ms.min())
        for factor in LOADS:
            row = served(of, f"poisson:{factor * capacity}", workers, "edf")
            goodput = factor * capacity * row.attainment
            print(
                f"{factor:5} {goodput:8.1f} {kept(row):8.2f} %   effective {effective(row):5.1f}",
                flush=True,
            )


class Cell(NamedTuple):
    profiles: str
    network: str
    sla_ms: float
    workers: int
    cv: float
    load: float
    requests: int


def compare(cell: Cell) -> tuple[Cell, float, float, float]:
    source = profiles(cell.profiles).table
    of = Setup(source, PAIRS[cell.network], True, cell.requests, seed=1)
    rate = cell.load * cell.workers * 1000 / float(source.mean_ms.min())
    text = f"gamma:{rate},{cell.cv}"
    first, ours = (served(of, text, cell.workers, o, cell.sla_ms) for o in ("fcfs", "edf"))
    return cell, effective(first), effective(ours), kept(ours)


def cells(requests: int) -> None:
    axes = itertools.product(
        ("p2", "c5", "pixel3"),
        ("artificial", "home-high-sigma"),
        (100.0, 250.0),
        (1, 4),
        (1.0, 4.0),
        (0.1, 0.8, 2.0, 5.0),
    )
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 2)) as pool:
        found = list(pool.map(compare, (Cell(*each, requests) for each in axes)))
    found = [each for each in found if each[1] > 1]
    print(f"\n{len(found)} cells: edf − fcfs in points, and of the admitted in time, least")
    for load, cv in itertools.product((0.1, 0.8, 2.0, 5.0), (1.0, 4.0)):
        part = [each for each in found if (each[0].load, each[0].cv) == (load, cv)]
        ahead = np.array([each[2] - each[1] for each in part])
        print(
            f"  load {load:3}, variation {cv:g}: mean {ahead.mean():+.2f}, worst "
            f"{ahead.min():+.2f}, best {ahead.max():+.2f}; {min(each[3] for each in part):.2f} %"
        )
    for each in sorted(found, key=lambda one: one[2] - one[1])[:5]:
        print(f"  {each[2] - each[1]:+.2f} {each}")


class Spent(NamedTuple):
    arrive: float
    next: float
    done: float


def scheduler(policy: str) -> Scheduler:
    source = profiles("p2").table
    plan = FamilyPlan("p2", source, queueing.parse(policy), dict.fromkeys(source.models, "local"))
    return Scheduler({"p2": plan}, {"local": 1}, queue_limit=100_000)


def per_request(policy: str, queued: int, n: int) -> Spent:
    """Mean µs of each call, with so many queued all the time."""
    of, random = scheduler(policy), Random(1)
    now, number, spent, running = 0.0, 0, [0.0, 0.0, 0.0], None
    horizon = max(60.0, 8.0 * queued)
    while number < queued + n:
        counted = number >= queued
        now += 3.0 if queued else random.expovariate(1 / 10)
        due = now + random.uniform(horizon, 3 * horizon)
        begin = time.perf_counter()
        of.arrive(Ticket(number, "p2", now, due, due - now), now)
        spent[0] += counted * (time.perf_counter() - begin)
        number += 1
        if running is not None and counted:
            begin = time.perf_counter()
            of.done(running, now, inference_ms=2.0, service_ms=2.5, cold_ms=0.0)
            spent[2] += time.perf_counter() - begin
            running = None
        if running is None:
            begin = time.perf_counter()
            actions = of.next(now)
            spent[1] += counted * (time.perf_counter() - begin)
            running = next((each for each in actions if isinstance(each, Assignment)), None)
        if of.refit_due:
            of.refit()
    return Spent(*(1e6 * each / n for each in spent))


def cost() -> None:
    print("\nµs per request, mean: arrive, next, done")
    per_request("deadline", 0, 300)
    for policy in ("deadline", "mdinference", "mdinference+queue", "cnnselect"):
        for queued in (0, 20, 1000) if policy == "deadline" else (0,):
            spent = per_request(policy, queued, 3000)
            print(
                f"  {policy:18} {queued:5} queued: {spent.arrive:6.1f} {spent.next:6.1f} "
                f"{spent.done:6.1f}   together {math.fsum(spent):6.1f}",
                flush=True,
            )


def main() -> None:
    shortened("--only", "cost", "--requests", "500")
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--requests", type=int, default=20_000)
    options.add_argument("--only", choices=("table", "overload", "cells", "cost"))
    given = options.parse_args()
    if given.only in (None, "cost"):
        cost()
    if given.only in (None, "table"):
        specification(given.requests)
    if given.only in (None, "overload"):
        overload(given.requests)
    if given.only in (None, "cells"):
        cells(given.requests // 2)


if __name__ == "__main__":
    main()
