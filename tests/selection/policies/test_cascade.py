"""`cascade`: the guarantee under resampling, its failure under shift, and what time allows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import UsageError
from edgewise.network.link import Pair
from edgewise.records import Profile
from edgewise.selection.engine import queueing
from edgewise.selection.engine.queueing import Load
from edgewise.selection.engine.simulate import simulate
from edgewise.selection.policies.cascade import (
    Calibrated,
    Cascade,
    Fitted,
    calibrate,
    fit,
    halves,
    serve,
    threshold,
    with_cascades,
)
from edgewise.selection.policies.registry import parse
from edgewise.selection.profiles.sources import Samples, gather, load
from edgewise.selection.workload.arrivals import parse as arrivals
from edgewise.selection.workload.setup import Setup


def photos(n: int, seed: int = 0) -> Samples:
    """Two models: a quick one whose confidence tells when it is right, and a slow good one."""
    rng = np.random.default_rng(seed)
    sure = rng.beta(4, 1.3, n)
    quick = rng.random(n) < sure
    slow = rng.random(n) < 0.9
    times = np.stack([rng.gamma(50, 10 / 50, n), rng.gamma(50, 100 / 50, n)], axis=1)
    confidence = np.stack([sure, rng.random(n)], axis=1)
    right = np.stack([quick, slow], axis=1)
    return gather("photos", ("quick", "slow"), times, right, None, confidence)


def lost(samples: Samples, cheap: int, costly: int) -> np.ndarray:
    return ~samples.correct[:, cheap] & samples.correct[:, costly]


# --- the threshold


@pytest.mark.parametrize("risk", [0.01, 0.03, 0.1])
def test_the_risk_holds_on_average_over_calibrations(risk: float) -> None:
    everything = photos(20_000)
    cheap, costly = everything.table.index("quick"), everything.table.index("slow")
    assert everything.confidence is not None
    sure, gone = everything.confidence[:, cheap], lost(everything, cheap, costly)
    rng = np.random.default_rng(1)
    losses = []
    for _ in range(300):
        rows = rng.choice(len(sure), 200, replace=False)
        limit = threshold(sure[rows], gone[rows], risk)
        losses.append(float((gone & (sure >= limit)).mean()))
    # Not above the risk, and no further below it than the finite sample makes it: 1 / (n + 1).
    assert risk - 2.5 / 201 < np.mean(losses) < risk + 3 * np.std(losses) / 300**0.5


def test_the_guarantee_ends_where_the_inputs_change() -> None:
    """Label shift: three times as many inputs that the quick model gets wrong."""
    samples = photos(20_000)
    cheap, costly = samples.table.index("quick"), samples.table.index("slow")
    assert samples.confidence is not None
    sure, gone = samples.confidence[:, cheap], lost(samples, cheap, costly)
    limit = threshold(sure[::2], gone[::2], 0.03)
    weight = np.where(samples.correct[1::2, cheap], 1.0, 3.0)
    shifted = float((weight * (gone & (sure >= limit))[1::2]).sum() / weight.sum())
    assert shifted > 0.05


@given(st.integers(1, 60), st.integers(0, 10_000), st.floats(0.001, 0.6))
@settings(max_examples=200, deadline=None)
def test_the_threshold_is_the_smallest_that_the_rule_allows(n: int, seed: int, risk: float) -> None:
    rng = np.random.default_rng(seed)
    sure, gone = rng.integers(0, 8, n) / 8, rng.random(n) < 0.3
    allowed = [
        limit
        for limit in [*sorted(set(sure.tolist())), np.inf]
        if (int((gone & (sure >= limit)).sum()) + 1) / (n + 1) <= risk + 1e-9
    ]
    assert threshold(sure, gone, risk) == (min(allowed) if allowed else np.inf)


@given(st.integers(1, 40), st.integers(0, 10_000))
@settings(max_examples=100, deadline=None)
def test_calibration_is_the_isotonic_regression(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    sure, right = rng.integers(0, 10, n) / 10, rng.random(n) < 0.6
    edges = np.unique(sure)
    found = calibrate(sure, right).at(edges)
    # The min-max formula: for each edge, the max over starts of the min over ends of the mean.
    for i, edge in enumerate(edges):
        means = [
            min(float(right[(sure >= start) & (sure <= end)].mean()) for end in edges[i:])
            for start in edges[: i + 1]
        ]
        assert found[i] == pytest.approx(max(means)), edge


# --- serving


def pair(limit: float = 0.8) -> Fitted:
    rising = Calibrated(np.array([0.0, 0.5]), np.array([0.3, 0.7]))
    flat = Calibrated(np.array([0.0]), np.array([0.9]))
    return Fitted(1, 0, limit, rising, flat, np.full(10, 100.0))


def test_it_escalates_what_is_unsure_and_can_be_in_time() -> None:
    sure = np.array([0.9, 0.6, 0.6, 0.6])
    left = np.array([500.0, 500.0, 100.0, 99.0])
    assert pair().escalates(sure, left).tolist() == [False, True, True, False]


def test_an_escalation_pays_the_price_of_time() -> None:
    sure, left = np.array([0.6, 0.2]), np.full(2, 500.0)
    # Gains of 20 and 60 points.
    assert pair().escalates(sure, left, price=10).tolist() == [True, True]
    assert pair().escalates(sure, left, price=40).tolist() == [False, True]
    assert pair().escalates(sure, left, price=70).tolist() == [False, False]


def test_a_late_escalation_gives_the_cheap_answer_in_time() -> None:
    samples = photos(2000)
    fitted = fit(samples, Cascade(cheap="quick", risk=0.5))
    rows = np.arange(2000)
    done = serve(samples, fitted, rows, 108.0)
    late = done.escalated & ~done.replaced
    assert late.any()
    assert (done.time_ms[done.escalated] <= 108.0).all()
    assert (done.right[late] == samples.correct[late, fitted.cheap]).all()


def test_half_the_time_for_the_accuracy_of_the_costly_model() -> None:
    samples = photos(4000)
    even, odd = halves(len(samples))
    done = serve(samples, fit(samples, Cascade(risk=2), odd), even)
    slow = samples.table.index("slow")
    assert done.right.mean() > samples.correct[even, slow].mean() - 0.02
    assert done.time_ms.mean() < 0.8 * samples.service_ms[even, slow].mean()


def test_as_a_model_of_the_family_it_is_weighed_by_deadline() -> None:
    samples = photos(2000)
    family = with_cascades(samples, [Cascade(risk=1), Cascade(risk=5)])
    assert {"quick", "slow", "cascade:risk=1", "cascade:risk=5"} == set(family.table.models)
    one = Setup(samples.table, Pair("artificial", 50, 25), True, 15_000, 0, samples)
    under = Load(arrivals("poisson:14"))
    rows = {
        name: queueing.run(one, queueing.parse(name), 500, under).effective_accuracy
        for name in ("static:slow", "static:quick", "cascade", "deadline", "deadline+cascade")
    }
    assert rows["deadline+cascade"] > max(rows["deadline"], rows["static:slow"])


def test_the_simulator_measures_it_beside_the_others() -> None:
    samples = photos(1000)
    one = Setup(samples.table, Pair("artificial", 50, 25), True, 4000, 0, samples)
    quick, cascade, slow = simulate(
        one, [parse("fastest"), parse("cascade:risk=1"), parse("most_accurate")], 1000
    )
    assert quick.effective_accuracy < cascade.effective_accuracy
    assert cascade.mean_ms is not None and slow.mean_ms is not None
    assert cascade.mean_ms < slow.mean_ms
    assert cascade.attainment == 1.0
    assert sum(cascade.usage.values()) == pytest.approx(1)


# --- bad input


def test_where_not_even_the_cheap_model_is_in_time_the_fastest_answers() -> None:
    three = photos(2000)
    times = np.column_stack([three.service_ms, np.full(2000, 1.0)])
    right = np.column_stack([three.correct, np.zeros(2000, dtype=bool)])
    own = np.column_stack([three.confidence, np.full(2000, 0.5)])
    models = (*three.table.models, "instant")
    samples = gather("photos", models, times, right, None, own)
    tight = Setup(samples.table, Pair("none", 1.0, 0.0), True, 1000, 0, samples)
    (row,) = simulate(tight, [parse("cascade:cheap=quick:costly=slow")], 5.0)
    assert (row.usage, row.attainment) == ({"instant": 1.0}, 1.0)


def test_a_held_back_answer_leaves_before_the_prediction_of_the_download_fails() -> None:
    samples = photos(4000)
    uncertain = Setup(samples.table, Pair("artificial", 50, 25), False, 20_000, 0, samples)
    cascade, quick = parse("cascade:cheap=quick:costly=slow"), parse("static:quick")
    for sla_ms in (200.0, 260.0):
        (ours,), (cheap,) = (simulate(uncertain, [one], sla_ms) for one in (cascade, quick))
        assert ours.attainment > cheap.attainment - 0.02


def test_profiles_without_answers_are_refused() -> None:
    one = Setup(load("p2").table, Pair("artificial", 50, 25), True, 10, 0)
    with pytest.raises(UsageError, match="confidence"):
        simulate(one, [Cascade()], 100)


def test_samples_without_confidence_are_refused() -> None:
    samples = photos(50)
    bare = gather("bare", samples.table.models, samples.service_ms, samples.correct)
    with pytest.raises(UsageError, match="confidence"):
        fit(bare, Cascade())


def test_a_family_of_one_cannot_cascade() -> None:
    samples = photos(50)
    alone = gather(
        "alone", ("slow",), samples.service_ms[:, :1], samples.correct[:, :1], None,
        np.ones((50, 1)),
    )  # fmt: skip
    with pytest.raises(UsageError, match="faster"):
        fit(alone, Cascade())


def test_a_duplicate_beside_a_cascade_is_refused() -> None:
    samples = photos(50)
    device = Profile(model="tiny", accuracy=40.0, mean_ms=20.0, std_ms=0.0)
    one = Setup(samples.table, Pair("artificial", 50, 25), True, 10, 0, samples, device)
    with pytest.raises(UsageError, match="duplicate"):
        simulate(one, [Cascade()], 100)


@pytest.mark.parametrize("text", ["cascade:risk=0", "cascade:risk=100", "cascade:cheap=a:costly=a"])
def test_parameters_out_of_range_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="cascade"):
        parse(text)


def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(UsageError, match="no model"):
        fit(photos(50), Cascade(cheap="huge"))


# --- the phone


@pytest.mark.corpus
def test_the_numbers_of_the_specification(reference_data: Path) -> None:
    samples = load(str(reference_data / "phone_inference.csv.gz")).samples
    assert samples is not None and samples.confidence is not None
    cheap = samples.table.index("mobilenet_1.0_160")
    costly = samples.table.index("inception_v3")
    sure = samples.confidence[:, cheap]
    fixed = Fitted(
        cheap, costly, 0.95, calibrate(sure, samples.correct[:, cheap]),
        calibrate(sure, samples.correct[:, costly]), np.sort(samples.service_ms[:, costly]),
    )  # fmt: skip
    even, odd = halves(len(samples))
    last = np.arange(len(samples) // 2, len(samples))
    done = [serve(samples, fixed, rows) for rows in (even, odd, last)]
    assert [100 * d.right.mean() for d in done] == pytest.approx([85.0, 87.5, 82.3], abs=0.06)
    assert [d.time_ms.mean() for d in done[:2]] == pytest.approx([375, 375], abs=5)
    alone = [100 * samples.correct[rows, costly].mean() for rows in (even, odd, last)]
    assert alone == pytest.approx([84.7, 86.6, 82.6], abs=0.06)
