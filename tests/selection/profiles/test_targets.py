"""Which of a store's measurements and evaluations speak for a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec import structs

from edgewise.errors import UsageError
from edgewise.records import AccuracyRow, Context, Distribution, Measurement, Sample, Target
from edgewise.selection.profiles.stored import read_store, read_times
from edgewise.selection.profiles.table import ProfileTable
from edgewise.selection.profiles.targets import Wanted, names, narrowed
from edgewise.store import Store

XEON = Context(cpu_model="Xeon", cores=2, started_at="2026-01-02T00:00:00Z")


def measured(
    path: str, sha256: str | None, mean: float, context: Context = XEON, **target: object
) -> Measurement:
    return Measurement(
        model=path,
        sha256=sha256,
        target=Target(**target),  # type: ignore[arg-type]
        latency_ms=Distribution(n=100, mean=mean, std=0.5),
        load_ms=Distribution(n=10, mean=3.0),
        first_ms=Distribution(n=10, mean=4.0),
        samples=tuple(Sample(process=0, phase="timed", index=i, ms=mean + i) for i in range(100)),
        context=context,
    )


def judged(model: str, sha256: str | None, percent: float, n: int = 200) -> AccuracyRow:
    return AccuracyRow(
        model=model, path=f"/x/{model}.tflite", data="held-out", n=n,
        correct=round(percent * n / 100), accuracy=percent, ci95_low=None, ci95_high=None,
        sha256=sha256,
    )  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store.open(str(tmp_path / "s"), create=True)


def told(store: Store, **known: object) -> ProfileTable:
    return read_store(store.url, Wanted(**known))  # type: ignore[arg-type]


def means(table: ProfileTable) -> dict[str, float]:
    return dict(zip(table.models, table.mean_ms.tolist(), strict=True))


def test_accuracy_joins_by_the_hash_of_the_file_alone(store: Store) -> None:
    """A file that was replaced keeps no accuracy of the old one, whatever its name."""
    store.append([measured("a/m.tflite", "1", 5.0), measured("b/m.tflite", "2", 7.0)])
    store.append([judged("small", "1", 70.0), judged("m", None, 99.0)])
    found = told(store)
    assert means(found) == {"small": 5.0} and found.profiles[0].cold_ms == 7.0
    assert len(found.profiles[0].quantiles_ms) == 256
    assert any("not evaluated: m.tflite" in note for note in found.notes)


def test_each_model_takes_its_own_best_target_and_says_which(store: Store) -> None:
    store.append([measured("a.tflite", "1", 5.0), measured("a.tflite", "1", 3.0, threads=4)])
    store.append([measured("b.tflite", "2", 8.0), measured("b.tflite", "2", 9.0, threads=4)])
    store.append([judged("a", "1", 70.0), judged("b", "2", 80.0)])
    found = told(store)
    assert means(found) == {"a": 3.0, "b": 8.0}
    assert "threads=4" in (found.profiles[found.index("a")].source or "")
    assert any("a.tflite" in note and "fastest of 2 targets" in note for note in found.notes)
    assert means(told(store, threads=1)) == {"a": 5.0, "b": 8.0}
    assert means(told(store, words=("threads=4",))) == {"a": 3.0, "b": 9.0}


def test_a_target_is_matched_exactly_never_by_prefix(store: Store) -> None:
    store.append([measured("a.tflite", "1", 5.0, device="adb:12"),
                  measured("a.tflite", "1", 1.0, device="adb:123")])  # fmt: skip
    store.append(judged("a", "1", 70.0))
    assert means(told(store, device="adb:12")) == {"a": 5.0}
    for known in ({"device": "adb:1"}, {"runtime": "lite"}, {"words": ("thread",)}):
        with pytest.raises(UsageError, match=r"no such target.*adb:12 .*adb:123 "):
            told(store, **known)


def test_two_machines_called_host_are_two_devices(store: Store) -> None:
    other = Context(cpu_model="Ryzen", cores=8)
    store.append([measured("a.tflite", "1", 5.0), measured("a.tflite", "1", 1.0, other)])
    store.append(judged("a", "1", 70.0))
    with pytest.raises(UsageError, match="2 devices are called that"):
        told(store, device="host")
    assert means(told(store, device="host (Xeon, 2 cores)")) == {"a": 5.0}
    assert means(told(store)) == {"a": 1.0}


def test_of_two_runs_the_last_counts_and_the_stale_one_is_named(store: Store) -> None:
    newer = Context(cpu_model="Xeon", cores=2, kernel="6.9", started_at="2026-02-02T00:00:00Z")
    store.append(measured("a.tflite", "1", 5.0))
    store.append(measured("a.tflite", "1", 6.0, newer))
    store.append(judged("a", "1", 70.0))
    found = told(store)
    assert means(found) == {"a": 6.0}
    assert any("stale" in note and "2026-01-02" in note for note in found.notes)
    assert any("another context" in note for note in found.notes)


def test_an_evaluation_of_few_inputs_does_not_override_one_of_many(store: Store) -> None:
    store.append(measured("a.tflite", "1", 5.0))
    store.append(judged("a", "1", 90.3, n=360))
    store.append(judged("a", "1", 33.3, n=3))
    found = told(store)
    assert found.accuracy.tolist() == [90.3]
    assert any("360 inputs counts, not that of 3" in note for note in found.notes)


def test_files_of_one_name_are_two_models(store: Store) -> None:
    store.append([measured("a/model.onnx", "1", 5.0), measured("b/model.onnx", "2", 7.0)])
    assert [one.model for one in read_times(store.url)] == ["a/model", "b/model"]
    rows: Sequence[AccuracyRow] = (
        judged("model", "1", 70.0),
        judged("model", "2", 80.0),
    )
    store.append(rows)
    found = told(store)
    assert len(set(found.models)) == 2 and sorted(found.mean_ms.tolist()) == [5.0, 7.0]


def test_a_request_is_one_item_where_that_was_measured(store: Store) -> None:
    store.append([measured("a.tflite", "1", 5.0), measured("a.tflite", "1", 8.0, batch=8)])
    store.append(measured("b.tflite", "2", 16.0, batch=8))
    store.append([judged("a", "1", 70.0), judged("b", "2", 80.0)])
    found = told(store)
    assert means(found) == {"a": 5.0, "b": 16.0}
    assert "b.tflite: times are of whole batches of 8" in found.notes
    assert means(told(store, batch=8)) == means(told(store, words=("batch=8",)))
    assert means(told(store, batch=8)) == {"a": 8.0, "b": 16.0}


def test_evaluations_on_other_data_and_earlier_ones_are_told(store: Store) -> None:
    store.append([measured("a.tflite", "1", 5.0), measured("b.tflite", "2", 7.0)])
    store.append([judged("a", "1", 70.0), judged("a", "1", 72.0), judged("b", "2", 80.0)])
    notes = told(store).notes
    assert "a: stale, not used: an earlier evaluation of 200 inputs of held-out with 70 %" in notes
    assert not any("different data" in note for note in notes)
    store.append(structs.replace(judged("b", "2", 81.0, n=900), data="/d/other"))
    assert "accuracies are of different data: held-out, other" in told(store).notes


def test_an_evaluated_and_an_unknown_model_of_one_name_are_two(store: Store) -> None:
    store.append([measured("a/m.onnx", "1", 5.0), measured("b/m.onnx", "2", 7.0)])
    store.append(judged("m", "1", 70.0))
    assert sorted(one.model for one in read_times(store.url)) == ["b/m", "m"]
    store.append(judged("m", "2", 70.0))
    assert sorted(one.model for one in read_times(store.url)) == ["a/m", "b/m"]


def test_a_store_is_narrowed_to_targets_in_whatever_is_read_of_it(store: Store) -> None:
    other = Context(cpu_model="Ryzen", cores=8)
    quoted = Context(cpu_model="O'Neill")
    store.append([measured("a.tflite", "1", 5.0), measured("a.tflite", "1", 1.0, other)])
    store.append([measured("b.tflite", "2", 8.0, threads=4), measured("c", "3", 1.0, threads=None)])
    store.append(measured("d", "4", 2.0, quoted, device="adb:1 2", batch=8))
    store.append(judged("a", "1", 70.0))

    def left(**known: object) -> list[str]:
        one = narrowed(store, Wanted(**known))  # type: ignore[arg-type]
        found = [each.model for each in one.measurements()]
        samples = one.query("select count(distinct measurement_key) from samples")[1]
        assert next(iter(samples)) == (len(found),)
        assert [row.model for row in one.read(AccuracyRow)] == ["a"]
        return found

    assert left() == ["a.tflite", "a.tflite", "b.tflite", "c", "d"]
    assert left(threads=4) == ["b.tflite"] == left(words=("threads=4",))
    assert left(device="adb:1 2") == ["d"] == left(batch=8)
    assert left(device="host (Ryzen, 8 cores)") == ["a.tflite"]
    assert left(words=("threads=None",)) == ["c"]
    with pytest.raises(UsageError, match="2 devices are called that"):
        left(device="host")


def test_names_do_not_depend_on_what_is_asked_for(store: Store) -> None:
    store.append([measured("a/m.onnx", "1", 5.0), measured("b/m.onnx", "2", 7.0, threads=4)])
    store.append([judged("m", "1", 70.0), judged("m", "2", 80.0)])
    assert told(store).models == ("b/m", "a/m")
    assert told(store, threads=4).models == ("b/m",)
    assert [one.model for one in read_times(store.url, Wanted(threads=4))] == ["b/m"]


def test_names_are_as_short_as_tells_them_apart() -> None:
    assert names({"1": "x/a/m.onnx", "2": "x/b/m.onnx", "3": "k.tflite"}) == {
        "1": "a/m", "2": "b/m", "3": "k",
    }  # fmt: skip
    assert names({"1" * 64: "m.onnx", "2" * 64: "m.tflite"}) == {
        "1" * 64: "m · 111111", "2" * 64: "m · 222222",
    }  # fmt: skip
    assert names({"1": "app.apk!/assets/m.tflite"}) == {"1": "m"}
