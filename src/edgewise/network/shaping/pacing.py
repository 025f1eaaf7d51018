"""When the bytes of a connection pass a link. Pure: no clock, no sockets.

The rules are those of `network.link`, applied to bytes as they come instead of to whole requests:
what a `Pacer` makes of a request in virtual time is what `Path.transfers_at` says.

- A direction's rate is shared by all connections: whoever offers first passes first.
- A connection sends a window per round trip. The next one is larger by what was acknowledged, as
  Linux does it: only where the window was the limit. Once bytes of a window still leave a round
  trip after its first, acknowledgements come in time and only the rate matters.
- A connection on which nothing arrived for several timeouts halves both windows per timeout.
- The delay of a direction is drawn anew for each answer and once per round trip of a stream;
  nothing overtakes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from edgewise.errors import UsageError
from edgewise.network.capacity import BYTES_PER_MS, Capacity
from edgewise.network.link import (
    HANDSHAKE_ROUND_TRIPS,
    INITIAL_WINDOW_BYTES,
    MIN_TIMEOUT_MS,
    one_way_ms,
)

#: Bytes are offered in pieces that take about this long, at least a segment and at most 64 KiB:
#: shorter ones cost work, longer ones hold the first byte back until the last has passed.
_PIECE_MS = 2.0
_SEGMENT_BYTES = 1460
_MOST_BYTES = 64 * 1024


@dataclass(frozen=True)
class Shape:
    """What a link does to connections.

    `rtt_ms` and `jitter_ms` are mean and deviation of the round trip. A radio that was idle for
    more than `tail_ms` needs `promotion_ms` before it sends (0: no radio). A plain connection is
    charged `handshake_round_trips` before its first byte, one for TCP and the rest for the TLS
    that it stands in for; a connection that carries TLS is charged one, the rest are flights of
    its own. A trace is entered at `trace_ms` when the shaper starts, and repeats.
    """

    uplink: Capacity
    downlink: Capacity
    rtt_ms: float
    jitter_ms: float = 0.0
    promotion_ms: float = 0.0
    tail_ms: float = 0.0
    handshake_round_trips: int = HANDSHAKE_ROUND_TRIPS
    trace_ms: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for what in ("rtt_ms", "jitter_ms", "promotion_ms", "tail_ms", "trace_ms"):
            if not 0 <= getattr(self, what) < math.inf:
                raise UsageError(
                    f"a shaper with {what} of {getattr(self, what)}", hint="it is zero or more"
                )
        for direction in (self.uplink, self.downlink):
            if not 0 < direction.mean_mbps < math.inf:
                raise UsageError(
                    f"a shaper with a rate of {direction.mean_mbps} Mbps", hint="it is positive"
                )
        if self.handshake_round_trips < 1:
            raise UsageError(
                f"a shaper with {self.handshake_round_trips} round trips for the handshake",
                hint="TCP alone takes one",
            )


class Passage(NamedTuple):
    """When a piece has left the sender, and when it is there."""

    departs_ms: float
    arrives_ms: float


@dataclass
class Bucket:
    """One direction's rate, shared by all connections; what was not used is gone."""

    capacity: Capacity
    trace_ms: float
    _free_ms: float = 0.0

    @property
    def bytes_per_ms(self) -> float:
        """The long-run rate."""
        return self.capacity.mean_mbps * BYTES_PER_MS

    def drain(self, at_ms: float, size_bytes: int) -> float:
        """When the last byte has passed, behind all that was offered before."""
        start_ms = np.asarray(max(at_ms, self._free_ms) + self.trace_ms)
        self._free_ms = float(self.capacity.drained_ms(start_ms, float(size_bytes)) - self.trace_ms)
        return self._free_ms


@dataclass
class Radio:
    """The device's radio, awake at first: it sleeps after `tail_ms` in which nothing moved."""

    promotion_ms: float
    tail_ms: float
    _last_ms: float = 0.0
    _awake_ms: float = 0.0

    def ready_ms(self, at_ms: float) -> float:
        """When it sends what is handed to it at `at_ms`."""
        if self.promotion_ms and at_ms - self._last_ms > self.tail_ms:
            self._awake_ms = at_ms + self.promotion_ms
            self.active(self._awake_ms)
        return max(at_ms, self._awake_ms)

    def active(self, until_ms: float) -> None:
        """Something moves until then."""
        self._last_ms = max(self._last_ms, until_ms)


