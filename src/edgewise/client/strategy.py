"""Who is asked: the cloud alone, both at once, or the device first."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, TypeVar

from edgewise.client.answer import Answer
from edgewise.client.cascade import Rule
from edgewise.client.cloud import Cloud, Request, Told
from edgewise.client.compose import from_cloud, from_device
from edgewise.client.device import Local, LocalDevice
from edgewise.client.due import Due
from edgewise.client.inputs import Encoding, Question
from edgewise.client.race import Outcome, first_in_time
from edgewise.errors import EdgewiseError
from edgewise.family import Family
from edgewise.protocol.errors import Late
from edgewise.protocol.http.attempt import now_ms
from edgewise.protocol.messages import Refused

T = TypeVar("T")


class CloudOnly:
    """Asks the service, nobody else."""

    def __init__(self, cloud: Cloud, model: str, family: Family | None, encoding: Encoding) -> None:
        self._cloud = cloud
        self._model = model
        self._family = family
        self._encoding = encoding

    async def answer(self, asked: Question, request: Request, due: Due) -> Answer:
        """The service's answer; raises as `AsyncClient.infer`."""
        return self.composed(await self.told(asked, request, due), due)

    async def told(
        self, asked: Question, request: Request, due: Due, *, patient: bool = True
    ) -> Told:
        """What the service says, decoded but not judged."""
        if asked.is_quick:
            inputs = asked.tensors(self._encoding)
        else:
            inputs = await asyncio.to_thread(asked.tensors, self._encoding)
        return await self._cloud.ask(replace(request, inputs=inputs), due, patient=patient)

    def composed(self, told: Told, due: Due) -> Answer:
        """As an answer that is given now."""
        return from_cloud(told, self._family, self._model, due, now_ms())

    def round_trip_ms(self) -> float:
        """What the network takes at least, as far as is known."""
        expected = self._cloud.network.expect(0)
        return expected.total_ms if expected else 0.0


class Duplicate:
    """Asks the service and the device at once (MDInference). Without a deadline, the service has
    the timeout."""

    def __init__(
        self, cloud: CloudOnly, device: LocalDevice, family: Family, margin_ms: float
    ) -> None:
        self._cloud = cloud
        self._device = device
        self._family = family
        self._margin_ms = margin_ms

    async def answer(self, asked: Question, request: Request, due: Due) -> Answer:
        """The service's answer if it is in time, else the device's; raises as `AsyncClient.infer`
        where both fail."""
        device = asyncio.wrap_future(self._device.ask(asked))
        return await self._race(asked, request, due, device)

    async def _race(
        self, asked: Question, request: Request, due: Due, device: asyncio.Future[Local]
    ) -> Answer:
        cloud = asyncio.create_task(self._cloud.told(asked, request, due, patient=False))
        now = now_ms()
        held_ms = min(due.left_ms(now), due.trying_ms(now)) - self._margin_ms
        outcome = await _bounded(first_in_time(cloud, device, held_ms), due)
        return self._composed(outcome, due)

    def _composed(self, outcome: Outcome[Told, Local], due: Due) -> Answer:
        if outcome.cloud is not None:
            answer = self._cloud.composed(outcome.cloud, due)
            failed = outcome.device_error
            return _noted(answer, f"the device failed: {failed}") if failed else answer
        assert outcome.device is not None
        return _noted(self._of_device(outcome.device, due), _why(outcome))

    def _of_device(self, local: Local, due: Due) -> Answer:
        return from_device(local, self._device.variant, self._family, due, now_ms())


class Cascade(Duplicate):
    """Asks the device, and the service where the device is unsure and there is time."""

    def __init__(
        self,
        cloud: CloudOnly,
        device: LocalDevice,
        family: Family,
        margin_ms: float,
        rule: Rule,
    ) -> None:
        super().__init__(cloud, device, family, margin_ms)
        self._rule = rule

    async def answer(self, asked: Question, request: Request, due: Due) -> Answer:
        """The device's answer if it is sure or the service gives none in time; raises as
        `AsyncClient.infer` where both fail."""
        device = asyncio.wrap_future(self._device.ask(asked))
        try:
            first = self._of_device(await _bounded(device, due), due)
        except Late:
            raise
        except EdgewiseError as error:
            only = await self._cloud.answer(asked, request, due)
            return _noted(only, f"the device failed: {error}")
        if self._rule.keeps(first.confidence):
            return first
        left_ms = due.left_ms(now_ms()) - self._margin_ms
        if left_ms <= self._cloud.round_trip_ms():
            return replace(
                _noted(first, "low confidence, and no time left to ask the cloud"),
                low_confidence=True,
            )
        answer = await self._race(asked, request, due, device)
        return replace(answer, low_confidence=answer.source == "device")


async def _bounded(work: Coroutine[Any, Any, T] | asyncio.Future[T], due: Due) -> T:
    """Not for ever: where nobody has answered when the cloud is given up, the device has as long
    again as a call without a deadline."""
    limit_ms = max(due.trying_ms(now_ms()), 0.0) + due.timeout_ms
    try:
        async with asyncio.timeout(limit_ms / 1000):
            return await work
    except TimeoutError as error:
        raise Late(f"neither the cloud nor the device answered within {limit_ms:g} ms") from error


def _why(outcome: Outcome[Told, Local]) -> str:
    error = outcome.cloud_error
    if error is None:
        return "the cloud was not in time"
    if isinstance(error, Refused):
        return f"the cloud refused: {error}"
    return f"the cloud gave no answer: {error}"


def _noted(answer: Answer, note: str) -> Answer:
    return replace(answer, notes=(*answer.notes, note))
