"""A client of the load: its link, its connections, and what it expects of its network."""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from edgewise.load.links import Address
from edgewise.network.estimate import NetworkEstimate, Observation
from edgewise.protocol.http import prepared
from edgewise.protocol.http.attempt import Attempt, now_ms
from edgewise.protocol.http.connection import ClientConnection
from edgewise.protocol.http.prepared import Body

#: Refusals: "not now" (503) and "too many" (429).
_REFUSALS = (503, 429)


@dataclass(frozen=True, eq=False)
class Sending:
    """What all requests of a run have in common. `labels` are per input, None: unknown."""

    head: bytes
    bodies: Sequence[Body]
    labels: Sequence[int] | None
    sla_ms: float | None
    binary: bool
    edgewise: bool
    keep: bool
    tls: ssl.SSLContext | None
    server_name: str


class SimulatedDevice:
    """One client. `finished` is called once per exchange, also after a failure."""

    def __init__(self, job: Sending, address: Address, finished: Callable[[Attempt], None]) -> None:
        self._job, self._address, self._finished = job, address, finished
        self._estimate = NetworkEstimate()
        #: The one used last is used next, so that its congestion window stays open.
        self._idle: list[ClientConnection] = []
        self._busy: dict[int, ClientConnection] = {}
        self._opening: set[asyncio.Task[None]] = set()

    async def prepare(self, connections: int) -> None:
        """Open connections before the first request is due.

        Raises:
            OSError: the connection is refused.
        """
        self._idle += [await self._open() for _ in range(connections)]

    def send(self, exchange: Attempt) -> None:
        """Send a request now, over a connection of its own if none is free."""
        while self._idle:
            connection = self._idle.pop()
            if connection.is_open:
                self._send_over(connection, exchange)
                return
        task = asyncio.get_running_loop().create_task(self._send_over_new(exchange))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def give_up(self, exchange: Attempt) -> None:
        """An exchange took too long: its connection is of no more use."""
        if exchange.finished:
            return
        if (connection := self._busy.pop(exchange.number, None)) is not None:
            connection.close()
        self._finish(exchange, "timeout")

    async def close(self) -> None:
        """Close all connections; what is unfinished stays so."""
        opening = list(self._opening)
        for task in opening:
            task.cancel()
        await asyncio.gather(*opening, return_exceptions=True)
        for connection in [*self._idle, *self._busy.values()]:
            connection.close()
        self._idle.clear()
        self._busy.clear()

    async def _open(self) -> ClientConnection:
        def build() -> ClientConnection:
            return ClientConnection(
                self._answered, self._lost, shaped=self._address.link is not None
            )

        _, connection = await asyncio.get_running_loop().create_connection(
            build,
            self._address.host,
            self._address.port,
            ssl=self._job.tls,
            server_hostname=self._job.server_name if self._job.tls else None,
        )
        return connection

    async def _send_over_new(self, exchange: Attempt) -> None:
        try:
            connection = await self._open()
        except OSError as error:  # TLS errors and refused connections are such
            self._finish(exchange, "tls" if isinstance(error, ssl.SSLError) else "connect")
            return
        if exchange.finished:  # given up meanwhile
            connection.close()
        elif connection.is_open:
            self._send_over(connection, exchange)
        else:
            self._finish(exchange, "reset")

    def _send_over(self, connection: ClientConnection, exchange: Attempt) -> None:
        job = self._job
        self._busy[exchange.number] = connection
        body = job.bodies[exchange.input]
        parts = prepared.message(job.head, body, self._stated(exchange), binary=job.binary)
        connection.send(exchange, parts)

    def _stated(self, exchange: Attempt) -> bytes:
        """The request's own word on its time, where the server understands it."""
        if not self._job.edgewise:
            return b""
        expected = self._estimate.expect(exchange.size_bytes)
        stated = {} if expected is None else expected.stated()
        if self._job.sla_ms is not None:
            elapsed_ms = max(now_ms() - exchange.due_ms, 0.0)
            stated |= {"sla_ms": self._job.sla_ms, "elapsed_ms": elapsed_ms}
        return b"".join(b'"%s":%.3f,' % (name.encode(), ms) for name, ms in stated.items())

    def _answered(
        self,
        connection: ClientConnection,
        exchange: Attempt,
        content: bytes,
        json_length: int | None,
    ) -> None:
        self._busy.pop(exchange.number, None)
        if self._job.keep and connection.is_open:
            self._idle.append(connection)
        else:
            connection.close()
        error = exchange.error
        if error is None and exchange.status == 200:
            error = self._understand(exchange, content, json_length)
        elif error is None and exchange.status not in _REFUSALS:
            error = f"http {exchange.status}"
        if error is None:
            self._estimate.learn(seen(exchange))
        self._finish(exchange, error)

    def _understand(self, exchange: Attempt, content: bytes, json_length: int | None) -> str | None:
        """Note what the answer says; the kind of failure if it is none."""
        if self._job.edgewise:
            try:
                exchange.said = prepared.said(content, json_length)
            except msgspec.DecodeError:
                return "malformed"
        if self._job.labels is not None:
            found = prepared.chosen_class(content, json_length)
            if found is not None:
                exchange.correct = found == self._job.labels[exchange.input]
        return None

    def _lost(self, connection: ClientConnection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def _finish(self, exchange: Attempt, error: str | None) -> None:
        if exchange.finished:
            return
        exchange.error = error
        exchange.finished = True
        self._finished(exchange)


def seen(done: Attempt) -> Observation:
    """What a request that was answered or refused says of its network. Handing its bytes over
    counts as the upload, as the kernel keeps few of them back where the link is shaped."""
    server_ms = done.said.service_ms if done.said else done.server_ms
    sending_ms = done.uploaded_ms - done.sent_ms
    return Observation(
        sent_bytes=done.size_bytes,
        received_bytes=0,
        waited_ms=done.first_ms - done.sent_ms,
        reading_ms=done.last_ms - done.first_ms,
        server_ms=server_ms,
        sending_ms=None if math.isnan(sending_ms) else sending_ms,
    )
