"""The service as a client sees it: ask it, again where that is safe, and learn from its answers."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote

from edgewise.client import retries
from edgewise.client.answer import NetworkTimes, Phases
from edgewise.client.due import Due
from edgewise.client.http import Failed, Http, Response
from edgewise.errors import EdgewiseError
from edgewise.network.estimate import SMALL_BYTES, NetworkEstimate, Observation
from edgewise.protocol.errors import Late, MalformedAnswer
from edgewise.protocol.http import client_codec
from edgewise.protocol.http.attempt import now_ms
from edgewise.protocol.messages import Tensor

#: An older round trip is measured again, after an answer: the radio is awake then.
_ROUND_TRIP_AGE_MS = 30_000.0
_PING_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Told:
    """The service's answer to one request. `phases` and `network` are of the last attempt."""

    reply: client_codec.Reply
    phases: Phases
    network: NetworkTimes
    attempts: int
    retry_ms: float


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of the service."""

    inputs: tuple[Tensor, ...]
    id: str = ""
    wanted: tuple[str, ...] = ()
    parameters: tuple[tuple[str, Any], ...] = ()


class Cloud:
    """One model at one service. For one event loop."""

    def __init__(self, http: Http, model: str, *, retries: int) -> None:
        self.network = NetworkEstimate()
        self._http = http
        self._retries = retries
        self._infer = http.url(f"/v2/models/{quote(model, safe='')}/infer")
        self._live = http.url("/v2/health/live")
        self._round_trip_at_ms = -math.inf
        self._pinging: asyncio.Task[None] | None = None

    async def ask(self, request: Request, due: Due, *, patient: bool = True) -> Told:
        """The service's answer.

        Args:
            patient: whether to come back after a refusal when it says so. Not where another
                answer is at hand.

        Raises:
            ServingError: the service said no.
            Unreachable, MalformedAnswer: it said nothing that could be used.
            Late: it said nothing in time.
        """
        failed: list[EdgewiseError] = []
        try:
            async with asyncio.timeout(max(0.0, due.trying_ms(now_ms())) / 1000):
                return await self._attempts(request, due, patient, failed)
        except TimeoutError as error:
            raise self._late(due, failed) from error

    def _late(self, due: Due, failed: Sequence[EdgewiseError]) -> Late:
        within = due.timeout_ms if due.sla_ms is None else due.sla_ms
        after = f"; an attempt before: {failed[-1].message}" if failed else ""
        return Late(f"no answer of {self._http.where} within {within:g} ms{after}")

    async def _attempts(
        self, request: Request, due: Due, patient: bool, failed: list[EdgewiseError]
    ) -> Told:
        body = self._body(request, due)
        first_ms = begun_ms = now_ms()
        attempt = 1
        while True:
            try:
                response = await self._http.post(self._infer, body, lambda: due.spent_ms(now_ms()))
                return self._told(response, body, due, attempt, begun_ms - first_ms)
            except Failed as failure:
                failed.append(failure.error)
                if (answer := failure.answer) is not None:
                    self._learn(_seen(answer, body.total_bytes, answer.server_ms))
                pause_ms = self._pause_ms(failure.failure, attempt, due, patient, body)
                if pause_ms is None:
                    raise failure.error from failure
                await asyncio.sleep(pause_ms / 1000)
                begun_ms = now_ms()
                attempt += 1

    def _pause_ms(
        self,
        failure: retries.Failure,
        attempt: int,
        due: Due,
        patient: bool,
        body: client_codec.Body,
    ) -> float | None:
        if failure.kind == "status" and not patient:
            return None
        expected = self.network.expect(body.total_bytes)
        return retries.wait_ms(
            failure,
            attempt=attempt,
            retries=self._retries,
            left_ms=due.trying_ms(now_ms()),
            needed_ms=expected.total_ms if expected else 0.0,
            spread=random.random(),
        )

    def _body(self, request: Request, due: Due) -> client_codec.Body:
        parameters = dict(request.parameters)
        if due.sla_ms is not None:
            parameters["sla_ms"] = due.sla_ms
        sizes = (t.values.nbytes if not isinstance(t.values, tuple) else sum(map(len, t.values))
                 for t in request.inputs)  # fmt: skip
        if (expected := self.network.expect(sum(sizes))) is not None:
            parameters |= expected.stated()
        return client_codec.request_body(
            request.inputs, id=request.id, parameters=parameters, wanted=request.wanted
        )

    def _told(
        self, response: Response, body: client_codec.Body, due: Due, attempt: int, retry_ms: float
    ) -> Told:
        try:
            reply = client_codec.reply(response.content, response.head_length)
        except MalformedAnswer as error:
            raise Failed(retries.Failure("begun"), error) from error
        said_ms = reply.server_ms if reply.tells_time else None
        seen = _seen(response, body.total_bytes, said_ms)
        self._learn(seen)
        upload_ms, server_ms, download_ms = self.network.split(seen)
        marks = response.marks
        phases = Phases(
            prepare_ms=marks.sending_ms - marks.connect_ms - due.started_ms,
            connect_ms=marks.connect_ms,
            upload_ms=upload_ms,
            server_ms=server_ms,
            download_ms=download_ms,
            finish_ms=0.0,
        )
        network = NetworkTimes(
            upload_ms=upload_ms,
            rtt_ms=self.network.rtt_ms,
            download_ms=download_ms,
            connect_ms=marks.connect_ms,
            sent_bytes=seen.sent_bytes,
            received_bytes=seen.received_bytes,
        )
        self._refresh()
        finish_ms = now_ms() - marks.last_ms
        return Told(reply, replace(phases, finish_ms=finish_ms), network, attempt, retry_ms)

    def _learn(self, seen: Observation) -> None:
        self.network.learn(seen)
        if seen.sent_bytes <= SMALL_BYTES and seen.server_ms is not None:
            self._round_trip_at_ms = now_ms()

    async def ping(self, timeout_s: float) -> float:
        """Measure the round trip with a request that needs no work, in ms.

        Raises:
            ServingError, Unreachable, MalformedAnswer: the service is not live.
            Late: no answer within the timeout.
        """
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._http.get(self._live)
        except Failed as failure:
            raise failure.error from failure
        except TimeoutError as error:
            raise Late(f"no answer of {self._http.where} within {timeout_s:g} s") from error
        seen = _seen(response, 0, 0.0)
        self._learn(seen)
        return seen.network_ms

    def _refresh(self) -> None:
        """Ping in the background, if the round trip is unknown or was measured long ago."""
        fresh = now_ms() - self._round_trip_at_ms < _ROUND_TRIP_AGE_MS
        if fresh or (self._pinging is not None and not self._pinging.done()):
            return
        self._pinging = asyncio.create_task(self._ping_quietly())

    async def _ping_quietly(self) -> None:
        try:
            await self.ping(_PING_TIMEOUT_S)
        except EdgewiseError:
            # The next request will say it louder; until then, do not ping after every answer.
            self._round_trip_at_ms = now_ms()

    async def close(self) -> None:
        """End a ping, close all connections."""
        if self._pinging is not None:
            self._pinging.cancel()
            await asyncio.wait([self._pinging])
        await self._http.close()


def _seen(response: Response, sent_bytes: int, server_ms: float | None) -> Observation:
    marks = response.marks
    return Observation(
        sent_bytes=sent_bytes,
        received_bytes=len(response.content),
        waited_ms=max(0.0, marks.first_ms - marks.sending_ms),
        reading_ms=max(0.0, marks.last_ms - marks.first_ms),
        server_ms=server_ms,
        fresh=marks.fresh,
    )
