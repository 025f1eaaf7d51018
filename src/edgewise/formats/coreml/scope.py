"""A graph under construction whose values are called by names, which may be given anew."""

from __future__ import annotations

from collections.abc import Iterable

from edgewise.errors import RejectedModel
from edgewise.formats.building import Budget, Builder
from edgewise.formats.kit import Meaning
from edgewise.graph import Graph, Layer, Quantization, Shape, Tensor, Weights


class Scope(Builder):
    """The graph of a program or network; of a body, `outer` is the one around it."""

    def __init__(self, outer: Scope | None = None) -> None:
        super().__init__("", outer.budget if outer is not None else Budget())
        self._outer = outer

    def value(
        self, name: str, dtype: str, shape: Shape | None, *, weights: Weights | None = None,
        quantization: Quantization | None = None,
    ) -> int:  # fmt: skip
        """A new tensor called `name`, which means it from here on."""
        index = self.add(Tensor(name, dtype, shape, weights, quantization))
        self.rebind(name, index)
        return index

    def input(self, name: str, dtype: str, shape: Shape | None) -> int:
        """A new tensor that the caller feeds."""
        index = self.value(name, dtype, shape)
        self.graph.inputs.append(index)
        return index

    def named(self, name: str) -> int | None:
        """The tensor of that name, captured from around a body; None where there is none."""
        index = self.find(name)
        if index is not None or self._outer is None:
            return index
        outside = self._outer.named(name)
        if outside is None:
            return None
        seen = self._outer.graph.tensors[outside]
        index = self.value(name, seen.dtype, seen.shape)
        self.graph.captures[index] = outside
        return index

    def wanted(self, name: str, reader: str) -> int:
        """The tensor of that name. Raises `RejectedModel` where nothing gave it."""
        index = self.named(name)
        if index is None:
            raise RejectedModel(f"{reader!r} reads {name!r}, which nothing before it gives")
        return index

    def put(
        self, op: str, meaning: Meaning, inputs: Iterable[int | None], outputs: Iterable[int], *,
        name: str, bodies: tuple[Graph, ...] = (),
    ) -> Layer:  # fmt: skip
        """Add a layer, its inputs in the kind's order."""
        return self.layer(name, op, meaning, list(inputs), list(outputs), bodies)
