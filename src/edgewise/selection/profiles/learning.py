"""Profiles that follow samples: exponentially weighted, over a window, or over all of them.

The exponentially weighted rule is the one of CNNSelect's released code (α = 0.5 there):
σ² ← (1 − α)(σ² + α(x − μ)²), then μ ← αx + (1 − α)μ. Quantiles come from the last samples, with
the rule `history` from a sketch of all. The first sample after a load is cold and kept apart.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import msgspec
import numpy as np

from edgewise.errors import InputError, UsageError
from edgewise.records import Profile
from edgewise.selection.profiles.sketch import Sketch
from edgewise.selection.profiles.slowdown import Factors, by_batch_size, by_busy_workers
from edgewise.selection.profiles.table import LEVELS, ProfileTable, table

Rule = Literal["ewma", "window", "history"]
_LEVELS: tuple[float, ...] = tuple(LEVELS.tolist())
#: With fewer samples a deviation says nothing, and what was known before holds.
_ENOUGH = 2


@dataclass(frozen=True)
class Learning:
    """How to follow samples. `alpha` is the weight of a new one, `window` how many are kept."""

    rule: Rule = "window"
    alpha: float = 0.5
    window: int = 100

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 1:
            raise UsageError(f"alpha is {self.alpha}", hint="it is above 0 and at most 1")
        if self.window < _ENOUGH:
            raise UsageError(f"a window of {self.window} samples", hint=f"at least {_ENOUGH}")


class Learner:
    """One model's profile, following its samples. `prior` holds until there are enough."""

    def __init__(self, prior: Profile, how: Learning | None = None) -> None:
        self.prior = prior
        self.how = how or Learning()
        self.n = 0
        self.mean_ms = prior.mean_ms
        self.variance = prior.std_ms**2
        self.recent: deque[float] = deque(maxlen=self.how.window)
        self.history = Sketch()
        self.cold_n = 0
        self.cold_ms = 0.0
        self._updated: datetime | str | None = prior.updated_at

    @property
    def updated_at(self) -> str | None:
        """When the last sample came, in ISO 8601."""
        # Made when asked for: it takes as long as all the rest of following a sample.
        at = self._updated
        return at.isoformat() if isinstance(at, datetime) else at

    def observe(self, sample_ms: float, *, cold: bool = False, at: datetime | None = None) -> None:
        """Follow one sample.

        Raises:
            UsageError: a time that is not a positive finite number.
        """
        if not 0 < sample_ms < math.inf:
            raise UsageError(f"a sample of {sample_ms} ms for {self.prior.model}")
        self._updated = at or datetime.now(UTC)
        if cold:
            self.cold_n += 1
            self.cold_ms += (sample_ms - self.cold_ms) / self.cold_n
            return
        self.n += 1
        self.recent.append(sample_ms)
        self.history.add(sample_ms)
        if self.how.rule == "ewma":
            self._weigh(sample_ms)
        elif self.how.rule == "history":
            self._accumulate(sample_ms)

    def _weigh(self, x: float) -> None:
        alpha = self.how.alpha
        self.variance = (1 - alpha) * (self.variance + alpha * (x - self.mean_ms) ** 2)
        self.mean_ms = alpha * x + (1 - alpha) * self.mean_ms

    def _accumulate(self, x: float) -> None:
        """Welford's running mean and variance, from the first sample on."""
        if self.n == 1:
            self.mean_ms, self.variance = x, 0.0
            return
        distance = x - self.mean_ms
        self.mean_ms += distance / self.n
        self.variance += (distance * (x - self.mean_ms) - self.variance) / self.n

    def age_s(self, now: datetime | None = None) -> float | None:
        """Seconds since the last sample, None before any."""
        if self.updated_at is None:
            return None
        return (
            (now or datetime.now(UTC)) - datetime.fromisoformat(self.updated_at)
        ).total_seconds()

    def profile(self) -> Profile:
        """What is believed now."""
        if self.n < _ENOUGH and not (self.how.rule == "ewma" and self.n):
            return self.prior
        mean_ms, std_ms = self._moments()
        return Profile(
            model=self.prior.model,
            accuracy=self.prior.accuracy,
            mean_ms=mean_ms,
            std_ms=std_ms,
            n=self.n,
            quantiles_ms=self._quantiles(),
            cold_ms=self.cold_ms if self.cold_n else self.prior.cold_ms,
            origin="learned",
            source=self.how.rule,
            accuracy_source=self.prior.accuracy_source,
            updated_at=self.updated_at,
        )

    def _moments(self) -> tuple[float, float]:
        if self.how.rule == "window":
            recent = np.array(self.recent)
            return float(recent.mean()), float(recent.std(ddof=1))
        # Welford's variance above is over n; a sample's is over n − 1.
        unbiased = self.n / (self.n - 1) if self.how.rule == "history" else 1.0
        return self.mean_ms, math.sqrt(self.variance * unbiased)

    def _quantiles(self) -> tuple[tuple[float, float], ...]:
        if self.how.rule == "history":
            times = self.history.quantiles(LEVELS).tolist()
        else:
            times = np.quantile(np.array(self.recent), LEVELS).tolist()
        return tuple(zip(_LEVELS, times, strict=True))


