"""What to deploy: the variants to keep and the policy to run, for a network and an objective.

Every policy that might do is simulated on the same requests, `deadline` also without the variants
below the wished accuracy. Of those that meet the objective the one with the highest effective
accuracy is taken, or a simpler one that is as good to within `TOLERANCE`; then variants are left
out as long as that costs less than `TOLERANCE` in all.

Under load candidates are compared first come first served, which is fast. The best are then
simulated as the service runs them, earliest deadline first, and what is expected is of that, over
`SEEDS` runs: each has other requests, and profiles drawn from how well they are known.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from edgewise import intervals
from edgewise.errors import UsageError
from edgewise.records import Profile, Recommendation, SimulationRow
from edgewise.selection.engine import tally
from edgewise.selection.engine.cases import AnyPolicy, KnowingQueue, Load, WithCascades
from edgewise.selection.engine.fluid import fluid_bound
from edgewise.selection.engine.queueing import run
from edgewise.selection.engine.simulate import simulate
from edgewise.selection.policies.cascade import Cascade, fit
from edgewise.selection.policies.deadline import Deadline
from edgewise.selection.policies.published import MDInference, Static
from edgewise.selection.profiles.table import LONGEST_MS
from edgewise.selection.variations import merged, of_next_attainment, redrawn, with_models
from edgewise.selection.workload.setup import Setup

#: Points of effective accuracy that simplicity may cost, and the runs that tell what to expect.
TOLERANCE, SEEDS = 0.3, 5
#: Candidates that are simulated as the service runs them.
_FINALISTS = 3
#: A mean time with a wider interval is named.
_NOISY = 0.05
#: Points of the curve, from a tenth of the deadline to twice it.
_CURVE = 20
#: Where searches for a deadline or for workers give up, and how exact a deadline is, relatively.
_LONGEST_MS, _MOST_WORKERS, _EXACT = 60_000.0, 64, 0.02


@dataclass(frozen=True)
class Objective:
    """What is asked for: a deadline (None: the shortest that will do), the share of all requests
    to answer in time, and the mean accuracy of the answers in percent."""

    sla_ms: float | None = None
    attainment: float = 0.0
    accuracy: float = 0.0

    def __post_init__(self) -> None:
        if self.sla_ms is not None and not 0 < self.sla_ms <= LONGEST_MS:
            raise UsageError(
                f"a deadline of {self.sla_ms} ms", hint=f"above 0, up to {LONGEST_MS:g}"
            )
        if not 0 <= self.attainment < 1:
            raise UsageError(f"an attainment of {self.attainment}", hint="0.99 is 99 % in time")
        if not 0 <= self.accuracy <= 100:
            raise UsageError(f"an accuracy of {self.accuracy}", hint="it is a percentage")
        if self.sla_ms is None and not (self.attainment and self.accuracy):
            raise UsageError(
                "neither a deadline nor a whole objective",
                hint="--sla 200, or --attainment 0.99 --accuracy 75 for the shortest that will do",
            )

    def shortfall(self, row: SimulationRow) -> float:
        """Points that a row lacks; 0: it meets the objective."""
        if (
            row.attainment == 0
        ):  # nothing answered is no objective met, however right it would have been
            return 100 * self.attainment + max(self.accuracy, 1.0)
        late = max(100 * (self.attainment - row.attainment), 0.0)
        return late + max(self.accuracy - (row.accuracy or 0.0), 0.0)


def recommend(setup: Setup, objective: Objective, load: Load | None = None) -> Recommendation:
    """Variants, policy, and what to expect of them.

    Raises:
        UsageError: no deadline is given and none below a minute meets the objective.
    """
    if objective.sla_ms is not None:
        sla_ms, found = objective.sla_ms, _found(setup, objective, objective.sla_ms, load)
    elif (shortest := _shortest(setup, objective, load)) is not None:
        sla_ms, found = shortest
    else:
        raise UsageError(
            f"no deadline below {_LONGEST_MS / 1000:g} s meets the objective",
            hint="ask for less, or give more --workers",
        )
    runs = _runs(found.kept, found.policy, sla_ms, load)
    expected = merged(runs)
    held = sum(objective.shortfall(row) == 0 for row in runs)
    met = objective.shortfall(expected) == 0
    kept = found.kept.table.models
    return Recommendation(
        profiles=setup.table.name,
        network=setup.network.name,
        sla_ms=sla_ms,
        wish_attainment=objective.attainment,
        wish_accuracy=objective.accuracy,
        met=met,
        policy=found.policy.name,
        keep=kept,
        leave_out=tuple(m for m in setup.table.models if m not in kept),
        expected=expected,
        alternatives=found.others[:8],
        curve=tuple(_curve(found, sla_ms, load)),
        enough_sla_ms=None if met else _enough_ms(setup, objective, load),
        enough_workers=None if met or load is None else _workers(setup, objective, sla_ms, load),
        arrivals=load.arrivals.name if load else None,
        workers=load.workers if load else None,
        runs=len(runs),
        runs_met=held,
        bound=_bound(setup, expected, load),
        notes=tuple(_notes(setup, objective, expected, held, len(runs))),
    )


class _Candidate(NamedTuple):
    """A policy on a set-up, which may have fewer variants than there are, and what it delivers."""

    setup: Setup
    policy: AnyPolicy
    row: SimulationRow


class _Found(NamedTuple):
    """The variants to keep, the policy to run, and what others deliver, the best first."""

    kept: Setup
    policy: AnyPolicy
    others: tuple[SimulationRow, ...]


def _found(setup: Setup, objective: Objective, sla_ms: float, load: Load | None) -> _Found:
    """The best candidate, made lean."""
    screened = _screened(setup, objective, sla_ms, load)
    finalists = screened
    if load is not None:
        ranked = sorted(screened, key=lambda one: _rank(one.row, objective), reverse=True)
        last = ranked[:_FINALISTS]
        finalists = [
            one._replace(row=_served(one.setup, one.policy, sla_ms, load))
            for one in screened
            if one in last
        ]
    best = _best(finalists, objective)
    # Leaving out is judged by the fast simulation, against what that says of the best itself.
    full = next(one for one in screened if one[:2] == best[:2])
    kept = _lean(full, objective, load)
    others = [one.row for one in screened if one[:2] != best[:2]]
    others.sort(key=lambda row: _rank(row, objective), reverse=True)
    return _Found(kept, best.policy, tuple(others))


def _screened(
    setup: Setup, objective: Objective, sla_ms: float, load: Load | None
) -> list[_Candidate]:
    """Policies that might do, the simplest first."""

    def tried(on: Setup, policy: AnyPolicy) -> _Candidate:
        return _Candidate(on, policy, _deliver(on, policy, sla_ms, load))

    found = [tried(setup, policy) for policy in _simple(setup, load)]
    pricing = [Deadline()] + (
        [Deadline(attainment=objective.attainment)] if objective.attainment else []
    )
    found += [tried(setup, policy) for policy in pricing]
    for floor in _floors(setup, objective, sla_ms, load):
        fewer = _above(setup, floor)
        found += [tried(fewer, policy) for policy in pricing]
    if load and _can_cascade(setup):
        found.append(tried(setup, WithCascades(Deadline())))
    return found


def _simple(setup: Setup, load: Load | None) -> Iterator[AnyPolicy]:
    """The policies that price nothing."""
    yield from (Static(model) for model in setup.table.models)
    yield KnowingQueue(MDInference()) if load else MDInference()
    if _can_cascade(setup):
        yield Cascade()


def _can_cascade(setup: Setup) -> bool:
    return setup.samples is not None and setup.samples.confidence is not None


def _floors(
    setup: Setup, objective: Objective, sla_ms: float, load: Load | None
) -> Iterator[float]:
    """Least accuracies: the wished one, and the lowest that still has it in the mean."""
    below = [value for value in setup.table.accuracy.tolist() if value < objective.accuracy]
    if not below or len(below) == len(setup.table):
        return
    yield objective.accuracy
    levels = sorted({*below, objective.accuracy})
    low, high = 0, len(levels) - 1
    while high - low > 1:
        middle = (low + high) // 2
        row = _deliver(_above(setup, levels[middle]), Deadline(), sla_ms, load)
        if (row.accuracy or 0.0) >= objective.accuracy:
            high = middle
        else:
            low = middle
    if levels[high] < objective.accuracy:
        yield levels[high]


def _above(setup: Setup, accuracy: float) -> Setup:
    """Without the variants that are less accurate."""
    return with_models(
        setup, [m.model for m in setup.table.profiles if (m.accuracy or 0.0) >= accuracy]
    )


def _deliver(setup: Setup, policy: AnyPolicy, sla_ms: float, load: Load | None) -> SimulationRow:
    if load is not None:
        return run(setup, policy, sla_ms, load)
    assert not isinstance(policy, KnowingQueue | WithCascades)
    return simulate(setup, [policy], sla_ms)[0]


def _rank(row: SimulationRow, objective: Objective) -> tuple[float, float]:
    return -objective.shortfall(row), row.effective_accuracy


def _served(setup: Setup, policy: AnyPolicy, sla_ms: float, load: Load) -> SimulationRow:
    """As the service runs it; it has no cascades."""
    if isinstance(policy, Cascade | WithCascades):
        return run(setup, policy, sla_ms, load)
    return run(setup, policy, sla_ms, replace(load, discipline="edf"))


def _runs(setup: Setup, policy: AnyPolicy, sla_ms: float, load: Load | None) -> list[SimulationRow]:
    """Several runs, each of other requests and of profiles as they may really be."""
    found = []
    for number in range(SEEDS):
        drawn = redrawn(setup, number)
        found.append(
            _served(drawn, policy, sla_ms, load) if load else _deliver(drawn, policy, sla_ms, None)
        )
    return found


def _bound(setup: Setup, row: SimulationRow, load: Load | None) -> float | None:
    """What no policy can surpass with all the variants."""
    if load is None:
        return None
    left = tally.fallback(setup, row.sla_ms)
    return fluid_bound(setup.table, load.arrivals.rate_per_s, load.workers, left)


def _best(found: Sequence[_Candidate], objective: Objective) -> _Candidate:
    """The simplest of those that are as good as the best."""
    top = max(found, key=lambda one: _rank(one.row, objective))
    return next(one for one in found if _as_good(one.row, top.row, objective))


def _as_good(row: SimulationRow, top: SimulationRow, objective: Objective) -> bool:
    close = row.effective_accuracy >= top.effective_accuracy - TOLERANCE
    lacking = objective.shortfall(top)
    return close and objective.shortfall(row) <= (lacking + TOLERANCE if lacking else 0.0)


def _lean(full: _Candidate, objective: Objective, load: Load | None) -> Setup:
    """The set-up with as few variants as do."""
    setup, policy, row = full
    needed = _pair(setup, policy)
    by_use = sorted(setup.table.models, key=lambda model: row.usage.get(model, 0.0))
    unused = [model for model in by_use if model not in row.usage and model not in needed]
    kept = setup
    for gone in (unused, *([model] for model in by_use if model not in {*unused, *needed})):
        left = [model for model in kept.table.models if model not in gone]
        if not gone or not left:
            continue
        fewer = with_models(setup, left)
        if _as_good(_deliver(fewer, policy, row.sla_ms, load), row, objective):
            kept = fewer
    return kept


def _pair(setup: Setup, policy: AnyPolicy) -> set[str]:
    """Models that a policy cannot do without."""
    if isinstance(policy, Static):
        return {policy.model}
    if isinstance(policy, Cascade | WithCascades) and setup.samples is not None:
        pair = fit(setup.samples, Cascade())
        return {setup.table.models[pair.cheap], setup.table.models[pair.costly]}
    return set()


def _curve(found: _Found, sla_ms: float, load: Load | None) -> Iterator[SimulationRow]:
    """What it delivers over deadlines; under load half as many, of a quarter of the requests."""
    setup, policy = found.kept, found.policy
    fewer = replace(setup, requests=max(setup.requests // 4, 1))
    for step in range(2, _CURVE + 1, 2) if load else range(1, _CURVE + 1):
        at_ms = sla_ms * step / (_CURVE / 2)
        if load:
            yield _served(fewer, policy, at_ms, load)
        else:
            yield merged(_runs(setup, policy, at_ms, None))


def _meets(setup: Setup, objective: Objective, sla_ms: float, load: Load | None) -> bool:
    return any(
        objective.shortfall(one.row) == 0 for one in _screened(setup, objective, sla_ms, load)
    )


def _enough_ms(setup: Setup, objective: Objective, load: Load | None) -> float | None:
    shortest = _shortest(setup, objective, load)
    return None if shortest is None else shortest[0]


def _shortest(setup: Setup, objective: Objective, load: Load | None) -> tuple[float, _Found] | None:
    """The shortest deadline that meets the objective, and what to run then: doubled until one does,
    halved in on, then made longer until it can be expected of another run, too."""
    high = 10.0
    while not _meets(setup, objective, high, load):
        high *= 2
        if high > _LONGEST_MS:
            return None
    low = high / 2
    while high - low > max(_EXACT * high, 1.0):
        middle = round((low + high) / 2)
        if _meets(setup, objective, middle, load):
            high = middle
        else:
            low = middle
    found = _found(setup, objective, high, load)
    while not _expected(found, objective, high, load):
        high = float(math.ceil(high * (1 + _EXACT)))
        if high > _LONGEST_MS:
            return None
        found = _found(setup, objective, high, load)
    return float(high), found


def _expected(found: _Found, objective: Objective, sla_ms: float, load: Load | None) -> bool:
    """Whether another run can be expected to meet the objective."""
    runs = _runs(found.kept, found.policy, sla_ms, load)
    in_time, _ = of_next_attainment(runs)
    right, _ = intervals.of_next([row.accuracy or 0.0 for row in runs])
    return in_time >= objective.attainment and right >= objective.accuracy


def _workers(setup: Setup, objective: Objective, sla_ms: float, load: Load) -> int | None:
    """The smallest number of workers that meets the objective."""
    low, high = load.workers, load.workers * 2
    while not _meets(setup, objective, sla_ms, replace(load, workers=high)):
        low, high = high, high * 2
        if high > _MOST_WORKERS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if _meets(setup, objective, sla_ms, replace(load, workers=middle)):
            high = middle
        else:
            low = middle
    return high


def _notes(
    setup: Setup, objective: Objective, row: SimulationRow, held: int, runs: int
) -> Iterator[str]:
    if objective.shortfall(row) > 0:
        yield f"the objective is not met: {objective.shortfall(row):.1f} points short"
    elif held < runs:
        yield f"the objective is met in the mean, but in {held} of {runs} runs only"
    if row.refused:
        yield f"{row.refused / row.requests:.1%} of the requests are refused at once"
    if setup.samples is None and not setup.table.empirical:
        yield "service times are normal, as only mean and deviation are known"
    if unsure := [each.model for each in setup.table.profiles if _is_noisy(each)]:
        yield f"profiles known to no better than {_NOISY:.0%}: {', '.join(unsure)}"


def _is_noisy(profile: Profile) -> bool:
    """Whether the interval of a mean time is wide."""
    if not profile.n:
        return False
    return bool(intervals.Z95 * profile.std_ms / profile.n**0.5 > _NOISY * profile.mean_ms)
