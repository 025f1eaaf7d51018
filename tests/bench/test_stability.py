"""Stable, noisy or drifting; and no trends seen in noise that remembers."""

from __future__ import annotations

import numpy as np
import pytest

from edgewise.bench.stability import judge


def processes(
    count: int,
    *,
    runs: int = 200,
    within: float = 0.02,
    between: float = 0.005,
    lag1: float = 0.0,
    trend: float = 0.0,
    seed: int = 0,
) -> list[list[float]]:
    """Runs around 1 ms; standard deviations relative, `trend` the change over a process."""
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        state, logs = rng.normal(0, within), []
        for _ in range(runs):
            state = lag1 * state + rng.normal(0, within * (1 - lag1**2) ** 0.5)
            logs.append(state)
        ramp = np.linspace(0, np.log1p(trend), runs)
        found.append(list(np.exp(np.array(logs) + rng.normal(0, between) + ramp)))
    return found


def test_stable() -> None:
    assert judge(processes(5))[0] == "stable"


def test_noisy_between_processes() -> None:
    verdict, why = judge(processes(5, between=0.2))
    assert verdict == "noisy"
    assert "processes differ" in why


def test_noisy_within() -> None:
    assert judge(processes(5, within=0.3))[0] == "noisy"


@pytest.mark.parametrize(("count", "trend"), [(5, 0.08), (5, -0.08), (2, 0.3), (1, 0.3)])
def test_drift_within_processes(count: int, trend: float) -> None:
    verdict, why = judge(processes(count, trend=trend))
    assert verdict == "drifting"
    assert ("+" if trend > 0 else "-") in why


def test_drift_over_processes() -> None:
    steps = [[1.0 + 0.03 * number] * 50 for number in range(5)]
    assert judge(steps)[0] == "drifting"


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("lag1", [0.75, 0.96])
def test_noise_that_remembers_is_no_trend(count: int, lag1: float) -> None:
    drifting = sum(
        judge(processes(count, runs=300, within=0.05, lag1=lag1, seed=seed))[0] == "drifting"
        for seed in range(1000, 1100)
    )
    assert drifting <= 5


def test_few_runs_give_a_verdict_too() -> None:
    assert judge([[1.0], [1.01]])[0] == "stable"
    assert judge([[1.0]])[0] == "stable"


def test_what_waits_for_a_cpu_is_not_stable() -> None:
    verdict, why = judge(processes(5), wait_share=0.76)
    assert verdict == "noisy" and "waited 76%" in why
    assert judge(processes(5), wait_share=0.03)[0] == "stable"
