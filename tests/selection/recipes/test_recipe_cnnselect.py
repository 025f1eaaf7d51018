"""The published simulation and its statements, on few requests and on rows made by hand."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from edgewise.cli.main import run
from edgewise.records import PublishedFinding, SimulationRow
from edgewise.selection.engine.simulate import sweep
from edgewise.selection.recipes import cnnselect
from edgewise.selection.recipes.cnnselect import DEADLINES_MS, POLICIES, PROFILES


@pytest.fixture(scope="module")
def rows() -> list[SimulationRow]:
    return list(cnnselect.run(requests=1500))


def by_query(found: Iterable[PublishedFinding]) -> dict[str, PublishedFinding]:
    stated = cnnselect.PAPER.statement
    return {each.query: row for each, row in zip(stated, found, strict=True)}


def test_the_set_up_is_the_published_one(rows: list[SimulationRow]) -> None:
    alone = [row for row in rows if row.duplicate is None]
    networks = {row.network for row in alone}
    assert tuple(range(0, 501, 10)) == DEADLINES_MS
    assert networks == {
        "home", "home-high-sigma", "campus", "lte-sim", "artificial", "artificial2", "perfect"
    }  # fmt: skip
    assert len(alone) == len(PROFILES) * len(networks) * len(DEADLINES_MS) * len(POLICIES)
    assert all(row.requests == 1500 for row in rows)


def test_the_whole_curve_is_reported_and_the_number_is_neither_met_nor_refuted(
    rows: list[SimulationRow],
) -> None:
    headline = by_query(cnnselect.findings(rows))["headline"]
    assert headline.agrees == "cannot tell"
    assert "neither pool, network nor deadlines" in headline.why
    assert headline.n == 14 * 51
    assert len(headline.details) == 14
    for each in headline.details:
        assert len(each["points"]) == len(each["deadlines_ms"]) == 51
        assert each["peak_points"] == max(each["points"])
        assert each["deadlines_ms"][each["points"].index(each["peak_points"])] == each["peak_at_ms"]
        mine = {
            row.policy: row.attainment
            for row in rows
            if (row.profiles, row.network) == (each["profiles"], each["network"])
            and row.sla_ms == each["peak_at_ms"] and row.duplicate is None
        }  # fmt: skip
        assert each["peak_points"] == pytest.approx(100 * (mine["cnnselect"] - mine["greedy"]))


def test_what_holds_and_what_does_not(rows: list[SimulationRow]) -> None:
    found = by_query(cnnselect.findings(rows))
    agrees = {query: row.agrees for query, row in found.items()}
    assert agrees == {
        "headline": "cannot tell", "smooth": "yes", "comparable": "no", "university": "no",
        "residential": "no", "static": "yes", "mobile": "yes", "complex": "yes", "variable": "yes",
    }  # fmt: skip
    assert found["residential"].ours == pytest.approx(72.8, abs=5)
    assert "no profile of an older phone" in found["complex"].why


def row(policy: str, attainment: float, accuracy: float, **more: object) -> SimulationRow:
    return SimulationRow(
        policy=policy, network="home", sla_ms=100.0, requests=10, accuracy=accuracy,
        attainment=attainment, effective_accuracy=accuracy, mean_ms=None, p99_ms=None, usage={},
        profiles="p2", **more,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_gain_where_greedy_is_never_in_time_has_no_percent() -> None:
    curve = {100.0: {"cnnselect": row("cnnselect", 0.6, 50.0), "greedy": row("greedy", 0.0, 80.0)}}
    (gain,) = cnnselect.gains(cnnselect.Simulated({("p2", "home"): curve}, {}))
    assert (gain.peak_points, gain.peak_at_ms, gain.all_deadlines_percent) == (60.0, 100.0, None)
    assert gain.accuracy_at_peak_points == -30.0
    assert cnnselect.bars((0.0, 50.0, 100.0, -3.0)) == " ▄█ "


def test_the_verb(
    rows: list[SimulationRow],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cnnselect, "sweep", lambda setups, *_: _canned(setups, rows))
    assert run(["simulate", "--recipe", "cnnselect", "--json", "--quiet"]) == 0
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [each["theirs"] for each in found[:2]] == [88.5, 88.5]
    kept = str(tmp_path / "store")
    assert run(["simulate", "--recipe", "cnnselect", "--quiet", "--store", kept]) == 0
    shown = capsys.readouterr().out
    assert "cnnselect less greedy, 0 to 500 ms" in shown
    assert "Reconstructed" in shown
    assert "-over-perfect" in shown.partition(f"plot NAME {kept}; NAME: ")[2]
    assert run(["simulate", "--recipe", "nobody"]) == 2
    for option in (["--profiles", "p2"], ["--network", "lte"], ["--sla", "9"], ["--published"]):
        assert run(["simulate", "--recipe", "cnnselect", *option]) == 2


def _canned(setups: Iterable[object], rows: list[SimulationRow]) -> list[SimulationRow]:
    assert cnnselect.sweep is not sweep
    duplicated = any(getattr(setup, "duplicate", None) for setup in setups)
    return [each for each in rows if (each.duplicate is not None) == duplicated]
