"""The simulator without queues: the published set-up, samples, links, the duplicate."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from edgewise.errors import UsageError
from edgewise.network.capacity import Recorded
from edgewise.network.catalogue import Carried, resolve
from edgewise.network.link import Pair
from edgewise.network.link import Path as Route
from edgewise.records import Profile, SimulationRow
from edgewise.selection.compare import compare
from edgewise.selection.engine import queueing
from edgewise.selection.engine import simulate as simulation
from edgewise.selection.engine.simulate import simulate, sweep
from edgewise.selection.policies.registry import parse_all
from edgewise.selection.profiles.sources import gather, load
from edgewise.selection.profiles.table import table
from edgewise.selection.workload.arrivals import parse as arrivals
from edgewise.selection.workload.setup import Setup, block

ALL = "fastest,most_accurate,random,exploration,greedy,budget_uniform,budget_weighted,mdinference,cnnselect,oracle"  # noqa: E501
SIX = "fastest,greedy,exploration,budget_weighted,mdinference,cnnselect"


def setup(
    profiles: str = "p2", network: str = "artificial", n: int = 10_000, **how: object
) -> Setup:
    source = load(profiles)
    values = {"published": True, "requests": n, "seed": 0, "samples": source.samples, **how}
    return Setup(source.table, resolve(network), **values)  # type: ignore[arg-type]


def rows(one: Setup, policies: str, sla_ms: float) -> dict[str, SimulationRow]:
    return {row.policy: row for row in simulate(one, parse_all(policies.split(",")), sla_ms)}


def plain_simulation(
    name: str, policy: str, network: Pair, sla: float, n: int
) -> tuple[float, float, float]:
    """The published set-up as a plain loop over the plain policies."""
    import random

    from plain import Model, choices

    models = {
        p.model: Model(p.model, p.accuracy or 0.0, p.mean_ms, p.std_ms)
        for p in load(name).table.profiles
    }
    rng = random.Random(99)

    def positive(mean: float, std: float) -> float:
        while (value := rng.gauss(mean, std)) <= 0:
            continue
        return value

    accuracy = in_time = worth = 0.0
    for _ in range(n):
        one_way = positive(network.mean_ms, network.std_ms)
        chances = choices(policy, list(models.values()), sla, sla - 2 * one_way)
        chosen = models[rng.choices(list(chances), list(chances.values()))[0]]
        met = 2 * one_way + positive(chosen.mean, chosen.std) <= sla
        accuracy += chosen.accuracy
        in_time += met
        worth += chosen.accuracy * met
    return accuracy / n, in_time / n, worth / n


@pytest.mark.parametrize("profiles", ["p2", "c5"])
@pytest.mark.parametrize(("network", "sla_ms"), [("artificial", 150.0), ("home", 240.0)])
def test_every_policy_agrees_with_a_plain_loop(profiles: str, network: str, sla_ms: float) -> None:
    ours = rows(setup(profiles, network, 100_000), SIX, sla_ms)
    pair = resolve(network)
    assert isinstance(pair, Pair)
    for policy in SIX.split(","):
        n = 3000
        accuracy, attainment, effective = plain_simulation(profiles, policy, pair, sla_ms, n)
        # Four standard errors of the loop's means; accuracies spread over less than 15 points.
        assert ours[policy].attainment == pytest.approx(attainment, abs=4 * 0.5 / n**0.5)
        assert ours[policy].accuracy == pytest.approx(accuracy, abs=4 * 15 / n**0.5)
        assert ours[policy].effective_accuracy == pytest.approx(effective, abs=4 * 40 / n**0.5)


def test_the_published_example() -> None:
    """selection.md: 71.2 and 71.2 %, 0.826 and 0.822 at 150 ms on `artificial`; a run of 10,000
    spreads by 0.16 points and 0.0045."""
    seen = rows(setup(n=400_000), "mdinference,cnnselect", 150.0)
    assert seen["mdinference"].accuracy == pytest.approx(71.2, abs=0.4)
    assert seen["cnnselect"].accuracy == pytest.approx(71.2, abs=0.4)
    assert seen["mdinference"].attainment == pytest.approx(0.826, abs=0.01)
    assert seen["cnnselect"].attainment == pytest.approx(0.822, abs=0.01)


def test_the_oracle_bounds_every_policy() -> None:
    for sla_ms in (60.0, 150.0, 260.0):
        seen = rows(setup(), ALL, sla_ms)
        best = seen["oracle"].effective_accuracy
        assert all(row.effective_accuracy <= best + 1e-9 for row in seen.values())
        assert seen["fastest"].attainment <= seen["oracle"].attainment + 1e-9


def test_rows_hold_together() -> None:
    for row in rows(setup(), ALL, 150.0).values():
        assert sum(row.usage.values()) == pytest.approx(1)
        assert row.accuracy is not None and row.p99_ms is not None and row.mean_ms is not None
        accuracies = {p.model: p.accuracy for p in load("p2").table.profiles}
        mean = sum(share * (accuracies[model] or 0) for model, share in row.usage.items())
        assert row.accuracy == pytest.approx(mean)
        assert row.effective_accuracy <= row.accuracy
        assert row.mean_ms < row.p99_ms
        assert row.requests == 10_000


def test_policies_meet_the_same_requests() -> None:
    one, other = setup(), setup("c5", "artificial")
    assert (block(one, 150.0, 0, 500).network_ms == block(other, 150.0, 0, 500).network_ms).all()
    assert (block(one, 150.0, 0, 500).draw == block(other, 150.0, 0, 500).draw).all()


def test_a_deadline_gives_the_same_row_whatever_else_is_simulated() -> None:
    policies = parse_all(SIX.split(","))
    whole = list(sweep([setup(), setup("c5")], policies, [0.0, 100.0, 150.0]))
    assert whole == list(sweep([setup(), setup("c5")], policies, [0.0, 100.0, 150.0], jobs=3))
    assert [row for row in whole if row.sla_ms == 150 and row.profiles == "c5"] == list(
        sweep([setup("c5")], policies, [150.0])
    )
    assert whole != list(sweep([setup(seed=1), setup("c5", seed=1)], policies, [0.0, 100.0, 150.0]))


def test_many_blocks_agree_with_one(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = rows(setup(n=60_000), SIX, 200.0)
    monkeypatch.setattr(simulation, "UNQUEUED_BLOCK", 7_000)
    for name, row in rows(setup(n=60_000), SIX, 200.0).items():
        assert row.requests == 60_000
        assert row.attainment == pytest.approx(whole[name].attainment, abs=0.012)
        assert row.p99_ms == pytest.approx(whole[name].p99_ms, rel=0.03)


def test_no_99th_percentile_from_few_requests() -> None:
    row = rows(setup(n=661), "greedy", 200.0)["greedy"]
    assert row.p99_ms is None and "662" in row.notes[0]
    assert rows(setup(n=662), "greedy", 200.0)["greedy"].p99_ms is not None


def test_quantiles_are_those_of_numpy() -> None:
    values = np.random.default_rng(0).gamma(2, 10, 999)
    for level in (0.0, 0.5, 0.99, 1.0):
        assert simulation._quantile(values, level) == pytest.approx(np.quantile(values, level))


def test_service_times_are_redrawn_until_positive() -> None:
    wild = table("wild", [Profile(model="m", accuracy=50.0, mean_ms=1.0, std_ms=3.0)])
    one = Setup(wild, resolve("perfect"), True, 50_000, 0)
    times = block(one, 100.0, 0, 50_000).service.of(np.zeros(50_000, dtype=np.intp))
    assert (times > 0).all()
    # A normal above zero: mean + std·φ(−1/3)/(1 − Φ(−1/3)).
    assert times.mean() == pytest.approx(1 + 3 * 0.37738 / 0.63056, rel=0.02)
    assert (block(one, 100.0, 0, 50_000).service.all()[:, 0] == times).all()


def test_a_predicted_download_costs_something() -> None:
    known = rows(setup(), "mdinference", 150.0)["mdinference"]
    predicted = rows(setup(published=False), "mdinference", 150.0)["mdinference"]
    assert predicted.attainment < known.attainment - 0.05


def test_a_download_is_predicted_from_its_upload_where_they_go_together(tmp_path: Path) -> None:
    """A trace that alternates between fast and slow minutes: the upload tells which one it is."""
    trace = tmp_path / "t.txt"
    trace.write_text("".join(f"{s} {20 if (s // 60) % 2 else 1}\n" for s in range(1200)))
    network = resolve(str(trace), Carried(payload_bytes=20_000, reply_bytes=20_000, rtt_ms=20))
    one = Setup(load("p2").table, network, False, 5000, 0)
    assert one.predictor is not None and np.ptp(one.predictor.median_ms) > 100
    drawn = block(one, 300.0, 0, 5000)
    error = drawn.budget_ms - drawn.left_ms
    assert np.abs(error).mean() < 0.25 * drawn.network_ms.std()


def test_independent_directions_tell_nothing_of_each_other() -> None:
    predictor = setup(published=False).predictor
    assert predictor is not None and len(predictor.median_ms) == 1
    assert predictor.median_ms[0] == pytest.approx(50.8, abs=3)


def test_outages_do_not_take_the_budget_of_all_others() -> None:
    """Nothing passes for 4 % of the time: the mean download is several medians, and P still comes
    from what downloads are, under load by either discipline."""
    seconds = np.arange(3000)
    rates = np.where(seconds % 100 < 4, 0.0, 20.0)
    capacity = Recorded(1000.0 * np.arange(3001), rates)
    steady = Recorded(1000.0 * np.arange(3001), np.full(3000, 20.0))
    network = Route("outages", steady, capacity, 60.0, 3.0, 0.0, 0.0, 2e4, 2e4)
    one = Setup(load("p2").table, network, False, 3000, 0)
    drawn = block(one, 150.0, 0, 3000)
    _, downloads_ms = network.transfers(3000, np.random.default_rng(0))
    assert downloads_ms.mean() > 2 * np.median(downloads_ms)
    feasible = drawn.left_ms > 5
    assert (drawn.budget_ms[feasible] > 5).mean() > 0.99
    for discipline in ("fcfs", "edf"):
        under = queueing.Load(arrivals("poisson:40"), 1, discipline)
        ours, plain = (
            queueing.run(one, queueing.parse(name), 150.0, under).effective_accuracy
            for name in ("deadline", "static:mobilenet_v1_1.0_224")
        )
        assert ours > plain > 60


def test_samples_give_measured_accuracy() -> None:
    """Two models that are never right on the same input: the table's accuracy is that of each,
    the measured one depends on which inputs meet which model."""
    rng = np.random.default_rng(0)
    right = rng.random(400) < 0.5
    times = np.column_stack([np.where(right, 5.0, 50.0), np.full(400, 20.0)])
    samples = gather("s", ("a", "b"), times, np.column_stack([right, ~right]))
    one = Setup(samples.table, Pair("p", 10, 0), True, 20_000, 0, samples)
    row = rows(one, "static:a,oracle", 40.0 - 1e-9)
    # In time (5 + 20 < 40) exactly where it is right.
    assert row["static:a"].accuracy == pytest.approx(100 * row["static:a"].attainment)
    assert row["static:a"].effective_accuracy == pytest.approx(row["static:a"].accuracy)


@pytest.mark.corpus
def test_samples_of_a_phone(reference_data: Path) -> None:
    source = load(str(reference_data / "phone_inference.csv.gz"))
    assert source.samples is not None and len(source.samples) == 734
    assert source.table.models[0] == "inception_v3"
    one = Setup(source.table, resolve("perfect"), True, 100_000, 0, source.samples)
    row = rows(one, "most_accurate", 5000.0)["most_accurate"]
    assert row.accuracy == pytest.approx(85.7, abs=0.5)
    assert row.mean_ms == pytest.approx(100 + 816, rel=0.01)


def test_the_duplicate_answers_where_the_server_is_late() -> None:
    device = Profile(model="small", accuracy=41.4, mean_ms=30.0, std_ms=0.0)
    without = rows(setup(), "mdinference,fastest", 120.0)
    with_it = rows(setup(duplicate=device), "mdinference,fastest", 120.0)
    for name, row in with_it.items():
        late = 1 - without[name].attainment
        assert row.attainment == 1.0
        gained = row.effective_accuracy - without[name].effective_accuracy
        assert gained == pytest.approx(41.4 * late)
        assert row.p99_ms == 120.0 and row.duplicate == "small"
    slow = Profile(model="slow", accuracy=41.4, mean_ms=121.0, std_ms=0.0)
    assert rows(setup(duplicate=slow), "fastest", 120.0)["fastest"].attainment == pytest.approx(
        without["fastest"].attainment
    )


@pytest.mark.parametrize(
    ("network", "how"),
    [("lte", {"published": True}), ("artificial", {"n": 0}), ("artificial", {"seed": -1})],
)
def test_half_given_set_ups_are_refused(network: str, how: dict[str, int]) -> None:
    with pytest.raises(UsageError):
        setup(network=network, **how)  # type: ignore[arg-type]


@pytest.mark.parametrize("deadlines", [[], [-1.0], [float("nan")], [10.0, float("inf")]])
def test_deadlines_that_are_none_are_refused(deadlines: list[float]) -> None:
    with pytest.raises(UsageError):
        next(sweep([setup()], parse_all(["greedy"]), deadlines))


def test_where_one_policy_beats_another() -> None:
    deadlines = [0.0, 100.0, 150.0, 500.0]
    found = list(sweep([setup(), setup("c5")], parse_all(["cnnselect", "greedy"]), deadlines))
    first, second = compare(found, "cnnselect", "greedy")
    assert (first.profiles, second.profiles) == ("p2", "c5")
    assert first.attainment_peak_at_ms == 150 and 70 < first.attainment_peak_points < 78
    assert first.deadlines == 4 and first.ahead_from_ms == 100
    with pytest.raises(UsageError, match="no policy 'nope'"):
        compare(found, "cnnselect", "nope")


@pytest.mark.corpus
def test_published_pairs_are_those_of_the_reference_data(reference_data: Path) -> None:
    with (reference_data / "networks.csv").open() as file:
        for row in csv.DictReader(file):
            pair = resolve(row["network"])
            assert isinstance(pair, Pair)
            assert pair.mean_ms == float(row["one_way_mean_ms"])
            assert pair.std_ms == float(row["one_way_std_ms"])
