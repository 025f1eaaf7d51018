"""Everything but inference: health, metadata, and what Triton's tools ask for besides."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from edgewise.protocol.grpc.fields import METHODS
from edgewise.protocol.grpc.schema import message
from edgewise.protocol.grpc.status import refuse
from edgewise.protocol.messages import BadRequest, ServingError
from edgewise.protocol.metadata import repository_index
from edgewise.server.grpc.access import Gate, headers_of
from edgewise.server.grpc.compression import inflated

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

    from edgewise.server.http.statistics import Statistics
    from edgewise.server.service import Service

Handler = Callable[[bytes, "ServicerContext"], Awaitable[bytes]]
#: A probe of a load balancer has no token, and learns nothing but whether we work.
_OPEN = frozenset({"ServerLive", "ServerReady"})
_UNSAID = frozenset({"cache_hit", "cache_miss"})


class Questions:
    """The protocol's unary methods other than `ModelInfer`."""

    def __init__(
        self, service: Service, gate: Gate, statistics: Statistics, body_bytes: int
    ) -> None:
        self._service = service
        self._gate = gate
        self._statistics = statistics
        self._body_bytes = body_bytes

    def handlers(self) -> dict[str, Handler]:
        """By method; they take and give serialised messages."""
        answers: dict[str, Callable[[Any], Any]] = {
            "ServerLive": self.live,
            "ServerReady": self.ready,
            "ServerMetadata": self.server,
            "ModelReady": self.model_ready,
            "ModelMetadata": self.model,
            "ModelConfig": self.config,
            "ModelStatistics": self.statistics,
            "RepositoryIndex": self.index,
        }
        return {name: self._handler(name, answer) for name, answer in answers.items()}

    def _handler(self, name: str, answer: Callable[[Any], Any]) -> Handler:
        request = message(METHODS[name][0])

        async def handle(content: bytes, context: ServicerContext) -> bytes:
            try:
                if name not in _OPEN:
                    self._gate.check(headers_of(context))
                content = await inflated(content, self._body_bytes)
                answered: bytes = answer(_parsed(request, content)).SerializeToString()
            except ServingError as error:
                await refuse(context, error)
            return answered

        return handle

    def live(self, _: Any) -> Any:
        """Whether the process works."""
        return message("ServerLiveResponse")(live=self._service.live())

    def ready(self, _: Any) -> Any:
        """Whether new requests are welcome."""
        return message("ServerReadyResponse")(ready=self._service.ready())

    def server(self, _: Any) -> Any:
        """Name, version and extensions."""
        return message("ServerMetadataResponse")(**self._service.server_metadata())

    def model_ready(self, request: Any) -> Any:
        """Whether a model can answer now."""
        is_ready = self._service.model_ready(request.name, request.version)
        return message("ModelReadyResponse")(ready=is_ready)

    def model(self, request: Any) -> Any:
        """What a model takes and gives."""
        metadata = self._service.model_metadata(request.name, request.version)
        return message("ModelMetadataResponse")(**asdict(metadata))

    def config(self, request: Any) -> Any:
        """A model as Triton's configuration describes one; `perf_analyzer` needs it."""
        metadata = self._service.model_metadata(request.name, request.version)
        config = message("ModelConfig")(**metadata.config())
        return message("ModelConfigResponse")(config=config)

    def statistics(self, request: Any) -> Any:
        """Counts and times of one model, of all where none is named."""
        names = [request.name] if request.name else self._service.model_names()
        if request.name:
            self._service.model_ready(request.name, request.version)
        return message("ModelStatisticsResponse")(model_stats=[self._of(name) for name in names])

    def index(self, request: Any) -> Any:
        """All models with their state, or those that can answer."""
        states = {name: self._service.model_ready(name) for name in self._service.model_names()}
        models = repository_index(states, only_ready=request.ready)
        return message("RepositoryIndexResponse")(models=models)

    def _of(self, name: str) -> dict[str, Any]:
        told = self._statistics.of(name)
        times = told["inference_stats"]
        return {
            "name": name,
            "version": told["version"],
            "last_inference": told["last_inference"],
            "inference_count": told["inference_count"],
            "execution_count": told["execution_count"],
            "inference_stats": {k: v for k, v in times.items() if k not in _UNSAID},
        }


def _parsed(kind: Any, content: bytes) -> Any:
    try:
        return kind.FromString(content)
    except DecodeError as error:
        raise BadRequest(f"no {kind.DESCRIPTOR.name}: {error}") from error
