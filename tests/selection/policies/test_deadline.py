"""`deadline` against its formula in plain Python, against hindsight, and while it serves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import UsageError
from edgewise.network.capacity import Recorded
from edgewise.network.link import Network, Pair, Path
from edgewise.records import Profile
from edgewise.selection.engine import queueing
from edgewise.selection.engine.queueing import Load
from edgewise.selection.policies import kernels
from edgewise.selection.policies.arrays import Prices
from edgewise.selection.policies.deadline import (
    PROBE_AFTER,
    Deadline,
    DeadlinePolicy,
    undominated,
    with_error,
)
from edgewise.selection.policies.protocol import REFUSED
from edgewise.selection.policies.recent import Traffic
from edgewise.selection.policies.registry import parse
from edgewise.selection.profiles.sources import load
from edgewise.selection.profiles.table import LEVELS, Floats, ProfileTable, table
from edgewise.selection.workload.arrivals import parse as arrivals
from edgewise.selection.workload.setup import Setup

ARTIFICIAL = Pair("artificial", 50, 25)
HOME = Pair("home", 100, 30)


def three() -> ProfileTable:
    return table(
        "three",
        [
            Profile(model="small", accuracy=50, mean_ms=5, std_ms=0.5),
            Profile(model="middle", accuracy=70, mean_ms=20, std_ms=2),
            Profile(model="large", accuracy=80, mean_ms=60, std_ms=6),
        ],
    )


def traffic(rate: float, budget_ms: float, n: int = 4000, seed: int = 0) -> Traffic:
    rng = np.random.default_rng(seed)
    nothing = np.zeros(n)
    return Traffic(
        rng.exponential(1000 / rate, n), rng.normal(budget_ms, 20, n), nothing, nothing, nothing
    )


def fitted(rate: float, budget_ms: float = 150, rule: Deadline | None = None) -> DeadlinePolicy:
    policy = DeadlinePolicy(three(), rule)
    policy.saw(traffic(rate, budget_ms))
    policy.refit()
    return policy


# --- the formula


def formula(prices: Prices, left: float, backlog: float, spread: float) -> tuple[int, float]:
    """argmax of gain · P + value, from the definitions: counting, and np.interp on the grid."""
    (known,) = prices.value
    nodes = len(known)
    grid = prices.reach_ms * (np.arange(nodes) / (nodes - 1)) ** 2

    def value(column: int) -> float:
        return float(np.interp(backlog, grid, known[:, column]))

    def chance(model: int) -> float:
        nodes_ = ((0.0, 2 / 3), (math.sqrt(3), 1 / 6), (-math.sqrt(3), 1 / 6))
        row = prices.quantiles_ms[model]
        return sum(weight * float((row <= left + z * spread).mean()) for z, weight in nodes_)

    models = range(len(prices.gain))
    likely = [chance(model) for model in models]
    fit = [model for model in models if likely[model] > prices.floor]
    sure = [model for model in fit if likely[model] >= prices.attainment]
    best, found = value(-1), REFUSED
    for model in sure or fit:
        score = float(prices.gain[model]) * likely[model] + value(model)
        if score > best + 1e-9:
            best, found = score, model
    return found, likely[found] if found >= 0 else 0.0


@given(
    st.floats(-20, 200),
    st.floats(0, 190),
    st.sampled_from([0.0, 0.5, 8.0]),
    st.sampled_from([0.5, 8.0, 40.0, 90.0, 300.0]),
    st.sampled_from(["deadline", "deadline:attainment=0.95", "deadline:floor=0.6:fallback=45"]),
)
@settings(max_examples=300, deadline=None)
def test_a_choice_is_the_argmax_of_the_formula(
    left: float, backlog: float, spread: float, rate: float, rule: str
) -> None:
    policy = _FITTED.setdefault((rate, rule), fitted(rate, rule=_rule(rule)))
    found = kernels.pick(policy.prices, 0, left, backlog, spread, np.empty(0))
    expected = formula(policy.prices, left, backlog, spread)
    assert found[0] == expected[0]
    assert found[1] == pytest.approx(expected[1])


_FITTED: dict[tuple[float, str], DeadlinePolicy] = {}


def _rule(text: str) -> Deadline:
    rule = parse(text)
    assert isinstance(rule, Deadline) and rule.name == text
    return rule


@given(st.floats(-10, 200))
@settings(max_examples=200, deadline=None)
def test_without_load_it_maximises_accuracy_in_time(budget: float) -> None:
    models = three()
    likely = (models.quantiles_ms < budget).mean(axis=1)
    gain = models.accuracy * likely
    expected = int(gain.argmax()) if gain.max() > 0 else REFUSED
    chooser = Deadline().on(models)
    assert chooser.choose(250, budget, 0.5) == expected
    assert chooser.choose_many(250, np.array([budget]), np.array([0.5])).tolist() == [expected]


def test_an_uncertain_network_makes_it_careful() -> None:
    error = np.random.default_rng(0).normal(0, 30, 500)
    sure, unsure = Deadline().on(three()), Deadline().on(three(), error)
    assert sure.choose(250, 80, 0) == 0
    assert unsure.choose(250, 80, 0) == 1


def test_errors_add_to_service_times_as_independent_sums() -> None:
    rng = np.random.default_rng(0)
    error = rng.normal(3, 10, 2000)
    rows = with_error(three().quantiles_ms, error)
    drawn = rng.choice(three().quantiles_ms[0], 200_000) + rng.choice(error, 200_000)
    for level in (0.05, 0.5, 0.95):
        assert np.quantile(rows[0], level) == pytest.approx(np.quantile(drawn, level), abs=0.6)
    assert with_error(rows, None) is rows


def test_the_sum_of_service_and_error_is_of_their_quantiles_as_numpy_gives_them() -> None:
    error, rows = np.array([-3.0, 0.0, 0.5, 9.0]), np.array([[1.0, 2.0, 7.0], [4.0, 4.0, 4.0]])
    coarse = (np.arange(64) + 0.5) / 64
    sums = np.quantile(rows, coarse, axis=1).T[:, :, None] + np.quantile(error, coarse)
    expected = np.quantile(sums.reshape(2, -1), (np.arange(3) + 0.5) / 3, axis=1).T
    np.testing.assert_array_equal(with_error(rows, error), expected)


@given(st.integers(1, 8), st.integers(0, 2**16))
@settings(max_examples=100, deadline=None)
def test_undominated_models_are_those_that_none_beats(models: int, seed: int) -> None:
    rows = np.sort(np.random.default_rng(seed).integers(1, 9, (models, 3)), axis=1).astype(float)
    expected = [m for m in range(models) if not any((rows[o] <= rows[m]).all() for o in range(m))]
    assert undominated(rows).tolist() == expected


# --- the price


def test_time_costs_more_the_longer_the_queue_and_the_busier_the_service() -> None:
    calm, busy = fitted(2), fitted(60)
    assert 0 <= calm.price_ms(0, 20) < busy.price_ms(0, 20)
    prices = [busy.price_ms(backlog, 20) for backlog in (0, 20, 50, 100)]
    assert prices == sorted(prices)


def test_it_refuses_what_cannot_be_in_time_and_what_is_not_worth_it() -> None:
    assert fitted(2).choose(3.0).model is None
    crowded = fitted(400)
    refused = crowded.choose(120.0, wait_ms=118.0)
    assert refused.model is None and refused.row == REFUSED
    assert crowded.choose(120.0).model == "small"
    # With an answer of the device's at hand, the small model's five points are not worth its time.
    assert fitted(400, rule=Deadline(fallback=45)).choose(22.0, wait_ms=10.0).model is None


def test_traffic_without_time_or_gaps_leaves_the_prices_alone() -> None:
    policy = DeadlinePolicy(three())
    before = policy.prices.value.copy()
    rng = np.random.default_rng(0)
    nothing = np.zeros(50)
    policy.saw(Traffic(rng.exponential(5, 50), np.full(50, -1.0), nothing, nothing, nothing))
    policy.refit()
    policy = DeadlinePolicy(three())
    policy.saw(Traffic(nothing, np.full(50, 90.0), nothing, nothing, nothing))
    policy.refit()
    assert (policy.prices.value == before).all()


@pytest.mark.parametrize("gap_ms", [1e-15, 1e-6])
def test_gaps_of_nearly_nothing_can_be_solved(gap_ms: float) -> None:
    policy = DeadlinePolicy(three())
    nothing = np.zeros(20)
    policy.saw(Traffic(np.full(20, gap_ms), np.full(20, 90.0), nothing, nothing, nothing))
    policy.refit()
    assert np.isfinite(policy.prices.value).all()


# --- what it delivers


def delivered(name: str, profiles: str, sla: float, text: str, workers: int) -> float:
    one = Setup(load(profiles).table, ARTIFICIAL, True, 12_000, 3)
    return queueing.run(
        one, queueing.parse(name), sla, Load(arrivals(text), workers)
    ).effective_accuracy


@pytest.mark.parametrize(
    ("rate", "prototype"),
    [(1, 81.1), (10, 77.5), (40, 72.4), (80, 71.0), (150, 70.6), (300, 52.4), (450, 37.5)],
)
def test_it_beats_the_prototype_of_the_specification(rate: float, prototype: float) -> None:
    # 12,000 requests leave some 0.3 points of chance.
    assert delivered("deadline", "p2", 250, f"poisson:{rate}", 1) > prototype - 0.3


@pytest.mark.parametrize(
    ("profiles", "sla", "text", "workers"),
    [
        ("p2", 250, "gamma:120,4", 1),
        ("p2", 100, "poisson:300", 4),
        ("c5", 250, "gamma:150,4", 4),
        ("c5", 500, "poisson:20", 1),
        ("pixel3", 250, "poisson:700", 1),
    ],
)
def test_it_is_never_far_behind_the_best_model_in_hindsight(
    profiles: str, sla: float, text: str, workers: int
) -> None:
    best = max(
        delivered(f"static:{model}", profiles, sla, text, workers)
        for model in load(profiles).table.models
    )
    assert delivered("deadline", profiles, sla, text, workers) > best - 0.5


def test_a_constant_budget_does_not_trap_it_at_the_edge() -> None:
    """All budgets equal: work beyond the last useful backlog must not look free."""
    one = Setup(load("p2").table, Pair("perfect", 50, 0), True, 12_000, 1)
    row = queueing.run(one, Deadline(), 500, Load(arrivals("poisson:326")))
    assert row.fluid_bound is not None
    assert row.effective_accuracy > 0.95 * row.fluid_bound


def test_attainment_raises_the_share_in_time_of_what_it_answers() -> None:
    noisy = table(
        "noisy",
        [
            Profile(model="quick", accuracy=60, mean_ms=10, std_ms=1),
            Profile(model="good", accuracy=80, mean_ms=95, std_ms=12),
        ],
    )
    plain, sure = (
        queueing.run(
            Setup(noisy, ARTIFICIAL, True, 8000, 0), rule, 250, Load(arrivals("poisson:2"))
        )
        for rule in (Deadline(), Deadline(attainment=0.99))
    )
    assert sure.attainment > plain.attainment
    assert (sure.attainment * sure.requests) / (sure.requests - (sure.refused or 0)) > 0.985


# --- in a service


def test_a_cold_model_is_left_alone_where_its_load_would_be_late() -> None:
    policy = fitted(0.01)
    cold = np.array([500.0, 0.0, 0.0])
    assert policy.choose(150, now_ms=0).model == "large"
    assert policy.choose(150, load_ms=cold, now_ms=1).model == "middle"
    found = policy.choose(800, load_ms=cold, now_ms=2)
    assert found.model == "large"
    assert found.predicted_ms == pytest.approx(560, rel=0.01)


def test_an_uncertain_wait_lowers_the_probability() -> None:
    policy = fitted(0.01)
    assert policy.choose(50, wait_ms=20, now_ms=0).probability == 1.0
    assert policy.choose(50, wait_ms=20, spread_ms=30, now_ms=1).probability < 1.0


def test_it_follows_a_model_that_became_slow_and_comes_back() -> None:
    policy = fitted(0.01)
    for _ in range(100):
        policy.observe("large", 400.0)
    assert policy.choose(150, now_ms=0).model == "middle"
    assert policy.expected_ms("large") == pytest.approx(400, rel=0.01)
    for _ in range(100):
        policy.observe("large", 60.0)
    assert policy.choose(150, now_ms=1).model == "large"


def test_one_bad_sample_starves_nobody() -> None:
    policy = fitted(0.01)
    policy.observe("large", 5000.0)
    policy.refit()
    assert policy.choose(150, now_ms=0).model == "large"


def test_it_probes_what_it_has_not_seen_when_idle() -> None:
    policy = fitted(0.01)
    probes: list[str] = []
    for request in range(3 * PROBE_AFTER):
        choice = policy.choose(150, now_ms=request * 1000.0)
        if choice.probe:
            probes.append(choice.probe)
            policy.observe(choice.probe, 30.0)
        elif choice.model:
            policy.observe(choice.model, 60.0)
    assert {"small", "middle"} <= set(probes) and len(probes) < 12


def test_it_does_not_probe_while_requests_wait() -> None:
    policy = DeadlinePolicy(three())
    found = [policy.choose(150, wait_ms=5, now_ms=i * 9.0).probe for i in range(2 * PROBE_AFTER)]
    assert set(found) == {None}


def test_before_anything_is_known_time_is_not_free() -> None:
    """The first requests take what is fast, unless hardly one of them would be in time."""
    policy = DeadlinePolicy(three())
    assert policy.choose(150, now_ms=0).model == "small"
    assert policy.choose(4.9, now_ms=1).model == "small"
    assert policy.choose(1.0, now_ms=2).model is None


def test_a_queue_that_was_never_seen_short_is_worth_something_when_it_is() -> None:
    """Traffic seen in an overload that the policy made itself: the fit leads out of it."""
    rng = np.random.default_rng(2)
    gaps_ms, budgets_ms = rng.exponential(1000 / 390, 4000), rng.normal(216, 97, 4000)
    waits_ms = rng.uniform(284, 420, 4000)
    policy = DeadlinePolicy(three(), workers=2)
    policy.saw(Traffic(gaps_ms, budgets_ms, waits_ms, waits_ms, np.full(4000, 40.0)))
    policy.refit()
    assert policy.choose(216, wait_ms=20, now_ms=1e9).model == "small"
    assert policy.price_ms(0.0, 280.0) > 1000


def test_no_seed_locks_the_prices_in() -> None:
    """Two workers at their capacity, services of two lengths, long deadlines: a start that fills
    the queue must not stay."""
    models = [
        Profile(
            model=name, accuracy=accuracy, mean_ms=1.18 * ms, std_ms=1.5 * ms,
            quantiles_ms=tuple(
                (level, ms if level < 0.98 else 10 * ms) for level in LEVELS.tolist()
            ),
        )
        for name, accuracy, ms in (("small", 41, 1.02), ("middle", 63, 4.0), ("large", 80, 250.0))
    ]  # fmt: skip
    family, load = table("two lengths", models), Load(arrivals("poisson:1690"), 2)
    worst = min(
        queueing.run(Setup(family, HOME, True, 6000, seed), Deadline(), 400, load)
        .effective_accuracy
        for seed in range(20)
    )  # fmt: skip
    assert worst > 36


def test_the_traffic_alone_moves_the_choice() -> None:
    """More requests, same request: the same budget buys a cheaper model."""
    policy = DeadlinePolicy(three())
    now = 0.0

    def serve(gap_ms: float, n: int) -> str | None:
        nonlocal now
        choice = None
        for _ in range(n):
            now += gap_ms
            choice = policy.choose(150.0, wait_ms=40.0, now_ms=now)
            if policy.due:
                policy.refit()
        assert choice is not None
        return choice.model

    assert serve(500.0, 600) == "large"
    assert serve(6.0, 3000) != "large"
    assert serve(500.0, 3000) == "large"


@pytest.mark.parametrize(
    "times", [(math.nan, 0.0), (100.0, -1.0), (100.0, math.nan)], ids=["nan", "negative", "wait"]
)
def test_times_that_are_none_are_refused(times: tuple[float, float]) -> None:
    with pytest.raises(UsageError, match="budget"):
        DeadlinePolicy(three()).choose(*times)


@pytest.mark.parametrize("ms", [0.0, -1.0, math.nan, math.inf])
def test_a_sample_that_is_none_is_refused(ms: float) -> None:
    with pytest.raises(UsageError, match="service time"):
        DeadlinePolicy(three()).observe("small", ms)


@pytest.mark.parametrize(
    "text", ["deadline:attainment=1", "deadline:floor=-0.1", "deadline:fallback=101"]
)
def test_parameters_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="deadline"):
        parse(text)


def test_the_grid_interpolates_as_numpy_does() -> None:
    nodes, reach = 48, 300.0
    grid: Floats = reach * (np.arange(nodes) / (nodes - 1)) ** 2
    for backlog in np.random.default_rng(0).uniform(0, 350, 200):
        cell, part = kernels.position(backlog, reach, nodes)
        assert grid[cell] + part * (grid[cell + 1] - grid[cell]) == pytest.approx(
            min(backlog, reach)
        )


def test_requests_without_any_hope_do_not_dilute_the_price_in_a_good_stretch() -> None:
    """100 requests with time, then 300 without, and so on: a good stretch is as busy as if there
    were nothing else. Mixed at random, the same requests are a quarter of the load."""
    busy = traffic(60, 150)

    def priced(hopeful: np.ndarray) -> float:
        n = len(hopeful)
        policy = DeadlinePolicy(three())
        seen = traffic(60, 150, n=n)
        budgets_ms = np.where(hopeful, seen.budget_ms, -50.0)
        policy.saw(Traffic(seen.gap_ms, budgets_ms, *[np.zeros(n)] * 3))
        policy.refit()
        return policy.price_ms(10.0, 20.0, budget_ms=150.0)

    alone = DeadlinePolicy(three())
    alone.saw(busy)
    alone.refit()
    stretches = priced(np.arange(8000) % 400 < 100)
    mixed = priced(np.random.default_rng(3).random(8000) < 0.25)
    assert stretches == pytest.approx(alone.price_ms(10.0, 20.0), rel=0.25)
    assert mixed < 0.5 * stretches


def test_budgets_that_come_in_stretches_have_a_price_of_their_own_in_each() -> None:
    """Behind a request with much time others like it are near; behind one without, none is."""
    seen = traffic(60, 150, n=4000)

    def fitted_to(good: np.ndarray) -> DeadlinePolicy:
        policy = DeadlinePolicy(three())
        budgets_ms = np.where(good, seen.budget_ms, seen.budget_ms - 200)
        policy.saw(Traffic(seen.gap_ms, budgets_ms, *[np.zeros(4000)] * 3))
        policy.refit()
        return policy

    stretches = fitted_to(np.arange(4000) % 400 < 200)
    mixed = fitted_to(np.random.default_rng(1).random(4000) < 0.5)
    good, bad = (stretches.price_ms(10.0, 20.0, budget_ms) for budget_ms in (150.0, -50.0))
    assert good > 3 * bad > 0
    assert mixed.price_ms(10.0, 20.0, 150.0) == mixed.price_ms(10.0, 20.0, -50.0)


def test_budgets_of_few_values_can_be_divided() -> None:
    policy = DeadlinePolicy(three())
    budgets_ms = np.repeat([-90.0, 40.0, 90.0, 90.0, 40.0], 50)
    policy.saw(Traffic(np.full(250, 10.0), budgets_ms, *[np.zeros(250)] * 3))
    policy.refit()
    assert np.isfinite(policy.prices.value).all()


def test_work_beyond_every_budget_still_has_a_price() -> None:
    """A job of 3 s before budgets of 150 ms loses what 3 s of requests bring, not 0.15 s."""
    quantiles = tuple((level, 4.0 if level < 0.9 else 3000.0) for level in LEVELS.tolist())
    long = Profile(model="long", accuracy=99, mean_ms=304, std_ms=900, quantiles_ms=quantiles)
    short = Profile(model="short", accuracy=60, mean_ms=5, std_ms=0.5)
    policy = DeadlinePolicy(table("two", [short, long]))
    policy.saw(traffic(20, 150))
    policy.refit()
    assert policy.choose(150.0, now_ms=1e9).model == "short"
    worth = policy.prices.value[0, 0, -1] - policy.prices.value[0, 0, 0]
    assert worth == pytest.approx(0.1 * 3000 / 50 * 60, rel=0.2)


def _stretched(period_ms: float) -> Network:
    """20 Mbps and 1 Mbps by turns: 100 kB take 40 ms or 800 ms."""
    edges_ms = np.array([0.0, period_ms, 2 * period_ms])
    capacity = Recorded(edges_ms, np.array([20.0, 1.0]))
    return Path("by turns", capacity, capacity, 40.0, 0.0, 0.0, 0.0, 1e5, 1e3)


@pytest.mark.parametrize("workers", [1, 4])
def test_a_network_good_in_stretches_leaves_it_ahead_of_every_model(workers: int) -> None:
    source = load("p2").table
    setup = Setup(source, _stretched(30_000.0), False, 15_000, seed=2)
    queue = Load(arrivals(f"poisson:{125 * workers}"), workers)

    def effective(name: str) -> float:
        return queueing.run(setup, queueing.parse(name), 300, queue).effective_accuracy

    best = max(effective(f"static:{model}") for model in source.models)
    assert best > 20
    assert effective("deadline") > best
