"""One inference over gRPC, from its headers to its answer; and many on one stream."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from grpc.aio import EOF

from edgewise.protocol.grpc import codec, raw_contents
from edgewise.protocol.grpc.schema import message
from edgewise.protocol.grpc.status import details, refuse
from edgewise.protocol.messages import BadRequest, InferRequest, RequestTiming, ServingError
from edgewise.protocol.metadata import VERSION
from edgewise.server.grpc.access import Gate, headers_of
from edgewise.server.grpc.compression import inflated
from edgewise.server.http import timing as stated
from edgewise.server.http.answers import request_id

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

    from edgewise.server.service import Service
    from edgewise.server.settings import Limits

_log = logging.getLogger("edgewise.server.grpc")

#: A message up to this size comes in one HTTP/2 frame: what passes until it is here is our own
#: event loop's delay, not the network's.
_ONE_FRAME_BYTES = 16 * 1024
#: Requests of one stream that are worked on at once; more are left unread.
_STREAM_DEPTH = 32
_STREAMED = message("ModelStreamInferResponse")
_INFER_RESPONSE: int = _STREAMED.DESCRIPTOR.fields_by_name["infer_response"].number


class Inference:
    """Answers `ModelInfer` and `ModelStreamInfer`.

    Both get their messages unparsed and read them themselves: the time that a body takes can then
    be limited and measured.
    """

    def __init__(self, service: Service, gate: Gate, limits: Limits) -> None:
        self._service = service
        self._gate = gate
        self._limits = limits

    async def unary(self, _: object, context: ServicerContext) -> bytes:
        """One request. A cancelled or disconnected call cancels its work."""
        first_ms = time.monotonic() * 1000
        headers = headers_of(context)
        try:
            self._gate.check(headers)
            content = await self._message(context)
            last_ms = time.monotonic() * 1000
            seen: dict[str, Any] = {"arrived_ms": first_ms}
            if len(content) > _ONE_FRAME_BYTES:
                seen["received_ms"] = last_ms - first_ms
            else:
                seen["arrived_ms"] = last_ms
            content = await inflated(content, self._limits.body_bytes)
            return await self._answer(content, context, headers, seen)
        except ServingError as error:
            await refuse(context, error)

    async def stream(self, _: object, context: ServicerContext) -> None:
        """Requests one after the other, worked on at once, answered in their order."""
        headers = headers_of(context)
        try:
            self._gate.check(headers)
        except ServingError as error:
            await refuse(context, error)
        begun: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(_STREAM_DEPTH)
        async with asyncio.TaskGroup() as group:
            group.create_task(self._begin(group, begun, context, headers))
            while (task := await begun.get()) is not None:
                await context.write(await task)

    async def _begin(
        self,
        group: asyncio.TaskGroup,
        begun: asyncio.Queue[asyncio.Task[bytes] | None],
        context: ServicerContext,
        headers: Mapping[bytes, bytes],
    ) -> None:
        while (content := await context.read()) is not EOF:
            work = self._streamed(content, context, headers)
            await begun.put(group.create_task(work))
        await begun.put(None)

    async def _streamed(
        self, content: bytes, context: ServicerContext, headers: Mapping[bytes, bytes]
    ) -> bytes:
        seen = {"arrived_ms": time.monotonic() * 1000}
        try:
            content = await inflated(content, self._limits.body_bytes)
            answer = await self._answer(content, context, headers, seen)
        except ServingError as error:
            answer = codec.encode_failure(codec.id_of(content))
            told: bytes = _STREAMED(error_message=details(error)).SerializeToString()
            return raw_contents.join(told, _INFER_RESPONSE, [answer])
        return raw_contents.join(b"", _INFER_RESPONSE, [answer])

    async def _message(self, context: ServicerContext) -> bytes:
        seconds = self._limits.body_seconds
        try:
            async with asyncio.timeout(seconds):
                content = await context.read()
        except TimeoutError as error:
            raise BadRequest(f"the request did not arrive within {seconds:g} s") from error
        if content is EOF:
            raise BadRequest("a call without a request")
        whole: bytes = content
        return whole

    async def _answer(
        self,
        content: bytes,
        context: ServicerContext,
        headers: Mapping[bytes, bytes],
        seen: dict[str, Any],
    ) -> bytes:
        remaining_s = context.time_remaining()
        asked = codec.decode_request(content)
        if asked.version:
            self._service.model_ready(asked.model, asked.version)
        request = InferRequest(
            model=asked.model,
            inputs=asked.inputs,
            stated=_stated(asked, headers, remaining_s, seen),
            id=asked.id or request_id(headers).decode(),
            wanted=asked.wanted,
            parameters=stated.others(asked.parameters) if asked.parameters else {},
        )
        try:
            return codec.encode_answer(await self._service.infer(request), asked, VERSION)
        except ServingError:
            raise
        except Exception as error:  # the process's boundary: a defect is one request's, and logged
            _log.exception("request %s failed", request.id)
            raise ServingError("a defect of the service", hint="its log says more") from error


def _stated(
    asked: codec.Asked,
    headers: Mapping[bytes, bytes],
    remaining_s: float | None,
    seen: dict[str, Any],
) -> RequestTiming:
    return RequestTiming(
        **seen,
        remaining_ms=None if remaining_s is None else max(0.0, 1000 * remaining_s),
        **(stated.of_caller(asked.parameters) if asked.parameters else {}),
        **stated.of_proxy(headers, time.time() * 1000),
    )
