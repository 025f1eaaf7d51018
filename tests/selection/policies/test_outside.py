"""A policy of another package is one like ours: in simulations, and where requests queue."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewise import plugins
from edgewise.cli.main import run
from edgewise.errors import UsageError
from edgewise.network.catalogue import Carried, resolve
from edgewise.selection.engine import queueing
from edgewise.selection.engine.cases import Load
from edgewise.selection.policies import registry
from edgewise.selection.profiles.sources import load
from edgewise.selection.workload.arrivals import parse as arrivals_of
from edgewise.selection.workload.setup import Setup

#: The most accurate with share · μ < T_U: a whole policy, as a package outside has it.
TOY = '''
from dataclasses import dataclass
from typing import ClassVar

from edgewise.errors import UsageError
from edgewise.selection.policies.published import best_below

@dataclass(frozen=True)
class Cautious:
    """The most accurate that takes no more than a share of what is left."""

    kind: ClassVar[str] = "cautious"
    share: float = 2.0

    def __post_init__(self):
        if not self.share > 0:
            raise UsageError(f"cautious: share is {self.share}", hint="it is above zero")

    @property
    def name(self):
        return f"{self.kind}:share={self.share:g}"

    def on(self, table, network_error_ms=None):
        return best_below(table, self.share * table.mean_ms)

class NoPolicy:
    kind = "none"

@dataclass(frozen=True)
class Taken(Cautious):
    kind: ClassVar[str] = "greedy"
'''


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    (tmp_path / "toy_policy_outside.py").write_text(TOY)
    info = tmp_path / "toy_policy_outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-policy\nVersion: 1.0\n")
    _declare(tmp_path, "toy = toy_policy_outside:Cautious")
    yield tmp_path
    _forget()


def _declare(folder: Path, entries: str) -> None:
    told = folder / "toy_policy_outside-1.0.dist-info" / "entry_points.txt"
    told.write_text(f"[edgewise.policies]\n{entries}\n")
    _forget()


def _forget() -> None:
    plugins.declared.cache_clear()
    registry.policies.cache_clear()


def test_it_is_simulated_by_its_name_and_parameters(
    outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["simulate", "--sla", "200", "--requests", "300", "--json", "--policy"]
    assert run([*asked, "cautious:share=1,cautious:share=4,mdinference:gamma=0"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["policy"] for row in rows] == [
        "cautious:share=1", "cautious:share=4", "mdinference:gamma=0",
    ]  # fmt: skip
    bold, shy, same = rows
    assert {**bold, "policy": ""} == {**same, "policy": ""}
    assert shy["accuracy"] < bold["accuracy"]
    with pytest.raises(UsageError, match="above zero"):
        registry.parse("cautious:share=0")
    with pytest.raises(UsageError, match="unknown policy"):
        registry.parse("reckless")


@pytest.mark.parametrize("discipline", ["fcfs", "edf"])
@pytest.mark.parametrize("knowing", ["", "+queue"])
def test_it_chooses_for_a_queue_as_the_service_has_one(
    outside: Path, discipline: str, knowing: str
) -> None:
    setup = Setup(
        table=load("p2").table, network=resolve("campus", Carried()), published=False,
        requests=300, seed=0,
    )  # fmt: skip
    load_ = Load(arrivals_of("poisson:20"), 2, discipline)  # type: ignore[arg-type]
    rows = [
        queueing.run(setup, queueing.parse(name + knowing), 250.0, load_)
        for name in ("cautious:share=1", "mdinference:gamma=0")
    ]
    assert rows[0].usage == rows[1].usage
    assert rows[0].attainment == rows[1].attainment


def test_what_is_no_policy_or_takes_a_name_is_left_out_and_said(outside: Path) -> None:
    _declare(outside, "a = toy_policy_outside:NoPolicy\nb = toy_policy_outside:Taken")
    with pytest.warns(UserWarning) as said:
        found = registry.policies()
    assert [str(each.message).partition("left out: ")[2] for each in said] == [
        "a policy is a dataclass with the method `on`", "there is a policy 'greedy' already",
    ]  # fmt: skip
    assert found["greedy"].__module__ == "edgewise.selection.policies.published"
