"""The other way measured: questions over a link to a server and back, phase by phase.

All times are of one clock, the client's monotonic one; stamps touch, so that a request's phases add
up to what passed. Between the first byte sent and the last one received the client sees one wait.
Of it the server's word (queue, preprocessing, inference) is the server's, if it fits; what is left
is the network's: to the download half a round trip and the time from the reply's first byte to its
last, to the upload all the rest. So the upload also holds what the server does not report.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import fmean, median

from edgewise.errors import EdgewiseError
from edgewise.placement.client import Caller, Client, NoAnswer, Reply, words
from edgewise.placement.line import Silence
from edgewise.placement.questions import Ready, Sending
from edgewise.placement.subjects import Subject
from edgewise.protocol.http import prepared
from edgewise.protocol.http.attempt import now_ms
from edgewise.protocol.http.prepared import Said

#: Requests of an open connection before those that count: they open its window.
_WARM_UPS = 2
_PINGS = 5
#: After so many failures in a row the rest is not tried.
_PATIENCE = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """One request, in ms. `wait_ms` is from the first byte sent to the last one received, of it
    `reading_ms` from the first one received, `sending_ms` until the last one had left."""

    question: int
    preprocess_ms: float
    encode_ms: float
    connect_ms: float
    wait_ms: float
    reading_ms: float
    sending_ms: float
    postprocess_ms: float
    said: Said
    payload_bytes: int
    reply_bytes: int
    chosen: int | None

    @property
    def total_ms(self) -> float:
        """All of it."""
        own_ms = self.preprocess_ms + self.encode_ms + self.postprocess_ms
        return own_ms + self.connect_ms + self.wait_ms


@dataclass
class Samples:
    """Requests over one link in one way of sending. `rtt_ms` is a small request's round trip over
    the open connection, None where a link states it."""

    sending: Sending
    fresh: list[Sample] = field(default_factory=list)
    warm: list[Sample] = field(default_factory=list)
    rtt_ms: float | None = None
    failures: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether there is something of both kinds."""
        return bool(self.fresh and self.warm)


@dataclass(frozen=True)
class Collector:
    """Asks the questions of a subject over one link in one way of sending."""

    subject: Subject
    sending: Sending
    caller: Caller
    requests: int
    silence: Silence
    rtt_known: bool

    def collect(self) -> Samples:
        """All requests, fresh connections first. What fails is noted."""
        with asyncio.Runner() as runner:
            return runner.run(self._collect())

    async def _collect(self) -> Samples:
        samples = Samples(self.sending)
        client = Client(self.caller)
        try:
            await self._repeat(samples, samples.fresh, client, fresh=True)
            if samples.fresh or len(samples.failures) < _PATIENCE:
                await self._warm(samples, client)
        finally:
            client.close()
        return samples

    async def _warm(self, samples: Samples, client: Client) -> None:
        try:
            await client.connect()
            for number in range(_WARM_UPS):
                await client.ask(self._ready(number).body)
            if not self.rtt_known:
                samples.rtt_ms = median([await client.ping() for _ in range(_PINGS)])
        except EdgewiseError as error:
            samples.failures.append(str(error))
            return
        await self._repeat(samples, samples.warm, client, fresh=False)

    async def _repeat(
        self, samples: Samples, into: list[Sample], client: Client, *, fresh: bool
    ) -> None:
        in_a_row = 0
        pause_ms = self.silence.fresh_ms if fresh else self.silence.warm_ms
        for number in range(self.requests):
            await asyncio.sleep(pause_ms / 1000)
            try:
                into.append(await self._one(client, number, fresh=fresh))
                in_a_row = 0
            except EdgewiseError as error:
                samples.failures.append(str(error))
                in_a_row += 1
                if in_a_row == _PATIENCE or not isinstance(error, NoAnswer):
                    return

    def _ready(self, number: int) -> Ready:
        return self.sending.body(self.subject, number % len(self.subject.questions))

    async def _one(self, client: Client, number: int, *, fresh: bool) -> Sample:
        ready = self._ready(number)
        connect_ms = 0.0
        if fresh:
            connect_ms = await client.connect()
        elif not client.is_open:
            # A server that ends its connections: what a request then pays is another matter.
            await client.connect()
            await client.ask(ready.body)
            ready = self._ready(number)
        reply = await client.ask(ready.body)
        return _sample(number % len(self.subject.questions), ready, connect_ms, reply)


def _sample(question: int, ready: Ready, connect_ms: float, reply: Reply) -> Sample:
    """What is between two stamps belongs to the phase before: nothing is lost.

    Raises:
        NoAnswer: what came is no answer, whatever its status says.
    """
    done = reply.exchange
    said = reply.said
    chosen = prepared.chosen_class(reply.content, reply.json_length)
    postprocess_ms = now_ms() - done.last_ms
    if chosen is None and not reply.has_outputs:
        raise NoAnswer(f"the server answers without outputs: {words(reply.content)}")
    ready_ms = ready.begun_ms + ready.preprocess_ms + ready.encode_ms
    sending_ms = done.uploaded_ms - done.sent_ms
    return Sample(
        question=question,
        preprocess_ms=ready.preprocess_ms,
        encode_ms=ready.encode_ms,
        connect_ms=connect_ms,
        wait_ms=done.last_ms - ready_ms - connect_ms,
        reading_ms=done.last_ms - done.first_ms,
        sending_ms=sending_ms if sending_ms > 0 else 0.0,
        postprocess_ms=postprocess_ms,
        said=said,
        payload_bytes=reply.payload_bytes,
        reply_bytes=len(reply.content),
        chosen=chosen,
    )


def mean_total_ms(samples: Sequence[Sample]) -> float:
    """The mean of all of it."""
    return fmean(sample.total_ms for sample in samples)
