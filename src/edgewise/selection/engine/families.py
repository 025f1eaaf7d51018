"""A family as the scheduler knows it: its rule, its lanes, and what it has learned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from urllib.parse import quote

from edgewise.errors import UsageError
from edgewise.selection.engine.cases import AnyPolicy, KnowingQueue, WithCascades
from edgewise.selection.engine.jobs import FamilyPlan, Ticket
from edgewise.selection.engine.lanes import Lane
from edgewise.selection.policies.cascade import Cascade
from edgewise.selection.policies.deadline import Deadline
from edgewise.selection.policies.protocol import REFUSED, Chooser, Policy
from edgewise.selection.policies.published import Oracle, Static, Steps
from edgewise.selection.profiles.learning import Learner, Learners
from edgewise.selection.profiles.table import ProfileTable

#: Choosers are made anew after so many samples at first, then after as many as are known, at last
#: every so many.
_FIRST, _LAST = 16, 1024
#: A budget that leaves time for everything, and that can still be divided by.
_ENDLESS_MS = 1e9


@dataclass(frozen=True, slots=True)
class Bound:
    """A variant chosen on arrival: how likely it and every other variant was."""

    variant: str
    probability: float
    probabilities: Mapping[str, float]


class Family:
    """One family. Published policies choose when a request arrives, as they know no queue."""

    def __init__(self, plan: FamilyPlan, learned: Path | None, seed: int) -> None:
        self.name = plan.name
        self.rule, self.inner, self.knows_queue = _rule(plan.policy)
        self.policy = plan.policy.name
        self.pool_of = dict(plan.pool_of)
        if unplaced := [m for m in plan.profiles.models if m not in self.pool_of]:
            raise UsageError(f"the variant '{unplaced[0]}' of '{plan.name}' is in no pool")
        self.learners = _learners(plan.profiles, learned)
        self.table = self.learners.table()
        self.lanes: dict[str, Lane] = {}
        self._random = Random(f"{seed} {plan.name}")
        self._certain: dict[str, Mapping[str, float]] = {}
        self._choosers: dict[frozenset[str] | None, tuple[ProfileTable, Chooser]] = {}
        self._samples, self._next = 0, _FIRST
        if self.inner is not None and not self.knows_queue:
            self._chooser(None)

    def furnish(self, workers: Mapping[str, int]) -> None:
        """Make the lanes: one for each pool that has variants.

        Raises:
            UsageError: a pool that there is none of.
        """
        for pool in dict.fromkeys(self.pool_of[model] for model in self.table.models):
            if pool not in workers:
                raise UsageError(f"'{self.name}' needs a pool '{pool}', which there is none of")
            part = self._part(pool)
            busy = self.learners.slowdown_in(pool)
            lane = self.lanes[pool] = Lane(self.name, part, self.rule, busy, workers[pool])
            if self.knows_queue:
                lane.choosing = part, self._on(part)
                _check_knowing(self.policy, lane.choosing[1])

    def certain(self, variant: str) -> Mapping[str, float]:
        """The probabilities of a choice that draws no lots; one object per variant."""
        found = self._certain.get(variant)
        if found is None:
            found = {model: float(model == variant) for model in self.table.models}
            self._certain[variant] = found
        return found

    def bind(self, ticket: Ticket, budget_ms: float) -> Bound | None:
        """The variant for a request, chosen as if there were no queue; None refuses it."""
        if ticket.pinned is not None:
            return Bound(ticket.pinned, 1.0, self.certain(ticket.pinned))
        of, chooser = self._chooser(ticket.eligible)
        sla_ms = max(ticket.sla_ms, 0.0)
        budget_ms = min(budget_ms, _ENDLESS_MS)
        row = chooser.choose(sla_ms, budget_ms, self._random.random())
        if row == REFUSED:
            return None
        variant = of.models[row]
        if isinstance(chooser, Steps):
            return Bound(variant, 1.0, self.certain(variant))
        chances = dict.fromkeys(self.table.models, 0.0)
        for other, chance in chooser.probabilities(sla_ms, budget_ms).items():
            chances[of.models[other]] = chance
        return Bound(variant, chances[variant], chances)

    def choose_in(self, lane: Lane, ticket: Ticket, left_ms: float) -> str | None:
        """What a policy that knows the queue chooses in a lane; the fastest where that is not
        eligible; None refuses."""
        assert lane.choosing is not None
        of, chooser = lane.choosing
        row = chooser.choose(max(ticket.sla_ms, 0.0), left_ms, 0.0)
        if row == REFUSED:
            return None
        if ticket.eligible is None or of.models[row] in ticket.eligible:
            return of.models[row]
        part = of.without(set(of.models) - ticket.eligible)
        return part.models[part.fastest]

    def check(self, ticket: Ticket) -> None:
        """Raises UsageError: a ticket for a variant that the family does not have."""
        if ticket.pinned is not None:
            self.table.index(ticket.pinned)
        if ticket.eligible is not None and not ticket.eligible & set(self.table.models):
            raise UsageError(f"no eligible variant is one of '{self.name}'")

    @property
    def due(self) -> bool:
        """Whether choosers or prices rest on too little of what is known."""
        return (self.inner is not None and self._samples >= self._next) or any(
            lane.policy is not None and lane.policy.due for lane in self.lanes.values()
        )

    def learn(self, model: str, sample_ms: float, *, cold: bool = False) -> None:
        """Keep a sample."""
        self._samples += 1
        self.learners.observe(model, sample_ms, cold=cold)

    def renew(self) -> None:
        """Make choosers of what is known now."""
        self._next = self._samples + min(max(self._samples, _FIRST), _LAST)
        self.table = self.learners.table()
        self._choosers.clear()
        if self.knows_queue:
            for pool, lane in self.lanes.items():
                part = self._part(pool)
                lane.choosing = part, self._on(part)

    def _part(self, pool: str) -> ProfileTable:
        return self.table.without(m for m in self.table.models if self.pool_of[m] != pool)

    def _chooser(self, eligible: frozenset[str] | None) -> tuple[ProfileTable, Chooser]:
        found = self._choosers.get(eligible)
        if found is None:
            of = self.table
            if eligible is not None:
                of = of.without(set(of.models) - eligible)
            found = self._choosers[eligible] = of, self._on(of)
        return found

    def _on(self, of: ProfileTable) -> Chooser:
        assert self.inner is not None
        if isinstance(self.inner, Static) and self.inner.model not in of.models:
            self.table.index(self.inner.model)  # unknown altogether: say so
            return Static(of.models[of.fastest]).on(of)
        return self.inner.on(of)


def learned_file(folder: Path, family: str) -> Path:
    """Where a family's learned profiles are kept."""
    return folder / f"{quote(family, safe='')}.json"


