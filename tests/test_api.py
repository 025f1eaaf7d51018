"""The Python interface: records like those of the verbs, imported when they are asked for."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest

import edgewise
from edgewise.errors import UsageError
from edgewise.records import Measurement, Model

DATA = Path(str(files("edgewise"))) / "demo" / "data"
PAGE = Path(__file__).resolve().parents[1] / "docs" / "python.md"


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    code = (
        "import sys, edgewise; print(sorted(m for m in sys.modules if m.startswith('edgewise')));"
        "print(all(hasattr(edgewise, n) for n in dir(edgewise)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["['edgewise']", "True"]


def test_no_other_names() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        edgewise.nonsense  # type: ignore[attr-defined]  # noqa: B018


@pytest.mark.parametrize("number", range(3))
def test_the_page_runs_as_it_stands(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(blocks) == 3
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks[number], str(PAGE), "exec"), {"__name__": "example"})
    shown = capsys.readouterr().out
    assert ("digits-xl", "sla_ms", "cnnselect 250")[number] in shown


def test_scan_and_inspect_keep_the_order_and_tell_what_failed(tmp_path: Path) -> None:
    broken = tmp_path / "broken.apk"
    broken.write_bytes(b"no archive")
    none, app = edgewise.scan(broken)[0], edgewise.scan(DATA / "demo.apk")[0]
    assert none.error is not None
    assert app.error is None
    assert {model.status for model in app.models} == {"parsed", "rejected"}
    assert edgewise.scan() == []
    small, gone, large = edgewise.inspect(
        DATA / "digits" / "digits-s.tflite", tmp_path / "gone.onnx",
        DATA / "digits" / "digits-l.tflite", layers=True,
    )  # fmt: skip
    assert (gone.status, small.status, large.status) == ("rejected", "parsed", "parsed")
    assert "gone.onnx" in str(gone.reason)
    assert small.macs < large.macs  # type: ignore[operator]
    assert small.layer_table


def test_bench_can_be_called_also_after_its_room_was_imported() -> None:
    import edgewise.bench.plan

    with pytest.raises(UsageError, match="no setting 'treads'"):
        edgewise.bench("a.tflite", treads=2)
    assert edgewise.bench.plan.QUICK.processes == 3  # type: ignore[attr-defined]


def test_bench_measures() -> None:
    pytest.importorskip("ai_edge_litert")
    (found,) = edgewise.bench(
        DATA / "digits" / "digits-s.tflite", processes=1, load_processes=1, runs=3, min_time_s=0.0,
        threads=(1,), runtimes=("litert",),
    )  # fmt: skip
    assert isinstance(found, Measurement)
    assert found.status == "ok", found.reason
    assert found.latency_ms.n >= 3  # type: ignore[union-attr]


def test_place_is_computed_from_profiles() -> None:
    rows = edgewise.place("inception_v3", profiles="pixel3", server="p2", links=["wifi", "lte"])
    assert [row.link for row in rows] == ["wifi", "lte"]
    assert all(row.faster in ("device", "cloud") for row in rows)


def test_simulate_repeats() -> None:
    once, again = (
        edgewise.simulate("greedy", sla_ms=[200], requests=500, seed=seed) for seed in (1, 1)
    )
    assert once == again
    assert [(row.policy, row.sla_ms) for row in once] == [("greedy", 200)]


def test_arrow_gives_types_and_no_rows_where_there_are_none(tmp_path: Path) -> None:
    store = edgewise.Store.open(str(tmp_path / "s"), create=True)
    store.append(Model(path="a.tflite", format="tflite", macs=7))
    table = store.arrow("select path, macs, macs / 2 as half from models")
    assert table.to_pylist() == [{"path": "a.tflite", "macs": 7, "half": 3.5}]
    assert str(table.schema.field("macs").type) == "int64"
    assert store.arrow("select path from models where false").num_rows == 0
    assert store.arrow("create temp table t as select 1").num_rows in (0, 1)
    with pytest.raises(UsageError, match="tables: apps"):
        store.arrow("select * from nothing")
