"""Putting a graph together for formats whose operators name their operands.

ncnn, Caffe, TNN, TensorFlow, Paddle and their like write a layer as a name, an operator, and the
names of what it reads and writes. `Netlist` turns names into tensors, in the file's order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from struct import pack
from typing import Any

from edgewise.archive import File
from edgewise.errors import InputError, RejectedModel
from edgewise.graph import DTYPE_BITS, Graph, Kind, Layer, Quantization, Shape, Tensor, Weights

#: The largest size of one dimension, and of a tensor, that a file may state.
MAX_DIM = 1 << 40
MAX_RANK = 64

_WHOLE = frozenset({Kind.SHAPE, Kind.SIZE, Kind.RANK, Kind.ARG_REDUCE, Kind.BROADCAST_SHAPE})
_TRUTHS = frozenset({"equal", "not_equal", "less", "less_equal", "greater", "greater_equal"})

#: An operand: the name of a value, the index of a tensor, or None for one left out.
Operand = str | int | None


class Netlist:
    """A graph while it is read. A name written again means the newer value from there on."""

    def __init__(self, name: str, format_name: str) -> None:
        self.graph = Graph(name, [], [], [], [], format=format_name)
        self._index: dict[str, int] = {}
        self._read: set[int] = set()

    def value(self, name: str) -> int:
        """The tensor that a name means now; one without a shape where nothing wrote it yet."""
        found = self._index.get(name)
        return self.define(name) if found is None else found

    def known(self, name: str) -> bool:
        """Whether something of that name was written, or read, before."""
        return name in self._index

    def tensor(self, index: int) -> Tensor:
        """The tensor at an index."""
        return self.graph.tensors[index]

    def define(self, name: str, dtype: str = "float32", shape: Shape | None = None) -> int:
        """A new value of that name."""
        self.graph.tensors.append(Tensor(name, dtype, None if shape is None else checked(shape)))
        index = self._index[name] = len(self.graph.tensors) - 1
        return index

    def input(self, name: str, dtype: str = "float32", shape: Shape | None = None) -> int:
        """An input of the network."""
        index = self.define(name, dtype, shape)
        self.graph.inputs.append(index)
        return index

    def weight(
        self,
        name: str,
        dtype: str,
        shape: Sequence[int],
        load: Callable[[], memoryview],
        nbytes: int | None = None,
        quantization: Quantization | None = None,
        bind: bool = False,
    ) -> int:
        """A stored tensor. `nbytes` where it is not what type and shape say; `bind` makes it
        what its name means."""
        dims = checked(shape)
        if nbytes is None:
            nbytes = -(-math.prod(shape) * DTYPE_BITS.get(dtype, 32) // 8)
        self.graph.tensors.append(Tensor(name, dtype, dims, Weights(nbytes, load), quantization))
        index = len(self.graph.tensors) - 1
        if bind:
            self._index[name] = index
        return index

    def integers(self, name: str, values: Sequence[int]) -> int:
        """A small constant of 64-bit integers, such as a shape that an attribute gives."""
        data = memoryview(pack(f"<{len(values)}q", *values))
        return self.weight(name, "int64", (len(values),), lambda: data)

    def layer(
        self,
        name: str,
        op: str,
        kind: Kind,
        inputs: Iterable[Operand],
        outputs: Iterable[str | None],
        /,
        **attributes: Any,
    ) -> Layer:
        """A layer. Its outputs are new values."""
        read = tuple(self.value(o) if isinstance(o, str) else o for o in inputs)
        self._read.update(index for index in read if index is not None)
        dtype = self._dtype(kind, read, attributes)
        made = tuple(None if o is None else self.define(o, dtype) for o in outputs)
        layer = Layer(name, op, kind, read, made, attributes)
        self.graph.layers.append(layer)
        return layer

    def _dtype(self, kind: Kind, read: tuple[int | None, ...], attributes: dict[str, Any]) -> str:
        """The type of what a layer gives: that of what it reads, but for some kinds."""
        if kind in (Kind.CAST, Kind.FILL, Kind.ONE_HOT) and attributes.get("dtype"):
            return str(attributes["dtype"])
        if kind in _WHOLE:
            return "int64"
        if attributes.get("function") in _TRUTHS:
            return "bool"
        place = 1 if kind is Kind.WHERE else 0
        first = read[place] if place < len(read) else None
        if first is None or kind in (Kind.DEQUANTIZE, Kind.ONE_HOT):
            return "float32"
        return self.graph.tensors[first].dtype

    def finish(self, outputs: Iterable[str] | None = None) -> Graph:
        """The graph. Outputs are those named, or else whatever is written and never read."""
        graph = self.graph
        if outputs is not None:
            graph.outputs = [self.value(name) for name in outputs]
            return graph
        made = dict.fromkeys(i for layer in graph.layers for i in layer.outputs if i is not None)
        unread = [index for index in made if index not in self._read]
        graph.outputs = unread or list(made)[-1:]
        return graph


def checked(shape: Iterable[Any]) -> Shape:
    """A shape that a file states.

    Raises:
        RejectedModel: no tensor can have it.
    """
    dims = tuple(shape)
    if len(dims) > MAX_RANK:
        raise RejectedModel(f"a tensor of {len(dims)} dimensions")
    size = 1
    for dim in dims:
        if isinstance(dim, int):
            if not 0 <= dim <= MAX_DIM:
                raise RejectedModel(f"a tensor with a dimension of {dim}")
            size *= max(dim, 1)
    if size > MAX_DIM:
        raise RejectedModel(f"a tensor of {size:,} elements")
    return dims


def slice_of(data: memoryview, start: int, nbytes: int, what: str) -> Callable[[], memoryview]:
    """How to load bytes of a file that is at hand.

    Raises:
        RejectedModel: they do not lie in it.
    """
    if start < 0 or nbytes < 0 or start + nbytes > len(data):
        raise RejectedModel(
            f"{what}: bytes {start:,} to {start + nbytes:,} of {len(data):,} do not exist"
        )
    return lambda: data[start : start + nbytes]


def absent(file: File, name: str) -> Callable[[], memoryview]:
    """How to load weights whose file did not come along: it cannot be done, and says so."""

    def load() -> memoryview:
        raise InputError(f"{file.path}: its weights are in {name!r}, which is not beside it")

    return load
