"""What readers share: building a `Graph` from named values, and saying what an operator means.

Files give values by name or number; `Builder` turns those into tensor indices, checks that each is
given once and before it is read, and bounds how many there may be.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any

from edgewise.errors import InputError, LimitExceeded, RejectedModel
from edgewise.formats.kit import Meaning, arrange, function
from edgewise.graph import DTYPE_BITS, Graph, Kind, Layer, Shape, Tensor, Weights

__all__ = [
    "Budget",
    "Builder",
    "Meaning",
    "byte_size",
    "function",
    "meaning_of",
    "missing",
    "named",
    "stored",
]

#: Layers and tensors of one file, its bodies included.
PART_LIMIT = 600_000
#: Constants up to this many bytes are read for the numbers in them.
SMALL_BYTES = 64 * 1024


def named(kind: Kind, names: Mapping[str, str]) -> dict[str, Meaning]:
    """Operators that are functions of one kind, by their names."""
    return {op: function(kind, name) for op, name in names.items()}


class Budget:
    """How many parts a file may still have."""

    def __init__(self, limit: int = PART_LIMIT) -> None:
        self._limit = self._left = limit

    def spend(self) -> None:
        """Raise `LimitExceeded` where it is spent."""
        self._left -= 1
        if self._left < 0:
            raise LimitExceeded(f"more than {self._limit:,} layers and tensors")


class Builder:
    """A graph being built. Keys are what the file calls its values."""

    def __init__(self, name: str = "", budget: Budget | None = None) -> None:
        self.graph = Graph(name, [], [], [], [])
        self.budget = budget or Budget()
        self._ids: dict[Hashable, int] = {}
        self._makers: dict[int, Layer] = {}

    def add(self, tensor: Tensor, key: Hashable = None) -> int:
        """Add a tensor; with a key, as the value of that key.

        Raises:
            RejectedModel: the key has a value already.
        """
        self.budget.spend()
        self.graph.tensors.append(tensor)
        index = len(self.graph.tensors) - 1
        if key is not None:
            if key in self._ids:
                raise RejectedModel(f"two values are called {key!r}")
            self._ids[key] = index
        return index

    def rebind(self, key: Hashable, index: int) -> None:
        """Let a key stand for another tensor from here on."""
        self._ids[key] = index

    def find(self, key: Hashable) -> int | None:
        """The tensor of a key, None where nothing gave it yet."""
        return self._ids.get(key)

    def use(self, key: Hashable, reader: str) -> int:
        """The tensor of a key. Raises `RejectedModel` where nothing gave it yet."""
        index = self._ids.get(key)
        if index is None:
            raise RejectedModel(f"{reader!r} reads {key!r}, which nothing before it gives")
        return index

    def tensor(self, index: int | None) -> Tensor | None:
        """The tensor at an index."""
        return None if index is None else self.graph.tensors[index]

    def maker(self, index: int | None) -> Layer | None:
        """The layer that gives a tensor."""
        return None if index is None else self._makers.get(index)

    def layer(
        self, name: str, op: str, meaning: Meaning,
        inputs: Sequence[int | None], outputs: Sequence[int | None],
        bodies: tuple[Graph, ...] = (),
    ) -> Layer:  # fmt: skip
        """Add a layer, its inputs arranged as the meaning says."""
        self.budget.spend()
        arranged = arrange(inputs, meaning, self.add, rest=False)
        given = list(outputs)
        if meaning.outputs is not None:
            given = [outputs[k] if k < len(outputs) else None for k in meaning.outputs]
        layer = Layer(
            name, op, meaning.kind, arranged, tuple(given), dict(meaning.attributes), bodies
        )
        self.graph.layers.append(layer)
        for index in outputs:
            if index is not None:
                self._makers[index] = layer
        return layer

    def constant(self, values: Any, dtype: str = "int64", name: str = "") -> int:
        """A small constant that the file keeps in an attribute: a number or a flat list."""
        flat = list(values) if isinstance(values, (list, tuple)) else [values]
        shape: Shape = (len(flat),) if isinstance(values, (list, tuple)) else ()
        sign = {"int64": "q", "int32": "i", "float32": "f", "bool": "?", "float64": "d"}[dtype]
        try:
            packed = struct.pack(f"<{len(flat)}{sign}", *flat)
        except (struct.error, OverflowError) as error:
            raise RejectedModel(f"{values!r:.40} is no {dtype}") from error
        weights = Weights(len(packed), lambda: memoryview(packed))
        return self.add(
            Tensor(name or f"constant_{len(self.graph.tensors)}", dtype, shape, weights)
        )

    def numbers(self, index: int | None) -> list[Any] | None:
        """The numbers in a small stored tensor, flat; None where they are not known."""
        tensor = self.tensor(index)
        if tensor is None or tensor.weights is None or tensor.weights.nbytes > SMALL_BYTES:
            return None
        try:
            array = tensor.array()
        except (InputError, ValueError):
            return None
        return list(array.reshape(-1).tolist()) if array.dtype.kind in "iufb" else None


def stored(data: memoryview, start: int, size: int) -> Weights:
    """A tensor's bytes at a place in the file.

    Raises:
        RejectedModel: they lie beyond its end.
    """
    if start < 0 or size < 0 or start + size > len(data):
        raise RejectedModel(f"{size:,} bytes at {start:,} lie beyond the end, {len(data):,}")
    return Weights(size, lambda: data[start : start + size])


def missing(size: int, why: str) -> Weights:
    """The weights of a tensor whose bytes did not come along."""

    def load() -> memoryview:
        raise InputError(why)

    return Weights(size, load)


def byte_size(dtype: str, shape: Iterable[int]) -> int | None:
    """How many bytes a dense tensor takes, None where its elements have no fixed size."""
    bits = DTYPE_BITS.get(dtype)
    return None if bits is None else (math.prod(shape) * bits + 7) // 8


Ops = Mapping[str, "Meaning | Callable[[Any], Meaning]"]


def meaning_of(table: Ops, op: str, operator: Any) -> Meaning:
    """What an operator means by a reader's table; `unknown` for one that it has not."""
    found = table.get(op, Meaning(Kind.UNKNOWN))
    return found if isinstance(found, Meaning) else found(operator)
