"""The scheduler: what it promises, in what order it serves, what it learns, whatever happens."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgewise.errors import InputError, UsageError
from edgewise.records import Profile
from edgewise.selection.engine import lanes
from edgewise.selection.engine.margin import SafetyMargin
from edgewise.selection.engine.queueing import parse
from edgewise.selection.engine.replay import Requests, replay
from edgewise.selection.engine.scheduling import (
    Assignment,
    Batching,
    FamilyPlan,
    Plan,
    Rejection,
    Scheduler,
    Ticket,
)
from edgewise.selection.profiles.table import ProfileTable, table


def three(name: str = "f", cold_ms: float | None = None, std: float = 0.0) -> ProfileTable:
    """Services of 5, 20 and 60 ms, all exact unless `std` says otherwise."""
    rows = (("small", 50, 5.0), ("middle", 70, 20.0), ("large", 80, 60.0))
    return table(
        name,
        [
            Profile(model=m, accuracy=a, mean_ms=ms, std_ms=std * ms, cold_ms=cold_ms)
            for m, a, ms in rows
        ],
    )


def scheduler(
    policy: str = "deadline",
    workers: int = 1,
    pools: Mapping[str, int] | None = None,
    pool_of: Mapping[str, str] | None = None,
    profiles: ProfileTable | None = None,
    **options: object,
) -> Scheduler:
    profiles = profiles or three()
    plan = FamilyPlan(
        "f", profiles, parse(policy), pool_of or dict.fromkeys(profiles.models, "local")
    )
    return Scheduler({"f": plan}, pools or {"local": workers}, **options)  # type: ignore[arg-type]


@pytest.fixture
def free_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until there are prices a ms costs nothing."""
    monkeypatch.setattr(lanes, "dear", lambda means_ms, gain: 0.0)


#: The way back takes longer than expected in half of all cases.
LATE_BACK = {"errors_ms": np.array([-8.0, -6.0, -4.0, -2.0, 10.0, 20.0, 30.0, 45.0])}


def ticket(number: int, due_ms: float = math.inf, at_ms: float = 0.0, **more: object) -> Ticket:
    return Ticket(number, "f", at_ms, due_ms, due_ms - at_ms, **more)  # type: ignore[arg-type]


def started(actions: list[Assignment | Rejection]) -> list[Assignment]:
    return [action for action in actions if isinstance(action, Assignment)]


def finish(s: Scheduler, work: Assignment, now_ms: float, service_ms: float) -> None:
    s.done(work, now_ms, inference_ms=service_ms, service_ms=service_ms, cold_ms=0.0)


def occupied(s: Scheduler, service: str = "small") -> Assignment:
    """A job on a worker, of a ticket that only stands in the way."""
    assert isinstance(s.arrive(ticket(999, pinned=service), 0.0), Plan)
    return started(s.next(0.0))[0]


# -- order and admission ---------------------------------------------------------------------------


def test_the_earliest_deadline_goes_first_and_equals_in_order_of_arrival() -> None:
    s = scheduler("static:small")
    running = occupied(s)
    for number, due in ((1, math.inf), (2, 400.0), (3, 200.0), (4, 400.0), (5, 300.0), (6, 200.0)):
        assert isinstance(s.arrive(ticket(number, due), 0.0), Plan)
    order = []
    now = 0.0
    while s.queue_length:
        now += 5
        finish(s, running, now, 5.0)
        running = started(s.next(now))[0]
        order.append(running.tickets[0].id)
    assert order == [3, 6, 5, 2, 4, 1]


def test_what_cannot_be_in_time_is_refused_at_once() -> None:
    s = scheduler()
    occupied(s, "large")  # 60 ms
    refused = s.arrive(ticket(1, 62.0), 0.0)
    assert isinstance(refused, Rejection)
    assert refused.reason == "late"
    assert refused.retry_after_ms == pytest.approx(3.0)
    assert isinstance(s.arrive(ticket(2, 65.0), 0.0), Plan)
    assert s.queue_length == 1


