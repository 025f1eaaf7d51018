"""PyTorch Mobile as a flatbuffer (`PTMF`): values, and functions as code of a stack machine.

Public schema: torch/csrc/jit/serialization/mobile_bytecode.fbs; the instructions:
torch/csrc/jit/runtime/instruction.h. The machine is followed with layers as values, as in
`interpret.py`.
"""

from __future__ import annotations

import struct
from typing import Any

from edgewise.archive import File
from edgewise.errors import LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats.aten.making import SCALAR_TYPES
from edgewise.formats.aten.quantized import Packed
from edgewise.formats.aten.recorder import UNKNOWN_VALUE, Recorder, Ref
from edgewise.formats.building import stored
from edgewise.formats.flatbuffer import Flatbuffer, Table
from edgewise.formats.pytorch.container import tensor
from edgewise.formats.pytorch.machine import Function, Machine
from edgewise.formats.pytorch.pickled import Storage, Stored
from edgewise.graph import Graph, Tensor

VALUE_LIMIT = 1_000_000
DEPTH_LIMIT = 64
#: Kinds of the union of values.
(_INT, _BOOL, _DOUBLE, _COMPLEX, _TENSOR, _STRING, _LIST, _TUPLE, _DICT, _OBJECT, _INTS, _DOUBLES,
 _BOOLS, _DEVICE, _ENUM, _FUNCTION) = range(1, 17)  # fmt: skip


class Slots:
    """Field slots of the tables that are read."""

    METHODS, STATE, VALUES, STORAGES, TYPES = 2, 3, 4, 6, 7
    NAME, INSTRUCTIONS, OPERATORS, CONSTANTS, ANNOTATIONS, REGISTERS, SCHEMA = range(7)


