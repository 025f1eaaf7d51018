"""What the scheduler is asked, and what it answers: plain data, times in ms on any clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from edgewise.errors import UsageError
from edgewise.selection.policies.kernel_arrays import ERRORS
from edgewise.selection.profiles.table import Floats

if TYPE_CHECKING:
    from edgewise.selection.engine.cases import AnyPolicy
    from edgewise.selection.profiles.table import ProfileTable

#: The errors of a network time that is known.
CERTAIN: Floats = np.zeros(ERRORS)
#: Why a request is refused. late: it cannot be in time, or would make one late that was admitted
#: before it; price: its work costs later requests more than it brings; full: the queue is; down:
#: no worker is up; expired: its time ran out while it was queued.
Reason = Literal["late", "price", "full", "down", "expired"]


@dataclass(slots=True)
class Ticket:
    """One request. Ids are unique among those that have not ended.

    `due_ms` is when the service must be finished, infinite where there is no deadline; `sla_ms`
    the deadline as stated, end to end. `errors_ms` (ERRORS,) are equally likely values of how much
    longer the way back takes than `due_ms` leaves for it, rising. `pinned` names the only variant
    allowed, `eligible` those that can take this input, None: all.
    """

    id: int
    family: str
    arrived_ms: float
    due_ms: float = math.inf
    sla_ms: float = math.inf
    pinned: str | None = None
    eligible: frozenset[str] | None = None
    errors_ms: Floats = field(default_factory=lambda: CERTAIN)


class Plan(msgspec.Struct, frozen=True, gc=False):
    """What is expected of an admitted request; the variant is chosen again when it starts."""

    variant: str
    predicted_queue_ms: float
    predicted_ms: float
    probability_in_time: float


class Rejection(msgspec.Struct, frozen=True, gc=False):
    """A request that is not executed. `retry_after_ms` is when there may be room again."""

    ticket: Ticket
    reason: Reason
    retry_after_ms: float


class Assignment(msgspec.Struct, frozen=True, gc=False):
    """Run this now on this worker: one ticket, or a batch for one variant.

    `probability` is that of the choice given what was known, `probabilities` that of every
    variant of the family, for replaying other policies; the latter is shared and never changed.
    `predicted_queue_ms` is what the first ticket waited, `predicted_ms` the expected load and
    service from now on. A `probe` runs on the input of a request that is already answered.
    """

    tickets: tuple[Ticket, ...]
    variant: str
    worker: int
    pool: str
    probability: float
    probabilities: Mapping[str, float]
    predicted_queue_ms: float
    predicted_ms: float
    why: str
    probe: bool = False


@dataclass(frozen=True)
class Batching:
    """Several requests of one variant at once, at most `max_size`, where all are still in time."""

    max_size: int = 8

    def __post_init__(self) -> None:
        if self.max_size < 1:
            raise UsageError(f"batches of {self.max_size}", hint="at least 1")


@dataclass(frozen=True, eq=False)
class FamilyPlan:
    """A family as it is scheduled.

    `profiles` are what is known at first, `policy` how to choose, `pool_of` the pool of each
    variant.
    """

    name: str
    profiles: ProfileTable
    policy: AnyPolicy
    pool_of: Mapping[str, str]
