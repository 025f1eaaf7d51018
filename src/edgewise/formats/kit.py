"""What readers share: an operator's attributes read by type, what it means, and a graph to fill."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from edgewise.errors import LimitExceeded, RejectedModel
from edgewise.graph import Graph, Kind, Layer, Quantization, Shape, Tensor, Weights

if TYPE_CHECKING:
    import numpy as np

#: Layers and tensors of one file together, unless a reader says another bound.
PART_LIMIT = 300_000


class Meaning(NamedTuple):
    """An operator in the common words of `docs/kinds.md`.

    `order` lists the file's input positions in the kind's order, with None for one that the
    format's operator has not, or a tensor for one that it keeps in an attribute. Inputs not named
    there follow, if `rest`; kinds of any number of inputs must not take scales for some of them.
    `outputs` does the same for outputs. None: as they stand. `bodies` are what a reader needs to
    find the bodies of control flow.
    """

    kind: Kind
    attributes: Mapping[str, Any] = {}
    order: tuple[int | Tensor | None, ...] | None = None
    outputs: tuple[int, ...] | None = None
    rest: bool = True
    bodies: tuple[int, ...] = ()


#: The meaning of what is not understood: it may multiply and accumulate.
UNKNOWN = Meaning(Kind.UNKNOWN)
#: The meaning of what holds no multiply-accumulate but fits no other kind: outputs as stated.
AS_STATED = Meaning(Kind.POSTPROCESS)


def function(kind: Kind, name: str, **attributes: Any) -> Meaning:
    """A meaning that is a kind's function of this name."""
    return Meaning(kind, {"function": name, **attributes})


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


class Builder:
    """A `Graph` that a reader fills: tensors by name, layers by the names of their tensors.

    A name given twice means the newer tensor from then on, as formats with layers in place have
    it (Caffe). Give `outer` for a body of control flow: what it reads from around it is captured.
    """

    def __init__(self, outer: Builder | None = None, *, limit: int = PART_LIMIT) -> None:
        self.graph = Graph("", [], [], [], [])
        self._outer = outer
        self._ids: dict[str, int] = {}
        self._limit = limit

    def tensor(
        self, name: str, dtype: str = "float32", shape: Shape | None = None, *,
        weights: Weights | None = None, quantization: Quantization | None = None,
    ) -> int:  # fmt: skip
        """A new tensor called `name`; its index.

        Raises:
            LimitExceeded: there are too many.
        """
        graph = self.graph
        if len(graph.tensors) + len(graph.layers) >= self._limit:
            raise LimitExceeded(f"more than {self._limit:,} layers and tensors")
        graph.tensors.append(Tensor(name, dtype, shape, weights, quantization))
        self._ids[name] = len(graph.tensors) - 1
        return self._ids[name]

    def constant(self, name: str, values: np.ndarray[Any, Any]) -> int:
        """A new tensor that holds these values; its index."""
        data = memoryview(values.astype(values.dtype.newbyteorder("<")).tobytes())
        weights = Weights(len(data), lambda: data)
        return self.tensor(name, values.dtype.name, values.shape, weights=weights)

    def find(self, name: str) -> int | None:
        """The tensor of that name (captured from around a body), None where there is none."""
        index = self._ids.get(name)
        if index is not None or self._outer is None:
            return index
        outside = self._outer.find(name)
        if outside is None:
            return None
        seen = self._outer.graph.tensors[outside]
        index = self.tensor(name, seen.dtype, seen.shape)
        self.graph.captures[index] = outside
        return index

    def use(self, name: str, user: str) -> int:
        """The tensor of that name, which `user` reads.

        Raises:
            RejectedModel: nothing before gives it.
        """
        index = self.find(name)
        if index is None:
            raise RejectedModel(f"{user} reads {name!r}, which nothing before it gives")
        return index

    def input(self, name: str, dtype: str = "float32", shape: Shape | None = None) -> int:
        """A new tensor that the caller feeds; its index."""
        index = self.tensor(name, dtype, shape)
        self.graph.inputs.append(index)
        return index

    def layer(
        self, op: str, meaning: Meaning, inputs: Iterable[int | None],
        outputs: Iterable[int | None], *, name: str = "", bodies: tuple[Graph, ...] = (),
    ) -> Layer:  # fmt: skip
        """Add a layer. `inputs` and `outputs` stand in the file's order; `meaning` says the kind's.

        Without a name it is called like its first output.
        """
        made = list(outputs)
        if meaning.outputs is not None:
            made = [made[place] if place < len(made) else None for place in meaning.outputs]
        first = next((index for index in made if index is not None), None)
        called = name or (op if first is None else self.graph.tensors[first].name)
        arranged = arrange(list(inputs), meaning, self._stored)
        layer = Layer(
            called, op, meaning.kind, arranged, tuple(made), dict(meaning.attributes), bodies
        )
        self.graph.layers.append(layer)
        return layer

    def _stored(self, tensor: Tensor) -> int:
        return self.tensor(
            tensor.name, tensor.dtype, tensor.shape, weights=tensor.weights,
            quantization=tensor.quantization,
        )  # fmt: skip


def arrange(
    inputs: list[int | None], meaning: Meaning, add: Callable[[Tensor], int]
) -> tuple[int | None, ...]:
    """The inputs of an operator in its kind's order, those that it does not name behind.

    `add` puts a tensor that stands in `Meaning.order` into the graph and gives its index.
    """
    order = meaning.order
    if order is None:
        arranged = list(inputs)
    else:
        arranged = [
            add(place) if isinstance(place, Tensor)
            else inputs[place] if place is not None and place < len(inputs)
            else None
            for place in order
        ]  # fmt: skip
        if meaning.rest:
            arranged += [index for place, index in enumerate(inputs) if place not in order]
    while arranged and arranged[-1] is None:
        arranged.pop()
    return tuple(arranged)
