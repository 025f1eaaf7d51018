"""What is compiled before the first request, so that no request pays for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from itertools import count

from edgewise.selection.engine.scheduling import Assignment, Scheduler, Ticket

_log = logging.getLogger("edgewise.server")
#: Compiled code that is kept from an earlier start loads sooner.
_COMPILING_AFTER_S = 3.0
#: Traffic is looked at every 64 requests. Some have so little time that it is asked what they can
#: still be answered with.
_REQUESTS, _DUE_MS, _HASTY_MS, _HASTY_EACH = 200, 1e4, 1.0, 5


def warm_up(scheduler: Scheduler, families: Iterable[str]) -> None:
    """Have everything compiled that choosing needs, on a scheduler that is then thrown away: the
    first request would pay for it. The first start after an installation takes some ten seconds for
    that, and says so."""
    compiling = "compiling what chooses variants: some ten seconds, once after an installation"
    said = threading.Timer(_COMPILING_AFTER_S, _log.warning, (compiling,))
    said.daemon = True
    said.start()
    try:
        _choose(scheduler, families)
    finally:
        said.cancel()


def _choose(scheduler: Scheduler, families: Iterable[str]) -> None:
    """Requests of every family, until traffic was looked at and prices were found more than once:
    later fits and looks run code that the first did not."""
    ids, names = count(), tuple(families)
    running: list[Assignment] = []
    for step, now_ms in enumerate(map(float, range(_REQUESTS))):
        sla_ms = _DUE_MS if step % _HASTY_EACH else _HASTY_MS
        for name in names:
            ticket = Ticket(
                next(ids), name, arrived_ms=now_ms, due_ms=now_ms + sla_ms, sla_ms=sla_ms
            )
            scheduler.arrive(ticket, now_ms)
        # Requests come, and are refused, while workers are busy, too.
        for job in running:
            scheduler.done(job, now_ms, inference_ms=0.5, service_ms=0.5, cold_ms=0.0)
        running = [each for each in scheduler.next(now_ms) if isinstance(each, Assignment)]
        scheduler.backlog_ms(now_ms)
        if scheduler.refit_due:
            scheduler.refit()
