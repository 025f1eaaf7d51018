"""A slow device out of this machine: one core, for a share of its time.

A process is pinned to one core and held to a quota of CPU time by a second process, the pacer. It
reads the target's CPU clock, stops it (SIGSTOP) when the quota is spent and lets it go on (SIGCONT)
when enough time has passed; what was overspent is paid back, unspent time is lost, so a process
that waited does not burst. With a period of 5 ms and a share of 10 % the target runs 0.5 ms, then
stands for 4.5 ms.

Not the kernel's quota (`cpu.max`): it takes no quota below 1 ms, which is 20 % of 5 ms, and charges
at timer ticks. At 250 ticks a second, 1 ms of every 5 ms gave bursts of 3.8 ms and gaps of 16 ms
(medians); the pacer gave 1.1 ms and 4.0 ms (`benchmarks/bench_emulated.py`).

A guardian process watches the pacer, and the pacer the guardian: whichever of them is killed, the
other lets the target go on, and what was measured is an error, because it ran freely since then.

What this is not: caches, memory bandwidth, storage and instruction set are still this machine's.
Measurements are labelled emulated.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NoReturn

from edgewise.devices import host
from edgewise.errors import DeviceError, UsageError

PERIOD_MS = 5.0
PREFIX = f"{host.NAME}:emulated="
_SMALLEST_SHARE = 0.01
#: The target runs no shorter than this, however small the quota left, and a stop takes so long to
#: arrive on another core.
_SHORTEST_RUN_NS, _STOPPING_NS = 50_000, 20_000
_PROBE = "while True: pass"
_PR_SET_PDEATHSIG, _PR_SET_TIMERSLACK = 1, 29


@dataclass(frozen=True)
class Throttle:
    """How a process is slowed down.

    `core` is the one it is pinned to. `real_time`: whether the pacer runs ahead of all normal
    processes; without it, another program can delay a stop or a start by milliseconds.
    `effective_share` is measured (`calibrated`), None before that.
    """

    share: float
    period_ms: float
    core: int
    real_time: bool
    effective_share: float | None = None
    method: str = "duty cycle"

    def words(self) -> str:
        """What belongs into a record's notes and `Context.emulated`."""
        effect = "" if self.effective_share is None else f", {self.effective_share:.1%} as measured"
        pacer = "real-time" if self.real_time else "normal priority"
        return (
            f"emulated: one core of this machine at {self.share:g} of its time{effect} "
            f"({self.method} of {self.period_ms:g} ms, {pacer})"
        )


def device_name(share: float) -> str:
    """The device as `--device` takes it: `host:emulated=0.1`."""
    return f"{PREFIX}{share:g}"


def share_of(device: str) -> float | None:
    """The share in a device's name, None where it is no emulated one.

    Raises:
        UsageError: the share is no number, or not in 0.01 … 1.
    """
    if not device.startswith(PREFIX):
        return None
    try:
        share = float(device.removeprefix(PREFIX))
    except ValueError as error:
        raise UsageError(f"the device '{device}'", hint=f"like {device_name(0.1)}") from error
    _check(share)
    return share


@contextlib.contextmanager
def throttled(pid: int, share: float, *, period_ms: float = PERIOD_MS) -> Iterator[Throttle]:
    """Hold a process (this one, or one that may be signalled) to a share of one core.

    All its threads are pinned, new ones inherit that; its children are pinned but not held. At the
    end it runs freely again, pinned as before.

    Raises:
        UsageError: a share that is not in 0.01 … 1.
        DeviceError: no Linux, no such process, it may not be signalled, or (at the end) it was not
            held all the time: the pacer was killed.
    """
    _check(share)
    if sys.platform != "linux":
        raise DeviceError("emulated devices need Linux: CPU clocks of other processes")
    with _pinned(pid) as core, _pacer(pid, share, period_ms) as real_time:
        yield Throttle(share=share, period_ms=period_ms, core=core, real_time=real_time)


def calibrated(share: float, seconds: float = 1.0) -> Throttle:
    """What `throttled` achieves here and now: the share that a busy loop gets under it.

    Raises:
        UsageError, DeviceError: as `throttled`.
    """
    probe = subprocess.Popen([sys.executable, "-S", "-E", "-c", _PROBE])
    try:
        with throttled(probe.pid, share) as throttle:
            clock = _cpu_clock(probe.pid)
            time.sleep(0.05)
            used, at = time.clock_gettime_ns(clock), time.monotonic_ns()
            time.sleep(seconds)
            used = time.clock_gettime_ns(clock) - used
            return replace(throttle, effective_share=used / (time.monotonic_ns() - at))
    finally:
        probe.kill()
        probe.wait()


def _check(share: float) -> None:
    if not _SMALLEST_SHARE <= share <= 1:
        raise UsageError(
            f"an emulated device at {share:g} of a core", hint=f"{_SMALLEST_SHARE:g} … 1"
        )


