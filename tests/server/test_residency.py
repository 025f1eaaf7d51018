"""What stays in memory: never more than the budget, and what is useful before what is not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import UsageError
from edgewise.server.pool.residency import Evict, Load, Residency

MB = 1_000_000
NOBODY: frozenset[tuple[int, str]] = frozenset()


def residency(budget: int | None, sizes: dict[str, int], **settings: object) -> Residency:
    found = Residency(budget, **settings)  # type: ignore[arg-type]
    for key, size in sizes.items():
        found.expect(key, size, cold_ms=100)
    return found


def have(of: Residency, worker: int, *keys: str, cold_ms: float = 100) -> None:
    for key in keys:
        assert of.admit(worker, key, 0, NOBODY) == (True, [])
        of.loaded(worker, key, of.size_bytes(key), cold_ms)


class Machine:
    """Carries out what is decided, a step later, as workers do."""

    def __init__(self, of: Residency, budget: int) -> None:
        self.of = of
        self.budget = budget
        self.begun: list[Load | Evict] = []

    def check(self) -> None:
        assert self.of.used_bytes <= self.budget

    def finish_one(self) -> None:
        match self.begun.pop(0):
            case Load(worker, key):
                self.of.loaded(worker, key, self.of.size_bytes(key), 50)
            case Evict(worker, key):
                self.of.evicted(worker, key)
        self.check()

    def use(self, worker: int, key: str, now_s: float) -> None:
        """As a job does: load what is not there, after making room."""
        self.of.demand(key, now_s)
        while not self.of.is_resident(worker, key):
            ready, evictions = self.of.admit(worker, key, now_s, NOBODY)
            self.check()
            self.begun += evictions
            if ready:
                self.of.loaded(worker, key, self.of.size_bytes(key), 50)
            elif self.begun:
                self.finish_one()
        self.check()


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=8)
STEPS = st.lists(
    st.tuples(st.sampled_from(["use", "decide", "finish", "lose"]), st.integers(0, 7),
              st.integers(0, 2), st.floats(0, 100)),
    max_size=60,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(sizes=SIZES, steps=STEPS, spare=st.integers(0, 60))
def test_the_budget_is_never_exceeded(
    sizes: list[int], steps: list[tuple[str, int, int, float]], spare: int
) -> None:
    names = {f"v{i}": size for i, size in enumerate(sizes)}
    budget = max(sizes) + spare
    machine = Machine(residency(budget, names), budget)
    now_s = 0.0
    for what, index, worker, passed in steps:
        now_s += passed
        key = f"v{index % len(sizes)}"
        if what == "use":
            machine.use(worker, key, now_s)
        elif what == "decide":
            machine.begun += machine.of.decide(now_s, {0, 1, 2}, NOBODY)
        elif what == "lose":
            machine.of.lost(worker)
            machine.begun = [each for each in machine.begun if each.worker != worker]
        elif machine.begun:
            machine.finish_one()
        machine.check()


@settings(max_examples=50, deadline=None)
@given(seed=st.randoms(use_true_random=False))
def test_what_is_used_often_stays(seed: object) -> None:
    """Five of a size, room for two, one is asked for half of the time: it stays."""
    names = {f"v{i}": 10 for i in range(5)}
    machine = Machine(residency(20, names), 20)
    cold = 0
    for step in range(200):
        often = seed.random() < 0.5  # type: ignore[attr-defined]
        key = "v0" if often else f"v{seed.randint(1, 4)}"  # type: ignore[attr-defined]
        cold += step > 20 and often and not machine.of.is_resident(0, "v0")
        machine.use(0, key, float(step))
    assert cold == 0


def test_the_least_useful_goes_first_not_the_least_recent() -> None:
    of = residency(30, {"often": 10, "rare": 10, "other": 10, "new": 10})
    have(of, 0, "often", "rare", "other")
    for now_s in range(10):
        of.demand("often", now_s)
    of.demand("other", 11)
    of.demand("other", 12)
    of.demand("rare", 13)  # the most recent, and the least wanted
    assert of.admit(0, "new", 14, NOBODY) == (False, [Evict(0, "rare")])


def test_what_takes_long_to_load_stays_longer() -> None:
    of = residency(20, {"slow": 10, "quick": 10, "new": 10})
    have(of, 0, "slow", cold_ms=1000)
    have(of, 0, "quick", cold_ms=10)
    of.demand("slow", 0)
    for _ in range(20):
        of.demand("quick", 0)
    assert of.admit(0, "new", 1, NOBODY) == (False, [Evict(0, "quick")])


def test_what_is_large_goes_before_what_is_small() -> None:
    of = residency(40, {"large": 30, "small": 10, "new": 10})
    have(of, 0, "large", "small")
    of.demand("large", 0)
    of.demand("small", 0)
    assert of.admit(0, "new", 1, NOBODY) == (False, [Evict(0, "large")])


def test_a_second_copy_goes_before_the_only_one() -> None:
    of = residency(30, {"twice": 10, "once": 10, "new": 10})
    have(of, 0, "twice", "once")
    have(of, 1, "twice")
    for _ in range(3):
        of.demand("twice", 0)
    of.demand("once", 0)
    of.demand("once", 0)
    _, (evict,) = of.admit(1, "new", 1, NOBODY)
    assert evict.key == "twice"


def test_old_demand_is_forgotten() -> None:
    of = residency(20, {"once-loved": 10, "now": 10, "new": 10}, half_life_s=10)
    have(of, 0, "once-loved", "now")
    for _ in range(50):
        of.demand("once-loved", 0)
    for _ in range(3):
        of.demand("now", 100)
    assert of.admit(0, "new", 101, NOBODY) == (False, [Evict(0, "once-loved")])


def test_what_runs_and_what_is_pinned_stays() -> None:
    of = residency(30, {"running": 10, "pinned": 10, "idle": 10, "new": 10}, pinned=["pinned"])
    have(of, 0, "running", "pinned", "idle")
    for _ in range(9):
        of.demand("idle", 0)
    running = {(0, "running")}
    assert of.admit(1, "new", 1, running) == (False, [Evict(0, "idle")])
    assert of.admit(1, "new", 1, running) == (False, [])  # it has been asked for already
    of.evicted(0, "idle")
    assert of.admit(1, "new", 1, running) == (True, [])


def test_what_an_idle_worker_holds_goes_before_what_a_busy_one_does() -> None:
    of = residency(30, {"running": 10, "useless": 10, "useful": 10, "new": 10})
    have(of, 0, "running", "useless")
    have(of, 1, "useful")
    of.demand("useful", 0)
    assert of.admit(1, "new", 0, {(0, "running")}) == (False, [Evict(1, "useful")])


def test_further_copies_of_what_is_pinned_may_go() -> None:
    of = residency(30, {"pinned": 10, "new": 10, "other": 20}, pinned=["pinned"])
    for worker in range(3):
        have(of, worker, "pinned")
    _, gone = of.admit(0, "other", 0, NOBODY)
    assert [each.key for each in gone] == ["pinned", "pinned"]
    assert of.admit(1, "new", 0, NOBODY) == (False, [])


def test_pinned_variants_must_leave_room_for_each_other_one() -> None:
    of = residency(30, {"pinned": 20, "large": 20}, pinned=["pinned"])
    have(of, 0, "pinned")
    of.check("pinned")
    of.expect("large", 20, 100)
    of.lost(0)
    have(of, 0, "large")
    with pytest.raises(UsageError, match=r"'large' takes .* pinned variants take"):
        of.check("large")


def test_nothing_to_evict_means_waiting() -> None:
    of = residency(10, {"a": 10, "b": 10})
    have(of, 0, "a")
    assert of.admit(1, "b", 0, {(0, "a")}) == (False, [])
    assert of.admit(1, "b", 0, NOBODY) == (False, [Evict(0, "a")])


def test_free_room_is_filled_with_what_is_asked_for_most() -> None:
    of = residency(20, {"a": 10, "b": 10, "c": 10})
    for _ in range(3):
        of.demand("c", 0)
    of.demand("b", 0)
    assert of.decide(1, [0], NOBODY) == [Load(0, "c")]
    assert of.decide(1, [0], NOBODY) == [Load(0, "b")]
    assert of.decide(1, [0], NOBODY) == []


def test_a_choice_not_taken_because_it_was_cold_counts() -> None:
    """Demand for what is not resident makes it so, once it is worth clearly more."""
    of = residency(10, {"old": 10, "wished": 10})
    have(of, 0, "old")
    of.demand("old", 0)
    of.demand("wished", 0)
    assert of.decide(0, [0], NOBODY) == []
    of.demand("wished", 0, amount=5)
    assert of.decide(0, [0], NOBODY) == [Evict(0, "old")]
    of.evicted(0, "old")
    assert of.decide(0, [0], NOBODY) == [Load(0, "wished")]


def test_only_idle_workers_are_touched_ahead_of_time() -> None:
    of = residency(10, {"old": 10, "wished": 10})
    have(of, 1, "old")
    of.demand("wished", 0, amount=50)
    assert of.decide(0, [0], NOBODY) == []
    assert of.decide(0, [], NOBODY) == []


def test_barred_variants_are_not_loaded_ahead() -> None:
    of = residency(None, {"a": 10, "b": 10})
    assert of.decide(0, [0], NOBODY, barred={"a"}) == [Load(0, "b")]
    assert of.decide(0, [0], NOBODY, barred={"a"}) == []


def test_growth_beyond_the_guess_is_taken_back() -> None:
    of = residency(30, {"a": 10, "b": 10})
    have(of, 0, "a")
    of.demand("a", 0)
    assert of.admit(0, "b", 0, NOBODY) == (True, [])
    of.loaded(0, "b", 25, 100)
    assert of.shed(0, frozenset({(0, "a"), (0, "b")})) == []
    assert of.shed(0, NOBODY) == [Evict(0, "b")]
    assert of.shed(0, NOBODY) == []


def test_larger_than_everything_is_an_error_with_its_name() -> None:
    of = residency(10 * MB, {"huge": 50 * MB})
    of.check("huge")  # only a guess so far
    assert of.admit(0, "huge", 0, NOBODY) == (True, [])
    of.loaded(0, "huge", 50 * MB, 100)
    with pytest.raises(
        UsageError, match=r"'huge' takes 50\.0 MB of memory, the budget is 10\.0 MB"
    ):
        of.check("huge")


def test_a_lost_worker_held_this() -> None:
    of = residency(30, {"a": 10, "b": 10, "c": 10})
    have(of, 0, "a", "b")
    assert of.reserve(0, "c")
    of.leave(0, "b")
    assert of.lost(0) == ["a", "c"]
    assert of.used_bytes == 0


def test_what_is_forgotten_is_evicted_and_may_come_again() -> None:
    of = residency(20, {"a": 10})
    have(of, 0, "a")
    assert of.forget("a") == [Evict(0, "a")]
    assert of.resident(0) == frozenset()
    of.expect("a", 15, 100)
    assert of.admit(0, "a", 0, NOBODY) == (False, [])
    of.evicted(0, "a")
    assert of.admit(0, "a", 0, NOBODY) == (True, [])
    assert of.used_bytes == 15


def test_forgotten_for_good_leaves_nothing() -> None:
    of = residency(20, {"a": 10, "b": 10})
    have(of, 0, "a")
    assert of.forget("b") == []
    of.forget("a")
    of.evicted(0, "a")
    assert of.used_bytes == 0
    assert of.decide(0, [0], NOBODY) == []
