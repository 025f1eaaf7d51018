"""The published policies once more, from the specification alone: plain Python, no arrays.

`choices` gives the probability of every model, which is all that a policy is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Model(NamedTuple):
    name: str
    accuracy: float
    mean: float
    std: float


def better(a: Model, b: Model) -> bool:
    """Higher accuracy, then smaller mean, then name."""
    return (-a.accuracy, a.mean, a.name) < (-b.accuracy, b.mean, b.name)


def best(models: Sequence[Model]) -> Model:
    found = models[0]
    for model in models[1:]:
        if better(model, found):
            found = model
    return found


def fastest(models: Sequence[Model]) -> Model:
    quickest = min(model.mean for model in models)
    return best([model for model in models if model.mean == quickest])


def only(model: Model) -> dict[str, float]:
    return {model.name: 1.0}


def weighted(models: Sequence[Model], weights: Sequence[float]) -> dict[str, float]:
    total = math.fsum(weights)
    if total == 0:
        return {model.name: 1 / len(models) for model in models}
    return {m.name: w / total for m, w in zip(models, weights, strict=True) if w > 0}


def choices(
    policy: str,
    models: Sequence[Model],
    sla: float,
    budget: float,
    gamma: float = 1.0,
    threshold: float = 0.0,
    exclude_dominated: bool = False,
) -> dict[str, float]:
    accuracies = [model.accuracy for model in models]
    if policy == "fastest":
        return only(fastest(models))
    if policy == "most_accurate":
        return only(best(models))
    if policy == "random":
        return weighted(models, [1.0] * len(models))
    if policy == "exploration":
        return weighted(models, accuracies)
    if policy == "greedy":
        fitting = [model for model in models if model.mean < sla]
        return only(best(fitting) if fitting else fastest(models))
    eligible = [model for model in models if model.mean + gamma * model.std < budget]
    if not eligible:
        return only(fastest(models))
    if policy == "budget_uniform":
        return weighted(eligible, [1.0] * len(eligible))
    if policy == "budget_weighted":
        return weighted(eligible, [model.accuracy for model in eligible])
    if policy == "mdinference":
        return only(best(eligible))
    assert policy == "cnnselect"
    return cnnselect(models, eligible, budget, threshold, exclude_dominated)


def cnnselect(
    models: Sequence[Model],
    eligible: Sequence[Model],
    budget: float,
    threshold: float,
    exclude_dominated: bool,
) -> dict[str, float]:
    target = budget - threshold
    bases = [model for model in eligible if model.mean < target]
    if not bases:
        return only(fastest(models))
    base = best(bases)
    near = [m for m in eligible if abs(m.mean - target) <= abs(target - base.mean) + base.std]
    if exclude_dominated:
        near = [m for m in near if not any(dominates(other, m) for other in near)]
    utilities = [
        max(0.0, m.accuracy * (budget - (m.mean + m.std)) / max(abs(target - m.mean), 0.001))
        for m in near
    ]
    return weighted(near, utilities) if any(utilities) else only(base)


def dominates(a: Model, b: Model) -> bool:
    no_worse = a.accuracy >= b.accuracy and a.mean <= b.mean
    return no_worse and (a.accuracy > b.accuracy or a.mean < b.mean)
