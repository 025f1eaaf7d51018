"""The listening side of gRPC: its port, TLS, limits, and the drain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edgewise.errors import UsageError
from edgewise.server.grpc.compression import SETTING

if TYPE_CHECKING:
    from pathlib import Path

    from edgewise.server.http.statistics import Statistics
    from edgewise.server.service import Service
    from edgewise.server.settings import ServerSettings

_MS = 1000


class GrpcServer:
    """The service's gRPC port, within a running event loop that it shares with HTTP.

    `start` binds and serves, `drain` ends it without failing a request. `statistics` are those
    that HTTP tells as well, if it does.
    """

    def __init__(
        self, service: Service, settings: ServerSettings, *, statistics: Statistics | None = None
    ) -> None:
        self._service = service
        self._settings = settings
        self._statistics = statistics
        self._server: Any = None
        self._port = 0

    @property
    def port(self) -> int:
        """The port it listens at, also where 0 asked for any."""
        return self._port

    @property
    def url(self) -> str:
        """Where a caller on this machine finds it."""
        scheme = "grpcs" if self._settings.certificate else "grpc"
        return f"{scheme}://{_bracketed(self._settings.host)}:{self._port}"

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            UsageError: the address cannot be had, or the certificate not be read.
        """
        import grpc.aio

        limits = self._settings.limits
        self._server = grpc.aio.server(
            options=_options(self._settings), maximum_concurrent_rpcs=limits.connections
        )
        self._server.add_generic_rpc_handlers((self._handlers(),))
        self._port = self._bind()
        await self._server.start()

    async def drain(self, seconds: float) -> None:
        """Take no new calls and let those that came end; what is left after so long is cut.

        Connected clients are told to go elsewhere (GOAWAY), so none of their calls is lost.
        """
        await self._server.stop(seconds)

    async def close(self) -> None:
        """End at once: calls that are left are cut."""
        await self._server.stop(None)

    def _handlers(self) -> Any:
        import grpc

        from edgewise.protocol.grpc.fields import SERVICE
        from edgewise.server.grpc.access import Gate
        from edgewise.server.grpc.inference import Inference
        from edgewise.server.grpc.questions import Questions
        from edgewise.server.http.statistics import Statistics

        if (statistics := self._statistics) is None:
            statistics = Statistics()
            self._service.subscribe(statistics.listen)
        gate, limits = Gate(self._settings.token), self._settings.limits
        inference = Inference(self._service, gate, limits)
        questions = Questions(self._service, gate, statistics, limits.body_bytes)
        methods = {
            name: grpc.unary_unary_rpc_method_handler(handler)
            for name, handler in questions.handlers().items()
        }
        # Served as a stream of one: on the wire that is the same, and lets us do the reading.
        methods["ModelInfer"] = grpc.stream_unary_rpc_method_handler(inference.unary)
        methods["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(inference.stream)
        return grpc.method_handlers_generic_handler(SERVICE, methods)

    def _bind(self) -> int:
        settings = self._settings
        address = f"{_bracketed(settings.host)}:{settings.grpc_port or 0}"
        try:
            if settings.certificate is None or settings.key is None:
                port = self._server.add_insecure_port(address)
            else:
                credentials = _credentials(settings.certificate, settings.key)
                port = self._server.add_secure_port(address, credentials)
        except (OSError, RuntimeError) as error:
            raise UsageError(
                f"gRPC cannot listen at {address}: {error}", hint="another --grpc-port, or 0"
            ) from error
        if not port:
            raise UsageError(f"gRPC cannot listen at {address}", hint="another --grpc-port, or 0")
        return int(port)


async def serve_grpc(
    service: Service, settings: ServerSettings, *, statistics: Statistics | None = None
) -> GrpcServer:
    """A server that has started.

    Raises:
        UsageError: as `GrpcServer.start`.
    """
    server = GrpcServer(service, settings, statistics=statistics)
    await server.start()
    return server


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    limits = settings.limits
    return [
        SETTING,
        ("grpc.max_receive_message_length", limits.body_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_allowed_incoming_connections", limits.connections),
        ("grpc.server_handshake_timeout_ms", int(_MS * limits.header_seconds)),
        ("grpc.max_connection_idle_ms", int(_MS * limits.idle_seconds)),
        # A caller whose machine is gone is noticed, and one that asks whether we are there is not
        # taken for an attacker.
        ("grpc.keepalive_time_ms", int(_MS * limits.idle_seconds)),
        ("grpc.keepalive_timeout_ms", int(_MS * limits.header_seconds)),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10 * _MS),
        # Two services at one port would each get some of the calls.
        ("grpc.so_reuseport", 0),
    ]


def _credentials(certificate: Path, key: Path) -> Any:
    import ssl

    import grpc

    try:
        # gRPC says no more than that it cannot bind.
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
        pair = key.read_bytes(), certificate.read_bytes()
    except (OSError, ssl.SSLError) as error:
        raise UsageError(f"the certificate {certificate} with the key {key}: {error}") from error
    return grpc.ssl_server_credentials([pair])


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
