"""The queue against formulas and against a plain loop; arrivals; seeds and processes."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgewise.errors import InputError, UsageError
from edgewise.network.link import Pair
from edgewise.records import Profile
from edgewise.selection.engine import queueing
from edgewise.selection.engine.queueing import Load
from edgewise.selection.policies import arrays, kernels
from edgewise.selection.policies.published import MDInference
from edgewise.selection.profiles.sources import Samples, gather, load
from edgewise.selection.profiles.table import ProfileTable, table
from edgewise.selection.workload.arrivals import parse as arrivals
from edgewise.selection.workload.setup import Setup, block, generator

ARTIFICIAL = Pair("artificial", 50, 25)
#: A network so short that latencies are those of the queue.
NONE = Pair("none", 1e-9, 0)


def one_model(mean_ms: float, std_ms: float = 0.0) -> ProfileTable:
    return table("one", [Profile(model="only", accuracy=80.0, mean_ms=mean_ms, std_ms=std_ms)])


def setup(
    profiles: ProfileTable,
    requests: int,
    network: Pair = ARTIFICIAL,
    seed: int = 0,
    samples: Samples | None = None,
) -> Setup:
    return Setup(profiles, network, True, requests, seed, samples)


def mean_wait_ms(one: Setup, text: str, workers: int = 1) -> float:
    row = queueing.run(one, queueing.parse("fastest"), 1e6, Load(arrivals(text), workers))
    assert row.mean_ms is not None
    return row.mean_ms - float(one.table.mean_ms[0])


def exponential(mean_ms: float) -> Samples:
    times = np.random.default_rng(5).exponential(mean_ms, (50_000, 1))
    return gather("exponential", ("only",), times, np.ones(times.shape, dtype=bool))


def test_constant_service_waits_as_pollaczek_and_khinchine_say() -> None:
    # M/D/1 at a load of 0.5: ρ·μ / (2 (1 − ρ)).
    assert mean_wait_ms(setup(one_model(5), 300_000, NONE), "poisson:100") == pytest.approx(
        2.5, rel=0.03
    )


def test_exponential_service_waits_as_pollaczek_and_khinchine_say() -> None:
    samples = exponential(5)
    second = float((samples.service_ms**2).mean())
    load_ = 0.1 * samples.table.mean_ms[0]
    expected = 0.1 * second / (2 * (1 - load_))
    one = setup(samples.table, 300_000, NONE, samples=samples)
    assert mean_wait_ms(one, "poisson:100") == pytest.approx(expected, rel=0.05)


def test_two_workers_wait_as_erlang_says() -> None:
    samples = exponential(5)
    offered = 0.3 * float(samples.table.mean_ms[0])  # Erlang, of two workers
    busy = offered**2 / (2 - offered)
    delayed = busy / (1 + offered + busy)  # Erlang's C for k = 2
    expected = delayed * float(samples.table.mean_ms[0]) / (2 - offered)
    one = setup(samples.table, 300_000, NONE, samples=samples)
    assert mean_wait_ms(one, "poisson:300", workers=2) == pytest.approx(expected, rel=0.06)


def plain(arrival_ms: Sequence[float], service_ms: Sequence[float], workers: int) -> list[float]:
    """First come first served, with a heap of the times when workers are free."""
    free = [0.0] * workers
    sojourn = []
    for arrives, takes in zip(arrival_ms, service_ms, strict=True):
        end = max(heapq.heappop(free), arrives) + takes
        heapq.heappush(free, end)
        sojourn.append(end - arrives)
    return sojourn


@pytest.mark.parametrize("workers", [1, 3])
def test_the_queue_equals_a_plain_loop(workers: int) -> None:
    one = setup(load("p2").table, 3000)
    stream = arrivals("gamma:90,2")
    row = queueing.run(one, MDInference(), 250, Load(stream, workers))
    drawn = block(one, 250, 0, 3000)
    gaps = stream.gaps_ms(0, 3000, generator(0, "arrivals", 0))
    choice = MDInference().on(one.table).choose_many(250, drawn.budget_ms, drawn.draw)
    service = drawn.service.of(choice)
    latency = drawn.network_ms + plain(np.cumsum(gaps).tolist(), service.tolist(), workers)
    in_time = latency <= 250
    assert row.attainment == pytest.approx(in_time.mean())
    assert row.effective_accuracy == pytest.approx((one.table.accuracy[choice] * in_time).mean())
    assert row.mean_ms == pytest.approx(latency.mean())
    assert row.p99_ms == pytest.approx(np.quantile(latency, 0.99), rel=0.02)


def test_knowing_the_queue_gives_the_published_policy_what_the_wait_leaves() -> None:
    sure = [msgspec.structs.replace(p, std_ms=0.0) for p in load("p2").table.profiles]
    one = setup(table("p2", sure), 2000)
    row = queueing.run(one, queueing.parse("mdinference+queue"), 250, Load(arrivals("poisson:40")))
    drawn = block(one, 250, 0, 2000)
    arrive = np.cumsum(arrivals("poisson:40").gaps_ms(0, 2000, generator(0, "arrivals", 0)))
    chooser = MDInference().on(one.table)
    free, right = 0.0, 0.0
    for now, left in zip(arrive.tolist(), drawn.budget_ms.tolist(), strict=True):
        wait = max(free - now, 0.0)
        model = chooser.choose(250, left - wait, 0.0)
        free = now + wait + float(one.table.mean_ms[model])
        right += float(one.table.accuracy[model]) * (free - now <= left)
    assert row.effective_accuracy == pytest.approx(right / 2000, rel=1e-3)


@pytest.mark.parametrize("name", ["fastest", "mdinference+queue", "deadline", "cnnselect"])
def test_a_seed_gives_the_same_rows_in_any_number_of_processes(name: str) -> None:
    one = setup(load("p2").table, 3000)
    cases = [
        (queueing.parse(name), sla_ms, Load(arrivals("poisson:60"), workers))
        for sla_ms in (150.0, 250.0)
        for workers in (1, 2)
    ]
    assert queueing.run_many(one, cases, 1) == queueing.run_many(one, cases, 2)


def test_another_seed_gives_other_requests() -> None:
    rows = {
        queueing.run(
            setup(load("p2").table, 2000, seed=seed),
            queueing.parse("fastest"), 100, Load(arrivals("poisson:300")),
        ).mean_ms
        for seed in (0, 1)
    }  # fmt: skip
    assert len(rows) == 2


def test_blocks_do_not_show() -> None:
    """The state goes over from block to block: one more request does not disturb those before."""
    n = queueing.BLOCK
    one, more = (
        queueing.run(
            setup(one_model(3, 0.5), requests, NONE), queueing.parse("fastest"), 50,
            Load(arrivals("poisson:250")),
        )
        for requests in (n, n + 1)
    )  # fmt: skip
    assert one.mean_ms is not None and more.mean_ms is not None
    assert more.mean_ms * (n + 1) - one.mean_ms * n < 200
    assert one.attainment == pytest.approx(more.attainment, abs=2 / n)


def test_the_interval_holds_what_a_long_run_delivers() -> None:
    def run(requests: int, seed: int) -> tuple[float, tuple[float, float] | None]:
        row = queueing.run(
            setup(one_model(8, 2), requests, seed=seed), queueing.parse("fastest"), 160,
            Load(arrivals("poisson:90")),
        )  # fmt: skip
        return row.attainment, row.attainment_ci95

    truth, _ = run(400_000, 99)
    intervals = [run(10_000, seed)[1] for seed in range(20)]
    held = sum(ci is not None and ci[0] <= truth <= ci[1] for ci in intervals)
    assert held >= 15


def test_few_requests_have_no_interval_and_no_p99() -> None:
    row = queueing.run(
        setup(one_model(3), 100), queueing.parse("fastest"), 200, Load(arrivals("poisson:50"))
    )
    assert row.attainment_ci95 is None and row.p99_ms is None
    assert "p99" in row.notes[0]


def test_answers_of_samples_are_measured_not_looked_up() -> None:
    times = np.full((50, 2), 4.0)
    times[:, 1] = 2.0
    right = np.zeros((50, 2), dtype=bool)
    right[:30, 0] = True
    samples = gather("few", ("slow", "quick"), times, right)
    one = setup(samples.table, 20_000, NONE, samples=samples)
    rows = [
        queueing.run(one, queueing.parse(f"static:{model}"), 100, Load(arrivals("poisson:10")))
        for model in ("slow", "quick")
    ]
    assert rows[0].effective_accuracy == pytest.approx(60, abs=1.5)
    assert rows[1].effective_accuracy == 0


def test_a_duplicate_on_the_device_rescues_what_is_late() -> None:
    device = Profile(model="tiny", accuracy=40.0, mean_ms=20.0, std_ms=0.0)
    one = Setup(load("p2").table, ARTIFICIAL, True, 5000, 0, None, device)
    overload = Load(arrivals("poisson:2000"))
    alone = queueing.run(one, queueing.parse("fastest"), 250, overload)
    ours = queueing.run(one, queueing.parse("deadline"), 250, overload)
    assert alone.attainment == 1.0
    assert 40 < alone.effective_accuracy < ours.effective_accuracy < (ours.fluid_bound or 0)


def test_expected_work_of_a_running_job_is_what_outlived_it() -> None:
    """Half the jobs take 1 ms and half 9: one that has run for 2 ms has 7 left, for sure."""
    quantiles = np.sort(np.tile([1.0, 9.0], 128))[None]
    tails = arrays.tails(quantiles)
    assert kernels.residual(quantiles, tails, 0, 0.0) == pytest.approx((5.0, 16.0))
    assert kernels.residual(quantiles, tails, 0, 2.0) == pytest.approx((7.0, 0.0))
    assert kernels.residual(quantiles, tails, 0, 9.5) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("text", "cv"), [("poisson:50", 1.0), ("gamma:50,3", 3.0), ("gamma:50,0", 0.0)]
)
def test_gaps_have_the_rate_and_the_variation_asked_for(text: str, cv: float) -> None:
    gaps = arrivals(text).gaps_ms(0, 200_000, np.random.default_rng(1))
    assert gaps.mean() == pytest.approx(20, rel=0.03)
    assert gaps.std() == pytest.approx(20 * cv, rel=0.03)


def test_recorded_arrivals_repeat(tmp_path: Path) -> None:
    path = tmp_path / "times.txt"
    path.write_text("# seconds\n0\n0.01\n0.01\n0.04\n")
    stream = arrivals(f"trace:{path}")
    assert stream.gaps_ms(2, 4, np.random.default_rng(0)) == pytest.approx([30, 10, 0, 30])
    assert stream.rate_per_s == pytest.approx(75)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("0\n1\n0.5\n", "line 3"),
        ("0\nx\n", "line 2"),
        ("1\n", "fewer than two"),
        ("0\nnan\n", "rise"),
    ],
)
def test_a_broken_recording_is_one_clear_error(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "times.txt"
    path.write_text(content)
    with pytest.raises(InputError, match=message):
        arrivals(f"trace:{path}")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "poisson",
        "poisson:",
        "poisson:-1",
        "poisson:x",
        "gamma:80",
        "gamma:80,-1",
        "weibull:3",
        "trace:",
    ],
)
def test_arrivals_of_no_known_form_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="arrivals"):
        arrivals(text)


@pytest.mark.parametrize(
    "name", ["oracle", "random+queue", "greedy+queue", "cascade", "deadline+cascade"]
)
def test_what_cannot_know_the_queue_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        queueing.run(
            setup(load("p2").table, 10), queueing.parse(name), 250, Load(arrivals("poisson:1"))
        )


@pytest.mark.parametrize("sla_ms", [-1.0, math.nan, math.inf])
def test_a_deadline_that_is_none_is_refused(sla_ms: float) -> None:
    with pytest.raises(UsageError, match="deadline"):
        queueing.run(
            setup(one_model(3), 10), queueing.parse("fastest"), sla_ms, Load(arrivals("poisson:1"))
        )


def test_no_worker_is_refused() -> None:
    with pytest.raises(UsageError, match="workers"):
        Load(arrivals("poisson:1"), 0)
