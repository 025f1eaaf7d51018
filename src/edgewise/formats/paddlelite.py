"""Paddle Lite (`.nb`): a program and its weights as the optimiser of Paddle Lite writes them.

A file starts with a version (u16), the optimiser's own version in 16 bytes (of which those behind
the text were never set) and the size of the program (u64). Then:

- version 0: program and weights in the older layout (`NaiveBuffer`);
- version 1: program and weights as two flatbuffers;
- version 2: the program as a flatbuffer; a version (u16), two sizes (u16), the count of tensors
  (u16) and the largest size (u32); then for each tensor its length (u32) and a flatbuffer that
  starts so many bytes (u32) behind the length.

Two files, `__model__.nb` and `param.nb`, are program and weights in the older layout, no head.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from struct import Struct, error, unpack_from
from typing import Any

from edgewise.archive import File
from edgewise.errors import LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats import siblings
from edgewise.formats.contract import Level, Sibling
from edgewise.formats.flatbuffer import Flatbuffer, Table
from edgewise.formats.fluid.build import build
from edgewise.formats.fluid.program import TYPES, Operator, Program, Variable
from edgewise.formats.netlist import Netlist, absent, slice_of
from edgewise.graph import DTYPE_BITS, Graph, Quantization

NAME = "paddlelite"
EXTENSIONS = (".nb",)
LEVEL: Level = "graph"
SIBLINGS = (Sibling("__model__.nb", "param.nb"),)
LIMITS = {"operators and variables": 400_000, "tables of the flatbuffer": 12_000_000}
SOURCES = (
    "https://github.com/PaddlePaddle/Paddle-Lite/tree/develop/lite/model_parser/flatbuffers",
    "https://github.com/PaddlePaddle/Paddle-Lite/tree/develop/lite/model_parser/naive_buffer",
)
_HEAD = Struct("<H16sQ")
_MOST = 400_000
#: VarDataType of the older layout, by number.
_NAIVE_TYPES = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 19, 8: 20, 9: 21}
_NAIVE_TENSOR = 10
_LOD_TENSOR = 7


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format`. The version's text starts with a v; older files have a fixed start."""
    lower = name.lower()
    versioned = len(head) >= 34 and head[0] <= 2 and not head[1] and head[2:3] == b"v"
    if versioned and head[3:4].isdigit() and head[4:5] == b".":
        return 0.9
    if _is_bare(head):
        return 0.85
    return 0.35 if lower.endswith(EXTENSIONS) else 0.0


def _is_bare(head: bytes) -> bool:
    """One block with the indices 0 and −1, variables, the first with a name."""
    return (
        len(head) >= 40
        and head[:16] == b"\x01" + bytes(11) + b"\xff" * 4
        and head[20:24] == bytes(4)
        and head[25:32] == bytes(7)
        and 0 < head[24] < 200
    )


def _is_weights(head: bytes) -> bool:
    """A count, then the name of the first tensor."""
    return (
        len(head) >= 32
        and head[4:8] == bytes(4)
        and head[:4] != bytes(4)
        and head[9:16] == bytes(7)
        and 0 < head[8] < 200
        and head[16 : 16 + min(head[8], 16)].isascii()
    )


def read(file: File) -> Graph:
    """See `contract.Format`. No byte of the weights is touched.

    Raises:
        RejectedModel: it is no program of Paddle Lite's; says where it breaks.
        OpaqueModel: of a version that is not known.
        LimitExceeded: it lists more than any real network has.
    """
    data = file.data()
    netlist = Netlist(PurePosixPath(file.name).stem, NAME)
    try:
        if _is_bare(bytes(data[:64])):
            return _read_bare(file, data, netlist)
        if _is_weights(bytes(data[:64])) and data[2] != ord("v"):
            raise OpaqueModel("the weights of a network whose program is another file")
        version, text, size = _HEAD.unpack_from(data)
        end = _HEAD.size + size
        if end > len(data):
            raise RejectedModel(f"a program of {size:,} bytes in a file of {len(data):,}")
        if version > 2:
            raise OpaqueModel(f"version {version} of the format, later than 2")
        program, weights = data[_HEAD.size : end], data[end:]
        stored: dict[str, tuple[str, tuple[int, ...], memoryview]] = {}
        if version == 0:
            variables, operators = _naive_program(program)
            stored = dict(_naive_weights(weights))
        else:
            variables, operators = _program(program)
            stored = dict(_combined(weights) if version == 1 else _separate(weights))
    except (error, IndexError, OverflowError) as problem:
        raise RejectedModel(f"cut off: {problem}") from problem
    graph = build(Program(variables, operators, _storing(stored, None)), netlist)
    said = text.split(b"\0", 1)[0].decode("ascii", "replace")
    graph.producer = f"Paddle Lite {said.removeprefix('v')}" if said else None
    _mark_quantised(netlist, operators)
    return graph


