"""Calls something at given times, to a tenth of a millisecond.

Event loops round their timers to whole milliseconds. Linux has a timer that is a file: it wakes the
loop in time and costs nothing in between. Elsewhere the loop sleeps until shortly before and then
goes round and round.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import platform
import time
from collections.abc import Callable
from typing import Protocol

#: How long before its time a rounding timer is woken, in seconds.
_EARLY_S = 0.002
_CLOCK_MONOTONIC, _ABSOLUTE = 1, 1


class Timer(Protocol):
    """One call at a time is pending."""

    def call_at(self, at_ms: float) -> None:
        """Call at a time of the monotonic clock; at once where it has passed."""

    def close(self) -> None:
        """Call no more."""


def precise_timer(call: Callable[[], None]) -> Timer:
    """The best one that there is here, on the running loop."""
    if platform.system() == "Linux":
        return KernelTimer(call)
    return SpinningTimer(call)


class _TimerSpec(ctypes.Structure):
    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class KernelTimer:
    """Linux's timerfd. Python has it from 3.13 on, so the C library's is called."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._libc = ctypes.CDLL(None, use_errno=True)
        # Close-on-exec and non-blocking have the values that os.open has for them.
        self._file = self._libc.timerfd_create(_CLOCK_MONOTONIC, os.O_CLOEXEC | os.O_NONBLOCK)
        if self._file < 0:
            raise OSError(ctypes.get_errno(), "no timer from the kernel")
        self._spec = _TimerSpec(0, 0, 0, 0)
        self._loop.add_reader(self._file, self._ring)

    def call_at(self, at_ms: float) -> None:
        at_ns = max(int(at_ms * 1e6), 1)  # a time of 0 would stop the timer
        self._spec.value_s, self._spec.value_ns = divmod(at_ns, 1_000_000_000)
        self._libc.timerfd_settime(self._file, _ABSOLUTE, ctypes.byref(self._spec), None)

    def _ring(self) -> None:
        try:
            os.read(self._file, 8)
        except BlockingIOError:  # it was set anew in between
            return
        self._call()

    def close(self) -> None:
        if self._file >= 0:
            self._loop.remove_reader(self._file)
            os.close(self._file)
            self._file = -1


class SpinningTimer:
    """Sleeps until shortly before, then looks at the clock on every round of the loop."""

    def __init__(self, call: Callable[[], None]) -> None:
        self._call = call
        self._loop = asyncio.get_running_loop()
        self._handle: asyncio.Handle | None = None
        self._at_s = 0.0

    def call_at(self, at_ms: float) -> None:
        self._at_s = at_ms / 1000
        wait_s = self._at_s - time.monotonic() - _EARLY_S
        self._handle = (
            self._loop.call_later(wait_s, self._spin)
            if wait_s > 0
            else self._loop.call_soon(self._spin)
        )

    def _spin(self) -> None:
        if time.monotonic() >= self._at_s:
            self._call()
        else:
            self._handle = self._loop.call_soon(self._spin)

    def close(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
