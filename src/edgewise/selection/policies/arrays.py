"""The plain arrays that the compiled loops work on.

Times are in ms; arrivals are absolute, budgets are what is left of a deadline when the request
arrives. M models, k workers, n requests.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from edgewise.selection.policies.protocol import Indices
from edgewise.selection.profiles.table import Floats

#: Unfinished jobs per worker whose actual length is hidden from the policy: a power of two.
RING = 512
#: Columns of `Servers.workers` and `Servers.ring`. There are few arrays with columns, as compiled
#: code pays for each array that it hands to a function.
FREE, FIRST, HELD, QUEUED, VARIANCE = range(5)
START, FINISH, MODEL = range(3)


class Prices(NamedTuple):
    """What `deadline` knows when it chooses among M models.

    `gain` (M,): points for an answer in time. `service_ms` (M, Q): quantiles of the work;
    `quantiles_ms` (M, Q): of the work and what is uncertain about the network. `value`
    (C, N, M + 1): the worth of all later requests once a model was given this one, over the
    backlog; the last column is for a refusal. Node j of the backlog is reach·(j/(N−1))². Where
    budgets come in stretches there is a value for each of C classes of them, which `edges_ms`
    (C − 1,) divide. `models`: those worth looking at, best first. `attainment`, `floor`: see
    `deadline`.
    """

    gain: Floats
    service_ms: Floats
    quantiles_ms: Floats
    value: Floats
    reach_ms: float
    edges_ms: Floats
    models: Indices
    attainment: float
    floor: float


class Services(NamedTuple):
    """Where service times come from: a normal per model, `moments` (M, 2) its mean and deviation,
    with one standard normal `noise` (n,) per request, redrawn until positive; or, where `samples`
    (R, M) is not empty, row `rows[i]` of it. `quantiles_ms` (M, Q) and their `tails` are what is
    known of them."""

    moments: Floats
    quantiles_ms: Floats
    tails_ms: Floats
    noise: Floats
    samples: Floats
    rows: Indices

    def part(self, requests: slice) -> Services:
        """Those of some of the requests."""
        return self._replace(noise=self.noise[requests], rows=self.rows[requests])


class Servers(NamedTuple):
    """The state of k workers, first come first served.

    `workers` (k, 5): when each has done all its work (FREE); a policy must not know how long its
    unfinished jobs will really take, so the oldest of them are kept in `ring` (k, RING, 3) from
    place FIRST on, HELD of them, each with START, FINISH and MODEL; QUEUED and VARIANCE sum the
    expected times, and their variances, of those that have not begun.
    """

    workers: Floats
    ring: Floats


class Outcome(NamedTuple):
    """What became of n requests, all (n,): the model or −1, wait + service, and what the policy
    expected: work per worker, its own wait, and the deviation of that."""

    model: Indices
    sojourn_ms: Floats
    backlog_ms: Floats
    wait_ms: Floats
    spread_ms: Floats

    def part(self, requests: slice) -> Outcome:
        """Those of some of the requests; what is written to it is written here."""
        return Outcome(
            self.model[requests],
            self.sojourn_ms[requests],
            self.backlog_ms[requests],
            self.wait_ms[requests],
            self.spread_ms[requests],
        )


def servers(workers: int) -> Servers:
    """Idle workers at time 0."""
    return Servers(np.zeros((workers, 5)), np.zeros((workers, RING, 3)))


def tails(quantiles_ms: Floats) -> Floats:
    """Sums of each row's values, and of their squares, from each place on: (2, M, Q + 1)."""
    powers = np.stack([quantiles_ms, quantiles_ms**2])
    sums = np.zeros((2, len(quantiles_ms), quantiles_ms.shape[1] + 1))
    sums[:, :, :-1] = np.cumsum(powers[:, :, ::-1], axis=2)[:, :, ::-1]
    return sums


def outcome(n: int) -> Outcome:
    """Room for n requests."""
    return Outcome(np.empty(n, dtype=np.intp), np.empty(n), np.zeros(n), np.zeros(n), np.zeros(n))
