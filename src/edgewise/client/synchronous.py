"""The client for everyone else: the asynchronous one, on an event loop in a thread of its own.

So deadlines, races and cancelling are written once, and hold for any number of threads that share
a client.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

from edgewise.client import cascade
from edgewise.client.answer import Answer
from edgewise.client.asynchronous import AsyncClient
from edgewise.client.options import Options
from edgewise.errors import UsageError
from edgewise.network.estimate import NetworkEstimate
from edgewise.protocol.errors import Unreachable
from edgewise.protocol.http.attempt import now_ms

T = TypeVar("T")
_CLOSING_S = 5.0


class Client:
    """Asks a service of the Open Inference Protocol. Safe to use from several threads.

    ::

        with edgewise.Client(
            "http://127.0.0.1:8080", family="family.toml", sla_ms=150, device="duplicate"
        ) as client:
            answer = client.infer("photo.jpg")
            print(answer.label, answer.source, answer.latency_ms)

    Arguments are those of `AsyncClient`, and so is what is raised. The device's model is loaded
    when the constructor returns.

    Raises:
        RuntimeRefused, MissingExtra, InputError: the device's model cannot be loaded.
    """

    def __init__(self, url: str, model: str | None = None, **options: Unpack[Options]) -> None:
        client = AsyncClient(url, model, **options)
        self._client = client
        self._thread = _LoopThread()
        # Not a method of this object: it would keep it alive.
        self._finalizer = weakref.finalize(self, _close, self._thread, client)
        try:
            self._thread.run(client.ready())
        except BaseException:
            self.close()
            raise

    @property
    def model(self) -> str:
        """The served name that is asked for."""
        return self._client.model

    @property
    def network(self) -> NetworkEstimate:
        """See `AsyncClient.network`."""
        return self._client.network

    @property
    def rule(self) -> cascade.Rule | None:
        """See `AsyncClient.rule`."""
        return self._client.rule

    def ping(self) -> float:
        """See `AsyncClient.ping`."""
        return self._run(self._client.ping())

    def infer(
        self,
        given: Any,
        sla_ms: float | None = None,
        elapsed_ms: float = 0.0,
        *,
        id: str = "",
        outputs: Sequence[str] = (),
        parameters: Mapping[str, Any] | None = None,
    ) -> Answer:
        """See `AsyncClient.infer`."""
        return self._run(
            self._client.infer(
                given,
                sla_ms,
                elapsed_ms,
                id=id,
                outputs=outputs,
                parameters=parameters,
                started_ms=now_ms(),
            )
        )

    def calibrate(
        self,
        inputs: Iterable[Any],
        labels: Iterable[int | str],
        *,
        risk: float | None = None,
        ask_cloud: bool = True,
    ) -> cascade.Rule:
        """See `AsyncClient.calibrate`."""
        return self._run(self._client.calibrate(inputs, labels, risk=risk, ask_cloud=ask_cloud))

    def close(self) -> None:
        """See `AsyncClient.close`. Calls in other threads end with `Unreachable`."""
        self._finalizer()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        if not self._finalizer.alive:
            work.close()
            raise UsageError("the client is closed")
        return self._thread.run(work)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _LoopThread:
    """An event loop that runs in a thread, and coroutines in it from other threads."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="edgewise-client", daemon=True
        )
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Its result.

        Raises:
            UsageError: in a process that was forked after the client was made.
            Unreachable: the client was closed meanwhile.
        """
        if os.getpid() != self._process:
            work.close()
            raise UsageError(
                "the client was made before this process was forked", hint="make one after it"
            )
        try:
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        except RuntimeError as error:
            work.close()
            raise UsageError("the client is closed") from error
        try:
            return future.result()
        except CancelledError as error:
            raise Unreachable("the client was closed during the call") from error
        except KeyboardInterrupt:
            future.cancel()
            raise

    def stop(self, client: AsyncClient) -> None:
        """Cancel what runs, close the client, end the thread."""
        if os.getpid() != self._process:
            return
        ending = asyncio.run_coroutine_threadsafe(_end(client), self._loop)
        try:
            ending.result(_CLOSING_S)
        except TimeoutError:
            ending.cancel()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_CLOSING_S)
        if not self._thread.is_alive():
            self._loop.close()


async def _end(client: AsyncClient) -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    if others:
        await asyncio.wait(others)
    await client.close()


def _close(thread: _LoopThread, client: AsyncClient) -> None:
    thread.stop(client)
