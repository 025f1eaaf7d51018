"""The emulated slow device: what a process gets of a core, and that it is let go again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewise.devices import emulated
from edgewise.errors import DeviceError, UsageError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="CPU clocks are Linux's")


@pytest.fixture
def spinning() -> Iterator[subprocess.Popen[bytes]]:
    """A process that never rests."""
    process = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    yield process
    process.kill()
    process.wait()


def _used_ns(process: subprocess.Popen[bytes], seconds: float) -> float:
    """CPU time over time."""
    clock = (~process.pid << 3) | 2
    before, start = time.clock_gettime_ns(clock), time.monotonic_ns()
    time.sleep(seconds)
    return (time.clock_gettime_ns(clock) - before) / (time.monotonic_ns() - start)


def _state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_holds_a_process_to_its_share_and_never_above(
    spinning: subprocess.Popen[bytes],
) -> None:
    with emulated.throttled(spinning.pid, 0.1) as throttle:
        assert throttle.period_ms <= 5
        assert os.sched_getaffinity(spinning.pid) == {throttle.core}
        time.sleep(0.05)
        share = _used_ns(spinning, 1.0)
    # A crowded machine gives less; more would be a fault (a quota and a half in a second: noise).
    assert 0.02 < share < 0.12


def test_lets_it_go_as_it_was(spinning: subprocess.Popen[bytes]) -> None:
    cores = os.sched_getaffinity(spinning.pid)
    with emulated.throttled(spinning.pid, 0.05):
        time.sleep(0.05)
    assert os.sched_getaffinity(spinning.pid) == cores
    assert _state(spinning.pid) != "T"
    assert _used_ns(spinning, 0.3) > 0.2


def test_a_whole_core_is_only_pinned(spinning: subprocess.Popen[bytes]) -> None:
    with emulated.throttled(spinning.pid, 1) as throttle:
        assert os.sched_getaffinity(spinning.pid) == {throttle.core}
        assert _used_ns(spinning, 0.3) > 0.2


def test_a_process_can_hold_itself() -> None:
    code = """
import os, time
from edgewise.devices import emulated
with emulated.throttled(os.getpid(), 0.2):
    start, used = time.monotonic(), time.process_time()
    while time.process_time() - used < 0.1: pass
    print((time.process_time() - used) / (time.monotonic() - start))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 0.02 < float(done.stdout) < 0.24


def test_a_target_that_ends_meanwhile_is_no_error(spinning: subprocess.Popen[bytes]) -> None:
    with emulated.throttled(spinning.pid, 0.1):
        spinning.kill()
        spinning.wait()


def test_a_pacer_leaves_no_process_behind(spinning: subprocess.Popen[bytes]) -> None:
    def children() -> set[str]:
        return set(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split())

    before = children()
    with emulated.throttled(spinning.pid, 0.1):
        assert len(children() - before) == 1
    assert children() == before


def _children(of: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{of}/task/{of}/children").read_text().split()]


@pytest.mark.parametrize("victim", ["guardian", "pacer"])
def test_a_target_is_let_go_whoever_is_killed_and_the_result_is_an_error(
    spinning: subprocess.Popen[bytes], victim: str
) -> None:
    before = set(_children(os.getpid()))
    with (
        pytest.raises(DeviceError, match="its pacer died"),
        emulated.throttled(spinning.pid, 0.02),
    ):
        (guardian,) = set(_children(os.getpid())) - before
        (pacer,) = _children(guardian)
        time.sleep(0.05)  # a share of 2 % stands nearly always
        os.kill(guardian if victim == "guardian" else pacer, signal.SIGKILL)
        time.sleep(0.2)
        assert _used_ns(spinning, 0.3) > 0.2
        assert not Path(f"/proc/{pacer}").exists() or _state(pacer) == "Z"


def test_calibration_says_what_was_reached() -> None:
    throttle = emulated.calibrated(0.2, seconds=0.5)
    assert throttle.effective_share is not None
    assert 0 < throttle.effective_share < 0.25
    assert "emulated" in throttle.words()
    assert "as measured" in throttle.words()


def test_nobody_there() -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    with pytest.raises(DeviceError, match="cannot be pinned"), emulated.throttled(gone.pid, 0.1):
        pass


def test_names() -> None:
    assert emulated.share_of("host") is None
    assert emulated.share_of(emulated.device_name(0.1)) == 0.1
    for text in ("host:emulated=", "host:emulated=fast", "host:emulated=0", "host:emulated=nan",
                 "host:emulated=1.5"):  # fmt: skip
        with pytest.raises(UsageError):
            emulated.share_of(text)
