"""Measuring for real, with processes so short that it stays fast."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from pathlib import Path

import pytest

from edgewise import sandbox
from edgewise.bench import run, worker
from edgewise.bench.plan import Plan, Settings
from edgewise.bench.run import measure
from edgewise.errors import WorkerFailed
from edgewise.records import Measurement
from edgewise.sandbox import Answer, Limits

pytest.importorskip("ai_edge_litert")
pytest.importorskip("onnxruntime")

SHORT = Settings(
    processes=2, load_processes=3, evicted_processes=1, runs=5, min_time_s=0, max_time_s=5,
    warmup_runs=2,
)  # fmt: skip


@pytest.fixture(scope="module")
def measured(digits: Path) -> dict[str, Measurement]:
    paths = tuple(str(digits / name) for name in ("digits-s.tflite", "digits-s.onnx"))
    found = measure(Plan(paths=paths, settings=SHORT))
    return {Path(each.model).name: each for each in found}


@pytest.mark.parametrize("name", ["digits-s.tflite", "digits-s.onnx"])
def test_every_phase_is_there(measured: dict[str, Measurement], name: str) -> None:
    found = measured[name]
    assert found.status == "ok"
    assert found.latency_ms is not None and found.latency_ms.n == 10
    assert found.load_ms is not None and found.load_ms.n == 3
    assert found.first_ms is not None and found.first_ms.n == 3
    assert (found.processes, found.warmup_runs) == (2, 4)
    phases = Counter(sample.phase for sample in found.samples)
    evicted = found.load_evicted_ms.n if found.load_evicted_ms else 0
    assert phases == Counter(
        load=3, first=3, warmup=4, timed=10, load_evicted=evicted, first_evicted=evicted
    )
    assert found.throughput_items_per_s == pytest.approx(1000 / (found.latency_ms.p50 or 0))


def test_what_is_not_known_is_none_with_a_note(measured: dict[str, Measurement]) -> None:
    found = measured["digits-s.onnx"]
    assert found.latency_ms is not None
    assert found.latency_ms.p90 is found.latency_ms.p99 is None
    assert any(re.fullmatch(r"too few samples \(\d+\) for p90, p95, p99", n) for n in found.notes)
    assert found.energy is None
    assert any("no energy" in note for note in found.notes)
    if found.load_evicted_ms is None:
        assert any("page cache" in note for note in found.notes)


def test_context_names_the_versions(measured: dict[str, Measurement]) -> None:
    versions = measured["digits-s.tflite"].context.versions
    assert {"edgewise", "litert", "numpy"} <= versions.keys()
    assert "onnxruntime" in measured["digits-s.onnx"].context.versions


def test_batches_and_threads(digits: Path) -> None:
    plan = Plan(
        paths=(str(digits / "digits-s.onnx"),), threads=(1, 2), batches=(1, 3),
        settings=dataclasses.replace(SHORT, processes=1, load_processes=0, evicted_processes=0),
    )  # fmt: skip
    found = measure(plan)
    assert [(each.target.threads, each.target.batch) for each in found] == [
        (1, 1), (1, 3), (2, 1), (2, 3),
    ]  # fmt: skip
    batched = found[1]
    assert batched.latency_ms is not None and batched.throughput_items_per_s is not None
    assert batched.throughput_items_per_s == pytest.approx(3000 / (batched.latency_ms.p50 or 0))


def test_failures_are_rows_and_the_rest_goes_on(tmp_path: Path, digits: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes((digits / "digits-s.onnx").read_bytes()[:2000])
    (tmp_path / "empty").mkdir()
    good = str(digits / "digits-s.tflite")
    paths = [str(tmp_path / name) for name in ("broken.onnx", "missing.tflite", "empty")]
    settings = dataclasses.replace(SHORT, processes=1, load_processes=0, evicted_processes=0)
    found = measure(Plan(paths=(*paths, good), runtimes=("auto",), settings=settings))
    by_path = {each.model: each for each in found}
    assert by_path[good].status == "ok"
    for path in paths:
        failed = by_path[path]
        assert failed.status == "failed"
        assert failed.reason
        assert failed.latency_ms is failed.peak_memory_bytes is failed.stability is None
        assert failed.samples == ()


@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_truncated_files_end_in_a_reason(tmp_path: Path, digits: Path, fraction: float) -> None:
    whole = (digits / "digits-s.tflite").read_bytes()
    (tmp_path / "cut.tflite").write_bytes(whole[: int(len(whole) * fraction)])
    settings = dataclasses.replace(SHORT, processes=1, load_processes=0, evicted_processes=0)
    (found,) = measure(Plan(paths=(str(tmp_path / "cut.tflite"),), settings=settings))
    assert found.status == "ok" or found.reason


def test_wrong_batch_is_refused(tmp_path: Path, digits: Path) -> None:
    plan = Plan(
        paths=(str(digits / "digits-s.onnx"),), batches=(2,), shapes={"nothing": (1, 2)},
        settings=SHORT,
    )  # fmt: skip
    (found,) = measure(plan)
    assert found.status == "failed"
    assert "no input 'nothing'" in (found.reason or "")


def test_processes_are_interleaved_in_a_seeded_order(
    digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = _pretend(monkeypatch)
    paths = tuple(str(digits / f"digits-{size}.tflite") for size in ("s", "m", "l"))
    plan = Plan(paths=paths, settings=dataclasses.replace(SHORT, processes=4, load_processes=4))
    measure(plan)
    first = list(order)
    rounds = [first[index : index + 3] for index in range(0, 12, 3)]
    assert all(sorted(each) == sorted(paths) for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1
    order.clear()
    measure(plan)
    assert order == first


def test_the_cap_is_shared_by_all_processes(digits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shares: list[float] = []
    _pretend(monkeypatch, shares=shares, spent_s=6.0)
    settings = dataclasses.replace(SHORT, processes=5, max_time_s=10.0, load_processes=0)
    (found,) = measure(Plan(paths=(str(digits / "digits-s.tflite"),), settings=settings))
    assert shares[:2] == [2.0, 1.0]
    assert found.processes == 2  # the first two used up 12 of 10 s


def test_a_crash_in_a_later_process_fails_the_whole(
    digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend(monkeypatch, crash_from=2)
    (found,) = measure(Plan(paths=(str(digits / "digits-s.tflite"),), settings=SHORT))
    assert found.status == "failed"
    assert found.reason == "process 3 of 4: killed by SIGSEGV"
    assert found.latency_ms is None


def test_interrupted_measurements_are_handed_over(
    digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _pretend(monkeypatch, interrupt_from=3)
    paths = tuple(str(digits / f"digits-{size}.tflite") for size in ("s", "m"))
    kept: list[Measurement] = []
    settings = dataclasses.replace(SHORT, processes=3)
    with pytest.raises(KeyboardInterrupt):
        measure(Plan(paths=paths, settings=settings), on_result=kept.append)
    notes = sorted(note for each in kept for note in each.notes if "interrupted" in note)
    assert notes == ["interrupted: 1 of 3 processes", "interrupted: 2 of 3 processes"]


def _pretend(
    monkeypatch: pytest.MonkeyPatch,
    *,
    shares: list[float] | None = None,
    spent_s: float = 0.1,
    crash_from: int | None = None,
    interrupt_from: int | None = None,
) -> list[str]:
    """Workers that answer at once; returns the list of models in the order they were run."""
    order: list[str] = []

    def call(function: str, job: run.Job, *, limits: Limits) -> Answer:
        assert function == worker.FUNCTION
        if crash_from is not None and len(order) >= crash_from:
            raise WorkerFailed("killed by SIGSEGV")
        if interrupt_from is not None and len(order) >= interrupt_from:
            raise KeyboardInterrupt
        order.append(job.path)
        if shares is not None and job.purpose == "timed":
            shares.append(job.max_time_s)
        timed = {"timed_ns": [1000, 1001], "spent_s": spent_s} if job.purpose == "timed" else {}
        report = {"versions": {}, "load_ns": 1, "first_ns": 1, "evicted": job.evicted} | timed
        return Answer(report, "", None)

    monkeypatch.setattr(sandbox, "call", call)
    return order


@pytest.mark.corpus
def test_corpus_models_run_or_say_why(corpus: Path) -> None:
    names = ("person_detect", "audio_preprocessor", "keyword_scrambled", "transpose_conv0")
    paths = tuple(str(next((corpus / "models/tflite").glob(f"*{name}*"))) for name in names)
    settings = dataclasses.replace(SHORT, processes=1, load_processes=0, evicted_processes=0)
    found = dict(zip(names, measure(Plan(paths=paths, settings=settings)), strict=True))
    assert found["person_detect"].status == found["audio_preprocessor"].status == "failed"
    assert found["transpose_conv0"].status == "ok"
    # LiteRT 2.3 breaks its own heap with this one.
    keyword = found["keyword_scrambled"]
    assert keyword.status == "ok" or "killed by SIG" in (keyword.reason or "")
    assert "quantized_dimension must be in range" in (found["person_detect"].reason or "")
    assert "custom op: SignalWindow" in (found["audio_preprocessor"].reason or "")
