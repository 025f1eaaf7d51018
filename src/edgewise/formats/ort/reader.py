"""An .ort file as the ONNX model it stands for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edgewise.archive import File
from edgewise.errors import InputError, RejectedModel
from edgewise.formats import ort
from edgewise.formats.flatbuffer import Flatbuffer, Table
from edgewise.formats.onnx.reader import read_model
from edgewise.formats.onnx.weights import ExternalFiles
from edgewise.formats.onnx.wire import (
    AttributeTag,
    GraphTag,
    ModelTag,
    NodeTag,
    TensorTag,
)
from edgewise.formats.ort import schema
from edgewise.formats.ort.writing import Message
from edgewise.formats.protobuf import bytes_tag, varint_tag
from edgewise.graph import Graph

_KEY, _VALUE = bytes_tag(1), bytes_tag(2)
_OPSET_DOMAIN, _OPSET_VERSION = bytes_tag(1), varint_tag(2)
_VALUE_NAME, _VALUE_TYPE, _TENSOR_TYPE = bytes_tag(1), bytes_tag(2), bytes_tag(1)
_ELEMENT, _SHAPE, _DIMENSION = varint_tag(1), bytes_tag(2), bytes_tag(1)
_DIM_VALUE, _DIM_PARAM = varint_tag(1), bytes_tag(2)
_STRING_DATA = bytes_tag(6)
_EXTERNAL = 1
#: Graphs within graphs.
_DEEPEST = 64


def read(file: File) -> Graph:
    """See `contract.Format.read`.

    Raises:
        RejectedModel: it is no flatbuffer of this format, or not a valid graph.
        LimitExceeded: it has more parts than anyone's model.
    """
    if file.head(8)[4:] != ort.IDENTIFIER:
        raise RejectedModel("the identifier ORTM is missing at byte 4")
    model = Flatbuffer(file.data()).root().table(schema.SESSION_MODEL)
    if model is None:
        raise RejectedModel("there is no model inside")
    weights = _Inside(file)
    content = _Transcoder(weights).model(model)
    graph = read_model(memoryview(content), weights)
    graph.format = ort.NAME
    graph.companions = ()
    return graph


class _Part:
    """A stored tensor's bytes as a file, which is what external data is to the reader of ONNX."""

    def __init__(self, file: File, data: memoryview) -> None:
        self.path, self.name, self.size = file.path, file.name, len(data)
        self._data = data

    def data(self) -> memoryview:
        return self._data

    def head(self, count: int) -> bytes:
        return bytes(self._data[:count])

    def sha256(self) -> str:
        raise InputError(f"{self.path}: a part of a file")

    def sibling(self, name: str) -> None:
        return None

    def siblings(self, folder: str = "") -> Iterator[str]:
        return iter(())


class _Inside(ExternalFiles):
    """The stored tensors of the file, each under its number."""

    def __init__(self, file: File) -> None:
        super().__init__(file)
        self._file = file
        self._parts: list[_Part] = []

    def add(self, data: memoryview) -> str:
        """Keep a tensor's bytes; the location under which they are found."""
        self._parts.append(_Part(self._file, data))
        return str(len(self._parts) - 1)

    def find(self, location: str) -> File | None:
        """See `ExternalFiles.find`."""
        return self._parts[int(location)] if location.isdigit() else None


