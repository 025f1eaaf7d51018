"""When the traffic has changed: soon where it jumps, never where it only comes in bursts."""

from __future__ import annotations

import numpy as np
import pytest

from edgewise.selection.recent import TrafficLog


def fed(gaps_ms: np.ndarray) -> list[int]:
    """After which requests a log said that the traffic has changed, fitted whenever it asks."""
    log, changed, now_ms, known = TrafficLog(), [], 0.0, 0
    for number, gap_ms in enumerate(gaps_ms.tolist()):
        now_ms += gap_ms
        log.add(now_ms, 100.0, 0.0, 0.0, 0.0)
        length = len(log.latest().gap_ms)
        if length < known:
            changed.append(number)
        known = length
        if log.waits_for <= 0:
            log.fitted()
    return changed


@pytest.mark.parametrize(("factor", "within"), [(0.25, 100), (0.5, 320), (2.0, 200), (5.0, 100)])
def test_a_jump_of_the_load_shows_within_some_hundred_requests(factor: float, within: int) -> None:
    gaps_ms = np.random.default_rng(1).exponential(10.0, 5000)
    gaps_ms[4000:] *= factor
    changed = fed(gaps_ms)
    assert changed
    assert 4000 < changed[0] <= 4000 + within


@pytest.mark.parametrize("variation", [1.0, 4.0, 8.0])
def test_bursts_are_no_change(variation: float) -> None:
    shape = 1 / variation**2
    gaps_ms = np.random.default_rng(2).gamma(shape, 10.0 / shape, 8000)
    assert fed(gaps_ms) == []