@pytest.mark.parametrize(("policy", "reason"), [("deadline", "late"), ("static:small", "expired")])
def test_what_nothing_was_promised_to_leaves_the_promises_of_others_alone(
    policy: str, reason: str
) -> None:
    s = scheduler(policy)
    for number in range(10):  # on an idle service, but with less time than any variant takes
        verdict = s.arrive(ticket(number, due_ms=2.0), 0.0)
        sheds = [verdict] if isinstance(verdict, Rejection) else s.next(0.0)
        assert [getattr(shed, "reason", None) for shed in sheds] == [reason]
    occupied(s)  # 5 ms
    assert isinstance(s.arrive(ticket(10, due_ms=10.5), 0.0), Plan)


def test_nobody_is_admitted_who_would_make_another_late() -> None:
    s = scheduler()
    occupied(s)  # 5 ms
    assert isinstance(s.arrive(ticket(1, 20.0), 0.0), Plan)
    assert isinstance(s.arrive(ticket(2, 16.0), 0.0), Plan)  # 10 and 15: both in time
    refused = s.arrive(ticket(3, 17.0), 0.0)  # itself at 15, but number 1 at 20 … exactly in time
    assert isinstance(refused, Plan)
    refused = s.arrive(ticket(4, 19.0), 0.0)  # in time by itself no more than those before
    assert isinstance(refused, Rejection)
    assert refused.reason == "late"


def test_all_admitted_are_in_time_when_services_are_as_profiled() -> None:
    s = scheduler()
    now, running = 0.0, None
    dues: dict[int, float] = {}
    for number in range(300):
        now += 3.0  # more than even the fastest can do
        while running and running[1] <= now:
            finish(s, running[0], running[1], running[1] - running[2])
            running = _next(s, running[1], dues)
        due = now + 20 + (number * 37) % 90
        if isinstance(s.arrive(ticket(number, due, now), now), Plan):
            dues[number] = due
        if running is None:
            running = _next(s, now, dues)
    assert len(dues) > 100


def _next(
    s: Scheduler, now: float, dues: dict[int, float]
) -> tuple[Assignment, float, float] | None:
    actions = s.next(now)
    assert not any(isinstance(action, Rejection) for action in actions)
    for work in started(actions):
        end = now + {"small": 5.0, "middle": 20.0, "large": 60.0}[work.variant]
        assert end <= dues[work.tickets[0].id] + 1e-6
        return work, end, now
    return None


def kept_promises(slow: float, requests: int = 5000) -> tuple[list[bool], float]:
    """At one and a half times the capacity, of all that were answered, in order, whether each was
    in time, and what the last plan kept free; for 12 of 150 jobs the machine is `slow` times
    slower."""
    s, rng, jobs = scheduler("static:small", profiles=three(std=0.05)), Random(3), count()
    arrival_ms = np.cumsum([rng.expovariate(1.5 / 5) for _ in range(requests)])
    requested = Requests(arrival_ms, arrival_ms + 150, np.full(requests, 150.0))

    def service_ms(number: int, variant: str, busy: int) -> float:
        return 5 * rng.gauss(1, 0.05) * (slow if next(jobs) % 150 < 12 else 1)

    out = replay(s, "f", requested, service_ms)
    in_time = out.sojourn_ms[out.model >= 0] <= 150
    return in_time.tolist(), s._stations["local"].arrays.slip


def test_a_machine_that_is_slow_now_and_then_makes_the_queue_shorter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    in_time, kept = kept_promises(slow=1.5)
    assert in_time[-1000:].count(False) <= 5  # 99.5 %
    assert 0.05 < kept <= 0.25
    monkeypatch.setattr(SafetyMargin, "add", lambda *what: False)
    without, _ = kept_promises(slow=1.5)
    assert without[-1000:].count(False) >= 15
    assert sum(in_time) >= sum(without) - 20  # and no work is lost


def test_services_that_deviate_each_on_its_own_keep_nothing_free() -> None:
    in_time, kept = kept_promises(slow=1.0)
    assert in_time.count(False) <= len(in_time) * 0.005
    assert kept < 0.01


def test_a_wide_spread_is_held_to_its_quantile() -> None:
    wide = scheduler(profiles=three(std=0.3))
    occupied(wide)
    # The mean of two jobs is 10 ms, and each may well take 4 more.
    assert isinstance(wide.arrive(ticket(1, 11.0), 0.0), Rejection)
    assert isinstance(wide.arrive(ticket(2, 20.0), 0.0), Plan)


