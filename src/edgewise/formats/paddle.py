"""Paddle: a program as protobuf (`.pdmodel`, `__model__`), its weights in one file beside it
(`.pdiparams`, `__params__`), one after the other in the order of their names.

A tensor is: a version (u32), levels of sequences (u64 count; each a u64 length and so many bytes),
a version (u32), the length of a description (i32), the description, then the elements.
"""

from __future__ import annotations

import math
from pathlib import PurePosixPath
from struct import error, unpack_from
from typing import Any, Final

from edgewise.archive import File
from edgewise.errors import LimitExceeded, RejectedModel
from edgewise.formats import siblings
from edgewise.formats.contract import Level, Sibling
from edgewise.formats.fluid.build import build
from edgewise.formats.fluid.program import TYPES, Operator, Program, Variable
from edgewise.formats.listing import weights_graph
from edgewise.formats.messages import Decoder, Message, Schema
from edgewise.formats.netlist import Netlist, absent, slice_of
from edgewise.formats.protobuf import Wire
from edgewise.graph import DTYPE_BITS, Graph, Tensor, Weights

NAME = "paddle"
EXTENSIONS = (".pdmodel", ".pdiparams")
#: What older versions call the program and the weights.
_NAMES = ("__model__", "__params__")
LEVEL: Level = "graph"
SIBLINGS = (Sibling(".pdmodel", ".pdiparams"), Sibling("__model__", "__params__"),
            Sibling("model", "params"))  # fmt: skip
LIMITS = {"protobuf fields": 4_000_000, "tensors without a program": 100_000}
SOURCES = (
    "https://github.com/PaddlePaddle/Paddle/blob/develop/paddle/fluid/framework/framework.proto",
)

_SCHEMA: Final[Schema] = {
    "Program": {1: ("blocks", "Block"), 4: ("version", "Version")},
    "Version": {1: ("version", "int")},
    "Block": {1: ("idx", "int"), 3: ("vars", "Var"), 4: ("ops", "Op")},
    "Var": {1: ("name", "text"), 2: ("type", "Type"), 3: ("persistable", "int")},
    "Type": {1: ("type", "int"), 3: ("lod_tensor", "LodTensor")},
    "LodTensor": {1: ("tensor", "Tensor")},
    "Tensor": {1: ("data_type", "int"), 2: ("dims", "int")},
    "Op": {
        1: ("inputs", "Slot"), 2: ("outputs", "Slot"), 3: ("type", "text"), 4: ("attrs", "Attr"),
    },
    "Slot": {1: ("parameter", "text"), 2: ("arguments", "text")},
    "Attr": {
        1: ("name", "text"), 2: ("type", "int"), 3: ("i", "int"), 4: ("f", "float"),
        5: ("s", "text"), 6: ("ints", "int"), 7: ("floats", "float"), 8: ("strings", "text"),
        10: ("b", "int"), 11: ("bools", "int"), 12: ("block_idx", "int"), 13: ("l", "int"),
        14: ("blocks_idx", "int"), 15: ("longs", "int"), 16: ("float64s", "double"),
        19: ("float64", "double"),
    },
}  # fmt: skip
#: Fields that hold an attribute's value, by AttrType.
_VALUES = {0: "i", 1: "f", 2: "s", 6: "b", 8: "block_idx", 9: "l", 15: "float64"}
_LISTS = {3: "ints", 4: "floats", 5: "strings", 7: "bools", 10: "blocks_idx", 11: "longs",
          12: "float64s"}  # fmt: skip
