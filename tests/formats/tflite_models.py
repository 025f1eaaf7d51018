"""TFLite files written with the schema that ai-edge-litert ships: the writer the tests need."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from edgewise.errors import InputError
from edgewise.formats import tflite
from edgewise.graph import Graph, Layer

flatbuffers = pytest.importorskip("flatbuffers")
schema = pytest.importorskip("ai_edge_litert.schema_py_generated")

_NUMPY_TYPES = {
    np.float32: "FLOAT32", np.int32: "INT32", np.int64: "INT64", np.int8: "INT8",
    np.uint8: "UINT8", np.float16: "FLOAT16", np.bool_: "BOOL",
}  # fmt: skip


class MemoryFile:
    """A `File` in memory."""

    def __init__(self, content: bytes, name: str = "m.tflite", **beside: bytes) -> None:
        self.path = self.name = name
        self.size = len(content)
        self._content = content
        self._beside = beside

    def head(self, count: int) -> bytes:
        return self._content[:count]

    def data(self) -> memoryview:
        return memoryview(self._content)

    def sha256(self) -> str:
        raise InputError("not needed")

    def sibling(self, name: str) -> MemoryFile | None:
        return MemoryFile(self._beside[name], name) if name in self._beside else None

    def siblings(self) -> Iterator[str]:
        return iter(self._beside)


class SubGraph:
    """A subgraph under construction."""

    def __init__(self, model: Model, name: str) -> None:
        self.table = schema.SubGraphT()
        self.table.name = name
        self.table.tensors, self.table.operators = [], []
        self.table.inputs, self.table.outputs = [], []
        self._model = model

    def tensor(
        self, shape: Sequence[int] | None = None, dtype: str = "FLOAT32", data: Any = None,
        name: str | None = None, **fields: Any,
    ) -> int:  # fmt: skip
        """Add a tensor, stored where `data` is given; `fields` are those of TensorT."""
        tensor = schema.TensorT()
        if data is not None:
            array = np.asarray(data)
            shape = array.shape if shape is None else shape
            dtype = _NUMPY_TYPES.get(array.dtype.type, dtype)
            tensor.buffer = self._model.buffer(array.tobytes())
        tensor.shape = None if shape is None else list(shape)
        tensor.type = getattr(schema.TensorType, dtype)
        tensor.name = f"t{len(self.table.tensors)}" if name is None else name
        for key, value in fields.items():
            setattr(tensor, key, value)
        self.table.tensors.append(tensor)
        return len(self.table.tensors) - 1

    def op(
        self, op: str | int, inputs: Sequence[int], outputs: Sequence[int],
        options: Any = None, custom: str | None = None, custom_options: bytes | None = None,
    ) -> None:  # fmt: skip
        """Add an operator; `options` is an object of the schema's `…OptionsT`."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._model.code(op, custom)
        operator.inputs, operator.outputs = list(inputs), list(outputs)
        if options is not None:
            kind = type(options).__name__.removesuffix("T")
            if hasattr(schema.BuiltinOptions, kind):
                operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
                operator.builtinOptions = options
            else:
                operator.builtinOptions2Type = getattr(schema.BuiltinOptions2, kind)
                operator.builtinOptions2 = options
        if custom_options is not None:
            operator.customOptions = list(custom_options)
        self.table.operators.append(operator)


class Model:
    """A model under construction. `model.table` is the schema's ModelT."""

    def __init__(self) -> None:
        self.table = schema.ModelT()
        self.table.version = 3
        self.table.subgraphs, self.table.operatorCodes = [], []
        self.table.buffers = [schema.BufferT()]
        self.main = self.subgraph("main")

    def subgraph(self, name: str) -> SubGraph:
        result = SubGraph(self, name)
        self.table.subgraphs.append(result.table)
        return result

    def buffer(self, data: bytes) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(data, np.uint8)
        self.table.buffers.append(buffer)
        return len(self.table.buffers) - 1

    def code(self, op: str | int, custom: str | None) -> int:
        number = op if isinstance(op, int) else getattr(schema.BuiltinOperator, op)
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = number, min(number, 127)
        code.customCode = custom
        self.table.operatorCodes.append(code)
        return len(self.table.operatorCodes) - 1

    def metadata(self, name: str, data: bytes) -> None:
        entry = schema.MetadataT()
        entry.name, entry.buffer = name, self.buffer(data)
        self.table.metadata = [*(self.table.metadata or []), entry]

    def content(self, identifier: bytes = b"TFL3") -> bytes:
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.table.Pack(builder), file_identifier=identifier)
        return bytes(builder.Output())

    def graph(self) -> Graph:
        return tflite.read(MemoryFile(self.content()))


def options(table: str, /, **fields: Any) -> Any:
    """An object of the schema's options."""
    result = getattr(schema, f"{table}OptionsT")()
    for key, value in fields.items():
        assert hasattr(result, key), key
        setattr(result, key, value)
    return result


def one_op(
    op: str | int, inputs: Sequence[Any], outputs: Sequence[Sequence[int]] = ((1,),),
    options: Any = None, **fields: Any,
) -> Model:  # fmt: skip
    """A model of one operator. An input is a shape, an array (stored), or None (left out)."""
    model = Model()
    main = model.main
    for source in inputs:
        if isinstance(source, np.ndarray):
            main.tensor(data=source)
        elif source is not None:
            main.table.inputs.append(main.tensor(source))
    numbers = iter(range(len(main.table.tensors)))
    used = [-1 if source is None else next(numbers) for source in inputs]
    main.table.outputs = [main.tensor(shape) for shape in outputs]
    main.op(op, used, main.table.outputs, options, **fields)
    return model


def layer(op: str | int, inputs: Sequence[Any], *args: Any, **fields: Any) -> Layer:
    """The only layer of a model of one operator."""
    (result,) = one_op(op, inputs, *args, **fields).graph().layers
    return result
