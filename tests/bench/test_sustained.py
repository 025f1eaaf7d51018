"""The first minute of a long run against its last."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgewise.bench import sustained
from edgewise.bench.plan import Plan, Settings
from edgewise.bench.run import measure
from edgewise.records import SustainedWindow


def heating(seconds: int) -> list[SustainedWindow]:
    """Twice as slow and as hot from the middle on."""
    return [
        SustainedWindow(
            at_s=float(at), median_ms=10.0 if at < seconds / 2 else 20.0, runs=50,
            frequency_mhz=2400 if at < seconds / 2 else 1200, temperature_c=40 + at / seconds * 40,
        )
        for at in range(seconds)
    ]  # fmt: skip


def test_the_last_minute_against_the_first() -> None:
    found = sustained.summary(heating(600))
    assert found is not None
    assert (found.seconds, found.first_ms, found.last_ms, found.ratio) == (600, 10, 20, 2)
    assert (found.first_mhz, found.last_mhz) == (2400, 1200)
    assert found.first_c == pytest.approx(42, abs=0.1)
    assert found.last_c == pytest.approx(78, abs=0.1)
    (note,) = sustained.notes(found)
    assert note == (
        "over 600 s of inference the last 60 s took 2.000 times as long as the first; "
        "2400 → 1200 MHz; 42 → 78 °C"
    )


def test_a_short_run_and_an_even_one() -> None:
    even = [SustainedWindow(at_s=float(at), median_ms=10.0, runs=9) for at in range(30)]
    found = sustained.summary(even)
    assert found is not None and found.ratio == 1 and found.first_mhz is found.last_c is None
    assert "last 3 s took as long as the first" in sustained.notes(found)[0]
    assert sustained.summary(even[:1]) is None


def test_a_process_more_that_infers_for_long(digits: Path) -> None:
    pytest.importorskip("onnxruntime")
    settings = Settings(
        processes=1, load_processes=0, evicted_processes=0, runs=2, min_time_s=0, warmup_runs=0
    )
    settings = dataclasses.replace(settings, sustained_s=0.3)
    (found,) = measure(Plan(paths=(str(digits / "digits-s.onnx"),), settings=settings))
    assert found.sustained is not None
    assert 0.2 < found.sustained.seconds < 5
    assert len(found.sustained.windows) > 10
    assert found.latency_ms is not None and found.latency_ms.n == 2
