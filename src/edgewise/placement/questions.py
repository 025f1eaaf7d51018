"""From a question to a request's body: what the device does before it sends."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgewise.errors import InputError
from edgewise.placement.subjects import Subject, wire_port
from edgewise.protocol.http import prepared
from edgewise.protocol.http.attempt import now_ms
from edgewise.protocol.http.prepared import Body
from edgewise.records import Way
from edgewise.runtimes import variant

if TYPE_CHECKING:
    from PIL.Image import Image

#: Of a photo that the device has resized.
_JPEG_QUALITY = 90


class Ready(NamedTuple):
    """A body, and what it took: decoding and resizing; encoding. In ms."""

    body: Body
    begun_ms: float
    preprocess_ms: float
    encode_ms: float


class Sending(NamedTuple):
    """A way to send. `where` is who makes the model's input of a photo: the cloud gets the
    original, the device sends it resized, or as tensors (`as_tensor`). None: there is nothing to
    prepare.
    `made` gives a question's body where something else than this process makes it."""

    where: Way | None
    as_tensor: bool
    port: prepared.Port | None
    binary: bool
    made: Callable[[int], Ready] | None = None

    def body(self, subject: Subject, number: int) -> Ready:
        """The body of a question's request.

        Raises:
            InputError: an image that cannot be decoded.
        """
        if self.made is not None:
            return self.made(number)
        question = subject.questions[number]
        begun_ms = now_ms()
        if question.image is None:
            values = [np.asarray(each.values) for each in question.tensors]
            return self._tensors(subject, values, begun_ms)
        if self.where == "cloud":
            return self._image(question.image, begun_ms, begun_ms)
        if subject.how is None:
            raise InputError("a photo for a model that takes tensors")
        photo = variant.decode(question.image, f"input {number}")
        if self.as_tensor:
            return self._tensors(subject, [variant.prepare(photo, subject.how)], begun_ms)
        small = _resized(photo, subject.how)
        prepared_ms = now_ms()
        return self._image(_jpeg(small), begun_ms, prepared_ms)

    def _tensors(self, subject: Subject, values: list[NDArray[Any]], begun_ms: float) -> Ready:
        prepared_ms = now_ms()
        ports = [wire_port(port) for port in subject.inputs]
        if self.port is not None and len(ports) == 1:
            ports = [self.port]
        body = prepared.of_tensors(ports, values, binary=self.binary)
        return Ready(body, begun_ms, prepared_ms - begun_ms, now_ms() - prepared_ms)

    def _image(self, content: bytes, begun_ms: float, prepared_ms: float) -> Ready:
        port = self.port if self.port and self.port.datatype == "BYTES" else _IMAGE
        body = prepared.of_image(port, content, binary=self.binary)
        return Ready(body, begun_ms, prepared_ms - begun_ms, now_ms() - prepared_ms)


_IMAGE = prepared.Port("image", "BYTES", [1])


def _resized(photo: Image, how: variant.Resolved) -> Image:
    """In the model's colours and size; a smaller photo is not enlarged to send it."""
    converted = photo.convert("L" if how.colour == "grey" else "RGB")
    height, width = how.size
    if converted.width * converted.height <= width * height:
        return converted
    return converted.resize((width, height), variant.pillow().Resampling.BILINEAR)


def _jpeg(photo: Image) -> bytes:
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=_JPEG_QUALITY)
    return file.getvalue()
