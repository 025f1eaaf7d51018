"""A service without models behind the real gRPC server, on an event loop in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import uvloop
from rest_fakes import FakeService

from edgewise.server.grpc.server import GrpcServer
from edgewise.server.settings import Limits, ServerSettings


class GrpcDoor:
    """Serves from its construction to `close`."""

    def __init__(
        self, settings: ServerSettings | None = None, service: FakeService | None = None
    ) -> None:
        self.service = service or FakeService()
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.server = GrpcServer(self.service, settings or ServerSettings(grpc_port=0))  # type: ignore[arg-type]
        try:
            self.run(self.server.start())
        except BaseException:
            self._end()
            raise
        self.address = f"127.0.0.1:{self.server.port}"

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def submit(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def release(self) -> None:
        """Let the model `slow` answer."""
        assert self.service.release is not None
        self.loop.call_soon_threadsafe(self.service.release.set)

    def close(self) -> None:
        self.run(self.server.close())
        self._end()

    def _end(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()

    def __enter__(self) -> GrpcDoor:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def door_with(**limits: Any) -> GrpcDoor:
    """A server with other limits than usual."""
    return GrpcDoor(ServerSettings(grpc_port=0, limits=Limits(**limits)))
