"""The program of a `.pte` file: a flatbuffer with values and instructions, then segments.

An extended header (`eh00`) says how large the flatbuffer is and where segments begin; files of
before it hold all inline. A delegate's blob becomes a graph that the instruction calls.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from edgewise.archive import File
from edgewise.errors import LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats import siblings
from edgewise.formats.aten.making import SCALAR_TYPES
from edgewise.formats.aten.recorder import Recorder, Ref
from edgewise.formats.aten.tables import record
from edgewise.formats.building import byte_size, stored
from edgewise.formats.executorch import LIMITS, SIBLINGS
from edgewise.formats.executorch.blob import NamedData
from edgewise.formats.executorch.delegates import delegate_graph, fit
from edgewise.formats.flatbuffer import Flatbuffer, Table
from edgewise.formats.kit import Meaning, flat
from edgewise.graph import Graph, Kind, Tensor, Weights

#: Kinds of values and of instructions, as the unions number them.
(_NULL, _INT, _BOOL, _DOUBLE, _TENSOR, _STRING, _INTS, _DOUBLES, _BOOLS, _TENSORS,
 _OPTIONAL_TENSORS) = range(1, 12)  # fmt: skip
_KERNEL, _DELEGATE, _MOVE, _JUMP, _FREE = range(1, 6)
_EXTENDED = b"eh00"


class Slots:
    """Field slots of the tables that are read."""

    PLANS, BUFFERS, INLINE, SEGMENTS, CONSTANTS, NAMED = 1, 2, 3, 4, 5, 7
    NAME, VALUES, INPUTS, OUTPUTS, CHAINS, OPERATORS, DELEGATES = 0, 2, 3, 4, 5, 6, 7
    TYPE, SIZES, BUFFER, ALLOCATION, EXTRA = 0, 2, 5, 6, 9


def read(file: File) -> Graph:
    """The graph of the method `forward`, or of the first one.

    Raises:
        RejectedModel: an offset, index or size does not fit.
        OpaqueModel: a program without a method.
        LimitExceeded: more values and instructions than any known network has.
    """
    layout = Layout(file)
    plans = layout.root.tables(Slots.PLANS)
    if not len(plans):
        raise OpaqueModel("an ExecuTorch program without a method")
    named = {plan.text(Slots.NAME) or "": plan for plan in plans}
    chosen = named.get("forward") or plans[0]
    try:
        graph = Plan(layout, chosen).graph()
    except (IndexError, ValueError, TypeError, KeyError) as error:
        raise RejectedModel(f"not a valid ExecuTorch program: {error!r}"[:200]) from error
    graph.format, graph.name = "executorch", chosen.text(Slots.NAME) or ""
    graph.metadata = {"methods": ", ".join(sorted(named))}
    graph.companions, graph.missing = layout.companions, layout.missing
    if len(named) > 1:
        graph.notes.append(f"of {len(named)} methods {graph.name!r} is shown")
    return graph


class Layout:
    """Where the parts of a file lie."""

    def __init__(self, file: File) -> None:
        data = file.data()
        size, self._base = len(data), 0
        if bytes(data[8:12]) == _EXTENDED:
            length = int.from_bytes(data[12:16], "little")
            size, self._base = (int.from_bytes(data[at : at + 8], "little") for at in (16, 24))
            if not 24 <= length <= 1024 or size > len(data) or self._base > len(data):
                raise RejectedModel(f"an extended header of {length} bytes for {size:,} of program")
        self.data = data
        self.root = Flatbuffer(data[:size]).root()
        self.segments = [(one.uint64(0), one.uint64(1)) for one in self.root.tables(Slots.SEGMENTS)]
        self.companions: tuple[str, ...] = ()
        self.missing: tuple[str, ...] = ()
        self._file = file

    def segment(self, index: int) -> Weights:
        """The bytes of a segment."""
        offset, size = self.segments[index]
        return stored(self.data, self._base + offset, size)

    def named(self) -> NamedData:
        """What delegates store under names: each is a segment."""
        pairs = [(one.text(0) or "", one.uint32(1)) for one in self.root.tables(Slots.NAMED)]
        return {name: self.segment(index) for name, index in pairs}

    def blob(self, location: int, index: int) -> memoryview:
        """The blob of a delegate: inline or a segment."""
        if location == 1:
            return self.segment(index).load()
        return self.root.tables(Slots.INLINE)[index].bytes(0)

    def constant(self, index: int, size: int) -> Weights:
        """A constant of the program itself."""
        constants = self.root.table(Slots.CONSTANTS)
        offsets = constants.int64s(1) if constants is not None else ()
        if constants is not None and offsets:
            offset, _ = self.segments[constants.uint32(0)]
            return stored(self.data, self._base + offset + offsets[index], size)
        held = self.root.tables(Slots.BUFFERS)[index].bytes(0)
        return stored(held, 0, size)

    def external(self, name: str, size: int) -> Weights:
        """A constant that lies in a file beside the program (`.ptd`)."""
        other = siblings.find(self._file, SIBLINGS)
        wanted = other.name if other is not None else siblings.expected(self._file, SIBLINGS)
        if other is None:
            self.missing = (wanted,)
            return siblings.stored(None, wanted, 0, size)
        from edgewise.formats.executorch.tensors import external_weights

        self.companions = (wanted,)
        return external_weights(other, name, size)


class Plan:
    """One method, its calls recorded."""

    def __init__(self, layout: Layout, plan: Table) -> None:
        self._layout = layout
        self._plan = plan
        self._values = plan.tables(Slots.VALUES)
        if len(self._values) > LIMITS["values and instructions"]:
            raise LimitExceeded("more values than any known network has")
        self._recorder = Recorder("")
        self._made: dict[int, Ref] = {}
        #: What lies in a planned place of memory, last.
        self._places: dict[tuple[int, ...], Ref] = {}
        self._operators = [
            (one.text(0) or "", one.text(1) or "") for one in plan.tables(Slots.OPERATORS)
        ]
        self._named: NamedData | None = None

    def graph(self) -> Graph:
        """The graph of all calls."""
        graph = self._recorder.graph
        for index in self._plan.int32s(Slots.INPUTS):
            holder = self._values[index]
            if holder.uint8(0) == _TENSOR:
                made = self._recorder.add(self._stated(index, f"input_{len(graph.inputs)}"))
                graph.inputs.append(made)
                self._bind(index, self._recorder.ref(made))
        chains = self._plan.tables(Slots.CHAINS)
        for chain in chains:
            for instruction in chain.tables(2):
                self._instruction(instruction)
        for index in self._plan.int32s(Slots.OUTPUTS):
            ref = self._value(index)
            if isinstance(ref, Ref):
                graph.outputs.append(self._recorder.resolve(ref))
        return graph

    def _instruction(self, instruction: Table) -> None:
        kind, content = instruction.uint8(0), instruction.table(1)
        if content is None:
            raise RejectedModel("an instruction without content")
        if kind == _KERNEL:
            self._kernel(content.int32(0), list(content.int32s(1)))
        elif kind == _DELEGATE:
            self._delegate(content.int32(0), list(content.int32s(1)))
        elif kind == _MOVE:
            source = self._value(content.int32(0))
            if isinstance(source, Ref):
                self._made[content.int32(1)] = source
        elif kind == _JUMP:
            record(self._recorder, "JumpFalse", ())
            note = "control flow of the program is not followed"
            if note not in self._recorder.graph.notes:
                self._recorder.graph.notes.append(note)

    def _kernel(self, number: int, args: list[int]) -> None:
        name, _ = self._operators[number]
        given, outs = self._apart(args)
        made = record(
            self._recorder, name, [self._value(index) for index in given], {},
            name=f"{name.rpartition('::')[2]}_{len(self._recorder.graph.layers)}",
            outputs=max(len(outs), 1),
        )  # fmt: skip
        refs = [one for one in flat(made) if isinstance(one, Ref)]
        for index, ref in zip(outs or args[-1:], refs, strict=False):
            self._bind(index, ref)

    def _apart(self, args: list[int]) -> tuple[list[int], list[int]]:
        """The arguments of a kernel, and the tensors that it gives.

        These stand behind the arguments, and once more at the end: as they are, or in a list.
        """
        given, outs = list(args), self._parts(args[-1]) if args else []
        while given and (parts := self._parts(given[-1])) and set(parts) <= set(outs):
            given.pop()
        return given, outs

    def _given_to_delegate(
        self, args: list[int], outputs: int | None
    ) -> tuple[list[int], list[int]]:
        """The arguments of a delegate, and the tensors that it gives: those at the end."""
        if outputs is None:
            made = [at for at, index in enumerate(args) if self._is_known(index)]
            outputs = len(args) - (made[-1] + 1 if made else 0)
        at = max(len(args) - outputs, 0)
        return args[:at], [index for index in args[at:] if self._values[index].uint8(0) == _TENSOR]

    def _is_known(self, index: int) -> bool:
        tensor = self._values[index].table(1)
        if index in self._made or self._values[index].uint8(0) != _TENSOR:
            return True
        return tensor is not None and (_has_data(tensor) or _place(tensor) in self._places)

    def _parts(self, index: int) -> list[int]:
        """A tensor, or the tensors of a list."""
        holder = self._values[index]
        kind, content = holder.uint8(0), holder.table(1)
        if kind == _TENSOR:
            return [index]
        if kind in (_TENSORS, _OPTIONAL_TENSORS) and content is not None:
            return [one for one in content.int32s(0) if one >= 0]
        return []

    def _delegate(self, number: int, args: list[int]) -> None:
        described = self._plan.tables(Slots.DELEGATES)[number]
        name, where = described.text(0) or "?", described.table(1)
        if self._named is None:
            self._named = self._layout.named()
        blob = memoryview(b"")
        if where is not None:
            blob = self._layout.blob(where.int8(0), where.uint32(1))
        graph = delegate_graph(name, blob, self._named)
        given, outs = self._given_to_delegate(args, len(graph.outputs) if graph else None)
        values = [self._value(index) for index in given]
        inputs = [value for value in values if isinstance(value, Ref)]
        if graph is not None:
            shapes = [self._recorder.seen(value).shape for value in inputs]
            fit(graph, shapes, [self._stated(index, "").shape for index in outs])
        if graph is None:
            made = self._recorder.emit_many(
                f"DelegateCall {name}", Meaning(Kind.UNKNOWN), inputs, max(len(outs), 1)
            )
        else:
            made = self._recorder.emit_many(
                "DelegateCall", Meaning(Kind.CALL), inputs, max(len(outs), len(graph.outputs), 1),
                name=f"{name}_{number}", bodies=(graph,),
            )  # fmt: skip
        for index, ref in zip(outs, made, strict=False):
            self._bind(index, ref)

    def _bind(self, index: int, ref: Ref) -> None:
        """Let a value be what a call gave; the file says its type and shape."""
        self._made[index] = ref
        content = self._values[index].table(1)
        if content is not None and self._values[index].uint8(0) == _TENSOR:
            if _place(content):
                self._places[_place(content)] = ref
            stated, seen = self._stated(index, ""), self._recorder.seen(ref)
            if seen.weights is None:
                seen.dtype, seen.shape = stated.dtype, stated.shape

    def _stated(self, index: int, name: str) -> Tensor:
        tensor = self._values[index].table(1)
        if tensor is None:
            raise RejectedModel("a tensor without content")
        number = tensor.int8(Slots.TYPE)
        dtype = SCALAR_TYPES[number] if 0 <= number < len(SCALAR_TYPES) else "unknown"
        sizes = tensor.int32s(Slots.SIZES)
        if any(size < 0 for size in sizes):
            raise RejectedModel("a tensor of a negative size")
        return Tensor(name, dtype, sizes)

    def _value(self, index: int) -> Any:
        """An argument: a reference, or a plain value."""
        if index in self._made:
            return self._made[index]
        holder = self._values[index]
        kind, content = holder.uint8(0), holder.table(1)
        if content is None or kind == _NULL:
            return None
        if kind == _TENSOR:
            return self._tensor(index, content)
        if kind == _INTS:
            return [self._value(one) for one in content.int64s(0)]
        if kind in (_TENSORS, _OPTIONAL_TENSORS):
            return [None if one < 0 else self._value(one) for one in content.int32s(0)]
        readers: Mapping[int, Any] = {
            _INT: content.int64, _BOOL: content.flag, _DOUBLE: content.float64,
            _STRING: content.text, _DOUBLES: content.float64s, _BOOLS: content.flags,
        }  # fmt: skip
        if kind not in readers:
            raise RejectedModel(f"a value of kind {kind}")
        found = readers[kind](0)
        return list(found) if isinstance(found, tuple) else found

    def _tensor(self, index: int, content: Table) -> Ref:
        made = self._stated(index, f"value_{index}")
        under = None if _has_data(content) else self._places.get(_place(content))
        if under is not None:  # another view of what lies in the same place: no call makes it
            meaning = Meaning(Kind.RESHAPE, {"shape": tuple(made.shape or ())})
            self._made[index] = self._recorder.emit("view", meaning, [under])
            return self._made[index]
        fixed = tuple(size for size in made.shape or () if isinstance(size, int))
        size = byte_size(made.dtype, fixed)
        if size is None:
            size = math.prod(fixed)
        extra = content.table(Slots.EXTRA)
        if extra is not None and extra.text(1):
            made.name = extra.text(1) or made.name
        if extra is not None and extra.int8(2) == 1:
            made.weights = self._layout.external(made.name, size)
        elif _has_data(content):
            made.weights = self._layout.constant(content.uint32(Slots.BUFFER), size)
        ref = self._recorder.ref(self._recorder.add(made))
        self._made[index] = ref
        return ref


def _has_data(tensor: Table) -> bool:
    """Whether a tensor is stored: it has a buffer, and no place in memory is planned for it."""
    extra = tensor.table(Slots.EXTRA)
    external = extra is not None and extra.int8(2) == 1
    planned = tensor.table(Slots.ALLOCATION) is not None
    return external or (tensor.uint32(Slots.BUFFER) > 0 and not planned)


def _place(tensor: Table) -> tuple[int, ...]:
    """Where in memory a tensor is planned."""
    planned = tensor.table(Slots.ALLOCATION)
    return () if planned is None else tuple(planned.uint32(slot) for slot in range(3))
