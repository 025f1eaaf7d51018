"""What decisions are made from, and what they deliver: profiles, links, simulations."""

from __future__ import annotations

from typing import Literal

from edgewise.records.base import Record
from edgewise.records.measuring import Energy

Origin = Literal["measured", "profile", "published", "learned"]


class Profile(Record, frozen=True):
    """The distribution of one model's service time that decisions are made from.

    `accuracy` is in percent on the set that `accuracy_source` names, None where nobody measured
    it. `mean_ms`, `std_ms` and `quantiles_ms` are of hot runs; `cold_ms` is the mean of the first
    run after a load, with the load. `quantiles_ms` maps a level in (0, 1) to ms, in rising
    order; empty where only the moments are known. `n` is None where the source does not say.
    `energy` is what a meter said of it, None where there was none. `accuracy_ci95` is the 95 %
    interval of the accuracy, None where nothing says on how many inputs it rests. `sha256` is the
    content that was measured, None where the source does not say.
    """

    model: str
    accuracy: float | None
    mean_ms: float
    std_ms: float
    n: int | None = None
    quantiles_ms: tuple[tuple[float, float], ...] = ()
    cold_ms: float | None = None
    origin: Origin = "profile"
    source: str | None = None
    accuracy_source: str | None = None
    updated_at: str | None = None
    energy: Energy | None = None
    accuracy_ci95: tuple[float, float] | None = None
    sha256: str | None = None


class SimulationRow(Record, frozen=True):
    """What one policy delivers on one network at one deadline (cli.md, `simulate`).

    `accuracy` is in percent over the requests that were answered, `effective_accuracy` over all
    offered ones; `attainment` is a fraction of all. With load, `refused` counts requests,
    `fluid_bound` is the linear program's optimum in percent, and the 95 % intervals come from
    batch means.
    """

    policy: str
    network: str
    sla_ms: float
    requests: int
    accuracy: float | None
    attainment: float
    effective_accuracy: float
    mean_ms: float | None
    p99_ms: float | None
    usage: dict[str, float]
    offered_per_s: float | None = None
    refused: int | None = None
    fluid_bound: float | None = None
    profiles: str | None = None
    arrivals: str | None = None
    workers: int | None = None
    duplicate: str | None = None
    attainment_ci95: tuple[float, float] | None = None
    effective_ci95: tuple[float, float] | None = None
    notes: tuple[str, ...] = ()


class LinkProfile(Record, frozen=True):
    """A network path as data. `radio` names a row of the radio energy table, `none`: it is wired;
    None: not known, and then no energy of it is.

    `jitter_ms` is the standard deviation of the round-trip time. A radio that was idle for longer
    than `tail_ms` needs `promotion_ms` before it sends. `uplink_mbps` and `downlink_mbps` are what
    one connection gets.
    """

    name: str
    uplink_mbps: float
    downlink_mbps: float
    rtt_ms: float
    jitter_ms: float = 0.0
    promotion_ms: float = 0.0
    tail_ms: float = 0.0
    radio: str | None = None
    description: str = ""
    source: str = ""


class AccuracyRow(Record, frozen=True):
    """Accuracy of one model on labelled data, in percent, with Wilson's 95 % interval.

    `top5_accuracy`: the label is among the best five classes; None where there are no more.
    """

    model: str
    path: str
    data: str
    n: int
    correct: int
    accuracy: float | None
    ci95_low: float | None
    ci95_high: float | None
    recorded_accuracy: float | None = None
    family: str | None = None
    sha256: str | None = None
    runtime: str | None = None
    error: str | None = None
    top5_accuracy: float | None = None
    notes: tuple[str, ...] = ()


class PolicyComparison(Record, frozen=True):
    """One policy less another over the deadlines, on one network with one set of profiles.

    Differences in points: of attainment in percent of the requests, and of effective accuracy.
    `ahead_from_ms`, `ahead_to_ms`: the first and last deadline with more effective accuracy.
    """

    policy: str
    baseline: str
    network: str
    profiles: str | None
    deadlines: int
    deadlines_ahead: int
    ahead_from_ms: float | None
    ahead_to_ms: float | None
    attainment_peak_points: float
    attainment_peak_at_ms: float
    attainment_worst_points: float
    attainment_worst_at_ms: float
    effective_peak_points: float
    effective_peak_at_ms: float
    effective_worst_points: float
    effective_worst_at_ms: float


class Recommendation(Record, frozen=True):
    """Which variants to keep and which policy to run, for a network and an objective (`recommend`).

    `expected` is what the policy delivers with only the variants of `keep`, `curve` the same over
    deadlines; `alternatives` are other policies with all variants, the best first. `met` says
    whether the objective is; where it is not, `enough_sla_ms` is the shortest deadline and
    `enough_workers` the smallest number of workers that were found to do, None where none was.
    `expected` is the mean of `runs`, its intervals where another run comes to lie; `runs_met` of
    them meet the objective. `bound` is the fluid bound with all variants, in percent.
    """

    profiles: str
    network: str
    sla_ms: float
    wish_attainment: float
    wish_accuracy: float
    met: bool
    policy: str
    keep: tuple[str, ...]
    leave_out: tuple[str, ...]
    expected: SimulationRow
    alternatives: tuple[SimulationRow, ...]
    curve: tuple[SimulationRow, ...]
    enough_sla_ms: float | None = None
    enough_workers: int | None = None
    arrivals: str | None = None
    workers: int | None = None
    runs: int = 1
    runs_met: int = 0
    bound: float | None = None
    notes: tuple[str, ...] = ()
