"""What a translation of an ONNX operator sees (`Operator`) and what it answers (`Meaning`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from edgewise.errors import RejectedModel
from edgewise.graph import Kind, Tensor


class Meaning(NamedTuple):
    """An operator in the common words of `docs/kinds.md`.

    `order` lists the file's input positions in the kind's order, with None for one that ONNX's
    operator has not, or a tensor for one that ONNX keeps in an attribute. Inputs not named there
    follow, if `rest`; kinds of any number of inputs must not take scales for some of them.
    `outputs` does the same for outputs. None: as they stand.
    """

    kind: Kind
    attributes: Mapping[str, Any] = {}
    order: tuple[int | Tensor | None, ...] | None = None
    outputs: tuple[int, ...] | None = None
    rest: bool = True


@dataclass(slots=True)
class Operator:
    """An operator with its attributes and what is known of its inputs when it is read.

    `opset` is the version of the default domain. `inputs` has None for those left out.
    `attribute` gives an attribute's value and `tensor` one that is a tensor, None where missing.
    """

    op: str
    opset: int
    inputs: Sequence[Tensor | None]
    outputs: Sequence[str]
    attribute: Callable[[str], Any]
    tensor: Callable[[str], Tensor | None]

    def integer(self, name: str, default: int | None = None) -> int | None:
        """An attribute that is a whole number."""
        value: int | None = self._of_type(name, int, default)
        return value

    def flag(self, name: str, default: bool = False) -> bool:
        """An attribute that is 0 or 1."""
        return bool(self.integer(name, int(default)))

    def real(self, name: str, default: float | None = None) -> float | None:
        """An attribute that is a real number."""
        value: float | None = self._of_type(name, float, default)
        return value

    def text(self, name: str, default: str = "") -> str:
        """An attribute that is a string."""
        value: str = self._of_type(name, str, default)
        return value

    def integers(self, name: str) -> tuple[int, ...] | None:
        """An attribute that is a list of whole numbers, None where it is missing."""
        value: tuple[int, ...] | None = self._of_type(name, tuple, None)
        if value is not None and not all(isinstance(part, int) for part in value):
            raise RejectedModel(f"attribute {name!r} of {self.op} is no list of whole numbers")
        return value

    def values(self, name: str) -> tuple[Any, ...]:
        """An attribute that is a list, empty where it is missing."""
        value: tuple[Any, ...] = self._of_type(name, tuple, ())
        return value

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

    def _of_type(self, name: str, kind: type, default: Any) -> Any:
        value = self.attribute(name)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise RejectedModel(f"attribute {name!r} of {self.op} is {value!r:.40}")
        return value


Translation = Meaning | Callable[[Operator], Meaning]


def function(kind: Kind, name: str, **attributes: Any) -> Meaning:
    """A meaning that is a kind's function of this name."""
    return Meaning(kind, {"function": name, **attributes})


def stated(**attributes: Any) -> dict[str, Any]:
    """Attributes without those that are None."""
    return {name: value for name, value in attributes.items() if value is not None}
