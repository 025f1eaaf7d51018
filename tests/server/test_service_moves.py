"""Requests that an endpoint took along when it went: they move to where they can still run."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from test_service import _ACCURACY, _TIMES_MS, Served, Workers, ran, run

from edgewise.protocol.messages import Down, Refused, Unavailable
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
