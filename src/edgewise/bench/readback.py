"""What a worker process really used, against what was asked: threads, CPUs, time without pause.

A setting without effect is worse than an error: its figures look like those of the setting.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgewise.devices.cores import parse_list
from edgewise.devices.job import Report
from edgewise.errors import UsageError
from edgewise.records import Context, Target

_PROC = Path("/proc/self")
#: A thread that ran for this part of the busiest one's time computed too.
_BUSY = 0.1
#: A call that takes so many times the median, and so long, was no call's own time.
_STILL_TIMES, _STILL_MS = 20.0, 250.0
#: Names in `Report.used`.
THREADS, BUSY, CPUS = "threads", "busy_threads", "cpus"


def threads() -> dict[str, int]:
    """The CPU time in ns of every thread of this process, by its id; empty where not told."""
    found = {}
    for task in (_PROC / "task").glob("*"):
        try:
            found[task.name] = int((task / "schedstat").read_text().split()[0])
        except (OSError, IndexError, ValueError):
            continue
    return found


def used(before: dict[str, int]) -> dict[str, str]:
    """How many threads computed since `before`, and which CPUs this process may use."""
    told = {}
    spent = [now - before.get(task, 0) for task, now in threads().items()]
    if before and spent and max(spent) > 0:
        told[BUSY] = str(sum(each >= _BUSY * max(spent) for each in spent))
    try:
        lines = (_PROC / "status").read_text().splitlines()
    except OSError:
        return told
    for line in lines:
        if line.startswith("Cpus_allowed_list:"):
            told[CPUS] = line.partition(":")[2].strip()
    return told


def stood_still_ms(timed_ns: Sequence[int], *, away_ns: int, paced: bool) -> float:
    """How long the process stood still, in ms; 0 where it did not.

    `away_ns`: the time in which it neither computed nor waited for a CPU. A call that took far
    longer than others tells it (also beside threads, whose computing hides what is away), or time
    away that no call of a runtime takes.
    """
    longest_ms = max(timed_ns) / 1e6
    median_ms = statistics.median(timed_ns) / 1e6
    if longest_ms >= max(_STILL_MS, _STILL_TIMES * median_ms) and away_ns / 1e6 > longest_ms / 2:
        return longest_ms - median_ms
    if not paced and median_ms < _STILL_MS and away_ns / 1e6 >= 2 * _STILL_MS:
        return away_ns / 1e6
    return 0.0


def notes(target: Target, context: Context, timed: Sequence[Report]) -> Iterator[str]:
    """Settings that had no effect, or cannot have a good one."""
    asked = target.threads or 1
    cpus = target.affinity or context.affinity
    cores = len(cpus) if cpus else context.cores
    if cores is not None and asked > cores:
        yield f"{asked} threads on {cores} CPUs: more than can run at the same time"
    for report in timed[:1]:
        said = report.used.get(THREADS)
        if said is not None and said.isdecimal() and int(said) not in (0, asked):
            yield f"asked for {asked} threads; {target.runtime} says that it uses {said}"
    busy = [int(report.used[BUSY]) for report in timed if BUSY in report.used]
    if asked > 1 and busy and max(busy) == 1:
        yield f"asked for {asked} threads; one computed: the model or the runtime does not divide"
    allowed = next((report.used[CPUS] for report in timed if CPUS in report.used), None)
    if target.affinity is not None and allowed is not None and _differs(target.affinity, allowed):
        asked_cpus = ",".join(map(str, target.affinity))
        yield f"asked for CPUs {asked_cpus}; the process was on {allowed}"


def _differs(asked: Sequence[int], allowed: str) -> bool:
    try:
        return set(parse_list(allowed)) != set(asked)
    except UsageError:
        return True
