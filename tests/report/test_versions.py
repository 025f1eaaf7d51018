"""Two snapshots: appeared, vanished, changed; as `diff` finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgewise.apps.diff import diff
from edgewise.records import App, Evidence, Model
from edgewise.report import changes
from edgewise.report.parts import Ask
from edgewise.store import Store


def model(app: str, place: str, sha256: str, **more: Any) -> Model:
    return Model(path=f"{app}!/{place}", format="tflite", sha256=sha256, size_bytes=9, **more)


def app(name: str, version: int, *models: tuple[str, str], code: tuple[str, ...] = ()) -> App:
    path = f"{name}-{version}.apk"
    return App(
        path=path, sha256=path, package=f"org.{name}", label=name.title(), version_code=version,
        version_name=f"{version}.0", size_bytes=100 * version,
        models=tuple(model(path, place, sha256) for place, sha256 in models),
        evidence=tuple(Evidence(kind="framework", name=each, grade="class") for each in code),
    )  # fmt: skip


def shown(store: Store) -> dict[str, list[dict[str, Any]]]:
    with Ask(store) as ask:
        return {part.title: part.numbers.objects() for part in changes.parts(ask)}


OLD = app("one", 1, ("a", "A"), ("b", "B"), ("c", "C"), ("gone", "G"), code=("tflite", "ncnn"))
NEW = app("one", 3, ("a", "A"), ("b", "B2"), ("moved", "C"), ("new", "N"), code=("tflite", "mnn"))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store.open(str(tmp_path), create=True)
    between = app("one", 2, ("a", "A"), ("else", "E"))
    store.append([NEW, OLD, between, app("alone", 1, ("x", "X"))])
    return store


def test_one_version_of_each_is_no_snapshot(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    again = App(path="resigned.apk", sha256="r", package="org.alone", version_code=1)
    store.append([app("alone", 1, ("x", "X")), again])
    assert shown(store) == {}


def test_first_and_last_version_are_compared(store: Store) -> None:
    found = shown(store)
    (row,) = found["Apps from version to version"]
    assert (row["app"], row["from_version"], row["to_version"]) == ("One", "1.0", "3.0")
    assert (row["models_before"], row["models_after"]) == (4, 4)
    assert (row["added"], row["replaced"], row["removed"]) == (1, 1, 1)
    assert (row["code_added"], row["code_removed"]) == ("mnn", "ncnn")
    trend = {row["thing"]: row["change"] for row in found["What their code uses, before and after"]}
    assert trend == {"tflite · framework": 0, "mnn · framework": 1, "ncnn · framework": -1}


def test_models_are_those_that_diff_finds(store: Store) -> None:
    ours = {(row["change"], row["model"]) for row in shown(store)["Models that changed"]}
    theirs = {
        (change.change, change.name)
        for change in diff("one", OLD, NEW)
        if change.subject == "model" and change.change != "moved"
    }
    assert ours == theirs == {("added", "new"), ("replaced", "b"), ("removed", "gone")}