def _rule(policy: AnyPolicy) -> tuple[Deadline | None, Policy | None, bool]:
    """What prices time, or what else chooses, and whether that knows the queue."""
    if isinstance(policy, Deadline):
        return policy, None, False
    inner = policy.policy if isinstance(policy, KnowingQueue) else policy
    if isinstance(inner, Oracle | Cascade | WithCascades):
        raise UsageError(
            f"'{policy.name}' cannot choose for a queue of requests",
            hint="the oracle would have to know the future, a cascade the answers; deadline does",
        )
    return None, inner, isinstance(policy, KnowingQueue)


def _check_knowing(policy: str, chooser: Chooser) -> None:
    if not isinstance(chooser, Steps) or chooser.by_deadline:
        raise UsageError(
            f"'{policy}': only a policy that goes by the budget and draws no lots can know the "
            "queue",
            hint="mdinference+queue, or deadline, which always does",
        )


def _learners(profiles: ProfileTable, kept: Path | None) -> Learners:
    """What was learned before, of the variants that there still are; the rest as profiled."""
    fresh = Learners(profiles)
    if kept is None or not kept.exists():
        return fresh
    before = Learners.load(kept)
    for model, learner in fresh.by_model.items():
        old = before.by_model.get(model)
        if old is not None:
            fresh.by_model[model] = _with_prior(old, learner)
    fresh.slowdown, fresh.batches = before.slowdown, before.batches
    return fresh


def _with_prior(old: Learner, new: Learner) -> Learner:
    """Samples are kept, accuracy is as profiled now."""
    old.prior = new.prior
    return old