def test_how_long_the_way_back_may_take_counts_in_the_choice() -> None:
    surely, perhaps = (scheduler().arrive(ticket(1, 62.0, **more), 0.0) for more in ({}, LATE_BACK))
    assert isinstance(surely, Plan)
    assert isinstance(perhaps, Plan)
    assert (surely.variant, surely.probability_in_time) == ("large", 1.0)
    assert (perhaps.variant, perhaps.probability_in_time) == ("middle", 7 / 8)
    # What was promised is the service, whatever the way back does.
    s = scheduler()
    occupied(s, "large")
    assert isinstance(s.arrive(ticket(1, 62.0, **LATE_BACK), 0.0), Rejection)


def test_time_is_dear_before_there_are_prices_unless_one_comes_alone() -> None:
    s = scheduler()
    assert isinstance(s.arrive(ticket(1, 500.0), 0.0), Plan)
    assert started(s.next(0.0))[0].variant == "large"
    second = s.arrive(ticket(2, 500.0), 1.0)
    assert isinstance(second, Plan)
    assert second.variant == "small"
    loaded = scheduler(loaded=True)
    loaded.arrive(ticket(1, 500.0), 0.0)
    assert started(loaded.next(0.0))[0].variant == "small"


def test_an_idle_service_tries_what_it_cannot_promise() -> None:
    s = scheduler(profiles=three(std=0.3))
    plan = s.arrive(ticket(1, 5.0), 0.0)
    assert isinstance(plan, Plan)
    assert 0.3 < plan.probability_in_time < 0.7
    assert isinstance(s.arrive(ticket(2, 1.0), 0.0), Rejection)


@pytest.mark.usefixtures("free_time")
def test_the_variant_is_chosen_when_the_worker_is_free() -> None:
    s = scheduler()
    running = occupied(s, "large")
    plan = s.arrive(ticket(1, 90.0), 0.0)
    assert isinstance(plan, Plan)
    assert plan.variant == "middle"
    assert plan.predicted_queue_ms == pytest.approx(60.0)
    finish(s, running, 20.0, 20.0)  # ended early
    work = started(s.next(20.0))[0]
    assert work.variant == "large"
    assert work.probabilities == {"small": 0.0, "middle": 0.0, "large": 1.0}
    assert work.predicted_queue_ms == pytest.approx(20.0)


@pytest.mark.usefixtures("free_time")
def test_those_that_wait_get_less_so_that_all_are_in_time() -> None:
    s = scheduler()
    running = occupied(s)
    for number in (1, 2, 3):
        assert isinstance(s.arrive(ticket(number, 66.0), 0.0), Plan)
    now, chosen = 5.0, []
    finish(s, running, now, 5.0)
    while s.queue_length:
        work = started(s.next(now))[0]
        chosen.append(work.variant)
        now += {"small": 5.0, "middle": 20.0, "large": 60.0}[work.variant]
        finish(s, work, now, now)
    assert chosen == ["middle"] * 3  # 65 ms


def test_without_a_deadline_the_most_accurate_answers_behind_all_others() -> None:
    s = scheduler()
    running = occupied(s)
    assert isinstance(s.arrive(ticket(1), 0.0), Plan)
    assert isinstance(s.arrive(ticket(2, 40.0), 0.0), Plan)
    finish(s, running, 5.0, 5.0)
    first = started(s.next(5.0))[0]
    assert first.tickets[0].id == 2
    finish(s, first, 25.0, 20.0)
    second = started(s.next(25.0))[0]
    assert (second.tickets[0].id, second.variant) == (1, "large")


@pytest.mark.usefixtures("free_time")
def test_pinned_and_eligible_bind_the_choice() -> None:
    s = scheduler(workers=2)
    s.arrive(ticket(1, 500.0, pinned="small"), 0.0)
    s.arrive(ticket(2, 500.0, eligible=frozenset({"small", "middle"})), 0.0)
    found = {work.tickets[0].id: work for work in started(s.next(0.0))}
    assert found[1].variant == "small"
    assert found[1].why == "pinned"
    assert found[2].variant == "middle"
    with pytest.raises(UsageError, match="no model 'huge'"):
        s.arrive(ticket(3, 500.0, pinned="huge"), 0.0)
    with pytest.raises(UsageError, match="no family"):
        s.arrive(Ticket(4, "other", 0.0), 0.0)


