"""`links measure` against links that are known: how many of its 95 % intervals hold the truth.

python benchmarks/bench_links.py [--runs N] [--only NAME,…]

A service behind the shaper, measured as anybody would measure his own link. `stalls` is a link that
loses packets as its users see it: a quarter of a second in which nothing passes, every two seconds
or so; its truth is the mean rate. Service, shaper and client share this machine, so all of them
take a real-time priority where that is allowed: what other work takes is no property of a link.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

import edgewise.demo
from edgewise.network import catalogue
from edgewise.network.capacity import Constant, Recorded
from edgewise.network.measured import Estimate
from edgewise.network.shaper import LOOPBACK, ShaperProcess, shape_of
from edgewise.network.shaping.pacing import Shape
from edgewise.placement.own_link import measure_link
from edgewise.placement.probing import Effort
from served import serving
from smoke import SMOKE, fewer, shortened

FAMILY = Path(edgewise.demo.__file__).parent / "data" / "digits" / "family.toml"
NAMED = ("ethernet", "wifi", "campus", "home", "lte", "3g")
PRIORITY = 5


def stalling(mbps: float, seed: int = 1) -> Recorded:
    """A minute at a rate, with stalls of 250 ms, on average two seconds apart."""
    rng = np.random.default_rng(seed)
    edges, rates = [0.0], []
    while edges[-1] < 60_000:
        edges += [edges[-1] + rng.exponential(2000.0) + 1, 0.0]
        edges[-1] = edges[-2] + 250
        rates += [mbps, 0.0]
    return Recorded(np.array(edges), np.array(rates))


def shapes() -> dict[str, Shape]:
    """All links, by name."""
    more = {
        "asymmetric": Shape(Constant(2), Constant(200), 30, 5),
        "jittery": Shape(Constant(20), Constant(40), 60, 30),
        "stalls": Shape(stalling(20, 1), stalling(40, 2), 50, 5),
    }
    return {**{name: shape_of(catalogue.links()[name]) for name in NAMED}, **more}


def holds(name: str, found: Estimate | None, truth: float) -> tuple[bool, str]:
    if found is None:
        return False, f"{name} not known"
    kept = found.low <= truth <= found.high
    text = f"{name} {truth:.4g}: {found.value:.4g} [{found.low:.4g}, {found.high:.4g}]"
    return kept, text + ("" if kept else " MISSED")


def main() -> None:
    shortened("--runs", "1", "--only", "wifi")
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--only", default="")
    chosen = parser.parse_args()
    if not SMOKE:
        with contextlib.suppress(OSError, AttributeError):
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    effort = fewer(Effort(), Effort(stream_ms=30, seconds=0.2, pings=8))
    only = chosen.only.split(",") if chosen.only else list(shapes())
    kept: list[bool] = []
    with serving(FAMILY) as url:
        port = urlsplit(url).port or 80
        for name in only:
            for run in range(chosen.runs):
                shape = shapes()[name]
                shape = Shape(**{**vars(shape), "seed": run, "trace_ms": run * 7_000.0})
                begun = time.monotonic()
                with ShaperProcess((LOOPBACK, port), shape) as shaper:
                    found = measure_link(f"http://{LOOPBACK}:{shaper.port}", effort=effort).measured
                lines = [
                    holds("up", found.uplink_mbps, shape.uplink.mean_mbps),
                    holds("down", found.downlink_mbps, shape.downlink.mean_mbps),
                    holds("rtt", found.rtt_ms, shape.rtt_ms),
                ]
                kept += [line[0] for line in lines]
                text = "; ".join(line[1] for line in lines)
                print(f"{name:11} {text}  {time.monotonic() - begun:.1f} s", flush=True)
    print(f"{sum(kept)} of {len(kept)} intervals hold the truth, {len(kept) // 3} runs")


if __name__ == "__main__":
    main()
