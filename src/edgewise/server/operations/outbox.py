"""Handing things over from the event loop to a thread that may be slow: never waits, never grows.

The thread looks every so often instead of being woken: waking it costs more than putting. While it
works it lets go of the interpreter after each batch, so that the loop does not wait for it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
#: Bounds how long the thread holds the interpreter in one go.
_BATCH = 32


class Outbox(Generic[T]):
    """A bounded queue with one thread behind it.

    `deliver` gets the waiting items in order, up to 32 at a time, and an empty list when there was
    nothing to do for `every_s`; it runs in the thread, may block, and must not raise. What comes
    while `limit` items wait is dropped and counted.
    """

    def __init__(
        self, name: str, deliver: Callable[[list[T]], None], *, limit: int, every_s: float
    ) -> None:
        self.dropped = 0
        self._waiting: deque[T] = deque()
        self._limit, self._every_s, self._deliver = limit, every_s, deliver
        self._closing = threading.Event()
        # A daemon: a write that hangs must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: T) -> None:
        """Leave an item for the thread."""
        if len(self._waiting) >= self._limit:
            self.dropped += 1
        else:
            self._waiting.append(item)

    def close(self, timeout_s: float) -> bool:
        """Deliver what waits and end the thread; False where that took longer than the timeout."""
        self._closing.set()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            self._deliver_all()
        self._deliver_all()

    def _deliver_all(self) -> None:
        batch = self._take()
        self._deliver(batch)
        while batch and (batch := self._take()):
            self._closing.wait(0.0005)
            self._deliver(batch)

    def _take(self) -> list[T]:
        waiting = self._waiting
        return [waiting.popleft() for _ in range(min(len(waiting), _BATCH))]