def test_the_queue_has_a_limit() -> None:
    s = scheduler(queue_limit=2)
    occupied(s)
    assert all(isinstance(s.arrive(ticket(n), 0.0), Plan) for n in (1, 2))
    refused = s.arrive(ticket(3), 0.0)
    assert isinstance(refused, Rejection)
    assert refused.reason == "full"


def test_work_that_costs_others_more_than_it_brings_is_refused() -> None:
    """Three times too many requests, some of which leave time only for a model that makes less of
    it than the others can."""
    rows = [("poor", 20, 5.0), ("good", 80, 10.0)]
    of = table("f", [Profile(model=m, accuracy=a, mean_ms=t, std_ms=0.0) for m, a, t in rows])
    s = scheduler(profiles=of)
    random = Random(3)
    reasons: Counter[str] = Counter()
    chosen: Counter[str] = Counter()
    running: tuple[Assignment, float] | None = None
    now = 0.0
    for number in range(4000):
        now += random.expovariate(1 / 4.0)
        while running and running[1] <= now:
            work, end = running
            finish(s, work, end, {m: t for m, _, t in rows}[work.variant])
            running = _run(s, end)
        verdict = s.arrive(ticket(number, now + random.uniform(5, 60), now), now)
        running = running or _run(s, now)
        if number > 1000:
            reasons[verdict.reason if isinstance(verdict, Rejection) else "admitted"] += 1
            chosen[running[0].variant if running else "nothing"] += 1
        if s.refit_due:
            s.refit()
    assert reasons["price"] > 100
    assert chosen["good"] > 3 * chosen["poor"]


@pytest.mark.parametrize("rows", [[("only", 80, 5.0)], [("fast", 70, 5.0), ("slow", 80, 40.0)]])
def test_who_makes_most_of_the_least_time_is_not_refused_for_others(
    rows: list[tuple[str, float, float]],
) -> None:
    """Whatever prices say: here they were found before the machine became twice as slow."""
    of = table("f", [Profile(model=m, accuracy=a, mean_ms=t, std_ms=0.0) for m, a, t in rows])
    s = scheduler(profiles=of)
    random = Random(3)
    reasons: Counter[str] = Counter()
    running: tuple[Assignment, float] | None = None
    now = 0.0
    for number in range(1600):
        now += random.expovariate(1.2 / 5.0)
        slower = 1.0 if number < 800 else 2.0
        while running and running[1] <= now:
            work, end = running
            finish(s, work, end, slower * {m: t for m, _, t in rows}[work.variant])
            running = _run(s, end)
        verdict = s.arrive(ticket(number, now + 1000.0, now), now)
        running = running or _run(s, now)
        reasons[verdict.reason if isinstance(verdict, Rejection) else "admitted"] += 1
        if s.refit_due:
            s.refit()
    assert reasons["late"] > 100
    assert reasons["price"] == 0


def test_prices_are_found_beside_the_service_and_hold_once_they_are_taken() -> None:
    """A search that lasts some requests changes nothing before it ends, and is not begun twice."""
    verdicts: list[list[Plan | Rejection]] = []
    for beside in (False, True):
        s = scheduler(profiles=three(std=4.0))
        random = Random(5)
        now = 0.0
        found = None
        told: list[Plan | Rejection] = []
        for number in range(9):
            now += random.expovariate(1 / 8.0)
            told.append(s.arrive(ticket(number, now + 150, now), now))
            if beside and number == 8:
                found = s.fitting()
        assert s.refit_due is not beside
        if not beside:
            s.refit()
        else:
            assert found is not None and s.fitting() is None
            find, take = found
            with ThreadPoolExecutor(1) as elsewhere:
                take(elsewhere.submit(find).result())
        told += [s.arrive(ticket(100 + n, now + 40 + 30 * n, now), now) for n in range(6)]
        verdicts.append(told)
    assert [str(each) for each in verdicts[0]] == [str(each) for each in verdicts[1]]


def _run(s: Scheduler, now: float) -> tuple[Assignment, float] | None:
    found = started(s.next(now))
    return (found[0], now + found[0].predicted_ms) if found else None


# -- workers, cancelling, pools --------------------------------------------------------------------


