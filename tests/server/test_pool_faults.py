"""Workers that crash, hang, print and die: one job fails with the reason, and nobody else notices.

Crashes are real: the test sends the worker process the signal that a broken runtime would raise.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pool_parts import JobResult, Pooled, images, png, ran, runnables, values

from edgewise.errors import RuntimeRefused
from edgewise.protocol.messages import (
    InferenceFailed,
    Interrupted,
    NotBegun,
    SetAside,
    Tensor,
    Unavailable,
)
from edgewise.server.pool.quarantine import DEATHS

pytest.importorskip("ai_edge_litert")
pytest.importorskip("PIL")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

S, XS = "digits/digits-s", "digits/digits-xs"


@pytest.fixture
def picture() -> Tensor:
    return images(png(np.zeros((8, 8), "uint8")))


def go(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGKILL])
def test_a_crash_fails_its_job_only(digits: Path, picture: Tensor, number: signal.Signals) -> None:
    async def work() -> None:
        async with Pooled(runnables(digits, "digits-s"), workers=2) as pooled:
            for worker in range(2):
                await pooled.pool.preload(worker, S)
            pooled.stop(0)
            doomed = pooled.job(S, [picture], worker=0)
            beside = pooled.job(S, [picture], worker=1)
            os.kill(pooled.pid(0), number)
            os.kill(pooled.pid(0), signal.SIGCONT)
            assert values(await beside).shape == (1, 10)
            failure = await doomed
            assert isinstance(failure, InferenceFailed)
            assert S in str(failure)
            assert number.name in str(failure)
            assert (0, None) in pooled.changes
            await pooled.until_back(0)
            assert pooled.changes[-1] == (0, frozenset({S}))
            again = ran(await pooled.job(S, [picture], worker=0))
            assert again.cold_ms == 0

    go(work())


def test_a_worker_is_told_lost_before_its_job_fails(digits: Path, picture: Tensor) -> None:
    """So that whoever schedules does not give the dead worker the next job."""

    async def work() -> None:
        async with Pooled(runnables(digits, "digits-xs")) as pooled:
            seen: list[bool] = []
            pooled.stop()
            pooled.pool.run(
                0, XS, [[picture]], lambda _: seen.append(pooled.changes[-1] == (0, None))
            )
            os.kill(pooled.pid(), signal.SIGKILL)
            await pooled.until(lambda: bool(seen))
            assert seen == [True]

    go(work())


def test_a_job_for_a_worker_that_is_being_replaced_waits_for_it(
    digits: Path, picture: Tensor
) -> None:
    async def work() -> None:
        async with Pooled(runnables(digits, "digits-xs")) as pooled:
            os.kill(pooled.pid(), signal.SIGKILL)
            await pooled.until(lambda: pooled.changes[-1] == (0, None))
            assert values(await pooled.job(XS, [picture])).shape == (1, 10)

    go(work())


def test_a_hanging_worker_is_killed_when_the_time_is_up(digits: Path, picture: Tensor) -> None:
    async def work() -> None:
        async with Pooled(runnables(digits, "digits-xs"), timeout_s=0.3) as pooled:
            pooled.stop()
            failure = await pooled.job(XS, [picture])
            assert isinstance(failure, InferenceFailed)
            assert "no answer within 0.3 s" in str(failure)
            await pooled.until_back()

    go(work())


def test_a_variant_that_keeps_killing_workers_is_run_no_more(digits: Path, picture: Tensor) -> None:
    async def work() -> None:
        of = runnables(digits, "digits-xs", "digits-s")
        async with Pooled(of) as pooled:
            for _ in range(DEATHS):
                await pooled.until_back()
                pooled.stop()
                doomed = pooled.job(XS, [picture])
                os.kill(pooled.pid(), signal.SIGSEGV)
                os.kill(pooled.pid(), signal.SIGCONT)
                assert isinstance(await doomed, InferenceFailed)
            assert set(pooled.pool.set_aside) == {XS}
            refused = await pooled.job(XS, [picture])
            assert isinstance(refused, InferenceFailed)
            assert isinstance(refused, SetAside)
            assert f"{DEATHS} workers in a row" in str(refused)
            await pooled.until_back()
            with pytest.raises(RuntimeRefused, match="in a row"):
                await pooled.pool.preload(0, XS)
            ran(await pooled.job(S, [picture]))
            pooled.pool.replace([each for each in of if each.key == S])
            pooled.pool.replace(of)
            ran(await pooled.job(XS, [picture]))

    go(work())


def test_an_answer_between_deaths_absolves(digits: Path, picture: Tensor) -> None:
    async def work() -> None:
        async with Pooled(runnables(digits, "digits-xs")) as pooled:
            for _ in range(DEATHS):
                await pooled.until_back()
                ran(await pooled.job(XS, [picture]))
                pooled.stop()
                doomed = pooled.job(XS, [picture])
                os.kill(pooled.pid(), signal.SIGSEGV)
                os.kill(pooled.pid(), signal.SIGCONT)
                assert isinstance(await doomed, InferenceFailed)
            assert not pooled.pool.set_aside

    go(work())


def test_workers_killed_from_outside_hardly_blame_what_they_were_at(
    digits: Path, picture: Tensor
) -> None:
    async def work() -> None:
        async with Pooled(runnables(digits, "digits-xs")) as pooled:
            for _ in range(DEATHS + 1):
                await pooled.until_back()
                pooled.stop()
                doomed = pooled.job(XS, [picture])
                os.kill(pooled.pid(), signal.SIGKILL)
                assert isinstance(await doomed, Interrupted)
            assert not pooled.pool.set_aside
            ran(await pooled.job(XS, [picture]))

    go(work())


@pytest.mark.parametrize("content", [b"", b"cut"])
def test_a_variant_that_does_not_load_is_set_aside_at_once_and_the_others_go_on(
    digits: Path, picture: Tensor, tmp_path: Path, content: bytes
) -> None:
    """Its file is damaged when a worker is replaced."""

    async def work() -> None:
        for name in ("digits-xs", "digits-s"):
            shutil.copy(digits / f"{name}.tflite", tmp_path)
        of = runnables(digits, "digits-xs", "digits-s")
        mine = [replace(each, file=str(tmp_path / Path(each.file).name)) for each in of]
        async with Pooled(mine) as pooled:
            await pooled.pool.preload(0, XS)
            await pooled.pool.preload(0, S)
            whole = (tmp_path / "digits-xs.tflite").read_bytes()
            damaged = tmp_path / "damaged"
            damaged.write_bytes(content and whole[:1000])
            damaged.rename(tmp_path / "digits-xs.tflite")
            os.kill(pooled.pid(), signal.SIGKILL)
            await pooled.until(lambda: pooled.changes[-1] == (0, None))
            await pooled.until_back()
            assert set(pooled.pool.set_aside) == {XS}
            assert isinstance(await pooled.job(XS, [picture]), SetAside)
            ran(await pooled.job(S, [picture]))
            (tmp_path / "digits-xs.tflite").write_bytes(whole)
            pooled.pool.replace(mine)
            ran(await pooled.job(XS, [picture]))

    go(work())


def test_a_job_for_a_lost_worker_goes_back_once_another_is_there(
    digits: Path, picture: Tensor
) -> None:
    async def work() -> None:
        async with Pooled(runnables(digits, "digits-xs"), workers=2) as pooled:
            for worker in range(2):
                os.kill(pooled.pid(worker), signal.SIGKILL)
            await pooled.until(lambda: {(0, None), (1, None)} <= set(pooled.changes))
            jobs = [pooled.job(XS, [picture], worker=worker) for worker in range(2)]
            told = await asyncio.gather(*jobs)
            assert {type(each) for each in told} == {JobResult, NotBegun}

    go(work())


def test_a_job_that_has_not_begun_is_cancelled_one_that_has_is_not(
    digits: Path, picture: Tensor
) -> None:
    async def work() -> None:
        async with Pooled(runnables(digits, "digits-xs")) as pooled:
            running = pooled.job(XS, [picture])
            await asyncio.sleep(0)
            assert pooled.pool.has_begun(0)
            pooled.pool.cancel(0)
            ran(await running)
            os.kill(pooled.pid(), signal.SIGKILL)
            await pooled.until(lambda: pooled.changes[-1] == (0, None))
            waiting = pooled.job(XS, [picture])
            await asyncio.sleep(0)
            assert not pooled.pool.has_begun(0)
            pooled.pool.cancel(0)
            assert isinstance(await waiting, NotBegun)

    go(work())


def test_an_idle_worker_that_dies_blames_nobody(digits: Path, picture: Tensor) -> None:
    async def work() -> None:
        async with Pooled(runnables(digits, "digits-xs")) as pooled:
            await pooled.pool.preload(0, XS)
            for _ in range(DEATHS):
                before = pooled.pid()
                os.kill(before, signal.SIGKILL)
                await pooled.until(lambda b=before: pooled.pool.pids[0] not in (None, b))
                await pooled.until_back()
            assert not pooled.pool.set_aside
            assert pooled.changes[-1] == (0, frozenset({XS}))
            ran(await pooled.job(XS, [picture]))

    go(work())


def test_a_load_whose_worker_dies_is_told(digits: Path) -> None:
    from edgewise.errors import WorkerFailed

    async def work() -> None:
        async with Pooled(runnables(digits, "digits-xs")) as pooled:
            pooled.stop()
            load = asyncio.ensure_future(pooled.pool.preload(0, XS))
            await asyncio.sleep(0)
            os.kill(pooled.pid(), signal.SIGSEGV)
            os.kill(pooled.pid(), signal.SIGCONT)
            with pytest.raises(WorkerFailed, match=r"digits-xs.*SIGSEGV"):
                await load
            await pooled.until_back()
            await pooled.pool.preload(0, XS)

    go(work())


def test_a_job_without_room_is_told_or_runs_when_there_is_some(
    digits: Path, picture: Tensor
) -> None:
    """One worker hangs on all the memory there is: the other's job cannot begin."""

    async def work() -> None:
        of = runnables(digits, "digits-xl", "digits-l")
        async with Pooled(of, workers=2, timeout_s=10.0, memory_bytes=None) as pooled:
            sizes = {}
            for each in of:
                await pooled.pool.describe(each.key)
                sizes[each.key] = pooled.pool.resident_bytes(each.key)
        budget = sizes["digits/digits-xl"] + sizes["digits/digits-l"] // 2
        async with Pooled(of, workers=2, timeout_s=2.0, memory_bytes=budget) as pooled:
            await pooled.pool.preload(0, "digits/digits-xl")
            pooled.stop(0)
            hanging = pooled.job("digits/digits-xl", [picture], worker=0)
            waiting = pooled.job("digits/digits-l", [picture], worker=1)
            told = await asyncio.gather(hanging, waiting)
            assert isinstance(told[0], InferenceFailed)
            assert isinstance(told[1], Unavailable) or ran(told[1]).cold_ms > 0
            await pooled.until_back(0)
            assert pooled.pool.used_bytes <= budget

    go(work())


