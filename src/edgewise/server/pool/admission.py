"""Loads that wait for room in the memory budget, first come, first served."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Set
from dataclasses import dataclass

from edgewise.server.pool.residency import Evict, Residency


@dataclass(frozen=True, slots=True)
class Waiting:
    """A load without room: `go` begins it, `gone` is told that it will not be; `owner` wants it."""

    worker: int
    key: str
    owner: object
    go: Callable[[], None]
    gone: Callable[[], None]


class Admission:
    """Lets loads begin when `residency` has room for them.

    `evict` begins an eviction; `running` says what is being run, and so cannot be evicted. Strictly
    in order: a small load that overtook a large one for ever would starve it.
    """

    def __init__(
        self,
        residency: Residency,
        evict: Callable[[Evict], None],
        running: Callable[[], Set[tuple[int, str]]],
        clock: Callable[[], float],
    ) -> None:
        self._residency = residency
        self._evict = evict
        self._running = running
        self._clock = clock
        self._waiting: deque[Waiting] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def enter(self, load: Waiting) -> None:
        """Begin a load as soon as there is room: now, or after evictions."""
        self._waiting.append(load)
        self.advance()

    def drop(self, unwanted: Callable[[Waiting], bool]) -> None:
        """Begin some of the waiting loads no more."""
        dropped = [each for each in self._waiting if unwanted(each)]
        self._waiting = deque(each for each in self._waiting if each not in dropped)
        for each in dropped:
            each.gone()

    def advance(self) -> None:
        """Room may have come free: begin what can begin."""
        while self._waiting:
            first = self._waiting[0]
            ready, evictions = self._residency.admit(
                first.worker, first.key, self._clock(), self._running()
            )
            if not ready:
                for each in evictions:
                    self._evict(each)
                return
            self._waiting.popleft()
            first.go()
        for each in self._residency.shed(self._clock(), self._running()):
            self._evict(each)
