"""The cloud's answer if it is in time, else the device's (MDInference, IC2E 2020).

Both are asked at once. The device's answer is held until the cloud has answered, has failed, or
the deadline is `margin_ms` away; then the loser is cancelled. Where neither has answered by the
deadline, the first that does is returned.
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from edgewise.errors import EdgewiseError

C = TypeVar("C")
D = TypeVar("D")


@dataclass(frozen=True, slots=True)
class Outcome(Generic[C, D]):
    """One of both is given. The errors are of those that failed; `late`: the cloud was."""

    cloud: C | None = None
    device: D | None = None
    cloud_error: EdgewiseError | None = None
    device_error: EdgewiseError | None = None
    late: bool = False


async def first_in_time(
    cloud: asyncio.Task[C], device: asyncio.Future[D], left_ms: float
) -> Outcome[C, D]:
    """Decide between both. `left_ms` until the device's answer has to leave; may be infinite.

    Raises:
        EdgewiseError: both failed; it is the cloud's error, with the device's as a note.
    """
    try:
        wait_s = None if left_ms == math.inf else max(0.0, left_ms) / 1000
        await asyncio.wait([cloud], timeout=wait_s)
        late = not cloud.done()
        if late:
            # At once where the device's answer is there; else whoever is first.
            both: list[asyncio.Future[Any]] = [cloud, device]
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not cloud.done() and _error(device) is not None:
            await asyncio.wait([cloud])
        return await _decided(cloud, device, late)
    finally:
        drop(cloud)
        drop(device)


async def _decided(cloud: asyncio.Task[C], device: asyncio.Future[D], late: bool) -> Outcome[C, D]:
    cloud_error = _error(cloud) if cloud.done() else None
    if cloud.done() and cloud_error is None:
        device_error = _error(device) if device.done() else None
        return Outcome(cloud=cloud.result(), device_error=device_error)
    await asyncio.wait([device])
    device_error = _error(device)
    if device_error is None:
        return Outcome(device=device.result(), cloud_error=cloud_error, late=late)
    assert cloud_error is not None
    cloud_error.add_note(str(device_error))
    raise cloud_error


def _error(done: asyncio.Future[Any]) -> EdgewiseError | None:
    """How it failed; a defect of ours, or being cancelled from outside, is raised."""
    error = done.exception()
    if error is not None and not isinstance(error, EdgewiseError):
        raise error
    return error


def drop(loser: asyncio.Future[Any]) -> None:
    """Cancel, and look away from whatever it still raises."""
    if not loser.cancel() and not loser.cancelled():
        loser.exception()
    else:
        loser.add_done_callback(_retrieve)


def _retrieve(done: asyncio.Future[Any]) -> None:
    if not done.cancelled():
        done.exception()
