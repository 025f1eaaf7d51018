"""The JSON log: one object per line, whatever comes, and never in the way."""

from __future__ import annotations

import json
import logging
import os
import resource
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from operated import answered, arrived, cancelled, failed, shed

from edgewise.server.events import Event, Loaded, WorkerLost
from edgewise.server.operations.logs import JsonLog


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def logged(path: Path, *events: Event, **given: Any) -> list[dict[str, Any]]:
    log = JsonLog(path, **given)
    for event in events:
        log.listen(event)
    log.close()
    return lines(path)


def test_each_request_is_an_object_with_its_id_and_times(tmp_path: Path) -> None:
    now_ms = time.monotonic() * 1000
    told = logged(
        tmp_path / "log",
        arrived(),
        answered(at_ms=now_ms, total_ms=3.00004),
        shed(),
        failed(),
        cancelled(),
    )
    assert [line["event"] for line in told] == ["answered", "shed", "failed", "cancelled"]
    assert [line["level"] for line in told] == ["info", "warning", "error", "info"]
    assert [line.get("status") for line in told] == [200, 503, 500, None]
    first = told[0]
    assert first["request_id"] == "r-1"
    assert '"total_ms":3.0}' in (tmp_path / "log").read_text(encoding="utf-8").splitlines()[0]
    assert (first["model"], first["variant"]) == ("digits", "digits-s")
    assert (first["queue_ms"], first["inference_ms"], first["total_ms"]) == (0.5, 1.6, 3.0)
    stamp = time.strftime("%Y-%m-%dT%H:%M", time.gmtime())
    assert first["time"].startswith(stamp[:13])
    assert first["time"].endswith("Z")
    assert told[2]["message"] == "the runtime says: no"


def test_errors_only(tmp_path: Path) -> None:
    told = logged(
        tmp_path / "log", answered(), answered(in_time=False), answered(in_time=None), shed(),
        requests="errors",
    )  # fmt: skip
    assert [(line["event"], line["level"]) for line in told] == [
        ("answered", "warning"), ("shed", "warning"),
    ]  # fmt: skip


def test_what_concerns_the_service_is_logged_even_when_requests_are_not(tmp_path: Path) -> None:
    told = logged(
        tmp_path / "log", answered(), shed(), failed(), WorkerLost(1, "signal 9", 5.0),
        Loaded("digits", "digits-s", 0, 5_000_000, 40.0, 6.0), requests="off",
    )  # fmt: skip
    assert [line["event"] for line in told] == ["worker_lost", "loaded"]
    assert told[0]["cause"] == "signal 9"
    assert told[1]["resident_bytes"] == 5_000_000


def test_hostile_text_stays_on_its_line_and_steers_no_terminal(tmp_path: Path) -> None:
    hostile = 'a\n{"level":"error"}\r\x1b[2J\x00\x7f\x9b31m\u2028\u202egnp\ud800 é 数'
    (told,) = logged(tmp_path / "log", answered(request_id=hostile))
    assert told["request_id"] == hostile
    raw = (tmp_path / "log").read_bytes()
    assert raw.count(b"\n") == 1
    text = raw.decode().rstrip("\n")
    assert all(character.isprintable() for character in text)


def test_lines_about_requests_are_limited_per_second_and_the_rest_counted(tmp_path: Path) -> None:
    events = [answered(at_ms=1000.0 + i) for i in range(50)]
    told = logged(tmp_path / "log", *events, WorkerLost(0, "x", 1000.0), per_second=10)
    assert [line["event"] for line in told].count("answered") == 10
    assert {"worker_lost", "log_limited"} <= {line["event"] for line in told}
    assert sum(line.get("left_out", 0) for line in told) == 40


def test_pythons_own_log_goes_the_same_way(tmp_path: Path) -> None:
    log = JsonLog(tmp_path / "log")
    logger = logging.Logger("uvicorn.error")
    logger.addHandler(log.handler())
    logger.warning("half a request\nfrom %s", "somewhere")
    try:
        raise ValueError("deep down")
    except ValueError:
        logger.exception("it broke")
    log.close()
    first, second = lines(tmp_path / "log")
    assert (first["level"], first["logger"]) == ("warning", "uvicorn.error")
    assert first["message"] == "half a request\nfrom somewhere"
    assert "ValueError: deep down" in second["traceback"]


def test_a_file_that_was_moved_away_is_made_again(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = JsonLog(path)
    log.listen(answered(request_id="before"))
    wait_for(lambda: path.stat().st_size > 0)
    path.rename(tmp_path / "log.1")
    log.listen(answered(request_id="after"))
    log.close()
    assert [line["request_id"] for line in lines(tmp_path / "log.1")] == ["before"]
    assert [line["request_id"] for line in lines(path)] == ["after"]


def test_a_full_disk_costs_lines_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = JsonLog(path)
    with largest_file(1000):
        for number in range(40):
            log.listen(answered(request_id=f"full {number}"))
        wait_for(lambda: log.dropped > 0)
    dropped = log.dropped
    log.listen(answered(request_id="room again"))
    log.close()
    # The line that was cut off spoils no other.
    whole, torn = [], 0
    for line in path.read_bytes().splitlines():
        try:
            whole.append(json.loads(line))
        except ValueError:
            torn += 1
    assert torn <= 1
    assert "room again" in [line.get("request_id") for line in whole]
    told = [line for line in whole if line["event"] == "log_dropped"]
    assert told[-1]["dropped_in_all"] == dropped
    through = [line for line in whole if line["event"] == "answered"]
    assert len(through) == 41 - dropped


def test_a_reader_that_stalls_stops_nobody() -> None:
    reader, writer = os.pipe()
    saved = os.dup(2)
    os.dup2(writer, 2)
    try:
        log = JsonLog()
        for _ in range(12_000):
            log.listen(answered())
        assert log.dropped > 0
        log.close(timeout_s=0.2)
    finally:
        os.dup2(saved, 2)
        for descriptor in (reader, writer, saved):
            os.close(descriptor)


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Writes beyond `size` fail as on a full disk: with an error in the middle of the content."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def wait_for(true: Any) -> None:
    until = time.monotonic() + 20
    while not true():
        assert time.monotonic() < until, "it did not happen within 20 s"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def nothing_left_running() -> Iterator[None]:
    """No test leaves a log's thread behind but the one whose reader stalls."""
    yield
    ours = [t for t in threading.enumerate() if t.name == "edgewise-log" and t.is_alive()]
    for thread in ours:
        thread.join(5)
    assert not any(thread.is_alive() for thread in ours)
