"""What the listeners take of the event loop per request: metrics, status page, both logs.

A request is one `Arrived` and one `Answered`, made here too; the budget is 10 µs in all. The last
line is the longest that the loop had to wait while the logs' threads wrote what was put away.
"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from edgewise.protocol.messages import InferResult, RequestTiming, Tensor
from edgewise.server.events import Answered, Arrived, Event
from edgewise.server.inventory import Inventory, Live, Sources
from edgewise.server.operations.decisions import DecisionLog
from edgewise.server.operations.logs import JsonLog
from edgewise.server.operations.metrics import Metrics
from edgewise.server.operations.tally import Tally
from edgewise.server.status.snapshot import Snapshots
from edgewise.server.status.timeline import Timelines
from smoke import fewer

REQUESTS = fewer(4000, 200)
ROUNDS = fewer(7, 1)
VARIANTS = [f"digits-{size}" for size in range(11)]
ODDS = dict.fromkeys(VARIANTS, 1 / len(VARIANTS))


def main() -> None:
    results = [result(number) for number in range(REQUESTS)]
    tally, timelines, inventory = Tally(), Timelines(), Inventory()
    rows: list[tuple[str, Callable[[Event], None] | None]] = [
        ("making the two events", None),
        ("metrics", tally.listen),
        ("status page", timelines.listen),
        ("workers and memory", inventory.listen),
    ]
    with tempfile.TemporaryDirectory() as folder:
        log = JsonLog(Path(folder) / "log")
        decisions = DecisionLog(f"{folder}/store", "deadline")
        rows += [("JSON log", log.listen), ("decision log", decisions.listen)]
        total = 0.0
        making = best_us(results, lambda event: None)
        for name, listener in rows:
            taken = making if listener is None else best_us(results, listener) - making
            total += taken
            print(f"{name:28s} {taken:6.2f} µs per request")
        print(f"{'together':28s} {total:6.2f} µs per request (budget 10)")
        longest_wait(results, [listener for _, listener in rows if listener])
        log.close()
        decisions.close(60)
    sources = Sources(lambda: Live(0, 0.0, 0), list, 2)
    timed("a scrape", Metrics(tally, inventory, sources).text)
    timed("a snapshot", Snapshots(timelines, inventory, sources).take)


def result(number: int) -> InferResult:
    return InferResult(
        model="digits", family="digits", variant=VARIANTS[number % len(VARIANTS)], accuracy=93.3,
        outputs=(Tensor("p", "FP32", (10,), np.zeros(10, np.float32)),), budget_ms=80.0,
        basis="client", predicted_queue_ms=0.4, queue_ms=0.5 + number % 7, predicted_ms=2.0,
        preprocess_ms=0.7, inference_ms=1.6, cold_ms=0.0, policy="deadline",
        probability=1 / len(VARIANTS), in_time=number % 9 > 0, id=str(number),
    )  # fmt: skip


def tell(each: InferResult, at_ms: float, listeners: list[Callable[[Event], None]]) -> None:
    arrived = Arrived(each.id, "digits", "digits", STATED, at_ms)
    answered = Answered(
        each.id, "digits", "digits", each, ODDS, 100.0, 12.0, 8.0, 3.0, at_ms, 0.4, 2
    )
    for listener in listeners:
        listener(arrived)
        listener(answered)


STATED = RequestTiming(0.0)


def best_us(results: list[InferResult], listener: Callable[[Event], None]) -> float:
    """µs per request of the best round; the logs' threads have time to empty their queues."""
    best = float("inf")
    for number in range(ROUNDS):
        time.sleep(0.5)
        gc.collect()
        start = time.perf_counter()
        for place, each in enumerate(results):
            tell(each, 1000.0 * number + place / 4, [listener])
        best = min(best, time.perf_counter() - start)
    return best / len(results) * 1e6


def longest_wait(results: list[InferResult], listeners: list[Callable[[Event], None]]) -> None:
    """At 2,000 requests per second for 3 s: how long one took, with all that listens to it."""
    taken = []
    due = time.perf_counter()
    for place in range(6000):
        due += 1 / 2000
        while time.perf_counter() < due:
            time.sleep(0.0001)
        start = time.perf_counter()
        tell(results[place % len(results)], time.monotonic() * 1000, listeners)
        taken.append(time.perf_counter() - start)
    names = ("p50", "p99", "p99.9", "max")
    levels = np.quantile(np.array(taken) * 1e6, [0.5, 0.99, 0.999, 1])
    told = ", ".join(f"{name} {us:.0f}" for name, us in zip(names, levels, strict=True))
    print(f"at 2,000/s, µs: {told}")


def timed(name: str, call: Callable[[], object]) -> None:
    start = time.perf_counter()
    call()
    first = time.perf_counter() - start
    start = time.perf_counter()
    call()
    print(f"{name:28s} {first * 1e3:6.2f} ms, again {(time.perf_counter() - start) * 1e3:.2f} ms")


if __name__ == "__main__":
    main()
