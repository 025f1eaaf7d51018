"""A decision log as other policies see it: what they would choose, and what that would deliver.

Each decision is taken by itself, with the queue as it was: what another policy would have done to
the queue is not in the log (`edgewise simulate --arrivals` tells that). A request that was refused
or expired because nothing could be in time scores 0 under every policy; one that was refused for
its price was the policy's choice. Left out are requests that were no choice at all.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from edgewise.errors import InputError, UsageError
from edgewise.records import Decision, OffPolicyEstimate, Profile
from edgewise.selection.engine.cases import AnyPolicy, KnowingQueue, WithCascades
from edgewise.selection.offpolicy import Value, Weighed, value
from edgewise.selection.policies.cascade import Cascade
from edgewise.selection.policies.deadline import Deadline
from edgewise.selection.policies.protocol import REFUSED, Chooser, Policy
from edgewise.selection.policies.published import Oracle
from edgewise.selection.profiles.table import LEVELS, ProfileTable, table

#: Quantiles of fewer samples would be those samples.
_ENOUGH = 64
#: Rejected for these reasons, nothing could have been in time.
_HOPELESS = ("late", "full", "expired", "down")
_REFUSED = "refused"


def estimate_all(
    decisions: Iterable[Decision],
    policies: Sequence[AnyPolicy],
    *,
    log: str,
    profiles: ProfileTable | None = None,
    clip: float | None = None,
) -> list[OffPolicyEstimate]:
    """What each policy would have delivered, for each family of a log.

    Args:
        decisions: in any order.
        policies: plain ones see the budget without the queue, as in `simulate`; `+queue` and
            `deadline` what the queue left of it. `deadline` here puts no price on time.
        log: what the log is called.
        profiles: of the variants by name; None: as the log itself measured them.
        clip: largest weight; None: √n.

    Raises:
        InputError: the log holds no decision, or no profile of a variant that it chose.
        UsageError: a policy that looks at the input or knows the future.
    """
    families: dict[str, list[Decision]] = defaultdict(list)
    for decision in decisions:
        families[decision.family].append(decision)
    if not families:
        raise InputError(f"{log} holds no decisions", hint="edgewise serve … --decisions STORE")
    plain = [_plain(policy) for policy in policies]
    estimates = []
    for family, rows in families.items():
        rows.sort(key=lambda row: row.at)
        known = profiles or learned(family, rows)
        left_out: Counter[str] = Counter()
        used = [row for row in rows if not _left_out(row, left_out)]
        replay = _Replay(log, family, used, known, left_out)
        estimates += [replay.estimate(*each, clip=clip) for each in plain]
    return estimates


def learned(family: str, decisions: Sequence[Decision]) -> ProfileTable:
    """Profiles of the variants that answered, from their times in the log.

    Raises:
        InputError: no answer tells both accuracy and time.
    """
    times: dict[str, list[float]] = defaultdict(list)
    accuracies: dict[str, float] = {}
    for row in decisions:
        if row.outcome == "answered" and row.variant and row.accuracy is not None:
            accuracies[row.variant] = row.accuracy
            if row.service_ms:
                times[row.variant].append(row.service_ms)
    if not times:
        raise InputError(
            f"the decisions of '{family}' tell no variant's accuracy and time",
            hint="name profiles: --profiles",
        )
    return table(family, [_profile(name, accuracies[name], times[name]) for name in times])


def _profile(name: str, accuracy: float, samples_ms: list[float]) -> Profile:
    quantiles: tuple[tuple[float, float], ...] = ()
    if len(samples_ms) >= _ENOUGH:
        quantiles = tuple(
            zip(LEVELS.tolist(), np.quantile(samples_ms, LEVELS).tolist(), strict=True)
        )
    return Profile(
        model=name,
        accuracy=accuracy,
        mean_ms=float(np.mean(samples_ms)),
        std_ms=float(np.std(samples_ms, ddof=1)) if len(samples_ms) > 1 else 0.0,
        n=len(samples_ms),
        quantiles_ms=quantiles,
        origin="learned",
    )


def _plain(policy: AnyPolicy) -> tuple[str, Policy, bool]:
    """Its name, the policy itself, and whether it sees what the queue left of the budget."""
    if isinstance(policy, WithCascades | Cascade | Oracle):
        raise UsageError(
            f"{policy.name} looks at what a decision log does not hold",
            hint="edgewise simulate --profiles SAMPLES",
        )
    if isinstance(policy, KnowingQueue):
        return policy.name, policy.policy, True
    return policy.name, policy, isinstance(policy, Deadline)


def _left_out(row: Decision, why: Counter[str]) -> bool:
    """Whether a request was no choice of the policy; counts it."""
    if row.outcome == "cancelled":
        reason = "cancelled by the caller"
    elif row.pinned:
        reason = "pinned to a variant"
    elif row.outcome == "answered" and row.accuracy is None:
        reason = "of a variant without accuracy"
    elif row.outcome == "shed" or (row.probability and row.probabilities):
        return False
    else:
        reason = "without a probability"
    why[reason] += 1
    return True


class _Replay:
    """The decisions of one family, and the profiles that other policies decide from."""

    def __init__(
        self,
        log: str,
        family: str,
        decisions: Sequence[Decision],
        profiles: ProfileTable,
        left_out: Mapping[str, int],
    ) -> None:
        self._log, self._family, self._decisions = log, family, decisions
        self._profiles, self._left_out = profiles, left_out
        self._score = np.array([_score(row) for row in decisions])
        self._timed = np.array([row.sla_ms is not None for row in decisions], dtype=bool)
        met = np.array([bool(row.in_time) for row in decisions], dtype=np.float64)
        self._met = met[self._timed]

    def estimate(
        self, name: str, policy: Policy, knows_queue: bool, *, clip: float | None
    ) -> OffPolicyEstimate:
        chooser = policy.on(self._profiles)
        usage: dict[str, float] = defaultdict(float)
        rows = [self._weigh(chooser, row, usage, knows_queue) for row in self._decisions]
        log = Weighed(*np.array(rows, dtype=np.float64).reshape(-1, 3).T)
        due = Weighed(
            log.weight[self._timed], log.mass[self._timed], log.uncovered[self._timed]
        )  # fmt: skip
        effective = value(log, self._score, 100.0, clip) if rows else _NOTHING
        attainment = value(due, self._met, 1.0, clip) if len(self._met) else _NOTHING
        return self._record(name, usage, effective, attainment)

    def _weigh(
        self, chooser: Chooser, row: Decision, usage: dict[str, float], knows_queue: bool
    ) -> tuple[float, float, float]:
        """Weight, mass and uncovered mass of one decision."""
        if row.outcome == "shed" and row.reason in _HOPELESS:
            usage["nothing in time"] += 1
            return 0.0, 0.0, 0.0
        chosen = self._choices(chooser, row, knows_queue)
        for name, probability in chosen.items():
            usage[name] += probability
        chosen.pop(_REFUSED, None)
        mass = sum(chosen.values())
        uncovered = sum(p for name, p in chosen.items() if not row.probabilities.get(name))
        if row.variant is None or not row.probability:
            return 0.0, mass, uncovered
        return chosen.get(row.variant, 0.0) / row.probability, mass, uncovered

    def _choices(self, chooser: Chooser, row: Decision, knows_queue: bool) -> dict[str, float]:
        sla_ms = math.inf if row.sla_ms is None else row.sla_ms
        budget_ms = math.inf if row.budget_ms is None else row.budget_ms
        if knows_queue:
            budget_ms -= (row.backlog_ms or 0.0) if row.queue_ms is None else row.queue_ms
        models = self._profiles.models
        return {
            _REFUSED if index == REFUSED else models[index]: probability
            for index, probability in chooser.probabilities(sla_ms, budget_ms).items()
        }

    def _record(
        self, name: str, usage: Mapping[str, float], effective: Value, attainment: Value
    ) -> OffPolicyEstimate:
        n = len(self._score)
        return OffPolicyEstimate(
            policy=name,
            log=self._log,
            family=self._family,
            decisions=n,
            logged_effective_accuracy=float(self._score.mean()) if n else None,
            logged_attainment=float(self._met.mean()) if len(self._met) else None,
            effective_accuracy=effective.estimate,
            effective_ci95=effective.ci95,
            attainment=attainment.estimate,
            attainment_ci95=attainment.ci95,
            ips_effective_accuracy=effective.ips,
            ips_effective_ci95=effective.ips_ci95,
            effective_samples=effective.effective_samples,
            mean_weight=effective.mean_weight,
            uncovered_fraction=effective.uncovered_fraction,
            clip=effective.clip,
            clipped_fraction=effective.clipped_fraction,
            usage={each: share / n for each, share in sorted(usage.items())},
            left_out=dict(self._left_out),
            reason=effective.reason,
            notes=_notes(effective),
        )


_NOTHING = Value(None, None, None, None, 0.0, 0.0, 0.0, 0.0, 0.0, "no decision is left to judge by")


def _score(row: Decision) -> float:
    """Accuracy in percent of an answer that was not late, else 0."""
    if row.outcome != "answered" or row.in_time is False:
        return 0.0
    return row.accuracy or 0.0


def _notes(told: Value) -> tuple[str, ...]:
    notes = []
    if told.clipped_fraction > 0:
        notes.append("weights were clipped: the estimate leans to 0")
    if told.estimate is not None and told.uncovered_fraction > 0:
        notes.append("the interval covers whatever the untried choices may be worth")
    if told.estimate is not None and told.mean_weight and abs(told.mean_weight - 1) > 0.2:
        notes.append("the mean weight is far from 1: the logged probabilities are in doubt")
    return tuple(notes)