def _read_bare(file: File, data: memoryview, netlist: Netlist) -> Graph:
    variables, operators = _naive_program(data)
    other = siblings.find(file, SIBLINGS) or siblings.find(
        file, SIBLINGS, lambda one: _is_weights(one.head(64))
    )
    name = siblings.expected(file, SIBLINGS) if other is None else other.name
    stored = {} if other is None else dict(_naive_weights(other.data()))
    netlist.graph.companions = (name,)
    netlist.graph.missing = (name,) if other is None else ()
    program = Program(variables, operators, _storing(stored, absent(file, name)))
    return build(program, netlist)


Stored = dict[str, tuple[str, tuple[int, ...], memoryview]]


def _storing(
    stored: Stored, missing: Callable[[], memoryview] | None
) -> Callable[[Netlist, Variable], None]:
    def store(netlist: Netlist, variable: Variable) -> None:
        found = stored.get(variable.name)
        if found is not None:
            dtype, dims, data = found
            netlist.weight(variable.name, dtype, dims, lambda: data, len(data), bind=True)
        elif missing is not None:
            dims = variable.dims or ()
            if dims and min(dims) >= 0:
                netlist.weight(variable.name, variable.dtype, dims, missing, bind=True)
            else:
                netlist.define(variable.name, variable.dtype)
        elif variable.name not in ("feed", "fetch"):
            raise RejectedModel(f"the weights {variable.name!r} are not in the file")

    return store


def _mark_quantised(netlist: Netlist, operators: list[Operator]) -> None:
    """Integer weights have scales, which the operator keeps."""
    scaled = {
        argument
        for operator in operators
        for name, arguments in operator.inputs.items()
        if any(key.startswith(f"{name}0_scale") for key in operator.attributes)
        for argument in arguments
    }
    for tensor in netlist.graph.tensors:
        if tensor.weights is not None and tensor.dtype == "int8" and tensor.name in scaled:
            tensor.quantization = Quantization(tensor.shape[0] if tensor.shape else 1, axis=0)  # type: ignore[arg-type]


# The flatbuffers


def _program(data: memoryview) -> tuple[dict[str, Variable], list[Operator]]:
    blocks = Flatbuffer(data).root().tables(0)
    if not len(blocks):
        raise RejectedModel("a program without blocks")
    variables = {one.name: one for one in map(_variable, blocks[0].tables(2))}
    return variables, [_operator(table) for table in blocks[0].tables(3)]


def _variable(table: Table) -> Variable:
    kind = table.table(1) or table.empty()
    tensor = (kind.table(2) or table.empty()).table(0) or table.empty()
    dims = tensor.int64s(1) if kind.int32(0) == _LOD_TENSOR else None
    dtype = TYPES.get(tensor.int32(0), "float32")
    return Variable(table.text(0) or "", dtype, dims, table.flag(2))


def _operator(table: Table) -> Operator:
    return Operator(
        table.text(0) or "",
        {one.text(0) or "": one.texts(1) for one in table.tables(1)},
        {one.text(0) or "": one.texts(1) for one in table.tables(2)},
        {one.text(0) or "": _attribute(one) for one in table.tables(3)},
    )


def _attribute(table: Table) -> Any:
    """A value by its type: a number, text, a truth, or a list of them."""
    read: dict[int, Callable[[], Any]] = {
        0: lambda: table.int32(2), 1: lambda: table.float32(3), 2: lambda: table.text(4) or "",
        3: lambda: table.int32s(5), 4: lambda: [0.0] * table.count(6, 4),
        5: lambda: table.texts(7), 6: lambda: table.flag(8), 7: lambda: table.flags(9),
        8: lambda: table.int32(10), 9: lambda: table.int64(11), 10: lambda: table.int32s(12),
        11: lambda: table.int64s(13),
    }  # fmt: skip
    reader = read.get(table.int32(1))
    return None if reader is None else reader()


Weight = tuple[str, tuple[str, tuple[int, ...], memoryview]]


def _separate(data: memoryview) -> Iterator[Weight]:
    """Version 2: a flatbuffer for each tensor."""
    version, _, _, count, _ = unpack_from("<HHHHI", data)
    if version:
        raise OpaqueModel(f"weights of version {version}")
    at = 12
    for _ in range(count):
        length, offset = unpack_from("<II", data, at)
        start, end = at + 4 + offset, at + 4 + length
        if not at + 8 <= start < end <= len(data):
            raise RejectedModel(f"weights of {length:,} bytes at byte {at:,}")
        yield _weight(Flatbuffer(data[start:end]).root())
        at = end
    if at != len(data):
        raise RejectedModel(f"{len(data) - at:,} bytes behind the last weights")


