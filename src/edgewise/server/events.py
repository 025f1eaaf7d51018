"""What the service tells its listeners: metrics, logs, the decision log, the status page.

Listeners are called on the event loop, in the order they subscribed, at least once for every
request: together they may take 10 µs of it (`benchmarks/bench_listeners.py`). So a listener adds to
plain numbers or puts the event away, and does the expensive part later, in another thread or when
somebody asks. None of them raises. Times are in ms; `at_ms` is the monotonic clock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from edgewise.protocol.messages import Basis, InferResult, RequestTiming

#: The probabilities of a request that no policy was asked about.
NO_CHOICE: Mapping[str, float] = {}


class _Event(msgspec.Struct, frozen=True, gc=False):
    """Made in 0.3 µs, where a frozen dataclass of 15 fields takes 2."""


class Arrived(_Event, frozen=True, gc=False):
    """A request is whole, its model known. `model` is the name it asked for."""

    request_id: str
    model: str
    family: str
    stated: RequestTiming
    at_ms: float


class Answered(_Event, frozen=True, gc=False):
    """A request has its result.

    `probabilities` is what the policy gave each variant at this choice, empty where there was none
    to make (then `result.probability` is 1). `total_ms` runs from the last byte of the request to
    the result. `sla_ms` is the deadline end to end, None without one. `backlog_ms` and
    `queue_length` are what it met: unfinished work per worker, and requests queued. `probe`: not
    chosen for this request's sake but to keep a profile fresh. `batch`: requests run together.
    """

    request_id: str
    model: str
    family: str
    result: InferResult
    probabilities: Mapping[str, float]
    sla_ms: float | None
    upload_ms: float
    download_ms: float
    total_ms: float
    at_ms: float
    backlog_ms: float = 0.0
    queue_length: int = 0
    probe: bool = False
    batch: int = 1


class RefusedEvent(_Event, frozen=True, gc=False):
    """A request was refused unexecuted.

    `reason` is "late" (could not be in time), "price" (not worth its time), "full" (the queue is),
    "expired" (its time ran out while it was queued) or "down" (no worker is up). `waited_ms` is
    how long it was queued.
    """

    request_id: str
    model: str
    family: str
    reason: str
    sla_ms: float | None
    budget_ms: float | None
    basis: Basis
    retry_after_ms: float
    at_ms: float
    waited_ms: float = 0.0
    backlog_ms: float = 0.0
    queue_length: int = 0


class Failed(_Event, frozen=True, gc=False):
    """A request ended in an error other than a refusal.

    `kind` is the error's type by name (BadRequest, InferenceFailed, Unavailable …), `status` its
    HTTP status. `family` is "" where the model is unknown; `variant` None where none was chosen.
    """

    request_id: str
    model: str
    family: str
    variant: str | None
    kind: str
    status: int
    message: str
    at_ms: float
    sla_ms: float | None = None
    budget_ms: float | None = None
    basis: Basis = "default"
    total_ms: float = 0.0
    probability: float = 1.0
    probabilities: Mapping[str, float] = msgspec.field(default_factory=dict)


class Cancelled(_Event, frozen=True, gc=False):
    """The caller went away. `running`: its work had begun on a worker."""

    request_id: str
    model: str
    family: str
    running: bool
    at_ms: float
    sla_ms: float | None = None
    budget_ms: float | None = None
    basis: Basis = "default"
    waited_ms: float = 0.0


class WorkerLost(_Event, frozen=True, gc=False):
    """A worker process is gone; `cause` in words: signal, exit code, timeout.

    Workers are counted from 0 in each pool; `pool` tells which, where there are several.
    """

    worker: int
    cause: str
    at_ms: float
    pool: str = ""


class WorkerBack(_Event, frozen=True, gc=False):
    """A worker process stands ready, for the first time or again."""

    worker: int
    at_ms: float
    pool: str = ""


class Loaded(_Event, frozen=True, gc=False):
    """A worker has loaded a variant. `resident_bytes` is what the variant takes there, `cold_ms`
    what loading and the first inference took.
    """

    family: str
    variant: str
    worker: int
    resident_bytes: int
    cold_ms: float
    at_ms: float


class Evicted(_Event, frozen=True, gc=False):
    """A worker has dropped a variant: for the memory budget, a reload, or because it died."""

    family: str
    variant: str
    worker: int
    resident_bytes: int
    at_ms: float


class Reloaded(_Event, frozen=True, gc=False):
    """The families were read again; from now on `families` are served."""

    families: tuple[str, ...]
    at_ms: float


class Draining(_Event, frozen=True, gc=False):
    """No new requests from now on; `pending` are still to be answered, within `seconds`."""

    pending: int
    seconds: float
    at_ms: float


Event = (
    Arrived
    | Answered
    | RefusedEvent
    | Failed
    | Cancelled
    | WorkerLost
    | WorkerBack
    | Loaded
    | Evicted
    | Reloaded
    | Draining
)
Listener = Callable[[Event], None]
