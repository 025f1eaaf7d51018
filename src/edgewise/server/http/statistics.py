"""Triton's model statistics, counted from what the service tells its listeners."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

from edgewise.protocol.metadata import VERSION
from edgewise.server.events import Answered, Event, Failed, RefusedEvent

_NS_PER_MS = 1_000_000


@dataclass(slots=True)
class _Duration:
    count: int = 0
    total_ms: float = 0.0

    def add(self, ms: float) -> None:
        self.count += 1
        self.total_ms += ms

    def told(self) -> dict[str, int]:
        return {"count": self.count, "ns": round(self.total_ms * _NS_PER_MS)}


@dataclass(slots=True)
class _OfModel:
    executions: float = 0.0
    last_s: float = 0.0
    success: _Duration = field(default_factory=_Duration)
    fail: _Duration = field(default_factory=_Duration)
    queue: _Duration = field(default_factory=_Duration)
    preprocess: _Duration = field(default_factory=_Duration)
    inference: _Duration = field(default_factory=_Duration)


class Statistics:
    """Counts of every model by the name it was asked for. Subscribe `listen`."""

    def __init__(self) -> None:
        self._models: dict[str, _OfModel] = {}

    def listen(self, event: Event) -> None:
        """Count one event."""
        if isinstance(event, Answered):
            self._answered(event)
        elif isinstance(event, Failed | RefusedEvent) and event.family:
            failed = self._models.setdefault(event.model, _OfModel()).fail
            failed.add(event.total_ms if isinstance(event, Failed) else event.waited_ms)

    def _answered(self, event: Answered) -> None:
        model = self._models.get(event.model)
        if model is None:
            model = self._models[event.model] = _OfModel()
        # A batch is one execution, told of by each of its requests.
        model.executions += 1 / event.batch
        model.last_s = time.time()
        model.success.add(event.total_ms)
        model.queue.add(event.result.queue_ms)
        model.preprocess.add(event.result.preprocess_ms)
        model.inference.add(event.result.inference_ms)

    def of(self, name: str) -> dict[str, Any]:
        """One model's statistics as Triton writes them; `compute_input` is the preprocessing."""
        model = self._models.get(name, _OfModel())
        nothing = _Duration().told()
        return {
            "name": name,
            "version": VERSION,
            "last_inference": round(model.last_s * 1000),
            "inference_count": model.success.count,
            "execution_count": round(model.executions),
            "inference_stats": {
                "success": model.success.told(),
                "fail": model.fail.told(),
                "queue": model.queue.told(),
                "compute_input": model.preprocess.told(),
                "compute_infer": model.inference.told(),
                "compute_output": {"count": model.success.count, "ns": 0},
                "cache_hit": nothing,
                "cache_miss": nothing,
            },
            "batch_stats": [],
        }
