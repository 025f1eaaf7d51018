"""When the traffic has changed: soon where it jumps, never where it only comes in bursts."""

from __future__ import annotations

import numpy as np
import pytest

from edgewise.selection.policies.recent import RecentService, TrafficLog


def fed(gaps_ms: np.ndarray, budgets_ms: np.ndarray | None = None) -> list[int]:
    """After which requests a log said that the traffic has changed, fitted whenever it asks."""
    log, changed, now_ms, known, at = TrafficLog(), [], 0.0, 0, 0
    given_ms = np.full(len(gaps_ms), 100.0) if budgets_ms is None else budgets_ms
    for number, (gap_ms, budget_ms) in enumerate(zip(gaps_ms, given_ms, strict=True)):
        now_ms += gap_ms
        log.add(now_ms, budget_ms, 0.0, 0.0, 0.0)
        if log.waits_for <= 0:
            length = len(log.latest().gap_ms)
            if length < min(known + number - at, 8192):
                changed.append(number)
            known, at = length, number
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


def test_budgets_that_change_for_good_are_a_change() -> None:
    rng = np.random.default_rng(3)
    budgets_ms = rng.normal(150, 40, 6000)
    budgets_ms[4000:] -= 60
    changed = fed(rng.exponential(10.0, 6000), budgets_ms)
    assert len(changed) == 1
    assert 4000 < changed[0] <= 4200


@pytest.mark.parametrize("length", [30, 100, 300])
def test_budgets_that_come_and_go_are_soon_known(length: int) -> None:
    """Stretches of a good and a bad network look like changes at first, not for ever."""
    rng = np.random.default_rng(4)
    good = np.arange(12_000) // length % 2 == 0
    budgets_ms = rng.normal(np.where(good, 150, -200), 30)
    changed = fed(rng.exponential(10.0, 12_000), budgets_ms)
    assert len(changed) < 12
    assert max(changed, default=0) < 12 * length + 500


def test_a_jump_of_the_load_shows_among_stretches() -> None:
    rng = np.random.default_rng(5)
    budgets_ms = rng.normal(np.where(np.arange(6000) // 50 % 2, 150, -200), 30)
    gaps_ms = rng.exponential(10.0, 6000)
    gaps_ms[4000:] *= 0.25
    changed = fed(gaps_ms, budgets_ms)
    assert 4000 < changed[-1] <= 4100


#: Services of a heavy tail at 200 levels: a mean of 1.6 medians.
HEAVY_MS = 5 * (1 - (np.arange(200) + 0.5) / 200) ** -0.45


def learned(samples_ms: np.ndarray) -> RecentService:
    service = RecentService(HEAVY_MS[None])
    for sample_ms in samples_ms:
        service.add(0, float(sample_ms))
    return service


@pytest.mark.parametrize("places", [np.r_[0:190:2], np.r_[0:190:2, 190:200]])
def test_a_profile_of_a_heavy_tail_stands_though_its_mean_is_seldom_met(places: np.ndarray) -> None:
    # Without the longest, and with too many of them.
    samples_ms = HEAVY_MS[places]
    assert abs(samples_ms.mean() / HEAVY_MS.mean() - 1) > 0.1
    service = learned(samples_ms)
    assert service.means_ms[0] == pytest.approx(HEAVY_MS.mean())
    assert (service.quantiles_ms[0] == HEAVY_MS).all()


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_a_machine_of_another_speed_is_followed(factor: float) -> None:
    service = learned(factor * HEAVY_MS[::2])
    assert service.means_ms[0] == pytest.approx(factor * HEAVY_MS.mean(), rel=0.05)


def test_a_tail_that_no_profile_has_is_learned() -> None:
    steady_ms = np.linspace(9.5, 10.5, 200)
    service = RecentService(steady_ms[None])
    for number in range(100):
        service.add(0, 100.0 if number % 20 == 7 else 10.0)
    assert service.quantiles_ms[0][-5] == 100.0


@pytest.mark.filterwarnings("error")
def test_services_that_a_coarse_clock_calls_nothing_are_no_fault() -> None:
    service = RecentService(np.ones((1, 5)))
    for _ in range(20):
        service.add(0, 0.0)
    assert 0 <= service.means_ms[0] < 1
