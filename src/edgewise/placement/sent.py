"""What a request is about, and the ways to send it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgewise.errors import UsageError
from edgewise.placement import preprocess
from edgewise.placement.preprocess import Costs, Exchange, Photo
from edgewise.records import Way


@dataclass(frozen=True)
class Sent:
    """A photo, which somebody has to prepare, or the model's input as it is (`payload_bytes`).

    `input_size` is the model's, height and width, unless `size_assumed` and the model's own is
    known; `prepared_by` forces who prepares, None:
    whoever makes the answer sooner.

    Raises:
        UsageError: both or neither of them, or a size below nothing.
    """

    photo: Photo | None = None
    payload_bytes: float | None = None
    reply_bytes: float = 1_000.0
    input_size: tuple[int, int] = (224, 224)
    prepared_by: Way | None = None
    size_assumed: bool = False
    photo_assumed: bool = False

    def __post_init__(self) -> None:
        if (self.photo is None) == (self.payload_bytes is None):
            raise UsageError("a request is about a photo, or has a size: one of them")
        if not self.reply_bytes >= 0 or not (self.payload_bytes or 0) >= 0:
            raise UsageError("a request or a reply of less than no bytes")
        if min(self.input_size) < 1:
            raise UsageError(f"a model's input of {self.input_size[0]} × {self.input_size[1]}")
        if self.prepared_by not in (None, "device", "cloud"):
            raise UsageError(f"prepared by '{self.prepared_by}'", hint="device or cloud")

    def to(self, model_size: tuple[int, int] | None) -> Sent:
        """To a model whose input is known (None: it is not)."""
        if not self.size_assumed or model_size is None:
            return self
        return replace(self, input_size=model_size, size_assumed=False)

    def local_ms(self, device: Costs) -> float:
        """Preparing it, all on the device."""
        if self.photo is None:
            return 0.0
        return preprocess.local_ms(self.photo, self.input_size, device)

    def ways(self, device: Costs, server: Costs) -> tuple[Exchange, ...]:
        """The ways to send it."""
        if self.photo is None:
            return (Exchange(self.payload_bytes or 0.0, self.reply_bytes),)
        both = preprocess.exchanges(self.photo, self.input_size, device, server, self.reply_bytes)
        return tuple(way for way in both if self.prepared_by in (None, way.where))
