"""From what was noted of each request to the record of a run."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewise.intervals import FLOORS, described
from edgewise.load import intervals
from edgewise.load.schedule import Schedule
from edgewise.load.settings import LoadSettings
from edgewise.protocol.http.attempt import Attempt
from edgewise.protocol.http.target import ServerAbout
from edgewise.protocol.inputs import Inputs
from edgewise.records import LoadPhases, LoadRun, LoadSample, LoadStatus

#: A generator that is later than this with one request in a hundred measures itself.
MAX_LAG_P99_MS = 1.0


@dataclass(frozen=True, eq=False)
class Driven:
    """A load that was driven, as it happened. `start_ms` is on the clock of the exchanges."""

    settings: LoadSettings
    url: str
    server: ServerAbout
    inputs: Inputs
    payload_bytes: float
    schedule: Schedule
    started_at: str
    start_ms: float
    exchanges: Sequence[Attempt]
    interrupted: bool


def summarise(driven: Driven) -> LoadRun:
    """What the service delivered, after the warm-up."""
    settings, schedule = driven.settings, driven.schedule
    samples = [_sample(driven, exchange) for exchange in driven.exchanges]
    counted = [sample for sample in samples if not sample.warmup]
    answered = [sample for sample in counted if sample.outcome == "answered"]
    refused = [sample for sample in counted if sample.outcome == "refused"]
    duration_s = _duration_s(driven, counted)
    offered_per_s = len(counted) / duration_s if duration_s else 0.0
    in_time = np.array([sample.in_time for sample in counted], dtype=np.float64)
    has_deadline = settings.sla_ms is not None and bool(counted)
    attainment = float(in_time.mean()) if has_deadline else None
    stated = _points(counted, lambda sample: sample.accuracy)
    right = _points(counted, _measured)
    effective = stated * in_time if has_deadline and stated is not None else None
    measured = right * in_time if has_deadline and right is not None else None
    lag_p99_ms, lag_max_ms = _lag(counted)
    status, reason = _verdict(driven, lag_p99_ms)
    usage = Counter(sample.variant for sample in counted if sample.variant is not None)
    policies = {e.said.policy for e in driven.exchanges if e.said and e.said.policy}
    return LoadRun(
        url=driven.url,
        model=settings.model,
        status=status,
        reason=reason,
        started_at=driven.started_at,
        arrivals=schedule.arrivals.name,
        seed=settings.seed,
        sla_ms=settings.sla_ms,
        links=settings.links,
        connection=settings.connection,
        clients=settings.clients,
        processes=settings.processes,
        inputs=driven.inputs.name,
        payload_bytes=driven.payload_bytes,
        requests=len(counted),
        warmup_requests=len(samples) - len(counted),
        duration_s=duration_s,
        offered_per_s=offered_per_s,
        achieved_per_s=_achieved_per_s(driven, answered, duration_s),
        goodput_per_s=None if attainment is None else attainment * offered_per_s,
        attainment=attainment,
        attainment_ci95=intervals.of_mean(in_time, 1.0) if has_deadline else None,
        accuracy=_mean(sample.accuracy for sample in answered),
        effective_accuracy=None if effective is None else float(effective.mean()),
        effective_ci95=None if effective is None else intervals.of_mean(effective, 100.0),
        measured_accuracy=_mean(_measured(sample) for sample in answered),
        measured_effective_accuracy=None if measured is None else float(measured.mean()),
        answered=len(answered),
        late=sum(not sample.in_time for sample in answered) if has_deadline else None,
        refused=len(refused),
        failed=dict(sorted(Counter(s.error for s in counted if s.error).items())),
        latency_ms=described([s.latency_ms for s in answered if s.latency_ms is not None]),
        refusal_ms=described([s.latency_ms for s in refused if s.latency_ms is not None]),
        usage={name: n / len(counted) for name, n in sorted(usage.items())},
        queue_ms=_mean(sample.queue_ms for sample in answered),
        preprocess_ms=_mean(sample.preprocess_ms for sample in answered),
        inference_ms=_mean(sample.inference_ms for sample in answered),
        cold_ms=_mean(sample.cold_ms for sample in answered),
        network_ms=_mean(sample.network_ms for sample in answered),
        phases=_phases(answered),
        lag_p99_ms=lag_p99_ms,
        lag_max_ms=lag_max_ms,
        policy=min(policies) if len(policies) == 1 else None,
        server=f"{driven.server.name} {driven.server.version}".strip(),
        notes=tuple(_notes(driven, counted, answered)),
        samples=tuple(samples) if settings.samples else (),
    )


def _sample(driven: Driven, exchange: Attempt) -> LoadSample:
    settings, said = driven.settings, exchange.said
    due_ms = exchange.due_ms
    answered = exchange.error is None and exchange.status == 200
    latency_ms = None if exchange.error else _since(due_ms, exchange.last_ms)
    service_ms = said.service_ms if said else None
    network_ms = None
    if answered and service_ms is not None and latency_ms is not None:
        network_ms = max(latency_ms - (exchange.begun_ms - due_ms) - service_ms, 0.0)
    in_time = (
        answered
        and settings.sla_ms is not None
        and latency_ms is not None
        and latency_ms <= settings.sla_ms
    )
    return LoadSample(
        client=exchange.client,
        link=settings.links[exchange.client % len(settings.links)] if settings.links else None,
        input=exchange.input,
        warmup=exchange.number < driven.schedule.warmup,
        intended_ms=due_ms - driven.start_ms,
        lag_ms=exchange.begun_ms - due_ms,
        outcome="failed" if exchange.error else "answered" if answered else "refused",
        status=exchange.status,
        error=exchange.error,
        latency_ms=latency_ms,
        sent_ms=_since(due_ms, exchange.sent_ms),
        uploaded_ms=_since(due_ms, exchange.uploaded_ms),
        first_byte_ms=_since(due_ms, exchange.first_ms),
        network_ms=network_ms,
        server_ms=exchange.server_ms,
        in_time=in_time,
        correct=exchange.correct,
        variant=said.variant if said else None,
        accuracy=said.accuracy if said else None,
        budget_ms=said.budget_ms if said else None,
        predicted_ms=said.predicted_ms if said else None,
        queue_ms=said.queue_ms if said else None,
        preprocess_ms=said.preprocess_ms if said else None,
        inference_ms=said.inference_ms if said else None,
        cold_ms=said.cold_ms if said else None,
    )


def _since(due_ms: float, at_ms: float) -> float | None:
    return None if math.isnan(at_ms) else at_ms - due_ms


def _duration_s(driven: Driven, counted: list[LoadSample]) -> float:
    """What is counted, in seconds; of an interrupted run, until the last request that ended."""
    schedule = driven.schedule
    to_ms = schedule.to_ms
    if driven.interrupted:
        to_ms = max((sample.intended_ms for sample in counted), default=schedule.from_ms)
    return max(to_ms - schedule.from_ms, 0.0) / 1000


def _achieved_per_s(driven: Driven, answered: list[LoadSample], duration_s: float) -> float:
    """Answers per second until the last of them: a queue that is worked off later counts."""
    ends_ms = (s.intended_ms + s.latency_ms for s in answered if s.latency_ms is not None)
    last_s = (max(ends_ms, default=0.0) - driven.schedule.from_ms) / 1000
    longest_s = max(duration_s, last_s)
    return len(answered) / longest_s if longest_s else 0.0


def _measured(sample: LoadSample) -> float | None:
    return None if sample.correct is None else 100.0 * sample.correct


def _points(
    counted: list[LoadSample], of: Callable[[LoadSample], float | None]
) -> NDArray[np.float64] | None:
    """Points per request, 0 where it was not answered; None where an answer has none."""
    points = [of(s) if s.outcome == "answered" else 0.0 for s in counted]
    if any(each is None for each in points) or not any(s.outcome == "answered" for s in counted):
        return None
    return np.array(points, dtype=np.float64)


def _mean(values: Any) -> float | None:
    known = [value for value in values if value is not None]
    return math.fsum(known) / len(known) if known else None


def _phases(answered: list[LoadSample]) -> LoadPhases:
    """Of answers whose every moment is known, so that the means add up."""
    rows = [
        (s.sent_ms, s.uploaded_ms, s.first_byte_ms, s.latency_ms)
        for s in answered
        if None not in (s.sent_ms, s.uploaded_ms, s.first_byte_ms, s.latency_ms)
    ]
    if not rows:
        return LoadPhases(connect_ms=None, send_ms=None, wait_ms=None, receive_ms=None)
    moments = np.array(rows, dtype=np.float64)
    # A server may answer before it has read everything.
    moments[:, 1] = np.minimum(moments[:, 1], moments[:, 2])
    steps = np.diff(moments, axis=1, prepend=0.0).mean(axis=0).tolist()
    return LoadPhases(connect_ms=steps[0], send_ms=steps[1], wait_ms=steps[2], receive_ms=steps[3])


def _lag(counted: list[LoadSample]) -> tuple[float, float]:
    """99th percentile, of few requests the largest, and maximum: a check, so never left out."""
    if not counted:
        return 0.0, 0.0
    lags_ms = np.array([sample.lag_ms for sample in counted])
    return float(np.quantile(lags_ms, 0.99, method="higher")), float(lags_ms.max())


def _verdict(driven: Driven, lag_p99_ms: float) -> tuple[LoadStatus, str | None]:
    if driven.interrupted:
        return "interrupted", f"{len(driven.exchanges)} of {len(driven.schedule)} requests ended"
    if lag_p99_ms > MAX_LAG_P99_MS:
        return "void", (
            f"the generator was late: p99 of its lag is {lag_p99_ms:.2f} ms, above "
            f"{MAX_LAG_P99_MS:g} ms; give it --cores of its own, more --processes, or less load"
        )
    return "ok", None


def _notes(driven: Driven, counted: list[LoadSample], answered: list[LoadSample]) -> list[str]:
    notes = []
    if not counted:
        notes.append("nothing ended after the warm-up")
    short = [name for name, floor in FLOORS.items() if 0 < len(answered) < floor]
    if short:
        notes.append(f"{len(answered)} answers are too few for {', '.join(short)}")
    if driven.settings.sla_ms is None:
        notes.append("no deadline: no attainment")
    elif len(counted) < intervals.FEWEST:
        notes.append(f"{len(counted)} requests are too few for an interval")
    if answered and not driven.server.edgewise:
        notes.append(f"'{driven.server.name}' does not say what it chose, nor how accurate it is")
    elif any(sample.accuracy is None for sample in answered):
        notes.append("some answers state no accuracy")
    if driven.inputs.labels is not None and any(s.correct is None for s in answered):
        notes.append("some answers are no classes: their accuracy cannot be measured")
    return notes
