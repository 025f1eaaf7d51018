"""The demo, whole: every link of the chain takes what the one before it found."""

from __future__ import annotations

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from edgewise.bench import plan
from edgewise.cli.main import VERBS, command_line, run
from edgewise.demo import walk
from edgewise.errors import UsageError
from edgewise.family import load_family
from edgewise.records import AccuracyRow, Placement, SimulationRow
from edgewise.store import Store

pytest.importorskip("ai_edge_litert")
pytest.importorskip("onnxruntime")
pytest.importorskip("PIL")


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """The demo with less of everything: the same steps on the same files."""
    less = replace(plan.QUICK, processes=1, load_processes=1, runs=10, min_time_s=0.05)
    monkeypatch.setattr(plan, "QUICK", less)
    monkeypatch.setattr(walk, "DEADLINES_MS", (100.0, 200.0))
    monkeypatch.setattr(walk, "SERVED_SECONDS", 1.0)
    monkeypatch.setattr(walk, "PLACED_PROCESSES", 1)


@pytest.mark.usefixtures("short")
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
    assert len(accuracies) == len(load_family(walk.FAMILY / "family.toml").variant)
    for one in accuracies.values():  # the family is as accurate as it says
        assert one.error is None and one.n == 360 and not one.notes
        assert one.accuracy == pytest.approx(one.recorded_accuracy, abs=0.006)
        assert one.ci95_low < one.accuracy < one.ci95_high  # type: ignore[operator]
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
        assert row.cloud is not None and row.cloud.queue_ms is not None
        assert not any("answer differently" in note for note in row.notes)

    page = (tmp_path / "report.html").read_text("utf-8")
    assert "Digit Demo" in page and "Which model per request" in page
    assert "Where the time goes: a later answer" in page


def test_every_sentence_at_the_end_has_its_origin_and_a_second_demo_starts_afresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").mkdir()
    with pytest.raises(UsageError, match="not of a demo"):
        walk._fresh(tmp_path)
    (tmp_path / "store").rmdir()
    first = walk._fresh(tmp_path)
    first.append(AccuracyRow(model="m", path="m", data="d", n=1, correct=1, accuracy=100.0,
                             ci95_low=None, ci95_high=None))  # fmt: skip
    assert walk._fresh(tmp_path).read(AccuracyRow) == []


def test_the_commands_that_are_shown_are_command_lines(tmp_path: Path) -> None:
    """Each line parses as what its verb takes, and names files that are there."""
    for line in "\n".join(walk.commands(tmp_path).values()).splitlines():
        words = shlex.split(line.removesuffix(" &"))
        verb = next(place for place, word in enumerate(words) if word in VERBS)
        group = typer.main.get_group(command_line([words[verb]]))
        group.commands[words[verb]].make_context(words[verb], words[verb + 1 :])
