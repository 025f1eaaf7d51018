"""The store: what is appended comes back, once, from wherever it lies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import textwrap
import uuid
from pathlib import Path

import pytest
from msgspec import structs

from edgewise.errors import NewerStore, StoreError, UsageError
from edgewise.records import (
    App,
    Coverage,
    Evidence,
    LayerRow,
    Measurement,
    Model,
    Port,
    Record,
    Sample,
    Target,
    TensorRow,
)
from edgewise.store import Store
from edgewise.store.tables import TABLES


def layer(index: int, **changes: object) -> LayerRow:
    row = {
        "index": index, "name": f"conv{index}", "op": "CONV_2D", "kind": "conv",
        "input_shapes": ((1, 8, 8, 3), None), "output_shapes": ((1, 8, 8, 4),),
        "dtype": "float32", "macs": 1728, "macs_formula": None, "flops": 3456,
        "parameters": 112, "weight_bytes": 448, "output_bytes": 1024,
    }  # fmt: skip
    return LayerRow(**(row | changes))  # type: ignore[arg-type]


def model(path: str = "m.tflite", **changes: object) -> Model:
    fields = {
        "path": path, "format": "tflite", "sha256": "ab" * 32, "macs": 3456,
        "inputs": (Port(name="x", shape=(1, 8), dtype="float32", signature=("N", 8)),),
        "ops": {"CONV_2D": 2}, "metadata": {"a": "b"}, "labels": ("cat", "dog"),
        "layer_table": (layer(0), layer(1)),
        "tensors": (TensorRow(name="w", dtype="int4", shape=(3, 3), elements=9, size_bytes=5),),
    }  # fmt: skip
    return Model(**(fields | changes))  # type: ignore[arg-type]


def app(number: int = 1, path: str = "a.apk", **changes: object) -> App:
    fields = {
        "path": path, "sha256": f"{number:064x}", "package": "org.example",
        "models": (
            model(f"{path}!/assets/m.tflite"),
            Model(path=f"{path}!/x", format="onnx", status="rejected", reason="truncated"),
        ),
        "evidence": (Evidence(kind="framework", name="TensorFlow Lite", grade="class"),),
        "coverage": Coverage(entries=9, examined=9, candidates=2, parsed=1, rejected=1),
    }  # fmt: skip
    return App(**(fields | changes))  # type: ignore[arg-type]


def measurement(number: int = 1) -> Measurement:
    samples = tuple(Sample(process=0, phase="timed", index=i, ms=number + i / 7) for i in range(9))
    return Measurement(model="m.tflite", sha256="ab" * 32, target=Target(), samples=samples)


def count(store: Store, table: str) -> int:
    ((rows,),) = store.query(f"select count(*) from {table}")[1]
    assert isinstance(rows, int)
    return rows


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "store"), create=True)


@pytest.fixture(params=["folder", "file", "memory"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    url = {
        "folder": str(tmp_path / "store"),
        "file": f"file://{tmp_path}/store",
        "memory": f"memory://{uuid.uuid4().hex}/store",
    }[request.param]
    return Store.open(url, create=True)


def test_what_is_appended_comes_back(anywhere: Store) -> None:
    anywhere.append([app(), measurement()])
    anywhere.append(model("bare.tflite"))
    again = Store.open(anywhere.url)
    assert again.apps() == [app()]
    assert again.measurements() == [measurement()]
    assert model("bare.tflite") in again.models()
    assert len(again.models()) == 3


def test_appending_again_doubles_nothing(anywhere: Store) -> None:
    for _ in range(2):
        anywhere.append([app(), model(), measurement()])
    anywhere.append([app(), app(2)])
    assert [count(anywhere, t) for t in ("apps", "models", "layers", "samples")] == [2, 5, 6, 9]
    assert anywhere.apps() == [app(), app(2)] or anywhere.apps() == [app(2), app()]


def test_every_table_is_there_and_empty(store: Store) -> None:
    assert {table.name: count(store, table.name) for table in TABLES} == dict.fromkeys(
        (table.name for table in TABLES), 0
    )
    assert store.apps() == []


def test_the_last_append_of_an_app_is_the_app(store: Store) -> None:
    store.append(app(path="first.apk"))
    store.append(app(path="second.apk", models=(), evidence=()))
    assert store.apps() == [app(path="second.apk", models=(), evidence=())]
    assert [count(store, t) for t in ("models", "layers", "evidence")] == [0, 0, 0]
    store.append(app(path="first.apk"))
    assert store.apps() == [app(path="first.apk")]


def test_one_batch_with_the_same_app_twice_keeps_the_last(store: Store) -> None:
    store.append([app(path="first.apk"), app(path="second.apk")])
    assert [found.path for found in store.apps()] == ["second.apk"]


def test_a_newer_analysis_is_another_row(store: Store) -> None:
    store.append([app(), app(analysis_version=99)])
    assert count(store, "apps") == 2


def test_some_records_come_with_all_that_they_hold(store: Store) -> None:
    other = structs.replace(measurement(2), model="other.tflite")
    store.append([measurement(1), other])
    assert store.read(Measurement, where="model = 'other.tflite'") == [other]
    assert store.read(Measurement, where="model = 'another'") == []
    with pytest.raises(UsageError):
        store.read(Measurement, where="no_such_column = 1")


def test_an_app_without_bytes_is_known_by_its_path(store: Store) -> None:
    broken = [App(path=name, error="no end record") for name in ("a.apk", "b.apk", "a.apk")]
    store.append(broken)
    assert [found.path for found in store.apps()] == ["b.apk", "a.apk"] or [
        found.path for found in store.apps()
    ] == ["a.apk", "b.apk"]


def test_files_of_one_content_and_two_names_are_two_models(store: Store) -> None:
    store.append([model("a.param"), model("b.param"), model("copy/a.param")])
    assert sorted(found.path for found in store.models()) == ["b.param", "copy/a.param"]


def test_entries_of_the_same_name_in_one_app_stay_apart(store: Store) -> None:
    twins = (model("a.apk!/m"), model("a.apk!/m"))
    store.append(app(models=twins))
    assert store.apps()[0].models == twins


def test_a_record_whose_own_row_is_missing_does_not_show(store: Store, tmp_path: Path) -> None:
    store.append(app())
    (part,) = (tmp_path / "store" / "apps").iterdir()
    part.unlink()
    assert [count(store, t) for t in ("models", "layers", "evidence")] == [0, 0, 0]
    store.append(app())
    assert store.apps() == [app()]


def test_names_no_encoding_can_hold_are_spelt_out(store: Store) -> None:
    store.append(app(path="caf\udce9.apk", label="a\x00b"))
    (found,) = store.apps()
    assert (found.path, found.label) == ("caf\\udce9.apk", "a\x00b")


def test_numbers_beyond_64_bits_are_null_and_noted(store: Store) -> None:
    huge = model(macs=2**70, layer_table=(layer(0, macs=2**64, parameters=2**64),))
    store.append(huge)
    (found,) = store.models()
    assert found.macs is None
    assert any("macs" in note for note in found.notes)
    assert found.layer_table is not None
    assert found.layer_table[0].macs is None
    assert found.layer_table[0].parameters == 2**63 - 1


def test_a_record_without_a_table_is_a_defect(store: Store) -> None:
    with pytest.raises(TypeError, match="Coverage"):
        store.append(Coverage())


def test_compacting_keeps_every_record(anywhere: Store) -> None:
    records: list[Record] = [*(app(n) for n in range(5)), *(measurement(n) for n in range(3))]
    for record in records:
        anywhere.append(record)
    before = anywhere.apps(), anywhere.measurements()
    anywhere.compact()
    anywhere.append(records[0])
    assert sorted(anywhere.apps(), key=str) == sorted(before[0], key=str)
    assert anywhere.measurements() == before[1]


def test_a_compaction_killed_before_it_deletes_doubles_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        store.append(app(number))
    monkeypatch.setattr("edgewise.store.places.Folder.delete", lambda self, name: None)
    store.compact()
    assert [count(store, t) for t in ("apps", "models", "layers")] == [3, 6, 6]


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("x")
    for create in (False, True):
        with pytest.raises(StoreError, match="is not a store"):
            Store.open(str(tmp_path), create)


@pytest.mark.parametrize("url", ["{}/none", "memory://none/such", "nonesuch://x", "s9://x/y"])
def test_where_no_store_is_says_so(tmp_path: Path, url: str) -> None:
    with pytest.raises(StoreError):
        Store.open(url.format(tmp_path))


def test_a_damaged_mark_says_what_to_do(store: Store) -> None:
    Path(store.url, "edgewise-store.json").write_text("{")
    with pytest.raises(StoreError, match="damaged"):
        Store.open(store.url)


def test_a_newer_store_is_refused(store: Store) -> None:
    Path(store.url, "edgewise-store.json").write_text('{"schema_version": 99}')
    with pytest.raises(NewerStore, match=r"version 99.*upgrade"):
        Store.open(store.url)


def test_a_newer_part_is_refused(store: Store) -> None:
    store.append(app())
    part = next(Path(store.url, "apps").iterdir())
    part.rename(part.with_name(part.name.replace("v1-", "v99-")))
    with pytest.raises(NewerStore, match="version 99"):
        store.apps()


def test_a_part_of_an_older_schema_is_read(store: Store) -> None:
    """What it lacks, also inside a struct, is null, and the default of a record."""
    import pyarrow as pa
    from pyarrow import parquet

    store.append(app())
    part = next(Path(store.url, "apps").iterdir())
    old = parquet.read_table(part)
    coverage = [{"entries": row["entries"]} for row in old["coverage"].to_pylist()]
    old = old.drop_columns(["label", "coverage", "notes"]).append_column(
        "coverage", pa.array(coverage)
    )
    parquet.write_table(old, part)
    assert store.apps() == [app(coverage=Coverage(entries=9))]
    assert list(store.query("select label, coverage.parsed from apps")[1]) == [(None, None)]


def test_a_broken_part_is_named(store: Store) -> None:
    store.append(app())
    part = next(Path(store.url, "layers").iterdir())
    os.truncate(part, part.stat().st_size // 2)
    with pytest.raises(StoreError, match=part.name):
        store.apps()


def test_other_files_in_a_store_are_none_of_its_business(store: Store) -> None:
    store.append(app())
    Path(store.url, "apps", "README.txt").write_text("mine")
    Path(store.url, "apps", ".v1-half.parquet.tmp").write_bytes(b"PAR1")
    assert store.apps() == [app()]


@pytest.mark.parametrize(
    "sql",
    [
        "select nonsense from apps",
        "selct 1",
        "from read_text('/etc/hostname')",
        "copy apps to '/tmp/edgewise-stolen.csv'",
        "attach '/tmp/edgewise-stolen.db'",
        "set enable_external_access = true",
    ],
)
def test_sql_that_is_wrong_or_reaches_out_is_refused(store: Store, sql: str) -> None:
    with pytest.raises(UsageError) as refused:
        list(store.query(sql)[1])
    assert "tables: apps" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_sql_cannot_change_the_store(store: Store) -> None:
    store.append(app())
    list(store.query("create table gone as select 1; drop view apps")[1])
    assert store.apps() == [app()]


def run(code: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments], stdout=subprocess.PIPE
    )


_WRITER = """
    import sys
    from edgewise.records import App, Model
    from edgewise.store import Store

    url, first, last = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    store = Store.open(url, create=True)
    for number in range(first, last):
        models = tuple(Model(path=f"{number}!/{i}", format="tflite") for i in range(3))
        store.append(App(path=str(number), sha256=f"{number:064x}", models=models))
        print(number, flush=True)
