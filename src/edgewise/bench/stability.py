"""Whether a measurement can be leant on: stable, noisy (spread) or drifting (trend).

A trend is judged over processes, or over blocks of runs that are long enough to be nearly
independent: consecutive runs resemble each other, and a test that takes them for independent sees
trends everywhere.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence

from edgewise.intervals import student_quantile
from edgewise.records import Stability

#: Noisy: the medians of the processes differ by more (standard deviation), or the middle half of
#: a process's runs spans more of its median (a standard deviation of about 10 %, as in pyperf).
BETWEEN = 0.05
WITHIN = 0.15
#: Noisy: waited more than this part of the time for a CPU.
WAITING = 0.10
#: Drifting: a change over a process of at least this, different from 0 at this level over
#: processes; or a change over all processes, each slower (or each faster) than the one before.
DRIFT = 0.03
DRIFT_CONFIDENCE = 0.99
DRIFT_OVER_PROCESSES = 0.05
#: With fewer than three processes each must show the trend by itself: a larger change, and blocks
#: in an order that chance gives one time in a thousand (Kendall's S of 10 blocks at least 35).
DRIFT_ALONE = 0.10
_BLOCKS = 10
_KENDALL = 35


def judge(
    processes: Sequence[Sequence[float]], wait_share: float | None = None
) -> tuple[Stability, str]:
    """The verdict on the timed samples of each process, in the order they ran, and why.

    `wait_share`: the part of the time that they waited for a CPU, None where it is not known. What
    waits much is noisy however even its times look: they are those of a machine that is shared.
    """
    trend = _trend(processes)
    if trend is not None:
        return "drifting", trend
    if wait_share is not None and wait_share > WAITING:
        return "noisy", f"waited {wait_share:.0%} of the time for a CPU: others use this machine"
    between = _between(processes)
    within = statistics.median(_middle_half(process) for process in processes)
    words = f"processes differ by {between:.1%}, the middle half of runs by {within:.1%}"
    if between > BETWEEN or within > WITHIN:
        return "noisy", words
    return "stable", words


def _between(processes: Sequence[Sequence[float]]) -> float:
    """Standard deviation of the processes' medians, relative."""
    medians = [math.log(statistics.median(process)) for process in processes]
    return statistics.stdev(medians) if len(medians) > 1 else 0.0


def _middle_half(samples: Sequence[float]) -> float:
    """Interquartile range over median."""
    if len(samples) < 4:
        return 0.0
    low, middle, high = statistics.quantiles(samples, n=4)
    return (high - low) / middle


def _trend(processes: Sequence[Sequence[float]]) -> str | None:
    """The trend in words, None where there is none to speak of."""
    blocks = [_block_medians(process) for process in processes if len(process) >= 2 * _BLOCKS]
    changes = [_change(each) for each in blocks]
    if len(changes) >= 3:
        mean = statistics.fmean(changes)
        error = statistics.stdev(changes) / math.sqrt(len(changes))
        sure = abs(mean) > student_quantile(DRIFT_CONFIDENCE, len(changes) - 1) * error
        if sure and abs(mean) >= DRIFT:
            return f"runs change by {mean:+.1%} within a process"
    elif changes and _all_alone(blocks, changes):
        return f"runs change by {statistics.fmean(changes):+.1%} within a process"
    return _trend_over(processes)


def _all_alone(blocks: Sequence[Sequence[float]], changes: Sequence[float]) -> bool:
    scores = [_kendall(each) for each in blocks]
    one_way = min(scores) >= _KENDALL or max(scores) <= -_KENDALL
    return one_way and min(map(abs, changes)) >= DRIFT_ALONE


def _trend_over(processes: Sequence[Sequence[float]]) -> str | None:
    medians = [statistics.median(process) for process in processes]
    if len(medians) < 5:
        return None
    steps = list(itertools.pairwise(medians))
    one_way = all(a < b for a, b in steps) or all(a > b for a, b in steps)
    change = medians[-1] / medians[0] - 1
    if one_way and abs(change) >= DRIFT_OVER_PROCESSES:
        return f"each process differs from the one before, {change:+.1%} in all"
    return None


def _block_medians(samples: Sequence[float]) -> list[float]:
    """Logarithms of the medians of ten equal parts."""
    edges = [round(index * len(samples) / _BLOCKS) for index in range(_BLOCKS + 1)]
    return [math.log(statistics.median(samples[a:b])) for a, b in itertools.pairwise(edges)]


def _change(blocks: Sequence[float]) -> float:
    """Relative change from the first block to the last, by the Theil-Sen slope."""
    slopes = [
        (blocks[j] - blocks[i]) / (j - i) for i, j in itertools.combinations(range(len(blocks)), 2)
    ]
    return math.expm1(statistics.median(slopes) * (len(blocks) - 1))


def _kendall(blocks: Sequence[float]) -> int:
    """Pairs in rising order less pairs in falling order."""
    return sum((b > a) - (b < a) for a, b in itertools.combinations(blocks, 2))
