"""A network of TNN's while it is read: the lines of its text, and where its weights are."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from edgewise.archive import File
from edgewise.errors import RejectedModel
from edgewise.formats import tnn
from edgewise.formats.netlist import Netlist, absent, slice_of
from edgewise.formats.siblings import expected
from edgewise.graph import DTYPE_BITS


@dataclass(slots=True)
class Line:
    """One layer of the text."""

    type: str
    name: str
    inputs: list[str]
    outputs: list[str]
    numbers: list[str]

    def integer(self, place: int, default: int = 0) -> int:
        """The whole number at a place."""
        if not 0 <= place < len(self.numbers):
            return default
        try:
            return int(float(self.numbers[place]))
        except (ValueError, OverflowError) as problem:
            raise RejectedModel(
                f"{self.type} {self.name}: {self.numbers[place]!r:.40}"
            ) from problem

    def integers(self, place: int) -> tuple[list[int], int]:
        """A count and so many numbers, and the place behind them."""
        count = self.integer(place)
        if not 0 <= count <= 64:
            raise RejectedModel(f"{self.type} {self.name}: {count} numbers")
        return [self.integer(place + 1 + at) for at in range(count)], place + 1 + count


@dataclass(slots=True)
class Buffer:
    """A stored tensor: where its elements are."""

    dtype: str
    start: int
    nbytes: int


@dataclass(slots=True)
class Weights:
    """The buffers of each layer, by its name."""

    data: memoryview | None
    buffers: dict[str, list[Buffer]] = field(default_factory=dict)


@dataclass(slots=True)
class Network:
    """A network while it is read."""

    netlist: Netlist
    file: File
    weights: Weights

    def weight(self, layer: Line, place: int, shape: tuple[int, ...] | None) -> int:
        """A stored buffer as a tensor of that shape; without the file it follows from the layer.

        Raises:
            RejectedModel: the buffer holds another number of elements.
        """
        found = self.weights.buffers.get(layer.name, [])
        name = f"{layer.name}.{place}"
        if place < len(found) and self.weights.data is not None:
            buffer = found[place]
            load = slice_of(self.weights.data, buffer.start, buffer.nbytes, name)
            count = buffer.nbytes * 8 // DTYPE_BITS.get(buffer.dtype, 32)
            given = (count,) if shape is None or math.prod(shape) != count else shape
            if shape is not None and len(shape) > 1 and given != shape:
                raise RejectedModel(f"{layer.type} {layer.name}: {count:,} weights for {shape}")
            return self.netlist.weight(name, buffer.dtype, given, load, buffer.nbytes)
        load = absent(self.file, expected(self.file, tnn.SIBLINGS))
        index = self.netlist.weight(name, "float32", shape or (), load)
        if shape is None:
            self.netlist.tensor(index).shape = None
        return index

    def stored(self, layer: Line) -> int:
        """How many buffers a layer has."""
        return len(self.weights.buffers.get(layer.name, []))
