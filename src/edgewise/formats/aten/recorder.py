"""From calls of operators to layers.

An argument is a plain value (number, text, list, None) or a `Ref`, which stands for a tensor of the
graph: also for numbers that follow from sizes, so that they are computed with the shapes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgewise.errors import RejectedModel
from edgewise.formats.building import Budget, Builder, Meaning
from edgewise.formats.kit import evaluated
from edgewise.graph import Kind, Tensor


class NotPlain(Exception):
    """An argument would have to be a plain value, and depends on sizes or data."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A tensor of a recorder's graph. `kind` is `"tensor"`, or of a number `"int"`, `"float"`,
    `"bool"`."""

    owner: Recorder
    index: int
    kind: str = "tensor"


@dataclass(slots=True)
class Sizes:
    """All sizes of a tensor, as a list whose length is not known."""

    of: Ref


@dataclass(slots=True)
class Parts:
    """A list of tensors whose number only who takes it apart knows."""

    call: Call
    meaning: Meaning
    x: Any

    def take(self, count: int) -> list[Ref]:
        """As a list of so many."""
        made = self.call.emit(self.meaning, [self.x], count)
        return list(made) if isinstance(made, tuple) else [made]


class Unknown:
    """A value that is not followed: a device, a text made from sizes, an object."""


UNKNOWN_VALUE = Unknown()


class Recorder(Builder):
    """A graph that calls are recorded into; of a body, `outer` is the one around it."""

    def __init__(
        self, name: str = "", budget: Budget | None = None, outer: Recorder | None = None
    ) -> None:
        super().__init__(name, budget)
        self.outer = outer
        self._captured: dict[int, int] = {}

    def ref(self, index: int, kind: str = "tensor") -> Ref:
        """A reference to a tensor of this graph."""
        return Ref(self, index, kind)

    def resolve(self, ref: Ref) -> int:
        """The tensor here that a reference stands for, captured from around this body.

        Raises:
            RejectedModel: it is of a graph that is not around this one.
        """
        if ref.owner is self:
            return ref.index
        if self.outer is None:
            raise RejectedModel("a value of a branch that was left is used")
        outside = self.outer.resolve(ref)
        known = self._captured.get(outside)
        if known is None:
            seen = self.outer.graph.tensors[outside]
            known = self.add(Tensor(seen.name, seen.dtype, seen.shape))
            self.graph.captures[known] = outside
            self._captured[outside] = known
        return known

    def seen(self, ref: Ref) -> Tensor:
        """The tensor of a reference as it is where it was made, with its weights."""
        return ref.owner.graph.tensors[ref.index]

    def index_of(self, value: Any) -> int | None:
        """A tensor for a value: a reference's own, a constant for numbers, None for none."""
        if isinstance(value, Ref):
            return self.resolve(value)
        if isinstance(value, bool):
            return self.constant(value, "bool")
        if isinstance(value, int):
            return self.constant(value, "int64")
        if isinstance(value, float):
            return self.constant(value, "float32")
        if isinstance(value, (list, tuple)):
            return self.list_of(value)
        if isinstance(value, Sizes):
            return self.emit("size", Meaning(Kind.SHAPE), [value.of], dtype="int64").index
        return None

    def list_of(self, values: Sequence[Any]) -> int | None:
        """A tensor that holds these numbers, some of which follow from sizes."""
        if not all(isinstance(v, (int, float, Ref)) for v in values):
            return None
        if not any(isinstance(v, Ref) for v in values):
            dtype = "float32" if any(isinstance(v, float) for v in values) else "int64"
            return self.constant(list(values), dtype)
        made = self.emit("ListConstruct", Meaning(Kind.STACK, {"axis": 0}), list(values))
        return made.index

    def emit(
        self, op: str, meaning: Meaning, inputs: Sequence[Any], *, dtype: str | None = None,
        kind: str = "tensor", name: str = "",
    ) -> Ref:  # fmt: skip
        """Record a layer of one output."""
        return self.emit_many(op, meaning, inputs, 1, dtype=dtype, kind=kind, name=name)[0]

    def emit_many(
        self, op: str, meaning: Meaning, inputs: Sequence[Any], count: int, *,
        dtype: str | None = None, kind: str = "tensor", name: str = "",
        bodies: tuple[Any, ...] = (),
    ) -> list[Ref]:  # fmt: skip
        """Record a layer of some outputs."""
        indices = [self.index_of(value) for value in inputs]
        if dtype is None:
            tensors = [self.graph.tensors[i] for i in indices if i is not None]
            dtype = tensors[0].dtype if tensors else "float32"
        called = name or f"{op}_{len(self.graph.layers)}"
        outputs = [
            self.add(Tensor(called if not at else f"{called}.{at}", dtype, None))
            for at in range(count)
        ]
        self.layer(called, op, meaning, indices, outputs, bodies)
        return [Ref(self, index, kind) for index in outputs]


