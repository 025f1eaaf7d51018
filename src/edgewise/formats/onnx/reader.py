"""ONNX models (.onnx): read them into a `Graph`.

Read from the wire with no weight touched: a model costs its nodes, not its size. External data
files beside the model are its companions.
"""

from __future__ import annotations

import ast

from edgewise.archive import File
from edgewise.errors import RejectedModel
from edgewise.formats import onnx
from edgewise.formats.onnx.graphs import Context, Function, GraphReader, Key, Surroundings
from edgewise.formats.onnx.weights import ExternalFiles
from edgewise.formats.onnx.wire import (
    FunctionTag,
    ModelTag,
    attribute_name,
    canonical_domain,
    decode_attribute,
    decode_opset,
    decode_pairs,
)
from edgewise.formats.protobuf import Span, Wire
from edgewise.graph import Graph

#: Parts of a ModelProto that are read.
_PARTS = frozenset((
    ModelTag.GRAPH, ModelTag.OPSET_IMPORT, ModelTag.FUNCTIONS, ModelTag.METADATA_PROPS,
    ModelTag.PRODUCER_NAME, ModelTag.PRODUCER_VERSION, ModelTag.TRAINING_INFO,
))  # fmt: skip
#: Until this version of the format, models did not say which operator set they use: it was 1.
_IR_WITHOUT_OPSETS = 2
#: Metadata entries in which exporters keep class names, as a Python or JSON literal.
_LABEL_KEYS = ("names", "labels", "classes")
_LABELS_LIMIT = 1 << 20


def read(file: File) -> Graph:
    """See `contract.Format.read`.

    Raises:
        RejectedModel: it is not a valid ONNX model: no protobuf, a part is missing, a value is
            read before it is given, a tensor does not fit its shape.
        LimitExceeded: it has more fields, nodes or tensors than anyone's model.
    """
    return read_model(file.data(), ExternalFiles(file))


def read_model(data: memoryview, files: ExternalFiles) -> Graph:
    """The ModelProto in `data`, whose external weights lie in `files`. Raises what `read` does."""
    try:
        return _Model(Wire(data), files).graph()
    except RejectedModel as error:
        raise RejectedModel(f"not a valid ONNX model: {error.message}") from None


class _Model:
    """A ModelProto, its graph not yet read."""

    def __init__(self, wire: Wire, files: ExternalFiles) -> None:
        self._wire = wire
        self._files = files
        self._context = Context(wire, files)
        self._ir_version = 0
        self._spans: dict[int, list[Span]] = {}
        for tag, start, end in wire.fields(0, len(wire.data)):
            if tag in _PARTS:
                self._context.count()
                self._spans.setdefault(tag, []).append((start, end))
            elif tag == ModelTag.IR_VERSION:
                self._ir_version = start

    def graph(self) -> Graph:
        """The model's graph with everything around it."""
        span = self._checked()
        context = self._context
        context.functions = self._functions()
        graph = GraphReader(context, Surroundings(self._opsets())).read(span)
        if not graph.layers and not graph.outputs:
            raise RejectedModel("its graph has neither nodes nor outputs")
        graph.format = onnx.NAME
        graph.producer = self._producer()
        graph.metadata = self._metadata()
        graph.labels = _labels(graph.metadata)
        graph.companions = self._files.present()
        graph.missing = self._files.missing()
        graph.notes = [*context.notes, *self._notes()]
        return graph

    def _checked(self) -> Span:
        """Where the graph lies, if this is a model at all."""
        if not self._ir_version:
            raise RejectedModel("no ir_version")
        graphs = self._spans.get(ModelTag.GRAPH, [])
        if len(graphs) != 1:
            raise RejectedModel(f"{len(graphs)} graphs" if graphs else "no graph")
        return graphs[0]

    def _opsets(self) -> dict[str, int]:
        spans = self._spans.get(ModelTag.OPSET_IMPORT, [])
        if not spans and self._ir_version > _IR_WITHOUT_OPSETS:
            raise RejectedModel("no operator set is imported")
        return dict(decode_opset(self._wire, span) for span in spans) or {"": 1}

    def _functions(self) -> dict[Key, Function]:
        return dict(self._function(span) for span in self._spans.get(ModelTag.FUNCTIONS, []))

    def _function(self, span: Span) -> tuple[Key, Function]:
        wire = self._wire
        parts: dict[int, list[Span]] = {}
        for tag, start, end in wire.fields(*span):
            parts.setdefault(tag, []).append((start, end))

        def texts(tag: int) -> list[str]:
            return [wire.text(*place) for place in parts.get(tag, ())]

        domain, name, overload = (
            (texts(tag) or [""])[-1]
            for tag in (FunctionTag.DOMAIN, FunctionTag.NAME, FunctionTag.OVERLOAD)
        )
        function = Function(
            texts(FunctionTag.INPUT), texts(FunctionTag.OUTPUT), parts.get(FunctionTag.NODE, []),
            dict(decode_opset(wire, place) for place in parts.get(FunctionTag.OPSET_IMPORT, ())),
            {
                attribute_name(wire, place): decode_attribute(wire, place)
                for place in parts.get(FunctionTag.ATTRIBUTE_DEFAULT, ())
            },
            parts.get(FunctionTag.VALUE_INFO, []),
        )  # fmt: skip
        return (canonical_domain(domain), name, overload), function

    def _text(self, tag: int) -> str:
        spans = self._spans.get(tag)
        return self._wire.text(*spans[-1]) if spans else ""

    def _producer(self) -> str | None:
        words = self._text(ModelTag.PRODUCER_NAME), self._text(ModelTag.PRODUCER_VERSION)
        return " ".join(filter(None, words)) or None

    def _metadata(self) -> dict[str, str]:
        spans = self._spans.get(ModelTag.METADATA_PROPS, [])
        return dict(decode_pairs(self._wire, span) for span in spans)

    def _notes(self) -> list[str]:
        notes = []
        if ModelTag.TRAINING_INFO in self._spans:
            notes.append("training information is not read")
        return notes


def _labels(metadata: dict[str, str]) -> tuple[str, ...]:
    """Class names, where the exporter kept them: a list, or a dict from index to name."""
    for key in _LABEL_KEYS:
        text = metadata.get(key, "")
        if not text.startswith(("{", "[")) or len(text) > _LABELS_LIMIT:
            continue
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            continue
        if isinstance(value, dict):
            if not all(isinstance(index, int) for index in value):
                continue
            value = [value[index] for index in sorted(value)]
        if isinstance(value, list) and all(isinstance(part, str) for part in value):
            return tuple(value)
    return ()
