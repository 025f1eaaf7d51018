"""Requests that have arrived and not ended, and the work that is being done for them."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import OrderedDict

from edgewise.protocol.messages import Tensor, Unavailable
from edgewise.selection.engine.scheduling import Assignment
from edgewise.server.catalogue import ServedFamily
from edgewise.server.pending import Pending

#: Answered requests whose inputs are kept.
_KEPT = 16


class OpenRequests:
    """By the number of their ticket.

    Attributes:
        pending: whose callers wait.
        at_work: what runs, or waits for its worker, for those.
        running: workers that are at a request, whoever waits for it.
        idle: set while there is nothing of all this.
        answered: family and inputs of the last answered ones, for a probe on the same input.
    """

    def __init__(self) -> None:
        self.pending: dict[int, Pending] = {}
        self.at_work: dict[int, Assignment] = {}
        self.running = 0
        self.answered: OrderedDict[int, tuple[ServedFamily, tuple[Tensor, ...]]] = OrderedDict()
        self.idle = asyncio.Event()
        self.idle.set()

    def settle(self) -> None:
        """Something ended: perhaps all has."""
        if not self.pending and not self.running:
            self.idle.set()

    def keep(self, ended: Pending) -> None:
        """The inputs of one that was answered."""
        self.answered[ended.ticket.id] = (ended.family, ended.request.inputs)
        if len(self.answered) > _KEPT:
            self.answered.popitem(last=False)

    def first_due_ms(self, after_ms: float = -math.inf) -> float:
        """The next deadline after a moment; infinity where there is none."""
        dues_ms = (pending.ticket.due_ms for pending in self.pending.values())
        return min((due for due in dues_ms if due > after_ms), default=math.inf)

    async def drain(self, seconds: float) -> int:
        """Wait for all to end, at most so long; who is left is told. How many those are."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.idle.wait(), seconds)
        left = list(self.pending.values())
        for pending in left:
            if not pending.caller.done():
                pending.caller.set_exception(Unavailable("the service shuts down"))
        self.pending.clear()
        return len(left)
