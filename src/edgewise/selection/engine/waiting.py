"""A pool's queue in order of deadlines: what compiled code reads beside what Python needs."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgewise.selection.engine.jobs import Ticket
from edgewise.selection.policies.kernel_arrays import ERRORS, Queue

if TYPE_CHECKING:
    from edgewise.selection.engine.lanes import Lane


@dataclass(slots=True)
class Entry:
    """A queued ticket: its kind on the arrays, and the model that it is bound to, −1: none.

    `probabilities` are those of a choice made on arrival. `tentative`: chosen on arrival, to be
    chosen again. `kept`: the share of its wait that was kept free when it came, None:
    nothing was promised.
    """

    ticket: Ticket
    lane: Lane
    kind: int
    model: int = -1
    probability: float = 1.0
    probabilities: Mapping[str, float] | None = None
    tentative: bool = False
    kept: float | None = 0.0


class Waiting:
    """Entries by deadline, first come first among equals."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self._dues: list[float] = []
        self._due_ms = np.full(64, np.inf)
        self._kind = np.zeros(64, dtype=np.intp)
        self._errors_ms = np.zeros((64, ERRORS))

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def queue(self) -> Queue:
        """All of it, for compiled code."""
        return Queue(self._due_ms, self._kind, self._errors_ms, 0, len(self.entries))

    def with_room(self) -> Queue:
        """All of it, with room for one more."""
        n = len(self.entries)
        if n + 1 >= len(self._due_ms):
            self._due_ms = np.concatenate([self._due_ms, np.full(n + 1, np.inf)])
            self._kind = np.concatenate([self._kind, np.zeros(n + 1, dtype=np.intp)])
            self._errors_ms = np.concatenate([self._errors_ms, np.zeros((n + 1, ERRORS))])
        return Queue(self._due_ms, self._kind, self._errors_ms, 0, n)

    def place(self, due_ms: float) -> int:
        """Where a ticket with this deadline would stand."""
        return bisect_right(self._dues, due_ms)

    def insert(self, place: int, entry: Entry) -> None:
        """Put an entry where `place` says."""
        due_ms, kind, errors_ms, _, n = self.with_room()
        if place < n:
            for column in (due_ms, kind, errors_ms):
                column[place + 1 : n + 1] = column[place:n]
        due_ms[place], kind[place] = entry.ticket.due_ms, entry.kind
        errors_ms[place] = entry.ticket.errors_ms
        self.inserted(place, entry)

    def inserted(self, place: int, entry: Entry) -> None:
        """Note an entry that compiled code has put into the queue."""
        self.entries.insert(place, entry)
        self._dues.insert(place, entry.ticket.due_ms)

    def remove(self, place: int) -> Entry:
        """Take the entry at a place out."""
        n = len(self.entries)
        if place + 1 < n:
            for column in (self._due_ms, self._kind, self._errors_ms):
                column[place : n - 1] = column[place + 1 : n]
        del self._dues[place]
        return self.entries.pop(place)

    def find(self, ticket: Ticket) -> int:
        """The place of a ticket that is queued."""
        place = bisect_left(self._dues, ticket.due_ms)
        while self.entries[place].ticket.id != ticket.id:
            place += 1
        return place

    def next_due_ms(self) -> float:
        """The deadline of the first, infinite where nobody waits."""
        return self._dues[0] if self._dues else math.inf
