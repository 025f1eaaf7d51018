"""The tables of a study: counted by hand on a small store."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from edgewise.apps.evidence import signatures
from edgewise.apps.figures import figure
from edgewise.apps.study import TABLES, frozen, read_study, tables
from edgewise.cli.main import run
from edgewise.errors import InputError, StoreError
from edgewise.records import App, Coverage, Evidence, Model
from edgewise.store import Store

Tables = dict[str, list[dict[str, Any]]]


def row(kind: str, name: str, grade: str = "class", **more: Any) -> Evidence:
    return Evidence(kind=kind, name=name, grade=grade, **more)  # type: ignore[arg-type]


def model(sha256: str, format: str = "tflite", **more: Any) -> Model:
    return Model(path=f"x!/assets/{sha256}.m", format=format, sha256=sha256, **more)


def app(name: str, *parts: Model | Evidence, **more: Any) -> App:
    return App(
        path=name, sha256=name.encode().hex(), package=name,
        models=tuple(part for part in parts if isinstance(part, Model)),
        evidence=tuple(part for part in parts if isinstance(part, Evidence)),
        coverage=Coverage(entries=1, examined=1), signatures=signatures.version(), **more,
    )  # fmt: skip


APPS = [
    app("one", model("m1", macs=10, reach="loaded", quantization="full"),
        row("framework", "tflite", reach="loaded", owner="app"),
        row("framework", "tflite", "native_lib"), listing={"category": "Tools"}),
    app("two", model("m1", quantization="full"), model("m2", "onnx", quantization="none"),
        row("framework", "tflite", reach="unreferenced"), row("cloud_api", "openai", "url")),
    app("three", row("packer", "jiagu")),
    app("four", row("framework", "ncnn", "native_lib"), model("m3", "gguf", status="opaque"),
        model("m4", status="rejected")),
]  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store.open(str(tmp_path / "store"), create=True)
    made.append(APPS)
    return made


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """The tables of these apps alone."""
    made = Store.open(str(tmp_path_factory.mktemp("study") / "store"), create=True)
    made.append(APPS)
    return dict(tables(made))


def by(found: Tables, table: str, key: str) -> dict[str, dict[str, Any]]:
    return {each[key]: each for each in found[table]}


def test_prevalence_is_bounded_by_what_could_not_be_seen(found: Tables) -> None:
    frameworks = by(found, "frameworks", "name")
    tflite = frameworks["tflite"]
    assert (tflite["apps"], tflite["share_seen"], tflite["share_at_most"]) == (2, 0.5, 0.75)
    assert (tflite["loaded"], tflite["referenced"], tflite["by_app"]) == (1, 0, 1)
    assert frameworks["ncnn"]["apps"] == 1
    counted = by(found, "apps", "what")
    assert counted["with models"]["apps"] == 3
    assert counted["packed"]["share"] == 0.25
    assert counted["with models and a cloud API"]["apps"] == 1


def test_reuse_quantisation_and_halves(found: Tables) -> None:
    (unique,) = found["uniqueness"]
    assert (unique["models"], unique["unique_models"], unique["in_several_apps"]) == (4, 3, 1)
    assert [each["sha256"] for each in found["reused"]] == ["m1"]
    assert by(found, "quantisation", "quantization")["full"]["models"] == 2
    missing = by(found, "models_without_framework", "format")
    assert {name: each["models"] for name, each in missing.items()} == {"onnx": 1, "gguf": 1}
    assert by(found, "categories", "category")["Tools"]["with_models"] == 1
    (protection,) = found["protection"]
    assert (protection["opaque_models"], protection["packed_apps"]) == (1, 1)


def test_an_empty_store_has_empty_tables(tmp_path: Path) -> None:
    empty = Store.open(str(tmp_path / "empty"), create=True)
    found = dict(tables(empty))
    assert found.keys() == TABLES.keys()
    assert found["frameworks"] == []


def test_a_frozen_study_is_rebuilt_from_its_apps_alone(store: Store) -> None:
    study = frozen(store, "mine")
    before = dict(tables(store, study))
    store.append(app("five", row("framework", "tflite")))
    assert dict(tables(store, study)) == before
    assert by(dict(tables(store)), "frameworks", "name")["tflite"]["apps"] == 3
    lacking = type(study)(**{**{f: getattr(study, f) for f in study.__struct_fields__},
                             "apps": (*study.apps, "00")})  # fmt: skip
    with pytest.raises(StoreError, match="lacks 1"):
        list(tables(store, lacking))
    with pytest.raises(InputError, match="no study"):
        read_study(b"{}", "x")


def test_the_verb(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    frozen_at = tmp_path / "study.json"
    out = ["--csv", str(tmp_path / "csv"), "--figures", str(tmp_path / "figures")]
    assert run(["study", store.url, "--study", str(frozen_at), "--json", *out]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["table"] for line in lines} <= TABLES.keys()
    with (tmp_path / "csv" / "frameworks.csv").open() as file:
        assert [line["name"] for line in csv.DictReader(file)] == ["tflite", "ncnn"]
    assert (tmp_path / "figures" / "frameworks.svg").read_text().startswith("<svg")
    assert json.loads(frozen_at.read_text())["apps"]
    assert run(["study", store.url, "--study", str(frozen_at), "--table", "apps"]) == 0
    assert "with models" in capsys.readouterr().out
    assert run(["study", store.url, "--table", "nonsense"]) == 2
    assert figure("reused", []) is None
