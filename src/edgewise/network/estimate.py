"""What a caller knows of its network, from its own requests.

A request over an open connection takes, until the first byte of its answer,

    rtt + sent_bytes / rate + what the service says it took,

so small requests (and pings) tell the round trip, and large ones, less that, the rate; a large one
tells both where its sender saw when the last byte left. What was seen last counts most, as networks
change; in logarithms, so that one request in a stall does not count for many others. How many times
as long as that requests took in the end is kept too: its 0.9 quantile says how sure it is.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass

#: RFC 6928's initial window holds it: it travels in one round trip whatever the rate.
SMALL_BYTES = 4096
#: Weight of what was seen last. Found on recorded traces, 0.2 to 5 s between requests.
_ALPHA = 0.25
#: Requests whose ratios are kept, and how many a 0.9 quantile takes.
_WINDOW, _ENOUGH = 64, 8
#: Nothing is nearer to no time than this, in ms, and in ms per byte (80 Gbps).
_LEAST_MS, _LEAST_MS_PER_BYTE = 1e-3, 1e-7


@dataclass(frozen=True, slots=True)
class Expected:
    """Usual times of one request, in ms. `upload_ms` is None for a large one before the rate
    is known; `rtt_ms` until a small one was seen; `download_p90_ms` before there are enough.
    """

    rtt_ms: float | None
    upload_ms: float | None
    download_ms: float
    download_p90_ms: float | None = None

    @property
    def total_ms(self) -> float:
        """Upload and download, as far as they are known."""
        return (self.upload_ms or 0.0) + self.download_ms

    def stated(self) -> dict[str, float]:
        """What is known, by the names of a request's parameters."""
        given = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: round(ms, 3) for name, ms in given if ms is not None}


@dataclass(frozen=True, slots=True)
class Observation:
    """One request as its sender saw it, in ms and bytes.

    `waited_ms` from the first byte sent to the first byte received, `reading_ms` from there to the
    last. `server_ms` is what the service said that it took, of `waited_ms`; None: it did not.
    `sending_ms` until the last byte was handed over, where that says when it left. `fresh`: on a
    new connection, whose window was not open.
    """

    sent_bytes: int
    received_bytes: int
    waited_ms: float
    reading_ms: float
    server_ms: float | None = 0.0
    sending_ms: float | None = None
    fresh: bool = False

    @property
    def network_ms(self) -> float:
        """What the network took of the wait; all of it where the service does not say."""
        return max(0.0, self.waited_ms - (self.server_ms or 0.0))


class _Usual:
    """Weighted geometric mean of a quantity, what was seen last counting most; None at first."""

    def __init__(self, least: float) -> None:
        self._least = least
        self.value: float | None = None

    def add(self, seen: float) -> None:
        """One more value, 0 or more."""
        seen = max(seen, self._least)
        before = seen if self.value is None else self.value
        self.value = before * (seen / before) ** _ALPHA


class NetworkEstimate:
    """The network between one caller and its service. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rtt, self._reading = _Usual(_LEAST_MS), _Usual(_LEAST_MS)
        self._ms_per_byte = _Usual(_LEAST_MS_PER_BYTE)
        self._rate_is_fresh = False
        self._ratios: deque[float] = deque(maxlen=_WINDOW)

    @property
    def rtt_ms(self) -> float | None:
        """The round trip, None until a request or a ping has shown it."""
        return self._rtt.value

    @property
    def upload_mbps(self) -> float | None:
        """Rate of the uplink as large requests saw it, in megabits per second."""
        per_byte = self._ms_per_byte.value
        return None if per_byte is None else 8e-3 / per_byte

    def learn(self, seen: Observation) -> None:
        """Take in one request, a refusal, or a ping.

        One that does not say how long the service had it only bounds the network from above: it
        counts where it was faster than expected. Else one bad guess could have everything refused
        for ever.
        """
        with self._lock:
            expected = self._expect(seen.sent_bytes)
            took_ms = seen.network_ms + seen.reading_ms
            if seen.server_ms is None and (expected is None or took_ms >= expected.total_ms):
                return
            comparable = seen.sent_bytes > 0 and not seen.fresh
            if comparable and expected is not None and expected.upload_ms is not None:
                self._ratios.append(took_ms / expected.total_ms)
            self._reading.add(seen.reading_ms)
            if seen.sent_bytes <= SMALL_BYTES:
                self._rtt.add(seen.network_ms)
                return
            sending_ms = seen.sending_ms
            if sending_ms is not None:
                sending_ms = min(sending_ms, seen.network_ms)
                self._rtt.add(seen.network_ms - sending_ms)
            self._learn_rate(seen, sending_ms)

    def _learn_rate(self, seen: Observation, sending_ms: float | None) -> None:
        # A fresh connection's slow start says little about the next request on a warm one: it
        # counts only until there is better.
        if seen.fresh and self._ms_per_byte.value is not None and not self._rate_is_fresh:
            return
        if self._rate_is_fresh and not seen.fresh:
            self._ms_per_byte.value = None
        self._rate_is_fresh = seen.fresh
        if sending_ms is None:
            sending_ms = max(0.0, seen.network_ms - (self._rtt.value or 0.0))
        self._ms_per_byte.add(sending_ms / seen.sent_bytes)

    def expect(self, sent_bytes: int) -> Expected | None:
        """What a request of so many bytes will take on the network; None before the first answer.

        What is uncertain of both ways counts for the way back, as the upload is over when a
        service reads this.
        """
        with self._lock:
            return self._expect(sent_bytes)

    def _expect(self, sent_bytes: int) -> Expected | None:
        rtt_ms, per_byte = self._rtt.value, self._ms_per_byte.value
        if rtt_ms is None and per_byte is None:
            return None
        half_ms = (rtt_ms or 0.0) / 2
        upload_ms: float | None = half_ms
        if sent_bytes > SMALL_BYTES:
            upload_ms = None if per_byte is None else half_ms + sent_bytes * per_byte
        download_ms = half_ms + (self._reading.value or 0.0)
        p90_ms = None
        if upload_ms is not None and len(self._ratios) >= _ENOUGH:
            ratio = sorted(self._ratios)[math.ceil(0.9 * len(self._ratios)) - 1]
            p90_ms = download_ms + (upload_ms + download_ms) * max(ratio - 1, 0.0)
        return Expected(rtt_ms, upload_ms, download_ms, p90_ms)

    def split(self, seen: Observation) -> tuple[float, float, float]:
        """Upload, server and download of a request, in ms; they add up to its whole time.

        What the service claims is believed only within what the caller saw.
        """
        server_ms = min(max(seen.server_ms or 0.0, 0.0), seen.waited_ms)
        left_ms = seen.waited_ms - server_ms
        half_ms = min((self._rtt.value or 0.0) / 2, left_ms)
        return left_ms - half_ms, server_ms, half_ms + seen.reading_ms
