"""The section about choosing: a picture for each setting that was simulated."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgewise.records import SimulationRow
from edgewise.report import choice
from edgewise.report.parts import Ask, Figure
from edgewise.store import Store


def row(**more: Any) -> SimulationRow:
    given: dict[str, Any] = {
        "policy": "greedy", "network": "home", "sla_ms": 100.0, "requests": 1000,
        "accuracy": 70.0, "attainment": 0.9, "effective_accuracy": 63.0, "mean_ms": 50.0,
        "p99_ms": 90.0, "usage": {"a": 1.0}, "profiles": "it's mine",
    }  # fmt: skip
    return SimulationRow(**given | more)


def section(folder: Path, *rows: SimulationRow) -> Any:
    store = Store.open(str(folder / "store"), create=True)
    if rows:
        store.append(rows)
    with Ask(store) as ask:
        return choice.section(ask)


def test_nothing_simulated_is_no_section(tmp_path: Path) -> None:
    assert section(tmp_path) is None


def test_a_picture_for_each_setting(tmp_path: Path) -> None:
    found = section(
        tmp_path,
        row(),
        row(sla_ms=200.0, effective_accuracy=68.0),
        row(network="lte"),
        row(arrivals="poisson:80", workers=2, fluid_bound=72.0),
    )
    titles = {part.title for part in found.parts}
    assert titles == {
        "it's mine over home", "it's mine over lte", "it's mine over home, poisson:80, workers 2",
    }  # fmt: skip
    (home,) = (part for part in found.parts if part.title == "it's mine over home")
    assert isinstance(home, Figure)
    assert [item["effective_accuracy"] for item in home.numbers.objects()] == [63.0, 68.0]
    assert "greedy with 68.0 % at 200 ms" in home.alt


def test_the_bound_is_drawn_where_there_is_load(tmp_path: Path) -> None:
    (loaded,) = section(tmp_path, row(arrivals="poisson:80", workers=2, fluid_bound=72.0)).parts
    assert len(loaded.spec["layer"]) == 2
    assert "no policy can pass" in loaded.caption


def test_the_best_policy_shows_what_it_uses_where_it_chooses(tmp_path: Path) -> None:
    chooses = {"policy": "deadline", "effective_accuracy": 66.0}
    found = section(
        tmp_path,
        row(), row(sla_ms=200.0),
        row(**chooses, usage={"a": 0.7, "b": 0.2}), row(**chooses, sla_ms=200.0, usage={"b": 1.0}),
    )  # fmt: skip
    used = next(part for part in found.parts if part.title.startswith("Which variants"))
    assert used.title == "Which variants deadline uses: it's mine over home"
    assert [tuple(each.values()) for each in used.numbers.objects()] == [
        (100.0, "a", 0.7), (100.0, "b", 0.2), (200.0, "b", 1.0)
    ]  # fmt: skip