class Learners:
    """The learners of a family, by model."""

    def __init__(self, priors: ProfileTable, how: Learning | None = None) -> None:
        self.name = priors.name
        self.how = how or Learning()
        self.by_model = {prior.model: Learner(prior, self.how) for prior in priors.profiles}
        #: How much slower work is while other workers are busy, by pool; and in batches.
        self.slowdown: dict[str, Factors] = {}
        self.batches: dict[str, Factors] = {}

    def slowdown_in(self, pool: str) -> Factors:
        """By the number of busy workers of a pool."""
        return self.slowdown.setdefault(pool, by_busy_workers())

    def batches_of(self, model: str) -> Factors:
        """By the size of a model's batches."""
        return self.batches.setdefault(model, by_batch_size())

    def observe(
        self, model: str, sample_ms: float, *, cold: bool = False, at: datetime | None = None
    ) -> None:
        """Follow one sample of one model.

        Raises:
            UsageError: an unknown model, or a time that is not a positive finite number.
        """
        if model not in self.by_model:
            raise UsageError(f"no model '{model}' in '{self.name}'")
        self.by_model[model].observe(sample_ms, cold=cold, at=at)

    def table(self) -> ProfileTable:
        """The profiles as they are now."""
        return table(self.name, (learner.profile() for learner in self.by_model.values()))

    def save(self, path: Path) -> None:
        """Keep everything in a JSON file; an interrupted save leaves the old one."""
        kept = _Kept(
            name=self.name,
            rule=self.how.rule,
            alpha=self.how.alpha,
            window=self.how.window,
            models=[_keep(learner) for learner in self.by_model.values()],
            slowdown={name: _keep_factors(each) for name, each in self.slowdown.items()},
            batches={name: _keep_factors(each) for name, each in self.batches.items()},
        )
        beside = path.with_name(path.name + ".part")
        beside.write_bytes(msgspec.json.encode(kept))
        beside.replace(path)

    @classmethod
    def load(cls, path: Path) -> Learners:
        """What `save` kept.

        Raises:
            InputError: the file cannot be read as learned profiles.
        """
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
            how = Learning(kept.rule, kept.alpha, kept.window)
            learners = cls(table(kept.name, (one.prior for one in kept.models)), how)
            learners.by_model = {one.prior.model: _restore(one, how) for one in kept.models}
            for name, factors in kept.slowdown.items():
                _restore_factors(learners.slowdown_in(name), factors)
            for name, factors in kept.batches.items():
                _restore_factors(learners.batches_of(name), factors)
        except (OSError, msgspec.DecodeError, ValueError, UsageError) as error:
            raise InputError(f"the learned profiles {path} cannot be read: {error}") from error
        return learners


class _KeptModel(msgspec.Struct):
    prior: Profile
    n: int
    mean_ms: float
    variance: float
    recent: list[float]
    history: dict[int, int]
    cold_n: int
    cold_ms: float
    updated_at: str | None


class _Kept(msgspec.Struct):
    name: str
    rule: Rule
    alpha: float
    window: int
    models: list[_KeptModel]
    #: By name and count: the factor, and the samples that it rests on.
    slowdown: dict[str, dict[int, tuple[float, float]]] = {}
    batches: dict[str, dict[int, tuple[float, float]]] = {}
    version: Literal[1] = 1


def _keep(learner: Learner) -> _KeptModel:
    return _KeptModel(
        prior=learner.prior,
        n=learner.n,
        mean_ms=learner.mean_ms,
        variance=learner.variance,
        recent=list(learner.recent),
        history=learner.history.to_sparse(),
        cold_n=learner.cold_n,
        cold_ms=learner.cold_ms,
        updated_at=learner.updated_at,
    )


def _keep_factors(factors: Factors) -> dict[int, tuple[float, float]]:
    return {count: (mean, factors.weight[count]) for count, mean in factors.mean.items()}


def _restore_factors(factors: Factors, kept: dict[int, tuple[float, float]]) -> None:
    for count, (mean, weight) in kept.items():
        if not (count > 1 and 0 < mean < math.inf and 0 <= weight < math.inf):
            raise ValueError(f"a factor of {mean} for {count}")
        factors.mean[count], factors.weight[count] = mean, weight


def _restore(kept: _KeptModel, how: Learning) -> Learner:
    times: Iterable[float] = (kept.mean_ms, *kept.recent)
    if kept.n < 0 or kept.cold_n < 0 or not all(0 < time < math.inf for time in times):
        raise ValueError(f"{kept.prior.model} has a time or a count that is none")
    if not 0 <= kept.variance < math.inf:
        raise ValueError(f"{kept.prior.model} has a variance of {kept.variance}")
    learner = Learner(kept.prior, how)
    learner.n, learner.mean_ms, learner.variance = kept.n, kept.mean_ms, kept.variance
    learner.recent.extend(kept.recent)
    learner.history = Sketch.from_sparse(kept.history)
    learner.cold_n, learner.cold_ms = kept.cold_n, kept.cold_ms
    learner._updated = kept.updated_at
    return learner
