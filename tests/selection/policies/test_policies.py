"""Every published policy against a plain implementation, and the properties they must have."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from plain import Model, choices

from edgewise.errors import UsageError
from edgewise.records import Profile
from edgewise.selection.policies.protocol import budget
from edgewise.selection.policies.registry import parse, parse_all, policies
from edgewise.selection.profiles.table import ProfileTable, table

SURE = ["fastest", "most_accurate", "greedy", "mdinference", "mdinference:gamma=2.5"]
LOTS = ["random", "exploration", "budget_uniform", "budget_weighted", "budget_weighted:gamma=0"]
EXPLORING = [
    "cnnselect",
    "cnnselect:threshold=8",
    "cnnselect:gamma=2",
    "cnnselect:threshold=8:exclude_dominated",
]

#: Quarters are exact in binary, so that sums of them compare as on paper; few values make ties.
quarters = st.integers(1, 200).map(lambda n: n / 4)
models_strategy = st.lists(
    st.tuples(
        st.sampled_from([0.0, 40.0, 55.5, 55.5, 70.0, 82.25, 100.0]),
        quarters,
        st.integers(0, 12).map(lambda n: n / 4),
    ),
    min_size=1,
    max_size=9,
).map(lambda rows: [Model(f"m{i}", *row) for i, row in enumerate(rows)])
times = st.integers(-40, 260).map(lambda n: n / 4 + 0.125)

#: One of 2,000 even draws falls exactly on the place of m0 among the cumulated weights (177.75 of
#: 360): a model that weighs nothing must not be found there.
WEIGHTLESS = [
    Model("m0", 0.0, 0.25, 0.0), Model("m1", 40.0, 0.25, 0.0), Model("m2", 55.5, 0.25, 0.0),
    Model("m3", 82.25, 0.25, 0.0), Model("m4", 82.25, 0.25, 0.25), Model("m5", 100.0, 0.25, 0.25),
]  # fmt: skip
#: Nothing but weightless ones: any of them.
WORTHLESS = [Model("m0", 0.0, 0.25, 0.0), Model("m1", 0.0, 0.5, 0.0), Model("m2", 0.0, 9.0, 0.0)]


def as_table(models: list[Model]) -> ProfileTable:
    return table(
        "test",
        [Profile(model=m.name, accuracy=m.accuracy, mean_ms=m.mean, std_ms=m.std) for m in models],
    )


def expected(text: str, models: list[Model], sla: float, left: float) -> dict[str, float]:
    kind, *words = text.split(":")
    given_words = dict(word.partition("=")[::2] for word in words)
    return choices(
        kind,
        models,
        sla,
        left,
        gamma=float(given_words.get("gamma", 1)),
        threshold=float(given_words.get("threshold", 0)),
        exclude_dominated="exclude_dominated" in given_words,
    )


@pytest.mark.parametrize("text", SURE + LOTS + EXPLORING)
@settings(max_examples=150, deadline=None)
@given(models=models_strategy, sla=times.filter(lambda t: t >= 0), left=times)
@example(models=WEIGHTLESS, sla=0.125, left=0.625)
@example(models=WORTHLESS, sla=0.125, left=0.625)
def test_probabilities_are_those_of_the_plain_implementation(
    text: str, models: list[Model], sla: float, left: float
) -> None:
    profiles = as_table(models)
    chooser = parse(text).on(profiles)
    # The share of an even grid of draws is the probability, to within two grid steps a model.
    draws = (np.arange(2000) + 0.5) / 2000
    counted = Counter(chooser.choose_many(sla, np.full(2000, left), draws).tolist())
    probabilities = expected(text, models, sla, left)
    assert {profiles.models[i] for i in counted} <= set(probabilities)
    for name, probability in probabilities.items():
        assert counted[profiles.index(name)] / 2000 == pytest.approx(probability, abs=2 / 2000)
    stated = {profiles.models[i]: p for i, p in chooser.probabilities(sla, left).items()}
    for name in {*probabilities, *stated}:
        assert stated.get(name, 0) == pytest.approx(probabilities.get(name, 0), abs=1e-12)


@pytest.mark.parametrize("text", SURE + LOTS + EXPLORING)
@settings(max_examples=60, deadline=None)
@given(models=models_strategy, sla=times.filter(lambda t: t >= 0), seed=st.integers(0, 1000))
def test_one_choice_is_the_choice_within_an_array(
    text: str, models: list[Model], sla: float, seed: int
) -> None:
    chooser = parse(text).on(as_table(models))
    rng = np.random.default_rng(seed)
    # On the breakpoints too, and infinitely far from them.
    exact = [m.mean + m.std for m in models] + [m.mean for m in models]
    budgets = np.array([*rng.uniform(-10, 80, 40), *exact, math.inf, -math.inf])
    if "cnnselect" in text:
        budgets = budgets[np.isfinite(budgets)]
    draws = rng.random(len(budgets))
    many = chooser.choose_many(sla, budgets, draws)
    pairs = zip(budgets.tolist(), draws.tolist(), strict=True)
    assert many.tolist() == [chooser.choose(sla, left, draw) for left, draw in pairs]


@pytest.mark.parametrize("text", ["mdinference", "budget_uniform", "budget_weighted", *EXPLORING])
@settings(max_examples=100, deadline=None)
@given(models=models_strategy, left=times, draw=st.floats(0, 1, exclude_max=True))
def test_never_slower_than_the_budget_when_something_fits(
    text: str, models: list[Model], left: float, draw: float
) -> None:
    profiles = as_table(models)
    chosen = parse(text).on(profiles).choose(100.0, left, draw)
    if any(m.mean + 2.5 * m.std < left for m in models) and ":" not in text:
        assert profiles.mean_ms[chosen] + profiles.std_ms[chosen] < left
    if not any(m.mean < left for m in models):
        assert chosen == profiles.fastest


@pytest.mark.parametrize("text", ["greedy", "mdinference", "mdinference:gamma=0"])
@settings(max_examples=100, deadline=None)
@given(models=models_strategy, left=times)
def test_a_dominated_model_is_never_chosen(text: str, models: list[Model], left: float) -> None:
    profiles = as_table(models)
    chosen = parse(text).on(profiles).choose(max(left, 0.0), left, 0.5)
    # Slower in the mean and in the guard, so that it is never the only one that fits.
    assert not any(
        other.accuracy > profiles.accuracy[chosen]
        and other.mean <= profiles.mean_ms[chosen]
        and other.std <= profiles.std_ms[chosen]
        for other in models
    )


@pytest.mark.parametrize("text", ["greedy", "mdinference"])
@settings(max_examples=100, deadline=None)
@given(models=models_strategy, left=st.lists(times, min_size=2, max_size=20))
def test_accuracy_never_falls_as_time_grows(
    text: str, models: list[Model], left: list[float]
) -> None:
    profiles = as_table(models)
    chooser = parse(text).on(profiles)
    fits = [t for t in sorted(left) if any(m.mean + m.std < t for m in models) and t >= 0]
    accuracies = [profiles.accuracy[chooser.choose(t, t, 0.0)] for t in fits]
    assert accuracies == sorted(accuracies)


def test_ties_go_to_accuracy_then_time_then_name() -> None:
    profiles = as_table(
        [Model("b", 70, 5, 0), Model("a", 70, 5, 0), Model("c", 70, 4, 0), Model("d", 60, 4, 0)]
    )
    assert profiles.models == ("c", "a", "b", "d")
    assert profiles.models[parse("mdinference").on(profiles).choose(50, 50, 0.0)] == "c"
    assert profiles.models[profiles.fastest] == "c"


def test_exactly_the_budget_does_not_fit() -> None:
    profiles = as_table([Model("slow", 80, 10, 2), Model("fast", 50, 1, 0)])
    chooser = parse("mdinference").on(profiles)
    assert profiles.models[chooser.choose(99, 12.0, 0.0)] == "fast"
    assert profiles.models[chooser.choose(99, np.nextafter(12.0, 13), 0.0)] == "slow"


@pytest.mark.parametrize("text", [*SURE, *LOTS, *EXPLORING])
def test_one_model_is_the_answer_to_everything(text: str) -> None:
    chooser = parse(text).on(as_table([Model("only", 0.0, 5, 1)]))
    assert chooser.choose(0.0, -100.0, 0.999) == 0
    draws = np.array([0.0, 0.5, 1 - 2**-53])
    assert chooser.choose_many(10.0, np.array([-5.0, 5.0, 50.0]), draws).tolist() == [0, 0, 0]


@pytest.mark.parametrize("text", SURE + LOTS + EXPLORING)
@pytest.mark.parametrize(("sla", "left"), [(-1.0, 5.0), (math.nan, 5.0), (10.0, math.nan)])
def test_negative_deadlines_and_nan_are_refused(text: str, sla: float, left: float) -> None:
    chooser = parse(text).on(as_table([Model("a", 50, 5, 1), Model("b", 60, 9, 1)]))
    with pytest.raises(UsageError):
        chooser.choose(sla, left, 0.5)
    with pytest.raises(UsageError):
        chooser.choose_many(sla, np.array([1.0, left]), np.array([0.1, 0.2]))


def test_the_budget_is_what_the_network_leaves() -> None:
    assert budget(100, 20) == 60
    assert budget(100, 20, 5) == 75
    assert budget(10, 20) == -30
    for bad in [(-1, 1), (100, -1), (math.nan, 1), (100, math.nan), (100, 1, -2)]:
        with pytest.raises(UsageError):
            budget(*bad)


def test_static_takes_its_model_by_name() -> None:
    profiles = as_table([Model("a", 50, 5, 1), Model("b", 60, 9, 1)])
    assert profiles.models[parse("static:a").on(profiles).choose(1, 1, 0)] == "a"
    with pytest.raises(UsageError, match="no model 'z'"):
        parse("static:z").on(profiles)


def test_the_oracle_needs_the_simulator() -> None:
    chooser = parse("oracle").on(as_table([Model("a", 50, 5, 1)]))
    with pytest.raises(UsageError, match="actual times"):
        chooser.choose(1.0, 1.0, 0.0)


@pytest.mark.parametrize("text", SURE + LOTS + EXPLORING + ["static:a"])
def test_a_policy_is_written_as_it_is_read(text: str) -> None:
    assert parse(parse(text).name) == parse(text)
    assert parse(text).kind in policies()


@pytest.mark.parametrize(
    "text",
    ["nope", "", "static", "cnnselect:foo=1", "cnnselect:threshold=x", "cnnselect:threshold=-1",
     "cnnselect:threshold=nan", "mdinference:gamma=-1", "cnnselect:epsilon=0", "fastest:1",
     "cnnselect:threshold=1:threshold=2", "cnnselect:exclude_dominated=maybe"],
)  # fmt: skip
def test_what_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_the_same_policy_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        parse_all(["greedy", "greedy"])
    with pytest.raises(UsageError, match="no policy"):
        parse_all([""])


@pytest.mark.parametrize(("text", "left"), [("cnnselect", 30.0), ("cnnselect:threshold=12", 40.0)])
def test_stage_three_is_distributed_as_its_formula(text: str, left: float) -> None:
    """Chi-square of 20,000 draws against the utilities; 0.999 quantile of its distribution."""
    models = [
        Model("a", 80, 9, 1), Model("b", 75, 12, 2), Model("c", 70, 17, 3),
        Model("d", 60, 20, 1), Model("e", 85, 60, 2),
    ]  # fmt: skip
    profiles = as_table(models)
    n = 20_000
    draws = np.random.default_rng(7).random(n)
    counted = Counter(parse(text).on(profiles).choose_many(99.0, np.full(n, left), draws).tolist())
    probabilities = expected(text, models, 99.0, left)
    assert len(probabilities) >= 3
    square = sum(
        (counted[profiles.index(name)] - n * p) ** 2 / (n * p) for name, p in probabilities.items()
    )
    assert square < {2: 13.82, 3: 16.27, 4: 18.47}[len(probabilities) - 1]
    assert sum(counted.values()) == n
