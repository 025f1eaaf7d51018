"""An operation of an ML program while it is translated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from edgewise.formats.coreml.program import Constant, Operation
from edgewise.graph import Kind

if TYPE_CHECKING:
    from edgewise.formats.coreml.mil import BlockReader


class Unknowable(Exception):
    """An operation lacks what its meaning needs, as a constant."""


class Found(NamedTuple):
    """A kind with its attributes and its inputs in order; `outputs`: only the first so many."""

    kind: Kind
    attributes: Mapping[str, Any]
    inputs: list[int | None]
    outputs: int | None = None


class Call:
    """An operation while it is translated."""

    def __init__(self, operation: Operation, reader: BlockReader, label: str) -> None:
        self.type = operation.type
        self._inputs = operation.inputs
        self._attributes = operation.attributes
        self._reader = reader
        self._label = label
        self.outputs = operation.outputs

    def given(self, name: str) -> bool:
        """Whether the operation has this argument."""
        return bool(self._inputs.get(name))

    def index(self, name: str) -> int | None:
        """The tensor of an argument, None where it is left out."""
        values = self._inputs.get(name)
        return self._reader.argument(values[0], self._label) if values else None

    def indices(self, name: str) -> list[int | None]:
        """All tensors of an argument that takes several."""
        values = self._inputs.get(name, [])
        return [self._reader.argument(value, self._label) for value in values]

    def every(self) -> list[int | None]:
        """All arguments that are tensors."""
        found = [self._reader.argument(v, self._label) for vs in self._inputs.values() for v in vs]
        return [index for index in found if index is not None]

    def _constant(self, name: str) -> Constant | None:
        values = self._inputs.get(name)
        if not values:
            return self._attributes.get(name)
        return self._reader.constant(values[0])

    def numbers(self, name: str) -> list[Any] | None:
        """The numbers of an argument that is a small constant, None where it is left out.

        Raises:
            Unknowable: it is computed while the network runs.
        """
        if not self.given(name) and name not in self._attributes:
            return None
        constant = self._constant(name)
        found = constant.numbers() if constant is not None else None
        if found is None:
            raise Unknowable
        return found

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Whole numbers. Raises as `numbers`."""
        found = self.numbers(name)
        return None if found is None else tuple(int(number) for number in found)

    def integer(self, name: str, default: int) -> int:
        """A whole number. Raises as `numbers`."""
        found = self.numbers(name)
        return int(found[0]) if found else default

    def flag(self, name: str, default: bool = False) -> bool:
        """A truth. Raises as `numbers`."""
        found = self.numbers(name)
        return bool(found[0]) if found else default

    def text(self, name: str, default: str = "") -> str:
        """A word."""
        constant = self._constant(name)
        return constant.texts[0] if constant is not None and constant.texts else default


Translation = Callable[[Call], Found]
