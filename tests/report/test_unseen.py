"""What we could not see: four outcomes, nulls with their reasons, notes counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgewise.records import (
    App,
    Coverage,
    Distribution,
    Energy,
    Evidence,
    Measurement,
    Model,
    Target,
)
from edgewise.report import unseen
from edgewise.report.parts import Ask, Section
from edgewise.store import Store


def shown(store: Store) -> Section | None:
    with Ask(store) as ask:
        return unseen.section(ask)


def rows(section: Section, title: str) -> list[dict[str, Any]]:
    return next(part.numbers.objects() for part in section.parts if part.title == title)


def model(path: str, **more: Any) -> Model:
    facts: dict[str, Any] = {"format": "tflite", "sha256": path, "size_bytes": 9, "level": "graph"}
    return Model(path=path, **(facts | more))


def whole(path: str) -> Model:
    return model(path, macs=9, parameters=9, peak_activation_bytes=9, task="t", architecture="vit",
                 fingerprint="f", reach="loaded")  # fmt: skip


def test_nothing_looked_at_is_no_section(tmp_path: Path) -> None:
    assert shown(Store.open(str(tmp_path), create=True)) is None


def test_that_nothing_was_missed_is_said(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append(whole("m.tflite"))
    section = shown(store)
    assert section is not None
    assert section.lead.startswith("All 1 file that may be models were read")
    (only,) = rows(section, "What is not known of what was read")
    assert (only["field"], only["unknown_share"]) == ("time", 1.0)


def test_all_four_outcomes_with_their_reasons(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    held = [
        model("a.apk!/x", status="opaque", reason="encrypted"),
        model("a.apk!/y", status="rejected", reason="no TFL3"),
        model("a.apk!/z", status="rejected", reason="no TFL3"),
        model("a.apk!/big", status="not_examined", reason="more than 2 GB"), whole("a.apk!/m"),
    ]  # fmt: skip
    store.append([
        App(path="a.apk", sha256="a", package="a", models=tuple(held),
            coverage=Coverage(entries=90, examined=83)),
        App(path="b.apk", error="no end record"),
        Measurement(model="m", sha256="m", target=Target(), status="failed", reason="crashed"),
    ])  # fmt: skip
    section = shown(store)
    assert section is not None
    tiles = {tile.label: tile.value for tile in section.tiles}
    assert (tiles["parsed"], tiles["opaque"], tiles["rejected"], tiles["not examined"]) == (
        "1", "1", "2", "1"
    )  # fmt: skip
    assert (tiles["apps not processed"], tiles["entries not looked into"]) == ("1", "7")
    said = {(row["outcome"], row["reason"], row["files"])
            for row in rows(section, "What could not be read, and why")}  # fmt: skip
    assert said == {
        ("rejected", "no TFL3", 2), ("opaque", "encrypted", 1),
        ("not_examined", "more than 2 GB", 1), ("app not processed", "no end record", 1),
        ("measurement failed", "crashed", 1),
    }  # fmt: skip


def test_nulls_are_counted_with_the_reason_that_records_give(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([whole("m"), model("n", macs=9, notes=("weights are missing",))])
    wrapped = Energy(inference_j=None, mean_w=None, idle_w=None, method="rapl", reason="wrapped")
    times = Distribution(n=9, mean=1.0, p50=1.0)
    store.append([
        Measurement(model="m", sha256="m", target=Target(), latency_ms=times, energy=wrapped),
        App(path="a.apk", sha256="a", package="a",
            evidence=(Evidence(kind="framework", name="x", grade="asset"),)),
    ])  # fmt: skip
    section = shown(store)
    assert section is not None
    known = {(row["field"], row["of"]): row
             for row in rows(section, "What is not known of what was read")}  # fmt: skip
    energy = known["energy", "measurements"]
    assert (energy["looked_at"], energy["unknown"], energy["because"]) == (1, 1, "wrapped")
    parameters = known["parameters", "model files"]
    assert (parameters["looked_at"], parameters["unknown"]) == (2, 1)
    assert known["reach of code", "pieces of evidence"]["unknown"] == 1
    assert ("multiply-accumulates", "model files") not in known
    (note,) = rows(section, "Notes")
    assert (note["note"], note["times"], note["example"]) == ("weights are missing", 1, "n")
