"""What a client knows of its network, from its own requests.

A request over an open connection takes, until the first byte of its answer,

    rtt + sent_bytes / rate + what the service says it took,

so small requests (and pings) tell the round trip, and large ones, less that, the rate. Both are
exponentially weighted means; how far predictions were off is kept too, and what is stated to a
service is the prediction times a quantile of those ratios, so that it holds as often as that.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from dataclasses import dataclass

#: RFC 6928's initial window holds it: it travels in one round trip whatever the rate.
SMALL_BYTES = 4096
_WINDOW = 64
_ALPHA = 0.25
#: Fewer ratios than these say nothing about a quantile.
_ENOUGH = 8
_MOST_OFF = 4.0


@dataclass(frozen=True, slots=True)
class Expected:
    """Expected times of one request, in ms. `upload_ms` is None for a large one before the rate
    is known; `rtt_ms` until a small one was seen.
    """

    rtt_ms: float | None
    upload_ms: float | None
    download_ms: float

    @property
    def total_ms(self) -> float:
        """Upload and download, as far as they are known."""
        return (self.upload_ms or 0.0) + self.download_ms


@dataclass(frozen=True, slots=True)
class Observation:
    """One request as its sender saw it, in ms and bytes.

    `waited_ms` from the first byte sent to the first byte received, `reading_ms` from there to the
    last. `server_ms` is what the service said that it took, of `waited_ms`.
    """

    sent_bytes: int
    received_bytes: int
    waited_ms: float
    reading_ms: float
    server_ms: float
    fresh: bool = False

    @property
    def network_ms(self) -> float:
        """What the network took of the wait."""
        return max(0.0, self.waited_ms - self.server_ms)


class Recent:
    """Exponentially weighted mean of a quantity, and quantiles over its last 64 values."""

    def __init__(self) -> None:
        self.mean: float | None = None
        self._values: deque[float] = deque(maxlen=_WINDOW)

    def add(self, value: float) -> None:
        """One more value."""
        self._values.append(value)
        self.mean = value if self.mean is None else self.mean + _ALPHA * (value - self.mean)

    def __len__(self) -> int:
        return len(self._values)

    def quantile(self, level: float) -> float:
        """The smallest kept value that a share of `level` does not exceed."""
        ordered = sorted(self._values)
        return ordered[max(0, math.ceil(level * len(ordered)) - 1)]


class NetworkEstimate:
    """The network between one client and its service. Safe to use from several threads.

    `level` is the share of requests whose stated network time is to hold.
    """

    def __init__(self, *, level: float = 0.9) -> None:
        self._level = level
        self._lock = threading.Lock()
        self._rtt = Recent()
        self._upload_ms_per_byte = Recent()
        self._upload_is_fresh = False
        self._download_ms = Recent()
        self._ratio = Recent()

    @property
    def rtt_ms(self) -> float | None:
        """The round trip, None until a small request or a ping has shown it."""
        return self._rtt.mean

    @property
    def upload_mbps(self) -> float | None:
        """Rate of the uplink as large requests saw it, in megabits per second."""
        per_byte = self._upload_ms_per_byte.mean
        return 8e-3 / per_byte if per_byte else None

    def rtt_quantile_ms(self, level: float) -> float | None:
        """A quantile of the last 64 round trips."""
        with self._lock:
            return self._rtt.quantile(level) if len(self._rtt) else None

    def learn(self, seen: Observation) -> None:
        """Take in one request, or a ping."""
        with self._lock:
            predicted = self._predict(seen.sent_bytes)
            comparable = seen.sent_bytes > 0 and not seen.fresh
            if comparable and predicted is not None and predicted.upload_ms is not None:
                took_ms = seen.network_ms + seen.reading_ms
                ratio = took_ms / max(predicted.total_ms, 1e-3)
                self._ratio.add(min(max(ratio, 1 / _MOST_OFF), _MOST_OFF))
            self._download_ms.add(seen.reading_ms)
            if seen.sent_bytes <= SMALL_BYTES:
                self._rtt.add(seen.network_ms)
            else:
                self._learn_rate(seen)

    def _learn_rate(self, seen: Observation) -> None:
        # A fresh connection's slow start says little about the next request on a warm one: it
        # counts only until there is better.
        if seen.fresh and len(self._upload_ms_per_byte) and not self._upload_is_fresh:
            return
        if self._upload_is_fresh and not seen.fresh:
            self._upload_ms_per_byte = Recent()
        self._upload_is_fresh = seen.fresh
        transfer_ms = max(0.0, seen.network_ms - (self._rtt.mean or 0.0))
        self._upload_ms_per_byte.add(transfer_ms / seen.sent_bytes)

    def expect(self, sent_bytes: int, *, surely: bool = True) -> Expected | None:
        """What a request of so many bytes will take on the network; None before the first answer.

        With `surely` the times hold for a share of `level` of the requests, as seen so far;
        without, they are what is expected on average.
        """
        with self._lock:
            predicted = self._predict(sent_bytes)
            if predicted is None or not surely or len(self._ratio) < _ENOUGH:
                return predicted
            factor = self._ratio.quantile(self._level)
        upload_ms = None if predicted.upload_ms is None else predicted.upload_ms * factor
        return Expected(predicted.rtt_ms, upload_ms, predicted.download_ms * factor)

    def _predict(self, sent_bytes: int) -> Expected | None:
        rtt_ms = self._rtt.mean
        per_byte = self._upload_ms_per_byte.mean
        if rtt_ms is None and per_byte is None:
            return None
        half_ms = (rtt_ms or 0.0) / 2
        upload_ms: float | None = half_ms
        if sent_bytes > SMALL_BYTES:
            upload_ms = None if per_byte is None else half_ms + sent_bytes * per_byte
        return Expected(rtt_ms, upload_ms, half_ms + (self._download_ms.mean or 0.0))

    def split(self, seen: Observation) -> tuple[float, float, float]:
        """Upload, server and download of a request, in ms; they add up to its whole time.

        What the service claims is believed only within what the client saw.
        """
        server_ms = min(max(seen.server_ms, 0.0), seen.waited_ms)
        left_ms = seen.waited_ms - server_ms
        half_ms = min((self._rtt.mean or 0.0) / 2, left_ms)
        return left_ms - half_ms, server_ms, half_ms + seen.reading_ms
