"""Accuracy against latency: joined by content, per device, with the frontier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgewise.records import AccuracyRow, Context, Distribution, Measurement, Target
from edgewise.report import frontier
from edgewise.report.parts import Ask, Figure, Section
from edgewise.store import Store


def shown(store: Store) -> Section | None:
    with Ask(store) as ask:
        return frontier.section(ask)


def figures(store: Store) -> dict[str, list[dict[str, Any]]]:
    section = shown(store)
    assert section is not None
    return {
        part.title: part.numbers.objects() for part in section.parts if isinstance(part, Figure)
    }


def measured(sha256: str | None, ms: float, device: str = "host", threads: int = 1) -> Measurement:
    return Measurement(
        model="m.tflite", sha256=sha256, stability="stable", processes=5,
        target=Target(device=device, threads=threads),
        latency_ms=Distribution(n=700, mean=ms, p50=ms),
        context=Context(cpu_model="Example CPU"),
    )  # fmt: skip


def accuracy(name: str, percent: float, n: int = 360, data: str = "held.npz") -> AccuracyRow:
    return AccuracyRow(
        model=name, path=name, data=data, n=n, correct=round(n * percent / 100),
        accuracy=percent, ci95_low=percent - 1, ci95_high=percent + 1, sha256=name * 64,
    )  # fmt: skip


def test_nothing_that_is_both_evaluated_and_measured_is_no_section(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([measured("b" * 64, 1.0), measured(None, 1.0)])
    store.append(accuracy("a", 90.0))
    assert shown(store) is None


def test_only_what_is_beaten_by_none_is_on_the_frontier(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    times = {"a": 1.0, "b": 2.0, "c": 3.0, "d": 3.0, "e": 4.0}
    store.append([measured(name * 64, ms) for name, ms in times.items()])
    store.append([
        accuracy(name, percent)
        for name, percent in zip("abcde", (80.0, 75.0, 90.0, 91.0, 91.0), strict=True)
    ])  # fmt: skip
    (rows,) = figures(store).values()
    assert [row["model"] for row in rows if row["frontier"]] == ["a", "d"]
    assert len(rows) == 5, "those behind it are drawn as well"


def test_the_largest_evaluation_and_the_best_target_speak_for_a_model(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([measured("a" * 64, 4.0), measured("a" * 64, 2.0, threads=2)])
    store.append([accuracy("a", 99.0, n=3), accuracy("a", 90.0, n=500)])
    (rows,) = figures(store).values()
    (row,) = rows
    assert (row["accuracy"], row["inputs"], row["p50_ms"]) == (90.0, 500, 2.0)
    assert "2 threads" in row["target"]


def test_devices_and_data_sets_are_never_in_one_picture(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([measured("a" * 64, 1.0), measured("a" * 64, 9.0, device="phone")])
    store.append([measured("b" * 64, 2.0)])
    store.append([accuracy("a", 90.0), accuracy("b", 50.0, data="other's.npz")])
    drawn = figures(store)
    assert set(drawn) == {
        *(f"Accuracy against latency on {each}" for each in (
            "Example CPU, held.npz", "phone, held.npz", "Example CPU, other's.npz"
        ))
    }  # fmt: skip
    assert all(row["frontier"] for rows in drawn.values() for row in rows)


def test_what_was_evaluated_but_never_timed_is_counted(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append(measured("a" * 64, 1.0))
    store.append([accuracy("a", 90.0), accuracy("b", 95.0)])
    section = shown(store)
    assert section is not None
    assert "1 more were evaluated, but not timed" in section.lead
