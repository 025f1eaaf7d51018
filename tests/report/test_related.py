"""Lineage across apps, and which apps share models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from msgspec import structs

from edgewise.records import App, LayerRow, Model, TensorRow
from edgewise.report import related, reuse, subjects
from edgewise.report.only import Only
from edgewise.report.parts import Ask, Section
from edgewise.store import Store


def shown(store: Store) -> Section:
    with Ask(store) as ask:
        section = reuse.section(ask)
    assert section is not None
    return section


def rows(section: Section, title: str) -> list[dict[str, Any]]:
    return next(part.numbers.objects() for part in section.parts if part.title == title)


def model(app: str, name: str, **more: Any) -> Model:
    return Model(path=f"{app}.apk!/{name}.tflite", format="tflite", sha256=name, size_bytes=9,
                 **more)  # fmt: skip


def app(name: str, *models: Model) -> App:
    return App(path=f"{name}.apk", sha256=name, package=f"org.{name}", label=name, models=models)


def weights(off: float) -> tuple[TensorRow, ...]:
    return tuple(
        TensorRow(name=f"w{i}", dtype="float32", shape=(90 + i,), elements=90 + i, size_bytes=400,
                  sketch=tuple(0.3 * i + 0.5 * k + off for k in range(12)))
        for i in range(4)
    )  # fmt: skip


def replace(rows: tuple[TensorRow, ...], **more: Any) -> tuple[TensorRow, ...]:
    return tuple(structs.replace(row, **more) for row in rows)


def layers(*parameters: int) -> tuple[LayerRow, ...]:
    return tuple(
        LayerRow(index=i, name=str(i), op="CONV_2D", kind="conv", input_shapes=(), output_shapes=(),
                 dtype="float32", macs=1, macs_formula=None, flops=2, parameters=count,
                 weight_bytes=4 * count, output_bytes=4)
        for i, count in enumerate(parameters)
    )  # fmt: skip


def test_fine_tuned_models_are_found_with_their_apps(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([
        app("first", model("first", "base", tensors=weights(0.0))),
        app("second", model("second", "tuned", tensors=weights(0.05))),
        app("third", model("third", "foreign", tensors=weights(9.0)), model("third", "unread")),
    ])  # fmt: skip
    section = shown(store)
    (pair,) = rows(section, "Related models")
    assert {pair["model"], pair["and"]} == {"base.tflite", "tuned.tflite"}
    assert pair["are"] == "fine-tuned or pruned"
    assert {pair["model_in_apps"], pair["and_in_apps"]} == {"first", "second"}
    table = next(part for part in section.parts if part.title == "Related models")
    assert "1 other content" in table.caption


def test_each_model_knows_what_it_is_of_others(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    small = replace(weights(0.0), dtype="int8", size_bytes=100)
    store.append([
        model("first", "base", tensors=weights(0.0), weight_bytes=1600),
        model("second", "small", tensors=small, weight_bytes=400),
        model("third", "planned", layer_table=layers(10, 20, 30)),
        model("fourth", "built", layer_table=layers(10, 20, 30)),
    ])  # fmt: skip
    with Ask(store) as ask:
        found = {row["sha256"]: row for row in related.of_each(ask, 100).objects()}
        files = subjects.Subjects(ask).tables["files"]
    assert (found["base"]["model"], found["base"]["this_one"]) == (
        "small.tflite", "is what it was quantised from"
    )  # fmt: skip
    assert found["small"]["this_one"] == "is quantised from it"
    alike = next(each for each in files["columns"] if each["name"] == "alike")["values"]
    names = next(each for each in files["columns"] if each["name"] == "model")["values"]
    assert {name for name, plan in zip(names, alike, strict=True) if plan} == {
        "built.tflite", "planned.tflite"
    }  # fmt: skip
    with Ask(store, Only("model", "planned")) as ask:
        (row,) = [each for each in related.of_each(ask, 100).objects()
                  if each["sha256"] == "planned"]  # fmt: skip
    assert (row["model"], row["shared_weights_share"]) == ("built.tflite", None)


def test_what_no_weights_tell_is_said_with_the_way_to_know_more(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([app("first", model("first", "a")), app("second", model("second", "b"))])
    section = shown(store)
    assert section.parts == []
    assert section.lead.startswith("No content is in more than one app. Compared were bytes")
    assert "--weights" in section.lead


def test_equal_layers_tell_without_weights(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    alike = (10, 20, 0, 30)
    store.append([
        app("first", model("first", "a", layer_table=layers(*alike))),
        app("second", model("second", "b", layer_table=layers(*alike))),
        app("third", model("third", "c", layer_table=layers(10, 20, 31))),
    ])  # fmt: skip
    (row,) = rows(shown(store), "The same layers, other bytes")
    assert (row["contents"], row["apps"], row["weight_layers"]) == (2, 2, 3)
    assert row["found_in"] == "first, second"


def test_apps_that_share_are_paired_once(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([
        app("first", model("first", "x"), model("first", "y")),
        app("second", model("second", "x"), model("second", "y")),
        app("third", model("third", "x")),
    ])  # fmt: skip
    pairs = rows(shown(store), "Which apps share models")
    assert [(row["app"], row["other"], row["contents"]) for row in pairs] == [
        ("first", "second", 2), ("first", "third", 1), ("second", "third", 1)
    ]  # fmt: skip
