"""Workers that come and go: what pools tell of them, told on to the service that uses them."""

from __future__ import annotations

from collections.abc import Iterable

from edgewise.server import events
from edgewise.server.catalogue import LOCAL
from edgewise.server.pending import now_ms
from edgewise.server.pool.pool import Pool
from edgewise.server.running import Pools, Up
from edgewise.server.service import Service


class Attendance:
    """Who is there, and what each worker holds.

    Pools may tell before there is a service: then it is kept, and told in `begin`. `pools` is to be
    set before the first of them starts; `names` has family and variant by key, of all that were
    ever read.
    """

    pools: Pools
    service: Service

    def __init__(self) -> None:
        self.names: dict[str, tuple[str, str]] = {}
        self._resident: dict[int, frozenset[str]] = {}
        self._awaited: int | None = None
        self._begun = False

    def begin(self, service: Service) -> None:
        """From now on there is a service to tell."""
        self.service, self._begun = service, True
        self.tell_scheduler()

    def announce(self) -> None:
        """Tell listeners that came after the start who is up and what is resident."""
        for name, pool in self.pools.by_name.items():
            for worker in range(pool.size):
                if self.pools.is_up(name, worker):
                    self.service.publisher.tell(events.WorkerBack(worker, now_ms(), pool=name))
        for worker, resident in self._resident.items():
            self._tell_residents(worker, frozenset(), resident)

    def tell_scheduler(self) -> None:
        """A fresh scheduler does not know yet who is up and what is resident."""
        for name, pool in self.pools.by_name.items():
            for worker in range(pool.size):
                if not self.pools.is_up(name, worker):
                    self.service.scheduler.worker_lost(name, worker, now_ms())
        for worker, resident in self._resident.items():
            self.service.scheduler.resident(LOCAL, worker, self._current(resident))

    def _current(self, keys: Iterable[str]) -> set[str]:
        """What of it is served, as `family/variant`."""
        return {"/".join(self.names[key]) for key in keys if key in self.service.catalogue.variants}

    def on_change(self, worker: int, resident: frozenset[str] | None) -> None:
        """The local pool: what a worker holds now, None when it is lost."""
        before = self._resident.pop(worker, frozenset())
        if resident is not None:
            self._resident[worker] = resident
        self.on_up(LOCAL, worker, resident is not None)
        local = self.pools.local
        if (
            worker == self._awaited
            and isinstance(local, Pool)
            and not local.restarts_at_once(worker)
        ):
            # It did not come to be ready: it is not there soon.
            self._awaited = None
            self.service.scheduler.worker_lost(LOCAL, worker, now_ms())
            self.service.move(LOCAL)
        if resident is not None and self._begun:
            self.service.scheduler.resident(LOCAL, worker, self._current(resident))
            self.service.pump()
        self._tell_residents(worker, before, resident or frozenset())

    def _tell_residents(self, worker: int, before: frozenset[str], after: frozenset[str]) -> None:
        if not self._begun:
            return
        pool = self.pools.local
        size_of = pool.resident_bytes if isinstance(pool, Pool) else lambda _: 0
        cold_of = pool.cold_ms if isinstance(pool, Pool) else lambda _: 0.0
        for key in sorted(after - before):
            family, variant = self.names[key]
            self.service.publisher.tell(
                events.Loaded(family, variant, worker, size_of(key), cold_of(key), now_ms())
            )
        for key in sorted(before - after):
            family, variant = self.names[key]
            self.service.publisher.tell(
                events.Evicted(family, variant, worker, size_of(key), now_ms())
            )

    def of(self, name: str) -> Up:
        """`on_up` of one pool."""
        return lambda worker, up: self.on_up(name, worker, up)

    def on_up(self, pool: str, worker: int, up: bool) -> None:
        """A pool: a worker is there, or is not any more."""
        changed = self.pools.set_up(pool, worker, up)
        if not changed or not self._begun:
            return
        scheduler = self.service.scheduler
        if up:
            if pool == LOCAL:
                awaited, self._awaited = self._awaited, None
                if awaited is not None and awaited != worker:  # now it is the slower way
                    scheduler.worker_lost(pool, awaited, now_ms())
            scheduler.worker_back(pool, worker, now_ms())
            self.service.publisher.tell(events.WorkerBack(worker, now_ms(), pool=pool))
            self.service.pump()
        else:
            if not self._awaits(pool, worker):
                scheduler.worker_lost(pool, worker, now_ms())
            lost = self.pools.by_name[pool]
            cause = lost.causes[worker] if isinstance(lost, Pool) else "does not answer"
            self.service.publisher.tell(events.WorkerLost(worker, cause, now_ms(), pool=pool))
            self.service.watch()
            # Worker processes are back at once; nobody knows when an endpoint (a URL) is.
            if "://" in pool and not self.pools.alive(pool):
                self.service.move(pool)

    def _awaits(self, pool: str, worker: int) -> bool:
        """Whether a lost worker process was the last, and is being replaced: then requests go on
        being queued for its replacement, which is there before most deadlines."""
        if pool != LOCAL or self.pools.alive(LOCAL) or not self._restarts_at_once(worker):
            return False
        self._awaited = worker
        return True

    def _restarts_at_once(self, worker: int) -> bool:
        local = self.pools.local
        return isinstance(local, Pool) and local.restarts_at_once(worker)
