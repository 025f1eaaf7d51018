"""`simulate --decisions`: other policies on a store's decision log."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgewise.cli.main import run
from edgewise.records import Decision
from edgewise.store import Store

ODDS = {"small": 0.5, "large": 0.5}


@pytest.fixture
def log(tmp_path: Path) -> str:
    """Half of the answers by a small variant in time, half by a large one that is late."""
    rows = [
        Decision(
            at=f"2026-11-24T00:00:00.{i:06d}+00:00", request_id=str(i), family="digits",
            policy="random", outcome="answered", sla_ms=30.0, budget_ms=20.0, basis="client",
            backlog_ms=0.0, queue_length=0, variant=("small", "large")[i % 2], probability=0.5,
            probabilities=ODDS, accuracy=(80.0, 90.0)[i % 2], queue_ms=0.0,
            service_ms=(5.0, 40.0)[i % 2] + i % 3, in_time=i % 2 == 0,
        )
        for i in range(200)
    ]  # fmt: skip
    url = str(tmp_path / "log")
    Store.open(url, create=True).append(rows)
    return url


def test_each_policy_is_an_object(log: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run(["simulate", "--decisions", log, "--policy", "fastest,most_accurate", "--json"]) == 0
    told = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [each["policy"] for each in told] == ["fastest", "most_accurate"]
    assert told[0]["effective_accuracy"] == pytest.approx(80.0)
    assert told[1]["effective_accuracy"] == pytest.approx(0.0)
    assert told[0]["logged_effective_accuracy"] == pytest.approx(40.0)
    assert told[0]["attainment"] == pytest.approx(1.0)


def test_people_read_a_table_and_why_there_is_no_number(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    rows = [
        Decision(
            at=f"2026-11-24T00:00:00.{i:06d}+00:00", request_id=str(i), family="digits",
            policy="deadline", outcome="answered", sla_ms=30.0, budget_ms=20.0, basis="client",
            backlog_ms=0.0, queue_length=0, variant=name, probability=1.0,
            probabilities={name: 1.0},
            accuracy=90.0 if name == "large" else 80.0, queue_ms=0.0, service_ms=5.0, in_time=True,
        )
        for i, name in enumerate(["small"] * 50 + ["large"] * 50)
    ]  # fmt: skip
    url = str(tmp_path / "log")
    Store.open(url, create=True).append(rows)
    assert run(["simulate", "--decisions", url, "--policy", "most_accurate"]) == 0
    shown = " ".join(capfd.readouterr().out.split())
    assert "digits: 100 decisions, 85.0 % effective accuracy delivered" in shown
    assert "50 % of this policy's choices were never tried" in shown


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (["--arrivals", "poisson:5"], "--arrivals: not with --decisions"),
        (["--profiles", "p2", "--profiles", "p1"], "takes one --profiles"),
        (["--policy", "oracle"], "does not hold"),
    ],
)
def test_what_does_not_go_together_is_refused(
    log: str, more: list[str], says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["simulate", "--decisions", log, *more]) == 2
    assert says in capfd.readouterr().err


def test_a_store_without_decisions_says_how_to_get_some(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    Store.open(str(tmp_path), create=True)
    assert run(["simulate", "--decisions", str(tmp_path), "--policy", "fastest"]) == 1
    assert "holds no decisions (edgewise serve" in capfd.readouterr().err
