"""Making a model's input of a photo: on the device, or on the server. PieSlicer's question.

Resizing first sends a small file, but a phone decodes, resizes and encodes slowly; sending the
original leaves that to a fast core, but takes the network longer. Which is sooner depends on the
photo's size and the link. All costs are linear in pixels and bytes (Ogden, Kong and Guo, PieSlicer,
ICPE 2021, found linear regression to be enough); their coefficients are data, fitted by
`benchmarks/bench_preprocess.py`, and what comes of them is labelled `model`.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import msgspec

from edgewise.errors import UsageError
from edgewise.records import Way

_DATA = Path(__file__).parent / "data" / "preprocess.toml"


class Costs(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of one core: ms per million pixels or bytes, and the bytes that a pixel becomes in JPEG.
    `postprocess_ms` is for the best of a thousand scores.

    `slowdown` multiplies all times: another machine's core.
    """

    decode_ms_per_mpx: float
    decode_ms_per_mb: float
    resize_ms_per_mpx: float
    tensor_ms_per_mpx: float
    encode_ms_per_mpx: float
    postprocess_ms: float
    resized_bytes_per_pixel: float
    photo_bytes_per_pixel: float
    source: str
    slowdown: float = 1.0

    def decode_ms(self, photo: Photo) -> float:
        """From the file to pixels."""
        by_bytes = self.decode_ms_per_mb * photo.size_bytes / 1e6
        return self.slowdown * (self.decode_ms_per_mpx * photo.pixels / 1e6 + by_bytes)

    def resize_ms(self, photo: Photo) -> float:
        """To the model's size: bilinear, every pixel of the photo counts."""
        return self.slowdown * self.resize_ms_per_mpx * photo.pixels / 1e6

    def tensor_ms(self, pixels: float) -> float:
        """From 8 bits to the model's numbers."""
        return self.slowdown * self.tensor_ms_per_mpx * pixels / 1e6

    def encode_ms(self, pixels: float) -> float:
        """To a JPEG of quality 90."""
        return self.slowdown * self.encode_ms_per_mpx * pixels / 1e6

    def reading_ms(self) -> float:
        """The answer: the best of a thousand scores."""
        return self.slowdown * self.postprocess_ms


class Photo(msgspec.Struct, frozen=True):
    """A photo as a file: JPEG. Sizes in pixels and bytes."""

    width: int
    height: int
    size_bytes: float

    @property
    def pixels(self) -> float:
        """How many."""
        return float(self.width * self.height)


class Exchange(NamedTuple):
    """What one request sends and receives, and who works on it before: times in ms.

    `where` says who makes the model's input, None where a caller sends it as it is.
    """

    payload_bytes: float
    reply_bytes: float
    device_preprocess_ms: float = 0.0
    encode_ms: float = 0.0
    server_preprocess_ms: float = 0.0
    where: Way | None = None


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    costs: Costs
    slowdown: list[dict[str, str | float]]


@cache
def _data() -> _File:
    return msgspec.convert(tomllib.loads(_DATA.read_text(encoding="utf-8")), _File)


@cache
def _factors() -> dict[str, float]:
    return {str(row["name"]): float(row["factor"]) for row in _data().slowdown}


def machines() -> tuple[str, ...]:
    """Machines whose cores are known by name."""
    return tuple(_factors())


@cache
def costs(machine: str | float = "reference") -> Costs:
    """Costs of a core of a known machine, or of one that is so many times as slow as a server's.

    Raises:
        UsageError: no such machine, or a factor that is not positive.
    """
    factors = _factors()
    factor = factors.get(machine, 0.0) if isinstance(machine, str) else machine
    if not 0 < factor < float("inf"):
        raise UsageError(
            f"no costs of preprocessing on '{machine}'",
            hint=f"known: {', '.join(factors)}; or how many times a server's core is as fast",
        )
    return msgspec.structs.replace(_data().costs, slowdown=factor)


def photo(width: int, height: int, size_bytes: float | None = None) -> Photo:
    """A photo by its pixels; without a size, that of a phone's camera.

    Raises:
        UsageError: no pixels, or no bytes.
    """
    size = width * height * costs().photo_bytes_per_pixel if size_bytes is None else size_bytes
    if min(width, height) < 1 or not 0 < size < float("inf"):
        raise UsageError(f"a photo of {width} × {height} pixels and {size} bytes")
    return Photo(width, height, size)


def local_ms(of: Photo, input_size: tuple[int, int], device: Costs) -> float:
    """The model's input of a photo, all on the device: decode, resize, numbers."""
    return device.decode_ms(of) + device.resize_ms(of) + device.tensor_ms(_pixels(input_size))


def exchanges(
    of: Photo,
    input_size: tuple[int, int],
    device: Costs,
    server: Costs,
    reply_bytes: float = 1_000.0,
) -> tuple[Exchange, Exchange]:
    """The two ways to send a photo to a model of `input_size` (height, width): resized on the
    device, and as it is. A photo that is smaller than the model's input is not enlarged to send it.
    """
    pixels = min(_pixels(input_size), of.pixels)
    small = Photo(int(pixels), 1, min(pixels * device.resized_bytes_per_pixel, of.size_bytes))
    resized = Exchange(
        payload_bytes=small.size_bytes,
        reply_bytes=reply_bytes,
        device_preprocess_ms=device.decode_ms(of) + device.resize_ms(of),
        encode_ms=device.encode_ms(pixels),
        server_preprocess_ms=server.decode_ms(small) + server.tensor_ms(_pixels(input_size)),
        where="device",
    )
    original = Exchange(
        payload_bytes=of.size_bytes,
        reply_bytes=reply_bytes,
        server_preprocess_ms=local_ms(of, input_size, server),
        where="cloud",
    )
    return resized, original


def _pixels(size: tuple[int, int]) -> float:
    return float(size[0] * size[1])
