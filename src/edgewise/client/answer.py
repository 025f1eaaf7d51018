"""What a client hands back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from numpy.typing import NDArray

Source = Literal["cloud", "device"]
Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Phases:
    """Where the time of one answer from the cloud went, in ms. They add up to `total_ms`.

    `prepare_ms` is what passed before the first byte was sent: encoding, the device's answer in a
    cascade, attempts that failed and the waits between them. `connect_ms` is TCP's and TLS's
    handshakes, 0 on a connection that was open. `upload_ms`, `server_ms` and `download_ms` run from
    the first byte sent to the last byte received; `server_ms` is what the service reported (0 where
    it reports nothing), the upload ends with half a round trip and the download begins with one.
    `finish_ms` is what the client did with the answer.
    """

    prepare_ms: float
    connect_ms: float
    upload_ms: float
    server_ms: float
    download_ms: float
    finish_ms: float

    @property
    def total_ms(self) -> float:
        """Sum of the phases."""
        return (
            self.prepare_ms
            + self.connect_ms
            + self.upload_ms
            + self.server_ms
            + self.download_ms
            + self.finish_ms
        )


@dataclass(frozen=True, slots=True)
class NetworkTimes:
    """What the network took for one request, in ms.

    `rtt_ms` is the client's estimate of the round trip at that time, None before there is one (the
    upload then holds the whole of it). Bytes are those of the bodies.
    """

    upload_ms: float
    rtt_ms: float | None
    download_ms: float
    connect_ms: float
    sent_bytes: int
    received_bytes: int


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, from the cloud or from the device.

    Attributes:
        outputs: arrays by name; an output of datatype BYTES is an array of objects.
        scores: the first output flat, (C,), where it is one score per class, else None; `index` is
            the best class, `label` its name where the family gives one.
        confidence: probability of the best class, 0 to 1.
        variant: what answered. accuracy: its accuracy in percent, as the service or family says.
        latency_ms: from the call to the answer. in_time: whether `latency_ms` and what was spent
            before it are within the deadline; None without one.
        network, phases: of the request to the cloud; None where the device answered.
        parameters: of the response, as the service sent them.
        attempts: requests sent for this answer; retry_ms: what failed ones and waits cost.
        low_confidence: the device was unsure and no better answer came in time.
        notes: in words, what a reader should know: why the device answered, what failed.
    """

    outputs: dict[str, Array]
    scores: Array | None
    index: int | None
    label: str | None
    confidence: float | None
    source: Source
    variant: str
    accuracy: float | None
    latency_ms: float
    in_time: bool | None
    id: str = ""
    network: NetworkTimes | None = None
    phases: Phases | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    attempts: int = 0
    retry_ms: float = 0.0
    low_confidence: bool = False
    notes: tuple[str, ...] = ()
