"""Profiles and prices fitted to what was seen lately, beside the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

from edgewise.selection.engine.lanes import Fitted
from edgewise.selection.engine.scheduling import Scheduler


class Refits:
    """One at a time: it takes some ms, in a thread; what comes of it is taken over on the loop."""

    def __init__(self) -> None:
        self._running = False

    def begin(self, scheduler: Scheduler) -> None:
        """Fit anew, unless that is being done or there is nothing to fit to."""
        if self._running or (found := scheduler.fitting()) is None:
            return
        find, take = found
        self._running = True
        search = asyncio.get_running_loop().run_in_executor(None, find)
        search.add_done_callback(partial(self._fitted, take))

    def _fitted(self, take: Callable[[Fitted], None], search: asyncio.Future[Fitted]) -> None:
        self._running = False
        if not search.cancelled():
            take(search.result())
