"""`cascade`: a cheap answer first, a costly one where the cheap one is unsure and time allows.

The cheap answer is kept where its confidence is at least τ. The threshold is chosen on labelled
inputs for a stated risk by conformal risk control (Angelopoulos, Bates et al., ICLR 2024): with
the loss of input i

    L_i(τ) = 1 if the cheap answer is kept and wrong where the costly one is right, else 0,

which falls as τ rises, the smallest τ with (Σ L_i(τ) + 1) / (n + 1) ≤ risk has an expected loss of
at most `risk` on a new input that is exchangeable with those n. On inputs of another mix it has
none: watch the confidences, and calibrate again.

The cheap answer is held while the costly one runs, and given where that would be late.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgewise.errors import UsageError
from edgewise.selection.policies.protocol import Chooser
from edgewise.selection.profiles.sources import Samples, gather
from edgewise.selection.profiles.table import Floats, ProfileTable

Flags = NDArray[np.bool_]
Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Cascade:
    """A cheap model, and a costly one where that is unsure; `risk` in percent of inputs.

    Without names, `costly` is the most accurate model and `cheap` the one furthest above the line
    from the fastest model to the costly one, accuracy over time. That is looked up on every fourth
    sample and the threshold on the others: what chose the model can no longer bound its risk.
    """

    kind: ClassVar[str] = "cascade"
    cheap: str = ""
    costly: str = ""
    risk: float = 2.0

    def __post_init__(self) -> None:
        if not 0 < self.risk < 100:
            raise UsageError(f"cascade: a risk of {self.risk} %", hint="it lies between 0 and 100")
        if self.cheap and self.cheap == self.costly:
            raise UsageError(f"cascade: '{self.cheap}' is both the cheap and the costly model")

    @property
    def name(self) -> str:
        """`cascade`, with the parameters that are not at their defaults."""
        words = [f"{key}={getattr(self, key)}" for key in ("cheap", "costly") if getattr(self, key)]
        return ":".join([self.kind, *words, *([f"risk={self.risk:g}"] if self.risk != 2 else [])])

    def on(self, table: ProfileTable, network_error_ms: Floats | None = None) -> Chooser:
        """Raises UsageError: profiles have no confidences."""
        raise UsageError(
            f"the profiles '{table.name}' have no confidence per request, which cascade goes by",
            hint="give --profiles a file of samples with a column 'confidence'",
        )


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A chance that rises with the confidence, as steps: `chance[i]` from `edges[i]` on."""

    edges: Floats
    chance: Floats

    def at(self, confidence: Floats) -> Floats:
        """Chance per input, (n,) → (n,); below the first edge that of the first step."""
        return self.chance[np.maximum(np.searchsorted(self.edges, confidence, side="right") - 1, 0)]


def calibrate(confidence: Floats, right: Flags) -> Calibrated:
    """Isotonic regression of being right on the confidence, by pooling adjacent violators
    (Ayer et al. 1955); equal confidences are pooled first. Shapes (n,)."""
    edges, first, counts = np.unique(confidence, return_inverse=True, return_counts=True)
    hits = np.bincount(first, weights=right)
    blocks: list[tuple[float, float, float]] = []
    for edge, hit, count in zip(edges.tolist(), hits.tolist(), counts.tolist(), strict=True):
        start, sum_hit, size = edge, hit, float(count)
        while blocks and blocks[-1][1] * size >= sum_hit * blocks[-1][2]:
            before = blocks.pop()
            start, sum_hit, size = before[0], sum_hit + before[1], size + before[2]
        blocks.append((start, sum_hit, size))
    return Calibrated(
        np.array([start for start, _, _ in blocks]), np.array([hit / n for _, hit, n in blocks])
    )


def threshold(confidence: Floats, lost: Flags, risk: float) -> float:
    """The smallest τ that conformal risk control allows; inf: always escalate.

    Args:
        confidence: of the cheap answer, (n,).
        lost: whether keeping it loses an answer, (n,).
        risk: bound on the share of inputs so lost, 0 to 1.
    """
    allowed = int(np.floor(risk * (len(lost) + 1) - 1 + 1e-9))
    if allowed < 0:
        return float("inf")
    order = np.argsort(-confidence, kind="stable")
    falling, losses = confidence[order], np.cumsum(lost[order])
    # Only where the confidence changes is a threshold between two inputs.
    last_of_equal = np.append(falling[1:] != falling[:-1], True)
    fits = np.flatnonzero(last_of_equal & (losses <= allowed))
    return float(falling[fits[-1]]) if len(fits) else float("inf")


@dataclass(frozen=True, eq=False)
class Fitted:
    """A cascade of two models of a table, ready to decide.

    `cheap` and `costly` are their indices; `cheap_right`, `costly_right` the chances of being
    right given the confidence of the cheap one; `costly_ms` the costly one's times, sorted.
    """

    cheap: int
    costly: int
    threshold: float
    cheap_right: Calibrated
    costly_right: Calibrated
    costly_ms: Floats

    def escalates(self, confidence: Floats, left_ms: Floats, price: float = 0.0) -> Flags:
        """Whether to run the costly model too.

        Args:
            confidence: of the cheap answers, (n,).
            left_ms: what is left of the budget after them, (n,).
            price: points that the work costs later requests (`DeadlinePolicy.price_ms`). Where
                there is one, the risk is bounded only among what is worth it.
        """
        in_time = np.searchsorted(self.costly_ms, left_ms, side="right") / len(self.costly_ms)
        unsure = (confidence < self.threshold) & (in_time > 0)
        if price <= 0:
            return np.asarray(unsure)
        gain = self.costly_right.at(confidence) - self.cheap_right.at(confidence)
        return np.asarray(unsure & (100 * in_time * gain > price))


