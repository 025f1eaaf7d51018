"""The section about what a service delivered: how requests ended, by whom, and over which load."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgewise.records import Distribution, LoadPhases, LoadRun
from edgewise.report import load
from edgewise.report.parts import Ask, Figure, Section
from edgewise.store import Store

#: A name that a server chose: it ends up in an expression of the chart.
_ODD = "x\"'\\l"


def run(**more: Any) -> LoadRun:
    given: dict[str, Any] = {
        "url": "http://127.0.0.1:8080", "model": "digits", "status": "ok", "reason": None,
        "started_at": "2026-03-01T10:00:00+00:00", "arrivals": "poisson:80", "seed": 0,
        "sla_ms": 100.0, "links": ("lte",), "connection": "warm", "clients": 8, "processes": 1,
        "inputs": "heldout.npz", "payload_bytes": 300.0, "requests": 1000, "warmup_requests": 10,
        "duration_s": 12.5, "offered_per_s": 80.0, "achieved_per_s": 75.0, "goodput_per_s": 64.0,
        "attainment": 0.8, "attainment_ci95": (0.77, 0.83), "accuracy": 96.0,
        "effective_accuracy": 76.8, "effective_ci95": (74.0, 79.0), "measured_accuracy": 97.0,
        "measured_effective_accuracy": 77.0, "answered": 850, "late": 50, "refused": 100,
        "failed": {"reset": 30, "timeout": 20}, "latency_ms": Distribution(n=850, p50=60.0),
        "refusal_ms": Distribution(n=100, p50=40.0), "usage": {"s": 0.5, _ODD: 0.35},
        "queue_ms": 3.0, "preprocess_ms": 0.1, "inference_ms": 0.2, "cold_ms": 0.0,
        "network_ms": 55.0,
        "phases": LoadPhases(connect_ms=0.1, send_ms=1.0, wait_ms=58.0, receive_ms=0.1),
        "lag_p99_ms": 0.2, "lag_max_ms": 0.5, "policy": "deadline", "server": "edgewise 1",
    }  # fmt: skip
    return LoadRun(**given | more)


def section(folder: Path, *runs: LoadRun) -> Section | None:
    store = Store.open(str(folder / "store"), create=True)
    if runs:
        store.append(runs)
    with Ask(store) as ask:
        return load.section(ask)


def test_no_load_is_no_section(tmp_path: Path) -> None:
    assert section(tmp_path) is None


def test_the_ends_of_a_run_are_all_it_offered(tmp_path: Path) -> None:
    found = section(tmp_path, run())
    assert found is not None
    ends, usage, _ = found.parts
    assert isinstance(ends, Figure)
    assert {row["ending"]: row["requests"] for row in ends.numbers.objects()} == {
        "in time": 800, "late": 50, "refused": 100, "failed": 50,
    }  # fmt: skip
    assert "80.0%" in ends.alt
    assert isinstance(usage, Figure)
    shares = {row["variant"]: row["of_offered_share"] for row in usage.numbers.objects()}
    assert shares == {"s": 0.5, _ODD: 0.35}


def test_runs_of_several_loads_are_compared_and_void_ones_are_not(tmp_path: Path) -> None:
    found = section(
        tmp_path,
        run(),
        run(offered_per_s=160.0, attainment=0.4, attainment_ci95=None),
        run(offered_per_s=320.0, status="void", reason="the generator was late", seed=3),
    )
    assert found is not None
    assert "1 are void" in found.lead
    (over,) = (part for part in found.parts if part.title == "In time over the load")
    assert isinstance(over, Figure)
    assert [row["offered_per_s"] for row in over.numbers.objects()] == [80.0, 160.0]


def test_a_run_without_a_deadline_has_no_late_answers(tmp_path: Path) -> None:
    found = section(tmp_path, run(sla_ms=None, late=None, attainment=None, attainment_ci95=None))
    assert found is not None
    ends = found.parts[0]
    assert isinstance(ends, Figure)
    assert {row["ending"] for row in ends.numbers.objects()} == {"in time", "refused", "failed"}


def test_the_charts_can_be_drawn(tmp_path: Path) -> None:
    vl_convert = pytest.importorskip("vl_convert")
    found = section(tmp_path, run(), run(offered_per_s=160.0, seed=2))
    assert found is not None
    figures = [part for part in found.parts if isinstance(part, Figure)]
    assert len(figures) == 3
    for figure in figures:
        whole = figure.spec | {"data": {"values": figure.numbers.objects()}}
        assert "<svg" in vl_convert.vegalite_to_svg(json.dumps(whole))
