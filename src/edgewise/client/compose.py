"""From what the cloud or the device gave to an `Answer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgewise.client.answer import Answer
from edgewise.client.cloud import Told
from edgewise.client.device import Local
from edgewise.client.due import Due
from edgewise.family import Family, Output, Variant
from edgewise.protocol.http.client_codec import number
from edgewise.runtimes.variant import confidence, scaled

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a classifier's first output says; all None where it is no row of scores."""

    scores: Array | None = None
    index: int | None = None
    label: str | None = None
    confidence: float | None = None


def verdict(
    outputs: Mapping[str, Array],
    kind: Output | None,
    labels: Sequence[str],
) -> Verdict:
    """The best class of one input.

    The first output counts as scores where all but one of its dimensions are 1: a batch of several
    inputs, or an output per pixel, has no one best class.
    """
    first = next(iter(outputs.values()), None)
    if first is None or first.dtype.kind not in "iuf" or first.size < 2:
        return Verdict()
    if max(first.shape) != first.size or not np.isfinite(first).all():
        return Verdict()
    scores = scaled(first).reshape(-1)
    index = int(scores.argmax())
    label = labels[index] if len(labels) == len(scores) else None
    return Verdict(scores, index, label, confidence(scores, kind))


def from_cloud(told: Told, family: Family | None, model: str, due: Due, now: float) -> Answer:
    """The cloud's answer, complete at `now` (ms)."""
    reply = told.reply
    name = reply.text("variant") or reply.model or model
    known = _variant(family, name)
    accuracy = number(reply.parameters.get("accuracy"))
    best = verdict(reply.outputs, known.output if known else None, _labels(family))
    # What passed since the last byte is the client's own doing.
    until_finish_ms = told.phases.total_ms - told.phases.finish_ms
    finish_ms = max(0.0, now - due.started_ms - until_finish_ms)
    return Answer(
        outputs=reply.outputs,
        scores=best.scores,
        index=best.index,
        label=best.label,
        confidence=best.confidence,
        source="cloud",
        variant=name,
        accuracy=accuracy if accuracy is not None else (known.accuracy if known else None),
        latency_ms=now - due.started_ms,
        in_time=due.in_time(now),
        id=reply.id,
        network=told.network,
        phases=replace(told.phases, finish_ms=finish_ms),
        parameters=reply.parameters,
        attempts=told.attempts,
        retry_ms=told.retry_ms,
        notes=() if reply.tells_time else (
            "the service does not say what it took: upload_ms holds its time too",
        ),
    )  # fmt: skip


def from_device(local: Local, variant: Variant, family: Family, due: Due, now: float) -> Answer:
    """The device's answer, given at `now` (ms)."""
    best = verdict(local.outputs, variant.output, family.label_names)
    return Answer(
        outputs=local.outputs,
        scores=best.scores,
        index=best.index,
        label=best.label,
        confidence=best.confidence,
        source="device",
        variant=variant.name,
        accuracy=variant.accuracy,
        latency_ms=now - due.started_ms,
        in_time=due.in_time(now),
        parameters={"inference_ms": round(local.took_ms, 3)},
    )


def _variant(family: Family | None, name: str) -> Variant | None:
    if family is None:
        return None
    return next((each for each in family.variant if each.name == name), None)


def _labels(family: Family | None) -> tuple[str, ...]:
    return family.label_names if family else ()
