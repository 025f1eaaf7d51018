"""Links: what it takes to bring a payload to the server and the reply back.

A request's way is: radio promotion if the radio was idle, handshakes if the connection is fresh,
the payload through TCP's growing window and the uplink, half a round trip; then the reply through
the server's window and the downlink, and the other half.

- A fresh connection needs one round trip for TCP and one for TLS 1.3 (RFC 8446).
- The window starts at 10 segments of 1,460 bytes (RFC 6928) and doubles each round trip; from the
  moment that a window takes longer than a round trip to drain, only the rate matters.
- A warm connection has its window open. One that was idle for several timeouts has it halved per
  timeout, down to the initial one (RFC 2861; the Linux default).

100 kB at 20 Mbps and a round trip of 60 ms take 100 ms warm and 322 ms fresh, until the first byte
of the reply is back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import numpy as np

from edgewise.errors import UsageError
from edgewise.network.capacity import BYTES_PER_MS, Capacity, Constant, Floats
from edgewise.records import LinkProfile

#: RFC 6928: ten segments of 1,460 bytes.
INITIAL_WINDOW_BYTES = 14_600.0
#: Linux's lower bound of the retransmission timeout, after which an idle window shrinks.
MIN_TIMEOUT_MS = 200.0
#: TCP's and TLS 1.3's handshakes.
HANDSHAKE_ROUND_TRIPS = 2
#: Most ms of a time (eleven days) and most bytes of a payload: a larger number is a mistake.
_MOST = 1e9


class Transfers(NamedTuple):
    """Times of n requests on the network, in ms: shapes (n,)."""

    upload_ms: Floats
    download_ms: Floats


@dataclass(frozen=True)
class Connection:
    """State of the connection that a request finds.

    `idle_ms` is the time since the device last sent or received: it shuts a warm window, and a
    radio sleeps when it exceeds the radio's tail.
    """

    kind: Literal["warm", "fresh"] = "warm"
    idle_ms: float = 0.0

    def __post_init__(self) -> None:
        if not self.idle_ms >= 0 or self.kind not in ("warm", "fresh"):
            raise UsageError(
                f"a {self.kind} connection that was idle for {self.idle_ms} ms",
                hint="a connection is warm or fresh, its idle time zero or more",
            )

    def window_bytes(self, rtt_ms: Floats, mbps: float) -> Floats:
        """The congestion window to start with, per request."""
        if self.kind == "fresh":
            return np.full_like(rtt_ms, INITIAL_WINDOW_BYTES)
        open_bytes = np.maximum(rtt_ms * mbps * BYTES_PER_MS, INITIAL_WINDOW_BYTES)
        timeouts = np.floor(self.idle_ms / np.maximum(2 * rtt_ms, MIN_TIMEOUT_MS))
        window: Floats = np.maximum(open_bytes * np.exp2(-timeouts), INITIAL_WINDOW_BYTES)
        return window


WARM = Connection("warm")
FRESH = Connection("fresh")


class Network(Protocol):
    """Something that requests travel over."""

    @property
    def name(self) -> str:
        """As it was asked for."""

    def transfers(self, n: int, rng: np.random.Generator) -> Transfers:
        """Times of n requests, drawn."""


@dataclass(frozen=True)
class Pair:
    """A published pair: one-way time with mean and deviation, normal, redrawn until positive."""

    name: str
    mean_ms: float
    std_ms: float

    def __post_init__(self) -> None:
        if not (0 < self.mean_ms <= _MOST and 0 <= self.std_ms <= _MOST):
            raise UsageError(
                f"network '{self.name}': a mean of {self.mean_ms} ms, a deviation of {self.std_ms}",
                hint=f"the mean is positive, the deviation zero or more, both up to {_MOST:g}",
            )

    def one_way_ms(self, n: int, rng: np.random.Generator) -> Floats:
        """One-way times, shape (n,)."""
        return positive_normal(self.mean_ms, self.std_ms, n, rng)

    def transfers(self, n: int, rng: np.random.Generator) -> Transfers:
        """Both directions, drawn independently."""
        return Transfers(self.one_way_ms(n, rng), self.one_way_ms(n, rng))


@dataclass(frozen=True)
class Path:
    """A link or a trace with the sizes that travel over it.

    `spacing_ms` is the mean gap between requests: with a trace, neighbours in time see alike
    bandwidth. The first request starts at a random place of the trace, which repeats.
    """

    name: str
    uplink: Capacity
    downlink: Capacity
    rtt_ms: float
    jitter_ms: float
    promotion_ms: float
    tail_ms: float
    payload_bytes: float
    reply_bytes: float
    connection: Connection = WARM
    spacing_ms: float = 1000.0

    def __post_init__(self) -> None:
        for what in ("rtt_ms", "jitter_ms", "promotion_ms", "tail_ms", "payload_bytes",
                     "reply_bytes", "spacing_ms"):  # fmt: skip
            if not 0 <= getattr(self, what) <= _MOST:
                raise UsageError(
                    f"network '{self.name}': {what} is {getattr(self, what)}",
                    hint=f"it is zero or more, up to {_MOST:g}",
                )

    def transfers(self, n: int, rng: np.random.Generator) -> Transfers:
        """n requests, a Poisson stream from a random place of the trace on."""
        starts_ms = rng.uniform(0, self.uplink.period_ms) if self.uplink.period_ms else 0.0
        return self.transfers_at(starts_ms + np.cumsum(rng.exponential(self.spacing_ms, n)), rng)

    def transfers_at(self, start_ms: Floats, rng: np.random.Generator) -> Transfers:
        """Requests that start at given times of the trace, shape (n,). The reply is taken to leave
        when the payload has arrived: what the server needs in between shifts it along the trace
        by less than traces resolve."""
        up_delay_ms, down_delay_ms = (
            one_way_ms(self.rtt_ms, self.jitter_ms, len(start_ms), rng) for _ in range(2)
        )
        return self.transfers_with(start_ms, up_delay_ms, down_delay_ms)

    def transfers_with(
        self, start_ms: Floats, up_delay_ms: Floats, down_delay_ms: Floats
    ) -> Transfers:
        """Requests whose delays are known, all of shape (n,)."""
        rtt_ms = up_delay_ms + down_delay_ms
        sent_ms = start_ms
        if self.promotion_ms and self.connection.idle_ms > self.tail_ms:
            sent_ms = sent_ms + self.promotion_ms
        if self.connection.kind == "fresh":
            sent_ms = sent_ms + HANDSHAKE_ROUND_TRIPS * rtt_ms
        arrived_ms = up_delay_ms + self._through(self.uplink, sent_ms, self.payload_bytes, rtt_ms)
        replied_ms = down_delay_ms + self._through(
            self.downlink, arrived_ms, self.reply_bytes, rtt_ms
        )
        return Transfers(arrived_ms - start_ms, replied_ms - arrived_ms)

    def _through(
        self, capacity: Capacity, start_ms: Floats, size_bytes: float, rtt_ms: Floats
    ) -> Floats:
        """When the last byte has left: one congestion window after the other."""
        window = self.connection.window_bytes(rtt_ms, capacity.mean_mbps)
        left = np.full(len(start_ms), float(size_bytes))
        now_ms = start_ms
        # Where a window outlasts its round trip the next one is there in time: the rest flows.
        while (stalled := left > window).any():
            drained_ms = capacity.drained_ms(now_ms, np.minimum(window, left))
            flowing = drained_ms - now_ms >= rtt_ms
            stalled &= ~flowing
            if not stalled.any():
                break
            now_ms = np.where(stalled, now_ms + rtt_ms, now_ms)
            left = np.where(stalled, left - window, left)
            window = np.where(flowing, np.inf, window * 2)
        return capacity.drained_ms(now_ms, left)


def path(
    link: LinkProfile,
    payload_bytes: float,
    reply_bytes: float,
    connection: Connection = WARM,
) -> Path:
    """A link with the sizes that travel over it."""
    return Path(
        name=link.name,
        uplink=Constant(link.uplink_mbps),
        downlink=Constant(link.downlink_mbps),
        rtt_ms=link.rtt_ms,
        jitter_ms=link.jitter_ms,
        promotion_ms=link.promotion_ms,
        tail_ms=link.tail_ms,
        payload_bytes=payload_bytes,
        reply_bytes=reply_bytes,
        connection=connection,
    )


def one_way_ms(rtt_ms: float, jitter_ms: float, n: int, rng: np.random.Generator) -> Floats:
    """Half a round trip with half its variance, shape (n,): gamma, since delays lean right."""
    if jitter_ms == 0 or rtt_ms == 0:
        return np.full(n, rtt_ms / 2)
    shape = (rtt_ms / 2) ** 2 / (jitter_ms**2 / 2)
    return rng.gamma(shape, rtt_ms / 2 / shape, n)


def positive_normal(mean: float, std: float, n: int, rng: np.random.Generator) -> Floats:
    """Normal draws, each redrawn until it is positive; shape (n,)."""
    values = rng.normal(mean, std, n)
    while len(again := np.flatnonzero(values <= 0)):
        values[again] = rng.normal(mean, std, len(again))
    return values
