"""The policies of the publications that need one comparison per request, and the trivial ones.

Each is a table over the deadline or the budget: sorted edges, and what is chosen between them,
so that a choice is one binary search. Sources: the public simulator of MDInference (Ogden and
Guo, IC2E 2020) and CNNSelect's paper by the same group, for `greedy`, `mdinference` and the
random baselines.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from edgewise.errors import UsageError
from edgewise.selection.policies.protocol import Indices, check_many, check_one
from edgewise.selection.profiles.table import Floats, ProfileTable


@dataclass(frozen=True, eq=False)
class Steps:
    """One model per interval of the deadline or of the budget.

    `choices[i]` is taken where exactly i of the `edges` lie below the value: shapes (K,), (K+1,).
    """

    edges: Floats
    choices: Indices
    by_deadline: bool = False

    @cached_property
    def _lists(self) -> tuple[list[float], list[int]]:
        return self.edges.tolist(), self.choices.tolist()

    def choose(self, sla_ms: float, budget_ms: float, draw: float) -> int:
        """One binary search; `draw` is not used."""
        check_one(sla_ms, budget_ms)
        edges, choices = self._lists
        return choices[bisect_left(edges, sla_ms if self.by_deadline else budget_ms)]

    def choose_many(self, sla_ms: float, budget_ms: Floats, draw: Floats) -> Indices:
        """The same for an array."""
        check_many(sla_ms, budget_ms)
        if self.by_deadline or len(self.choices) == 1:
            one = self.choices[np.searchsorted(self.edges, sla_ms) if self.by_deadline else 0]
            return np.full(len(budget_ms), one)
        return self.choices[np.searchsorted(self.edges, budget_ms)]

    def probabilities(self, sla_ms: float, budget_ms: float) -> dict[int, float]:
        """It draws no lots."""
        return {self.choose(sla_ms, budget_ms, 0.0): 1.0}


@dataclass(frozen=True, eq=False)
class Lottery:
    """A draw among the models whose need lies below the budget, by cumulated weight.

    `edges` are the needs in rising order, `models` the models in that order, `cumulated` the sums
    of their weights so far: all of shape (M,). A weight of 0 is an interval without a width and
    never drawn; where all that are eligible weigh nothing, the draw is uniform.
    """

    edges: Floats
    models: Indices
    cumulated: Floats
    fastest: int

    @cached_property
    def _lists(self) -> tuple[list[float], list[int], list[float]]:
        return self.edges.tolist(), self.models.tolist(), self.cumulated.tolist()

    def choose(self, sla_ms: float, budget_ms: float, draw: float) -> int:
        """Two binary searches."""
        check_one(sla_ms, budget_ms)
        edges, models, cumulated = self._lists
        eligible = bisect_left(edges, budget_ms)
        if eligible == 0:
            return self.fastest
        total = cumulated[eligible - 1]
        if total == 0:
            return models[int(draw * eligible)]
        return models[bisect_right(cumulated, draw * total, 0, eligible - 1)]

    def choose_many(self, sla_ms: float, budget_ms: Floats, draw: Floats) -> Indices:
        """The same for an array."""
        check_many(sla_ms, budget_ms)
        eligible = np.searchsorted(self.edges, budget_ms)
        total = self.cumulated[eligible - 1]
        tickets = np.searchsorted(self.cumulated, draw * total, side="right")
        if self.cumulated[0] == 0:
            tickets = np.where(total == 0, (draw * eligible).astype(np.intp), tickets)
        tickets = np.minimum(tickets, eligible - 1)
        return np.where(eligible > 0, self.models[tickets], self.fastest)

    def probabilities(self, sla_ms: float, budget_ms: float) -> dict[int, float]:
        """Weights of the eligible over their sum."""
        check_one(sla_ms, budget_ms)
        edges, models, cumulated = self._lists
        eligible = bisect_left(edges, budget_ms)
        if eligible == 0:
            return {self.fastest: 1.0}
        sums = [0.0, *cumulated[:eligible]]
        if sums[-1] == 0:
            return dict.fromkeys(models[:eligible], 1 / eligible)
        return {
            models[place]: (sums[place + 1] - sums[place]) / sums[-1]
            for place in range(eligible)
            if sums[place + 1] > sums[place]
        }


def _constant(model: int) -> Steps:
    return Steps(np.empty(0), np.array([model], dtype=np.intp))


def best_below(table: ProfileTable, need_ms: Floats, *, by_deadline: bool = False) -> Steps:
    """The most accurate model whose need is below the value; none is: the fastest."""
    edges: list[float] = []
    choices = [table.fastest]
    best = len(table)
    for model in np.lexsort((np.arange(len(table)), need_ms)).tolist():
        if model >= best:  # the table is ordered best first
            continue
        best = model
        if edges and edges[-1] == need_ms[model]:
            choices[-1] = model
        else:
            edges.append(float(need_ms[model]))
            choices.append(model)
    return Steps(np.array(edges), np.array(choices, dtype=np.intp), by_deadline)


def _lottery(table: ProfileTable, need_ms: Floats, weights: Floats) -> Lottery:
    order = np.lexsort((np.arange(len(table)), need_ms))
    return Lottery(need_ms[order], order, np.cumsum(weights[order]), table.fastest)


@dataclass(frozen=True)
class Fastest:
    """Always the model with the smallest mean time."""

    kind: ClassVar[str] = "fastest"
    name: ClassVar[str] = kind

    def on(self, table: ProfileTable, network_error_ms: Floats | None = None) -> Steps:
        """A constant."""
        return _constant(table.fastest)


@dataclass(frozen=True)
class MostAccurate:
    """Always the most accurate model."""

    kind: ClassVar[str] = "most_accurate"
    name: ClassVar[str] = kind

    def on(self, table: ProfileTable, network_error_ms: Floats | None = None) -> Steps:
        """A constant."""
        return _constant(0)


@dataclass(frozen=True)
class Static:
    """Always one named model."""

    kind: ClassVar[str] = "static"
    model: str

    @property
    def name(self) -> str:
        """`static:MODEL`."""
        return f"{self.kind}:{self.model}"

    def on(self, table: ProfileTable, network_error_ms: Floats | None = None) -> Steps:
        """A constant. Raises UsageError where the table has no such model."""
        return _constant(table.index(self.model))


@dataclass(frozen=True)
class Random:
    """Any model, uniformly."""

    kind: ClassVar[str] = "random"
    name: ClassVar[str] = kind

    def on(self, table: ProfileTable, network_error_ms: Floats | None = None) -> Lottery:
        """Every model is always eligible."""
        return _lottery(table, np.full(len(table), -np.inf), np.ones(len(table)))


@dataclass(frozen=True)
class Exploration:
    """Any model, with probability proportional to its accuracy."""

    kind: ClassVar[str] = "exploration"
    name: ClassVar[str] = kind

    def on(self, table: ProfileTable, network_error_ms: Floats | None = None) -> Lottery:
        """Every model is always eligible."""
        return _lottery(table, np.full(len(table), -np.inf), table.accuracy)


@dataclass(frozen=True)
class Greedy:
    """The most accurate with μ < T_sla: knows the deadline, ignores the network."""

    kind: ClassVar[str] = "greedy"
    name: ClassVar[str] = kind

    def on(self, table: ProfileTable, network_error_ms: Floats | None = None) -> Steps:
        """Steps over the deadline."""
        return best_below(table, table.mean_ms, by_deadline=True)


@dataclass(frozen=True)
class _Guarded:
    """Models are eligible with μ + γσ < T_U."""

    kind: ClassVar[str]
    gamma: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.gamma < float("inf"):
            raise UsageError(f"{self.kind}: gamma is {self.gamma}", hint="it is zero or more")

    @property
    def name(self) -> str:
        """`kind`, with γ where it is not 1."""
        return self.kind if self.gamma == 1 else f"{self.kind}:gamma={self.gamma:g}"

    def _need_ms(self, table: ProfileTable) -> Floats:
        return table.mean_ms + self.gamma * table.std_ms


@dataclass(frozen=True)
class BudgetUniform(_Guarded):
    """Uniformly among the models with μ + γσ < T_U."""

    kind: ClassVar[str] = "budget_uniform"

    def on(self, table: ProfileTable, network_error_ms: Floats | None = None) -> Lottery:
        """A lottery with equal weights."""
        return _lottery(table, self._need_ms(table), np.ones(len(table)))


@dataclass(frozen=True)
class BudgetWeighted(_Guarded):
    """Among the models with μ + γσ < T_U, with probability proportional to accuracy."""

    kind: ClassVar[str] = "budget_weighted"

    def on(self, table: ProfileTable, network_error_ms: Floats | None = None) -> Lottery:
        """A lottery with the accuracies as weights."""
        return _lottery(table, self._need_ms(table), table.accuracy)


@dataclass(frozen=True)
class MDInference(_Guarded):
    """The most accurate with μ + γσ < T_U (MDInference, IC2E 2020)."""

    kind: ClassVar[str] = "mdinference"

    def on(self, table: ProfileTable, network_error_ms: Floats | None = None) -> Steps:
        """Steps over the budget."""
        return best_below(table, self._need_ms(table))


class Unforeseeing:
    """The oracle's chooser: without the actual times it cannot choose."""

    def choose(self, sla_ms: float, budget_ms: float, draw: float) -> int:
        """Raises UsageError."""
        raise UsageError("the oracle knows each request's actual times", hint="simulate it")

    def choose_many(self, sla_ms: float, budget_ms: Floats, draw: Floats) -> Indices:
        """Raises UsageError."""
        raise UsageError("the oracle knows each request's actual times", hint="simulate it")

    def probabilities(self, sla_ms: float, budget_ms: float) -> dict[int, float]:
        """Raises UsageError."""
        raise UsageError("the oracle knows each request's actual times", hint="simulate it")

    @staticmethod
    def choose_knowing(left_ms: Floats, service_ms: Floats, fastest: int) -> Indices:
        """The best model that is in time, given the time left, shape (n,), and each model's actual
        service time, shape (n, M); where none is, the fastest by its mean."""
        in_time = service_ms <= left_ms[:, None]
        best = np.argmax(in_time, axis=1)
        return np.where(in_time[np.arange(len(best)), best], best, fastest)


@dataclass(frozen=True)
class Oracle:
    """Knows this request's actual times: the upper bound without queues, in simulation only."""

    kind: ClassVar[str] = "oracle"
    name: ClassVar[str] = kind

    def on(self, table: ProfileTable, network_error_ms: Floats | None = None) -> Unforeseeing:
        """A chooser for the simulator."""
        return Unforeseeing()
