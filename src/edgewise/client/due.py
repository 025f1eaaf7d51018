"""When an answer is due, and how long to try."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgewise.errors import UsageError


@dataclass(frozen=True, slots=True)
class Due:
    """Of one call; all in ms.

    Args:
        started_ms: the clock at the call.
        sla_ms: the deadline end to end, None: none.
        elapsed_ms: of it, what had been spent before the call.
        grace_ms: how long after the deadline an answer is still waited for.
        timeout_ms: how long to try where there is no deadline.
    """

    started_ms: float
    sla_ms: float | None
    elapsed_ms: float
    grace_ms: float
    timeout_ms: float

    def __post_init__(self) -> None:
        if self.sla_ms is not None and not 0 < self.sla_ms < math.inf:
            raise UsageError(f"a deadline of {self.sla_ms} ms", hint="it is above 0; None: none")
        if not 0 <= self.elapsed_ms < math.inf:
            raise UsageError(f"{self.elapsed_ms} ms already spent", hint="0 or more")

    def spent_ms(self, now: float) -> float:
        """Of the deadline, by now."""
        return self.elapsed_ms + now - self.started_ms

    def left_ms(self, now: float) -> float:
        """Until the deadline; infinite without one."""
        return math.inf if self.sla_ms is None else self.sla_ms - self.spent_ms(now)

    def trying_ms(self, now: float) -> float:
        """Until the client gives up: the deadline with its grace, else the timeout."""
        if self.sla_ms is None:
            return self.timeout_ms - (now - self.started_ms)
        return self.left_ms(now) + self.grace_ms

    def in_time(self, now: float) -> bool | None:
        """Whether an answer now is in time; None without a deadline."""
        return None if self.sla_ms is None else self.spent_ms(now) <= self.sla_ms
