"""The timer that looks at the queue when somebody's time has run out."""

from __future__ import annotations

import asyncio
import math
import time

from edgewise.server.expiry import ExpiryTimer


def _now_ms() -> float:
    return time.monotonic() * 1000


def test_it_looks_after_the_earliest_and_then_when_it_was_told() -> None:
    async def work() -> None:
        looked_ms: list[float] = []
        began_ms = _now_ms()

        def look() -> float:
            looked_ms.append(_now_ms() - began_ms)
            return began_ms + 20 if len(looked_ms) == 1 else math.inf

        sweep = ExpiryTimer(look)
        sweep.at(math.inf, began_ms)
        sweep.at(began_ms + 60_000, began_ms)
        sweep.at(began_ms + 5, began_ms)
        sweep.at(began_ms + 10, began_ms)
        while len(looked_ms) < 2:
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.01)
        first_ms, second_ms = looked_ms
        assert first_ms >= 5
        assert second_ms >= 20

    asyncio.run(asyncio.wait_for(work(), 10))
