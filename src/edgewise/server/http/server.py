"""The listening side: sockets, TLS, the sweep over connections, and the drain."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

from edgewise.errors import UsageError
from edgewise.server.http.memory import keep_freed_memory

if TYPE_CHECKING:
    from edgewise.server.http.app import App
    from edgewise.server.http.protocol import HttpConnection, State
    from edgewise.server.settings import ServerSettings

_BACKLOG = 2048
#: While draining, a connection is closed when it has been silent for so long, but not before what
#: was on its way when the drain began has come.
_GRACE_S, _ON_ITS_WAY_S = 1.0, 0.1
_DRAIN_STEP_S = 0.02


class HttpServer:
    """The service's HTTP port, within a running event loop.

    `start` binds and serves, `drain` ends it without failing a request.
    """

    def __init__(
        self, app: App, settings: ServerSettings, *, grace_seconds: float = _GRACE_S
    ) -> None:
        self._app = app
        self._settings = settings
        self._grace_s = grace_seconds
        self._state: State
        self._config: Any = None
        self._sockets: list[socket.socket] = []
        self._listeners: list[asyncio.base_events.Server] = []
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def port(self) -> int:
        """The port it listens at, also where 0 asked for any."""
        return int(self._sockets[0].getsockname()[1])

    @property
    def url(self) -> str:
        """Where a caller on this machine finds it."""
        host = self._settings.host
        scheme = "https" if self._settings.certificate else "http"
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def connections(self) -> int:
        """Open connections."""
        return len(self._state.open)

    async def start(self) -> None:
        """Bind and serve; from here on this process keeps the memory of bodies for the next.

        Raises:
            UsageError: the address cannot be had, or the certificate not be read.
        """
        from edgewise.server.http.protocol import State

        keep_freed_memory()
        self._state = State(self._settings.limits)
        self._config = _uvicorn_config(self._app, self._settings)
        self._tick()
        self._sockets = _bound(self._settings.host, self._settings.port)
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            # The loop gets a duplicate: ours stays to take in who is queued when it stops.
            self._listeners.append(
                await loop.create_server(
                    self._connection,
                    sock=each.dup(),
                    backlog=_BACKLOG,
                    ssl=self._config.ssl,
                    ssl_handshake_timeout=self._handshake_s,
                )
            )
        self._tasks = [
            loop.create_task(self._sweep(), name="http-sweep"),
            loop.create_task(self._ticks(), name="http-date"),
        ]

    async def drain(self, seconds: float) -> int:
        """Stop accepting and answer everything that came; how many connections had to be cut.

        A connection between requests is kept for a moment, since a request may be on its way, and
        longer where one has just been; every answer says that it is its connection's last.
        """
        self._state.draining = True
        await self._stop_accepting()
        began = time.monotonic()
        while self._state.open and (now := time.monotonic()) - began < seconds:
            if now - began >= min(_ON_ITS_WAY_S, self._grace_s):
                for connection in list(self._state.open):
                    if connection.silent_s(now) >= self._grace_s:
                        connection.shutdown()
            await asyncio.sleep(_DRAIN_STEP_S)
        cut = len(self._state.open)
        await self.close()
        return cut

    async def close(self) -> None:
        """End at once: connections that are left are cut."""
        self._state.draining = True
        for listener in self._listeners:
            listener.close()
        for each in self._sockets:
            each.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for connection in list(self._state.open):
            connection.transport.abort()
        # The loop tells of lost connections, and handlers end, in its next rounds.
        if self._state.tasks:
            await asyncio.wait(self._state.tasks, timeout=1.0)
        await asyncio.sleep(0)

    async def _stop_accepting(self) -> None:
        """Close the listeners, and take in those who were queued at them: closing a listening
        socket resets them."""
        loop = asyncio.get_running_loop()
        for listener in self._listeners:
            listener.close()
        for each in self._sockets:
            each.setblocking(False)
            with contextlib.suppress(BlockingIOError, ConnectionAbortedError):
                while True:
                    queued, _ = each.accept()
                    queued.setblocking(False)
                    with contextlib.suppress(OSError):
                        await loop.connect_accepted_socket(
                            self._connection,
                            queued,
                            ssl=self._config.ssl,
                            ssl_handshake_timeout=self._handshake_s,
                        )
            each.close()

    def _connection(self) -> HttpConnection:
        connection: HttpConnection = self._config.http_protocol_class(
            config=self._config, server_state=self._state, app_state={}
        )
        return connection

    @property
    def _handshake_s(self) -> float | None:
        return self._settings.limits.header_seconds if self._config.ssl else None

    async def _sweep(self) -> None:
        limits = self._settings.limits
        shortest_s = min(limits.header_seconds, limits.body_seconds, limits.idle_seconds)
        while True:
            await asyncio.sleep(min(1.0, shortest_s / 4))
            now = time.monotonic()
            for connection in list(self._state.open):
                connection.check(now)

    async def _ticks(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            self._tick()

    def _tick(self) -> None:
        self._state.common = b"date: " + formatdate(usegmt=True).encode() + b"\r\n"


async def serve_http(app: App, settings: ServerSettings) -> HttpServer:
    """A server that has started.

    Raises:
        UsageError: as `HttpServer.start`.
    """
    server = HttpServer(app, settings)
    await server.start()
    return server


def _uvicorn_config(app: App, settings: ServerSettings) -> Any:
    from ssl import SSLError

    from uvicorn.config import Config

    from edgewise.server.http.protocol import HttpConnection

    config = Config(
        app,
        http=HttpConnection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=True,  # False would switch the logger off for the whole process
        proxy_headers=False,
        server_header=False,
        ssl_certfile=settings.certificate,
        ssl_keyfile=settings.key,
    )
    try:
        config.load()
    except (OSError, SSLError) as error:
        raise UsageError(
            f"the certificate {settings.certificate} with the key {settings.key}: {error}"
        ) from error
    return config


def _bound(host: str, port: int) -> list[socket.socket]:
    """A socket for every address of a host, all at one port."""
    sockets: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, address in dict.fromkeys(found):
            sockets.append(_bound_to(family, (address[0], port, *address[2:])))
            port = sockets[-1].getsockname()[1]
    except OSError as error:
        for each in sockets:
            each.close()
        raise UsageError(
            f"cannot listen at {host}, port {port}: {error.strerror or error}",
            hint="another --port, or 0 for any",
        ) from error
    return sockets


def _bound_to(family: int, address: tuple[Any, ...]) -> socket.socket:
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound
