"""What a client expects of its network, from its own earlier requests."""

from __future__ import annotations

from edgewise.protocol.http.attempt import Attempt

#: Weight of the newest request.
_ALPHA = 0.2


class NetworkEstimate:
    """Exponentially weighted means of the parts of a transfer.

    An answer says how long the service had the request; the rest was network. Of that, handing the
    bytes over is seen here (per byte, as sizes differ), so are the answer's first to last byte, and
    what is left is the round trip.
    """

    def __init__(self) -> None:
        self._rtt_ms: float | None = None
        self._ms_per_byte = 0.0
        self._reply_ms = 0.0

    def parameters(self, size_bytes: int) -> bytes:
        """As members of a request's parameters, each with a comma; empty before the first answer.

        The upload ends when the last byte is there, so half a round trip belongs to it.
        """
        if self._rtt_ms is None:
            return b""
        half_ms = self._rtt_ms / 2
        return b'"rtt_ms":%.3f,"upload_ms":%.3f,"download_ms":%.3f,' % (
            self._rtt_ms,
            half_ms + self._ms_per_byte * size_bytes,
            half_ms + self._reply_ms,
        )

    def saw(self, done: Attempt) -> None:
        """Learn from an answer, or from a refusal.

        A refusal does not say how long it took to decide, so it only bounds the network from
        above: else one bad guess would have everything refused for ever, and never be corrected.
        """
        total_ms = done.last_ms - done.sent_ms
        if not total_ms >= 0:
            return
        service_ms = done.said.service_ms if done.said else None
        if service_ms is None:
            if self._rtt_ms is not None and total_ms < self._expected_ms(done.size_bytes):
                self._learn(done, total_ms)
        else:
            self._learn(done, max(total_ms - service_ms, 0.0))

    def _expected_ms(self, size_bytes: int) -> float:
        return (self._rtt_ms or 0.0) + self._ms_per_byte * size_bytes + self._reply_ms

    def _learn(self, done: Attempt, network_ms: float) -> None:
        send_ms = done.uploaded_ms - done.sent_ms
        send_ms = min(send_ms, network_ms) if send_ms > 0 else 0.0
        reply_ms = min(done.last_ms - done.first_ms, network_ms - send_ms)
        rtt_ms = network_ms - send_ms - reply_ms
        weight = 1.0 if self._rtt_ms is None else _ALPHA
        old_ms = self._rtt_ms or 0.0
        self._rtt_ms = old_ms + weight * (rtt_ms - old_ms)
        self._ms_per_byte += weight * (send_ms / done.size_bytes - self._ms_per_byte)
        self._reply_ms += weight * (reply_ms - self._reply_ms)
