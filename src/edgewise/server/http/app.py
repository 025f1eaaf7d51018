"""The ASGI application: inference straight to its handler, everything else through Starlette."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from edgewise.protocol.messages import ServingError, Unauthorised
from edgewise.server.http import answers
from edgewise.server.http.exchange import (
    IN_SCOPE,
    Exchange,
    Gone,
    Message,
    PlainExchange,
    Receive,
    Scope,
    Send,
)
from edgewise.server.http.infer import Inference
from edgewise.server.http.openapi import document
from edgewise.server.http.routes import Pages, Protocol, application
from edgewise.server.http.security import Access
from edgewise.server.http.statistics import Statistics

if TYPE_CHECKING:
    from edgewise.server.service import Service
    from edgewise.server.settings import ServerSettings

_log = logging.getLogger("edgewise.server.http")

_MODELS, _INFER = "/v2/models/", "/infer"
#: Where a person with a browser looks; it asks for the token itself.
_FOR_BROWSERS = frozenset({"/", "/status.json"})


class App:
    """The service over HTTP; runs on our server, and on any ASGI server with less to tell.

    `metrics` gives the metrics with their content type, `page` the status page, `snapshot` the
    data behind it. `statistics` are counted here, for whoever else shows them.
    """

    def __init__(
        self,
        service: Service,
        settings: ServerSettings,
        *,
        metrics: Callable[[], tuple[bytes, str]],
        page: Callable[[], bytes],
        snapshot: Callable[[], dict[str, Any]],
    ) -> None:
        self._limits = settings.limits
        self._access = Access(settings.token)
        self.infer = Inference(service, self._access, settings.limits.body_bytes)
        self.statistics = Statistics()
        service.subscribe(self.statistics.listen)
        pages = Pages(metrics, page, snapshot, lambda: document(with_token=bool(settings.token)))
        self._others = application(Protocol(service, self.statistics), pages)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._others(scope, receive, send)
            return
        exchange: Exchange | None = scope.get(IN_SCOPE)
        if exchange is None:
            exchange = PlainExchange(
                scope,
                receive,
                send,
                body_bytes=self._limits.body_bytes,
                body_seconds=self._limits.body_seconds,
            )
        path: str = scope["path"]
        if path.endswith(_INFER) and (model := model_of(path)) is not None:
            if scope["method"] == "POST":
                await self.infer(exchange, path, dict(scope["headers"]), *model)
                return
            await _respond(exchange, dict(scope["headers"]), _not_allowed(scope))
            return
        await self._other(scope, exchange)

    async def _other(self, scope: Scope, exchange: Exchange) -> None:
        headers = dict(scope["headers"])
        path = scope["path"]
        try:
            if not self._access.allows(path, headers):
                raise Unauthorised("a token is needed", hint="Authorization: Bearer TOKEN")
            body = bytes(await exchange.body()) if scope["method"] == "POST" else b""
        except Gone:
            return
        except ServingError as error:
            answer = answers.of_error(error, browser=path in _FOR_BROWSERS)
        else:
            answer = await self._routed(scope, body)
        await _respond(exchange, headers, answer)

    async def _routed(self, scope: Scope, body: bytes) -> answers.Answer:
        """Starlette's answer to a request whose body is here."""
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        try:
            await self._others(scope, receive, send)
        except Exception:  # noqa: BLE001 - Starlette made it a 500 and raises it for the log
            _log.exception("%s %s failed", scope["method"], scope["path"])
        start, *parts = sent
        kept = [each for each in start["headers"] if each[0] != b"content-length"]
        return answers.Answer(start["status"], kept, [part.get("body", b"") for part in parts])


async def _respond(
    exchange: Exchange, headers: Mapping[bytes, bytes], answer: answers.Answer
) -> None:
    identified = [*answer.headers, (answers.REQUEST_ID, answers.request_id(headers))]
    await exchange.respond(answer.status, identified, answer.body)


def _not_allowed(scope: Scope) -> answers.Answer:
    message = f'{{"error":"{scope["method"]}: an inference is asked for with POST"}}'
    return answers.Answer(405, [answers.JSON, (b"allow", b"POST")], [message.encode()])


def model_of(path: str) -> tuple[str, str] | None:
    """Model and version of `/v2/models/{model}[/versions/{version}]/infer`."""
    if not path.startswith(_MODELS):
        return None
    parts = path[len(_MODELS) : -len(_INFER)].split("/")
    if len(parts) == 1 and parts[0]:
        return parts[0], ""
    if len(parts) == 3 and parts[1] == "versions" and parts[0] and parts[2]:
        return parts[0], parts[2]
    return None
