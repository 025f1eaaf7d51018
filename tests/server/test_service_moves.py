"""Requests that an endpoint took along when it went: they move to where they can still run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from test_service import _ACCURACY, _TIMES_MS, Served, Workers, ran, run

from edgewise.protocol.messages import (
    Down,
    InferenceFailed,
    Interrupted,
    NotBegun,
    Refused,
    SetAside,
    Unavailable,
)
from edgewise.records import Profile
from edgewise.selection.engine.queueing import parse
from edgewise.selection.engine.scheduling import FamilyPlan, Scheduler
from edgewise.selection.profiles.table import table
from edgewise.server.catalogue import LOCAL
from edgewise.server.running import Pools
from edgewise.server.service import Service

FAR = "http://far:80/m"
DOWN = Down("the endpoint is down: connection refused")


class Split(Served):
    """`small` runs here, `large` at an endpoint with one slot; both hold what they are given."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.far = Workers()
        self.far.held = []
        pool_of = {"small": LOCAL, "large": FAR}
        pools: Any = Pools(
            {LOCAL: self.workers, FAR: self.far},
            {key: pool_of[each.variant.name] for key, each in self.catalogue.variants.items()},
        )
        for name in (LOCAL, FAR):
            pools.set_up(name, 0, True)
        profiles = [
            Profile(model=name, accuracy=_ACCURACY[name], mean_ms=ms, std_ms=ms / 50)
            for name, ms in _TIMES_MS.items()
        ]
        plan = FamilyPlan("f", table("f", profiles), parse("deadline"), pool_of)
        scheduler = Scheduler({"f": plan}, {LOCAL: 1, FAR: 1})
        self.service = Service(self.catalogue, scheduler, pools)

    def fall(self, pool: str = FAR) -> None:
        """As the deployment does it."""
        self.service.pools.set_up(pool, 0, False)
        self.service.scheduler.worker_lost(pool, 0, 0.0)
        if pool == FAR:
            self.service.move(pool)


def test_an_endpoint_that_goes_down_takes_nobody_along(tmp_path: Path) -> None:
    async def work() -> None:
        served = Split(tmp_path)
        asked = [asyncio.ensure_future(served.ask(5000.0)) for _ in range(4)]
        await asyncio.sleep(0.01)
        assert len(served.far.held) == 1
        assert served.service.scheduler.queue_length == 3
        served.fall()
        served.far.held.pop()[1](DOWN)
        answers = await asyncio.wait_for(asyncio.gather(*asked), 5)
        assert {answer.variant for answer in answers} == {"small"}
        assert served.service.running == 0

    run(work)


def test_who_asked_for_the_endpoint_itself_is_told(tmp_path: Path) -> None:
    async def work() -> None:
        served = Split(tmp_path)
        first, second = (asyncio.ensure_future(served.ask(5000.0, model="large")) for _ in range(2))
        await asyncio.sleep(0.01)
        served.fall()
        with pytest.raises(Refused, match="no worker is up"):
            await second
        served.far.held.pop()[1](DOWN)
        with pytest.raises(Refused, match="no worker is up"):
            await first

    run(work)


def test_where_nothing_else_is_up_the_endpoints_own_error_is_told(tmp_path: Path) -> None:
    async def work() -> None:
        served = Split(tmp_path)
        first = asyncio.ensure_future(served.ask(5000.0))
        await asyncio.sleep(0.01)
        served.fall(LOCAL)
        served.fall()
        served.far.held.pop()[1](DOWN)
        with pytest.raises(Unavailable, match="connection refused"):
            await first

    run(work)


def test_an_endpoint_that_is_too_busy_has_not_gone(tmp_path: Path) -> None:
    async def work() -> None:
        served = Split(tmp_path)
        first = asyncio.ensure_future(served.ask(5000.0))
        await asyncio.sleep(0.01)
        served.far.held.pop()[1](Unavailable("the endpoint has no room"))
        with pytest.raises(Unavailable, match="no room"):
            await first
        second = asyncio.ensure_future(served.ask(5000.0))
        await asyncio.sleep(0.01)
        served.far.held.pop()[1](ran(20.0))
        assert (await second).variant == "large"

    run(work)