def test_cancelled_tickets_are_gone_and_running_ones_go_on() -> None:
    s = scheduler()
    running = occupied(s)
    s.arrive(ticket(1, 100.0), 0.0)
    s.arrive(ticket(2, 100.0), 0.0)
    assert s.cancel(1, 1.0)
    assert not s.cancel(1, 1.0)
    assert not s.cancel(running.tickets[0].id, 1.0)
    finish(s, running, 5.0, 5.0)
    assert [work.tickets[0].id for work in started(s.next(5.0))] == [2]


def test_without_workers_requests_are_refused_and_the_queued_wait_until_their_deadline() -> None:
    s = scheduler()
    running = occupied(s)
    s.arrive(ticket(1, 100.0), 0.0)
    s.arrive(ticket(2, 300.0), 0.0)
    s.worker_lost("local", 0, 1.0)
    refused = s.arrive(ticket(3, 500.0), 1.0)
    assert isinstance(refused, Rejection)
    assert refused.reason == "down"
    assert s.next(50.0) == []
    s.failed(running, 51.0)  # its worker is gone already
    [expired] = s.next(101.0)
    assert isinstance(expired, Rejection)
    assert (expired.ticket.id, expired.reason) == (1, "expired")
    s.worker_back("local", 0, 150.0)
    assert [work.tickets[0].id for work in started(s.next(150.0))] == [2]


def test_a_failed_job_frees_its_worker_and_teaches_nothing() -> None:
    s = scheduler()
    before = s.profiles("f")
    running = occupied(s)
    s.failed(running, 3.0)
    assert s.profiles("f").profiles == before.profiles
    s.arrive(ticket(1, 100.0), 3.0)
    assert len(started(s.next(3.0))) == 1


def test_the_pool_that_brings_most_gets_the_request() -> None:
    pool_of = {"small": "local", "middle": "local", "large": "far"}
    s = scheduler(pools={"local": 1, "far": 1}, pool_of=pool_of)
    for number in (1, 2, 3):
        assert isinstance(s.arrive(ticket(number, 100.0), 0.0), Plan)
        s.next(0.0)
    assert s.queue_length == 1
    # The first went far (60 ms), the second here; the third waits here: far it would be late.
    plan = s.arrive(ticket(4, 100.0), 0.0)
    assert isinstance(plan, Plan)
    assert plan.variant in ("small", "middle")
    assert s.backlog_ms(0.0) > 0


def test_a_lost_endpoint_leaves_the_rest() -> None:
    pool_of = {"small": "local", "middle": "local", "large": "far"}
    s = scheduler(pools={"local": 1, "far": 1}, pool_of=pool_of)
    s.worker_lost("far", 0, 0.0)
    plan = s.arrive(ticket(1, 100.0), 0.0)
    assert isinstance(plan, Plan)
    assert plan.variant == "middle"
    down = s.arrive(ticket(2, 100.0, pinned="large"), 0.0)
    assert isinstance(down, Rejection)
    assert down.reason == "down"


@pytest.mark.usefixtures("free_time")
def test_a_load_counts_in_the_choice_and_finds_the_worker_that_has_it() -> None:
    s = scheduler(workers=2, profiles=three(cold_ms=90.0))
    s.resident("local", 0, {"f/small": True, "f/middle": True, "f/large": False})
    s.resident("local", 1, {"small"})
    s.arrive(ticket(1, 80.0), 0.0)
    [work] = started(s.next(0.0))
    assert (work.variant, work.worker) == ("middle", 0)
    s.arrive(ticket(2, 200.0), 0.0)
    [cold] = started(s.next(0.0))
    assert (cold.variant, cold.worker) == ("large", 1)
    assert cold.predicted_ms == pytest.approx(90.0)
    s.done(cold, 95.0, inference_ms=50.0, service_ms=60.0, cold_ms=50.0)
    learned = s.profiles("f")
    assert learned.profiles[learned.index("large")].mean_ms == 60.0  # a load is no service time


