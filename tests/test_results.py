"""What the functions give: lists that show themselves and become tables; the notebook runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

import edgewise
from edgewise import results
from edgewise.errors import EdgewiseError, MissingExtra, UsageError
from edgewise.records import App, Measurement, Model, SimulationRow, Target

ROOT = Path(__file__).resolve().parents[1]
SOURCE = Path(str(files("edgewise"))).parent
NOTEBOOK = ROOT / "examples" / "tour.ipynb"


def row(policy: str = "fastest", sla_ms: float = 100.0) -> SimulationRow:
    return SimulationRow(
        policy=policy, network="lte", sla_ms=sla_ms, requests=10, accuracy=70.0, attainment=0.5,
        effective_accuracy=35.0, mean_ms=50.0, p99_ms=None, usage={"m": 1.0},
    )  # fmt: skip


def test_they_are_lists_and_stay_themselves_when_cut() -> None:
    models = edgewise.Records([Model(path="a", format="tflite"), Model(path="b", format="onnx")])
    assert models == [*models] and models[1].path == "b"
    assert repr(models) == "<Records: 2 of Model>"
    assert isinstance(models[:1], edgewise.Records) and len(models[:1]) == 1
    assert isinstance(edgewise.scan(), edgewise.Records)


def test_arrow_has_the_store_s_types(tmp_path: Path) -> None:
    models = edgewise.Records([
        Model(path="a", format="tflite", macs=7, weight_dtypes={"int8": 3}),
        Model(path="b", format="onnx", macs=2**70, notes=("n",)),
    ])  # fmt: skip
    table = models.arrow()
    assert table["macs"].to_pylist() == [7, None], "what 64 bits cannot hold is null, as there"
    assert table["weight_dtypes"].to_pylist()[0] == [("int8", 3)]
    assert "layer_table" not in table.column_names
    store = edgewise.Store.open(str(tmp_path / "s"), create=True)
    store.append(models)
    kept = store.arrow("select * from models")
    assert [kept.schema.field(name).type for name in table.column_names] == table.schema.types
    assert edgewise.Records([]).arrow().num_rows == 0
    with pytest.raises(UsageError, match="Model and App"):
        edgewise.Records([models[0], App(path="x")]).arrow()


def test_every_record_that_a_function_gives_becomes_a_table() -> None:
    for record in (App(path="x"), Measurement(model="m", sha256=None, target=Target()), row(),
                   *edgewise.place("inception_v3", profiles="pixel3", links=["lte"])):  # fmt: skip
        assert edgewise.Records([record]).arrow().num_rows == 1


def test_data_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pandas")
    pytest.importorskip("polars")
    rows = edgewise.Records([row(), row("greedy", 200.0)])
    assert rows.pandas()["sla_ms"].tolist() == [100.0, 200.0]
    assert rows.polars()["policy"].to_list() == ["fastest", "greedy"]
    store = edgewise.Store.open(str(tmp_path / "s"), create=True)
    store.append(rows)
    assert store.pandas("select policy from simulations").shape == (2, 1)
    assert store.polars("select policy from simulations").shape == (2, 1)
    monkeypatch.setattr("edgewise.store.frames.find_spec", lambda name: None)
    with pytest.raises(EdgewiseError, match=r"pandas is not installed \(pip install pandas\)"):
        rows.pandas()


def test_simulations_show_their_curves_where_they_can_be_drawn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = edgewise.Records([row(), row(sla_ms=200.0), row("greedy")])
    assert '<img alt="Curves of the policies" src="data:image/svg+xml;base64,' in rows._repr_html_()
    for curveless in ([Model(path="a", format="onnx")], [row(), row("greedy")], []):
        assert "<img" not in edgewise.Records(curveless)._repr_html_()
    monkeypatch.setattr(results, "missing", lambda extras: ["report"])
    shown = rows._repr_html_()
    assert "<img" not in shown and "[report]" in shown and "greedy" in shown


def test_without_arrow_it_is_said_what_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"\[store\]"):
        edgewise.Records([row()]).arrow()


def test_a_store_shows_what_is_in_it(tmp_path: Path) -> None:
    store = edgewise.Store.open(str(tmp_path / "<s>"), create=True)
    store.append([row(), row("greedy")])
    shown = store._repr_html_()
    assert "&lt;s&gt;" in shown and "simulations" in shown and "models" not in shown


def test_the_page_s_examples_are_typed(tmp_path: Path) -> None:
    """As a user's own strict check sees them; with the project's settings, whose cache `make lint`
    has filled."""
    assert (SOURCE / "edgewise" / "py.typed").exists()
    blocks = re.findall(r"^```python\n(.*?)^```", (ROOT / "docs" / "python.md").read_text("utf-8"),
                        re.M | re.S)  # fmt: skip
    for number, block in enumerate(blocks):
        (tmp_path / f"example_{number}.py").write_text(block)
    (tmp_path / "wrong.py").write_text("import edgewise\nedgewise.scan(jobs='two')\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *map(str, sorted(tmp_path.iterdir()))],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    (refused,) = done.stdout.splitlines()[:-1]
    assert refused.partition("/wrong.py:")[2] == (
        '2: error: Argument "jobs" to "scan" has incompatible type "str"; '
        'expected "int | None"  [arg-type]'
    ), done.stdout + done.stderr


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """The outputs of the notebook's cells, run by a kernel of its own."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    for part in ("ai_edge_litert", "pandas"):
        pytest.importorskip(part)
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    before = os.environ.get("PYTHONPATH")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(SOURCE), *filter(None, [before])]))
        patch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        nbclient.NotebookClient(
            notebook, timeout=120, startup_timeout=120,
            resources={"metadata": {"path": str(tmp_path_factory.mktemp("notebook"))}},
        ).execute()  # fmt: skip
    return {cell["id"]: cell["outputs"] for cell in notebook.cells if cell["cell_type"] == "code"}


def shown_by(outputs: list[dict[str, Any]]) -> str:
    return "".join(
        output.get("text") or json.dumps(output.get("data", {}).get("text/html", ""))
        for output in outputs
    )


def test_the_notebook_runs(executed: dict[str, list[dict[str, Any]]]) -> None:
    assert "demo-1.1.apk" in shown_by(executed["scan"])
    assert "digits-m.onnx" in shown_by(executed["app"])
    assert "digits-xl.tflite" in shown_by(executed["inspect"])
    assert "litert" in shown_by(executed["bench"])
    assert "lte" in shown_by(executed["place"])
    assert "data:image/svg+xml" in shown_by(executed["simulate"])
    assert "in time" in shown_by(executed["recommend"])
    assert "26376672" in shown_by(executed["query"])
    assert all(output["output_type"] != "error" for each in executed.values() for output in each)
    assert not [o for each in executed.values() for o in each if o.get("name") == "stderr"]
