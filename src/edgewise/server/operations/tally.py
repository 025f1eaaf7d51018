"""What happened to requests, in plain numbers: the listener behind the metrics.

`listen` is called on the event loop for each request, so it only adds; whoever reads may do so in
another thread and sees numbers that are at most one request apart.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from edgewise.server.events import Answered, Arrived, Cancelled, Event, Failed, Loaded, RefusedEvent
from edgewise.server.operations.histogram import Histogram


@dataclass(slots=True)
class Mean:
    """A sum and how many it is of; their quotient is the mean."""

    sum: float = 0.0
    count: int = 0


@dataclass(slots=True)
class VariantTally:
    """Answers of one variant. `queue` and such are times."""

    answers: int = 0
    probes: int = 0
    preprocess: Histogram = field(default_factory=Histogram)
    inference: Histogram = field(default_factory=Histogram)
    cold: Histogram = field(default_factory=Histogram)


@dataclass(slots=True)
class FamilyTally:
    """Requests of one family; "" holds those for a model that there is not.

    Every request ends in one of `in_time`, `late`, `no_deadline`, shed, failed or cancelled.
    `accuracy` is of the answers, `effective` of all that were offered except cancelled ones and
    the callers' own mistakes: late, shed and failed ones count 0. Both in 0 … 1.
    """

    arrived: int = 0
    in_time: int = 0
    late: int = 0
    no_deadline: int = 0
    failed: int = 0
    cancelled_queued: int = 0
    cancelled_running: int = 0
    batched: Mean = field(default_factory=Mean)
    accuracy: Mean = field(default_factory=Mean)
    effective: Mean = field(default_factory=Mean)
    attained: Mean = field(default_factory=Mean)
    queue: Histogram = field(default_factory=Histogram)
    total: Histogram = field(default_factory=Histogram)
    shed: dict[str, int] = field(default_factory=dict)
    failures: dict[str, int] = field(default_factory=dict)
    basis: dict[str, int] = field(default_factory=dict)
    variants: dict[str, VariantTally] = field(default_factory=lambda: defaultdict(VariantTally))


class Tally:
    """All families."""

    def __init__(self) -> None:
        self.families: dict[str, FamilyTally] = defaultdict(FamilyTally)
        self._handlers: dict[type[Any], Any] = {
            Arrived: self._arrived,
            Answered: self._answered,
            RefusedEvent: self._shed,
            Failed: self._failed,
            Cancelled: self._cancelled,
            Loaded: self._loaded,
        }

    def listen(self, event: Event) -> None:
        """Count one event."""
        if handler := self._handlers.get(type(event)):
            handler(event)

    def _arrived(self, event: Arrived) -> None:
        self.families[event.family].arrived += 1

    def _answered(self, event: Answered) -> None:
        family, result = self.families[event.family], event.result
        in_time = result.in_time
        if in_time is None:
            family.no_deadline += 1
        else:
            family.attained.count += 1
            if in_time:
                family.in_time += 1
                family.attained.sum += 1
            else:
                family.late += 1
        if (accuracy := result.accuracy) is not None:
            family.accuracy.sum += accuracy / 100
            family.accuracy.count += 1
            family.effective.count += 1
            if in_time is not False:
                family.effective.sum += accuracy / 100
        family.batched.sum += event.batch
        family.batched.count += 1
        family.basis[result.basis] = family.basis.get(result.basis, 0) + 1
        family.queue.add(result.queue_ms)
        family.total.add(event.total_ms)
        variant = family.variants[result.variant]
        variant.answers += 1
        variant.probes += event.probe
        variant.preprocess.add(result.preprocess_ms)
        variant.inference.add(result.inference_ms)

    def _shed(self, event: RefusedEvent) -> None:
        family = self.families[event.family]
        family.shed[event.reason] = family.shed.get(event.reason, 0) + 1
        family.basis[event.basis] = family.basis.get(event.basis, 0) + 1
        family.effective.count += 1
        if event.sla_ms is not None:
            family.attained.count += 1

    def _failed(self, event: Failed) -> None:
        family = self.families[event.family]
        family.failed += 1
        family.failures[event.kind] = family.failures.get(event.kind, 0) + 1
        if event.status >= 500:
            family.effective.count += 1
            if event.sla_ms is not None:
                family.attained.count += 1

    def _cancelled(self, event: Cancelled) -> None:
        family = self.families[event.family]
        if event.running:
            family.cancelled_running += 1
        else:
            family.cancelled_queued += 1

    def _loaded(self, event: Loaded) -> None:
        self.families[event.family].variants[event.variant].cold.add(event.cold_ms)
