"""Events as a service would tell them, for the tests of what listens."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np

from edgewise.protocol.messages import InferResult, RequestTiming, Tensor
from edgewise.server.events import (
    Answered,
    Arrived,
    Cancelled,
    Event,
    Failed,
    Loaded,
    RefusedEvent,
    WorkerBack,
    WorkerLost,
)
from edgewise.server.inventory import Live, ProfileNow, Sources

#: Name, accuracy in percent, mean in ms.
VARIANTS = (
    ("digits-l", 97.8, 9.0),
    ("digits-m", 96.1, 4.2),
    ("digits-s", 93.3, 1.6),
    ("digits-xs", 88.6, 0.5),
)


def answered(**given: Any) -> Answered:
    """An answer of `digits-s` in 3 ms, in time, unless told otherwise."""
    shared = {"model", "family"}
    of_result = {key: given[key] for key in given if key in InferResult.__slots__}
    given = {key: given[key] for key in given if key not in of_result or key in shared}
    result = {
        "model": "digits", "family": "digits", "variant": "digits-s", "accuracy": 93.3,
        "outputs": (Tensor("p", "FP32", (2,), np.array([0.25, 0.75], np.float32)),),
        "budget_ms": 80.0, "basis": "client", "predicted_queue_ms": 0.4, "queue_ms": 0.5,
        "predicted_ms": 2.0, "preprocess_ms": 0.7, "inference_ms": 1.6, "cold_ms": 0.0,
        "policy": "deadline", "probability": 0.5, "in_time": True, "id": "r-1",
    } | of_result  # fmt: skip
    event = {
        "request_id": "r-1", "model": "digits", "family": "digits", "result": InferResult(**result),
        "probabilities": {"digits-s": 0.5, "digits-m": 0.5}, "sla_ms": 100.0, "upload_ms": 12.0,
        "download_ms": 8.0, "total_ms": 3.0, "at_ms": 1000.0,
    } | given  # fmt: skip
    return Answered(**event)


def arrived(at_ms: float = 1000.0, family: str = "digits") -> Arrived:
    return Arrived("r-1", family, family, RequestTiming(at_ms), at_ms)


def shed(reason: str = "late", at_ms: float = 1000.0, **given: Any) -> RefusedEvent:
    event = {
        "request_id": "r-2", "model": "digits", "family": "digits", "sla_ms": 100.0,
        "budget_ms": 4.0, "basis": "service", "retry_after_ms": 200.0, "queue_length": 7,
    } | given  # fmt: skip
    return RefusedEvent(reason=reason, at_ms=at_ms, **event)


def failed(kind: str = "InferenceFailed", status: int = 500, **given: Any) -> Failed:
    event = {
        "request_id": "r-3", "model": "digits", "family": "digits", "variant": "digits-m",
        "message": "the runtime says: no", "at_ms": 1000.0, "sla_ms": 100.0, "budget_ms": 80.0,
        "probability": 0.25, "probabilities": {"digits-m": 0.25, "digits-s": 0.75},
    } | given  # fmt: skip
    return Failed(kind=kind, status=status, **event)


def cancelled(*, running: bool = False, at_ms: float = 1000.0) -> Cancelled:
    return Cancelled("r-4", "digits", "digits", running, at_ms, sla_ms=100.0, waited_ms=5.0)


def sources(**given: Any) -> Sources:
    """A service with two workers that serves `VARIANTS`, the largest slower than it was."""
    now = {"digits-l": 1.3}
    profiles = [
        ProfileNow("digits", name, accuracy, mean_ms * now.get(name, 0.98), mean_ms, 400)
        for name, accuracy, mean_ms in VARIANTS
    ]
    settings = {
        "live": lambda: Live(3, 4.5, 2), "profiles": lambda: profiles, "workers": 2,
        "policy": "deadline", "memory_budget_bytes": 64_000_000,
    } | given  # fmt: skip
    return Sources(**settings)


def afternoon(seconds: int, start_ms: float = 0.0, seed: int = 1) -> Iterator[Event]:
    """A service over some seconds: load that swells, so that quicker variants take over, then a
    worker that dies, and refusals until it is back."""
    rng = random.Random(seed)
    for worker in (0, 1):
        yield WorkerBack(worker, start_ms)
        for name, _, _ in VARIANTS[:3]:
            yield Loaded("digits", name, worker, 3_400_000 + 900_000 * len(name), 42.0, start_ms)
    for second in range(seconds):
        now_ms = start_ms + 1000 * second
        part = second / seconds
        load = 0.25 + 0.55 * max(0.0, 1 - abs(part - 0.55) / 0.3) + rng.uniform(-0.04, 0.04)
        down = 0.62 < part < 0.72
        if second == int(0.62 * seconds):
            yield WorkerLost(1, "killed by signal 9", now_ms)
        if second == int(0.72 * seconds):
            yield WorkerBack(1, now_ms)
        yield from _one_second(rng, now_ms, load, down=down)


def _one_second(rng: random.Random, now_ms: float, load: float, *, down: bool) -> Iterator[Event]:
    for _ in range(int(260 * load)):
        at_ms = now_ms + rng.uniform(0, 999)
        yield arrived(at_ms)
        if down and rng.random() < 0.3 * load:
            yield shed(rng.choice(["late", "late", "price"]), at_ms)
            continue
        weights = [max(0.02, 1.1 - 1.6 * load), 0.5, max(0.05, load), max(0.01, 1.4 * load - 0.6)]
        name, accuracy, mean_ms = rng.choices(VARIANTS, weights)[0]
        queue_ms = rng.expovariate(1 / (0.2 + 14 * load**3 * (2.2 if down else 1)))
        inference_ms = mean_ms * rng.gammavariate(30, 1 / 30)
        total_ms = queue_ms + inference_ms + 0.8
        yield answered(
            variant=name, accuracy=accuracy, queue_ms=queue_ms, inference_ms=inference_ms,
            total_ms=total_ms, in_time=total_ms < 28, at_ms=at_ms, queue_length=int(queue_ms / 2),
        )  # fmt: skip