"""


def test_processes_append_at_the_same_time(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    writers = [run(_WRITER, url, str(first), str(first + 25)) for first in (0, 20)]
    for writer in writers:
        writer.communicate(timeout=60)
        assert writer.returncode == 0
    store = Store.open(url)
    assert sorted(int(found.path) for found in store.apps()) == list(range(45))
    assert count(store, "models") == 45 * 3


def test_a_killed_writer_leaves_a_sound_store(tmp_path: Path) -> None:
    url = str(tmp_path / "store")
    writer = run(_WRITER, url, "0", "100000")
    assert writer.stdout
    said = [int(writer.stdout.readline()) for _ in range(12)]
    writer.send_signal(signal.SIGKILL)
    said += [int(line) for line in writer.stdout.read().split(b"\n") if line]
    writer.wait()
    writer.stdout.close()
    found = {int(each.path): len(each.models) for each in Store.open(url).apps()}
    assert set(said) <= set(found)
    assert set(found.values()) == {3}


def test_a_full_disk_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on the size of files stands in for a full disk."""
    code = """
        import resource, sys
        from edgewise.errors import StoreError
        from edgewise.records import Measurement, Sample, Target
        from edgewise.store import Store

        store = Store.open(sys.argv[1], create=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
        samples = tuple(
            Sample(process=0, phase="timed", index=i, ms=i * 7919 % 10007 / 13)
            for i in range(9999)
        )
        try:
            store.append(Measurement(model="m", sha256=None, target=Target(), samples=samples))
        except StoreError as error:
            print(error)
    """
    url = str(tmp_path / "store")
    output, _ = run(code, url).communicate(timeout=60)
    assert re.search(rb"cannot write .*/samples/v1-.*: File too large", output)
    assert list((tmp_path / "store" / "samples").iterdir()) == []
    assert Store.open(url).measurements() == []


def test_a_place_that_cannot_be_written_says_so(store: Store) -> None:
    Path(store.url, "apps").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match=r"apps.*(File exists|Not a directory)"):
        store.append(App(path="a.apk"))


def test_scan_without_a_store_imports_nothing_of_it() -> None:
    code = """
        import sys
        import edgewise.cli.apps
        import edgewise.store
        print(sorted({"pyarrow", "duckdb", "fsspec", "numpy"} & set(sys.modules)))
    """
    output, _ = run(code).communicate(timeout=60)
    assert output.strip() == b"[]"