def read(file: File) -> Graph:
    """The graph of a module's `forward`.

    Raises:
        RejectedModel: an offset, an index or an instruction does not fit.
        OpaqueModel: its code depends on data in a way that is not followed.
        LimitExceeded: more values or steps than any known network has.
    """
    module = Flatbuffer(file.data()).root()
    values = Values(module)
    try:
        graph = values.forward()
    except (IndexError, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise RejectedModel(f"not a valid mobile module: {error!r}"[:200]) from error
    graph.format = "pytorch"
    graph.metadata = {"form": "PyTorch Mobile (flatbuffer)"}
    return graph


class Instance:
    """An object of the module tree: its fields by position, as the bytecode asks for them."""

    def __init__(self, type_name: str, names: list[str], fields: list[int], state: int) -> None:
        self.type_name = type_name
        self.names = names
        self.fields = fields
        self.state = state


class Values:
    """The values of a module, made when they are asked for."""

    def __init__(self, module: Table) -> None:
        self._values = module.tables(Slots.VALUES)
        self._storages = module.tables(Slots.STORAGES)
        self._types = module.tables(Slots.TYPES)
        self._methods = module.uint32s(Slots.METHODS)
        self._state = module.uint32(Slots.STATE)
        self._made: dict[int, Any] = {}
        self._names: dict[int, str] = {}
        if len(self._values) > VALUE_LIMIT:
            raise LimitExceeded(f"more than {VALUE_LIMIT:,} values")
        self.recorder = Recorder("")

    def forward(self) -> Graph:
        """The graph of the method called forward."""
        from edgewise.formats.pytorch.script import references

        functions = [self._function(index) for index in self._methods]
        forward = next((f for f in functions if f.name.endswith(".forward")), None)
        if forward is None:
            raise RejectedModel("the module has no method forward")
        module = self.value(self._state)
        self._name(module, "")
        inputs = [module, *(self._input(name) for name in forward.parameters[1:])]
        machine = Machine(self.recorder, self.value, self.field)
        result = machine.run(forward, inputs)
        graph = self.recorder.graph
        graph.outputs = [self.recorder.resolve(ref) for ref in references(result)]
        graph.name = forward.name.split(".")[-2] if "." in forward.name else ""
        graph.notes += machine.notes
        return graph

    def _input(self, name: str) -> Ref:
        index = self.recorder.add(Tensor(name, "float32", None))
        self.recorder.graph.inputs.append(index)
        return self.recorder.ref(index)

    def _name(self, value: Any, prefix: str, depth: int = 0) -> None:
        """Tensors are called by their way through the module tree."""
        if isinstance(value, Instance) and depth < DEPTH_LIMIT:
            for name, index in zip(value.names, value.fields, strict=False):
                called = f"{prefix}.{name}" if prefix else name
                self._names.setdefault(index, called)
                if self._values[index].uint8(0) == _OBJECT:
                    self._name(self.value(index), called, depth + 1)

    def field(self, owner: Any, place: int) -> Any:
        """A field of an object."""
        if not isinstance(owner, Instance):
            return UNKNOWN_VALUE
        found = self.value(owner.fields[place])
        packs = isinstance(found, Instance) and "torch.classes" in found.type_name
        return self._packed(found) if packs else found

    def value(self, index: int, depth: int = 0) -> Any:
        """The value at an index."""
        if index not in self._made:
            if depth > DEPTH_LIMIT:
                raise RejectedModel(f"values nested deeper than {DEPTH_LIMIT}")
            self._made[index] = self._make(index, depth)
        return self._made[index]

    def _make(self, index: int, depth: int) -> Any:
        holder = self._values[index]
        kind = holder.uint8(0)
        if kind == _INT:
            return struct.unpack("<q", holder.struct(1, 8))[0]
        if kind == _BOOL:
            return bool(holder.struct(1, 1)[0])
        if kind == _DOUBLE:
            return struct.unpack("<d", holder.struct(1, 8))[0]
        content = holder.table(1)
        if content is None:
            return None
        if kind == _TENSOR:
            return self._tensor(index, content)
        if kind in (_LIST, _TUPLE):
            made = [self.value(one, depth + 1) for one in content.uint32s(0)]
            return tuple(made) if kind == _TUPLE else made
        if kind == _DICT:
            keys, held = content.uint32s(0), content.uint32s(1)
            pairs = zip(keys, held, strict=True)
            return {str(self.value(k, depth + 1)): self.value(v, depth + 1) for k, v in pairs}
        if kind == _OBJECT:
            described = self._types[content.uint32(1)]
            return Instance(
                described.text(0) or "", described.texts(2), list(content.uint32s(2)),
                content.uint32(0),
            )  # fmt: skip
        plain = {_STRING: content.text, _INTS: content.int64s, _DOUBLES: content.float64s,
                 _BOOLS: content.flags}.get(kind)  # fmt: skip
        found = plain(0) if plain is not None else UNKNOWN_VALUE
        return list(found) if isinstance(found, tuple) else found

    def _tensor(self, index: int, meta: Table) -> Ref:
        number = meta.int8(1)
        dtype = SCALAR_TYPES[number] if 0 <= number < len(SCALAR_TYPES) else "unknown"
        data = self._storages[meta.uint32(0)].bytes(0)
        quantised = meta.table(6)
        held = Stored(
            Storage(dtype, str(meta.uint32(0)), 0), meta.int32(2), meta.int32s(3), meta.int32s(4)
        )
        if quantised is not None:
            held.scales = (1, None) if quantised.int8(0) == 0 else (
                max(held.shape[quantised.int32(5)] if held.shape else 1, 1), quantised.int32(5)
            )  # fmt: skip
        weights = stored(data, 0, len(data))
        name = self._names.get(index, f"constant_{index}")
        return self.recorder.ref(self.recorder.add(tensor(name, held, (len(data), weights.load))))

    def _packed(self, owner: Instance) -> Packed:
        tensors: list[Ref] = []
        numbers: list[int] = []
        waiting, seen = [self.value(owner.state)], 0
        while waiting and seen < 10_000:
            part, seen = waiting.pop(0), seen + 1
            if isinstance(part, Ref):
                small = part.owner.graph.tensors[part.index].dtype in ("int16", "int64")
                if small:
                    numbers += [int(n) for n in part.owner.numbers(part.index) or ()]
                else:
                    tensors.append(part)
            elif isinstance(part, (list, tuple)):
                waiting = [*part, *waiting]
            elif isinstance(part, Instance):
                waiting = [self.value(part.state), *waiting]
            elif isinstance(part, int) and not isinstance(part, bool):
                numbers.append(part)
        return Packed(tensors, numbers)

    def _function(self, index: int) -> Function:
        holder = self._values[index]
        content = holder.table(1)
        if holder.uint8(0) != _FUNCTION or content is None:
            raise RejectedModel("a method that is no function")
        raw = content.structs(Slots.INSTRUCTIONS, 8)
        instructions = [(op, n, x) for op, n, x in struct.iter_unpack("<bxHi", raw)]
        schema = content.table(Slots.SCHEMA)
        operators = [
            (one.text(0) or "", one.text(1) or "", one.int32(2, -1))
            for one in content.tables(Slots.OPERATORS)
        ]
        parameters = [one.text(0) or "" for one in schema.tables(0)] if schema is not None else []
        if schema is None:
            raise OpaqueModel("mobile bytecode without a schema of its inputs")
        return Function(
            content.text(Slots.NAME) or "", instructions, operators,
            list(content.uint32s(Slots.CONSTANTS)), parameters,
        )  # fmt: skip
