"""One request and what became of it, as it is noted while it happens."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from edgewise.protocol.http.prepared import Said

_TOTAL = re.compile(r"(?:^|,)\s*total\s*;(?:[^,]*;)?\s*dur=([0-9.]{1,15})", re.I)


def now_ms() -> float:
    """The monotonic clock, which all processes of a machine share, in ms. (Not the event loop's:
    uvloop's has a resolution of 1 ms.)"""
    return time.monotonic() * 1000


def total_ms(timing: str) -> float | None:
    """What a `Server-Timing` header says of the whole time, None where it does not."""
    found = _TOTAL.search(timing)
    try:
        return float(found.group(1)) if found else None
    except ValueError:
        return None


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