class Call:
    """One call of an operator: its arguments by name."""

    def __init__(
        self, recorder: Recorder, op: str, arguments: Mapping[str, Any], name: str = "",
        outputs: int | None = None,
    ) -> None:  # fmt: skip
        self.recorder = recorder
        self.op = op
        self.arguments = arguments
        self.name = name
        #: How many outputs the file says it has, None where it does not.
        self.outputs = outputs

    def __getitem__(self, name: str) -> Any:
        return self.arguments.get(name)

    def given(self, name: str) -> bool:
        """Whether the argument is there and is not None."""
        return self.arguments.get(name) is not None

    def plain(self, name: str, default: Any = None) -> Any:
        """An argument that must be a plain value. Raises NotPlain where it is none."""
        value = self.arguments.get(name)
        if value is None:
            return default
        if isinstance(value, Ref):
            numbers = value.owner.numbers(value.index)
            if numbers is None or len(numbers) != 1:
                raise NotPlain
            return numbers[0]
        if isinstance(value, (Sizes, Parts, Unknown)):
            raise NotPlain
        return value

    def integer(self, name: str, default: int = 0) -> int:
        """An argument that is a whole number."""
        value = self.plain(name, default)
        if not isinstance(value, (int, float)):
            raise NotPlain
        return int(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """An argument that is a yes or no."""
        return bool(self.plain(name, default))

    def integers(self, name: str, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """An argument that is a list of whole numbers, or one."""
        value = self.plain(name, default)
        values = [value] if isinstance(value, (int, float)) else value
        if not isinstance(values, (list, tuple)):
            raise NotPlain
        plain = []
        for one in values:
            if isinstance(one, Ref):
                numbers = one.owner.numbers(one.index)
                if numbers is None or len(numbers) != 1:
                    raise NotPlain
                one = numbers[0]
            if not isinstance(one, (int, float)):
                raise NotPlain
            plain.append(int(one))
        return tuple(plain)

    def sizes(self, name: str) -> tuple[dict[str, Any], Any]:
        """A list of sizes as ({"shape": …}, None) where it is plain, else as ({}, its tensor)."""
        try:
            return {"shape": self.integers(name)}, None
        except NotPlain:
            value = self.arguments.get(name)
            index = self.recorder.index_of(value)
            if index is None:
                raise
            return {}, self.recorder.ref(index)

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The fixed shape of a stored tensor that is an argument."""
        value = self.arguments.get(name)
        if not isinstance(value, Ref):
            return None
        shape = self.recorder.seen(value).shape
        if shape is None or not all(isinstance(size, int) for size in shape):
            return None
        return tuple(size for size in shape if isinstance(size, int))

    def list(self, name: str) -> list[Any]:
        """An argument that is a list of tensors."""
        value = self.arguments.get(name)
        if isinstance(value, Parts):
            raise NotPlain
        return list(value) if isinstance(value, (list, tuple)) else []

    def emit(
        self, meaning: Meaning, inputs: Sequence[Any], outputs: int = 1, *,
        dtype: str | None = None, kind: str = "tensor", op: str = "",
    ) -> Any:  # fmt: skip
        """Record a layer for this call: a Ref, or a tuple of several."""
        made = self.recorder.emit_many(
            op or self.op, meaning, inputs, outputs, dtype=dtype, kind=kind, name=self.name
        )
        return made[0] if outputs == 1 else tuple(made)

    def unknown(self) -> Any:
        """Record that the call is not understood."""
        values = [v for v in self.arguments.values() if isinstance(v, Ref)]
        return self.emit(Meaning(Kind.UNKNOWN), values, self.outputs or 1)


#: Names of the arguments in order, and what records the call.
Entry = tuple[str, Callable[[Call], Any]]


def row(parameters: str, kind: Kind, inputs: str = "self", /, *, outputs: int = 1,
         dtype: str | None = None, **attributes: Any) -> Entry:  # fmt: skip
    """An operator whose attributes are constants, or functions of the call."""

    def translate(call: Call) -> Any:
        found = evaluated(attributes, call)
        values = [call[name] for name in inputs.split()]
        return call.emit(Meaning(kind, found), values, outputs, dtype=dtype)

    return parameters, translate
