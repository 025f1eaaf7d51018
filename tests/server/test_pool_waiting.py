"""Jobs of a worker that is being replaced, moment by moment: processes die and come when told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from pool_parts import Pooled, runnables

from edgewise.protocol.messages import NotBegun, SetAside
from edgewise.server.pool import pool as pools
from edgewise.server.pool.crew import Crew
from edgewise.server.pool.quarantine import DEATHS

XS = "digits/digits-xs"


class NoProcesses(Crew):
    """Workers that are what a test says: the pool hears of them as from the real ones."""

    async def start(self) -> None:
        for worker in range(len(self._processes)):
            self.comes(worker)

    def comes(self, worker: int) -> None:
        """A process is ready, and holds nothing."""
        self._up(worker)

    def dies(self, worker: int, at: str | None = None) -> None:
        """A worker's process, or the one that was to replace it."""
        self._lost(worker, "crashed", at)


@pytest.fixture
def crews(monkeypatch: pytest.MonkeyPatch) -> list[NoProcesses]:
    """The crews of the pools that are made from here on."""
    made: list[NoProcesses] = []

    def make(*given: Any) -> NoProcesses:
        made.append(NoProcesses(*given))
        return made[-1]

    monkeypatch.setattr(pools, "Crew", make)
    return made


async def a_turn() -> None:
    """What the loop has been asked to do next is done: no time has to pass."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)


def test_a_job_whose_variant_was_set_aside_meanwhile_is_told_when_the_worker_is_back(
    digits: Path, crews: list[NoProcesses]
) -> None:
    async def work() -> None:
        async with Pooled(runnables(digits, "digits-xs")) as pooled:
            (crew,) = crews
            crew.dies(0, XS)
            waiting = pooled.job(XS, [])
            await a_turn()
            assert not waiting.done()
            for _ in range(DEATHS - 1):  # its replacements, while they load what it held
                crew.dies(0, XS)
            assert set(pooled.pool.set_aside) == {XS}
            crew.comes(0)
            await a_turn()
            assert isinstance(waiting.result(), SetAside)
            pooled.job(XS, [])  # the worker is free: a second job would be refused as a defect

    asyncio.run(work())


def test_a_job_of_a_lost_worker_goes_back_once_another_comes(
    digits: Path, crews: list[NoProcesses]
) -> None:
    async def work() -> None:
        async with Pooled(runnables(digits, "digits-xs"), workers=2) as pooled:
            (crew,) = crews
            crew.dies(0)
            crew.dies(1)
            waiting = [pooled.job(XS, [], worker=worker) for worker in range(2)]
            crew.comes(1)
            await a_turn()
            assert isinstance(waiting[0].result(), NotBegun)
            assert not waiting[1].done()

    asyncio.run(work())