@pytest.mark.usefixtures("free_time")
def test_families_share_workers() -> None:
    plans = {
        name: FamilyPlan(
            name, three(name), parse("deadline"), dict.fromkeys(three().models, "local")
        )
        for name in ("a", "b")
    }
    s = Scheduler(plans, {"local": 1})
    assert isinstance(s.arrive(Ticket(1, "a", 0.0, 100.0), 0.0), Plan)
    [work] = started(s.next(0.0))
    assert work.variant == "large"
    late = s.arrive(Ticket(2, "b", 0.0, 62.0), 0.0)
    assert isinstance(late, Rejection)
    plan = s.arrive(Ticket(3, "b", 0.0, 90.0), 0.0)
    assert isinstance(plan, Plan)
    assert plan.variant == "middle"
    for number in range(100):
        s.arrive(Ticket(100 + number, "ab"[number % 2], 70.0 + number, 300.0), 70.0 + number)
        s.next(70.0 + number)
        while s.refit_due:
            s.refit()
    finish(s, work, 200.0, 60.0)
    assert started(s.next(200.0))[0].tickets[0].id == 3 or s.queue_length >= 0


# -- learning --------------------------------------------------------------------------------------


def serve_alone(s: Scheduler, variant: str, times: list[float], start: int = 0) -> None:
    now = 1000.0 * start
    for number, service_ms in enumerate(times):
        now += 1000.0
        s.arrive(ticket(start + number, pinned=variant, at_ms=now), now)
        for work in started(s.next(now)):
            finish(s, work, now + service_ms, service_ms)


def test_profiles_follow_the_answers() -> None:
    s = scheduler()
    serve_alone(s, "large", [200.0] * 120)
    learned = s.profiles("f")
    assert learned.profiles[learned.index("large")].mean_ms == pytest.approx(200.0)
    plan = s.arrive(ticket(500, 150.0 + 1e6, at_ms=1e6), 1e6)
    assert isinstance(plan, Plan)
    assert plan.variant == "middle"


def test_the_slow_down_by_busy_workers_is_learned_apart() -> None:
    s = scheduler(workers=2)
    now = 0.0
    for number in range(0, 800, 2):
        now += 100.0
        for each in (number, number + 1):
            s.arrive(ticket(each, pinned="middle", at_ms=now), now)
        first, second = started(s.next(now))
        finish(s, first, now + 20, 20.0)
        finish(s, second, now + 30, 30.0)  # both workers were busy when it began
    learned = s.profiles("f")
    assert learned.profiles[learned.index("middle")].mean_ms == pytest.approx(20.0, rel=0.05)
    assert s.slowdown("f", "local", 2) == pytest.approx(1.5, rel=0.05)
    assert s.slowdown("f", "local", 1) == 1.0
    # With the other worker busy `middle` takes 30 ms: 25 is too little for it.
    s.arrive(ticket(1001, pinned="large", at_ms=now + 500), now + 500)
    s.next(now + 500)
    s.arrive(ticket(1002, now + 525.0, at_ms=now + 500), now + 500)
    assert started(s.next(now + 500))[0].variant == "small"


def test_what_was_learned_survives_a_restart(tmp_path: Path) -> None:
    s = scheduler(workers=2)
    serve_alone(s, "large", [33.0] * 60)
    s._families["f"].learners.slowdown_in("local").observe(2, 1.8)
    s.save(tmp_path)
    again = scheduler(workers=2, learned=tmp_path)
    assert again.profiles("f").profiles == s.profiles("f").profiles
    assert again.slowdown("f", "local", 2) == s.slowdown("f", "local", 2) > 1
    assert not list(tmp_path.glob("*.part"))
    [kept] = tmp_path.glob("*.json")
    assert json.loads(kept.read_text())["name"] == "f"
    kept.write_text("{")
    with pytest.raises(InputError, match="cannot be read"):
        scheduler(learned=tmp_path)


def test_an_idle_service_probes_what_it_has_not_seen_for_long() -> None:
    s = scheduler()
    probes = []
    for number in range(1500):
        now = number * 1000.0
        s.arrive(ticket(number, now + 900.0, now), now)
        for work in started(s.next(now)):
            assert not work.probe
            finish(s, work, now + 60, 60.0)
            for extra in started(s.next(now + 60)):
                assert extra.probe
                assert extra.tickets == work.tickets
                probes.append(extra.variant)
                finish(s, extra, now + 100, 5.0)
        while s.refit_due:
            s.refit()
    assert set(probes) == {"small", "middle"}
    assert len(probes) <= 8


