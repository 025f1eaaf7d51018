"""Where the generator runs, and how urgently.

A generator that has to wait for a core measures the machine's load, not the service. Cores of its
own are best. On a machine that it shares with the service, a real-time priority lets it in when a
request is due; it needs the core for a tenth of a millisecond per request.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def kept_on(cores: tuple[int, ...]) -> Iterator[None]:
    """This process on some cores while it is entered; none: on any."""
    if not cores:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def urgent(*, wanted: bool) -> Iterator[None]:
    """This thread before all others while it is entered, where the system lets it."""
    if not wanted or not take_precedence():
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def take_precedence() -> bool:
    """Give this thread the lowest real-time priority, its children an ordinary one. False where
    the system has none, or the user is not allowed to (CAP_SYS_NICE, or `ulimit -r`)."""
    if not hasattr(os, "SCHED_RESET_ON_FORK"):
        return False
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
    except PermissionError:
        return False
    return True
