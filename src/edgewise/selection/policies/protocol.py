"""What all policies share: a set of parameters, a chooser, a budget.

A policy is a frozen set of parameters; `on(table)` gives a `Chooser`, which holds whatever can be
computed before the first request. A choice is a pure function of the deadline, the budget
T_U = T_sla − (t_up + t_down) and one number drawn uniformly from [0, 1), so that policies can be
compared on the same draws and one choice equals the same choice within an array.
"""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from edgewise.errors import UsageError
from edgewise.selection.profiles.table import Floats, ProfileTable

Indices = NDArray[np.intp]

#: A choice of no model: the request is refused at once.
REFUSED = -1


class Chooser(Protocol):
    """A policy on one table of profiles. Times in ms; a negative budget is one already spent."""

    def choose(self, sla_ms: float, budget_ms: float, draw: float) -> int:
        """Index of the model for one request, or REFUSED.

        Raises:
            UsageError: a deadline that is negative, or a time that is NaN.
        """

    def choose_many(self, sla_ms: float, budget_ms: Floats, draw: Floats) -> Indices:
        """The same for n requests of one deadline: shapes (n,), (n,) → (n,)."""

    def probabilities(self, sla_ms: float, budget_ms: float) -> dict[int, float]:
        """The models that `choose` may give for some draw, and how likely; their sum is 1.

        Raises:
            UsageError: as `choose`.
        """


class Policy(Protocol):
    """Parameters of a way to choose."""

    #: What the policy is called in options, without parameters.
    kind: ClassVar[str]

    @property
    def name(self) -> str:
        """As written in options: `kind` or `kind:parameter=value:…`."""

    def on(self, table: ProfileTable, network_error_ms: Floats | None = None) -> Chooser:
        """Prepare for a table. `network_error_ms` is a sample of (actual − expected) network
        time where the budget is a prediction, None where it is known."""


def budget(sla_ms: float, upload_ms: float, download_ms: float | None = None) -> float:
    """T_U = T_sla − (t_up + t_down), in ms; t_down is taken equal to t_up where unknown.

    Raises:
        UsageError: a time that is negative or NaN.
    """
    down_ms = upload_ms if download_ms is None else download_ms
    for what, value in (("deadline", sla_ms), ("upload", upload_ms), ("download", down_ms)):
        if not value >= 0:
            raise UsageError(f"a {what} of {value} ms", hint="times are zero or more")
    return sla_ms - (upload_ms + down_ms)


def check_one(sla_ms: float, budget_ms: float) -> None:
    """Refuse a deadline that is negative and times that are NaN."""
    if not (sla_ms >= 0 and budget_ms == budget_ms):
        raise UsageError(
            f"a deadline of {sla_ms} ms with a budget of {budget_ms} ms",
            hint="a deadline is zero or more, no time is NaN",
        )


def check_many(sla_ms: float, budget_ms: Floats) -> None:
    """The same for an array of budgets."""
    if not sla_ms >= 0:
        raise UsageError(f"a deadline of {sla_ms} ms", hint="a deadline is zero or more")
    if np.isnan(budget_ms).any():
        raise UsageError("a budget is NaN", hint="every request needs a measured upload time")