@dataclass
class Delay:
    """One way's delay: gamma, drawn anew once per mean round trip, or when told to."""

    rtt_ms: float
    jitter_ms: float
    rng: np.random.Generator
    _drawn_at_ms: float = -math.inf
    _value_ms: float = 0.0

    def at(self, at_ms: float) -> float:
        """The delay of what leaves then."""
        if at_ms - self._drawn_at_ms >= self.rtt_ms:
            self._value_ms = float(one_way_ms(self.rtt_ms, self.jitter_ms, 1, self.rng)[0])
            self._drawn_at_ms = at_ms
        return self._value_ms

    def hold(self, until_ms: float) -> None:
        """What was drawn last holds until then, and for a round trip after."""
        self._drawn_at_ms = until_ms

    def renew(self) -> None:
        """Draw anew for what leaves next. Requests one after the other would else see short delays
        more often than long ones, which outlive their round trip."""
        self._drawn_at_ms = -math.inf


class _Round(NamedTuple):
    """A congestion window, when the next one comes, and what was sent of this one.

    `flowing`: it limits no more.
    """

    until_ms: float
    window_bytes: float
    sent_bytes: int
    flowing: bool


class Flow:
    """One direction of a connection.

    Bytes are offered at `ready_ms` at the earliest, `allowance` of them at most; a direction that
    waits for its window or its own bytes holds nobody else up.
    """

    def __init__(self, wire: Wire, bucket: Bucket, delay: Delay, radio: Radio | None) -> None:
        """`radio`: what this direction has to wake before it sends."""
        self.ready_ms = 0.0
        piece = bucket.bytes_per_ms * _PIECE_MS
        self._piece_bytes = int(min(max(piece, _SEGMENT_BYTES), _MOST_BYTES))
        self._wire, self._bucket, self._delay, self._radio = wire, bucket, delay, radio
        self._round = _Round(-math.inf, INITIAL_WINDOW_BYTES, 0, False)
        self._offered_ms = self._departed_ms = self._arrived_ms = -math.inf
        self._peer = self

    def face(self, peer: Flow) -> None:
        """The flow of the other direction."""
        self._peer = peer

    @property
    def bytes_per_ms(self) -> float:
        """The long-run rate of this direction."""
        return self._bucket.bytes_per_ms

    @property
    def held_bytes(self) -> int:
        """What is under way at most while the receiver reads, but for rare delays."""
        return int(self.bytes_per_ms * (self._delay.rtt_ms + 4 * self._delay.jitter_ms))

    def allowance(self, at_ms: float) -> int:
        """How many bytes may be offered at `at_ms` as one piece: one at least."""
        times = self._wire.timeouts(at_ms)
        now = self._halved(times, at_ms) if times else self._round_at(at_ms)
        if now.flowing:
            return self._piece_bytes
        return max(min(self._piece_bytes, int(now.window_bytes - now.sent_bytes)), 1)

    def offer(self, at_ms: float, size_bytes: int) -> Passage:
        """Send a piece: when does it leave, when is it there?"""
        if -math.inf < self._offered_ms < self._peer._arrived_ms <= at_ms:  # an answer
            self._delay.renew()
        self._offered_ms = at_ms
        self._wire.halve_windows(at_ms)
        if self._radio is not None:
            at_ms = self._radio.ready_ms(at_ms)
        departs_ms = self._bucket.drain(at_ms, size_bytes)
        self._spend(at_ms, size_bytes, departs_ms)
        self._departed_ms = departs_ms
        self._arrived_ms = max(departs_ms + self._delay.at(at_ms), self._arrived_ms)
        self._wire.arrival(self._arrived_ms)
        return Passage(departs_ms, self._arrived_ms)

    def closed_at(self, at_ms: float) -> float:
        """When an end that is sent at `at_ms` is there: it takes no capacity and overtakes none."""
        return max(at_ms + self._delay.at(at_ms), self._arrived_ms)

    def halve(self, times: int, at_ms: float) -> None:
        """The sender was idle for that many timeouts."""
        self._round = self._halved(times, at_ms)

    def _spend(self, at_ms: float, size_bytes: int, departs_ms: float) -> None:
        """Take a piece from the window; if that was the last of it, wait for the next."""
        now = self._round_at(at_ms)
        window, sent = now.window_bytes, now.sent_bytes + size_bytes
        flowing = now.flowing or departs_ms >= now.until_ms
        if flowing:
            window = max(window, self._open_bytes(at_ms))
        self._round = _Round(now.until_ms, window, sent, flowing)
        exhausted = not flowing and window - sent < 1
        self.ready_ms = now.until_ms if exhausted else departs_ms

    def _halved(self, times: int, at_ms: float) -> _Round:
        window = min(self._round_at(at_ms).window_bytes, self._open_bytes(at_ms))
        window = max(window * 0.5 ** min(times, 64), INITIAL_WINDOW_BYTES)
        return _Round(-math.inf, window, 0, False)

    def _open_bytes(self, at_ms: float) -> float:
        """A window that never limits: what the way holds."""
        return max(self._wire.rtt_ms(at_ms) * self._bucket.bytes_per_ms, INITIAL_WINDOW_BYTES)

    def _new_round(self, at_ms: float, window_bytes: float) -> _Round:
        return _Round(at_ms + self._wire.rtt_ms(at_ms), window_bytes, 0, False)

    def _round_at(self, at_ms: float) -> _Round:
        """The window that a piece offered at `at_ms` falls into."""
        now = self._round
        if now.flowing:
            starved = at_ms > self._departed_ms
            return self._new_round(at_ms, now.window_bytes) if starved else now
        if at_ms < now.until_ms:
            return now
        # tcp_is_cwnd_limited of Linux: a window grows only if more than half of it was used.
        grown = now.sent_bytes if 2 * now.sent_bytes > now.window_bytes else 0
        return self._new_round(at_ms, now.window_bytes + grown)


