"""What a client expects of its network, from its own earlier requests."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections import deque

from edgewise.protocol.http.attempt import Attempt

#: Requests remembered, and how many a 90th percentile takes.
_WINDOW, _ENOUGH = 64, 8


class NetworkEstimate:
    """Medians of the parts of a transfer, and how far what they predict is off.

    Medians, as choosing does it (`selection.workload`): where now and then nothing passes, a mean
    would be several of them. An answer says how long the service had the request; the rest was
    network. Of that, handing the bytes over is seen here (per byte, as sizes differ), so are the
    answer's first to last byte, and what is left is the round trip.
    """

    def __init__(self) -> None:
        self._rtt_ms, self._ms_per_byte, self._reply_ms = _Window(), _Window(), _Window()
        self._error_ms = _Window()

    def parameters(self, size_bytes: int) -> bytes:
        """As members of a request's parameters, each with a comma; empty before the first answer.

        The upload ends when the last byte is there, so half a round trip belongs to it.
        """
        if not len(self._rtt_ms):
            return b""
        rtt_ms = self._rtt_ms.quantile(0.5)
        half_ms = rtt_ms / 2
        upload_ms = half_ms + self._ms_per_byte.quantile(0.5) * size_bytes
        download_ms = half_ms + self._reply_ms.quantile(0.5)
        told = b'"rtt_ms":%.3f,"upload_ms":%.3f,"download_ms":%.3f,' % (
            rtt_ms,
            upload_ms,
            download_ms,
        )
        if len(self._error_ms) < _ENOUGH:
            return told
        # The upload is over when this is read: what is uncertain of both counts for the way back.
        most_ms = download_ms + max(self._error_ms.quantile(0.9), 0.0)
        return told + b'"download_p90_ms":%.3f,' % most_ms

    def saw(self, done: Attempt) -> None:
        """Learn from an answer, or from a refusal.

        A refusal does not say how long it took to decide, so it only bounds the network from
        above: else one bad guess would have everything refused for ever, and never be corrected.
        """
        total_ms = done.last_ms - done.sent_ms
        if not total_ms >= 0:
            return
        expected_ms = self._expected_ms(done.size_bytes) if len(self._rtt_ms) else None
        service_ms = done.said.service_ms if done.said else None
        if service_ms is not None:
            self._learn(done, max(total_ms - service_ms, 0.0), expected_ms)
        elif expected_ms is not None and total_ms < expected_ms:
            self._learn(done, total_ms, expected_ms)

    def _expected_ms(self, size_bytes: int) -> float:
        parts_ms = (self._rtt_ms.quantile(0.5), self._reply_ms.quantile(0.5))
        return sum(parts_ms) + self._ms_per_byte.quantile(0.5) * size_bytes

    def _learn(self, done: Attempt, network_ms: float, expected_ms: float | None) -> None:
        send_ms = done.uploaded_ms - done.sent_ms
        send_ms = min(send_ms, network_ms) if send_ms > 0 else 0.0
        reply_ms = min(done.last_ms - done.first_ms, network_ms - send_ms)
        self._rtt_ms.add(network_ms - send_ms - reply_ms)
        self._ms_per_byte.add(send_ms / done.size_bytes)
        self._reply_ms.add(reply_ms)
        if expected_ms is not None:
            self._error_ms.add(network_ms - expected_ms)


class _Window:
    """The last values, in order of arrival and of size."""

    def __init__(self) -> None:
        self._last: deque[float] = deque()
        self._sorted: list[float] = []

    def __len__(self) -> int:
        return len(self._last)

    def add(self, value: float) -> None:
        if len(self._last) == _WINDOW:
            del self._sorted[bisect_left(self._sorted, self._last.popleft())]
        self._last.append(value)
        insort(self._sorted, value)

    def quantile(self, level: float) -> float:
        """The smallest kept value that a share of `level` does not exceed."""
        return self._sorted[max(0, math.ceil(level * len(self._sorted)) - 1)]
