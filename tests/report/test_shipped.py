"""What is shipped, and who reuses what."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgewise.records import App, Evidence, Model
from edgewise.report import reuse, shipped
from edgewise.report.parts import Ask, MakeSection
from edgewise.store import Store


def numbers(store: Store, make: MakeSection, title: str) -> list[dict[str, Any]]:
    with Ask(store) as ask:
        section = make(ask)
    assert section is not None
    return next(part.numbers.objects() for part in section.parts if part.title == title)


def app(name: str, *evidence: Evidence, models: tuple[Model, ...] = ()) -> App:
    return App(path=f"{name}.apk", sha256=name * 32, package=f"org.{name[0]}", label=name.title(),
               evidence=evidence, models=models)  # fmt: skip


def model(path: str, sha256: str, **more: Any) -> Model:
    return Model(path=path, format="tflite", sha256=sha256, size_bytes=10, **more)


def test_an_empty_store_has_neither(tmp_path: Path) -> None:
    with Ask(Store.open(str(tmp_path), create=True)) as ask:
        assert shipped.section(ask) is None
        assert reuse.section(ask) is None


def test_the_nearest_reach_counts_and_a_string_is_no_proof(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    lib = Evidence(kind="framework", name="tflite", grade="native_lib")
    classes = Evidence(kind="framework", name="tflite", grade="class", reach="referenced",
                       owner="app")  # fmt: skip
    text = Evidence(kind="framework", name="tflite", grade="string", reach="referenced")
    dead = Evidence(kind="cloud_api", name="openai", grade="url", reach="unreferenced")
    loads = Evidence(kind="framework", name="mnn", grade="string", reach="loaded", owner="app")
    store.append([app("aa", lib, classes), app("bb", text, loads), app("cc", lib, dead)])
    rows = numbers(store, shipped.section, "Evidence")
    (mnn,) = [row for row in rows if row["name"] == "mnn"]
    assert (mnn["loaded"], mnn["string_only"]) == (1, 0), "a model flows to its loader"
    rows.remove(mnn)
    tflite, openai = rows
    assert (tflite["apps"], tflite["referenced"], tflite["string_only"]) == (3, 1, 1)
    assert (tflite["cannot_tell"], tflite["unreferenced"], tflite["from_own_code"]) == (1, 0, 1)
    assert tflite["seen_as"] == "class, native_lib, string"
    assert (openai["kind"], openai["unreferenced"]) == ("cloud api", 1)
    drawn = numbers(store, shipped.section, "What their code uses")
    assert {row["state"]: row["apps"] for row in drawn if row["name"] == "tflite"} == {
        "referenced": 1, "code cannot tell": 1, "a string only": 1
    }  # fmt: skip


def test_tasks_are_those_that_are_known(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([
        model("a.tflite", "a", task="image-classification", architecture="MobileNet"),
        model("copy.tflite", "a", task="image-classification", architecture="MobileNet"),
        model("b.tflite", "b", modality="audio"), model("c.tflite", "c"),
    ])  # fmt: skip
    rows = {row["task"]: row for row in numbers(store, shipped.section, "Formats and tasks")}
    assert set(rows) == {"image-classification", "not known (audio)", "not known"}
    first = rows["image-classification"]
    assert (first["files"], first["copies"], first["architectures"]) == (1, 2, "MobileNet")


def test_a_content_in_several_apps_is_named_with_them(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([
        app("aa", models=(model("aa.apk!/m.tflite", "1"), model("aa.apk!/n.tflite", "1"))),
        app("bb", models=(model("bb.apk!/face.tflite", "1"), model("bb.apk!/x.tflite", "2"))),
        app("cc", models=(model("cc.apk!/y.tflite", "3", status="rejected"),)),
        app("dd", models=(model("dd.apk!/y.tflite", "3", status="rejected"),)),
    ])  # fmt: skip
    (row,) = numbers(store, reuse.section, "Contents in several apps")
    assert (row["apps"], row["copies"], row["file_names"]) == (2, 3, 3)
    assert row["found_in"] == "Aa, Bb"


def test_apps_of_one_label_are_told_apart(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([
        App(path=f"{n}.apk", sha256=n, package=f"org.{n}", label="Test",
            models=(model(f"{n}.apk!/m.tflite", "1"),))
        for n in ("a", "b")
    ])  # fmt: skip
    (row,) = numbers(store, reuse.section, "Contents in several apps")
    assert row["found_in"] == "Test · org.a, Test · org.b"


def test_two_versions_of_one_app_reuse_nothing(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([
        App(path=f"{v}.apk", sha256=v, package="org.a", models=(model(f"{v}.apk!/m.tflite", "1"),))
        for v in ("1", "2")
    ])  # fmt: skip
    with Ask(store) as ask:
        assert reuse.section(ask) is None