def _combined(data: memoryview) -> Iterator[Weight]:
    """Version 1: one flatbuffer for all tensors."""
    for table in Flatbuffer(data).root().tables(0):
        yield _weight(table)


def _weight(table: Table) -> Weight:
    tensor = table.table(3)
    if tensor is None or table.uint8(2) != 1:
        raise RejectedModel(f"{table.text(1)!r} is no tensor")
    return table.text(1) or "", _checked(
        TYPES.get(tensor.int32(3)), tensor.int64s(2), tensor.bytes(4)
    )


def _checked(
    dtype: str | None, dims: tuple[int, ...], data: memoryview
) -> tuple[str, tuple[int, ...], memoryview]:
    if dtype is None or any(size < 0 for size in dims):
        raise RejectedModel(f"weights of type {dtype} and shape {list(dims)}")
    wanted = math.prod(dims) * DTYPE_BITS.get(dtype, 8) // 8
    if len(data) != wanted:
        raise RejectedModel(f"{len(data):,} bytes of weights for a shape that needs {wanted:,}")
    return dtype, dims, data


# The older layout


class _Naive:
    """Values one after the other: numbers, strings and lists with their length before them."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0

    def number(self, form: str) -> Any:
        (value,) = unpack_from(f"<{form}", self.data, self.at)
        self.at += {"i": 4, "I": 4, "q": 8, "Q": 8, "f": 4, "?": 1}[form]
        return value

    def text(self) -> str:
        return str(self.raw(), "utf-8", "replace")

    def raw(self) -> memoryview:
        length = self.number("Q")
        slice_of(self.data, self.at, length, "a string")
        self.at += length
        return self.data[self.at - length : self.at]

    def each(self, read: Callable[[], Any]) -> list[Any]:
        count = self.number("Q")
        if count > _MOST or count > len(self.data) - self.at:
            raise LimitExceeded(f"a list of {count:,} elements")
        return [read() for _ in range(count)]

    def numbers(self, form: str) -> list[Any]:
        return self.each(lambda: self.number(form))

    def tensor(self) -> tuple[int, tuple[int, ...]]:
        return self.number("i"), tuple(self.numbers("q"))

    def variable(self) -> Variable:
        name, kind = self.text(), self.number("i")
        self.tensor()
        dtype, dims = self.tensor()
        self.number("i")
        self.tensor()
        self.number("i")
        self.each(lambda: (self.tensor(), self.number("i")))
        self.numbers("i")
        persistable = self.number("?")
        said = TYPES.get(_NAIVE_TYPES.get(dtype, 5), "float32")
        return Variable(name, said, dims if kind == _NAIVE_TENSOR else None, persistable)

    def slots(self) -> dict[str, list[str]]:
        return dict(self.each(lambda: (self.text(), self.each(self.text))))

    def attribute(self) -> tuple[str, Any]:
        name, kind = self.text(), self.number("i")
        values = [
            self.number("i"), self.number("f"), self.text(), self.numbers("i"),
            self.numbers("f"), self.each(self.text), self.number("?"), self.numbers("?"),
            self.number("i"), self.number("q"), self.numbers("i"), self.numbers("q"),
        ]  # fmt: skip
        return name, values[kind] if 0 <= kind < len(values) else None

    def operator(self) -> Operator:
        kind, inputs, outputs = self.text(), self.slots(), self.slots()
        attributes = dict(self.each(self.attribute))
        self.number("?")
        return Operator(kind, inputs, outputs, attributes)

    def block(self) -> tuple[list[Variable], list[Operator]]:
        self.number("i"), self.number("i")
        variables, operators = self.each(self.variable), self.each(self.operator)
        self.number("i")
        return variables, operators


def _naive_program(data: memoryview) -> tuple[dict[str, Variable], list[Operator]]:
    reader = _Naive(data)
    blocks = reader.each(reader.block)
    reader.number("q")
    if not blocks or reader.at != len(data):
        raise RejectedModel(f"a program that ends at byte {reader.at:,} of {len(data):,}")
    variables, operators = blocks[0]
    return {one.name: one for one in variables}, operators


def _naive_weights(data: memoryview) -> Iterator[Weight]:
    reader = _Naive(data)
    for _ in range(reader.number("Q")):
        name = reader.text()
        reader.number("I"), reader.number("Q")
        reader.each(lambda: reader.numbers("Q"))
        reader.number("I")
        dtype, dims = reader.tensor()
        yield name, _checked(TYPES.get(_NAIVE_TYPES.get(dtype, -1)), dims, reader.raw())
    if reader.at != len(data):
        raise RejectedModel(f"{len(data) - reader.at:,} bytes behind the last weights")
