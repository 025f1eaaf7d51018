"""Differences of two versions, limits, SARIF and the bill of materials."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import msgspec
import numpy as np
import pytest
from packages import DIGITS, ONNX, OTHER_TFLITE, TFLITE, apk, written

from edgewise.apps.bom import bill_of_materials
from edgewise.apps.budget import Budget, allowed, read_budget
from edgewise.apps.check import check, check_baseline
from edgewise.apps.diff import diff
from edgewise.apps.kinship import Relations
from edgewise.apps.sarif import sarif
from edgewise.apps.scan import scan_package
from edgewise.apps.sides import apps_of
from edgewise.archive import DiskFile
from edgewise.cli.main import run
from edgewise.errors import InputError, UsageError
from edgewise.formats import tflite as tflite_format
from edgewise.records import App, Change, Evidence, LayerRow, Model
from edgewise.store import Store

TFLITE_ROW = Evidence(kind="framework", name="tflite", grade="class", reach="loaded", owner="app")
CLOUD_ROW = Evidence(kind="cloud_api", name="openai", grade="url", where="classes.dex",
                     detail="https://api.openai.com/v1")  # fmt: skip
DOCS = Path(__file__).resolve().parents[2] / "docs" / "check.md"


@pytest.fixture
def versions(tmp_path: Path) -> tuple[str, str]:
    return (
        written(tmp_path / "old.apk", apk({"a.tflite": TFLITE, "gone.onnx": ONNX,
                                           "here.tflite": OTHER_TFLITE})),
        written(tmp_path / "new.apk", apk({"b.tflite": TFLITE, "c.tflite": b"1234TFL3",
                                           "there.tflite": OTHER_TFLITE})),
    )  # fmt: skip


def scanned(versions: tuple[str, str]) -> tuple[App, App]:
    old, new = (scan_package(path) for path in versions)
    return old, new


def test_models_are_paired_by_bytes_then_place(versions: tuple[str, str]) -> None:
    changes = diff("a.b", *scanned(versions))
    told = {(c.change, c.old, c.new, c.relation) for c in changes if c.subject == "model"}
    assert told == {
        ("moved", "a.tflite", "b.tflite", "identical"),
        ("moved", "here.tflite", "there.tflite", "identical"),
        ("removed", "gone.onnx", None, None),
    }


def replaced(tmp_path: Path, old: bytes, new: bytes, name: str = "m.tflite") -> Change:
    """What is told of the one model that a release replaced."""
    one = scan_package(written(tmp_path / "one.apk", apk({name: old})))
    other = scan_package(written(tmp_path / "other.apk", apk({name: new})))
    (change,) = (each for each in diff("x", one, other) if each.subject == "model")
    assert change.change == "replaced"
    return change


def test_what_replaced_a_model_is_told_by_its_weights(tmp_path: Path) -> None:
    floats, small = ((DIGITS / f"digits-l{end}.tflite").read_bytes() for end in ("", "-int8"))
    assert replaced(tmp_path, floats, small).relation == "quantised"
    assert replaced(tmp_path, TFLITE, OTHER_TFLITE).relation is None
    onnx, tflite = ((DIGITS / f"digits-xl.{end}").read_bytes() for end in ("onnx", "tflite"))
    assert replaced(tmp_path, onnx, tflite, "m.bin").relation == "same_network"

    graph = tflite_format.read(DiskFile(DIGITS / "digits-l.tflite"))
    held = [bytes(each.weights.load()) for each in graph.tensors if each.weights]
    largest = max(held, key=len)
    moved = np.frombuffer(largest, "<f4") * np.linspace(-1, 2, len(largest) // 4, dtype="<f4")
    tuned = replaced(tmp_path, floats, floats.replace(largest, moved.astype("<f4").tobytes()))
    assert tuned.relation == "fine_tuned" and "of the weights are the same" in tuned.notes[0]


def test_a_renamed_model_is_paired_with_its_kin(tmp_path: Path) -> None:
    floats, small = ((DIGITS / f"digits-l{end}.tflite").read_bytes() for end in ("", "-int8"))
    old = scan_package(written(tmp_path / "1.apk", apk({"a.tflite": floats, "x.tflite": TFLITE})))
    new = scan_package(written(tmp_path / "2.apk", apk({"b.tflite": small})))
    told = {(c.change, c.old, c.new, c.relation) for c in diff("x", old, new)}
    assert told == {
        ("replaced", "a.tflite", "b.tflite", "quantised"), ("removed", "x.tflite", None, None)
    }  # fmt: skip


def test_without_the_files_layers_tell(tmp_path: Path) -> None:
    row = LayerRow(
        index=0, name="c", op="CONV", kind="conv", input_shapes=(), output_shapes=((1, 8),),
        dtype="float32", macs=10, macs_formula=None, flops=20, parameters=5, weight_bytes=20,
        output_bytes=32,
    )  # fmt: skip
    old = Model(path=str(tmp_path / "gone"), format="tflite", sha256="1", layer_table=(row,) * 4,
                weight_dtypes={"float32": 20})  # fmt: skip
    change = msgspec.structs.replace

    def relation(**fields: object) -> str | None:
        return Relations().between(old, change(old, **{"sha256": "2", **fields})).relation

    assert relation(sha256="1") == "identical"
    assert relation() == "fine_tuned"
    assert relation(weight_dtypes={"int8": 5}) == "quantised"
    bigger = change(row, output_shapes=((1, 9),))
    assert relation(layer_table=(bigger,) * 4) == "same_architecture"
    assert relation(layer_table=(*(row,) * 3, bigger)) == "shares_layers"
    assert relation(layer_table=(change(bigger, kind="pool"),)) is None
    assert "layers alone" in Relations().between(old, change(old, sha256="2")).notes[0]


def test_evidence_gained_lost_and_changed() -> None:
    used = msgspec.structs.replace(TFLITE_ROW, reach="unreferenced", owner=None)
    old = App(path="o", evidence=(TFLITE_ROW,))
    new = App(path="n", evidence=(used, CLOUD_ROW))
    told = [(c.change, c.name, c.reach_before, c.reach_after) for c in diff("x", old, new)]
    assert told == [
        ("added", "openai (cloud api, url)", None, None),
        ("changed", "tflite (framework, class)", "loaded", "unreferenced"),
    ]
    assert [c.change for c in diff("x", new, old)] == ["removed", "changed"]


def test_diff_of_folders_and_stores(
    versions: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store = Store.open(str(tmp_path / "store"), create=True)
    store.append(scan_package(versions[0]))
    assert run(["diff", "--json", str(tmp_path / "store"), versions[1]]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {line["change"] for line in lines} == {"moved", "removed"}
    assert run(["diff", "--markdown", *versions]) == 0
    assert "| a.b | model removed | gone.onnx |" in capsys.readouterr().out
    assert run(["diff", versions[0], versions[0]]) == 0
    assert "no differences" in capsys.readouterr().out
    assert run(["diff", versions[0], str(tmp_path / "nowhere.apk")]) == 1


@pytest.mark.parametrize(
    ("toml", "rules"),
    [
        ("", []),
        ("[app]\nmodels = 2", ["app.models"]),
        ("[app]\nsize_bytes = 10", ["app.size_bytes"]),
        ("[model]\nmacs = 1", ["model.macs"] * 3),
        ("[model]\nmacs = 1e12", []),
        ('[model]\nquantization = ["full"]', ["model.quantization"] * 3),
        ('[deny]\ncloud_api = ["*"]', ["deny.cloud_api"]),
        ('[deny]\ncloud_api = ["anthropic"]', []),
        ('[allow]\nframework = ["ncnn"]', ["allow.framework"]),
        ('[allow]\nframework = ["tflite"]', []),
        ('[model]\nreach = ["loaded"]', ["model.reach"] * 3),
        ('unknown = "allow"\n[model]\nreach = ["loaded"]', []),
    ],
)
def test_budgets(versions: tuple[str, str], tmp_path: Path, toml: str, rules: list[str]) -> None:
    app = msgspec.structs.replace(
        scan_package(versions[0]), evidence=(TFLITE_ROW, CLOUD_ROW)
    )  # fmt: skip
    (tmp_path / "b.toml").write_text(toml)
    budget = read_budget(str(tmp_path / "b.toml"))
    assert [violation.rule for violation in check("x", app, budget)] == rules


def test_a_cost_that_is_not_known_is_a_violation_unless_allowed() -> None:
    from edgewise.records import Model

    app = App(path="x", models=(Model(path="x!/m", format="tflite", status="opaque"),))
    budget = msgspec.convert({"model": {"macs": 1e9}}, Budget)
    (violation,) = check("x", app, budget)
    assert violation.value is None and "not known" in violation.message
    assert not list(check("x", app, msgspec.structs.replace(budget, unknown="allow")))


def test_a_baseline_holds_costs_and_watched_evidence(versions: tuple[str, str]) -> None:
    old, new = scanned(versions)
    bigger = msgspec.structs.replace(old.models[0], sha256="other", macs=10**9)
    worse = msgspec.structs.replace(
        old, models=(bigger, *old.models[1:]), evidence=(CLOUD_ROW, TFLITE_ROW)
    )  # fmt: skip
    rules = [violation.rule for violation in check_baseline("x", old, worse, Budget())]
    assert rules == ["baseline.macs", "baseline.cloud_api"]
    lenient = Budget(growth={"macs": 10**9})
    assert [v.rule for v in check_baseline("x", old, worse, lenient)] == ["baseline.cloud_api"]
    assert not list(check_baseline("x", old, old, Budget()))
    assert new.models


@pytest.mark.parametrize(
    "text", ["[model]\nmac = 1", "x = [", '[growth]\nmacs = "lots"', "[growth]\nspeed = 1",
             'unknown = "maybe"']
)  # fmt: skip
def test_a_wrong_budget_is_wrong_usage(tmp_path: Path, text: str) -> None:
    (tmp_path / "b.toml").write_text(text)
    with pytest.raises(UsageError, match=r"b\.toml"):
        read_budget(str(tmp_path / "b.toml"))
    with pytest.raises(InputError):
        read_budget(str(tmp_path / "none.toml"))


def test_growth() -> None:
    assert allowed("5%", 200) == pytest.approx(210)
    assert allowed(7, 200) == 207


def test_the_documented_budget_is_one() -> None:
    text = DOCS.read_text().split("```toml")[1].split("```")[0]
    budget = msgspec.convert(tomllib.loads(text), Budget)
    assert budget.model.macs == 600e6 and budget.growth["size_bytes"] == "5%"


def test_exit_status_lines_and_sarif(
    versions: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "b.toml").write_text("[app]\nmodels = 2\n")
    budget, log = str(tmp_path / "b.toml"), tmp_path / "out.sarif"
    assert run(["check", versions[0], "--budget", budget, "--sarif", str(log)]) == 3
    assert "app.models: models of all models" in capsys.readouterr().out
    written_log = json.loads(log.read_text())
    (result,) = written_log["runs"][0]["results"]
    assert (result["ruleId"], written_log["version"]) == ("app.models", "2.1.0")
    (tmp_path / "b.toml").write_text("[app]\nmodels = 3\n")
    assert run(["check", versions[0], "--budget", budget, "--baseline", versions[0]]) == 0
    assert run(["check", versions[0]]) == 2
    assert sarif([], "x")["runs"][0]["results"] == []


def test_a_bill_of_materials_is_valid(versions: tuple[str, str], tmp_path: Path) -> None:
    pytest.importorskip("cyclonedx")
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    app = msgspec.structs.replace(
        scan_package(versions[0]), evidence=(TFLITE_ROW, CLOUD_ROW)
    )  # fmt: skip
    text = bill_of_materials(app)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    bill = json.loads(text)
    kinds = [component["type"] for component in bill["components"]]
    assert kinds.count("machine-learning-model") == 3 and "library" in kinds
    assert bill["services"][0]["endpoints"] == ["https://api.openai.com/v1"]
    assert run(["scan", "--quiet", "--bom", str(tmp_path / "bom"), versions[0]]) == 0
    assert (tmp_path / "bom" / "old.apk.cdx.json").is_file()


def test_sides(tmp_path: Path, versions: tuple[str, str]) -> None:
    assert list(apps_of(versions[0])) == ["a.b"]
    with pytest.raises(InputError):
        apps_of(str(tmp_path / "nothing"))