# -- policies --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy", ["random", "exploration", "cnnselect:threshold=20", "budget_weighted"]
)
def test_probabilities_of_lotteries_are_those_of_the_choices(policy: str) -> None:
    s = scheduler(policy, profiles=three(std=0.05))
    counts: dict[str, int] = {}
    n = 4000
    for number in range(n):
        now = number * 1000.0
        s.arrive(ticket(number, now + 90.0, now), now)
        [work] = started(s.next(now))
        assert sum(work.probabilities.values()) == pytest.approx(1.0)
        assert work.probability == work.probabilities[work.variant] > 0
        counts[work.variant] = counts.get(work.variant, 0) + 1
        s.failed(work, now)
    for variant, chance in work.probabilities.items():
        expected = n * chance
        assert abs(counts.get(variant, 0) - expected) <= 4 * math.sqrt(expected + 1)


def test_published_policies_choose_by_the_whole_budget_and_queue_knowing_ones_by_what_is_left() -> (
    None
):
    plain, knowing = scheduler("mdinference"), scheduler("mdinference+queue")
    for s in (plain, knowing):
        running = occupied(s, "middle")
        s.arrive(ticket(1, 70.0), 0.0)
        finish(s, running, 20.0, 20.0)
    assert plain.queue_length == 0  # the large one would have been late, and it knows no other
    [work] = started(knowing.next(20.0))
    assert work.variant == "middle"


@pytest.mark.parametrize("policy", ["oracle", "cascade", "deadline+cascade", "cnnselect+queue"])
def test_what_cannot_choose_for_a_queue_is_refused_at_the_start(policy: str) -> None:
    with pytest.raises(UsageError, match="queue"):
        scheduler(policy)


def test_half_given_settings_are_refused() -> None:
    with pytest.raises(UsageError, match="no worker"):
        scheduler(pools={"local": 0})
    with pytest.raises(UsageError, match="in no pool"):
        scheduler(pool_of={"small": "local"})
    with pytest.raises(UsageError, match="which there is none of"):
        scheduler(pool_of=dict.fromkeys(three().models, "moon"))
    with pytest.raises(UsageError, match="promise"):
        scheduler(promise=1.0)
    with pytest.raises(UsageError, match="batches"):
        Batching(0)


# -- batches ---------------------------------------------------------------------------------------


def test_batches_are_formed_where_all_deadlines_hold() -> None:
    s = scheduler("static:middle", batching=Batching(4))
    running = occupied(s, "middle")
    for number in range(1, 6):
        s.arrive(ticket(number, 300.0), 0.0)
    finish(s, running, 20.0, 20.0)
    [work] = started(s.next(20.0))
    assert [each.id for each in work.tickets] == [1, 2, 3, 4]
    s.done(work, 60.0, inference_ms=40.0, service_ms=40.0, cold_ms=0.0)
    assert s.profiles("f").profiles[1].mean_ms == 20.0  # a batch is no sample of one


def test_no_batch_breaks_a_deadline() -> None:
    s = scheduler("static:middle", batching=Batching(4))
    running = occupied(s, "middle")
    s.arrive(ticket(1, 45.0), 0.0)
    s.arrive(ticket(2, 100.0), 0.0)
    finish(s, running, 20.0, 20.0)
    [work] = started(s.next(20.0))
    assert [each.id for each in work.tickets] == [1]  # two take 40 ms, for all that is known


# -- whatever happens ------------------------------------------------------------------------------


@dataclass
class Watch:
    """Ends of tickets, and jobs on workers, as an observer sees them."""

    ends: dict[int, str] = field(default_factory=dict)
    jobs: dict[tuple[str, int], Assignment] = field(default_factory=dict)
    down: set[tuple[str, int]] = field(default_factory=set)
    log: list[object] = field(default_factory=list)

    def end(self, number: int, how: str) -> None:
        assert number not in self.ends
        self.ends[number] = how
        self.log.append((number, how))

    def act(self, action: Assignment | Rejection) -> None:
        if isinstance(action, Rejection):
            self.end(action.ticket.id, action.reason)
            return
        place = (action.pool, action.worker)
        assert place not in self.jobs
        assert place not in self.down
        self.jobs[place] = action
        if not action.probe:
            for each in action.tickets:
                self.end(each.id, f"{action.variant} on {place}")


