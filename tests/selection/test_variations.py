"""Variations of a set-up, and what is expected of another run."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from edgewise.network.catalogue import pairs
from edgewise.records import SimulationRow
from edgewise.selection.engine.simulate import simulate
from edgewise.selection.policies.published import Static
from edgewise.selection.profiles.sources import load
from edgewise.selection.profiles.table import table
from edgewise.selection.variations import merged, of_next_attainment, redrawn, with_models
from edgewise.selection.workload.setup import Setup

SETUP = Setup(load("p2").table, pairs()["campus"], True, 400, seed=0)


def row(setup: Setup = SETUP) -> SimulationRow:
    return simulate(setup, [Static("inception_v3")], 250)[0]


def test_runs_that_agree_by_chance_leave_what_so_many_answers_leave_open() -> None:
    rows = [structs.replace(row(), attainment=0.9, requests=400)] * 5
    low, high = of_next_attainment(rows)
    assert low == pytest.approx(0.9 - 2.7764 * (0.9 * 0.1 / 400) ** 0.5 * 1.2**0.5, abs=1e-5)
    assert merged(rows).attainment_ci95 == pytest.approx((low, high))


def test_more_than_everything_in_time_is_not_expected() -> None:
    rows = [structs.replace(row(), attainment=share) for share in (1.0, 0.98, 1.0)]
    interval = merged(rows).attainment_ci95
    assert interval is not None and interval[1] == 1.0


def test_a_redrawn_set_up_has_other_requests_and_profiles_within_what_is_known() -> None:
    profiles = [structs.replace(each, n=100) for each in SETUP.table.profiles]
    known = replace(SETUP, table=table("p2", profiles))
    first, again, other = redrawn(known, 1), redrawn(known, 1), redrawn(known, 2)
    assert first.seed != other.seed != known.seed
    assert first.table.profiles == again.table.profiles
    for before, after in zip(known.table.profiles, first.table.profiles, strict=True):
        error = before.std_ms / before.mean_ms / 10
        assert after.mean_ms == pytest.approx(before.mean_ms, rel=6 * error)
        assert after.std_ms / after.mean_ms == pytest.approx(before.std_ms / before.mean_ms)
    assert redrawn(SETUP, 1).table.profiles == SETUP.table.profiles, "n is not known: as it is"


def test_fewer_variants_are_those_that_were_named() -> None:
    kept = with_models(SETUP, ["inception_v3", "mobilenet_v1_1.0_224"]).table.models
    assert set(kept) == {"inception_v3", "mobilenet_v1_1.0_224"}
