"""Two snapshots of a market: what came, went and changed, of one store or of two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgewise.apps.diff import diff_sides
from edgewise.apps.sides import name_of
from edgewise.records import App, Evidence, Model, Sighting
from edgewise.report import snapshots
from edgewise.report.parts import Ask
from edgewise.store import Store


def app(name: str, version: int, *models: tuple[str, str], code: str = "tflite") -> App:
    path = f"{name}-{version}.apk"
    return App(
        path=path, sha256=path, package=f"org.{name}", label=name.title(), version_code=version,
        version_name=f"{version}.0", size_bytes=100 * version,
        models=tuple(
            Model(path=f"{path}!/{place}", format="tflite", sha256=sha256, size_bytes=9)
            for place, sha256 in models
        ),
        evidence=(Evidence(kind="framework", name=code, grade="class"),),
    )  # fmt: skip


UNCHANGED = app("unchanged", 1, ("u", "U"))
OLD = [app("gone", 1, ("g", "G")), app("first", 1), app("last", 1, ("l", "L")),
       app("other", 1, ("o", "O1"), ("x", "X")), app("code", 1), UNCHANGED]  # fmt: skip
NEW = [app("new", 1, ("n", "N")), app("first", 2, ("f", "F")), app("last", 2),
       app("other", 2, ("o", "O2"), ("x", "X")), app("code", 2, code="ncnn"),
       UNCHANGED]  # fmt: skip


def sighted(name: str, apps: list[App]) -> list[App | Sighting]:
    return [*apps, *(Sighting(snapshot=name, path=each.path, sha256=each.sha256,
                              package=each.package) for each in apps)]  # fmt: skip


@pytest.fixture(params=["labels", "stores"])
def ask(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    old = Store.open(str(tmp_path / "2020"), create=True)
    old.append(sighted("2020", OLD))
    if request.param == "labels":
        old.append(sighted("2021", NEW))
        with Ask(old) as ask:
            yield ask
    else:
        new = Store.open(str(tmp_path / "2021"), create=True)
        new.append(NEW)
        with Ask(new, before=old) as ask:
            yield ask


def test_apps_come_go_and_change(ask: Ask) -> None:
    shown: dict[str, Any] = {part.title: part for part in snapshots.parts(ask)}
    rows = shown["Apps that came, went or changed"].numbers.objects()
    assert {row["app"]: row["became"] for row in rows} == {
        "New": "came", "Gone": "went", "First": "got its first model",
        "Last": "lost its last model", "Other": "other models", "Code": "other code",
    }  # fmt: skip
    counts = [tuple(row.values()) for row in shown["Snapshots"].numbers.objects()]
    assert [row[:3] for row in counts] == [("2020", 6, 4), ("2021", 6, 4)]
    assert "models 2 are in both, 3 in 2020 alone, 3 in 2021" in shown[
        "What became of the apps"
    ].caption  # fmt: skip
    trend = shown["What their code uses, before and after"].numbers.objects()
    assert [(row["thing"], row["apps_before"], row["apps_after"]) for row in trend] == [
        ("tflite · framework", 6, 5), ("ncnn · framework", 0, 1),
    ]  # fmt: skip


def test_models_are_those_that_diff_finds(ask: Ask) -> None:
    shown = {part.title: part.numbers.objects() for part in snapshots.parts(ask)}
    found = list(diff_sides(*({name_of(each): each for each in side} for side in (OLD, NEW))))
    assert {(row["package"], row["became"]) for row in shown["Apps that came, went or changed"]
            if row["became"] in ("came", "went")} == {
        (each.app, {"added": "came", "removed": "went"}[each.change])
        for each in found if each.subject == "app"}  # fmt: skip
    assert {(row["change"], row["model"]) for row in shown["Models that changed"]} == {
        (each.change, each.name) for each in found if each.subject == "model"
    }


def test_the_verdict_says_it_in_a_sentence(ask: Ask) -> None:
    said = snapshots.finding(ask)
    assert said is not None
    assert said[0].startswith("From `2020` to `2021`, of the apps 1 came, 1 went, 1 got their")
    assert said[1].endswith("6 apps in 2020, 6 in 2021")


def test_one_snapshot_is_none(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append(sighted("2020", OLD))
    with Ask(store) as ask:
        assert snapshots.parts(ask) == []
        assert snapshots.finding(ask) is None
