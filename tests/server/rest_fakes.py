"""A service without models, behind the real HTTP server, for the tests of the protocol."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any

import numpy as np
import uvloop
from msgspec.structs import replace

from edgewise.protocol.messages import (
    BadRequest,
    InferRequest,
    InferResult,
    Refused,
    Tensor,
    UnknownModel,
)
from edgewise.protocol.metadata import ModelMetadata, TensorMetadata
from edgewise.server.http.app import App
from edgewise.server.http.server import HttpServer
from edgewise.server.settings import Limits, ServerSettings

RESULT = InferResult(
    model="", family="fam", variant="small", accuracy=0.9, outputs=(), budget_ms=80.0,
    basis="client", predicted_queue_ms=1.0, queue_ms=1.5, predicted_ms=10.0, preprocess_ms=0.5,
    inference_ms=9.5, cold_ms=0.0, policy="deadline: best", probability=1.0, in_time=True,
)  # fmt: skip


class FakeService:
    """Models by what they do: `echo` gives its inputs back; see `infer` for the others."""

    def __init__(self) -> None:
        self.is_ready = True
        self.seen: list[InferRequest] = []
        self.cancelled = threading.Event()
        self.started = threading.Event()
        self.release: asyncio.Event | None = None
        self.listeners: list[Callable[[Any], None]] = []
        any_fp32 = (TensorMetadata("x", "FP32", (-1,)),)
        image = (TensorMetadata("image", "BYTES", (1,)),)
        self.models = {
            name: ModelMetadata(
                name, ("1",), "fake", image if name == "image" else any_fp32, any_fp32
            )
            for name in ("echo", "image", "slow", "busy", "nan", "broken")
        }

    def subscribe(self, listener: Callable[[Any], None]) -> None:
        self.listeners.append(listener)

    def live(self) -> bool:
        return True

    def ready(self) -> bool:
        return self.is_ready

    def server_metadata(self) -> dict[str, object]:
        return {"name": "edgewise", "version": "0", "extensions": ["binary_tensor_data"]}

    def model_names(self) -> list[str]:
        return list(self.models)

    def model_metadata(self, name: str, version: str = "") -> ModelMetadata:
        if name not in self.models or version not in ("", "1"):
            raise UnknownModel(f"no model '{name}' of version '{version}'")
        return self.models[name]

    def model_ready(self, name: str, version: str = "") -> bool:
        self.model_metadata(name, version)
        return self.is_ready

    async def infer(self, request: InferRequest) -> InferResult:
        self.model_metadata(request.model)
        self.seen.append(request)
        outputs = request.inputs
        if request.model == "slow":
            outputs = await self._slowly(request)
        elif request.model == "busy":
            raise Refused("it could not be in time", retry_after_s=0.25, device="tiny")
        elif request.model == "nan":
            outputs = (Tensor("y", "FP32", (2,), np.array([1, np.nan], np.float32)),)
        elif request.model == "broken":
            raise RuntimeError("a defect")
        elif request.model == "image":
            size = len(request.inputs[0].values[0])
            outputs = (Tensor("size", "INT64", (1,), np.array([size])),)
        if unknown := set(request.wanted) - {each.name for each in outputs}:
            raise BadRequest(f"no output '{unknown.pop()}'")
        if request.wanted:
            outputs = tuple(t for name in request.wanted for t in outputs if t.name == name)
        return replace(RESULT, model=request.model, outputs=outputs, id=request.id)

    def ask(self, request: InferRequest, told: Callable[[Any], None]) -> Callable[[], Any]:
        self.model_metadata(request.model)

        def tell(task: asyncio.Task[InferResult]) -> None:
            if not task.cancelled():
                told(task.exception() or task.result())

        task = asyncio.get_running_loop().create_task(self.infer(request))
        task.add_done_callback(tell)
        return task.cancel

    async def _slowly(self, request: InferRequest) -> tuple[Tensor, ...]:
        self.release = asyncio.Event()
        self.started.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled.set()
            raise
        return request.inputs


class Served:
    """The fake behind the real server, on an event loop in a thread."""

    def __init__(self, settings: ServerSettings | None = None, grace_seconds: float = 0.2) -> None:
        self.service = FakeService()
        self.loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self._callers: list[socket.socket] = []
        settings = settings or ServerSettings(port=0)
        app = App(
            self.service,  # type: ignore[arg-type]
            settings,
            metrics=lambda: (b"# HELP up\n", "text/plain; version=0.0.4; charset=utf-8"),
            page=lambda: b"<!doctype html><title>Edgewise</title>",
            snapshot=lambda: {"families": []},
        )
        self.server = HttpServer(app, settings, grace_seconds=grace_seconds)
        self.run(self.server.start())
        self.port = self.server.port

    def submit(self, work: Coroutine[Any, Any, Any]) -> Future[Any]:
        return asyncio.run_coroutine_threadsafe(work, self.loop)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return self.submit(work).result(20)

    def release(self) -> None:
        """Let the model `slow` answer."""
        assert self.service.release is not None
        self.loop.call_soon_threadsafe(self.service.release.set)

    def close(self) -> None:
        self.run(self.server.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()
        for each in self._callers:
            each.close()

    def connect(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._callers.append(made)
        return made

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def served_with(**limits: Any) -> Served:
    """A server with other limits than usual."""
    return Served(ServerSettings(port=0, limits=Limits(**limits)))
