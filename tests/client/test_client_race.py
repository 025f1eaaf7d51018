"""Whose answer is given, and when: on an event loop whose clock jumps instead of waiting."""

from __future__ import annotations

import asyncio
import math
import selectors
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.client.race import Outcome, first_in_time
from edgewise.errors import EdgewiseError, RuntimeRefused
from edgewise.protocol.errors import Unreachable


class JumpingSelector(selectors.SelectSelector):
    """Where a loop would wait, its clock is put forward."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout:
            self.now += timeout
        assert timeout is not None, "nothing left to wait for"
        return super().select(0)


def run(work: Coroutine[Any, Any, Any]) -> tuple[Any, float]:
    """A coroutine's result, and the virtual time it took in ms."""
    selector = JumpingSelector()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.now  # type: ignore[method-assign]
    try:
        result = loop.run_until_complete(work)
        took_ms = 1000 * selector.now
        rest = asyncio.all_tasks(loop)
        if rest:  # the losers, being cancelled
            loop.run_until_complete(asyncio.wait(rest))
        return result, took_ms
    finally:
        loop.close()


async def after(ms: float, result: str, error: EdgewiseError | None, log: list[str]) -> str:
    try:
        await asyncio.sleep(ms / 1000)
    except asyncio.CancelledError:
        log.append(f"{result} cancelled")
        raise
    if error is not None:
        raise error
    return result


def race(
    cloud_ms: float, device_ms: float, left_ms: float, *, cloud_fails: bool, device_fails: bool
) -> tuple[Outcome[str, str] | EdgewiseError, float, list[str]]:
    log: list[str] = []

    async def both() -> Outcome[str, str] | EdgewiseError:
        down = Unreachable("no cloud") if cloud_fails else None
        broken = RuntimeRefused("no device") if device_fails else None
        cloud = asyncio.create_task(after(cloud_ms, "cloud", down, log))
        device = asyncio.create_task(after(device_ms, "device", broken, log))
        try:
            return await first_in_time(cloud, device, left_ms)
        except EdgewiseError as error:
            return error

    outcome, took_ms = run(both())
    return outcome, took_ms, log


whole_ms = st.integers(1, 200).map(float)


@given(whole_ms, whole_ms, st.one_of(st.integers(-50, 250).map(float), st.just(math.inf)))
def test_the_cloud_if_in_time_else_the_device_at_the_deadline(
    cloud_ms: float, device_ms: float, left_ms: float
) -> None:
    # Half a millisecond apart, so that no two things happen at one instant.
    left_ms += 0.5
    device_ms += 0.25
    outcome, took_ms, log = race(
        cloud_ms, device_ms, left_ms, cloud_fails=False, device_fails=False
    )
    assert isinstance(outcome, Outcome)
    if cloud_ms <= left_ms:
        assert outcome.cloud == "cloud"
        assert took_ms == pytest.approx(cloud_ms)
    elif device_ms <= max(left_ms, 0):
        assert (outcome.device, outcome.late) == ("device", True)
        assert took_ms == pytest.approx(max(left_ms, 0))
        assert log == ["cloud cancelled"]
    else:  # neither in time: the first
        assert took_ms == pytest.approx(min(cloud_ms, device_ms))
        assert (outcome.cloud is None) == (device_ms < cloud_ms)


@given(whole_ms, whole_ms, whole_ms)
def test_a_cloud_that_fails_gives_way_at_once(
    cloud_ms: float, device_ms: float, left_ms: float
) -> None:
    device_ms += 0.25
    left_ms += 0.5
    outcome, took_ms, _ = race(cloud_ms, device_ms, left_ms, cloud_fails=True, device_fails=False)
    assert isinstance(outcome, Outcome)
    assert outcome.device == "device"
    if cloud_ms <= left_ms:
        assert took_ms == pytest.approx(max(cloud_ms, device_ms))
        assert isinstance(outcome.cloud_error, Unreachable)
    else:
        assert took_ms <= max(left_ms, device_ms) + 1e-6


@given(whole_ms, whole_ms, whole_ms)
def test_a_device_that_fails_leaves_the_cloud(
    cloud_ms: float, device_ms: float, left_ms: float
) -> None:
    outcome, took_ms, _ = race(
        cloud_ms, device_ms + 0.25, left_ms + 0.5, cloud_fails=False, device_fails=True
    )
    assert isinstance(outcome, Outcome)
    assert outcome.cloud == "cloud"
    assert took_ms == pytest.approx(cloud_ms)
    assert (outcome.device_error is not None) == (device_ms < cloud_ms)


@given(whole_ms, whole_ms, whole_ms)
def test_where_both_fail_the_clouds_error_tells_of_both(
    cloud_ms: float, device_ms: float, left_ms: float
) -> None:
    outcome, took_ms, _ = race(
        cloud_ms, device_ms + 0.25, left_ms + 0.5, cloud_fails=True, device_fails=True
    )
    assert isinstance(outcome, Unreachable)
    assert outcome.__notes__ == ["no device"]
    assert took_ms == pytest.approx(max(cloud_ms, device_ms + 0.25))


def test_leaving_the_race_ends_both() -> None:
    log: list[str] = []

    async def leave() -> None:
        cloud = asyncio.create_task(after(100, "cloud", None, log))
        device = asyncio.create_task(after(100, "device", None, log))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await first_in_time(cloud, device, math.inf)

    run(leave())
    assert sorted(log) == ["cloud cancelled", "device cancelled"]


def test_a_defect_is_not_an_answer() -> None:
    async def broken() -> str:
        raise ZeroDivisionError

    async def both() -> None:
        cloud = asyncio.create_task(broken())
        device = asyncio.create_task(after(1, "device", None, []))
        await first_in_time(cloud, device, 50)

    with pytest.raises(ZeroDivisionError):
        run(both())
