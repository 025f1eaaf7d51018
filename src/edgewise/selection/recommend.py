"""What to deploy: the variants to keep and the policy to run, for a network and a wish.

Every policy that might do is simulated on the same requests. Of those that meet the wish the one
with the highest effective accuracy is taken, or a simpler one that is as good to within
`TOLERANCE`; then variants are left out as long as that costs less than `TOLERANCE` in all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from edgewise.errors import UsageError
from edgewise.records import Recommendation, SimulationRow
from edgewise.selection.engine.queueing import AnyPolicy, KnowingQueue, Load, WithCascades, run
from edgewise.selection.engine.simulate import simulate
from edgewise.selection.policies.cascade import Cascade, fit
from edgewise.selection.policies.deadline import Deadline
from edgewise.selection.policies.published import MDInference, Static
from edgewise.selection.profiles.sources import gather
from edgewise.selection.profiles.table import LONGEST_MS
from edgewise.selection.workload.setup import Setup

#: Points of effective accuracy that simplicity may cost.
TOLERANCE = 0.3
#: Points of the curve, from a tenth of the deadline to twice it.
_CURVE = 20
#: Where searches for a deadline or for workers give up, and how exact a deadline is, relatively.
_LONGEST_MS, _MOST_WORKERS, _EXACT = 60_000.0, 64, 0.02


@dataclass(frozen=True)
class Wish:
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
                "neither a deadline nor a whole wish",
                hint="--sla 200, or --attainment 0.99 --accuracy 75 for the shortest that will do",
            )

    def shortfall(self, row: SimulationRow) -> float:
        """Points that a row lacks; 0: it meets the wish."""
        late = max(100 * (self.attainment - row.attainment), 0.0)
        return late + max(self.accuracy - (row.accuracy or 0.0), 0.0)


def recommend(setup: Setup, wish: Wish, load: Load | None = None) -> Recommendation:
    """Variants, policy, and what to expect of them.

    Raises:
        UsageError: no deadline is given and none below a minute meets the wish.
    """
    sla_ms = wish.sla_ms
    if sla_ms is None:
        sla_ms = _shortest(setup, wish, load)
        if sla_ms is None:
            raise UsageError(
                f"no deadline below {_LONGEST_MS / 1000:g} s meets the wish",
                hint="ask for less, or give more --workers",
            )
    rows = _rows(setup, wish, sla_ms, load)
    best = _best(rows, wish)
    policy, row = next(found for found in rows if found[1] is best)
    kept, expected = _lean(setup, policy, row, wish, load)
    met = wish.shortfall(expected) == 0
    others = [other for _, other in rows if other is not row]
    return Recommendation(
        profiles=setup.table.name,
        network=setup.network.name,
        sla_ms=sla_ms,
        wish_attainment=wish.attainment,
        wish_accuracy=wish.accuracy,
        met=met,
        policy=policy.name,
        keep=kept.table.models,
        leave_out=tuple(m for m in setup.table.models if m not in kept.table.models),
        expected=expected,
        alternatives=tuple(sorted(others, key=lambda other: _rank(other, wish), reverse=True)[:8]),
        curve=tuple(_curve(kept, policy, sla_ms, load)),
        enough_sla_ms=None if met else _shortest(setup, wish, load),
        enough_workers=None if met or load is None else _workers(setup, wish, sla_ms, load),
        arrivals=load.arrivals.name if load else None,
        workers=load.workers if load else None,
        notes=tuple(_notes(setup, wish, expected, met)),
    )


def _candidates(setup: Setup, wish: Wish, load: Load | None) -> Iterator[AnyPolicy]:
    """Policies that might do, the simplest first."""
    yield from (Static(model) for model in setup.table.models)
    yield KnowingQueue(MDInference()) if load else MDInference()
    cascades = setup.samples is not None and setup.samples.confidence is not None
    if cascades:
        yield Cascade()
    yield Deadline()
    if wish.attainment:
        yield Deadline(attainment=wish.attainment)
    if cascades and load:
        yield WithCascades(Deadline())


def _rows(
    setup: Setup, wish: Wish, sla_ms: float, load: Load | None
) -> list[tuple[AnyPolicy, SimulationRow]]:
    return [
        (policy, _deliver(setup, policy, sla_ms, load)) for policy in _candidates(setup, wish, load)
    ]


def _deliver(setup: Setup, policy: AnyPolicy, sla_ms: float, load: Load | None) -> SimulationRow:
    if load is not None:
        return run(setup, policy, sla_ms, load)
    assert not isinstance(policy, KnowingQueue | WithCascades)
    return simulate(setup, [policy], sla_ms)[0]


def _rank(row: SimulationRow, wish: Wish) -> tuple[float, float]:
    return -wish.shortfall(row), row.effective_accuracy


def _best(rows: Sequence[tuple[AnyPolicy, SimulationRow]], wish: Wish) -> SimulationRow:
    """The simplest of those that are as good as the best."""
    top = max((row for _, row in rows), key=lambda row: _rank(row, wish))
    return next(row for _, row in rows if _as_good(row, top, wish))


def _as_good(row: SimulationRow, top: SimulationRow, wish: Wish) -> bool:
    close = row.effective_accuracy >= top.effective_accuracy - TOLERANCE
    lacking = wish.shortfall(top)
    return close and wish.shortfall(row) <= (lacking + TOLERANCE if lacking else 0.0)


def _lean(
    setup: Setup, policy: AnyPolicy, full: SimulationRow, wish: Wish, load: Load | None
) -> tuple[Setup, SimulationRow]:
    """The set-up with as few variants as do, and what the policy delivers with them."""
    needed = _pair(setup, policy)
    by_use = sorted(setup.table.models, key=lambda model: full.usage.get(model, 0.0))
    unused = [model for model in by_use if model not in full.usage and model not in needed]
    kept, row = setup, full
    for gone in (unused, *([model] for model in by_use if model not in {*unused, *needed})):
        left = [model for model in kept.table.models if model not in gone]
        if not gone or not left:
            continue
        fewer = _with_models(setup, left)
        found = _deliver(fewer, policy, full.sla_ms, load)
        if _as_good(found, full, wish):
            kept, row = fewer, found
    return kept, row


def _pair(setup: Setup, policy: AnyPolicy) -> set[str]:
    """Models that a policy cannot do without."""
    if isinstance(policy, Static):
        return {policy.model}
    if isinstance(policy, Cascade | WithCascades) and setup.samples is not None:
        pair = fit(setup.samples, Cascade())
        return {setup.table.models[pair.cheap], setup.table.models[pair.costly]}
    return set()


def _with_models(setup: Setup, models: Sequence[str]) -> Setup:
    table = setup.table.without(set(setup.table.models) - set(models))
    samples = setup.samples
    if samples is None:
        return replace(setup, table=table)
    columns = [setup.table.index(model) for model in table.models]
    fewer = gather(
        table.name,
        table.models,
        samples.service_ms[:, columns],
        samples.correct[:, columns],
        None if samples.load_ms is None else samples.load_ms[:, columns],
        None if samples.confidence is None else samples.confidence[:, columns],
    )
    return replace(setup, table=fewer.table, samples=fewer)


def _curve(
    setup: Setup, policy: AnyPolicy, sla_ms: float, load: Load | None
) -> Iterator[SimulationRow]:
    for step in range(1, _CURVE + 1):
        yield _deliver(setup, policy, sla_ms * step / (_CURVE / 2), load)


def _meets(setup: Setup, wish: Wish, sla_ms: float, load: Load | None) -> bool:
    return any(wish.shortfall(row) == 0 for _, row in _rows(setup, wish, sla_ms, load))


def _shortest(setup: Setup, wish: Wish, load: Load | None) -> float | None:
    """The shortest deadline that meets the wish: doubled until one does, then halved in on."""
    high = 10.0
    while not _meets(setup, wish, high, load):
        high *= 2
        if high > _LONGEST_MS:
            return None
    low = high / 2
    while high - low > max(_EXACT * high, 1.0):
        middle = round((low + high) / 2)
        if _meets(setup, wish, middle, load):
            high = middle
        else:
            low = middle
    return float(high)


def _workers(setup: Setup, wish: Wish, sla_ms: float, load: Load) -> int | None:
    """The smallest number of workers that meets the wish."""
    low, high = load.workers, load.workers * 2
    while not _meets(setup, wish, sla_ms, replace(load, workers=high)):
        low, high = high, high * 2
        if high > _MOST_WORKERS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        if _meets(setup, wish, sla_ms, replace(load, workers=middle)):
            high = middle
        else:
            low = middle
    return high


def _notes(setup: Setup, wish: Wish, row: SimulationRow, met: bool) -> Iterator[str]:
    if not met:
        yield f"the wish is not met: {wish.shortfall(row):.1f} points short"
    if row.refused:
        yield f"{row.refused / row.requests:.1%} of the requests are refused at once"
    if setup.samples is None and not setup.table.empirical:
        yield "service times are normal, as only mean and deviation are known"
