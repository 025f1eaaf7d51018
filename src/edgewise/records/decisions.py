"""What a service decided, with what probability, and what came of it."""

from __future__ import annotations

from typing import Literal

import msgspec

from edgewise.records.base import Record

DecisionOutcome = Literal["answered", "shed", "failed", "cancelled"]


class Decision(Record, frozen=True):
    """One request to a service, as its policy saw it, and how it ended. Times in ms.

    `at` is in UTC. `budget_ms` is what the network left of the deadline `sla_ms`, by the word of
    `basis`; both null without a deadline. `backlog_ms` is the unfinished work per worker and
    `queue_length` the number of queued requests that it met, null where it failed, was cancelled
    or met no worker. `probability` is that of the `variant` among `probabilities`, which hold every
    variant that the policy could have picked; they are empty where it was not asked: pinned to a
    variant, or refused or cancelled before the choice.
    `in_time` is null without a deadline or without an answer. `reason` says why a request was
    shed or failed.
    """

    at: str
    request_id: str
    family: str
    policy: str
    outcome: DecisionOutcome
    sla_ms: float | None
    budget_ms: float | None
    basis: str
    backlog_ms: float | None = None
    queue_length: int | None = None
    variant: str | None = None
    probability: float | None = None
    probabilities: dict[str, float] = msgspec.field(default_factory=dict)
    pinned: bool = False
    probe: bool = False
    accuracy: float | None = None
    queue_ms: float | None = None
    inference_ms: float | None = None
    service_ms: float | None = None
    total_ms: float | None = None
    in_time: bool | None = None
    reason: str | None = None


class OffPolicyEstimate(Record, frozen=True):
    """What another policy would have delivered on the requests of a decision log.

    `effective_accuracy` in percent and `attainment` as a fraction, over all `decisions` that were
    used, by self-normalised inverse propensity scoring with 95 % intervals; `ips_…` without the
    normalisation. Null where the log cannot tell, and `reason` says why. `logged_…` is what was
    delivered. `effective_samples` is Kish's (Σw)²/Σw², `mean_weight` near 1 where the log's
    probabilities are right, `uncovered_fraction` how much of the policy's choices the log never
    tried, `clipped_fraction` how many weights were cut to `clip`. `left_out` counts requests that
    were no choice of the policy, by why. `usage` maps variants to the fraction of choices.
    """

    policy: str
    log: str
    family: str
    decisions: int
    logged_effective_accuracy: float | None
    logged_attainment: float | None
    effective_accuracy: float | None
    effective_ci95: tuple[float, float] | None
    attainment: float | None
    attainment_ci95: tuple[float, float] | None
    ips_effective_accuracy: float | None
    ips_effective_ci95: tuple[float, float] | None
    effective_samples: float
    mean_weight: float
    uncovered_fraction: float
    clip: float
    clipped_fraction: float
    usage: dict[str, float]
    left_out: dict[str, int]
    reason: str | None = None
    notes: tuple[str, ...] = ()