class _Transcoder:
    """Writes tables as messages."""

    def __init__(self, weights: _Inside) -> None:
        self._weights = weights

    def model(self, table: Table) -> bytes:
        """The ModelProto."""
        out = Message().number(ModelTag.IR_VERSION, table.int64(schema.MODEL_IR) or 1)
        for tag, slot in (
            (ModelTag.PRODUCER_NAME, schema.MODEL_PRODUCER),
            (ModelTag.PRODUCER_VERSION, schema.MODEL_PRODUCER_VERSION),
        ):
            if text := table.text(slot):
                out.text(tag, text)
        for opset in table.tables(schema.MODEL_OPSETS):
            pair = Message().text(_OPSET_DOMAIN, opset.text(0) or "")
            out.inside(ModelTag.OPSET_IMPORT, pair.number(_OPSET_VERSION, opset.int64(1)))
        for entry in table.tables(schema.MODEL_METADATA):
            pair = Message().text(_KEY, entry.text(schema.PAIR_KEY) or "")
            out.inside(
                ModelTag.METADATA_PROPS, pair.text(_VALUE, entry.text(schema.PAIR_VALUE) or "")
            )
        graph = table.table(schema.MODEL_GRAPH)
        if graph is None:
            raise RejectedModel("no graph")
        return out.inside(ModelTag.GRAPH, self._graph(graph, 0)).content()

    def _graph(self, table: Table, depth: int) -> Message:
        if depth > _DEEPEST:
            raise RejectedModel(f"graphs nested deeper than {_DEEPEST}")
        out = Message()
        for stored in table.tables(schema.GRAPH_INITIALIZERS):
            out.inside(GraphTag.INITIALIZER, self._tensor(stored))
        if len(table.tables(schema.GRAPH_SPARSE)):
            raise RejectedModel("sparse weights are not read")
        known = {
            each.text(schema.VALUE_NAME) or "": each
            for each in table.tables(schema.GRAPH_NODE_ARGS)
        }
        inputs, outputs = table.texts(schema.GRAPH_INPUTS), table.texts(schema.GRAPH_OUTPUTS)
        for tag, names in ((GraphTag.INPUT, inputs), (GraphTag.OUTPUT, outputs)):
            for name in names:
                out.inside(tag, _value(name, known.get(name)))
        for name in sorted(known.keys() - set(inputs) - set(outputs) - {""}):
            out.inside(GraphTag.VALUE_INFO, _value(name, known[name]))
        for node in _sorted(list(table.tables(schema.GRAPH_NODES))):
            out.inside(GraphTag.NODE, self._node(node, depth))
        return out

    def _node(self, table: Table, depth: int) -> Message:
        out = Message().texts(NodeTag.INPUT, table.texts(schema.NODE_INPUTS))
        out.texts(NodeTag.OUTPUT, table.texts(schema.NODE_OUTPUTS))
        out.text(NodeTag.NAME, table.text(schema.NODE_NAME) or "")
        out.text(NodeTag.OP_TYPE, table.text(schema.NODE_OP) or "")
        out.text(NodeTag.DOMAIN, table.text(schema.NODE_DOMAIN) or "")
        for attribute in table.tables(schema.NODE_ATTRIBUTES):
            out.inside(NodeTag.ATTRIBUTE, self._attribute(attribute, depth))
        return out

    def _attribute(self, table: Table, depth: int) -> Message:
        kind = table.int32(schema.ATTR_KIND)
        out = Message().text(AttributeTag.NAME, table.text(schema.ATTR_NAME) or "")
        out.number(AttributeTag.TYPE, kind)
        if kind == schema.FLOAT:
            out.real(AttributeTag.FLOAT, table.float32(schema.ATTR_F))
        elif kind == schema.INT:
            out.number(AttributeTag.INT, table.int64(schema.ATTR_I))
        elif kind == schema.STRING:
            out.text(AttributeTag.STRING, table.text(schema.ATTR_S) or "")
        elif kind == schema.FLOATS:
            for real in table.float32s(schema.ATTR_FLOATS):
                out.real(AttributeTag.FLOATS, real)
        elif kind == schema.INTS:
            for number in table.int64s(schema.ATTR_INTS):
                out.number(AttributeTag.INTS, number)
        elif kind == schema.STRINGS:
            out.texts(AttributeTag.STRINGS, table.texts(schema.ATTR_STRINGS))
        elif kind == schema.TENSOR and (stored := table.table(schema.ATTR_T)) is not None:
            out.inside(AttributeTag.TENSOR, self._tensor(stored))
        elif kind == schema.GRAPH and (graph := table.table(schema.ATTR_G)) is not None:
            out.inside(AttributeTag.GRAPH, self._graph(graph, depth + 1))
        return out

    def _tensor(self, table: Table) -> Message:
        out = Message().text(TensorTag.NAME, table.text(schema.STORED_NAME) or "")
        for size in table.int64s(schema.STORED_DIMS):
            out.number(TensorTag.DIMS, size)
        out.number(TensorTag.DATA_TYPE, table.int32(schema.STORED_TYPE))
        texts = table.texts(schema.STORED_TEXTS)
        if texts:
            return out.texts(_STRING_DATA, texts)
        outside = table.int64(schema.STORED_OUTSIDE, -1) >= 0
        location = "" if outside else self._weights.add(table.bytes(schema.STORED_RAW))
        pair = Message().text(_KEY, "location").text(_VALUE, location)
        return out.inside(TensorTag.EXTERNAL_DATA, pair).number(TensorTag.DATA_LOCATION, _EXTERNAL)


def _value(name: str, table: Table | None) -> Message:
    """The ValueInfoProto of a name."""
    out = Message().text(_VALUE_NAME, name)
    kind = table.table(schema.VALUE_TYPE) if table is not None else None
    if kind is None or kind.uint8(schema.TYPE_KIND) != schema.TENSOR_TYPE:
        return out
    tensor = kind.table(schema.TYPE_VALUE)
    if tensor is None:
        return out
    typed = Message().number(_ELEMENT, tensor.int32(schema.TENSOR_ELEMENT))
    shape = tensor.table(schema.TENSOR_SHAPE)
    if shape is not None:
        dims = Message()
        for dim in shape.tables(schema.SHAPE_DIMS):
            dims.inside(_DIMENSION, _dimension(dim.table(schema.DIM_VALUE)))
        typed.inside(_SHAPE, dims)
    return out.inside(_VALUE_TYPE, Message().inside(_TENSOR_TYPE, typed))


def _dimension(table: Table | None) -> Message:
    kind = table.int8(schema.DIM_KIND) if table is not None else 0
    if table is not None and kind == schema.DIM_IS_NUMBER:
        return Message().number(_DIM_VALUE, table.int64(schema.DIM_NUMBER))
    if table is not None and kind == schema.DIM_IS_NAME:
        return Message().text(_DIM_PARAM, table.text(schema.DIM_NAME) or "")
    return Message()


def _sorted(nodes: Sequence[Table]) -> list[Table]:
    """Nodes so that each comes after what it reads; the file keeps them by their numbers."""
    makers = {
        name: at
        for at, node in enumerate(nodes)
        for name in node.texts(schema.NODE_OUTPUTS)
        if name
    }
    reads = [
        {makers[n] for slot in (schema.NODE_INPUTS, schema.NODE_IMPLICIT_INPUTS)
         for n in node.texts(slot) if n in makers}
        for node in nodes
    ]  # fmt: skip
    order: list[int] = []
    done: set[int] = set()
    for first in range(len(nodes)):
        stack = [first]
        path: set[int] = set()
        while stack:
            at = stack[-1]
            waiting = [other for other in reads[at] if other not in done]
            if at in done or not waiting:
                stack.pop()
                if at not in done:
                    done.add(at)
                    order.append(at)
                continue
            if at in path:
                raise RejectedModel("nodes that read each other's results")
            path.add(at)
            stack += sorted(waiting, reverse=True)
    return [nodes[at] for at in order]
