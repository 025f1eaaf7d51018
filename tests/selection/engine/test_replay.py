"""The simulator that runs the scheduler: against first come first served, against promises."""

from __future__ import annotations

import numpy as np
import pytest

from edgewise.cli.main import run as cli
from edgewise.errors import UsageError
from edgewise.network.link import Pair
from edgewise.records import Profile, SimulationRow
from edgewise.selection.engine import queueing, replay
from edgewise.selection.engine.jobs import FamilyPlan
from edgewise.selection.engine.queueing import Load
from edgewise.selection.engine.replay import Requests
from edgewise.selection.engine.scheduling import Scheduler
from edgewise.selection.profiles.sources import load
from edgewise.selection.profiles.table import ProfileTable, table
from edgewise.selection.workload.arrivals import parse as arrivals
from edgewise.selection.workload.setup import Setup

ARTIFICIAL = Pair("artificial", 50, 25)


def setup(requests: int = 4000, profiles: ProfileTable | None = None) -> Setup:
    return Setup(profiles or load("p2").table, ARTIFICIAL, True, requests, seed=0)


def row(
    policy: str, text: str, workers: int = 1, of: Setup | None = None, sla_ms: float = 250
) -> SimulationRow:
    of = of or setup()
    return queueing.run(of, queueing.parse(policy), sla_ms, Load(arrivals(text), workers, "edf"))


def effective(found: SimulationRow) -> float:
    assert found.effective_accuracy is not None
    return found.effective_accuracy


def kept(found: SimulationRow) -> float:
    """Of what was admitted, the share in time."""
    return found.attainment * found.requests / (found.requests - (found.refused or 0))


@pytest.mark.parametrize("text", ["poisson:40", "gamma:40,4"])
@pytest.mark.parametrize("workers", [1, 3])
def test_deadlines_first_and_late_choice_beat_order_of_arrival(text: str, workers: int) -> None:
    first = queueing.run(setup(), queueing.parse("deadline"), 250, Load(arrivals(text), workers))
    assert effective(row("deadline", text, workers)) > effective(first)


def spread() -> ProfileTable:
    """Services that vary by a third."""
    rows = [("small", 50, 4.0), ("middle", 70, 12.0), ("large", 80, 40.0)]
    return table(
        "spread", [Profile(model=m, accuracy=a, mean_ms=t, std_ms=t / 3) for m, a, t in rows]
    )


def test_promises_hold_and_goodput_does_not_fall_under_overload() -> None:
    of = setup(6000, spread())
    goodput = {}
    for load_of_capacity in (0.5, 1, 2, 5):
        found = row("deadline", f"poisson:{load_of_capacity * 250}", of=of)
        goodput[load_of_capacity] = load_of_capacity * found.attainment
        if load_of_capacity >= 2:
            assert kept(found) >= 0.995
    assert goodput[5] >= 0.95 * max(goodput.values())


def test_what_nothing_can_be_promised_to_is_tried_where_it_takes_nothing_from_others() -> None:
    # One service in ten fills the deadline, so that nobody behind another can be promised anything.
    levels = (0.01, 0.5, 0.89, 0.91, 0.99)
    rows = [("small", 50, 2.0), ("large", 80, 8.0)]
    tails = table("two lengths", [
        Profile(model=m, accuracy=a, mean_ms=2.8 * t, std_ms=5.4 * t, quantiles_ms=tuple(
            zip(levels, (t, t, t, 19 * t, 19 * t), strict=True)))
        for m, a, t in rows
    ])  # fmt: skip
    of = Setup(tails, Pair("near", 1, 0), True, 2500, seed=0)
    ours = effective(row("deadline", "poisson:120", of=of, sla_ms=42))
    assert ours > 1.3 * effective(row("fastest", "poisson:120", of=of, sla_ms=42))
    # And a long job of the large one would keep a dozen out: in order of arrival they know that.
    load_ = Load(arrivals("poisson:120"))
    assert ours > effective(queueing.run(of, queueing.parse("deadline"), 42, load_))


def test_rows_depend_on_the_seed_alone() -> None:
    cases = [
        (queueing.parse(name), 250.0, Load(arrivals("gamma:160,4"), 2, "edf"))
        for name in ("deadline", "cnnselect")
    ]
    of = setup(1500)
    assert queueing.run_many(of, cases, 1) == queueing.run_many(of, cases, 2)


def test_without_contention_published_policies_are_as_first_come_first_served() -> None:
    of = setup(800)
    for name in ("mdinference", "fastest", "greedy"):
        ours = row(name, "poisson:0.05", 8, of, 400)
        theirs = queueing.run(of, queueing.parse(name), 400, Load(arrivals("poisson:0.05"), 8))
        assert ours.attainment == pytest.approx(theirs.attainment, abs=0.005)
        assert effective(ours) == pytest.approx(effective(theirs), abs=0.5)


def test_overhead_and_slow_down_are_part_of_what_is_replayed() -> None:
    only = table("one", [Profile(model="only", accuracy=80, mean_ms=10, std_ms=0.0)])
    arrival_ms = np.repeat(np.arange(200) * 100.0, 2)
    requests = Requests(arrival_ms, arrival_ms + 80.0, np.full(400, 80.0))

    def scheduler(workers: int) -> Scheduler:
        plan = FamilyPlan("one", only, queueing.parse("deadline"), {"only": "local"})
        return Scheduler({"one": plan}, {"local": workers})

    slow = replay.replay(
        scheduler(2), "one", requests, lambda number, variant, busy: 10.0 * busy, overhead_ms=3.0
    )
    assert sorted(set(slow.sojourn_ms.tolist())) == [13.0, 23.0]
    alone = replay.replay(
        scheduler(1), "one", requests, lambda number, variant, busy: 10.0, overhead_ms=3.0
    )
    assert sorted(set(alone.sojourn_ms.tolist())) == [13.0, 26.0]
    assert alone.admitted.all()
    assert set(alone.model.tolist()) == {0}


def test_a_cascade_is_not_for_this_order() -> None:
    with pytest.raises(UsageError, match="cascade"):
        row("deadline+cascade", "poisson:1")


def test_the_command_line_takes_a_discipline(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["simulate", "--sla", "250", "--requests", "400", "--policy", "deadline", "--json"]
    assert cli([*words, "--arrivals", "poisson:40", "--discipline", "edf"]) == 0
    assert replay.NOTE in capsys.readouterr().out
    assert cli([*words, "--arrivals", "poisson:40"]) == 0
    assert replay.NOTE not in capsys.readouterr().out
    assert cli([*words, "--discipline", "edf"]) == 2
    assert cli([*words, "--arrivals", "poisson:40", "--discipline", "lifo"]) == 2
