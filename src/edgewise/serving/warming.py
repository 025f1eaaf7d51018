"""What is compiled before the first request, so that no request pays for it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable

from edgewise.selection.scheduling import Assignment, Scheduler, Ticket

_log = logging.getLogger("edgewise.serving")
#: Compiled code that is kept from an earlier start loads sooner.
_COMPILING_AFTER_S = 3.0


def warm_up(scheduler: Scheduler, families: Iterable[str]) -> None:
    """Have everything compiled that choosing needs, on a scheduler that is then thrown away: the
    first request would pay for it. The first start after an installation takes some ten seconds for
    that, and says so."""
    compiling = "compiling what chooses variants: some ten seconds, once after an installation"
    said = threading.Timer(_COMPILING_AFTER_S, _log.warning, (compiling,))
    said.daemon = True
    said.start()
    try:
        _choose_once(scheduler, families)
    finally:
        said.cancel()


def _choose_once(scheduler: Scheduler, families: Iterable[str]) -> None:
    for number, name in enumerate(families):
        scheduler.arrive(
            Ticket(id=number, family=name, arrived_ms=0.0, due_ms=1e6, sla_ms=1e6), 0.0
        )
    for action in scheduler.next(0.0):
        if isinstance(action, Assignment):
            scheduler.done(action, 1.0, inference_ms=1.0, service_ms=1.0, cold_ms=0.0)
    scheduler.refit()
