"""One inference over HTTP, from its head to its answer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from edgewise.protocol.http import codec
from edgewise.protocol.messages import (
    BadRequest,
    InferRequest,
    InferResult,
    Refused,
    RequestTiming,
    ServingError,
    Unauthorised,
)
from edgewise.server.http import answers, compression
from edgewise.server.http import timing as stated
from edgewise.server.http.answers import Answer
from edgewise.server.http.exchange import Exchange, Gone

if TYPE_CHECKING:
    from edgewise.server.http.incoming import Incoming
    from edgewise.server.http.security import Access
    from edgewise.server.service import Service

_log = logging.getLogger("edgewise.server.http")

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
            self._check(path, headers)
            answer = await self._answer(exchange, headers, model, version, request_id)
        except Gone:
            return
        except Exception as error:  # noqa: BLE001 - process boundary: see `_of`
            answer = _of(error, exchange, request_id)
        await exchange.respond(
            answer.status, [*answer.headers, (answers.REQUEST_ID, request_id)], answer.body
        )

    def begin(
        self, exchange: Incoming, path: str, headers: Headers, model: str, version: str
    ) -> bool:
        """As a call, for a request that is whole, and without a coroutine: a task takes longer to
        make and to wake than most of what it does. False, and nothing done: this one needs it."""
        if not _is_plain(headers, exchange.size):
            return False
        request_id = answers.request_id(headers)
        try:
            self._check(path, headers)
            asked = self._decoded(exchange.content(), headers, model, version)
            request = self._request(exchange, headers, model, asked, request_id)
            if version:
                self._service.model_ready(model, version)
            exchange.hold(
                self._service.ask(request, partial(self._told, exchange, asked, request_id))
            )
        except Gone:
            return True
        except Exception as error:  # noqa: BLE001 - process boundary: see `_of`
            known = self._known(error, model, version)
            self._reply(exchange, request_id, _of(known, exchange, request_id))
        return True

    def _told(
        self,
        exchange: Incoming,
        asked: codec.Asked,
        request_id: bytes,
        outcome: InferResult | Exception,
    ) -> None:
        """The service has done with a request."""
        if exchange.gone:
            return
        try:
            if isinstance(outcome, Exception):
                answer = _of(outcome, exchange, request_id)
            elif codec.is_long(outcome, asked):
                exchange.spawn(self._told_at_length(exchange, asked, request_id, outcome))
                return
            else:
                answer = answers.of_result(outcome, asked)
        except Exception as error:  # noqa: BLE001 - process boundary: see `_of`
            answer = _of(error, exchange, request_id)
        self._reply(exchange, request_id, answer)

    async def _told_at_length(
        self, exchange: Incoming, asked: codec.Asked, request_id: bytes, result: InferResult
    ) -> None:
        try:
            answer = await asyncio.to_thread(answers.of_result, result, asked)
        except Exception as error:  # noqa: BLE001 - process boundary: see `_of`
            answer = _of(error, exchange, request_id)
        if not exchange.gone:
            self._reply(exchange, request_id, answer)

    @staticmethod
    def _reply(exchange: Incoming, request_id: bytes, answer: Answer) -> None:
        headers = [*answer.headers, (answers.REQUEST_ID, request_id)]
        exchange.reply(answer.status, headers, answer.body)

    def _check(self, path: str, headers: Headers) -> None:
        if not self._access.allows(path, headers):
            raise Unauthorised("a token is needed", hint="Authorization: Bearer TOKEN")

    def _known(self, error: Exception, model: str, version: str) -> Exception:
        """What is wrong with a request; that nobody could answer it says more than what else is."""
        if isinstance(error, BadRequest):
            try:
                self._service.model_ready(model, version)
            except ServingError as unknown:
                return unknown
        return error

    async def _answer(
        self, exchange: Exchange, headers: Headers, model: str, version: str, request_id: bytes
    ) -> Answer:
        body = await exchange.body()
        try:
            asked = await self._asked(exchange, body, headers, model, version)
            request = self._request(exchange, headers, model, asked, request_id)
        except BadRequest as error:
            raise self._known(error, model, version) from error
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
        if _json_size(headers, len(body)) > _INLINE_JSON_BYTES:
            return await exchange.watch(asyncio.to_thread(codec.decode, body, _json_bytes(headers)))
        return self._decoded(body, headers, model, version)

    def _decoded(
        self, body: bytes | memoryview, headers: Headers, model: str, version: str
    ) -> codec.Asked:
        json_bytes = _json_bytes(headers)
        if json_bytes == 0:
            if headers.get(b"content-type", b"").startswith(b"application/json"):
                raise BadRequest("Inference-Header-Content-Length is 0, the content type is JSON")
            return codec.decode_raw(body, self._service.model_metadata(model, version).inputs)
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
            stated=RequestTiming(exchange.first_ms, received_ms=received_ms, **times),
            id=asked.id or request_id.decode(),
            wanted=asked.wanted,
            parameters=stated.others(asked.parameters) if asked.parameters else {},
        )


def _of(error: Exception, exchange: Exchange, request_id: bytes) -> Answer:
    """The answer where there is no result. A defect ends one request, and is logged."""
    if not isinstance(error, ServingError):
        _log.error("request %s failed", request_id.decode(), exc_info=error)
        return answers.of_defect()
    answer = answers.of_error(error)
    if isinstance(error, Refused):
        took_ms = time.monotonic() * 1000 - exchange.last_ms
        timing = (b"server-timing", b"total;dur=%.3f" % took_ms)
        return answer._replace(headers=[*answer.headers, timing])
    return answer


def _is_plain(headers: Headers, body_bytes: int) -> bool:
    """Whether a request can be read and answered at once: nothing is packed, its JSON is short."""
    if b"content-encoding" in headers or compression.wanted(headers) is not None:
        return False
    if body_bytes <= _INLINE_JSON_BYTES:
        return True
    text = headers.get(codec.HEADER_LENGTH, b"")
    return (
        text.isdigit()
        and len(text) <= len(str(_INLINE_JSON_BYTES))
        and int(text) <= _INLINE_JSON_BYTES
    )


def _json_size(headers: Headers, body_bytes: int) -> int:
    json_bytes = _json_bytes(headers)
    return body_bytes if json_bytes is None else json_bytes


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
