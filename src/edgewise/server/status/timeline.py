"""The last minutes, second by second: what the status page draws. Bounded memory, cheap to feed."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from edgewise.server.events import Answered, Arrived, Cancelled, Event, Failed, RefusedEvent

#: How far back the page looks, in seconds.
WINDOW_S = 300
#: Latencies are counted in bins that grow by 4 %: a quantile is within 2 %.
_GROWTH = 1.04
_PER_LOG = 1 / math.log(_GROWTH)
_LOWEST_MS = 1e-3
#: Makes the bins of all times that count positive.
_OFFSET = 200


@dataclass(slots=True)
class Second:
    """What ended within one second of the monotonic clock, of one family.

    `due` counts requests with a deadline, `in_time` those of them that met it; `effective` sums
    the accuracy (percent) of answers that were not late, over the `offered` ones. `latencies`
    counts by bin, `queue_length` is the longest queue that a choice saw.
    """

    second: int
    arrived: int = 0
    answered: int = 0
    due: int = 0
    in_time: int = 0
    late: int = 0
    failed: int = 0
    cancelled: int = 0
    accurate: int = 0
    offered: int = 0
    queue_length: int = 0
    accuracy: float = 0.0
    effective: float = 0.0
    queue_ms: float = 0.0
    choices: dict[str, int] = field(default_factory=dict)
    latencies: dict[int, int] = field(default_factory=dict)
    shed: dict[str, int] = field(default_factory=dict)


class Timeline:
    """One family's seconds, the last `WINDOW_S` of those in which something happened."""

    def __init__(self) -> None:
        self._seconds: deque[Second] = deque(maxlen=WINDOW_S + 1)
        self._now = Second(-1)

    def at(self, at_ms: float) -> Second:
        """The second to count an event in. A clock that goes back counts in the latest one."""
        second = int(at_ms // 1000)
        if second > self._now.second:
            self._now = Second(second)
            self._seconds.append(self._now)
        return self._now

    def since(self, first: int, end: int) -> Iterator[Second]:
        """The seconds in first … end − 1 in which something happened, in order."""
        return (each for each in list(self._seconds) if first <= each.second < end)


def bin_of(value_ms: float) -> int:
    """The bin that a latency is counted in."""
    return int(math.log(value_ms if value_ms > _LOWEST_MS else _LOWEST_MS) * _PER_LOG + _OFFSET)


def quantile(bins: dict[int, int], level: float) -> float | None:
    """A latency in ms at a level in (0, 1), None of none."""
    total = sum(bins.values())
    rank = level * total
    below = 0
    for index in sorted(bins):
        below += bins[index]
        if below >= rank:
            return float(_GROWTH ** (index + 0.5 - _OFFSET))
    return None


class Timelines:
    """All families', fed by the events of requests."""

    def __init__(self) -> None:
        self.families: dict[str, Timeline] = {}
        self._handlers: dict[type[Any], Any] = {
            Arrived: self._arrived,
            Answered: self._answered,
            RefusedEvent: self._shed,
            Failed: self._failed,
            Cancelled: self._cancelled,
        }

    def listen(self, event: Event) -> None:
        """Count one event."""
        if handler := self._handlers.get(type(event)):
            handler(event)

    def _of(self, family: str, at_ms: float) -> Second:
        timeline = self.families.get(family)
        if timeline is None:
            timeline = self.families[family] = Timeline()
        return timeline.at(at_ms)

    def _arrived(self, event: Arrived) -> None:
        self._of(event.family, event.at_ms).arrived += 1

    def _answered(self, event: Answered) -> None:
        now, result = self._of(event.family, event.at_ms), event.result
        now.answered += 1
        if (in_time := result.in_time) is not None:
            now.due += 1
            if in_time:
                now.in_time += 1
            else:
                now.late += 1
        if (accuracy := result.accuracy) is not None:
            now.accurate += 1
            now.accuracy += accuracy
            now.offered += 1
            if in_time is not False:
                now.effective += accuracy
        now.queue_ms += result.queue_ms
        if event.queue_length > now.queue_length:
            now.queue_length = event.queue_length
        choices, latencies = now.choices, now.latencies
        choices[result.variant] = choices.get(result.variant, 0) + 1
        index = bin_of(event.total_ms)
        latencies[index] = latencies.get(index, 0) + 1

    def _shed(self, event: RefusedEvent) -> None:
        now = self._of(event.family, event.at_ms)
        now.shed[event.reason] = now.shed.get(event.reason, 0) + 1
        now.offered += 1
        if event.sla_ms is not None:
            now.due += 1
        if event.queue_length > now.queue_length:
            now.queue_length = event.queue_length

    def _failed(self, event: Failed) -> None:
        now = self._of(event.family, event.at_ms)
        now.failed += 1
        if event.status >= 500:
            now.offered += 1
            if event.sla_ms is not None:
                now.due += 1

    def _cancelled(self, event: Cancelled) -> None:
        self._of(event.family, event.at_ms).cancelled += 1
