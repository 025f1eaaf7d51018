"""Recommendations keep their promises, are no larger than needed, and say what would do."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest
import typer
from msgspec import structs
from typer.testing import CliRunner

from edgewise.cli import recommend as verb
from edgewise.errors import UsageError
from edgewise.network.link import Pair
from edgewise.records import Recommendation
from edgewise.selection.engine.queueing import Load, run
from edgewise.selection.engine.simulate import simulate
from edgewise.selection.policies.registry import parse
from edgewise.selection.profiles.sources import load as profiles
from edgewise.selection.profiles.table import table
from edgewise.selection.recommend import TOLERANCE, Objective, recommend
from edgewise.selection.variations import redrawn
from edgewise.selection.workload.arrivals import parse as arrivals
from edgewise.selection.workload.setup import Setup

ARTIFICIAL = Pair("artificial", 50, 25)
TWO = {"mobilenet_v1_1.0_224", "inception_v3"}


def p2(requests: int = 2000) -> Setup:
    return Setup(profiles("p2").table, ARTIFICIAL, True, requests, 0)


def test_a_wish_that_can_be_met_is() -> None:
    found = recommend(p2(), Objective(250, 0.98, 75))
    assert found.met
    assert found.expected.attainment >= 0.98
    assert (found.expected.accuracy or 0) >= 75
    assert set(found.keep) | set(found.leave_out) == set(profiles("p2").table.models)
    assert found.enough_sla_ms is None and found.enough_workers is None


def test_leaving_models_out_costs_no_more_than_is_allowed() -> None:
    found = recommend(p2(), Objective(250))
    full = simulate(p2(), [parse("deadline")], 250)[0]
    assert len(found.keep) < 8
    # Once for a simpler policy, once for fewer models.
    assert found.expected.effective_accuracy >= full.effective_accuracy - 2 * TOLERANCE


def test_the_simplest_of_equals_is_taken() -> None:
    found = recommend(p2(), Objective(5000))
    assert found.policy == "static:nasnet_large"
    assert found.keep == ("nasnet_large",)


def test_under_load_the_queue_matters() -> None:
    found = recommend(p2(), Objective(250), Load(arrivals("poisson:300")))
    assert found.policy.startswith("deadline")
    assert found.expected.fluid_bound is not None
    assert found.expected.effective_accuracy > 0.95 * found.expected.fluid_bound


def test_what_cannot_be_met_comes_with_what_would_do() -> None:
    objective = Objective(250, 0.97, 74)
    found = recommend(p2(2000), objective, Load(arrivals("poisson:150")))
    assert not found.met and "not met" in found.notes[0]
    assert found.enough_workers is not None and found.enough_workers > 1
    more = recommend(p2(2000), objective, Load(arrivals("poisson:150"), found.enough_workers))
    assert more.met


def met_by(found: Recommendation, setup: Setup, load: Load | None = None, runs: int = 40) -> int:
    """How many runs of other requests meet the wish with what was recommended."""
    wish, policy = Objective(None, found.wish_attainment, found.wish_accuracy), parse(found.policy)
    kept = replace(setup, table=setup.table.without(found.leave_out), seed=7)
    others = [redrawn(kept, number + 1) for number in range(runs)]
    rows = [
        run(other, policy, found.sla_ms, load) if load
        else simulate(other, [policy], found.sla_ms)[0]
        for other in others
    ]  # fmt: skip
    return sum(wish.shortfall(row) == 0 for row in rows)


def test_without_a_deadline_the_shortest_that_will_do_is_found() -> None:
    found = recommend(p2(), Objective(None, 0.97, 70))
    assert found.met
    assert found.expected.attainment_ci95 is not None
    assert found.expected.attainment_ci95[0] >= 0.97, "another run can be expected to, too"
    assert met_by(found, p2()) >= 38
    shorter = recommend(p2(), Objective(found.sla_ms * 0.9, 0.97, 70))
    assert not shorter.met
    assert shorter.enough_sla_ms == pytest.approx(found.sla_ms, rel=0.05)


def test_under_load_the_policy_that_is_named_is_the_one_that_was_judged() -> None:
    load = Load(arrivals("poisson:60"), 2)
    setup = replace(p2(400), table=p2().table.without(set(p2().table.models) - TWO))
    found = recommend(setup, Objective(None, 0.95, 70), load)
    assert found.met
    assert met_by(found, setup, replace(load, discipline="edf"), 20) >= 19
    assert found.runs_met == found.runs
    assert found.expected.attainment_ci95 is not None
    assert found.expected.attainment_ci95[0] >= 0.95


def test_the_curve_rises_to_what_is_expected() -> None:
    found = recommend(p2(), Objective(250))
    values = [row.effective_accuracy for row in found.curve]
    at = [row.sla_ms for row in found.curve].index(250)
    assert values[at] == pytest.approx(found.expected.effective_accuracy)
    assert all(later > before - 1 for before, later in pairwise(values))


@pytest.mark.parametrize(
    "objective", [(None, 0.99, 0), (None, 0.0, 75), (0.0, 0, 0), (200, 1.0, 0), (200, 0.9, 101)]
)
def test_half_a_wish_is_refused(objective: tuple[float | None, float, float]) -> None:
    with pytest.raises(UsageError):
        Objective(*objective)


def cli(*arguments: str) -> str:
    app = typer.Typer()
    app.command()(verb.recommend)
    app.command("other")(lambda: None)
    result = CliRunner().invoke(app, ["recommend", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def test_the_verb_prints_one_object() -> None:
    lines = cli("--sla", "250", "--requests", "2000", "--json").splitlines()
    assert len(lines) == 1
    found = json.loads(lines[0])
    assert found["profiles"] == "p2" and found["sla_ms"] == 250
    assert found["policy"] and found["keep"] and found["expected"]["effective_accuracy"] > 70


def test_the_verb_reads_well() -> None:
    text = cli("--sla", "250", "--requests", "2000", "--arrivals", "poisson:60")
    for word in ("run", "keep", "expect", "in time"):
        assert word in text


def test_workers_without_arrivals_are_refused() -> None:
    with pytest.raises(UsageError, match="arrivals"):
        cli("--sla", "250", "--workers", "3")


def test_answering_nothing_meets_no_wish() -> None:
    """Far too many requests: variants below the wished accuracy are left out, the rest answers."""
    setup = Setup(profiles("c5").table, ARTIFICIAL, True, 2000, 0)
    found = recommend(setup, Objective(200, 0.0, 50), Load(arrivals("poisson:657"), 2))
    assert found.met and found.expected.effective_accuracy > 15
    assert all(setup.table.accuracy[setup.table.index(model)] >= 50 for model in found.keep)
    assert found.bound is not None and found.bound > found.expected.effective_accuracy - 1


def test_variants_below_the_wished_accuracy_go_where_that_meets_the_wish() -> None:
    setup = Setup(profiles("c5").table, Pair("campus", 63.36, 37.91), True, 2000, 0)
    found = recommend(setup, Objective(350, 0.9, 65), Load(arrivals("poisson:60"), 2))
    assert found.met and (found.expected.accuracy or 0) >= 65


def test_certainty_is_stated_and_carried_through() -> None:
    """Few runs of a model leave its mean open: other runs spread, and it is named."""
    known = profiles("p2").table.profiles
    few = [structs.replace(each, n=4, std_ms=each.mean_ms / 3) for each in known]
    few = [structs.replace(each, accuracy_ci95=(0, 100)) for each in few]
    sure, unsure = (
        recommend(Setup(table("p", profiles), ARTIFICIAL, True, 2000, 0), Objective(250))
        for profiles in (known, few)
    )

    def width(found: Recommendation) -> float:
        low, high = found.expected.effective_ci95 or (0, 0)
        return high - low

    assert 0 < width(sure) < 3 < width(unsure)
    assert sure.runs == 5
    assert any("known to no better" in note for note in unsure.notes)
