"""The client for asyncio."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

from edgewise.client import cascade
from edgewise.client.answer import Answer
from edgewise.client.calibration import calibrate
from edgewise.client.cloud import Cloud, Request
from edgewise.client.device import LocalDevice
from edgewise.client.due import Due
from edgewise.client.http import Http, warm_http
from edgewise.client.inputs import question, warm_pillow
from edgewise.client.options import ClientSettings, Options
from edgewise.client.strategy import Cascade, CloudOnly, Duplicate
from edgewise.errors import UsageError
from edgewise.family import load_family
from edgewise.network.estimate import NetworkEstimate
from edgewise.protocol.http.attempt import now_ms


class AsyncClient:
    """Asks a service of the Open Inference Protocol; for one event loop.

    ::

        async with edgewise.AsyncClient(
            "http://127.0.0.1:8080", family="family.toml", sla_ms=150, device="duplicate"
        ) as client:
            answer = await client.infer("photo.jpg")
            print(answer.label, answer.source, answer.latency_ms)

    Args:
        url: of the service, with a path where it is below one.
        model: the served name of a family or a variant; without, the family's.
        options: see `Options`.

    Raises:
        UsageError: half-given or contradicting settings.
        InputError: the family, or the cascade's file, cannot be read.
        MissingExtra: httpx is not installed.
    """

    def __init__(self, url: str, model: str | None = None, **options: Unpack[Options]) -> None:
        self._settings = settings = ClientSettings(**options)
        self._family = load_family(Path(settings.family)) if settings.family is not None else None
        name = model or (self._family.name if self._family else None)
        if name is None:
            raise UsageError("which model?", hint="Client(url, 'digits'), or give family=")
        self.model = name
        self._cloud = Cloud(_http(url, settings), name, retries=settings.retries)
        self._cloud_only = CloudOnly(self._cloud, name, self._family, settings.encoding)
        self._device: LocalDevice | None = None
        self._rule: cascade.Rule | None = None
        if settings.device != "off" and self._family is not None:
            self._device = LocalDevice(self._family)
            if settings.cascade is not None:
                device = self._device.variant.name
                self._rule = cascade.rule(settings.cascade, device, settings.risk)
        self._closed = False

    @property
    def network(self) -> NetworkEstimate:
        """What the client knows of the network by now."""
        return self._cloud.network

    @property
    def rule(self) -> cascade.Rule | None:
        """The cascade's rule; None until it is given or calibrated."""
        return self._rule

    async def ready(self) -> None:
        """Get everything ready that the first request would otherwise wait for: libraries that
        load parts at first use, and the device's model. Entering the client as a context does it.

        Raises:
            RuntimeRefused, MissingExtra, InputError: the device's model cannot be loaded.
        """
        await warm_http()
        if self._family is not None and self._family.input.kind == "image":
            warm_pillow()
        if self._device is not None:
            await asyncio.wrap_future(self._device.ready())

    async def ping(self) -> float:
        """Open a connection if there is none, and measure the round trip, in ms.

        Raises:
            ServingError, Unreachable, MalformedAnswer: the service is not live.
            Late: it did not answer within the timeout.
        """
        return await self._cloud.ping(self._settings.timeout_s)

    async def infer(
        self,
        given: Any,
        sla_ms: float | None = None,
        elapsed_ms: float = 0.0,
        *,
        id: str = "",
        outputs: Sequence[str] = (),
        parameters: Mapping[str, Any] | None = None,
        started_ms: float | None = None,
    ) -> Answer:
        """One answer.

        Args:
            given: an image (file path, encoded bytes, PIL image, array of unsigned bytes of shape
                (H, W) or (H, W, C)), a tensor (any other array), or arrays by name.
            sla_ms: the deadline, from the call on; None: the client's own.
            elapsed_ms: of it, what has been spent already.
            id: comes back with the answer.
            outputs: names of the outputs wanted; none: all.
            parameters: further ones of the request; the service may know them.
            started_ms: `time.monotonic` × 1000 at the call, where it was not now.

        Raises:
            ServingError: the service said no: `Refused`, `Unauthorised`, `UnknownModel` …
            Unreachable, MalformedAnswer: it said nothing that could be used.
            Late: it said nothing in time.
            InputError, UsageError: what was given cannot be asked.

        With a variant on the device, its answer is given wherever it has one instead of an error
        of the service.
        """
        if self._closed:
            raise UsageError("the client is closed")
        settings = self._settings
        due = Due(
            started_ms=now_ms() if started_ms is None else started_ms,
            sla_ms=settings.sla_ms if sla_ms is None else sla_ms,
            elapsed_ms=elapsed_ms,
            grace_ms=settings.grace_ms,
            timeout_ms=1000 * settings.timeout_s,
        )
        asked = question(given, self._family.input.kind if self._family else None)
        further = tuple((parameters or {}).items())
        request = Request((), id, tuple(outputs), further)
        answer = await self._strategy().answer(asked, request, due)
        return answer if answer.id or not id else replace(answer, id=id)

    def _strategy(self) -> CloudOnly | Duplicate | Cascade:
        if self._device is None or self._family is None:
            return self._cloud_only
        margin_ms = self._settings.margin_ms
        if self._settings.device == "duplicate":
            return Duplicate(self._cloud_only, self._device, self._family, margin_ms)
        if self._rule is None:
            raise UsageError(
                "the cascade has no threshold",
                hint="give cascade= a confidence, a rule or a file, or call calibrate()",
            )
        return Cascade(self._cloud_only, self._device, self._family, margin_ms, self._rule)

    async def calibrate(
        self,
        inputs: Iterable[Any],
        labels: Iterable[int | str],
        *,
        risk: float | None = None,
        ask_cloud: bool = True,
    ) -> cascade.Rule:
        """Find the cascade's threshold on labelled inputs, and use it from now on.

        Args:
            inputs: as for `infer`.
            labels: the right class of each, by index or name.
            risk: bound on the share of inputs, in percent, whose answer is kept from the device
                and wrong where the cloud's is right; None: the client's own.
            ask_cloud: ask the cloud about each input too. Without, it is taken to be always right,
                so that the risk bounds all of the device's errors that are kept.

        Raises:
            UsageError: no device variant, no inputs, or a label that the family does not have.
            EdgewiseError: as `infer`, of any of the inputs.
        """
        if self._device is None or self._family is None:
            raise UsageError("nothing to calibrate: device='off'")
        self._rule = await calibrate(
            inputs,
            labels,
            device=self._device,
            family=self._family,
            cloud=self._cloud_only if ask_cloud else None,
            risk=self._settings.risk if risk is None else risk,
            timeout_ms=1000 * self._settings.timeout_s,
        )
        return self._rule

    async def close(self) -> None:
        """Close connections, drop the device's model. A closed client cannot be used again."""
        self._closed = True
        if self._device is not None:
            self._device.close()
        await self._cloud.close()

    async def __aenter__(self) -> Self:
        try:
            await self.ready()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()


def _http(url: str, settings: ClientSettings) -> Http:
    verify = settings.verify
    return Http(
        url,
        token=settings.token,
        verify=verify if isinstance(verify, bool | ssl.SSLContext) else Path(verify),
        connections=settings.connections,
        most_bytes=settings.most_answer_bytes,
    )
