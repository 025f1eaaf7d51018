"""What threads and batches bring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgewise.records import Context, Distribution, Measurement, Target
from edgewise.report import scaling
from edgewise.report.parts import Ask
from edgewise.store import Store


def measured(ms: float, threads: int = 1, batch: int = 1, **more: Any) -> Measurement:
    return Measurement(
        model="m.tflite", sha256="m", target=Target(threads=threads, batch=batch),
        latency_ms=Distribution(n=100, mean=ms, p50=ms), context=Context(cpu_model="CPU"), **more,
    )  # fmt: skip


def rows(store: Store) -> dict[str, list[dict[str, Any]]]:
    with Ask(store) as ask:
        return {figure.title: figure.numbers.objects() for figure in scaling.parts(ask)}


def test_one_step_is_no_line(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([measured(4.0), measured(5.0), measured(9.0, status="failed", threads=2)])
    assert rows(store) == {}


def test_threads_are_against_the_fewest_and_the_last_run_counts(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append(measured(99.0))
    store.append([measured(8.0), measured(5.0, 2), measured(2.0, 4), measured(50.0, 4, batch=8)])
    drawn = rows(store)["What more threads bring"]
    four = [row for row in drawn if row["threads"] == 4]
    assert [row["speedup"] for row in four] == [4.0], "one of another batch is no step"
    assert [row["speedup"] for row in drawn][:2] == [1.0, 1.6]


def test_a_batch_is_shared_among_its_items(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path), create=True)
    store.append([measured(4.0), measured(8.0, batch=4)])
    drawn = rows(store)["What batches bring"]
    assert [(row["batch"], row["item_ms"], row["speedup"]) for row in drawn] == [
        (1, 4.0, 1.0), (4, 2.0, 2.0)
    ]  # fmt: skip
