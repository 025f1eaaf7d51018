"""ONNX files made with the `onnx` package: the writer the tests need."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from edgewise.errors import InputError
from edgewise.formats import onnx as reader
from edgewise.graph import Graph, Layer, Tensor

onnx = pytest.importorskip("onnx")
helper, numpy_helper = onnx.helper, onnx.numpy_helper
FLOAT, INT64, BOOL = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL


class MemoryFile:
    """A `File` in memory, with files beside it."""

    def __init__(
        self, content: bytes, name: str = "m.onnx", beside: Mapping[str, bytes] | None = None
    ) -> None:
        self.path = self.name = name
        self.size = len(content)
        self._content = content
        self._beside = dict(beside or {})

    def head(self, count: int) -> bytes:
        return self._content[:count]

    def data(self) -> memoryview:
        return memoryview(self._content)

    def sha256(self) -> str:
        raise InputError("not needed")

    def sibling(self, name: str) -> MemoryFile | None:
        return MemoryFile(self._beside[name], name) if name in self._beside else None

    def siblings(self) -> Iterator[str]:
        yield from self._beside


def value(name: str, shape: Sequence[Any] | None = (1,), dtype: int = FLOAT) -> Any:
    """A ValueInfoProto."""
    return helper.make_tensor_value_info(name, dtype, shape)


def node(op: str, inputs: str = "", outputs: str = "", domain: str = "", **attributes: Any) -> Any:
    """A NodeProto; inputs and outputs in one string, `-` for one left out."""
    names = [["" if name == "-" else name for name in text.split()] for text in (inputs, outputs)]
    return helper.make_node(op, *names, domain=domain, **attributes)


def graph(
    nodes: Sequence[Any], inputs: Sequence[Any] = (), outputs: Sequence[Any] = (),
    stored: Mapping[str, Any] | None = None, **parts: Any,
) -> Any:  # fmt: skip
    """A GraphProto; `stored` are initialisers, as arrays or TensorProtos."""
    tensors = []
    for name, array in (stored or {}).items():
        made = array if isinstance(array, onnx.TensorProto) else numpy_helper.from_array(array)
        made.name = name
        tensors.append(made)
    return helper.make_graph(nodes, "net", inputs, outputs, tensors, **parts)


def model(
    nodes: Sequence[Any], inputs: Sequence[Any] = (), outputs: Sequence[Any] = (),
    stored: Mapping[str, Any] | None = None, *, opset: int = 21, ir_version: int = 10,
    domains: Sequence[str] = ("com.microsoft", "ai.onnx.ml", "local"), **parts: Any,
) -> Any:  # fmt: skip
    """A ModelProto."""
    opsets = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    functions = parts.pop("functions", ())
    whole = graph(nodes, inputs, outputs, stored, **parts)
    return helper.make_model(
        whole, opset_imports=opsets, ir_version=ir_version, functions=functions,
        producer_name="tests", producer_version="1.0",
    )  # fmt: skip


def read(proto: Any, **beside: bytes) -> Graph:
    """The Graph of a ModelProto."""
    return reader.read(MemoryFile(proto.SerializeToString(), beside=beside))


def one_op(
    op: str, inputs: Sequence[Any], outputs: int = 1, *, opset: int = 21, domain: str = "",
    **attributes: Any,
) -> tuple[Graph, Layer]:  # fmt: skip
    """A network of one operator. Inputs: a shape, an array to be stored, or None for left out."""
    names = ["-" if given is None else f"i{k}" for k, given in enumerate(inputs)]
    stored = {f"i{k}": x for k, x in enumerate(inputs) if isinstance(x, np.ndarray)}
    free = [value(f"i{k}", x) for k, x in enumerate(inputs) if isinstance(x, (list, tuple))]
    made = [f"o{k}" for k in range(outputs)]
    proto = model(
        [node(op, " ".join(names), " ".join(made), domain, **attributes)],
        free, [value(name, None) for name in made], stored, opset=opset,
    )  # fmt: skip
    whole = read(proto)
    whole.layers[-1].attributes.pop("needs", None)  # tried in test_contradictions
    return whole, whole.layers[-1]


def names(graph: Graph, indices: Sequence[int | None]) -> list[str | None]:
    """Names of tensors."""
    return [None if index is None else graph.tensors[index].name for index in indices]


def tensor(graph: Graph, name: str) -> Tensor:
    """The tensor of this name."""
    return next(found for found in graph.tensors if found.name == name)
