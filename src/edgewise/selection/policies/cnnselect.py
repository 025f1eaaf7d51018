"""`cnnselect`: a base model, an exploration set around the budget, a draw by utility.

Reconstructed from CNNSelect's abstract, the group's released code and sibling publications, as
the full text is not public; γ, the exploration width and the guards are parameters therefore.

With T_L = T_U − T_threshold:

1. base b: the most accurate with μ + γσ < T_U and μ < T_L;
2. exploration set M_E: models with μ + γσ < T_U and |μ − T_L| ≤ |T_L − μ(b)| + w·σ(b);
3. a draw from M_E, probability ∝ U = A · (T_U − (μ + σ)) / max(|T_L − μ|, ε), negative U as 0;
   all zero: b.

Base and set are constant between breakpoints of the budget. As μ(b) < T_L, a model is in M_E iff
μ ≥ μ(b) − w·σ(b), μ + γσ < T_U and T_L ≥ (μ + μ(b) − w·σ(b)) / 2, so the breakpoints have a
closed form and a choice needs a binary search and the few utilities of one set.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from edgewise.errors import UsageError
from edgewise.selection.policies.protocol import Indices, check_many, check_one
from edgewise.selection.policies.published import best_below
from edgewise.selection.profiles.table import Floats, ProfileTable


@dataclass(frozen=True, eq=False)
class Explorer:
    """`cnnselect` on a table. `pieces[i]` is M_E, the base first, where exactly i of the `edges`
    lie below the budget; the first piece is the fastest alone, as nothing is eligible there."""

    table: ProfileTable
    threshold_ms: float
    epsilon_ms: float
    edges: Floats
    pieces: tuple[Indices, ...]

    @cached_property
    def _lists(self) -> tuple[list[float], list[list[tuple[int, float, float, float]]]]:
        """Edges, and of each piece its models with accuracy, mean and mean + deviation."""
        table = self.table
        late_ms = table.mean_ms + table.std_ms
        rows = list(
            zip(
                range(len(table)), table.accuracy.tolist(), table.mean_ms.tolist(),
                late_ms.tolist(), strict=True,
            )
        )  # fmt: skip
        return self.edges.tolist(), [[rows[model] for model in piece] for piece in self.pieces]

    def utilities(self, budget_ms: Floats, piece: Indices) -> Floats:
        """Stage 3's weights: shape (n,) → (n, models of the piece)."""
        budget = budget_ms[:, None]
        mean_ms = self.table.mean_ms[piece]
        spare_ms = budget - (mean_ms + self.table.std_ms[piece])
        distance_ms = np.abs((budget - self.threshold_ms) - mean_ms)
        utility = self.table.accuracy[piece] * spare_ms / np.maximum(distance_ms, self.epsilon_ms)
        return np.maximum(utility, 0.0)

    def choose(self, sla_ms: float, budget_ms: float, draw: float) -> int:
        """A binary search and the utilities of one set."""
        check_one(sla_ms, budget_ms)
        edges, pieces = self._lists
        members = pieces[bisect_left(edges, budget_ms)]
        if len(members) == 1:
            return members[0][0]
        cumulated = self._cumulated(members, budget_ms)
        ticket = bisect_right(cumulated, draw * cumulated[-1])
        return members[ticket if ticket < len(members) else 0][0]

    def _cumulated(
        self, members: list[tuple[int, float, float, float]], budget_ms: float
    ) -> list[float]:
        """Running sums of the utilities of one set."""
        target_ms, epsilon_ms = budget_ms - self.threshold_ms, self.epsilon_ms
        total = 0.0
        cumulated = []
        for _, accuracy, mean_ms, late_ms in members:
            utility = accuracy * (budget_ms - late_ms) / max(abs(target_ms - mean_ms), epsilon_ms)
            if utility > 0:
                total += utility
            cumulated.append(total)
        return cumulated

    def probabilities(self, sla_ms: float, budget_ms: float) -> dict[int, float]:
        """Utilities over their sum; where all are zero, the base."""
        check_one(sla_ms, budget_ms)
        edges, pieces = self._lists
        members = pieces[bisect_left(edges, budget_ms)]
        cumulated = self._cumulated(members, budget_ms)
        if len(members) == 1 or cumulated[-1] == 0:
            return {members[0][0]: 1.0}
        sums = [0.0, *cumulated]
        return {
            member[0]: (sums[place + 1] - sums[place]) / sums[-1]
            for place, member in enumerate(members)
            if sums[place + 1] > sums[place]
        }

    def choose_many(self, sla_ms: float, budget_ms: Floats, draw: Floats) -> Indices:
        """The same for an array: requests of one piece at a time."""
        check_many(sla_ms, budget_ms)
        piece_of = np.searchsorted(self.edges, budget_ms).astype(np.uint16)
        order = np.argsort(piece_of, kind="stable")
        counts = np.bincount(piece_of, minlength=len(self.pieces))
        chosen = np.empty(len(budget_ms), dtype=np.intp)
        end = 0
        for piece, count in zip(self.pieces, counts.tolist(), strict=True):
            start, end = end, end + count
            if count:
                group = order[start:end]
                chosen[group] = self._draw(budget_ms[group], draw[group], piece)
        return chosen

    def _draw(self, budget_ms: Floats, draw: Floats, piece: Indices) -> Indices:
        if len(piece) == 1:
            return np.full(len(budget_ms), piece[0])
        cumulated = np.cumsum(self.utilities(budget_ms, piece), axis=1)
        tickets = (cumulated <= (draw * cumulated[:, -1])[:, None]).sum(axis=1)
        return piece[np.where(tickets < len(piece), tickets, 0)]


