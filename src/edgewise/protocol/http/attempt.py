"""One request and what became of it, as it is noted while it happens."""

from __future__ import annotations

import time
from dataclasses import dataclass

from edgewise.protocol.http.prepared import Said


def now_ms() -> float:
    """The monotonic clock, which all processes of a machine share, in ms."""
    return time.monotonic() * 1000


@dataclass(slots=True)
class Attempt:
    """Times are ms of the monotonic clock, NaN: it did not get that far.

    `due_ms` is the intended send time, `begun_ms` when the generator turned to it. `status` is
    HTTP's. `error` is the kind of a failure in words, None where there was an answer. `server_ms`
    is the whole time that the server had the request, where its answer says so (`Server-Timing`).
    """

    number: int
    client: int
    input: int
    size_bytes: int
    due_ms: float
    begun_ms: float
    sent_ms: float = float("nan")
    uploaded_ms: float = float("nan")
    first_ms: float = float("nan")
    last_ms: float = float("nan")
    server_ms: float | None = None
    status: int | None = None
    error: str | None = None
    said: Said | None = None
    correct: bool | None = None
    finished: bool = False
