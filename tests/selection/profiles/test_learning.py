"""Profiles that follow samples."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.errors import InputError, UsageError
from edgewise.records import Profile
from edgewise.selection.profiles.learning import Learner, Learners, Learning
from edgewise.selection.profiles.sketch import ACCURACY, Sketch
from edgewise.selection.profiles.table import table

PRIOR = Profile(model="m", accuracy=70.0, mean_ms=10.0, std_ms=2.0, cold_ms=50.0)
times = st.lists(st.floats(0.01, 1e5), min_size=2, max_size=250)


@given(times, st.sampled_from([0.1, 0.5, 1.0]))
def test_the_weighted_rule_is_that_of_the_released_code(samples: list[float], alpha: float) -> None:
    learner = Learner(PRIOR, Learning("ewma", alpha=alpha))
    mean, variance = PRIOR.mean_ms, PRIOR.std_ms**2
    for x in samples:
        learner.observe(x)
        variance = (1 - alpha) * (variance + alpha * (x - mean) ** 2)
        mean = alpha * x + (1 - alpha) * mean
    profile = learner.profile()
    assert profile.mean_ms == pytest.approx(mean)
    assert profile.std_ms == pytest.approx(math.sqrt(variance))
    assert (profile.origin, profile.accuracy, profile.n) == ("learned", 70.0, len(samples))


@given(times, st.integers(2, 120))
def test_the_window_is_the_last_samples(samples: list[float], window: int) -> None:
    learner = Learner(PRIOR, Learning("window", window=window))
    for x in samples:
        learner.observe(x)
    kept = samples[-window:]
    assert learner.profile().mean_ms == pytest.approx(np.mean(kept))
    assert learner.profile().std_ms == pytest.approx(np.std(kept, ddof=1), abs=1e-6)
    levels, quantiles = zip(*learner.profile().quantiles_ms, strict=True)
    assert quantiles == pytest.approx(np.quantile(kept, levels).tolist())


@given(times)
def test_the_history_is_all_of_them(samples: list[float]) -> None:
    learner = Learner(PRIOR, Learning("history"))
    for x in samples:
        learner.observe(x)
    assert learner.profile().mean_ms == pytest.approx(np.mean(samples))
    assert learner.profile().std_ms == pytest.approx(np.std(samples, ddof=1), abs=1e-4, rel=1e-4)


def test_a_cold_sample_is_kept_apart() -> None:
    learner = Learner(PRIOR, Learning("window"))
    learner.observe(90.0, cold=True)
    assert learner.profile() == PRIOR
    learner.observe(9.0)
    learner.observe(11.0)
    learner.observe(70.0, cold=True)
    assert learner.profile().mean_ms == 10.0
    assert learner.profile().cold_ms == 80.0


def test_a_single_sample_of_a_window_leaves_the_prior() -> None:
    learner = Learner(PRIOR, Learning("window"))
    learner.observe(99.0)
    assert learner.profile() == PRIOR


def test_age_is_the_time_since_the_last_sample() -> None:
    learner = Learner(PRIOR)
    now = datetime(2026, 5, 1, tzinfo=UTC)
    assert learner.age_s(now) is None
    learner.observe(5.0, at=now)
    assert learner.age_s(now + timedelta(minutes=2)) == 120


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
@pytest.mark.parametrize("cold", [False, True])
def test_times_that_are_none_are_refused(bad: float, cold: bool) -> None:
    with pytest.raises(UsageError):
        Learner(PRIOR).observe(bad, cold=cold)


@pytest.mark.parametrize("bad", [{"alpha": 0}, {"alpha": 1.5}, {"alpha": math.nan}, {"window": 1}])
def test_settings_that_are_none_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        Learning("ewma", **bad)  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", ["ewma", "window", "history"])
def test_what_was_learned_survives_a_restart(tmp_path: Path, rule: str) -> None:
    priors = table("family", [PRIOR, Profile(model="k", accuracy=60.0, mean_ms=3, std_ms=1)])
    learners = Learners(priors, Learning(rule, window=20))  # type: ignore[arg-type]
    rng = np.random.default_rng(0)
    for x in rng.gamma(4, 3, 150).tolist():
        learners.observe("m", x)
    learners.observe("k", 44.0, cold=True)
    learners.save(tmp_path / "learned.json")
    again = Learners.load(tmp_path / "learned.json")
    assert again.table().profiles == learners.table().profiles
    for both in (learners, again):
        both.observe("m", 12.5, at=datetime(2026, 1, 1, tzinfo=UTC))
    assert again.table().profiles == learners.table().profiles
    assert again.table().models == ("m", "k")


@pytest.mark.parametrize(
    "change",
    [('"mean_ms":', '"mean_ms":-'), ("{", "["), ('"n":150', '"n":-1'), ("ewma", "other")],
)
def test_a_damaged_file_is_refused(tmp_path: Path, change: tuple[str, str]) -> None:
    path = tmp_path / "learned.json"
    learners = Learners(table("family", [PRIOR]), Learning("ewma"))
    for _ in range(150):
        learners.observe("m", 5.0)
    learners.save(path)
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(InputError):
        Learners.load(path)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(UsageError, match="no model 'z'"):
        Learners(table("family", [PRIOR])).observe("z", 1.0)


@given(
    st.lists(st.floats(1e-5, 1e7), min_size=1, max_size=300), st.floats(0, 1), st.integers(0, 300)
)
def test_a_sketch_is_within_its_accuracy_however_it_was_filled(
    values: list[float], level: float, cut: int
) -> None:
    one, other, whole = Sketch(), Sketch(), Sketch()
    for value in values[:cut]:
        one.add(value)
    other.add_many(np.array(values[cut:]))
    one.merge(other)
    whole.add_many(np.array(values))
    assert one.n == whole.n == len(values)
    assert (one.counts == whole.counts).all()
    exact = float(np.quantile(values, level, method="lower"))
    above = float(np.quantile(values, level, method="higher"))
    assert exact * (1 - 2 * ACCURACY) <= one.quantile(level) <= above * (1 + 2 * ACCURACY)
    assert (Sketch.from_sparse(one.to_sparse()).counts == one.counts).all()


def test_a_sketch_of_nothing_has_no_quantiles() -> None:
    with pytest.raises(ValueError, match="no values"):
        Sketch().quantile(0.5)
    with pytest.raises(ValueError, match="bucket"):
        Sketch.from_sparse({-1: 3})
