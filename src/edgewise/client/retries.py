"""When a failed request may be sent again: pure, no clock.

An inference changes nothing at the service, so that sending it twice costs work and no harm. Still
nothing is sent again once an answer has begun, nor what the service judged wrong, nor what could
not be back before the deadline.
"""

from __future__ import annotations

import email.utils
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Kind = Literal["connect", "tls", "dropped", "status", "begun"]
#: Wait before the second, third … attempt, where the service names no time.
FIRST_BACKOFF_MS = 25.0
_MOST_BACKOFF_MS = 1000.0
#: Nobody waits longer for a Retry-After, whatever the deadline.
_MOST_RETRY_AFTER_MS = 60_000.0


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt failed.

    `connect`: nothing was sent; `tls`: neither, and the next time will be the same. `dropped`: the
    connection broke before any byte of an answer. `status`: an answer with this HTTP status.
    `begun`: an answer had begun, then broke.
    `reused`: the connection had been open before, so that the service may just have closed it.
    """

    kind: Kind
    status: int = 0
    retry_after_ms: float | None = None
    reused: bool = False


def wait_ms(
    failure: Failure,
    *,
    attempt: int,
    retries: int,
    left_ms: float,
    needed_ms: float,
    spread: float = 0.5,
) -> float | None:
    """How long to wait before the next attempt; None: give up.

    Args:
        attempt: how many were made, 1 after the first.
        left_ms: until the deadline, infinite without one.
        needed_ms: what an attempt takes at least, as far as is known.
        spread: a draw from 0 to 1, so that many clients do not come back at once.
    """
    if attempt > retries:
        return None
    pause_ms = _pause_ms(failure, attempt, spread)
    if pause_ms is None or pause_ms + needed_ms >= left_ms:
        return None
    return pause_ms


def _pause_ms(failure: Failure, attempt: int, spread: float) -> float | None:
    backoff_ms = min(FIRST_BACKOFF_MS * 2.0 ** (attempt - 1) * (0.5 + spread), _MOST_BACKOFF_MS)
    if failure.kind in ("begun", "tls"):
        return None
    if failure.kind == "dropped" and failure.reused:
        return 0.0
    if failure.kind in ("connect", "dropped"):
        return backoff_ms
    if failure.retry_after_ms is not None and failure.status in (408, 429, 503):
        return failure.retry_after_ms if failure.retry_after_ms <= _MOST_RETRY_AFTER_MS else None
    return backoff_ms if failure.status in (408, 429) else None


def retry_after_ms(header: str | None, now: datetime | None = None) -> float | None:
    """A Retry-After header (RFC 9110, 10.2.3: seconds, or a date) in ms; None where unreadable.

    Fractions of a second are no part of the standard; they are understood all the same.
    """
    if not header or len(header) > 64:
        return None
    try:
        seconds = float(header)
    except ValueError:
        return _until(header, now or datetime.now(UTC))
    return 1000 * seconds if 0 <= seconds < 1e9 else None


def _until(header: str, now: datetime) -> float | None:
    try:
        when = email.utils.parsedate_to_datetime(header)
    except ValueError:
        return None
    when = when if when.tzinfo else when.replace(tzinfo=UTC)
    return max(0.0, 1000 * (when - now).total_seconds())
