"""Calibrating a cascade on labelled inputs, with the device and the cloud as they are."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np

from edgewise.client.answer import Answer
from edgewise.client.cascade import Rule, calibrated
from edgewise.client.cloud import Request
from edgewise.client.compose import from_device
from edgewise.client.device import LocalDevice
from edgewise.client.due import Due
from edgewise.client.inputs import question
from edgewise.client.strategy import CloudOnly
from edgewise.errors import UsageError
from edgewise.family import Family
from edgewise.protocol.http.attempt import now_ms

_MISSING = object()


async def calibrate(
    inputs: Iterable[Any],
    labels: Iterable[int | str],
    *,
    device: LocalDevice,
    family: Family,
    cloud: CloudOnly | None,
    risk: float,
    timeout_ms: float,
) -> Rule:
    """A rule for this device and cloud; see `AsyncClient.calibrate`.

    The cloud is asked without a deadline: its best answer, as when there is time.
    """
    if not 0 < risk < 100:
        raise UsageError(f"a risk of {risk} %", hint="it lies between 0 and 100")
    confidence: list[float] = []
    right: list[bool] = []
    cloud_right: list[bool] = []
    answered_by: list[str] = []
    for number, (given, label) in enumerate(zip_longest(inputs, labels, fillvalue=_MISSING)):
        if given is _MISSING or label is _MISSING:
            raise UsageError("not as many labels as inputs to calibrate on")
        truth = _index(label, family.label_names)
        asked = question(given, family.input.kind)
        due = Due(now_ms(), None, 0.0, 0.0, timeout_ms)
        local = await asyncio.wrap_future(device.ask(asked))
        mine = from_device(local, device.variant, family, due, now_ms())
        confidence.append(_judged(mine, f"the device's answer to input {number}"))
        right.append(mine.index == truth)
        if cloud is not None:
            other = await cloud.answer(asked, Request(()), due)
            _judged(other, f"the cloud's answer to input {number}")
            cloud_right.append(other.index == truth)
            answered_by.append(other.variant)
    return calibrated(
        np.array(confidence, dtype=np.float64),
        np.array(right, dtype=np.bool_),
        np.array(cloud_right, dtype=np.bool_) if cloud else np.ones(len(right), dtype=np.bool_),
        risk,
        device=device.variant.name,
        cloud=", ".join(sorted(set(answered_by))),
    )


def _index(label: Any, names: Sequence[str]) -> int:
    if isinstance(label, str):
        if label not in names:
            raise UsageError(f"the label '{label}' is none of the family's")
        return names.index(label)
    if isinstance(label, int | np.integer) and label >= 0:
        return int(label)
    raise UsageError(f"{label!r} is no label", hint="give a class by its index or its name")


def _judged(answer: Answer, what: str) -> float:
    if answer.confidence is None:
        raise UsageError(f"{what} has no one score per class: a cascade needs a classifier")
    return answer.confidence
