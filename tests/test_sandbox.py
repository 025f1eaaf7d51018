"""A worker that crashes, hangs, runs out of memory or sends rubbish is a finding, never a loss."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edgewise import sandbox
from edgewise.errors import InputError, RuntimeRefused, WorkerFailed
from edgewise.sandbox import Limits, call

LIMITS = Limits(seconds=30)


def test_value_comes_back() -> None:
    assert call("operator:add", 2, 3, limits=LIMITS).value == 5
    assert call("builtins:bytes", [1, 2], limits=LIMITS).value == b"\x01\x02"


def test_worker_is_another_process() -> None:
    assert call("os:getpid", limits=LIMITS).value != os.getpid()


def test_output_never_mixes_with_the_answer() -> None:
    answer = call("os:system", "echo from a native library; echo again >&2", limits=LIMITS)
    assert answer.value == 0
    assert answer.log.splitlines() == ["from a native library", "again"]


def test_long_output_is_bounded_and_does_not_block() -> None:
    answer = call("os:system", "head -c 3000000 /dev/zero | tr '\\0' x", limits=LIMITS)
    assert len(answer.log) == sandbox.LOG_BYTES


def test_crash_names_the_signal() -> None:
    with pytest.raises(WorkerFailed, match="killed by SIGABRT"):
        call("os:abort", limits=LIMITS)


def test_crash_quotes_the_last_words() -> None:
    script = "echo the heap is broken; kill -SEGV $PPID; sleep 5"
    with pytest.raises(WorkerFailed, match="killed by SIGSEGV: the heap is broken"):
        call("os:system", script, limits=LIMITS)


def test_quiet_end_is_no_answer() -> None:
    with pytest.raises(WorkerFailed, match="ended with status 0 and no answer"):
        call("os:_exit", 0, limits=LIMITS)


def test_hang_ends_at_the_limit() -> None:
    with pytest.raises(WorkerFailed, match=r"no answer within 0\.5 s"):
        call("time:sleep", 60, limits=Limits(seconds=0.5))


def test_memory_limit() -> None:
    with pytest.raises(WorkerFailed, match=r"ran out of memory \(limit 300 MB\)"):
        call("builtins:bytearray", 400_000_000, limits=Limits(30, memory_bytes=300_000_000))


def test_memory_below_the_limit_is_granted() -> None:
    limits = Limits(30, memory_bytes=300_000_000)
    assert len(call("builtins:bytes", 10_000_000, limits=limits).value) == 10_000_000


def test_expected_errors_keep_class_and_hint(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        call("edgewise.archive:open_file", f"{tmp_path}/nowhere", limits=LIMITS)


def test_defects_are_loud() -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        call("operator:floordiv", 1, 0, limits=LIMITS)


@pytest.mark.parametrize(
    "rubbish", [b"", b"\xc1", b"\x01", b"\x91\xa5value", b"\x90", b"\x92\x01\x02"]
)
def test_rubbish_is_no_answer(rubbish: bytes) -> None:
    with pytest.raises(WorkerFailed, match="no answer"):
        sandbox._unpack(rubbish, LIMITS)


def test_revived_error_with_an_unusual_constructor() -> None:
    error = sandbox.revive("MissingExtra", "needs the extra 'onnx'", "pip install it")
    assert type(error).__name__ == "MissingExtra"
    assert str(error) == "needs the extra 'onnx' (pip install it)"
    assert isinstance(sandbox.revive("RuntimeRefused", "no", None), RuntimeRefused)


CRASHES_WHEN_RELEASED = """
import ctypes
from edgewise import sandbox

class Library:
    def __del__(self):
        ctypes.string_at(0)

def measure():
    sandbox.keep(Library())
    return "measured"
"""


def test_crash_after_the_answer_is_only_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brittle.py").write_text(CRASHES_WHEN_RELEASED)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    answer = call("brittle:measure", limits=LIMITS)
    assert answer.value == "measured"
    assert answer.exit_status == "killed by SIGSEGV"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's doing, on Linux")
def test_worker_dies_with_a_killed_parent(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    script = (
        "from edgewise.sandbox import call, Limits\n"
        f"call('os:system', 'echo $PPID > {pid_file}; sleep 60', limits=Limits(60))"
    )
    with subprocess.Popen([sys.executable, "-c", script]) as parent:
        worker = _read_pid(pid_file)
        parent.send_signal(signal.SIGKILL)
    for _ in range(1000):
        if not _alive(worker):
            return
        time.sleep(0.01)
    pytest.fail("the worker outlived its parent")


def _read_pid(path: Path) -> int:
    for _ in range(3000):
        if path.is_file() and (text := path.read_text().strip()):
            return int(text)
        time.sleep(0.01)
    raise AssertionError("the worker never started")


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
