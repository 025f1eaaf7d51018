"""What readers share: an operator's attributes read by type, and what it means.

`building.py` has a graph to fill.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from edgewise.errors import RejectedModel
from edgewise.graph import Kind, Tensor


class Meaning(NamedTuple):
    """An operator in the common words of `docs/kinds.md`.

    `order` lists the file's input positions in the kind's order, with None for one that the
    format's operator has not, or a tensor for one that it keeps in an attribute. Inputs not named
    there follow if `rest` (None: as the reader of the format has it); kinds of any number of
    inputs must not take scales for some of them.
    `outputs` does the same for outputs. None: as they stand. `bodies` are what a reader needs to
    find the bodies of control flow.
    """

    kind: Kind
    attributes: Mapping[str, Any] = {}
    order: tuple[int | Tensor | None, ...] | None = None
    outputs: tuple[int, ...] | None = None
    rest: bool | None = None
    bodies: tuple[int, ...] = ()


#: The meaning of what is not understood: it may multiply and accumulate.
UNKNOWN = Meaning(Kind.UNKNOWN)
#: The meaning of what holds no multiply-accumulate but fits no other kind: outputs as stated.
AS_STATED = Meaning(Kind.POSTPROCESS)


_AS_THEY_STAND = tuple(range(16))


def function(kind: Kind, name: str, **attributes: Any) -> Meaning:
    """A meaning that is a kind's function of this name."""
    return Meaning(kind, {"function": name, **attributes})


def evaluated(attributes: Mapping[str, Any], of: Any) -> dict[str, Any]:
    """The attributes in a row of a table: constants, and functions of what is translated."""
    return {name: value(of) if callable(value) else value for name, value in attributes.items()}


def integer(name: str, default: int = 0) -> Callable[[Any], int]:
    """For a row: an attribute that is a whole number."""
    return lambda of: int(of.integer(name, default))


def flat(made: Any) -> Iterator[Any]:
    """What nested lists and tuples hold, in order."""
    if isinstance(made, (list, tuple)):
        for part in made:
            yield from flat(part)
    else:
        yield made


def stated(**attributes: Any) -> dict[str, Any]:
    """Attributes without those that are None."""
    return {name: value for name, value in attributes.items() if value is not None}


@dataclass(slots=True)
class Attributes:
    """The attributes of an operator called `op`, each read as the type that it must have.

    `attribute` gives a value by name, None where it is missing.
    Every method raises `RejectedModel` where the value is of another type.
    """

    op: str
    attribute: Callable[[str], Any]

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

    def _of_type(self, name: str, kind: type, default: Any) -> Any:
        value = self.attribute(name)
        if value is None:
            return default
        if not isinstance(value, kind):
            raise RejectedModel(f"attribute {name!r} of {self.op} is {value!r:.40}")
        return value


def arrange(
    inputs: Sequence[int | None], meaning: Meaning, add: Callable[[Tensor], int], rest: bool
) -> tuple[int | None, ...]:
    """The inputs of an operator in its kind's order.

    `add` puts a tensor that stands in `Meaning.order` into the graph and gives its index. `rest`
    says whether the inputs that the order does not name follow, where the meaning does not.
    """
    order = meaning.order
    follow = rest if meaning.rest is None else meaning.rest
    if order is None or order == _AS_THEY_STAND[: len(order)]:
        arranged = list(inputs if order is None or follow else inputs[: len(order)])
    else:
        arranged = [
            add(place) if isinstance(place, Tensor)
            else inputs[place] if place is not None and place < len(inputs)
            else None
            for place in order
        ]  # fmt: skip
        if follow:
            arranged += [index for place, index in enumerate(inputs) if place not in order]
    while arranged and arranged[-1] is None:
        arranged.pop()
    return tuple(arranged)
