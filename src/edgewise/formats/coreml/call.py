"""A layer of a Core ML network while it is translated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from edgewise.formats.coreml.stored import tensor
from edgewise.formats.messages import Message
from edgewise.graph import Kind, Tensor

if TYPE_CHECKING:
    from edgewise.formats.coreml.neural import NetworkReader


class Found(NamedTuple):
    """A kind with its attributes and its inputs in order; `then` a kind that finishes it."""

    kind: Kind
    attributes: Mapping[str, Any]
    inputs: list[int | None]
    then: tuple[Kind, Mapping[str, Any]] | None = None


class Call:
    """A layer while it is translated: its parameters `p`, its inputs `x`."""

    def __init__(
        self, op: str, parameters: Message, layer: Message, inputs: list[int], reader: NetworkReader
    ) -> None:
        self.op = op
        self.p = parameters
        self.x: list[int | None] = list(inputs)
        self._layer = layer
        self._reader = reader

    @property
    def exact(self) -> bool:
        """Whether values are seen as they are."""
        return self._reader.exact

    def weights(
        self, name: str, shape: tuple[int, ...], parameters: Message | None = None
    ) -> int | None:
        """The tensor of weights that the layer stores under a name, None where it has none."""
        held = parameters or self.p
        if not held.has(name):
            return None
        label = f"{self._layer.text('name')}.{name}"
        made = tensor(self._reader.wire, label, held.message(name), shape)
        return self._add(made)

    def table(self, name: str, rows: int, columns: int) -> int:
        """Weights stored (columns, rows), as a tensor of rows."""
        label = f"{self._layer.text('name')}.{name}"
        made = tensor(self._reader.wire, label, self.p.message(name), (columns, rows))
        weights = made.weights
        if weights is not None:
            turned = replace(made, weights=weights)
            made.weights = replace(weights, decode=lambda raw: turned.array().T)
        made.shape = (rows, columns)
        return self._add(made)

    def _add(self, made: Tensor) -> int:
        return self._reader.builder.value(
            made.name, made.dtype, made.shape, weights=made.weights,
            quantization=made.quantization,
        )  # fmt: skip

    def rank(self) -> int | None:
        """How many axes the first input has, where that is said."""
        if not self.exact:
            return 4
        stated = self._layer.messages("inputTensor")
        if stated and stated[0].integer("rank"):
            return stated[0].integer("rank")
        first = self.x[0] if self.x else None
        shape = None if first is None else self._reader.builder.graph.tensors[first].shape
        return None if shape is None else len(shape)

    def outputs(self) -> int:
        """How many values the layer gives."""
        return len(self._layer.texts("output"))
