"""What a translation of an ONNX operator sees (`Operator`) and answers (the kit's `Meaning`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edgewise.formats.kit import Attributes, Meaning
from edgewise.graph import Tensor


class Operator(Attributes):
    """An operator with its attributes and what is known of its inputs when it is read.

    `opset` is the version of the default domain. `inputs` has None for those left out.
    `attribute` gives an attribute's value and `tensor` one that is a tensor, None where missing.
    `looked_around`: something but its attributes was asked for.
    """

    __slots__ = ("_inputs", "_outputs", "_tensor", "looked_around", "opset")

    def __init__(
        self, op: str, attribute: Callable[[str], Any], opset: int,
        inputs: Sequence[Tensor | None], outputs: Sequence[str],
        tensor: Callable[[str], Tensor | None],
    ) -> None:  # fmt: skip
        self.op, self.attribute, self.opset = op, attribute, opset
        self._inputs, self._outputs, self._tensor = inputs, outputs, tensor
        self.looked_around = False

    @property
    def inputs(self) -> Sequence[Tensor | None]:
        """What it reads."""
        self.looked_around = True
        return self._inputs

    @property
    def outputs(self) -> Sequence[str]:
        """The names of what it gives."""
        self.looked_around = True
        return self._outputs

    def tensor(self, name: str) -> Tensor | None:
        """An attribute that is a tensor."""
        self.looked_around = True
        return self._tensor(name)

    def given(self, position: int) -> bool:
        """Whether the file gives this input, and not as an empty constant (ONNX's idiom for
        leaving out what stands before a given one)."""
        if position >= len(self.inputs):
            return False
        tensor = self.inputs[position]
        return tensor is not None and not (tensor.weights is not None and tensor.shape == (0,))

    def shape(self, position: int) -> tuple[int, ...] | None:
        """The fixed shape that the file states for an input, as it does for weights."""
        tensor = self.inputs[position] if position < len(self.inputs) else None
        if tensor is None or tensor.shape is None:
            return None
        fixed = tuple(size for size in tensor.shape if isinstance(size, int))
        return fixed if len(fixed) == len(tensor.shape) else None


Translation = Meaning | Callable[[Operator], Meaning]
