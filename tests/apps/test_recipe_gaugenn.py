"""The paper's statements asked of small stores, counted by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from edgewise.apps.recipes import gaugenn
from edgewise.apps.study import frozen
from edgewise.cli.main import run
from edgewise.records import (
    App,
    Context,
    Distribution,
    Energy,
    Evidence,
    LayerRow,
    Measurement,
    Model,
    PublishedFinding,
    Target,
    TensorRow,
)
from edgewise.report.plots import figures
from edgewise.store import Store


def model(sha256: str, format: str = "tflite", **more: Any) -> Model:
    return Model(path=f"x!/{sha256}.m", format=format, sha256=sha256, **more)


def app(name: str, *models: Model, evidence: tuple[Evidence, ...] = ()) -> App:
    return App(
        path=name, sha256=name.encode().hex(), package=name, models=models, evidence=evidence
    )


def measured(sha256: str, device: str, p50_ms: float, joules: float | None) -> Measurement:
    energy = Energy(
        inference_j=joules, mean_w=None, idle_w=None, method="monsoon"
    ) if joules else None  # fmt: skip
    times = dict.fromkeys(("mean", "min", "p50", "max"), p50_ms)
    return Measurement(
        model=f"{sha256}.m", sha256=sha256, target=Target(device=device, runtime="litert"),
        status="ok", latency_ms=Distribution(n=9, std=0.0, **times), energy=energy,
    )  # fmt: skip


LAYER = LayerRow(
    index=0, name="c", op="CONV_2D", kind="conv", input_shapes=(), output_shapes=(), dtype=None,
    macs=1000, macs_formula=None, flops=2000, parameters=100, weight_bytes=400, output_bytes=None,
)  # fmt: skip
SHARED = model(
    "m1", modality="image", quantization="full", weight_dtypes={"int8": 400}, macs=1000,
    parameters=100, weight_bytes=400, size_bytes=500, layer_table=(LAYER,),
)  # fmt: skip
APPS = [
    app("one", SHARED),
    app("two", SHARED, model("m2", "onnx", modality="image", quantization="none")),
    app("three", model("m3", "ncnn", modality="text", quantization="none"),
        evidence=(Evidence(kind="framework", name="ncnn", grade="class"),)),
    app("four", model("m4", status="rejected")),
]  # fmt: skip


def stored(tmp_path: Path, *more: Any) -> Store:
    store = Store.open(str(tmp_path / "store"), create=True)
    store.append([*APPS, *more])
    return store


def by_query(found: list[PublishedFinding]) -> dict[str, PublishedFinding]:
    stated = gaugenn.PAPER.statement
    return {each.query: row for each, row in zip(stated, found, strict=True)}


def test_apps_formats_and_reuse(tmp_path: Path) -> None:
    found = by_query(gaugenn.findings(stored(tmp_path)))
    assert (found["apps"].ours, found["apps"].agrees) == (4, "no")
    assert (found["popular"].ours, found["popular"].agrees) == (75.0, "cannot tell")
    assert (found["tflite"].ours, found["tflite"].n) == (50.0, 4)
    assert (found["order"].ours, found["order"].agrees) == ("tflite, ncnn, onnx", "no")
    assert (found["reused"].ours, found["reused"].n) == (50.0, 4)
    assert found["vision"].ours == "image 75.0 %, text 25.0 %"
    assert found["vision"].agrees == "cannot tell"
    assert "other apps" in found["order"].why


def test_the_papers_order_and_share_agree_where_they_come_out(tmp_path: Path) -> None:
    many = [model(f"t{i}", modality="image") for i in range(86)]
    many += [model(f"c{i}", "caffe") for i in range(11)] + [
        model(f"n{i}", "ncnn") for i in range(3)
    ]
    store = Store.open(str(tmp_path / "like"), create=True)
    store.append([app("big", *many)])
    found = by_query(gaugenn.findings(store))
    assert found["tflite"].agrees == found["order"].agrees == "yes"
    assert found["vision"].agrees == "yes"
    assert (found["reused"].ours, found["reused"].agrees) == (0.0, "no")


def test_nothing_is_not_zero(tmp_path: Path) -> None:
    empty = Store.open(str(tmp_path / "empty"), create=True)
    for query, row in by_query(gaugenn.findings(empty)).items():
        if query != "apps":
            assert (row.ours, row.n, row.agrees) == (None, 0, "cannot tell"), query
            assert row.why


def tensor(values: tuple[float, ...]) -> TensorRow:
    return TensorRow(
        name="w", dtype="float32", shape=(8, 8), elements=64, size_bytes=256, sketch=values
    )


def test_weights_that_were_read_tell_training_and_pruning(tmp_path: Path) -> None:
    weighed = [
        Model(path=f"{sha}.m", format="tflite", sha256=sha, tensors=(tensor((0.1, 0.2, 0.3)),),
              zero_fraction=zeros, clustered_tensors=0)
        for sha, zeros in (("m1", 0.6), ("m2", 0.0))
    ]  # fmt: skip
    before = by_query(gaugenn.findings(stored(tmp_path)))
    assert before["fine_tuned"].agrees == before["gap"].agrees == "cannot tell"
    assert before["gap"].ours == "quantised 33.3 %"
    found = by_query(gaugenn.findings(stored(tmp_path, *weighed)))
    assert found["gap"].ours == "quantised 33.3 %, pruned 50.0 %, clustered 0.0 %"
    assert found["gap"].agrees == "cannot tell"
    assert found["fine_tuned"].n == 2
    assert "cannot be read: 1;" in found["fine_tuned"].why


def test_devices_and_meters(tmp_path: Path) -> None:
    found = by_query(gaugenn.findings(stored(
        tmp_path, measured("m1", "old", 30.0, 0.5), measured("m1", "new", 10.0, None),
        measured("m2", "new", 5.0, 0.02),
        replace(measured("m1", "host:emulated=0.2", 90.0, None), context=Context(emulated="pacer")),
    )))  # fmt: skip
    assert (found["tiers"].ours, found["tiers"].n, found["tiers"].agrees) == (3.0, 1, "yes")
    assert (found["energy"].ours, found["energy"].n) == ("0.02 to 0.5 J", 2)
    drawn = set(figures(Store.open(str(tmp_path / "store"))))
    assert set(gaugenn.PAPER.figures) - drawn == set()


def test_the_verb(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = stored(tmp_path)
    assert run(["study", "gaugenn", store.url, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(rows) == len(gaugenn.PAPER.statement)
    wanted = {"paper", "statement", "theirs", "where", "ours", "unit", "n", "agrees", "why"}
    assert all(wanted <= row.keys() for row in rows)
    study = tmp_path / "study.json"
    study.write_bytes(msgspec.json.encode(replace(frozen(store, "one"), apps=(APPS[0].sha256,))))
    assert run(["study", "gaugenn", store.url, "--study", str(study)]) == 0
    shown = capsys.readouterr().out
    assert "1 apps (n = 1)" in shown
    assert "edgewise plot NAME" in shown
    assert run(["study", "nobody", store.url]) == 2
    assert run(["study", "gaugenn", store.url, "more"]) == 2
    assert run(["study", "gaugenn", store.url, "--table", "apps"]) == 2


@pytest.mark.corpus
def test_weights_that_the_store_lacks_are_read_where_the_models_lie(
    known: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    package = known / "apps" / "s01_tflite_used.apk"
    url = str(tmp_path / "scanned")
    assert run(["scan", str(package), "--store", url, "--quiet"]) == 0
    capsys.readouterr()
    told: list[str] = []
    found = by_query(gaugenn.findings(Store.open(url), progress=told.append))
    assert len(told) == 2
    assert found["fine_tuned"].n == 2
    assert "pruned 0.0 %" in str(found["gap"].ours)
