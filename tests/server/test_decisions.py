"""Decisions in a store: each with its probability, whatever happens to the disk or the service."""

from __future__ import annotations

import gc
import subprocess
import sys
import textwrap
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from operated import answered, arrived, cancelled, failed, shed

from edgewise.errors import StoreError
from edgewise.protocol.messages import Tensor
from edgewise.records import Decision
from edgewise.server.events import Event
from edgewise.server.operations.decisions import DecisionLog
from edgewise.store import Store


def stored(url: Path, *events: Event) -> list[Decision]:
    log = DecisionLog(str(url), "deadline")
    for event in events:
        log.listen(event)
    log.close(timeout_s=60)
    assert log.dropped == 0
    return sorted(Store.open(str(url)).read(Decision), key=lambda row: row.at)


def test_a_decision_says_what_was_chosen_with_what_probability(tmp_path: Path) -> None:
    now_ms = time.monotonic() * 1000
    (row,) = stored(
        tmp_path, arrived(), answered(at_ms=now_ms, backlog_ms=1.5, queue_length=4, probe=True)
    )
    assert (row.outcome, row.policy, row.family) == ("answered", "deadline", "digits")
    assert (row.variant, row.probability) == ("digits-s", 0.5)
    assert row.probabilities == {"digits-s": 0.5, "digits-m": 0.5}
    assert (row.sla_ms, row.budget_ms, row.basis) == (100.0, 80.0, "client")
    assert (row.backlog_ms, row.queue_length, row.probe, row.pinned) == (1.5, 4, True, False)
    assert (row.queue_ms, row.inference_ms, row.total_ms) == (0.5, 1.6, 3.0)
    assert row.service_ms == pytest.approx(2.3)
    assert (row.accuracy, row.in_time) == (93.3, True)
    assert row.at.startswith(time.strftime("%Y-%m-%dT", time.gmtime()))


def test_how_a_request_ended_and_why(tmp_path: Path) -> None:
    rows = stored(
        tmp_path, answered(model="digits-s", at_ms=1.0), shed("price", at_ms=2.0),
        failed(at_ms=3.0), cancelled(at_ms=4.0),
        failed("BadRequest", 400, variant=None, at_ms=5.0),
    )  # fmt: skip
    # A malformed request was no decision.
    assert [row.outcome for row in rows] == ["answered", "shed", "failed", "cancelled"]
    assert [row.reason for row in rows] == [None, "price", "InferenceFailed", None]
    assert [row.pinned for row in rows] == [True, False, False, False]
    assert (rows[2].variant, rows[2].probability) == ("digits-m", 0.25)
    assert rows[1].probabilities == {}


def test_the_store_answers_questions_about_them(tmp_path: Path) -> None:
    stored(tmp_path, *(answered(at_ms=float(i), in_time=i % 4 > 0) for i in range(8)))
    question = "select variant, count(*), avg(in_time::int) from decisions group by variant"
    assert list(Store.open(str(tmp_path)).query(question)[1]) == [("digits-s", 8, 0.75)]


def test_parts_are_written_as_they_fill_and_all_at_the_end(tmp_path: Path) -> None:
    log = DecisionLog(str(tmp_path), "deadline", records_per_part=64)
    for number in range(130):
        log.listen(answered(at_ms=float(number)))
    wait_for(lambda: log.stored >= 64)
    log.close(timeout_s=60)
    assert log.stored == 130
    assert len(Store.open(str(tmp_path)).read(Decision)) == 130


def test_a_part_is_written_after_some_seconds_though_it_is_not_full(tmp_path: Path) -> None:
    log = DecisionLog(str(tmp_path), "deadline", seconds_per_part=0.2)
    log.listen(answered())
    wait_for(lambda: log.stored == 1)
    log.close(timeout_s=60)


def test_a_store_that_cannot_be_written_costs_records_and_nothing_else(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = DecisionLog(str(tmp_path / "store"), "deadline", seconds_per_part=0.1)
    block(tmp_path / "store")
    for number in range(5):
        log.listen(answered(at_ms=float(number)))
    wait_for(lambda: "decision log: cannot" in caplog.text)
    log.close(timeout_s=60)
    assert log.dropped == 5
    assert "lost 5 of its records" in caplog.text


def test_a_store_that_can_be_written_again_gets_all(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = DecisionLog(str(tmp_path / "store"), "deadline", seconds_per_part=0.1)
    block(tmp_path / "store")
    for number in range(5):
        log.listen(answered(at_ms=float(number)))
    wait_for(lambda: "decision log: cannot" in caplog.text)
    (tmp_path / "store" / "decisions").unlink()
    wait_for(lambda: log.stored == 5)
    log.close(timeout_s=60)
    assert log.dropped == 0
    assert len(Store.open(str(tmp_path / "store")).read(Decision)) == 5


def block(store: Path) -> None:
    """Make the table's folder impossible to write, also for root: a file lies in its place."""
    (store / "decisions").write_text("in the way")


def test_a_writer_that_is_killed_is_missed_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = DecisionLog(str(tmp_path), "deadline")
    for number in range(3):
        log.listen(answered(at_ms=float(number)))
    wait_for(lambda: log._writer._sent == 3)
    assert log._writer._process
    log._writer._process.kill()
    wait_for(lambda: log.dropped == 3)
    assert "its writer died with 3 records" in caplog.text
    log.listen(answered())
    log.close(timeout_s=60)
    assert log.dropped + log.stored == 4


def test_what_was_handed_over_is_stored_though_the_service_is_killed(tmp_path: Path) -> None:
    service = textwrap.dedent(
        f"""
        import os, sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from operated import answered
        from edgewise.server.operations.decisions import DecisionLog
        log = DecisionLog({str(tmp_path / "store")!r}, "deadline")
        for number in range(7):
            log.listen(answered(at_ms=float(number)))
        while log._writer._sent < 7:
            time.sleep(0.01)
        os.kill(os.getpid(), 9)
        """
    )
    killed = subprocess.run([sys.executable, "-c", service], timeout=60, check=False)
    assert killed.returncode == -9
    wait_for(lambda: len(Store.open(str(tmp_path / "store")).read(Decision)) == 7)


def test_answers_are_not_kept_alive_by_the_log(tmp_path: Path) -> None:
    log = DecisionLog(str(tmp_path), "deadline")
    values = np.zeros(4, np.float32)
    gone = weakref.ref(values)
    event = answered(outputs=(Tensor("p", "FP32", (4,), values),))
    log.listen(event)
    del event, values
    gc.collect()
    assert gone() is None
    log.close(timeout_s=60)


def test_a_place_that_is_no_store_is_refused_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "something").write_text("else")
    with pytest.raises(StoreError, match="is not a store"):
        DecisionLog(str(tmp_path), "deadline")


def test_nothing_is_started_for_a_service_that_decides_nothing(tmp_path: Path) -> None:
    log = DecisionLog(str(tmp_path), "deadline")
    log.close()
    assert log._writer._process is None
    assert [path.name for path in tmp_path.iterdir()] == ["edgewise-store.json"]


def wait_for(true: Any) -> None:
    until = time.monotonic() + 60
    while not true():
        assert time.monotonic() < until, "it did not happen within 60 s"
        time.sleep(0.02)