events = st.lists(
    st.tuples(
        st.sampled_from(["arrive"] * 6 + ["done"] * 4 + ["fail", "cancel", "lose", "back", "next"]),
        st.integers(0, 7),
        st.sampled_from([0.0, 0.0, 1.0, 4.0, 15.0, 70.0]),
        st.sampled_from([3.0, 12.0, 40.0, 90.0, 300.0, math.inf]),
    ),
    max_size=80,
)


def play(
    sequence: list[tuple[str, int, float, float]], policy: str, batching: Batching | None
) -> Watch:
    pool_of = {"small": "local", "middle": "local", "large": "far"}
    s = scheduler(
        policy, pools={"local": 2, "far": 1}, pool_of=pool_of, batching=batching, queue_limit=12
    )
    places = [("local", 0), ("local", 1), ("far", 0)]
    watch, now, offered = Watch(), 0.0, 0
    queued: dict[int, Ticket] = {}
    for what, choice, gap, budget in sequence:
        now += gap
        if what == "arrive":
            offered += 1
            pinned = {0: "small", 1: "large"}.get(choice)
            eligible = frozenset({"small", "middle"}) if choice == 2 else None
            one = ticket(offered, now + budget, now, pinned=pinned, eligible=eligible)
            verdict = s.arrive(one, now)
            if isinstance(verdict, Rejection):
                watch.end(one.id, verdict.reason)
            else:
                queued[one.id] = one
        elif what in ("done", "fail") and watch.jobs:
            place = sorted(watch.jobs)[choice % len(watch.jobs)]
            work = watch.jobs.pop(place)
            if what == "fail":
                s.failed(work, now)
            else:
                finish(s, work, now, 1.0 + gap)
        elif what == "cancel" and queued:
            number = sorted(queued)[choice % len(queued)]
            assert s.cancel(number, now)
            queued.pop(number)
            watch.end(number, "cancelled")
        elif what == "lose":
            place = places[choice % 3]
            s.worker_lost(*place, now)
            lost = watch.jobs.pop(place, None)
            watch.down.add(place)
            if lost is not None:
                s.failed(lost, now)
        elif what == "back":
            place = places[choice % 3]
            s.worker_back(*place, now)
            watch.down.discard(place)
        if s.refit_due:
            s.refit()
        actions = s.next(now)
        for action in actions:
            watch.act(action)
            gone = (action.ticket,) if isinstance(action, Rejection) else action.tickets
            if isinstance(action, Assignment) and not action.probe and action.pool == "far":
                rest = [t for t in queued.values() if t.pinned == "large"]
                assert action.tickets[0].due_ms <= min((t.due_ms for t in rest), default=math.inf)
            for each in gone:
                queued.pop(each.id, None)
        assert s.queue_length == len(queued)
        assert s.next(now) == []
    assert len(watch.ends) + len(queued) == offered
    return watch


@given(
    events,
    st.sampled_from(["deadline", "mdinference", "mdinference+queue", "random"]),
    st.sampled_from([None, Batching(3)]),
)
@settings(max_examples=60, deadline=None)
def test_whatever_happens_each_ticket_ends_once_and_no_worker_has_two_jobs(
    sequence: list[tuple[str, int, float, float]], policy: str, batching: Batching | None
) -> None:
    first = play(sequence, policy, batching)
    assert play(sequence, policy, batching).log == first.log


@given(st.lists(st.floats(0, 200), min_size=1, max_size=30), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_the_queue_is_in_order_of_deadlines(budgets: list[float], workers: int) -> None:
    s = scheduler("static:small", workers=workers)
    for worker in range(workers):
        s.arrive(ticket(1000 + worker, pinned="large"), 0.0)
    running = started(s.next(0.0))
    for number, budget in enumerate(budgets):
        s.arrive(ticket(number, 60.0 + budget), 0.0)
    dues = []
    now = 60.0
    while running:
        for work in running:
            finish(s, work, now, 5.0)
        running = []
        for action in s.next(now):
            due = (
                action.ticket.due_ms if isinstance(action, Rejection) else action.tickets[0].due_ms
            )
            dues.append(due)
            if isinstance(action, Assignment):
                assert due >= now + 5.0 - 1e-6
                running.append(action)
        now += 5.0
    assert dues == sorted(dues)
