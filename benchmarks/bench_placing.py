"""What a computed placement costs, and that its break-even points are where the winner changes.

    python benchmarks/bench_placing.py

A whole table (models × devices × servers × links) in one call; one process, one core.
"""

from __future__ import annotations

from statistics import median
from time import perf_counter

from msgspec.structs import replace

from edgewise.network.catalogue import links
from edgewise.placement import model
from edgewise.placement.model import cases_of, place, table
from edgewise.placement.preprocess import photo
from edgewise.placement.sent import Sent
from edgewise.placement.sides import machine
from edgewise.placement.wire import Usage
from smoke import fewer

REPEATS = fewer(5, 1)
SENT = Sent(photo=photo(4032, 3024))


def main() -> None:
    devices = [machine("pixel3"), machine("pixel3-gpu"), machine("pixel3-nnapi")]
    servers = [machine("p2"), machine("c5")]
    over = list(links().values())
    rows = table(devices, servers, over, SENT)
    seconds = []
    for _ in range(REPEATS):
        started = perf_counter()
        table(devices, servers, over, SENT)
        seconds.append(perf_counter() - started)
    each_us = 1e6 * median(seconds) / len(rows)
    print(f"a table of {len(rows)} rows: {1000 * median(seconds):.0f} ms, {each_us:.0f} µs a row "
          "with break-even points, frontier and words")  # fmt: skip
    print(f"a row without those: {bare_us(devices[0], servers[0], over[3]):.0f} µs")
    points = crossed = 0
    for row in rows[:: max(len(rows) // 40, 1)]:
        even, link = row.break_even.uplink_mbps, links()[row.link]
        if even is None:
            continue
        device = next(one for one in devices if one.name == row.device)
        server = next(one for one in servers if one.name == row.server)
        left, right = (
            place(row.model, device, server, replace(link, uplink_mbps=even * near), SENT).faster
            for near in (1 - 1e-6, 1 + 1e-6)
        )
        points += 1
        crossed += (left, right) == ("device", "cloud")
    print(f"break-even uplinks: {crossed} of {points} have the device left and the cloud right")


def bare_us(device: object, server: object, link: object) -> float:
    cases = cases_of(device, server, SENT)  # type: ignore[arg-type]
    count = 200
    started = perf_counter()
    for _ in range(count):
        for case in cases:
            model._row(case, link, Usage())  # type: ignore[arg-type]
    return 1e6 * (perf_counter() - started) / count / len(cases)


if __name__ == "__main__":
    main()
