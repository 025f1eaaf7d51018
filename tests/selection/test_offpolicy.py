"""Replaying policies on decision logs whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgewise.errors import InputError, UsageError
from edgewise.records import Decision, Profile
from edgewise.selection.engine.queueing import parse
from edgewise.selection.offpolicy import Weighed, value
from edgewise.selection.offpolicy_replay import estimate_all, learned
from edgewise.selection.policies.registry import parse as parse_plain
from edgewise.selection.profiles.table import table

NAMES = ("l", "m", "s")
ACCURACY = {"l": 90.0, "m": 80.0, "s": 60.0}
MEAN_MS = {"l": 40.0, "m": 15.0, "s": 3.0}
PROFILES = table(
    "known",
    [
        Profile(model=name, accuracy=ACCURACY[name], mean_ms=MEAN_MS[name], std_ms=2.0)
        for name in NAMES
    ],
)


def decision(number: int, **given: Any) -> Decision:
    values = {
        "at": f"2026-11-24T00:00:00.{number:06d}+00:00", "request_id": str(number),
        "family": "digits", "policy": "logged", "outcome": "answered", "sla_ms": 100.0,
        "budget_ms": 60.0, "basis": "client", "backlog_ms": 0.0, "queue_length": 0, "queue_ms": 0.0,
    } | given  # fmt: skip
    return Decision(**values)


def answered(number: int, variant: str, probabilities: dict[str, float], **given: Any) -> Decision:
    return decision(
        number, variant=variant, probability=probabilities[variant], probabilities=probabilities,
        accuracy=ACCURACY[variant], service_ms=MEAN_MS[variant], **given,
    )  # fmt: skip


def in_time(variant: str, budget_ms: float, rng: np.random.Generator) -> bool:
    return bool(MEAN_MS[variant] + 2.0 * rng.standard_normal() <= budget_ms)


def logged(policy: str, n: int, seed: int) -> list[Decision]:
    """A log of a policy that draws lots, over budgets from 0 to 60 ms."""
    rng = np.random.default_rng(seed)
    chooser = parse_plain(policy).on(PROFILES)
    rows = []
    for number in range(n):
        budget_ms = float(rng.uniform(0, 60))
        odds = {NAMES[i]: p for i, p in chooser.probabilities(100.0, budget_ms).items()}
        variant = str(rng.choice(list(odds), p=list(odds.values())))
        rows.append(
            answered(number, variant, odds, budget_ms=budget_ms,
                     in_time=in_time(variant, budget_ms, rng))
        )  # fmt: skip
    return rows


def truth(policy: str, n: int = 100_000) -> float:
    """Effective accuracy of a policy on the same traffic, by running it."""
    rng = np.random.default_rng(99)
    budget_ms = rng.uniform(0, 60, n)
    chooser = parse_plain(policy).on(PROFILES)
    chosen = chooser.choose_many(100.0, budget_ms, rng.uniform(0, 1, n))
    took_ms = PROFILES.mean_ms[chosen] + 2.0 * rng.standard_normal(n)
    return float((PROFILES.accuracy[chosen] * (took_ms <= budget_ms)).mean())


@pytest.mark.parametrize("target", ["mdinference", "fastest", "budget_uniform", "static:m"])
def test_intervals_cover_the_truth_as_often_as_they_say(target: str) -> None:
    true, runs = truth(target), 60
    covered = {"sn": 0, "ips": 0}
    errors = []
    for seed in range(runs):
        (told,) = estimate_all(logged("exploration", 400, seed), [parse(target)], log="x",
                               profiles=PROFILES)  # fmt: skip
        assert told.effective_ci95 and told.ips_effective_ci95
        assert told.effective_accuracy is not None
        covered["sn"] += told.effective_ci95[0] <= true <= told.effective_ci95[1]
        covered["ips"] += told.ips_effective_ci95[0] <= true <= told.ips_effective_ci95[1]
        errors.append(told.effective_accuracy - true)
    # 57 of 60 expected; at most 51 has a chance of 1 in 200.
    assert covered["sn"] >= 52
    assert covered["ips"] >= 52
    assert abs(np.mean(errors)) < 3 * np.std(errors) / runs**0.5 + 0.2


def test_the_logged_policy_itself_is_what_was_delivered() -> None:
    rows = logged("exploration", 500, 1)
    (told,) = estimate_all(rows, [parse("exploration")], log="x", profiles=PROFILES)
    assert told.effective_accuracy == pytest.approx(told.logged_effective_accuracy)
    assert told.attainment == pytest.approx(told.logged_attainment)
    assert told.effective_samples == pytest.approx(500)
    assert told.mean_weight == pytest.approx(1)


def test_a_log_without_lots_tells_nothing_of_another_policy_and_all_of_its_own() -> None:
    rng = np.random.default_rng(3)
    rows = [
        answered(i, "s", {"s": 1.0}, in_time=in_time("s", 60.0, rng), budget_ms=60.0)
        for i in range(200)
    ]
    other, same = estimate_all(
        rows, [parse("most_accurate"), parse("fastest")], log="x", profiles=PROFILES
    )
    assert other.effective_accuracy is None
    assert other.ips_effective_accuracy is None
    assert other.effective_ci95 is None
    assert other.attainment is None
    assert "100 % of this policy's choices were never tried" in (other.reason or "")
    assert other.uncovered_fraction == 1.0
    assert same.effective_accuracy == pytest.approx(60.0)
    assert same.reason is None


def test_a_little_that_was_never_tried_widens_the_interval_by_all_it_may_be_worth() -> None:
    sure = [answered(i, "s", {"s": 1.0}, in_time=True) for i in range(970)]
    other = [answered(970 + i, "m", {"m": 1.0}, in_time=True) for i in range(30)]
    (told,) = estimate_all(sure + other, [parse("fastest")], log="x", profiles=PROFILES)
    assert told.uncovered_fraction == pytest.approx(0.03)
    assert told.effective_ci95
    assert told.effective_ci95[0] <= 0.97 * 60
    assert told.effective_ci95[1] >= 0.97 * 60 + 3
    assert told.notes == ("the interval covers whatever the untried choices may be worth",)


def test_too_few_effective_samples_make_no_estimate() -> None:
    odds = {"s": 0.99, "l": 0.01}
    rows = [answered(i, "s", odds, in_time=True) for i in range(300)]
    rows += [answered(300 + i, "l", odds, in_time=True) for i in range(3)]
    (told,) = estimate_all(rows, [parse("static:l")], log="x", profiles=PROFILES)
    assert told.effective_accuracy is None
    assert told.reason == "3 effective samples are too few: log longer, or more alike"


def test_hopeless_requests_score_nothing_whatever_the_policy() -> None:
    odds = {"s": 0.5, "m": 0.5}
    rows = [answered(i, "sm"[i % 2], odds, in_time=True) for i in range(200)]
    rows += [decision(200 + i, outcome="shed", reason="late", budget_ms=1.0) for i in range(200)]
    (told,) = estimate_all(rows, [parse("static:m")], log="x", profiles=PROFILES)
    assert told.effective_accuracy == pytest.approx(40.0)
    assert told.usage == {"m": 0.5, "nothing in time": 0.5}


def test_a_refusal_for_its_price_was_a_choice_that_another_policy_need_not_make() -> None:
    rows = [decision(i, outcome="shed", reason="price") for i in range(200)]
    (told,) = estimate_all(rows, [parse("fastest")], log="x", profiles=PROFILES)
    assert told.logged_effective_accuracy == 0.0
    assert told.effective_accuracy is None
    assert told.uncovered_fraction == 1.0


def test_what_was_no_choice_is_left_out_and_counted() -> None:
    odds = {"s": 0.5, "m": 0.5}
    rows = [answered(i, "sm"[i % 2], odds, in_time=True) for i in range(100)]
    rows += [
        decision(101, outcome="cancelled"),
        answered(102, "l", {"l": 1.0}, pinned=True),
        decision(103, variant="s", probability=1.0, accuracy=60.0),
    ]
    (told,) = estimate_all(rows, [parse("fastest")], log="x", profiles=PROFILES)
    assert told.decisions == 100
    assert told.left_out == {
        "cancelled by the caller": 1, "pinned to a variant": 1, "without a probability": 1,
    }  # fmt: skip


def test_plus_queue_sees_what_the_queue_left() -> None:
    odds = {"s": 0.5, "l": 0.5}
    rows = [
        answered(i, "sl"[i % 2], odds, budget_ms=60.0, queue_ms=50.0, in_time=i % 2 == 0)
        for i in range(200)
    ]
    blind, knowing = estimate_all(
        rows, [parse("mdinference"), parse("mdinference+queue")], log="x", profiles=PROFILES
    )
    assert blind.usage == {"l": 1.0}
    assert knowing.usage == {"s": 1.0}
    assert blind.effective_accuracy == pytest.approx(0.0)
    assert knowing.effective_accuracy == pytest.approx(60.0)


def test_profiles_come_from_the_log_where_none_are_named() -> None:
    rows = logged("exploration", 400, 5)
    known = learned("digits", rows)
    assert known.models == NAMES
    assert known.mean_ms.tolist() == pytest.approx([40.0, 15.0, 3.0])
    (told,) = estimate_all(rows, [parse("fastest")], log="x")
    assert told.usage == {"s": 1.0}


def test_each_family_is_told_apart() -> None:
    odds = {"s": 0.5, "m": 0.5}
    rows = [
        answered(i, "sm"[i // 2 % 2], odds, family=f"f{i % 2}", in_time=True) for i in range(400)
    ]
    told = estimate_all(rows, [parse("fastest"), parse("most_accurate")], log="x")
    assert [(each.family, each.policy) for each in told] == [
        ("f0", "fastest"), ("f0", "most_accurate"), ("f1", "fastest"), ("f1", "most_accurate"),
    ]  # fmt: skip


def test_weights_above_the_clip_are_cut_and_said_so() -> None:
    weight = np.array([1.0] * 99 + [50.0])
    ones = np.ones(100)
    told = value(Weighed(weight, ones, 0 * ones), ones, 1.0)
    assert told.clip == 10.0
    assert told.clipped_fraction == pytest.approx(0.01)
    assert told.ips == pytest.approx(1.09)
    assert told.mean_weight == pytest.approx(1.49)
    assert value(Weighed(weight, ones, 0 * ones), ones, 1.0, clip=60).clipped_fraction == 0


@pytest.mark.parametrize("policy", ["cascade", "oracle", "mdinference+cascade"])
def test_policies_that_look_at_what_is_not_logged_are_refused(policy: str) -> None:
    with pytest.raises(UsageError, match="does not hold"):
        estimate_all(logged("exploration", 40, 1), [parse(policy)], log="x", profiles=PROFILES)


def test_an_empty_log_is_said_to_be_empty() -> None:
    with pytest.raises(InputError, match="holds no decisions"):
        estimate_all([], [parse("fastest")], log="x")
