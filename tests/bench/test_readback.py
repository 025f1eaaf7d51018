"""Settings are read back, pauses are told, denormal numbers are noticed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edgewise.bench import denormals, readback
from edgewise.bench.plan import Plan, Settings
from edgewise.bench.run import measure
from edgewise.devices.job import Report
from edgewise.records import Context, Target

MS = 1_000_000


def notes(target: Target, cores: int = 2, **used: str) -> list[str]:
    report = Report(versions={}, load_ns=1, first_ns=1, evicted=False, timed_ns=[1], used=used)
    return list(readback.notes(target, Context(cores=cores), [report]))


def test_more_threads_than_cpus_is_said() -> None:
    assert notes(Target(threads=2)) == []
    assert notes(Target(threads=8)) == ["8 threads on 2 CPUs: more than can run at the same time"]
    pinned = Target(threads=2, affinity=(1,))
    assert "2 threads on 1 CPUs" in notes(pinned, cpus="1")[0]


def test_settings_without_effect_are_found() -> None:
    (said,) = notes(Target(threads=2), threads="1", busy_threads="2")
    assert "says that it uses 1" in said
    (said,) = notes(Target(threads=2), busy_threads="1")
    assert "one computed" in said
    (said,) = notes(Target(affinity=(0, 1)), cpus="0-3")
    assert said == "asked for CPUs 0,1; the process was on 0-3"
    assert notes(Target(affinity=(0, 1)), cpus="0-1", threads="1") == []


def test_threads_that_compute_are_counted() -> None:
    before = readback.threads()
    if not before:
        pytest.skip("this system does not tell the time of threads")
    stop = time.thread_time() + 0.05
    idle = threading.Thread(target=time.sleep, args=(0.2,))
    idle.start()
    while time.thread_time() < stop:
        pass
    found = readback.used(before)
    idle.join()
    assert found["busy_threads"] == "1"
    assert found["cpus"]


def test_a_pause_is_told_from_slow_calls() -> None:
    calls = [10 * MS] * 20
    assert readback.stood_still_ms(calls, away_ns=0, paced=False) == 0
    stopped = [*calls, 1518 * MS]
    assert readback.stood_still_ms(stopped, away_ns=1500 * MS, paced=False) == pytest.approx(1508)
    # It computed all the while: a slow call.
    assert readback.stood_still_ms(stopped, away_ns=10 * MS, paced=False) == 0
    # Between the calls that were timed.
    assert readback.stood_still_ms(calls, away_ns=1500 * MS, paced=False) == 1500
    assert readback.stood_still_ms(calls, away_ns=1500 * MS, paced=True) == 0


LOOP = """
import sys, time
from edgewise.bench import readback, memory
wall, cpu, waited = time.perf_counter_ns(), time.process_time_ns(), memory.cpu_wait_ns() or 0
print("ready", flush=True)
times = []
while len(times) < 40:
    start = time.perf_counter_ns()
    sum(range(200_000))
    times.append(time.perf_counter_ns() - start)
away = time.perf_counter_ns() - wall - (time.process_time_ns() - cpu)
away -= (memory.cpu_wait_ns() or 0) - waited
print(readback.stood_still_ms(times, away_ns=away, paced=False))
"""


def test_a_process_that_was_stopped_says_so() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", LOOP], stdout=subprocess.PIPE, text=True, env=environment
    ) as worker:
        assert worker.stdout is not None
        assert worker.stdout.readline().strip() == "ready"
        worker.send_signal(signal.SIGSTOP)
        time.sleep(0.7)
        worker.send_signal(signal.SIGCONT)
        assert float(worker.stdout.read()) > 400


def test_denormal_numbers_inside_are_noticed() -> None:
    tiny, normal = np.full(64, 1e-39, "float32"), np.full(64, 1.0, "float32")
    found = denormals.met(lambda: tiny * np.float32(0.5))
    if found is None:
        pytest.skip("this processor's flags cannot be read")
    assert found
    assert denormals.met(lambda: normal * np.float32(0.5)) is False


def test_the_time_limit_is_said_as_it_was_asked(
    digits: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgewise import sandbox
    from edgewise.errors import WorkerFailed

    def late(function: str, *arguments: object, limits: sandbox.Limits) -> object:
        raise WorkerFailed(f"no answer within {limits.time_words}")

    monkeypatch.setattr(sandbox, "call", late)
    settings = Settings(processes=3, max_time_s=10, timeout_s=8)
    (found,) = measure(Plan(paths=(str(digits / "digits-s.onnx"),), settings=settings))
    assert found.reason == "no answer within 8 s, beyond the time of its runs"