_LOD_TENSOR = 7
#: What a tensor begins with.
_VERSION = bytes(4)


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format`: a first block with the indices 0 and −1, then a variable."""
    if head[:1] == b"\n" and len(head) > 24:
        at = 1
        while at < 8 and head[at] & 0x80:
            at += 1
        if head[at + 1 :].startswith(b"\x08\x00\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x1a"):
            return 0.9
    return 0.4 if name.lower().endswith(EXTENSIONS) or name in _NAMES else 0.0


def read(file: File) -> Graph:
    """See `contract.Format`. Of the weights only where each starts is read; a file of weights
    without its program is a list of tensors, which have no names there.

    Raises:
        RejectedModel: it is no program of Paddle's, and no weights; says where it breaks.
        LimitExceeded: it lists more tensors than any real model has.
    """
    data = file.data()
    if data[:4] == _VERSION:
        return _weights_alone(data)
    program = Decoder(Wire(data), _SCHEMA).decode("Program", (0, len(data)))
    blocks = program.messages("blocks")
    if not blocks or not blocks[0].messages("ops"):
        raise RejectedModel("a program without operators")
    block = blocks[0]
    variables = {one.name: one for one in map(_variable, block.messages("vars"))}
    netlist = Netlist(PurePosixPath(file.name).stem, NAME)
    weights = _Weights(file, netlist.graph, variables)
    operators = [_operator(message) for message in block.messages("ops")]
    graph = build(Program(variables, operators, weights.store), netlist)
    version = program.message("version").integer("version")
    graph.producer = f"Paddle {version}" if version else None
    return graph


def _weights_alone(data: memoryview) -> Graph:
    """The tensors of a file of weights, one after the other to its end."""
    found: list[Tensor] = []
    at, limit = 0, LIMITS["tensors without a program"]
    while at < len(data):
        if len(found) == limit:
            raise LimitExceeded(f"more than {limit:,} tensors")
        try:
            dtype, dims, start = _tensor(data, at)
        except (error, OverflowError) as problem:
            raise RejectedModel(f"a tensor at byte {at:,} is cut off") from problem
        nbytes = math.prod(dims) * DTYPE_BITS.get(dtype, 32) // 8
        name = f"tensor_{len(found)}"
        load = slice_of(data, start, nbytes, name)
        found.append(Tensor(name, dtype, dims, Weights(nbytes, load)))
        at = start + nbytes
    return weights_graph(found, NAME)


def _variable(message: Message) -> Variable:
    kind = message.message("type")
    tensor = kind.message("lod_tensor").message("tensor")
    is_tensor = kind.integer("type") == _LOD_TENSOR
    return Variable(
        message.text("name"),
        TYPES.get(tensor.integer("data_type", 5), "float32"),
        tuple(tensor.integers("dims")) if is_tensor else None,
        message.flag("persistable"),
    )


def _operator(message: Message) -> Operator:
    return Operator(
        message.text("type"),
        {one.text("parameter"): one.texts("arguments") for one in message.messages("inputs")},
        {one.text("parameter"): one.texts("arguments") for one in message.messages("outputs")},
        {one.text("name"): _attribute(one) for one in message.messages("attrs")},
    )


def _attribute(message: Message) -> Any:
    kind = message.integer("type")
    if kind in _LISTS:
        return message.all(_LISTS[kind])
    return message.last(_VALUES.get(kind, "i"), 0)


class _Weights:
    """The file of weights, walked through once for where each tensor is."""

    def __init__(self, file: File, graph: Graph, variables: dict[str, Variable]) -> None:
        self._file = file
        self._graph = graph
        self._at: dict[str, tuple[str, tuple[int, ...], int]] = {}
        wanted = sorted(one.name for one in variables.values() if one.persistable and one.dims)
        other = siblings.find(file, SIBLINGS)
        self._name = siblings.expected(file, SIBLINGS) if other is None else other.name
        if not wanted:
            return
        self._data = None if other is None else other.data()
        graph.companions = (self._name,)
        if self._data is None:
            graph.missing = (self._name,)
            return
        self._walk(self._data, wanted)

    def _walk(self, data: memoryview, names: list[str]) -> None:
        at = 0
        try:
            for name in names:
                dtype, dims, start = _tensor(data, at)
                self._at[name] = (dtype, dims, start)
                at = start + math.prod(dims) * DTYPE_BITS.get(dtype, 32) // 8
        except (error, OverflowError, RejectedModel):
            self._at.clear()
        if at != len(data):
            self._at.clear()
            self._graph.notes.append(f"{self._name!r} holds other weights than these: not read")

    def store(self, netlist: Netlist, variable: Variable) -> None:
        """See `Program.store`."""
        found = self._at.get(variable.name)
        if found is None or self._data is None:
            dims = variable.dims or ()
            if any(size < 0 for size in dims):
                netlist.define(variable.name, variable.dtype, None)
                return
            load = absent(self._file, self._name)
            netlist.weight(variable.name, variable.dtype, dims, load, bind=True)
            return
        dtype, dims, start = found
        nbytes = math.prod(dims) * DTYPE_BITS.get(dtype, 32) // 8
        load = slice_of(self._data, start, nbytes, variable.name)
        netlist.weight(variable.name, dtype, dims, load, bind=True)


def _tensor(data: memoryview, at: int) -> tuple[str, tuple[int, ...], int]:
    """Type, shape and start of the elements of the tensor at a place."""
    version, levels = unpack_from("<IQ", data, at)
    at += 12
    if version or levels > 16:
        raise RejectedModel(f"a tensor of version {version} at byte {at:,}")
    for _ in range(levels):
        (length,) = unpack_from("<Q", data, at)
        at += 8 + length
    version, length = unpack_from("<Ii", data, at)
    at += 8
    if version or not 0 < length <= 4096 or at + length > len(data):
        raise RejectedModel(f"a description of {length} bytes at byte {at:,}")
    message = Decoder(Wire(data), _SCHEMA).decode("Tensor", (at, at + length))
    dims = tuple(message.integers("dims"))
    dtype = TYPES.get(message.integer("data_type", -1))
    start = at + length
    if dtype is None or any(size < 0 for size in dims):
        raise RejectedModel(f"a tensor of shape {list(dims)} at byte {at:,}")
    if start + math.prod(dims) * DTYPE_BITS.get(dtype, 32) // 8 > len(data):
        raise RejectedModel(f"a tensor at byte {at:,} is cut off")
    return dtype, dims, start
