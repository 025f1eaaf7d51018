"""Distributions, intervals and comparisons, against known values and simulated truth."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgewise.bench import statistics
from edgewise.bench.statistics import compare, compare_processes, distribution
from edgewise.errors import UsageError
from edgewise.records import Measurement, Sample, Target


@pytest.mark.parametrize(
    ("confidence", "degrees", "expected"),
    [(0.95, 1, 12.706), (0.95, 2, 4.303), (0.95, 4, 2.776), (0.95, 9, 2.262), (0.95, 30, 2.042),
     (0.98, 4, 3.747), (0.98, 5, 3.365), (0.99, 1, 63.657), (0.95, 200, 1.972)],
)  # fmt: skip
def test_student_against_the_printed_tables(
    confidence: float, degrees: int, expected: float
) -> None:
    assert statistics.student_quantile(confidence, degrees) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(
    ("count", "given"),
    [(63, []), (64, ["p90"]), (128, ["p90", "p95"]), (662, ["p90", "p95", "p99"])],
)
def test_quantiles_need_their_samples(count: int, given: list[str]) -> None:
    found = distribution([list(range(1, count + 1))])
    assert [name for name in ("p90", "p95", "p99") if getattr(found, name) is not None] == given


def test_distribution_in_short() -> None:
    found = distribution([[1.0, 2.0, 3.0], [2.0, 3.0, 4.0]])
    assert (found.n, found.min, found.max, found.p50, found.mean) == (6, 1, 4, 2.5, 2.5)
    assert found.ci95_low is not None and found.ci95_high is not None
    assert found.ci95_low <= 2.5 <= found.ci95_high


def test_one_process_has_no_interval() -> None:
    found = distribution([[1.0, 2.0, 3.0]])
    assert found.ci95_low is found.ci95_high is None
    assert distribution([[5.0]]).std is None


def test_nothing_measured() -> None:
    assert distribution([[]]).p50 is None


def test_interval_holds_the_median_even_when_one_process_is_far_off() -> None:
    found = distribution([[1.0] * 50] * 9 + [[9.0] * 50])
    assert found.p50 is not None and found.ci95_low is not None
    assert found.ci95_low <= found.p50


def noisy_processes(
    rng: np.random.Generator, rounds: int, shared: np.ndarray, lag1: float
) -> dict[int, list[float]]:
    """AR(1) runs, processes that differ by 1 %, rounds that share 2 %."""
    state = rng.normal(0, 0.05, rounds)
    runs = []
    for _ in range(200):
        state = lag1 * state + rng.normal(0, 0.05 * math.sqrt(1 - lag1**2), rounds)
        runs.append(state)
    logs = np.array(runs).T + rng.normal(0, 0.01, (rounds, 1)) + shared[:, None]
    return {index: list(np.exp(row)) for index, row in enumerate(logs)}


@pytest.mark.parametrize("lag1", [0.75, 0.96])
def test_interval_covers_the_truth(lag1: float) -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(150):
        found = noisy_processes(rng, 5, rng.normal(0, 0.02, 5), lag1)
        low, high = statistics.median_interval([float(np.median(p)) for p in found.values()])
        assert low is not None and high is not None
        held += low <= 1 <= high
    assert held >= 0.90 * 150


@pytest.mark.parametrize("rounds", [5, 12])
def test_the_same_is_rarely_called_different(rounds: int) -> None:
    rng = np.random.default_rng(4)
    different = 0
    for _ in range(100):
        shared = rng.normal(0, 0.02, rounds)
        a, b = (noisy_processes(rng, rounds, shared, 0.75) for _ in range(2))
        different += compare_processes(a, b).verdict != "can't tell"
    assert different <= 5


def test_a_slow_down_of_3_percent_is_found() -> None:
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(50):
        shared = rng.normal(0, 0.02, 12)
        a, b = (noisy_processes(rng, 12, shared, 0.75) for _ in range(2))
        slower = {number: [ms * 1.03 for ms in samples] for number, samples in b.items()}
        found += compare_processes(a, slower).verdict == "slower"
    assert found >= 40


def test_one_disturbed_round_hides_nothing() -> None:
    a = {number: [1 + number / 1000] * 9 for number in range(12)}
    b = {number: [ms * 1.03 + number / 5000 for ms in samples] for number, samples in a.items()}
    b[5] = [7.0] * 9
    found = compare_processes(a, b)
    assert (found.verdict, found.pairs) == ("slower", 12)
    assert found.ratio == pytest.approx(1.03, abs=0.005)


def test_faster_is_the_mirror_of_slower() -> None:
    rng = np.random.default_rng(6)
    a = {n: list(rng.normal(1.0, 0.001, 9)) for n in range(6)}
    b = {n: list(rng.normal(1.1, 0.001, 9)) for n in range(6)}
    there, back = compare_processes(a, b), compare_processes(b, a)
    assert (there.verdict, back.verdict) == ("slower", "faster")
    assert there.ratio == pytest.approx(1 / back.ratio)


def test_processes_of_different_rounds_are_not_paired() -> None:
    rng = np.random.default_rng(7)
    a = {n: list(rng.normal(1.0, 0.01, 9)) for n in range(4)}
    b = {n: list(rng.normal(1.2, 0.01, 9)) for n in range(6)}
    found = compare_processes(a, b)
    assert (found.verdict, found.pairs) == ("slower", 0)


def test_signed_ranks_against_the_printed_table() -> None:
    # Critical values of the two-sided test at 5 %: n=6: 0, n=8: 3, n=10: 8, n=12: 13, n=20: 52.
    for count, critical in ((6, 0), (8, 3), (10, 8), (12, 13), (20, 52)):
        assert statistics._rank_sums_below(0.025, count) == critical + 1


def test_too_few_ranks_reach_everywhere() -> None:
    centre, low, high = statistics.signed_rank_interval([1.0, 2.0, 3.0], 0.98)
    assert (centre, low, high) == (2.0, -math.inf, math.inf)


def test_one_process_cannot_be_compared() -> None:
    with pytest.raises(UsageError, match="at least two processes"):
        compare_processes({0: [1.0]}, {0: [1.0]})


def test_measurements_are_compared_by_their_timed_samples() -> None:
    def measured(ms: float) -> Measurement:
        timed = [
            Sample(process=p, phase="timed", index=i, ms=ms + p / 1000)
            for p in range(3)
            for i in (0, 1)
        ]
        warm = Sample(process=0, phase="warmup", index=0, ms=1e9)
        return Measurement(model="m", sha256=None, target=Target(), samples=(warm, *timed))

    assert compare(measured(1), measured(2)).ratio == pytest.approx(2, rel=0.01)
