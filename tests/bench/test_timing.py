"""The loops count, stop and keep as they should. A made-up clock: nothing here takes time."""

from __future__ import annotations

import pytest

from edgewise.bench import timing


class Machine:
    """A clock that moves only when the model runs."""

    def __init__(self, durations: list[int]) -> None:
        self.durations = durations
        self.now = 0
        self.calls = 0

    def clock(self) -> int:
        return self.now

    def invoke(self) -> None:
        self.now += self.durations[min(self.calls, len(self.durations) - 1)]
        self.calls += 1


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine([1_000_000])
    monkeypatch.setattr(timing, "perf_counter_ns", made.clock)
    return made


def run(machine: Machine, runs: int, min_ms: int, max_ms: int, typical: float = 1e6) -> list[int]:
    times, every = timing.timed_runs(
        machine.invoke, runs=runs, min_ns=min_ms * 10**6, max_ns=max_ms * 10**6, typical_ns=typical
    )
    assert every == 1
    return times.tolist()


def test_runs_and_time_must_both_be_reached(machine: Machine) -> None:
    assert len(run(machine, runs=10, min_ms=50, max_ms=1000)) == 50
    assert len(run(machine, runs=80, min_ms=50, max_ms=1000)) == 80


def test_the_cap_wins(machine: Machine) -> None:
    assert run(machine, runs=100, min_ms=50, max_ms=7) == [1_000_000] * 7
    assert len(run(machine, runs=100, min_ms=50, max_ms=0)) == 1


def test_more_runs_than_are_usually_kept(machine: Machine) -> None:
    assert len(run(machine, runs=timing.CAPACITY + 5, min_ms=0, max_ms=10**9)) == 10_005


def test_short_calls_are_sampled(machine: Machine) -> None:
    machine.durations = [1_000]
    times, every = timing.timed_runs(
        machine.invoke, runs=100, min_ns=10**9, max_ns=10**12, typical_ns=1_000
    )
    assert every == 100
    assert len(times) == timing.CAPACITY
    assert set(times) == {1_000}
    assert machine.calls == len(times) * every


def test_warm_up_ends_when_times_no_longer_fall(machine: Machine) -> None:
    machine.durations = [int(50e6 * 0.8**i) for i in range(30)] + [60_000] * 5000
    times, steady = timing.warm_up(machine.invoke, runs=None, max_ns=10**10)
    assert steady
    assert times[-1] == 60_000
    assert len(times) < 1000


def test_warm_up_of_a_steady_model_is_short(machine: Machine) -> None:
    times, steady = timing.warm_up(machine.invoke, runs=None, max_ns=10**10)
    assert steady
    assert len(times) < 60


def test_warm_up_without_end_is_cut_and_said(machine: Machine) -> None:
    machine.durations = [int(1e9 * 0.9**i) for i in range(400)]
    times, steady = timing.warm_up(machine.invoke, runs=None, max_ns=3 * 10**9)
    assert not steady
    assert len(times) < 10


def test_warm_up_runs_may_be_fixed(machine: Machine) -> None:
    assert timing.warm_up(machine.invoke, runs=3, max_ns=1) == ([1_000_000] * 3, True)
    assert timing.warm_up(machine.invoke, runs=0, max_ns=1) == ([], True)
