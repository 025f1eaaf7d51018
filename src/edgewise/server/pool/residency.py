"""Which variants are resident in which worker: a pure decision, without clock or input/output.

Workers keep variants loaded as far as a memory budget over all of them allows. What is evicted is
not the least recently used but the least recently *useful*: the variant with the least of

    demand × cold-start time / (copies × bytes)

which is GreedyDual-Size-Frequency (Cherkasova, "Improving WWW proxies performance with
Greedy-Dual-Size-Frequency caching policy", HP Labs 1998) with the cost that a miss has here. Its
inflating clock is replaced by what it stands for: demand that is forgotten with a half-life. A
second copy of a variant helps only where two workers want it at once, so copies share the demand.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Set
from dataclasses import dataclass, field
from typing import Literal

from edgewise.errors import UsageError
from edgewise.server.pool.frames import plain

State = Literal["loading", "resident", "leaving"]
#: A variant takes another's place ahead of time if it is worth this many times as much: each
#: exchange costs a load, and estimates of demand are noisy.
_WORTH_IT = 2.0


@dataclass(frozen=True, slots=True)
class Load:
    """Make a variant resident in a worker."""

    worker: int
    key: str


@dataclass(frozen=True, slots=True)
class Evict:
    """Drop a variant from a worker."""

    worker: int
    key: str


@dataclass(slots=True)
class _Variant:
    """What is known of one. `demand` is as of `at_s`; `gone`: to be forgotten with its copies."""

    size_bytes: int
    cold_ms: float
    measured: bool = False
    gone: bool = False
    demand: float = 0.0
    at_s: float = 0.0
    held: dict[int, State] = field(default_factory=dict)


class Residency:
    """What is resident where. Times in seconds on any clock.

    Every `Load` and `Evict` that is returned counts as begun; tell the end by `loaded` and
    `evicted`. What is on its way in or out counts as using memory. The last copy of a `pinned`
    variant stays. `budget_bytes` None: everything may stay.
    """

    def __init__(
        self,
        budget_bytes: int | None,
        *,
        pinned: Iterable[str] = (),
        half_life_s: float = 60.0,
    ) -> None:
        self._budget = budget_bytes
        self._pinned = frozenset(pinned)
        self._half_life_s = half_life_s
        self._known: dict[str, _Variant] = {}

    # -- what it is told -------------------------------------------------------------------------

    def expect(self, key: str, size_bytes: int, cold_ms: float) -> None:
        """There is a variant; size and cold start are first guesses until it was `loaded`."""
        if self._budget is not None:
            size_bytes = min(size_bytes, self._budget)
        before = self._known.get(key)
        self._known[key] = _Variant(max(1, size_bytes), cold_ms)
        if before is not None:  # what it replaces may still be on its way out
            self._known[key].held = before.held

    def demand(self, key: str, now_s: float, amount: float = 1.0) -> None:
        """A variant was used, or would have been, had it been resident."""
        variant = self._known[key]
        variant.demand = self._demand(variant, now_s) + amount
        variant.at_s = now_s

    def loaded(self, worker: int, key: str, size_bytes: int | None, cold_ms: float) -> None:
        """It is resident; None: its size could not be told."""
        variant = self._known[key]
        if variant.held.get(worker) != "loading":
            return
        variant.held[worker] = "resident"
        if size_bytes is not None:
            # The allocator may serve a load from what an eviction left: the most is the truth.
            least = variant.size_bytes if variant.measured else 1
            variant.size_bytes = max(least, size_bytes)
            variant.measured = True
            variant.cold_ms = cold_ms

    def evicted(self, worker: int, key: str) -> None:
        """It is gone, or was not loaded after all."""
        variant = self._known.get(key)
        if variant is not None:
            variant.held.pop(worker, None)
            if variant.gone and not variant.held:
                del self._known[key]

    def leave(self, worker: int, key: str) -> None:
        """It is being evicted, for reasons of the caller's."""
        self._known[key].held[worker] = "leaving"

    def lost(self, worker: int) -> list[str]:
        """A worker died: what it held, or was about to."""
        held = [key for key, each in self._known.items() if worker in each.held]
        stays = [key for key in held if self._known[key].held[worker] != "leaving"]
        for key in held:
            self.evicted(worker, key)
        return stays

    def forget(self, key: str) -> list[Evict]:
        """There is no such variant any more. It is forgotten when the last copy is gone."""
        variant = self._known[key]
        variant.gone = True
        copies = [Evict(worker, key) for worker in variant.held]
        for evict in copies:
            variant.held[evict.worker] = "leaving"
        if not copies:
            del self._known[key]
        return copies

    # -- what it knows ---------------------------------------------------------------------------

    @property
    def used_bytes(self) -> int:
        """Memory of everything that is resident or on its way in or out."""
        return sum(each.size_bytes * len(each.held) for each in self._known.values())

    def resident(self, worker: int) -> frozenset[str]:
        """The variants that a worker can run without loading."""
        return frozenset(
            k for k, each in self._known.items() if each.held.get(worker) == "resident"
        )

    def is_resident(self, worker: int, key: str) -> bool:
        """Whether a worker can run a variant without loading."""
        return self._known[key].held.get(worker) == "resident"

    def size_bytes(self, key: str) -> int:
        """What a variant takes, as far as it is known; 0 where there is no such variant."""
        variant = self._known.get(key)
        return variant.size_bytes if variant else 0

    def cold_ms(self, key: str) -> float:
        """How long loading a variant took, or is thought to take; 0 where there is none."""
        variant = self._known.get(key)
        return variant.cold_ms if variant else 0.0

    def copies_that_fit(self, key: str, workers: int) -> int:
        """How many of so many workers can have a variant at once."""
        if self._budget is None:
            return workers
        return min(workers, self._budget // self._known[key].size_bytes)

    def check(self, key: str) -> None:
        """Raises: UsageError: a variant as measured does not fit into the budget, or not beside
        those that are pinned."""
        variant, name = self._known[key], plain(key)
        if self._budget is None or not variant.measured:
            return
        hint = "allow more memory, or leave the variant out"
        size, budget = _mb(variant.size_bytes), _mb(self._budget)
        if variant.size_bytes > self._budget:
            raise UsageError(f"'{name}' takes {size} of memory, the budget is {budget}", hint=hint)
        others = self._pinned & self._known.keys() - {key}
        pinned = sum(self._known[each].size_bytes for each in others)
        if variant.size_bytes + pinned > self._budget:
            raise UsageError(
                f"'{name}' takes {size} of memory, of {budget} pinned variants take {_mb(pinned)}",
                hint=hint,
            )

    # -- what it decides -------------------------------------------------------------------------

    def admit(
        self, worker: int, key: str, now_s: float, running: Set[tuple[int, str]]
    ) -> tuple[bool, list[Evict]]:
        """A variant has to be loaded now: whether there is room, and what to evict otherwise.

        When not, ask again after each eviction and each end of what is `running`.
        """
        held = self._known[key].held
        if worker in held:
            return held[worker] != "leaving", []
        if self.reserve(worker, key):
            return True, []
        size = self._known[key].size_bytes
        victims = self._victims(self._excess(size), now_s, exclude=running)
        return False, self._leave(victims)

    def reserve(self, worker: int, key: str) -> bool:
        """Whether a variant can be loaded without an eviction; then it counts as begun."""
        variant = self._known[key]
        if worker in variant.held or not self._free(variant.size_bytes):
            return False
        variant.held[worker] = "loading"
        return True

    def shed(self, now_s: float, running: Set[tuple[int, str]]) -> list[Evict]:
        """Back under the budget: a load may turn out larger than it was thought to be. What is
        `running` stays, so ask again when it ends."""
        return self._leave(self._victims(self._excess(0), now_s, exclude=running))

    def decide(
        self,
        now_s: float,
        idle: Collection[int],
        running: Set[tuple[int, str]],
        barred: Set[str] = frozenset(),
    ) -> list[Load | Evict]:
        """Ahead of time: back under the budget, then what the traffic asks for, on idle workers.

        At most one load for each worker. Room is filled with the most useful first; a resident
        gives way only to what is worth clearly more.
        """
        if self._excess(0) > 0:
            return list(self.shed(now_s, running))
        actions: list[Load | Evict] = []
        for worker in sorted(idle):
            if action := self._improve(worker, now_s, idle, barred):
                actions += action
        return actions

    def _improve(
        self, worker: int, now_s: float, idle: Collection[int], barred: Set[str]
    ) -> list[Load] | list[Evict]:
        absent = [
            key for key, each in self._known.items()
            if worker not in each.held and not each.gone and key not in barred
        ]  # fmt: skip
        for key in sorted(absent, key=lambda key: self._density(key, now_s, 1), reverse=True):
            variant = self._known[key]
            if self.reserve(worker, key):
                return [Load(worker, key)]
            busy = {(w, k) for k, each in self._known.items() for w in each.held if w not in idle}
            victims = self._victims(self._excess(variant.size_bytes), now_s, exclude=busy)
            cost = sum(self._worth(each.key, now_s, 0) for each in victims)
            enough = sum(self._known[each.key].size_bytes for each in victims)
            makes_room = enough >= self._excess(variant.size_bytes)
            if makes_room and self._worth(key, now_s, 1) > _WORTH_IT * cost:
                return self._leave(victims)
        return []

    def _leave(self, victims: list[Evict]) -> list[Evict]:
        for each in victims:
            self._known[each.key].held[each.worker] = "leaving"
        return victims

    def _victims(
        self, excess_bytes: int, now_s: float, exclude: Set[tuple[int, str]]
    ) -> list[Evict]:
        """The least useful residents that make up for an excess, as far as there are any.

        What a busy worker holds comes last: it gives nothing back before its job has ended.
        """
        busy = {worker for worker, _ in exclude}
        candidates = [
            (worker in busy, self._density(key, now_s, 0), key, worker)
            for key, each in self._known.items()
            for worker, state in each.held.items()
            if state == "resident" and (worker, key) not in exclude
        ]  # fmt: skip
        chosen: list[Evict] = []
        spare = {key: self._copies(key) - 1 for key in self._pinned & self._known.keys()}
        for _, _, key, worker in sorted(candidates):
            if excess_bytes <= 0:
                break
            if key in spare:
                spare[key] -= 1
                if spare[key] < 0:
                    continue
            chosen.append(Evict(worker, key))
            excess_bytes -= self._known[key].size_bytes
        return chosen

    def _copies(self, key: str) -> int:
        """Copies that are there to stay."""
        return sum(state == "resident" for state in self._known[key].held.values())

    def _free(self, size_bytes: int) -> bool:
        return self._budget is None or self.used_bytes + size_bytes <= self._budget

    def _excess(self, size_bytes: int) -> int:
        """What is too much for the budget with `size_bytes` more, once all that leaves is gone."""
        if self._budget is None:
            return 0
        leaving = sum(
            each.size_bytes * sum(state == "leaving" for state in each.held.values())
            for each in self._known.values()
        )
        return self.used_bytes - leaving + size_bytes - self._budget

    def _demand(self, variant: _Variant, now_s: float) -> float:
        age_s = now_s - variant.at_s
        return variant.demand * math.pow(0.5, age_s / self._half_life_s)

    def _worth(self, key: str, now_s: float, more: int) -> float:
        """Waiting that each copy saves, with `more` copies than there are now."""
        variant = self._known[key]
        copies = max(1, len(variant.held) + more)
        return self._demand(variant, now_s) * variant.cold_ms / copies

    def _density(self, key: str, now_s: float, more: int) -> float:
        return self._worth(key, now_s, more) / self._known[key].size_bytes


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
