"""The loops around the runtime's call."""

from __future__ import annotations

import math
import statistics
from array import array
from collections.abc import Callable
from time import perf_counter, perf_counter_ns, sleep

#: Samples kept per process. A model of microseconds makes millions of calls in a second; then
#: every so-manieth call is timed, the others run untimed between them.
CAPACITY = 10_000
#: A warm-up window ends after this many runs and this much time, or after so many runs anyway.
_WINDOW_RUNS = 5
_WINDOW_NS = 20_000_000
_WINDOW_MOST_RUNS = 200
_MOST_WINDOWS = 20
#: Steady: a window is not faster than the one before by more than this.
_STEADY = 0.02


def once(call: Callable[[], object]) -> int:
    """Time of one call, in ns."""
    start = perf_counter_ns()
    call()
    return perf_counter_ns() - start


def warm_up(
    invoke: Callable[[], object], *, runs: int | None, max_ns: int
) -> tuple[list[int], bool]:
    """Run `runs` times, or until the times no longer fall. All times in ns, and: is it steady?

    Steady means that the median of a window is no more than 2 % below that of the window before.
    """
    times: list[int] = []
    if runs is not None:
        return [once(invoke) for _ in range(runs)], True
    before: float | None = None
    stop = perf_counter_ns() + max_ns
    for _ in range(_MOST_WINDOWS):
        window = _window(invoke, stop)
        times += window
        median = statistics.median(window)
        if before is not None and median >= before * (1 - _STEADY):
            return times, True
        before = median
        if perf_counter_ns() >= stop:
            break
    return times, False


def _window(invoke: Callable[[], object], stop: int) -> list[int]:
    begin = perf_counter_ns()
    times = [once(invoke)]
    while len(times) < _WINDOW_MOST_RUNS:
        now = perf_counter_ns()
        if now >= stop or (len(times) >= _WINDOW_RUNS and now - begin >= _WINDOW_NS):
            break
        times.append(once(invoke))
    return times


class Pace:
    """Waits before each call, so that so many begin every second; late ones are not caught up."""

    def __init__(self, rate_hz: float) -> None:
        self._period = 1 / rate_hz
        self._next = 0.0

    def __call__(self) -> None:
        """Wait until the next call may begin."""
        now = perf_counter()
        if now < self._next:
            sleep(self._next - now)
        self._next = max(self._next, now - self._period) + self._period


def repeat(
    invoke: Callable[[], object],
    *,
    seconds: float,
    typical_ns: float,
    wait: Callable[[], None] | None = None,
) -> int:
    """Call for so long, at least once, and say how often. The clock is read about every ms."""
    count, end = 0, perf_counter() + seconds
    between = range(1 if wait else max(1, int(1e6 / max(typical_ns, 1.0))))
    while count == 0 or perf_counter() < end:
        for _ in between:
            if wait is not None:
                wait()
            invoke()
        count += len(between)
    return count


def timed_runs(
    invoke: Callable[[], object],
    *,
    runs: int,
    min_ns: int,
    max_ns: int,
    typical_ns: float,
    wait: Callable[[], None] | None = None,
) -> tuple[array[int], int]:
    """Time calls until there are `runs` of them and `min_ns` have passed; `max_ns` wins.

    `typical_ns` is about how long a call takes; `wait` comes before each call. Returns the times in
    ns, and of how many calls each stands for one (1: all were timed). At least one call is made.
    """
    every = max(1, math.ceil(min(min_ns, max_ns) / max(typical_ns, 1.0) / CAPACITY))
    untimed = range(every - 1 if wait is None else 0)
    capacity = max(runs, CAPACITY)
    times = array("q", bytes(8 * capacity))
    clock = perf_counter_ns  # a local name: one look-up less between the two readings
    count = 0
    now = clock()
    earliest, latest = now + min_ns, now + max_ns
    while True:
        for _ in untimed:
            invoke()
        if wait is not None:
            wait()
        start = clock()
        invoke()
        now = clock()
        times[count] = now - start
        count += 1
        if now >= latest or count == capacity or (count >= runs and now >= earliest):
            return times[:count], len(untimed) + 1
