"""A set of profiles as arrays: what policies decide from and the simulator draws from."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from edgewise.errors import InputError, UsageError
from edgewise.records import Profile

Floats = NDArray[np.float64]

#: Levels of a table's quantiles: the midpoints of 256 equal slices of probability.
LEVELS: Floats = (np.arange(256) + 0.5) / 256

#: One quantile says less about a distribution than its moments do.
ENOUGH = 2
#: As many are the distribution; between fewer, and beyond them, it has to be completed.
_MANY = 64
#: No service takes eleven days; sums of such times keep their digits.
LONGEST_MS = 1e9


@dataclass(frozen=True, eq=False)
class ProfileTable:
    """Profiles of the M models of a family, best first: accuracy, then mean time, then name.

    The order makes ties fall as specified: of several models the one to prefer has the smallest
    index. Times are in ms, accuracies in percent.
    """

    name: str
    profiles: tuple[Profile, ...]
    #: What was chosen, and left out, to get them.
    notes: tuple[str, ...] = ()

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Names, M of them."""
        return tuple(profile.model for profile in self.profiles)

    @cached_property
    def accuracy(self) -> Floats:
        """Percent, shape (M,), falling."""
        return np.array([profile.accuracy for profile in self.profiles], dtype=np.float64)

    @cached_property
    def mean_ms(self) -> Floats:
        """Mean hot service time, shape (M,)."""
        return np.array([profile.mean_ms for profile in self.profiles])

    @cached_property
    def std_ms(self) -> Floats:
        """Its standard deviation, shape (M,)."""
        return np.array([profile.std_ms for profile in self.profiles])

    @cached_property
    def quantiles_ms(self) -> Floats:
        """Service time at `LEVELS`, shape (M, 256): the empirical quantiles where the profile
        has them (completed where they are few), else those of its normal, redrawn until
        positive."""
        return np.stack([_quantiles(profile) for profile in self.profiles])

    @cached_property
    def empirical(self) -> bool:
        """Whether a profile has quantiles of its own, so that normals would lose something."""
        return any(len(profile.quantiles_ms) >= ENOUGH for profile in self.profiles)

    @cached_property
    def fastest(self) -> int:
        """Index of the model with the smallest mean; of equal ones the most accurate."""
        return int(np.argmin(self.mean_ms))

    def __len__(self) -> int:
        return len(self.profiles)

    def index(self, model: str) -> int:
        """Index of a model by name.

        Raises:
            UsageError: there is no such model in the table.
        """
        try:
            return self.models.index(model)
        except ValueError:
            known = ", ".join(self.models)
            raise UsageError(
                f"no model '{model}' in the profiles '{self.name}'", hint=f"there are: {known}"
            ) from None

    def without(self, models: Iterable[str]) -> ProfileTable:
        """The same table with some models left out."""
        gone = set(models)
        kept = table(self.name, (p for p in self.profiles if p.model not in gone))
        return replace(kept, notes=self.notes)


def table(name: str, profiles: Iterable[Profile]) -> ProfileTable:
    """Profiles, checked and ordered.

    Raises:
        InputError: no profile, a duplicate, an accuracy that is missing or outside 0…100, a time
            that is not a positive finite number.
    """
    kept = tuple(profiles)
    if not kept:
        raise InputError(f"the profile set '{name}' is empty")
    seen: set[str] = set()
    for profile in kept:
        _check(name, profile)
        if profile.model in seen:
            raise InputError(f"the profile set '{name}' lists the model '{profile.model}' twice")
        seen.add(profile.model)
    return ProfileTable(name, tuple(sorted(kept, key=_preference)))


def _preference(profile: Profile) -> tuple[float, float, str]:
    return (-(profile.accuracy or 0.0), profile.mean_ms, profile.model)


def _check(name: str, profile: Profile) -> None:
    if not profile.model.strip():
        raise InputError(f"the profile set '{name}' has a model without a name")
    where = f"model '{profile.model}' of the profile set '{name}'"
    if profile.accuracy is None:
        raise InputError(
            f"{where} has no accuracy", hint="measure it with: edgewise eval … --store"
        )
    if not 0 <= profile.accuracy <= 100:
        raise InputError(f"{where} has an accuracy of {profile.accuracy}, not 0 to 100 percent")
    if not (math.isfinite(profile.mean_ms) and profile.mean_ms > 0):
        raise InputError(f"{where} has a mean time of {profile.mean_ms} ms, not a positive number")
    if max(profile.mean_ms, profile.std_ms) > LONGEST_MS:
        raise InputError(f"{where} has times above {LONGEST_MS:g} ms", hint="times are in ms")
    if not (math.isfinite(profile.std_ms) and profile.std_ms >= 0):
        raise InputError(f"{where} has a deviation of {profile.std_ms} ms, not zero or more")
    if profile.cold_ms is not None and not (math.isfinite(profile.cold_ms) and profile.cold_ms > 0):
        raise InputError(f"{where} has a cold time of {profile.cold_ms} ms, not a positive number")
    levels = [level for level, _ in profile.quantiles_ms]
    times = [ms for _, ms in profile.quantiles_ms]
    if levels != sorted(set(levels)) or not all(0 < level < 1 for level in levels):
        raise InputError(f"{where} has quantile levels that do not rise between 0 and 1")
    if times != sorted(times) or not all(math.isfinite(ms) and ms > 0 for ms in times):
        raise InputError(f"{where} has quantiles that do not rise or are not positive")


def _quantiles(profile: Profile) -> Floats:
    if len(profile.quantiles_ms) >= ENOUGH:
        return whole(profile.quantiles_ms)
    if profile.std_ms == 0:
        return np.full(len(LEVELS), profile.mean_ms)
    normal = NormalDist(profile.mean_ms, profile.std_ms)
    below = normal.cdf(0.0)
    return np.array([normal.inv_cdf(below + (1 - below) * level) for level in LEVELS])


def whole(quantiles_ms: tuple[tuple[float, float], ...]) -> Floats:
    """A distribution at `LEVELS` from at least two of its quantiles, rising and positive."""
    levels, times = zip(*quantiles_ms, strict=True)
    if len(levels) < _MANY:
        return _completed(levels, times)
    interpolated: Floats = np.interp(LEVELS, levels, times)
    return interpolated


def _completed(levels: tuple[float, ...], times_ms: tuple[float, ...]) -> Floats:
    """A few quantiles as a whole distribution: log time is linear in the normal score between two
    of them, and goes on beyond the outermost ones as it does next to them. So a lognormal comes
    out as it went in, and a tail that was told only up to the 95th percentile does not end there.
    """
    normal = NormalDist()
    scores = np.array([normal.inv_cdf(level) for level in levels])
    logs = np.log(times_ms)
    wanted = np.array([normal.inv_cdf(level) for level in LEVELS])
    slopes = np.diff(logs) / np.diff(scores)
    found = np.interp(wanted, scores, logs)
    found += np.minimum(wanted - scores[0], 0.0) * slopes[0]
    found += np.maximum(wanted - scores[-1], 0.0) * slopes[-1]
    return np.asarray(np.exp(np.clip(found, math.log(1e-9), math.log(LONGEST_MS))))
