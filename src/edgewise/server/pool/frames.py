"""What the service and a worker process say to each other: small msgpack frames over a socket.

A frame is its length in 4 bytes (little-endian) and a message. Every command gets one reply, in
order. Tensors are not in here: a `Head` says where one lies in memory that both share (`arena`).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from edgewise.family import Preprocess
from edgewise.records import Port

#: A longer frame breaks the protocol.
FRAME_BYTES = 64 * 1024 * 1024
_LENGTH = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Runnable:
    """One variant, as a worker needs it.

    `key` is unique over everything served: "family/variant", and behind an @ which content.
    `delegate` None: the runtime's default. `labels` is how many classes its first output must
    have, 0: unchecked.
    """

    key: str
    file: str
    runtime: str
    delegate: str | None
    threads: int
    preprocess: Preprocess
    input_kind: Literal["image", "tensor"]
    labels: int = 0


def plain(key: str) -> str:
    """A key as people read it."""
    return key.rpartition("@")[0] or key


class Head(msgspec.Struct, frozen=True, array_like=True):
    """A tensor's place: `size` bytes at `offset` of an area."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    offset: int
    size: int


class Prepare(msgspec.Struct, frozen=True, array_like=True, tag="prepare"):
    """Import what will be needed, so that no load pays for it."""

    runtimes: tuple[str, ...]
    images: bool


class Load(msgspec.Struct, frozen=True, array_like=True, tag="load"):
    """Make a variant resident, run it once on synthetic inputs, and check its output."""

    runnable: Runnable


class Evict(msgspec.Struct, frozen=True, array_like=True, tag="evict"):
    """Give a variant's memory back."""

    key: str


class Run(msgspec.Struct, frozen=True, array_like=True, tag="run"):
    """Run one batch: the inputs of each request, in a request area of `area` bytes.

    `load` is given where the variant is not known to be resident.
    """

    key: str
    requests: tuple[tuple[Head, ...], ...]
    area: int
    load: Runnable | None = None


class Calibrate(msgspec.Struct, frozen=True, array_like=True, tag="calibrate"):
    """Run a resident variant on synthetic inputs: so many times, at most so long."""

    key: str
    runs: int
    seconds: float
    seed: int


Command = Prepare | Load | Evict | Run | Calibrate


class Ready(msgspec.Struct, frozen=True, array_like=True, tag="ready"):
    """The imports are done."""


class Loaded(msgspec.Struct, frozen=True, array_like=True, tag="loaded"):
    """A variant is resident. `first_ms` is its first inference, None where none could be made."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    load_ms: float
    first_ms: float | None
    resident_bytes: int


class Evicted(msgspec.Struct, frozen=True, array_like=True, tag="evicted"):
    """A variant is no longer resident."""


class Failed(msgspec.Struct, frozen=True, array_like=True, tag="failed"):
    """A command, or one request of a batch, came to nothing. `load`: the variant that a batch was
    for does not load. `defect`: an error of our own."""

    kind: Literal["input", "runtime", "load", "memory", "defect"]
    message: str
    hint: str | None = None


class Done(msgspec.Struct, frozen=True, array_like=True, tag="done"):
    """A batch has run. Outputs per request lie in a reply area of `area` bytes; those of the
    requests that `failed` lists by index are empty. `resident_bytes` is None where the variant was
    resident before."""

    outputs: tuple[tuple[Head, ...], ...]
    area: int
    cold_ms: float
    preprocess_ms: float
    inference_ms: float
    postprocess_ms: float
    service_ms: float
    resident_bytes: int | None
    failed: dict[int, Failed]


class Calibrated(msgspec.Struct, frozen=True, array_like=True, tag="calibrated"):
    """Service times (preprocessing, inference, outputs) of a calibration, in ms."""

    hot_ms: tuple[float, ...]


Reply = Ready | Loaded | Evicted | Failed | Done | Calibrated

_encoder = msgspec.msgpack.Encoder()
_command = msgspec.msgpack.Decoder(Command)
_reply = msgspec.msgpack.Decoder(Reply)


def encode(message: Command | Reply) -> bytes:
    """A message as a frame."""
    content = _encoder.encode(message)
    return _LENGTH.pack(len(content)) + content


def command(content: bytes) -> Command:
    """Raises: ValueError (msgspec's are): it is none."""
    decoded: Command = _command.decode(content)
    return decoded


def reply(content: bytes) -> Reply:
    """Raises: ValueError (msgspec's are): it is none."""
    decoded: Reply = _reply.decode(content)
    return decoded


class Splitter:
    """Frames out of a stream that comes in any pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, part: bytes) -> list[bytes]:
        """The contents of the frames that are complete now.

        Raises:
            ValueError: a frame is longer than any is.
        """
        head = _LENGTH.size
        if not self._buffer and len(part) >= head:  # nearly always: one frame, whole
            (length,) = _LENGTH.unpack_from(part)
            if length == len(part) - head:
                return [part[head:]]
        return list(self._split(part))

    def _split(self, part: bytes) -> Iterator[bytes]:
        self._buffer += part
        while len(self._buffer) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._buffer)
            if length > FRAME_BYTES:
                raise ValueError(f"a frame of {length} bytes")
            end = _LENGTH.size + length
            if len(self._buffer) < end:
                return
            content = bytes(self._buffer[_LENGTH.size : end])
            del self._buffer[:end]
            yield content
