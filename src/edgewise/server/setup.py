"""A service from family files: read, load, measure, schedule; and again on a reload."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from edgewise.errors import InputError
from edgewise.formats.runtime import runtime_for
from edgewise.selection.engine import queueing
from edgewise.selection.engine.scheduling import Batching, FamilyPlan, Scheduler
from edgewise.selection.profiles.table import ProfileTable
from edgewise.server import catalogue, priors
from edgewise.server.attendance import Attendance
from edgewise.server.catalogue import LOCAL, Catalogue, Served, ServedFamily
from edgewise.server.pool.frames import Runnable
from edgewise.server.pool.pool import Pool
from edgewise.server.running import AnyPool, Pools
from edgewise.server.service import Service
from edgewise.server.settings import ServerSettings
from edgewise.server.snapshots import Snapshots
from edgewise.server.warming import warm_up

#: Makes a pool for the variants of the given keys, told of workers that come and go.
Cluster = Callable[
    [Mapping[str, Runnable], Callable[[str, int, bool], None]], Mapping[str, AnyPool]
]


_KEY_DIGITS = 12


@dataclass
class _Read:
    """Families as read, and what runs here of them."""

    catalogue: Catalogue
    runnables: dict[str, Runnable] = field(default_factory=dict)
    given: priors.Given | None = None
    notes: tuple[str, ...] = ()


class Deployment:
    """A service with its pools. `start` first, `close` last.

    With a `cluster`, variants run there instead of in worker processes of this machine.
    """

    service: Service

    def __init__(
        self, paths: Sequence[Path], settings: ServerSettings, cluster: Cluster | None = None
    ) -> None:
        self.settings = settings
        self._paths = list(paths)
        self._cluster = cluster
        self._snapshots = Snapshots()
        self._policy = queueing.parse(settings.policy)
        self._read: _Read
        self.pools: Pools
        self._start_profiles: dict[str, ProfileTable] = {}
        self._attendance = Attendance()

    # -- life --------------------------------------------------------------------------------------

    async def start(self) -> Service:
        """Bring everything up.

        Raises:
            InputError: a family or its profiles cannot be read, or do not fit each other; what is
                learned could not be kept.
            MissingExtra, RuntimeRefused, WorkerFailed: a variant does not run here.
            Unavailable: an endpoint does not answer.
        """
        read = self._reading()
        if self.settings.state is not None:
            priors.make_room(self.settings.state)
        self.pools = Pools(self._make_pools(read), _pool_of(read.catalogue, self._cluster))
        self._attendance.pools = self.pools
        try:
            for pool in self.pools.by_name.values():
                await pool.start()
            read.catalogue = await self._described(read.catalogue)
            profiles = await self._profiles(read, {})
            scheduler = self._scheduler(read.catalogue, profiles)
            warm_up(self._scheduler(read.catalogue, profiles), read.catalogue.families)
        except BaseException:
            await self.pools.close()
            raise
        self._read, self._start_profiles = read, profiles
        self.service = Service(read.catalogue, scheduler, self.pools, sla_ms=self.settings.sla_ms)
        self._attendance.begin(self.service)
        return self.service

    async def reload(self) -> None:
        """Read the families again and serve what they say now; learned times stay with variants
        whose files are as before.

        Raises: as `start`; then everything is as it was.
        """
        old, new = self._read, self._reading()
        if set(_endpoints(new.catalogue)) != set(_endpoints(old.catalogue)) or self._cluster:
            raise InputError("endpoints and clusters cannot be changed by a reload", hint="restart")
        pool = self.pools.local
        if isinstance(pool, Pool):
            pool.replace(list({**old.runnables, **new.runnables}.values()))
        pool_of_before = self.pools.pool_of
        try:
            self.pools.pool_of = {**pool_of_before, **_pool_of(new.catalogue, None)}
            new.catalogue = await self._described(new.catalogue)
            profiles = await self._profiles(new, self._unchanged(old, new))
            scheduler = self._scheduler(new.catalogue, profiles)
        except BaseException:
            self.pools.pool_of = pool_of_before
            if isinstance(pool, Pool):
                pool.replace(list(old.runnables.values()))
            raise

        def switch() -> None:
            if isinstance(pool, Pool):
                pool.replace(list(new.runnables.values()))
            self.pools.pool_of = _pool_of(new.catalogue, None)
            self._snapshots.keep({each.file for each in new.runnables.values()})

        await self.service.exchange(new.catalogue, scheduler, switch)
        self._read, self._start_profiles = new, profiles
        self._attendance.tell_scheduler()

    def save(self) -> None:
        """Keep what was learned in the state folder, if there is one.

        Raises:
            OSError: it cannot be written.
        """
        if self.settings.state is not None:
            self.service.scheduler.save(self.settings.state)

    async def close(self) -> None:
        """End all workers."""
        await self.pools.close()
        self._snapshots.close()

    def set_aside(self) -> dict[tuple[str, str], str]:
        """Families and variants that are not run any more, and why."""
        aside = self.pools.set_aside
        served, names = self.service.catalogue.variants, self._attendance.names
        return {names[key]: why for key, why in aside.items() if key in served}

    def announce(self) -> None:
        """Tell listeners that came after the start who is up and what is resident."""
        self._attendance.announce()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was chosen of a store for the profiles to start from, and left out."""
        return self._read.notes

    def profiles_at_start(self, family: str) -> ProfileTable:
        """What was believed when the service started, or read the family again."""
        return self._start_profiles[family]

    # -- parts -------------------------------------------------------------------------------------

    def _reading(self) -> _Read:
        families = []
        runnables = {}
        settings = self.settings
        given = None
        if settings.profiles is not None:
            given = priors.given(settings.profiles, settings.target, settings.threads)
        notes = [] if given is None else list(given.notes)
        for family in catalogue.load(
            self._paths, accuracies_follow=given is not None
        ).families.values():
            variants = {}
            for name, served in family.variants.items():
                if served.variant.endpoint is None:
                    runnable, served = self._identified(family, served)
                    runnables[served.key] = runnable
                variants[name] = served
                self._attendance.names[served.key] = served.family, name
            if given is not None:
                notes += given.corrections(replace(family, variants=variants))
                variants = {name: given.with_accuracy(one) for name, one in variants.items()}
            families.append(replace(family, variants=variants))
        catalogue.check_accuracies(families)
        return _Read(Catalogue(families), runnables, given, tuple(notes))

    def _identified(self, family: ServedFamily, served: Served) -> tuple[Runnable, Served]:
        """A variant of this machine under a key that no other content, and no other way to run it,
        has: while one takes another's place, none is taken for the other."""
        runnable = _runnable(family, served, self.settings.threads)
        if self._cluster is not None:  # whose machines do not see a copy
            return runnable, served
        copy, content = self._snapshots.take(Path(runnable.file))
        how = repr((content, replace(runnable, file="")))
        key = f"{served.key}@{hashlib.sha256(how.encode()).hexdigest()[:_KEY_DIGITS]}"
        return (
            replace(runnable, key=key, file=str(copy)),
            replace(served, key=key, content=content),
        )

    def _make_pools(self, read: _Read) -> dict[str, AnyPool]:
        made: dict[str, AnyPool] = {}
        if read.runnables and self._cluster is not None:
            made.update(self._cluster(read.runnables, self._attendance.on_up))
        elif read.runnables:
            made[LOCAL] = Pool(
                list(read.runnables.values()),
                workers=self.settings.worker_count,
                memory_bytes=self.settings.memory_bytes,
                timeout_s=self.settings.limits.inference_seconds,
                on_change=self._attendance.on_change,
            )
        for url, variants in _endpoints(read.catalogue).items():
            from edgewise.server.endpoints.pool import EndpointPool

            families = read.catalogue.families
            made[url] = EndpointPool(
                url,
                {each.key: each.variant for each in variants},
                images=families[variants[0].family].family.input.kind == "image",
                timeout_s=self.settings.limits.inference_seconds,
                on_up=self._attendance.of(url),
                labels=len(families[variants[0].family].family.label_names),
            )
        return made

    async def _described(self, of: Catalogue) -> Catalogue:
        ports = {}
        for key in of.variants:
            ports[key] = await self.pools.by_name[self.pools.pool_of[key]].describe(key)
        return catalogue.described(of, ports)

    def _scheduler(self, of: Catalogue, profiles: Mapping[str, ProfileTable]) -> Scheduler:
        plans = {
            name: FamilyPlan(
                name=name,
                profiles=profiles[name],
                policy=self._policy,
                pool_of={
                    each.variant.name: self.pools.pool_of[each.key]
                    for each in family.variants.values()
                },
            )
            for name, family in of.families.items()
        }
        batching = Batching(self.settings.batch) if self.settings.batch > 1 else None
        return Scheduler(
            plans,
            self.pools.sizes(),
            seed=self.settings.seed,
            batching=batching,
            learned=self.settings.state,
            queue_limit=self.settings.limits.queue,
        )

    # -- profiles ----------------------------------------------------------------------------------

    async def _profiles(
        self, read: _Read, kept: Mapping[str, ProfileTable]
    ) -> dict[str, ProfileTable]:
        """By family; those that are kept are not measured again."""
        found = {}
        for name, family in read.catalogue.families.items():
            if name in kept:
                found[name] = kept[name]
            elif read.given is not None:
                found[name] = read.given.table(family)
            else:
                found[name] = await self._measured(family)
        return found

    async def _measured(self, family: ServedFamily) -> ProfileTable:
        hot_ms: dict[str, Sequence[float]] = {}
        cold_ms: dict[str, float] = {}
        by_pool: dict[str, list[str]] = {}
        for served in family.variants.values():
            by_pool.setdefault(self.pools.pool_of[served.key], []).append(served.key)
        for name, keys in by_pool.items():
            taken = await self.pools.by_name[name].calibrate(
                keys, priors.CALIBRATION_CALLS, priors.CALIBRATION_SECONDS
            )
            for key, each in taken.items():
                if not each.hot_ms:
                    raise InputError(
                        f"'{key}' leaves sizes open and cannot be measured on synthetic inputs",
                        hint="give --profiles",
                    )
                hot_ms[key], cold_ms[key] = each.hot_ms, each.cold_ms
        return priors.measured(family, hot_ms, cold_ms)

    def _unchanged(self, old: _Read, new: _Read) -> dict[str, ProfileTable]:
        """Learned profiles of families whose variants are all as before."""
        same = {}
        for name, family in new.catalogue.families.items():
            before = old.catalogue.families.get(name)
            if before is None or set(before.variants) != set(family.variants):
                continue
            if {v.key for v in family.variants.values()} == {
                v.key for v in before.variants.values()
            }:
                same[name] = self.service.scheduler.profiles(name)
        return same


def _runnable(family: ServedFamily, served: Served, threads: int) -> Runnable:
    return Runnable(
        key=served.key,
        file=str(served.variant.file),
        runtime=runtime_for(served.variant),
        delegate=None,
        threads=threads,
        preprocess=served.variant.preprocess,
        input_kind=family.family.input.kind,
        labels=len(family.family.label_names),
    )


def _endpoints(of: Catalogue) -> dict[str, list[Served]]:
    found: dict[str, list[Served]] = {}
    for served in of.variants.values():
        if served.variant.endpoint is not None:
            found.setdefault(served.pool, []).append(served)
    return found


def _pool_of(of: Catalogue, cluster: Cluster | None) -> dict[str, str]:
    """The pool of every variant; on a cluster each file has its own, named by its key."""
    return {
        key: key if cluster is not None and served.pool == LOCAL else served.pool
        for key, served in of.variants.items()
    }
