"""The demo, whole: every link of the chain takes what the one before it found."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgewise.cli.main import run
from edgewise.records import AccuracyRow, Placement, SimulationRow
from edgewise.store import Store

pytest.importorskip("ai_edge_litert")
pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")


def test_the_demo_walks_the_whole_chain(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["demo", "--output", str(tmp_path), "--quiet"]) == 0
    text = capsys.readouterr().out
    assert str(tmp_path / "report.html") in text.replace("\n", "")

    store = Store.open(str(tmp_path / "store"))
    (app,) = store.apps()
    assert (app.package, app.coverage.parsed, app.coverage.rejected) == ("dev.edgewise.demo", 4, 1)
    measured = store.measurements()
    assert {one.status for one in measured} == {"ok"}
    inside = [one.model for one in measured if "demo.apk!/" in one.model]
    assert len(inside) == 4, "the app's models were measured out of the package"
    parsed = {model.sha256 for model in store.models() if model.status == "parsed"}
    assert {one.sha256 for one in measured} == parsed

    accuracies = {row.model: row for row in store.read(AccuracyRow)}
    assert accuracies["digits-xl"].accuracy > accuracies["digits-xxs"].accuracy
    rows = store.read(SimulationRow)
    assert {row.network for row in rows} == {"wifi", "lte"}
    variants = {name for row in rows for name in row.usage}
    assert variants <= set(accuracies), "what is simulated is what was measured"
    # Overloaded by its best variant, the service still answers well by choosing.
    (best,) = (r for r in rows if (r.policy, r.network, r.sla_ms) == ("most_accurate", "wifi", 200))
    (ours,) = (r for r in rows if (r.policy, r.network, r.sla_ms) == ("deadline", "wifi", 200))
    assert ours.effective_accuracy > best.effective_accuracy

    placed = store.read(Placement)
    assert {(row.link, row.connection, row.reason) for row in placed} == {
        (link, kind, None) for link in ("wifi", "lte") for kind in ("fresh", "warm")
    }
    assert {row.sha256 for row in placed} == {
        one.sha256 for one in app.models if one.status == "parsed"
    }
    for row in placed:
        assert row.where_to_preprocess == "cloud", "the service prepares photos for its variants"
        assert row.cloud is not None and row.cloud.queue_ms is not None and row.cloud.radio_j
        assert not any("answer differently" in note for note in row.notes)

    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Digit Demo" in page and "Choice per request" in page
    assert "Where the time goes: a later answer" in page