def fit(samples: Samples, cascade: Cascade, rows: Rows | None = None) -> Fitted:
    """Threshold and calibration of a cascade from labelled samples, or from some rows of them.

    Raises:
        UsageError: the samples have no confidence, or no such model, or only one.
    """
    confidence_of(samples)
    table = samples.table
    rows = np.arange(len(samples)) if rows is None else rows
    costly = table.index(cascade.costly) if cascade.costly else 0
    if cascade.cheap:
        return _fit_pair(samples, rows, table.index(cascade.cheap), costly, cascade.risk)
    choosing, rest = rows[::4], np.delete(rows, np.s_[::4])
    return _fit_pair(samples, rest, _knee(samples, choosing, costly), costly, cascade.risk)


def _knee(samples: Samples, rows: Rows, costly: int) -> int:
    """The model furthest above the line from the fastest to the costly one."""
    time_ms = samples.service_ms[rows].mean(axis=0)
    right = samples.correct[rows].mean(axis=0)
    fastest = int(np.argmin(time_ms))
    if fastest == costly:
        raise UsageError(f"cascade: no model is faster than '{samples.table.models[costly]}'")
    slope = (right[costly] - right[fastest]) / (time_ms[costly] - time_ms[fastest])
    above = right - slope * time_ms
    above[costly] = -np.inf
    return int(np.argmax(above))


def _fit_pair(samples: Samples, rows: Rows, cheap: int, costly: int, risk: float) -> Fitted:
    sure = confidence_of(samples)[rows, cheap]
    cheap_right, costly_right = samples.correct[rows, cheap], samples.correct[rows, costly]
    return Fitted(
        cheap,
        costly,
        threshold(sure, ~cheap_right & costly_right, risk / 100),
        calibrate(sure, cheap_right),
        calibrate(sure, costly_right),
        np.sort(samples.service_ms[rows, costly]),
    )


def confidence_of(samples: Samples) -> Floats:
    """Confidences, shape (n, M).

    Raises:
        UsageError: the samples have none.
    """
    if samples.confidence is None:
        raise UsageError(
            f"the samples '{samples.table.name}' have no confidence, which cascade goes by",
            hint="add a column 'confidence'",
        )
    return samples.confidence


class Served(NamedTuple):
    """What a cascade made of n inputs, all (n,): the time its answer took, whether that is right,
    how confident it is, whether the costly model ran, and whether its answer was used."""

    time_ms: Floats
    right: Flags
    confidence: Floats
    escalated: Flags
    replaced: Flags


def serve(
    samples: Samples, fitted: Fitted, rows: Rows, budget_ms: Floats | float = np.inf
) -> Served:
    """Send rows of samples through a fitted cascade, each with a budget, (n,) or one for all.

    An escalation that would end after the budget gives the cheap answer when the budget ends.
    """
    confidence = confidence_of(samples)
    cheap, costly = fitted.cheap, fitted.costly
    cheap_ms = samples.service_ms[rows, cheap]
    both_ms = cheap_ms + samples.service_ms[rows, costly]
    escalated = fitted.escalates(confidence[rows, cheap], budget_ms - cheap_ms)
    replaced = escalated & (both_ms <= budget_ms)
    held_ms = np.where(escalated, np.maximum(budget_ms, cheap_ms), cheap_ms)
    return Served(
        np.where(replaced, both_ms, held_ms),
        np.where(replaced, samples.correct[rows, costly], samples.correct[rows, cheap]),
        np.where(replaced, confidence[rows, costly], confidence[rows, cheap]),
        escalated,
        replaced,
    )


def halves(n: int) -> tuple[Rows, Rows]:
    """Interleaved halves of n samples: each is served by what the other calibrated."""
    return np.arange(0, n, 2), np.arange(1, n, 2)


def cross_fitted(samples: Samples, cascade: Cascade) -> tuple[Fitted, Fitted]:
    """The cascade to serve even rows with, calibrated on the odd ones; and the other way."""
    even, odd = halves(len(samples))
    return fit(samples, cascade, odd), fit(samples, cascade, even)


def with_cascades(samples: Samples, cascades: Sequence[Cascade]) -> Samples:
    """Samples with each cascade as a further model, its times and answers those of both models.

    So `deadline` weighs a cascade against any other model, and an escalation pays its price. Each
    half of the samples is served by thresholds from the other half.

    Raises:
        UsageError: as `fit`.
    """
    n, own = len(samples), confidence_of(samples)
    columns = [
        (samples.service_ms[:, model], samples.correct[:, model], own[:, model])
        for model in range(len(samples.table))
    ]
    for cascade in cascades:
        time_ms, right, sure = np.empty(n), np.empty(n, dtype=bool), np.empty(n)
        for rows, fitted in zip(halves(n), cross_fitted(samples, cascade), strict=True):
            done = serve(samples, fitted, rows)
            time_ms[rows], right[rows], sure[rows] = done.time_ms, done.right, done.confidence
        columns.append((time_ms, right, sure))
    models = (*samples.table.models, *(cascade.name for cascade in cascades))
    service_ms = np.stack([times for times, _, _ in columns], axis=1)
    correct = np.stack([right for _, right, _ in columns], axis=1)
    confidence = np.stack([sure for _, _, sure in columns], axis=1)
    return gather(samples.table.name, models, service_ms, correct, None, confidence)
