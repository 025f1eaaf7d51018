"""What another policy would have delivered, from what one delivered: inverse propensity scoring.

A logged choice a with probability p(a|x) and reward r tells of a policy that makes it with
probability q(a|x) by the weight w = q/p:

- IPS: mean of w·r over all n decisions (Horvitz and Thompson, JASA 1952; for logged decisions
  Bottou et al., JMLR 2013), unbiased where p > 0 wherever q > 0;
- self-normalised: mean of m times Σ w·r / Σ w (Swaminathan and Joachims, NeurIPS 2015), where
  m is the policy's mass on variants; biased by O(1/n) and far less spread out;
- weights are cut at `clip`, by default √n (Ionides, JCGS 2008), which biases towards 0;
- effective samples: (Σ w)² / Σ w² (Kish, 1965).

Neighbouring decisions share a queue, so the 95 % intervals come from a jackknife over blocks of
neighbours. What the policy would choose and the log never tried cannot be weighed: up to
`MAX_UNCOVERED` of it widens the interval by all that it could be worth, more gives no estimate.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from edgewise.intervals import student_quantile
from edgewise.selection.profiles.table import Floats

#: Largest part of a policy's choices that the log may lack.
MAX_UNCOVERED = 0.05
#: Fewer effective samples than this make no interval that can be believed.
MIN_EFFECTIVE = 30.0
_BLOCKS = 50


@dataclass(frozen=True, eq=False)
class Weighed:
    """The n decisions of a log as another policy sees them, in order of time; all of shape (n,).

    `weight` is q/p of what was chosen, 0 where it was no variant; `mass` the probability that the
    policy picks any variant (0 where it refuses, or where nothing could have been delivered);
    `uncovered` the part of `mass` on variants that the log had no chance to try.
    """

    weight: Floats
    mass: Floats
    uncovered: Floats


@dataclass(frozen=True)
class Value:
    """An estimate of a mean reward with its interval, None where the log cannot tell."""

    estimate: float | None
    ci95: tuple[float, float] | None
    ips: float | None
    ips_ci95: tuple[float, float] | None
    effective_samples: float
    mean_weight: float
    uncovered_fraction: float
    clip: float
    clipped_fraction: float
    reason: str | None = None


def value(log: Weighed, reward: Floats, best: float, clip: float | None = None) -> Value:
    """The mean reward that the policy would have had.

    Args:
        log: the decisions.
        reward: of each decision, shape (n,), from 0 to `best`.
        best: the largest reward there can be: what is uncovered is worth at most this.
        clip: largest weight; None: √n.
    """
    n = len(reward)
    clip = math.sqrt(n) if clip is None else clip
    weight = np.minimum(log.weight, clip)
    total, mass = float(weight.sum()), float(log.mass.sum())
    effective = total**2 / float((weight**2).sum()) if total > 0 else 0.0
    uncovered = float(log.uncovered.sum()) / mass if mass > 0 else 0.0
    covered = mass - float(log.uncovered.sum())
    chosen = log.weight > 0
    told = Value(
        estimate=None,
        ci95=None,
        ips=None,
        ips_ci95=None,
        effective_samples=effective,
        mean_weight=float(log.weight.sum()) / covered if covered > 0 else 0.0,
        uncovered_fraction=uncovered,
        clip=clip,
        clipped_fraction=float((log.weight > clip).sum() / max(chosen.sum(), 1)),
    )
    if mass == 0:  # it refuses all, or nothing could be delivered: known for certain
        return replace(told, estimate=0.0, ci95=(0.0, 0.0), ips=0.0, ips_ci95=(0.0, 0.0))
    if reason := _unable(uncovered, effective):
        return replace(told, reason=reason)
    # What was never tried is worth from 0 to the best; the plain mean counts it as 0 already.
    untried = best * float(log.uncovered.sum()) / n
    estimate, (low, high) = _jackknife(weight, weight * reward, log.mass)
    plain, (plain_low, plain_high) = _jackknife(None, weight * reward, log.mass)
    return replace(
        told,
        estimate=estimate,
        ci95=(max(low - untried, 0.0), min(high + untried, best)),
        ips=plain,
        ips_ci95=(max(plain_low, 0.0), min(plain_high + untried, best)),
    )


def _unable(uncovered: float, effective: float) -> str | None:
    if uncovered > MAX_UNCOVERED:
        return (
            f"{100 * uncovered:.0f} % of this policy's choices were never tried in the log where "
            "it would make them: log some traffic with a policy that tries all, such as exploration"
        )
    if effective < MIN_EFFECTIVE:
        return f"{effective:.0f} effective samples are too few: log longer, or more alike"
    return None


def _jackknife(
    weight: Floats | None, weighed: Floats, mass: Floats
) -> tuple[float, tuple[float, float]]:
    """The estimate and its interval, by leaving out one block of neighbours after the other.

    With `weight` the self-normalised one, else the plain mean.
    """
    n = len(weighed)
    blocks = min(_BLOCKS, n)
    edges = np.linspace(0, n, blocks + 1).astype(np.intp)[:-1]

    def without(values: Floats) -> tuple[float, Floats]:
        total = float(values.sum())
        return total, total - np.add.reduceat(values, edges)

    counts = n - np.diff(np.append(edges, n))
    rewards, rewards_left = without(weighed)
    if weight is None:
        estimate, left = rewards / n, rewards_left / counts
    else:
        (weights, weights_left), (masses, masses_left) = without(weight), without(mass)
        estimate = masses / n * rewards / weights
        # A block with all the weight leaves nothing to go by; the estimate then is as good a guess.
        ratio = np.divide(
            rewards_left, weights_left,
            out=np.full(blocks, rewards / weights), where=weights_left > 1e-12 * weights,
        )  # fmt: skip
        left = masses_left / counts * ratio
    error = math.sqrt((blocks - 1) / blocks * float(((left - left.mean()) ** 2).sum()))
    half = student_quantile(0.95, max(blocks - 1, 1)) * error
    return estimate, (estimate - half, estimate + half)