class Wire:
    """A connection over the link, from its first SYN on: two flows, their delays and windows."""

    def __init__(self, pacer: Pacer, at_ms: float, rng: np.random.Generator) -> None:
        shape = pacer.shape
        self._radio = pacer.radio
        self._up_delay, self._down_delay = (
            Delay(shape.rtt_ms, shape.jitter_ms, rng) for _ in range(2)
        )
        self.up = Flow(self, pacer.uplink, self._up_delay, self._radio)
        self.down = Flow(self, pacer.downlink, self._down_delay, None)
        self.up.face(self.down)
        self.down.face(self.up)
        self._last_ms = self._begins_ms = self._radio.ready_ms(at_ms)
        self._handshake_up_ms = self._up_delay.at(self._begins_ms)
        self._handshake_rtt_ms = self.rtt_ms(self._begins_ms)
        self.shake_hands(shape.handshake_round_trips)

    def shake_hands(self, round_trips: int) -> None:
        """The client may send after so many round trips; the server when it has heard of that."""
        self.up.ready_ms = self._begins_ms + round_trips * self._handshake_rtt_ms
        self.down.ready_ms = self.up.ready_ms + self._handshake_up_ms
        # As in the model, the handshake's round trip is that of the first request, too.
        self._up_delay.hold(self.up.ready_ms)
        self._down_delay.hold(self.down.ready_ms)
        self.arrival(self.up.ready_ms)

    @property
    def refused_ms(self) -> float:
        """When a client learns that nobody listens: after one round trip."""
        return self._begins_ms + self._handshake_rtt_ms

    def rtt_ms(self, at_ms: float) -> float:
        """The round trip now: both ways' delays."""
        return self._up_delay.at(at_ms) + self._down_delay.at(at_ms)

    def arrival(self, at_ms: float) -> None:
        """Something arrives then: until then nothing is idle."""
        self._last_ms = max(self._last_ms, at_ms)
        self._radio.active(at_ms)

    def timeouts(self, at_ms: float) -> int:
        """For how many timeouts nothing has arrived (RFC 2861)."""
        timeout_ms = max(2 * self.rtt_ms(at_ms), MIN_TIMEOUT_MS)
        return int(max(at_ms - self._last_ms, 0.0) // timeout_ms)

    def halve_windows(self, at_ms: float) -> None:
        """Both windows halve once per timeout of silence."""
        if times := self.timeouts(at_ms):
            self.up.halve(times, at_ms)
            self.down.halve(times, at_ms)


@dataclass
class Pacer:
    """A device's link: its rates and its radio are shared by its connections."""

    shape: Shape
    uplink: Bucket = field(init=False)
    downlink: Bucket = field(init=False)
    radio: Radio = field(init=False)
    _connections: int = 0

    def __post_init__(self) -> None:
        shape = self.shape
        self.uplink = Bucket(shape.uplink, shape.trace_ms)
        self.downlink = Bucket(shape.downlink, shape.trace_ms)
        self.radio = Radio(shape.promotion_ms, shape.tail_ms)

    def connect(self, at_ms: float) -> Wire:
        """A new connection; the n-th one draws the same delays in every run with the same seed."""
        rng = np.random.default_rng([self.shape.seed, self._connections])
        self._connections += 1
        return Wire(self, at_ms, rng)
