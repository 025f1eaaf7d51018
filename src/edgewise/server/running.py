"""The pools that a service runs its variants on, seen as one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from edgewise.errors import EdgewiseError
from edgewise.protocol.messages import SetAside, Tensor
from edgewise.records import Port
from edgewise.selection.engine.scheduling import Assignment, Scheduler
from edgewise.server.catalogue import LOCAL, Served, ServedFamily
from edgewise.server.pending import now_ms
from edgewise.server.pool.calibration import Calibration
from edgewise.server.pool.outcomes import JobResult
from edgewise.server.pool.pool import Pool

_NONE: Mapping[str, str] = {}
#: Told when a worker of a pool comes (True) or goes.
Up = Callable[[int, bool], None]


class AnyPool(Protocol):
    """What runs variants: this machine's worker processes, or an endpoint elsewhere.

    `size` is how many jobs run at once; each worker (or slot) below it takes one at a time.
    """

    size: int

    async def start(self) -> None: ...

    async def close(self) -> None: ...

    async def describe(self, key: str) -> tuple[tuple[Port, ...], tuple[Port, ...]]:
        """Inputs and outputs of a variant.

        Raises:
            RuntimeRefused: the runtime does not take its file.
        """
        ...

    async def calibrate(
        self, keys: Sequence[str], samples: int, seconds: float
    ) -> dict[str, Calibration]:
        """Service times of variants on synthetic inputs."""
        ...

    def run(
        self,
        worker: int,
        key: str,
        inputs: Sequence[Sequence[Tensor]],
        done: Callable[[JobResult | EdgewiseError], None],
    ) -> None:
        """Run one batch; `done` is called on the loop, once."""
        ...


class Pools:
    """Pools by name, which of their workers are up, and the pool of every variant by its key."""

    def __init__(self, pools: Mapping[str, AnyPool], pool_of: Mapping[str, str]) -> None:
        self.by_name = dict(pools)
        self.pool_of = dict(pool_of)
        self._up: dict[str, set[int]] = {name: set() for name in pools}

    @property
    def local(self) -> AnyPool | None:
        """This machine's workers, None where there are none."""
        return self.by_name.get(LOCAL)

    @property
    def is_bounded(self) -> bool:
        """Whether not every variant may be resident everywhere."""
        return isinstance(self.local, Pool) and self.local.is_bounded

    def note_demand(self, key: str) -> None:
        """A variant would have been chosen, had it been resident."""
        if isinstance(self.local, Pool):
            self.local.note_demand(key)

    def sizes(self) -> dict[str, int]:
        """Workers of each pool."""
        return {name: pool.size for name, pool in self.by_name.items()}

    def set_up(self, pool: str, worker: int, up: bool) -> bool:
        """A worker came or went; whether that is news."""
        standing = self._up.setdefault(pool, set())
        if (worker in standing) == up:
            return False
        (standing.add if up else standing.discard)(worker)
        return True

    def is_up(self, pool: str, worker: int) -> bool:
        """Whether a worker is up."""
        return worker in self._up.get(pool, ())

    def alive(self, pool: str) -> int:
        """Workers of a pool that are up."""
        return len(self._up.get(pool, ()))

    @property
    def is_short(self) -> bool:
        """Whether a worker of this machine is being replaced, or may have to wait for memory."""
        local = self.local
        return isinstance(local, Pool) and (local.is_bounded or self.alive(LOCAL) < local.size)

    def has_begun(self, pool: str, worker: int) -> bool:
        """Whether a worker is at its job, rather than being replaced or without room for it."""
        found = self.by_name[pool]
        return not isinstance(found, Pool) or found.has_begun(worker)

    @property
    def set_aside(self) -> Mapping[str, str]:
        """Variants by key that are not run any more, and why."""
        return self.local.set_aside if isinstance(self.local, Pool) else _NONE

    def runnable(
        self, family: ServedFamily, pinned: Served | None, fitting: frozenset[str] | None
    ) -> frozenset[str] | None:
        """Those of the fitting variants (None: all) that are still run; None: all.

        Raises:
            SetAside: the pinned one, or all that fit, are not.
        """
        if not (aside := self.set_aside):
            return fitting
        wanted = [pinned] if pinned else list(family.variants.values())
        named = [each for each in wanted if fitting is None or each.variant.name in fitting]
        left = frozenset(each.variant.name for each in named if each.key not in aside)
        if not left:
            why = next(aside[each.key] for each in named if each.key in aside)
            raise SetAside(why, hint="reload the family to try again")
        return fitting if pinned or len(left) == len(named) else left

    def ready(self) -> bool:
        """Whether any pool has a worker that is up."""
        return any(self.alive(name) for name in self.by_name)

    def can_run(self, key: str) -> bool:
        """Whether the pool of a variant has a worker that is up, and it is run at all."""
        return key not in self.set_aside and self.alive(self.pool_of[key]) > 0

    def run(
        self,
        pool: str,
        worker: int,
        key: str,
        inputs: Sequence[Sequence[Tensor]],
        done: Callable[[JobResult | EdgewiseError], None],
    ) -> None:
        """Run one batch on one worker of a pool."""
        self.by_name[pool].run(worker, key, inputs, done)

    def cancel(self, pool: str, worker: int) -> None:
        """Nobody waits for a worker's job any more: an endpoint is told, a worker process ends it
        (what runs in a runtime cannot be stopped)."""
        cancel = getattr(self.by_name[pool], "cancel", None)
        if cancel is not None:
            cancel(worker)

    async def close(self) -> None:
        """End them all."""
        for pool in self.by_name.values():
            await pool.close()


def note_demand(pools: Pools, scheduler: Scheduler, work: Assignment, family: ServedFamily) -> None:
    """A better variant that would have been in time but for its load is worth preloading."""
    ticket = work.tickets[0]
    if ticket.pinned or work.probe:
        return
    left_ms = ticket.due_ms - now_ms()
    profiles = scheduler.profiles(ticket.family)
    for model, mean_ms in zip(profiles.models, profiles.mean_ms.tolist(), strict=True):
        if model == work.variant:
            return
        if mean_ms < left_ms and (ticket.eligible is None or model in ticket.eligible):
            pools.note_demand(family.variants[model].key)
            return