@contextlib.contextmanager
def _pinned(pid: int) -> Iterator[int]:
    """Every thread of the process on the last of its cores."""
    try:
        before = os.sched_getaffinity(pid)
        core = max(before)
        _set_affinity(pid, {core})
    except OSError as error:
        raise DeviceError(f"process {pid} cannot be pinned: {error.strerror}") from error
    try:
        yield core
    finally:
        with contextlib.suppress(OSError):  # it has ended
            _set_affinity(pid, before)


def _set_affinity(pid: int, cores: set[int]) -> None:
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):  # a thread that has ended
            os.sched_setaffinity(int(task.name), cores)


@contextlib.contextmanager
def _pacer(pid: int, share: float, period_ms: float) -> Iterator[bool]:
    """Yields whether the pacer is a real-time process. It dies with this one, too."""
    code = "import sys; from edgewise.devices import emulated; emulated.pace(*sys.argv[1:])"
    guardian = subprocess.Popen(
        [sys.executable, "-P", "-c", code, str(pid), str(share), str(period_ms)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which then ends the pacer
    )
    assert guardian.stdout is not None
    try:
        ready = guardian.stdout.readline().decode().strip()
        if ready not in _READY.values():
            raise DeviceError(f"process {pid} cannot be throttled: {ready or 'the pacer died'}")
        yield ready == _READY[True]
        if guardian.poll():
            raise DeviceError(
                f"process {pid} was not held to {share:g} of a core all the time: its pacer died"
            )
    finally:
        guardian.terminate()
        guardian.wait()
        guardian.stdout.close()
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGCONT)


#: What the pacer says when it is about to begin, by whether it is a real-time process.
_READY = {True: "real-time", False: "normal"}


def pace(target: str, of_time: str, of_ms: str) -> None:
    """The pacer's own process and its guardian's: hold `target` to its quota until it ends or the
    guardian gets SIGTERM. The exit status is 1 where the pacer was killed."""
    pid = int(target)
    if pacer := os.fork():
        _guard(pacer, pid)
    os.setsid()  # a signal to the guardian's group is not for both
    _pace(pid, float(of_time), float(of_ms))


def _guard(pacer: int, target: int) -> NoReturn:
    signal.signal(signal.SIGTERM, lambda *_: os.kill(pacer, signal.SIGTERM))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    _, status = os.waitpid(pacer, 0)
    with contextlib.suppress(OSError):
        os.kill(target, signal.SIGCONT)
    raise SystemExit(status != 0)


def _pace(pid: int, share: float, period_ms: float) -> None:
    # It earns while it runs, too: so that running and standing together take one period.
    quota_ns = int(share * (1 - share) * period_ms * 1e6)
    signal.signal(signal.SIGTERM, _farewell)
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    libc.prctl(_PR_SET_TIMERSLACK, 1)
    real_time = _go_first()
    try:
        budget = _Budget(pid, share, quota_ns)
        os.kill(pid, 0)
    except OSError as error:
        print(error.strerror, flush=True)  # noqa: T201 (to the parent)
        return
    print(_READY[real_time], flush=True)  # noqa: T201 (to the parent)
    try:
        left_ns = budget.quota_ns
        while share < 1:
            left_ns = _one_turn(pid, budget, left_ns)
        signal.pause()
    except OSError:
        return  # the target has ended
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it is ending already
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGCONT)


class _Budget:
    """CPU time that the target may still use, in ns: earned with time, at most one quota of it."""

    def __init__(self, pid: int, share: float, quota_ns: int) -> None:
        self.share, self.quota_ns = share, quota_ns
        self._clock = _cpu_clock(pid)
        self._at, self._used = time.monotonic_ns(), time.clock_gettime_ns(self._clock)
        self._left = quota_ns

    def left_ns(self) -> int:
        """Negative: overspent. Exact while the target stands: Linux brings the CPU clock of
        another process up to date when that is switched out, and else at timer ticks."""
        at, used = time.monotonic_ns(), time.clock_gettime_ns(self._clock)
        earned = self._left + int((at - self._at) * self.share)
        self._left = min(self.quota_ns, earned - (used - self._used))
        self._at, self._used = at, used
        return self._left


def _one_turn(pid: int, budget: _Budget, left_ns: int) -> int:
    """Let it run for what is left, then stop it and look: until a whole quota is earned, if
    nothing is left. What is left afterwards, in ns."""
    time.sleep(max(left_ns, _SHORTEST_RUN_NS) / 1e9)
    os.kill(pid, signal.SIGSTOP)
    time.sleep(_STOPPING_NS / 1e9)
    left_ns = budget.left_ns()
    if left_ns <= budget.quota_ns // 20:
        time.sleep((budget.quota_ns - left_ns) / budget.share / 1e9)
        left_ns = budget.left_ns()
    os.kill(pid, signal.SIGCONT)
    return left_ns


def _go_first() -> bool:
    """Become a real-time process, else as important as one may be."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        with contextlib.suppress(OSError):
            os.nice(-10)
        return False
    return True


def _cpu_clock(pid: int) -> int:
    """The clock of a process's CPU time, as clock_getcpuclockid(3) encodes it on Linux."""
    return (~pid << 3) | 2


def _farewell(*_: object) -> NoReturn:
    raise SystemExit(0)
