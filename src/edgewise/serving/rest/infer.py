"""One inference over HTTP, from its head to its answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from edgewise.serving.messages import (
    BadRequest,
    InferRequest,
    Refused,
    ServingError,
    Stated,
    Unauthorised,
)
from edgewise.serving.rest import answers, codec, compression, stated
from edgewise.serving.rest.answers import Answer
from edgewise.serving.rest.exchange import Exchange, Gone

if TYPE_CHECKING:
    from edgewise.serving.rest.security import Access
    from edgewise.serving.service import Service

_log = logging.getLogger("edgewise.serving.rest")

#: JSON above this is decoded in a thread, so that others are answered meanwhile.
_INLINE_JSON_BYTES = 256 * 1024

_OF_THE_NETWORK = frozenset({"rtt_ms", "upload_ms", "proxy_elapsed_ms"})

Headers = Mapping[bytes, bytes]


class Inference:
    """Answers `POST …/infer`."""

    def __init__(self, service: Service, access: Access, body_bytes: int) -> None:
        self._service = service
        self._access = access
        self._body_bytes = body_bytes

    async def __call__(
        self, exchange: Exchange, path: str, headers: Headers, model: str, version: str
    ) -> None:
        """Answer one request, or drop it if its caller leaves."""
        request_id = answers.request_id(headers)
        try:
            if not self._access.allows(path, headers):
                raise Unauthorised("a token is needed", hint="Authorization: Bearer TOKEN")
            answer = await self._answer(exchange, headers, model, version, request_id)
        except Gone:
            return
        except ServingError as error:
            answer = answers.of_error(error)
            if isinstance(error, Refused):
                took_ms = time.monotonic() * 1000 - exchange.last_ms
                timing = (b"server-timing", b"total;dur=%.3f" % took_ms)
                answer = answer._replace(headers=[*answer.headers, timing])
        except Exception:  # noqa: BLE001 - process boundary: a defect ends one request, logged
            _log.exception("request %s failed", request_id.decode())
            answer = answers.of_defect()
        await exchange.respond(
            answer.status, [*answer.headers, (answers.REQUEST_ID, request_id)], answer.body
        )

    async def _answer(
        self, exchange: Exchange, headers: Headers, model: str, version: str, request_id: bytes
    ) -> Answer:
        body = await exchange.body()
        try:
            asked = await self._asked(exchange, body, headers, model, version)
            request = self._request(exchange, headers, model, asked, request_id)
        except BadRequest:
            # Raises UnknownModel, which says more of a request that nobody could answer.
            self._service.model_ready(model, version)
            raise
        if version:
            self._service.model_ready(model, version)
        result = await exchange.watch(self._service.infer(request))
        if codec.is_long(result, asked):
            answer = await asyncio.to_thread(answers.of_result, result, asked)
        else:
            answer = answers.of_result(result, asked)
        if (encoding := compression.wanted(headers)) is not None:
            content = await compression.compressed(b"".join(answer.body), encoding)
            return Answer(
                answer.status, [*answer.headers, (b"content-encoding", encoding)], [content]
            )
        return answer

    async def _asked(
        self,
        exchange: Exchange,
        body: bytes | memoryview,
        headers: Headers,
        model: str,
        version: str,
    ) -> codec.Asked:
        if b"content-encoding" in headers:
            body = await compression.inflated(body, headers, self._body_bytes)
        json_bytes = _json_bytes(headers)
        if json_bytes == 0:
            if headers.get(b"content-type", b"").startswith(b"application/json"):
                raise BadRequest("Inference-Header-Content-Length is 0, the content type is JSON")
            return codec.decode_raw(body, self._service.model_metadata(model, version).inputs)
        if (len(body) if json_bytes is None else json_bytes) > _INLINE_JSON_BYTES:
            return await exchange.watch(asyncio.to_thread(codec.decode, body, json_bytes))
        return codec.decode(body, json_bytes)

    def _request(
        self,
        exchange: Exchange,
        headers: Headers,
        model: str,
        asked: codec.Asked,
        request_id: bytes,
    ) -> InferRequest:
        times = stated.of_caller(asked.parameters) if asked.parameters else {}
        received_ms = exchange.last_ms - exchange.first_ms
        since_last_ms = time.monotonic() * 1000 - exchange.last_ms
        times |= stated.of_proxy(headers, time.time() * 1000 - since_last_ms)
        if not times.keys() & _OF_THE_NETWORK:
            # The kernel is asked only where nobody said anything of the network.
            rtt_ms = exchange.kernel_rtt_ms()
            if rtt_ms is not None:
                times["kernel_rtt_ms"] = rtt_ms
        return InferRequest(
            model=model,
            inputs=asked.inputs,
            stated=Stated(exchange.first_ms, received_ms=received_ms, **times),
            id=asked.id or request_id.decode(),
            wanted=asked.wanted,
            parameters=stated.others(asked.parameters) if asked.parameters else {},
        )


def _json_bytes(headers: Headers) -> int | None:
    text = headers.get(codec.HEADER_LENGTH)
    if text is None:
        return None
    if not text.isdigit() or len(text) > 18:
        raise BadRequest(
            f"Inference-Header-Content-Length is '{text.decode('latin-1'):.40}'",
            hint="how many bytes of the body are JSON",
        )
    return int(text)
