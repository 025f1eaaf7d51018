"""What stands right now: workers, what each keeps resident, whether the service drains.

Metrics and status page show the same things, so there is one place that follows the rare events
that change them, and one description of what must be asked of the service instead.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from edgewise import __version__
from edgewise.server.events import (
    Draining,
    Event,
    Evicted,
    Loaded,
    Reloaded,
    WorkerBack,
    WorkerLost,
)

_RARE = frozenset({Loaded, Evicted, WorkerBack, WorkerLost, Reloaded, Draining})


class Live(NamedTuple):
    """What no event tells: requests queued, unfinished work per worker in ms, workers at work, and
    by family and variant why one is not run any more."""

    queue_length: int
    backlog_ms: float
    workers_busy: int
    set_aside: Mapping[tuple[str, str], str] = {}


class ProfileNow(NamedTuple):
    """A variant's profile as learned and as at the start; `n` samples were learned since."""

    family: str
    variant: str
    accuracy: float | None
    mean_ms: float
    start_mean_ms: float
    n: int


@dataclass(frozen=True)
class Sources:
    """What is asked of the service when somebody looks; each call is cheap and does not raise.

    `memory_budget_bytes` is of all workers together, None: unbounded. `policy` is the policy's
    name, `workers` how many there should be.
    """

    live: Callable[[], Live]
    profiles: Callable[[], Sequence[ProfileNow]]
    workers: int
    policy: str = ""
    memory_budget_bytes: int | None = None


@dataclass
class Inventory:
    """Follows the events of workers and memory; `listen` belongs to the event loop."""

    workers: set[tuple[str, int]] = field(default_factory=set)
    losses: int = 0
    last_loss: str = ""
    resident: dict[tuple[str, str, int], int] = field(default_factory=dict)
    loads: dict[tuple[str, str], int] = field(default_factory=dict)
    evictions: dict[tuple[str, str], int] = field(default_factory=dict)
    reloads: int = 0
    draining: bool = False
    started_at_s: float = field(default_factory=time.time)
    version: str = __version__

    def listen(self, event: Event) -> None:
        """Follow one event; those of requests are none of its business."""
        if type(event) not in _RARE:
            return
        match event:
            case Loaded():
                key = event.family, event.variant
                self.resident[*key, event.worker] = event.resident_bytes
                self.loads[key] = self.loads.get(key, 0) + 1
            case Evicted():
                key = event.family, event.variant
                self.resident.pop((*key, event.worker), None)
                self.evictions[key] = self.evictions.get(key, 0) + 1
            case WorkerBack():
                self.workers.add((event.pool, event.worker))
            case WorkerLost():
                self._lose(event)
            case Reloaded():
                self.reloads += 1
            case Draining():
                self.draining = True
            case _:
                pass

    def _lose(self, event: WorkerLost) -> None:
        self.workers.discard((event.pool, event.worker))
        self.losses += 1
        where = f" of {event.pool}" if event.pool else ""
        self.last_loss = f"worker {event.worker}{where}: {event.cause}"
        # Its memory went with it, whether or not it is said of each variant.
        for key in [key for key in self.resident if key[2] == event.worker]:
            del self.resident[key]

    def resident_bytes(self) -> dict[tuple[str, str], tuple[int, int]]:
        """By family and variant: bytes over all workers, and on how many it lies."""
        sums: dict[tuple[str, str], tuple[int, int]] = {}
        for (family, variant, _), size in list(self.resident.items()):
            total, count = sums.get((family, variant), (0, 0))
            sums[family, variant] = total + size, count + 1
        return sums
