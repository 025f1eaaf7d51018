"""A look at the queue when the first request's time has run out, and not before."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

#: How long after it is looked: timers are of whole ms.
_AFTER_MS = 1.0


class ExpiryTimer:
    """One timer for all requests. `look` is called on the running loop when the earliest time that
    was told has passed; it says when to look next, infinite: when told."""

    def __init__(self, look: Callable[[], float]) -> None:
        self._look = look
        self._timer: asyncio.TimerHandle | None = None
        self._at_ms = math.inf

    def at(self, due_ms: float, now_ms: float) -> None:
        """Look when this has passed, or earlier."""
        if due_ms >= self._at_ms:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._at_ms = due_ms
        seconds = (max(due_ms - now_ms, 0.0) + _AFTER_MS) / 1000
        self._timer = asyncio.get_running_loop().call_later(seconds, self._due, due_ms)

    def _due(self, now_ms: float) -> None:
        self._timer, self._at_ms = None, math.inf
        self.at(self._look(), now_ms)
