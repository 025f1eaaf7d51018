"""Variations of a set-up, by variants or by chance, and what several runs say together.

What is expected of another run is Student's interval of the next value (`intervals.of_next`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
from msgspec import structs

from edgewise import intervals
from edgewise.records import Profile, SimulationRow
from edgewise.selection.policies.protocol import Indices
from edgewise.selection.profiles.sources import gather
from edgewise.selection.profiles.table import table
from edgewise.selection.workload.setup import Setup


def redrawn(setup: Setup, number: int) -> Setup:
    """The same set-up with other random numbers, and with profiles that differ from what they say
    by as much as n times or a set of so many inputs leave open. Samples are drawn again."""
    seed = setup.seed + 1000 * number
    rng = np.random.default_rng([seed, number])
    samples = setup.samples
    if samples is not None:
        rows = rng.integers(0, len(samples), len(samples))
        return _of_samples(replace(setup, seed=seed), setup.table.models, rows)
    profiles = [_redrawn(profile, rng) for profile in setup.table.profiles]
    return replace(setup, seed=seed, table=table(setup.table.name, profiles))


def _redrawn(profile: Profile, rng: np.random.Generator) -> Profile:
    of_time, of_accuracy = rng.standard_normal(2)
    longer, accuracy = 1.0, profile.accuracy or 0.0
    if profile.n and profile.n > 1:
        error = profile.std_ms / profile.mean_ms / profile.n**0.5
        longer = float(np.exp(error * of_time))
    if profile.accuracy_ci95 is not None:
        low, high = profile.accuracy_ci95
        accuracy = min(
            max(accuracy + (high - low) / (2 * intervals.Z95) * float(of_accuracy), 0.0), 100.0
        )
    return structs.replace(
        profile,
        accuracy=accuracy,
        mean_ms=profile.mean_ms * longer,
        std_ms=profile.std_ms * longer,
        quantiles_ms=tuple((level, ms * longer) for level, ms in profile.quantiles_ms),
    )


def with_models(setup: Setup, models: Sequence[str]) -> Setup:
    kept = setup.table.without(set(setup.table.models) - set(models))
    if setup.samples is None:
        return replace(setup, table=kept)
    return _of_samples(setup, kept.models, np.arange(len(setup.samples)))


def _of_samples(setup: Setup, models: Sequence[str], rows: Indices) -> Setup:
    """With some of the samples' models and requests."""
    samples = setup.samples
    assert samples is not None
    columns = np.array([setup.table.index(model) for model in models])
    cells = np.ix_(rows, columns)
    fewer = gather(
        setup.table.name,
        tuple(models),
        samples.service_ms[cells],
        samples.correct[cells],
        None if samples.load_ms is None else samples.load_ms[cells],
        None if samples.confidence is None else samples.confidence[cells],
    )
    return replace(setup, table=fewer.table, samples=fewer)


def merged(rows: Sequence[SimulationRow]) -> SimulationRow:
    """The mean of several runs; its intervals are those in which another run comes to lie."""

    def mean(values: Iterable[float | None]) -> float | None:
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    models = dict.fromkeys(model for row in rows for model in row.usage)
    refused = mean(row.refused for row in rows)
    attainments = [row.attainment for row in rows]
    effective = [row.effective_accuracy for row in rows]
    return structs.replace(
        rows[0],
        accuracy=mean(row.accuracy for row in rows),
        attainment=sum(attainments) / len(rows),
        effective_accuracy=sum(effective) / len(rows),
        mean_ms=mean(row.mean_ms for row in rows),
        p99_ms=mean(row.p99_ms for row in rows),
        usage={m: sum(row.usage.get(m, 0.0) for row in rows) / len(rows) for m in models},
        refused=None if refused is None else round(refused),
        fluid_bound=mean(row.fluid_bound for row in rows),
        attainment_ci95=_within(of_next_attainment(rows), 1.0),
        effective_ci95=_within(intervals.of_next(effective), 100.0),
    )


def of_next_attainment(rows: Sequence[SimulationRow]) -> tuple[float, float]:
    """Where another run's attainment comes to lie. Its deviation is at least that of as many
    independent answers, which the search for a deadline would else find too small by chance."""
    attainments = [row.attainment for row in rows]
    mean = sum(attainments) / len(rows)
    binomial_std = math.sqrt(mean * (1 - mean) / rows[0].requests)
    return intervals.of_next(attainments, least_std=binomial_std)


def _within(interval: tuple[float, float], most: float) -> tuple[float, float]:
    return max(interval[0], 0.0), min(interval[1], most)
