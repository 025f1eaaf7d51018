"""What a running service delivered under a load that was driven against it (cli.md, `load`)."""

from __future__ import annotations

from typing import Literal

from edgewise.records.base import Record
from edgewise.records.measuring import Distribution

LoadStatus = Literal["ok", "void", "interrupted"]
LoadOutcome = Literal["answered", "refused", "failed"]


class LoadSample(Record, frozen=True):
    """One request that was offered. Times in ms; None: not known, or it did not get that far.

    `intended_ms` counts from the start of the run, everything else from the intended send time:
    `lag_ms` when the generator turned to it, `sent_ms` when its first byte left (the connection is
    there by then), `uploaded_ms` when its last one did, `first_byte_ms` and `latency_ms` when the
    answer's first and last byte were there. `network_ms` is what of that was neither lag nor the
    service's. `server_ms` is how long the server had it by its own clock, where its answer says so
    (a refusal of Edgewise does). `error` names the kind of a failure. `budget_ms` to `cold_ms`,
    `variant` and `accuracy` (percent) are the service's words, None from a server that has none.
    """

    client: int
    link: str | None
    input: int
    warmup: bool
    intended_ms: float
    lag_ms: float
    outcome: LoadOutcome
    status: int | None = None
    error: str | None = None
    latency_ms: float | None = None
    sent_ms: float | None = None
    uploaded_ms: float | None = None
    first_byte_ms: float | None = None
    network_ms: float | None = None
    server_ms: float | None = None
    in_time: bool = False
    correct: bool | None = None
    variant: str | None = None
    accuracy: float | None = None
    budget_ms: float | None = None
    predicted_ms: float | None = None
    queue_ms: float | None = None
    preprocess_ms: float | None = None
    inference_ms: float | None = None
    cold_ms: float | None = None


class LoadPhases(Record, frozen=True):
    """Where the time of answered requests went, means in ms, in order; they add up to the latency.

    `connect_ms` is from the intended send time to the first byte, the generator's lag with it;
    `send_ms` until the last byte of the request had left, `wait_ms` until the first of the answer
    was there, `receive_ms` until the last.
    """

    connect_ms: float | None
    send_ms: float | None
    wait_ms: float | None
    receive_ms: float | None


class LoadRun(Record, frozen=True):
    """One run of an open-loop load against a service, warm-up left out.

    Latency counts from the intended send time. `attainment` is the fraction of all *offered*
    requests that were answered within `sla_ms`: refused, failed and late ones are missed; None
    without a deadline. `accuracy` is the mean of what the answers state, in percent,
    `effective_accuracy` the same over all offered requests, where a missed one counts 0;
    `measured_accuracy` and `measured_effective_accuracy` are of the labels of the inputs. The
    intervals are of 95 %, from batch means. Rates are per second of the run. `usage` is by
    variant, a fraction of the offered requests. `queue_ms` to `network_ms` are means over answers.
    A run is void where the generator itself was late: `reason` says by how much.
    """

    url: str
    model: str
    status: LoadStatus
    reason: str | None
    started_at: str
    arrivals: str
    seed: int
    sla_ms: float | None
    links: tuple[str, ...]
    connection: Literal["warm", "fresh"]
    clients: int
    processes: int
    inputs: str
    payload_bytes: float
    requests: int
    warmup_requests: int
    duration_s: float
    offered_per_s: float
    achieved_per_s: float
    goodput_per_s: float | None
    attainment: float | None
    attainment_ci95: tuple[float, float] | None
    accuracy: float | None
    effective_accuracy: float | None
    effective_ci95: tuple[float, float] | None
    measured_accuracy: float | None
    measured_effective_accuracy: float | None
    answered: int
    late: int | None
    refused: int
    failed: dict[str, int]
    latency_ms: Distribution
    refusal_ms: Distribution
    usage: dict[str, float]
    queue_ms: float | None
    preprocess_ms: float | None
    inference_ms: float | None
    cold_ms: float | None
    network_ms: float | None
    phases: LoadPhases
    lag_p99_ms: float
    lag_max_ms: float
    policy: str | None = None
    server: str | None = None
    notes: tuple[str, ...] = ()
    samples: tuple[LoadSample, ...] = ()
