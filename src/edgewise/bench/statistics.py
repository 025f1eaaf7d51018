"""Distributions, intervals and comparisons that hold for runs which are not independent.

Consecutive runs of one process resemble each other (their lag-1 autocorrelation is often above
0.75), and processes differ from each other for as long as they live (memory layout, clock,
neighbours). So the process is the unit: its median is one observation, and intervals come from the
spread of those.

With five processes a hierarchical bootstrap of them is too narrow: resampling k values reaches only
(k − 1)/k of their variance, and its percentiles are a normal's where a t distribution's are due (at
k = 5 it covers 80 to 85 % instead of 95 %). Corrected for both, it becomes Student's interval
over the logarithms of the process medians, which is used here directly. `benchmarks/` shows the
coverage by simulation.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from msgspec import structs

from edgewise.errors import UsageError
from edgewise.intervals import described, of_mean, student_quantile
from edgewise.records import Distribution, Measurement

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

#: Level of `compare`. Above 95 % so that what is called different by chance stays below 5 %
#: with room to spare: of 200 comparisons of a model with itself 4 are expected, 10 allowed.
COMPARE_CONFIDENCE = 0.98
#: Rounds from which ranks decide. One disturbed process then widens nothing, as it does Student's
#: interval; with fewer, ranks cannot reach the level (the surest order of 7 has 1.6 %).
RANKED_FROM = 8

Verdict = Literal["faster", "slower", "can't tell"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Of b against a: `ratio` above 1 means that b takes longer. Interval at `COMPARE_CONFIDENCE`.

    `pairs` is the number of rounds in which both ran, 0 where processes were not paired.
    """

    ratio: float
    low: float
    high: float
    verdict: Verdict
    pairs: int


def distribution(processes: Sequence[Sequence[float]]) -> Distribution:
    """All samples of all processes in short; the interval is of the median, over processes.

    A quantile without enough samples is None, and so is the interval of a single process.
    """
    import numpy as np

    if not any(len(process) for process in processes):
        return Distribution(n=0)
    found = described(np.concatenate([np.asarray(process, float) for process in processes]))
    low, high = median_interval([statistics.median(process) for process in processes])
    if low is None or high is None or found.p50 is None:
        return found
    return structs.replace(found, ci95_low=min(low, found.p50), ci95_high=max(high, found.p50))


def median_interval(process_medians: Sequence[float]) -> tuple[float | None, float | None]:
    """95 % interval of the median latency: Student's, over the logarithms of the process medians.

    (None, None) for fewer than two processes: nothing then tells how much they differ.
    """
    if len(process_medians) < 2:
        return None, None
    low, high = of_mean([math.log(median) for median in process_medians])
    return math.exp(low), math.exp(high)


def compare(a: Measurement, b: Measurement) -> Comparison:
    """Whether two measurements differ; paired by round where both have the same processes.

    Raises:
        UsageError: one has fewer than two processes with samples.
    """
    return compare_processes(timed_by_process(a), timed_by_process(b))


def compare_processes(a: dict[int, Sequence[float]], b: dict[int, Sequence[float]]) -> Comparison:
    """The same, of timed samples by number of the process. Equal numbers ran in the same round.

    Rounds share what the machine did at that time, so their differences vary less than the
    processes do; unpaired, the spreads of both add up. From `RANKED_FROM` rounds on the interval
    is that of the signed ranks, below it Student's. Ten rounds or more find a difference of 3 %
    on a machine that others use too.

    Raises:
        UsageError: one has fewer than two processes.
    """
    if min(len(a), len(b)) < 2:
        raise UsageError("a comparison needs at least two processes of each")
    log_a = {number: math.log(statistics.median(samples)) for number, samples in a.items()}
    log_b = {number: math.log(statistics.median(samples)) for number, samples in b.items()}
    if log_a.keys() != log_b.keys():
        return _verdict(*_welch(list(log_a.values()), list(log_b.values())), pairs=0)
    differences = [log_b[number] - log_a[number] for number in log_a]
    if len(differences) >= RANKED_FROM:
        interval = signed_rank_interval(differences, COMPARE_CONFIDENCE)
    else:
        interval = statistics.fmean(differences), *of_mean(differences, COMPARE_CONFIDENCE)
    return _verdict(*interval, pairs=len(differences))


def timed_by_process(measurement: Measurement) -> dict[int, Sequence[float]]:
    """The timed samples of a measurement in ms, by number of the process."""
    found: dict[int, list[float]] = {}
    for sample in measurement.samples:
        if sample.phase == "timed":
            found.setdefault(sample.process, []).append(sample.ms)
    return dict(found)


def _verdict(centre: float, low: float, high: float, pairs: int) -> Comparison:
    """From an interval of the logarithm of the ratio."""
    verdict: Verdict = "can't tell"
    if low > 0:
        verdict = "slower"
    elif high < 0:
        verdict = "faster"
    return Comparison(math.exp(centre), math.exp(low), math.exp(high), verdict, pairs)


def signed_rank_interval(values: Sequence[float], confidence: float) -> tuple[float, float, float]:
    """Hodges-Lehmann centre, low and high: the interval of Wilcoxon's signed-rank test.

    Exact for symmetric values. The centre is the median of the means of all pairs (each value
    with itself too); the ends are as many means from either end as the ranks allow. Their order
    is never used where the level cannot be reached: then the ends are infinite.
    """
    count = len(values)
    means = sorted((values[i] + values[j]) / 2 for i in range(count) for j in range(i, count))
    cut = _rank_sums_below((1 - confidence) / 2, count)
    if not cut:
        return statistics.median(means), -math.inf, math.inf
    return statistics.median(means), means[cut - 1], means[-cut]


def _rank_sums_below(probability: float, count: int) -> int:
    """How many of the smallest sums of ranks together are no likelier than this."""
    ways = [1]  # of the ranks up to here, subsets by their sum
    for rank in range(1, count + 1):
        ways = [
            (ways[total] if total < len(ways) else 0) + (ways[total - rank] if total >= rank else 0)
            for total in range(len(ways) + rank)
        ]
    allowed, taken, cut = probability * 2**count, 0, 0
    while taken + ways[cut] <= allowed:
        taken += ways[cut]
        cut += 1
    return cut


def _welch(a: Sequence[float], b: Sequence[float]) -> tuple[float, float, float]:
    """Difference of means b − a and its interval, for unequal variances (Welch 1947)."""
    parts = [statistics.variance(values) / len(values) for values in (a, b)]
    centre = statistics.fmean(b) - statistics.fmean(a)
    if not sum(parts):
        return centre, centre, centre
    degrees = sum(parts) ** 2 / sum(
        part**2 / (len(values) - 1) for part, values in zip(parts, (a, b), strict=True)
    )
    reach = student_quantile(COMPARE_CONFIDENCE, max(1, int(degrees))) * math.sqrt(sum(parts))
    return centre, centre - reach, centre + reach
