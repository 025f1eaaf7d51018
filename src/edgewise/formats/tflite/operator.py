"""What a TFLite operator is translated from; what into is the kit's `Meaning`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgewise.errors import RejectedModel
from edgewise.formats.flatbuffer import Table
from edgewise.formats.kit import Meaning
from edgewise.formats.tflite.schema import OperatorSlot
from edgewise.graph import Tensor

Indices = tuple[int | None, ...]


@dataclass(slots=True)
class Operator:
    """One operator of the file: its name, options, and tensors in the file's order."""

    op: str
    table: Table
    options: Table
    inputs: Indices
    outputs: Indices
    tensors: list[Tensor]

    @property
    def custom_options(self) -> memoryview:
        """The bytes that a custom operator keeps its options in."""
        return self.table.bytes(OperatorSlot.CUSTOM_OPTIONS)

    def has_input(self, position: int) -> bool:
        """Whether an optional input is there."""
        return position < len(self.inputs) and self.inputs[position] is not None

    def input_shape(self, position: int) -> tuple[int, ...] | None:
        """The stated shape of an input; None where it is left out or not fixed."""
        index = self.inputs[position] if position < len(self.inputs) else None
        return None if index is None else _fixed_shape(self.tensors[index])

    def input_rank(self, position: int) -> int | None:
        """How many dimensions an input has, free ones included; None where that is not stated."""
        index = self.inputs[position] if position < len(self.inputs) else None
        shape = None if index is None else self.tensors[index].shape
        return None if shape is None else len(shape)

    def output_shape(self) -> tuple[int, ...] | None:
        """The stated shape of the first output; None where it is not fixed."""
        index = self.outputs[0] if self.outputs else None
        return None if index is None else _fixed_shape(self.tensors[index])

    def matrix(self, position: int) -> tuple[int, int]:
        """Rows and columns of an input that has to be a matrix of weights.

        Raises:
            RejectedModel: it is none.
        """
        shape = self.input_shape(position)
        if shape is None or len(shape) != 2:
            raise RejectedModel(f"{self.op}: input {position} is no matrix of weights")
        return shape[0], shape[1]

    def output_dtype(self) -> str | None:
        """The type of the first output."""
        index = self.outputs[0] if self.outputs else None
        return None if index is None else self.tensors[index].dtype


def _fixed_shape(tensor: Tensor) -> tuple[int, ...] | None:
    fixed = tuple(d for d in tensor.shape or () if isinstance(d, int))
    return fixed if tensor.shape is not None and len(fixed) == len(tensor.shape) else None


#: In a `Meaning` of this format, `bodies` are numbers of subgraphs.
Translator = Callable[[Operator], Meaning]