def test_what_a_worker_prints_never_blocks_it(digits: Path, picture: Tensor) -> None:
    """Much more than a pipe holds, written to the worker's own standard error."""

    async def work() -> None:
        async with Pooled(runnables(digits, "digits-xs")) as pooled:
            pid = pooled.pid()
            path = f"/proc/{pid}/fd/2"

            def print_a_lot() -> None:
                with open(path, "wb", buffering=0) as stream:  # noqa: PTH123  a pipe, not a file
                    for _ in range(40):
                        stream.write(b"noise " * 10_000 + b"\n")
                    stream.write(b"the last words\n")

            await asyncio.wait_for(asyncio.to_thread(print_a_lot), 30)
            ran(await pooled.job(XS, [picture]))
            pooled.stop()
            doomed = pooled.job(XS, [picture])
            os.kill(pid, signal.SIGSEGV)
            os.kill(pid, signal.SIGCONT)
            assert "the last words" in str(await doomed)

    go(work())


def test_workers_die_with_a_parent_that_is_killed(digits: Path) -> None:
    """Even with one that gets no chance to say good-bye."""
    program = textwrap.dedent(
        """
        import asyncio, sys
        from edgewise.server.pool.pool import Pool
        async def main():
            pool = Pool([], workers=2, memory_bytes=None, timeout_s=5, on_change=lambda *_: None)
            await pool.start()
            print(*pool.pids, flush=True)
            await asyncio.sleep(60)
        asyncio.run(main())
        """
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 2
        parent.kill()

    async def gone() -> None:
        async with asyncio.timeout(20):
            while any(_alive(pid) for pid in pids):
                await asyncio.sleep(0.01)

    go(gone())


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
