"""The graph in a blob of ExecuTorch's Vulkan delegate (`VK00`): calls of ATen's and its own.

Public schema: backends/vulkan/serialization/schema.fbs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgewise.formats.aten.recorder import Recorder, Ref
from edgewise.formats.aten.tables import record
from edgewise.formats.building import byte_size, missing, stored
from edgewise.formats.executorch.blob import NamedData, parts
from edgewise.formats.executorch.vulkan_ops import OWN
from edgewise.formats.flatbuffer import Flatbuffer, Table
from edgewise.graph import Graph, Tensor, Weights

MAGIC = b"VH00"
_DTYPES = ("bool", "uint8", "int8", "int32", "float16", "float32", "float64", "int64")
#: Kinds of values, as the union numbers them.
(_NULL, _INT, _DOUBLE, _BOOL, _TENSOR, _INTS, _DOUBLES, _BOOLS, _LIST, _STRING,
 _SYMINT) = range(1, 12)  # fmt: skip


def read(blob: memoryview, named: NamedData) -> Graph:
    """The graph of a blob. Raises what a broken flatbuffer does."""
    buffer, constants = parts(blob, MAGIC)
    if bytes(buffer[4:6]) != b"VK":
        raise ValueError("no graph of the Vulkan delegate")
    return _Reader(Flatbuffer(buffer).root(), constants, named).graph()


class _Reader:
    def __init__(self, root: Table, constants: memoryview, named: NamedData) -> None:
        self._root = root
        self._constants = constants
        self._named = named
        self._values = root.tables(2)
        self._recorder = Recorder("Vulkan")
        self._made: dict[int, Ref] = {}

    def graph(self) -> Graph:
        graph = self._recorder.graph
        for index in self._root.uint32s(3):
            if self._values[index].uint8(0) == _TENSOR:
                self._made[index] = self._new(index)
                graph.inputs.append(self._made[index].index)
        for call in self._root.tables(1):
            self._call(call.text(1) or "", list(call.int32s(2)))
        for index in self._root.uint32s(4):
            ref = self._value(index)
            if isinstance(ref, Ref):
                graph.outputs.append(self._recorder.resolve(ref))
        return graph

    def _call(self, name: str, args: list[int]) -> None:
        """The last argument is what the call gives: a tensor, or a list of them."""
        *given, last = args
        outs = [last]
        content = self._values[last].table(1)
        if self._values[last].uint8(0) == _LIST and content is not None:
            outs = list(content.int32s(0))
        op = ".".join(name.split(".")[:-1]) if name.count(".") > 1 else name
        space, _, rest = op.partition(".")
        called = OWN.get(rest if space == "et_vk" else op, f"{space}::{rest}")
        values = [self._value(index) for index in given]
        if not isinstance(called, str):
            made = called(self._recorder, values, name)
        else:
            made = record(
                self._recorder, called, values, {}, name=f"{rest}_{last}", outputs=len(outs)
            )
        refs = [one for one in (made if isinstance(made, (list, tuple)) else [made])
                if isinstance(one, Ref)]  # fmt: skip
        for index, ref in zip(outs, refs, strict=False):
            self._made[index] = ref
            seen, stated = self._recorder.seen(ref), self._values[index].table(1)
            if (
                seen.weights is None
                and stated is not None
                and self._values[index].uint8(0) == _TENSOR
            ):
                seen.shape = tuple(stated.uint32s(1))

    def _value(self, index: int) -> Any:
        if index in self._made:
            return self._made[index]
        holder = self._values[index]
        kind, content = holder.uint8(0), holder.table(1)
        if content is None or kind == _NULL:
            return None
        if kind == _TENSOR:
            self._made[index] = self._new(index)
            return self._made[index]
        if kind == _LIST:
            return [self._value(one) for one in content.int32s(0)]
        if kind == _SYMINT:
            return content.int32(0)
        readers: dict[int, Callable[[int], Any]] = {
            _INT: content.int64, _DOUBLE: content.float64, _BOOL: content.flag,
            _INTS: content.int64s, _DOUBLES: content.float64s, _BOOLS: content.flags,
            _STRING: content.text,
        }  # fmt: skip
        found = readers[kind](0)
        return list(found) if isinstance(found, tuple) else found

    def _new(self, index: int) -> Ref:
        content = self._values[index].table(1)
        if content is None:
            raise ValueError("a tensor without content")
        number, dims = content.int8(0), tuple(content.uint32s(1))
        dtype = _DTYPES[number] if 0 <= number < len(_DTYPES) else "unknown"
        constant = content.int32(2)
        weights = self._stored(constant, dtype, dims) if constant >= 0 else None
        return self._recorder.ref(
            self._recorder.add(Tensor(f"value_{index}", dtype, dims, weights))
        )

    def _stored(self, number: int, dtype: str, dims: tuple[int, ...]) -> Weights | None:
        held = self._root.tables(5)
        if number >= len(held):
            return None
        size = byte_size(dtype, dims) or 0
        key = held[number].text(2)
        if key:
            return self._named.get(key) or missing(size, f"the program has no data {key!r}")
        return stored(self._constants, held[number].uint64(0), held[number].uint64(1))