@dataclass(frozen=True)
class CNNSelect:
    """A base model, models near it to explore, a draw by utility; reconstructed (selection.md).

    `threshold` is T_threshold in ms, `gamma` γ, `width` w, `epsilon` ε in ms.

    `exclude_dominated` leaves out of M_E every model that another one of M_E beats: at least as
    accurate and at most as slow, one of them strictly.
    """

    kind: ClassVar[str] = "cnnselect"
    threshold: float = 0.0
    gamma: float = 1.0
    width: float = 1.0
    epsilon: float = 0.001
    exclude_dominated: bool = False

    def __post_init__(self) -> None:
        for name in ("threshold", "gamma", "width", "epsilon"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(
                    f"cnnselect: {name} is {getattr(self, name)}", hint="it is zero or more"
                )
        if self.epsilon == 0:
            raise UsageError("cnnselect: epsilon is 0", hint="it keeps the utility finite")

    @property
    def name(self) -> str:
        """`cnnselect`, with the parameters that are not at their defaults."""
        plain = CNNSelect()
        words = [
            f"{name}={getattr(self, name):g}"
            for name in ("threshold", "gamma", "width", "epsilon")
            if getattr(self, name) != getattr(plain, name)
        ]
        if self.exclude_dominated:
            words.append("exclude_dominated")
        return ":".join([self.kind, *words])

    def on(self, table: ProfileTable, network_error_ms: Floats | None = None) -> Explorer:
        """Breakpoints of the budget with base and exploration set of each piece."""
        need_ms = table.mean_ms + self.gamma * table.std_ms
        bases = best_below(table, np.maximum(need_ms, table.mean_ms + self.threshold))
        edges: list[float] = []
        pieces: list[Indices] = [np.array([table.fastest], dtype=np.intp)]
        ends = [*bases.edges[1:].tolist(), np.inf]
        for start, end, base in zip(bases.edges.tolist(), ends, bases.choices[1:], strict=True):
            entry_ms = self._entry_ms(table, need_ms, int(base))
            inner = np.unique(entry_ms[(entry_ms > start) & (entry_ms < end)]).tolist()
            for edge in [start, *inner]:
                edges.append(edge)
                pieces.append(self._members(table, int(base), entry_ms <= edge))
        return Explorer(table, self.threshold, self.epsilon, np.array(edges), tuple(pieces))

    def _entry_ms(self, table: ProfileTable, need_ms: Floats, base: int) -> Floats:
        """The budget above which each model is in M_E with this base; inf: never."""
        lowest_ms = table.mean_ms[base] - self.width * table.std_ms[base]
        from_ms = self.threshold + (table.mean_ms + lowest_ms) / 2
        # "At least" from_ms is "above" the number before it.
        entry_ms = np.maximum(need_ms, np.nextafter(from_ms, -np.inf))
        return np.where(table.mean_ms >= lowest_ms, entry_ms, np.inf)

    def _members(self, table: ProfileTable, base: int, inside: NDArray[np.bool_]) -> Indices:
        """Models of M_E, the base first: it is the answer where all utilities are zero."""
        members = np.flatnonzero(inside)
        if self.exclude_dominated:
            members = _undominated(table, members)
        others = members[members != base]
        return np.concatenate([members[members == base], others])


def _undominated(table: ProfileTable, members: Indices) -> Indices:
    accuracy, mean_ms = table.accuracy[members], table.mean_ms[members]
    no_worse = (accuracy[:, None] >= accuracy) & (mean_ms[:, None] <= mean_ms)
    better = (accuracy[:, None] > accuracy) | (mean_ms[:, None] < mean_ms)
    return members[~(no_worse & better).any(axis=0)]
