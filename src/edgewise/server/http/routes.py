"""Everything but inference: metadata, health, the repository's index, and the service's own pages.

Paths and answers are those of the Open Inference Protocol v2, with what `tritonclient`, `kserve`
and `perf_analyzer` ask for besides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from edgewise.protocol.messages import BadRequest, ServingError
from edgewise.protocol.metadata import repository_index
from edgewise.server.http import answers

if TYPE_CHECKING:
    from edgewise.server.http.statistics import Statistics
    from edgewise.server.service import Service

_JSON = "application/json"


class _IndexRequest(msgspec.Struct):
    ready: bool = False


class Pages:
    """What helpers of the service show: its metrics, its status page, the data behind that."""

    def __init__(
        self,
        metrics: Callable[[], tuple[bytes, str]],
        page: Callable[[], bytes],
        snapshot: Callable[[], dict[str, Any]],
        document: Callable[[], dict[str, Any]],
    ) -> None:
        self._metrics = metrics
        self._page = page
        self._snapshot = snapshot
        self._document = document
        self._described: Response | None = None

    def routes(self) -> list[Route]:
        """Their paths."""
        return [
            Route("/", self.page),
            Route("/status.json", self.status),
            Route("/metrics", self.metrics),
            Route("/openapi.json", self.openapi),
        ]

    async def page(self, _: Request) -> Response:
        """The status page."""
        return Response(self._page(), media_type="text/html")

    async def status(self, _: Request) -> Response:
        """What the status page shows."""
        return _json(self._snapshot())

    async def metrics(self, _: Request) -> Response:
        """Metrics for Prometheus."""
        # Off the event loop: making the text takes some milliseconds.
        content, media_type = await asyncio.to_thread(self._metrics)
        return Response(content, headers={"content-type": media_type})

    async def openapi(self, _: Request) -> Response:
        """The description of all this; it never changes, and links are measured by it."""
        if self._described is None:
            self._described = _json(self._document())
        return self._described


class Protocol:
    """The protocol's questions other than inference."""

    def __init__(self, service: Service, statistics: Statistics) -> None:
        self._service = service
        self._statistics = statistics

    def routes(self) -> list[Route]:
        """Their paths; those of a model also with a version."""
        of_model = {"": self.model, "/ready": self.model_ready, "/config": self.config,
                    "/stats": self.stats}  # fmt: skip
        return [
            Route("/v2", self.server),
            Route("/v2/health/live", self.live),
            Route("/v2/health/ready", self.ready),
            Route("/v2/models", self.models),
            Route("/v2/models/stats", self.all_stats),
            Route("/v2/repository/index", self.index, methods=["POST"]),
            *(
                Route(f"/v2/models/{{model}}{version}{path}", endpoint)
                for version in ("", "/versions/{version}")
                for path, endpoint in of_model.items()
            ),
        ]

    async def server(self, _: Request) -> Response:
        """Name, version and extensions."""
        return _json(self._service.server_metadata())

    async def live(self, _: Request) -> Response:
        """Whether the process works."""
        return _health("live", self._service.live())

    async def ready(self, _: Request) -> Response:
        """Whether new requests are welcome."""
        return _health("ready", self._service.ready())

    async def models(self, _: Request) -> Response:
        """The names of all models."""
        return _json({"models": self._service.model_names()})

    async def model(self, request: Request) -> Response:
        """What a model takes and gives."""
        return _json(self._service.model_metadata(*_named(request)))

    async def model_ready(self, request: Request) -> Response:
        """Whether a model can answer now."""
        name, version = _named(request)
        is_ready = self._service.model_ready(name, version)
        return _json({"name": name, "ready": is_ready}, 200 if is_ready else 503)

    async def config(self, request: Request) -> Response:
        """A model as Triton's configuration describes one; `perf_analyzer` needs it."""
        return _json(self._service.model_metadata(*_named(request)).config())

    async def stats(self, request: Request) -> Response:
        """Counts and times of one model."""
        name, version = _named(request)
        self._service.model_ready(name, version)
        return _json({"model_stats": [self._statistics.of(name)]})

    async def all_stats(self, _: Request) -> Response:
        """Counts and times of all models."""
        names = self._service.model_names()
        return _json({"model_stats": [self._statistics.of(name) for name in names]})

    async def index(self, request: Request) -> Response:
        """All models with their state; `{"ready": true}` asks for those that can answer."""
        wanted = _index_request(await request.body())
        states = {name: self._service.model_ready(name) for name in self._service.model_names()}
        return _json(repository_index(states, only_ready=bool(wanted.ready)))


def application(protocol: Protocol, pages: Pages) -> Starlette:
    """The routes as an ASGI application; its errors are JSON as all others."""
    app = Starlette(
        routes=[*protocol.routes(), *pages.routes()],
        exception_handlers={HTTPException: _no_route, ServingError: _refused, 500: _defect},
    )
    app.router.redirect_slashes = False
    return app


def _json(content: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(content), status, media_type=_JSON)


def _health(name: str, is_well: bool) -> Response:
    response = _json({name: is_well}, 200 if is_well else 503)
    if not is_well:
        response.headers["retry-after"] = "1"
    return response


def _named(request: Request) -> tuple[str, str]:
    return request.path_params["model"], request.path_params.get("version", "")


def _index_request(body: bytes) -> _IndexRequest:
    if not body.strip():
        return _IndexRequest()
    try:
        return msgspec.json.decode(body, type=_IndexRequest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the request's JSON: {error}") from error


async def _no_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = f"{request.method} {request.url.path}: {error.detail}"
    response = _json({"error": message}, error.status_code)
    response.headers.update(error.headers or {})
    return response


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ServingError)
    return _plain(answers.of_error(error))


async def _defect(_: Request, __: Exception) -> Response:
    return _plain(answers.of_defect())


def _plain(answer: answers.Answer) -> Response:
    headers = {name.decode(): value.decode() for name, value in answer.headers}
    return Response(b"".join(answer.body), answer.status, headers)