def test_what_its_worker_died_at_is_tried_once_more(tmp_path: Path) -> None:
    async def work() -> None:
        served = Served(tmp_path)
        served.workers.held = []
        asked = asyncio.ensure_future(served.ask(5000.0))
        await asyncio.sleep(0)
        served.workers.held.pop()[1](Interrupted("'f/large': killed"))
        key, done = served.workers.held.pop()
        done(ran(_TIMES_MS[key.split("/")[1]]))
        assert (await asked).outputs
        asked = asyncio.ensure_future(served.ask(5000.0))
        await asyncio.sleep(0)
        for _ in range(2):
            served.workers.held.pop()[1](Interrupted("'f/large': killed"))
        with pytest.raises(InferenceFailed, match="killed"):
            await asked
        assert not served.workers.held
        assert served.service.running == 0

    run(work)


def test_what_cannot_be_in_time_any_more_is_not_tried_again(tmp_path: Path) -> None:
    async def work() -> None:
        served = Served(tmp_path)
        served.workers.held = []
        asked = asyncio.ensure_future(served.ask(50.0))
        await asyncio.sleep(0.06)
        served.workers.held.pop()[1](Interrupted("'f/large': killed"))
        with pytest.raises(InferenceFailed, match="killed"):
            await asked
        assert not served.workers.held

    run(work)


class Restarting(Pools):
    """Workers of this machine of which none has begun, and variants that are set aside."""

    is_short = True
    set_aside: Any = MappingProxyType({})
    cancelled = 0

    def has_begun(self, pool: str, worker: int) -> bool:
        return False

    def cancel(self, pool: str, worker: int) -> None:
        self.cancelled += 1


def _restarting(folder: Path) -> tuple[Served, Restarting]:
    served = Served(folder)
    served.workers.held = []
    pools = Restarting({LOCAL: served.workers}, served.service.pools.pool_of)  # type: ignore[dict-item]
    pools.set_up(LOCAL, 0, True)
    served.service.pools = pools
    return served, pools


def test_nobody_waits_beyond_the_deadline_for_a_worker_that_is_not_back(tmp_path: Path) -> None:
    async def work() -> None:
        served, pools = _restarting(tmp_path)
        began = asyncio.get_running_loop().time()
        with pytest.raises(Refused, match="time has run out"):
            await asyncio.wait_for(served.ask(60.0), 5)
        assert asyncio.get_running_loop().time() - began < 1.0
        assert len(served.workers.held) == pools.cancelled == 1
        served.workers.held.pop()[1](NotBegun("nobody waits for it"))
        await asyncio.sleep(0)
        assert served.service.running == 0

    run(work)


def test_what_was_not_begun_goes_elsewhere_any_number_of_times(tmp_path: Path) -> None:
    async def work() -> None:
        served, _ = _restarting(tmp_path)
        asked = asyncio.ensure_future(served.ask(5000.0))
        await asyncio.sleep(0)
        for _ in range(3):
            served.workers.held.pop()[1](NotBegun("another worker is there sooner"))
        served.workers.held.pop()[1](ran(20.0))
        assert (await asked).outputs

    run(work)


def test_a_variant_that_is_set_aside_is_left_out_of_the_choice(tmp_path: Path) -> None:
    async def work() -> None:
        served, pools = _restarting(tmp_path)
        large = next(key for key in served.catalogue.variants if "large" in key)
        asked = asyncio.ensure_future(served.ask(5000.0))
        await asyncio.sleep(0)
        key, done = served.workers.held.pop()
        assert key == large
        pools.set_aside = {large: "'f/large' is not run any more: it does not load"}
        done(SetAside("'f/large' does not load"))
        later = asyncio.ensure_future(served.ask(5000.0))
        await asyncio.sleep(0)
        for _ in range(2):
            key, done = served.workers.held.pop()
            assert key != large
            done(ran(2.0))
            await asyncio.sleep(0)
        assert {each.variant for each in await asyncio.gather(asked, later)} == {"small"}
        with pytest.raises(SetAside, match="does not load"):
            await served.ask(5000.0, model="large")
        assert served.service.model_ready("f")
        assert not served.service.model_ready("large")

    run(work)
