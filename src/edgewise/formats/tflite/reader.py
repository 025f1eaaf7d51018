"""TFLite, also called LiteRT: a flatbuffer of subgraphs, operators, tensors and buffers.

The first subgraph is the network, as for TFLite's interpreter; others are bodies of control flow,
or further entry points that the file's signatures name. Translation of operators starts in
`ops.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from edgewise.archive import File
from edgewise.errors import LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats import tflite
from edgewise.formats.flatbuffer import Flatbuffer, Table
from edgewise.formats.kit import UNKNOWN, Meaning, arrange
from edgewise.formats.tflite.custom import custom
from edgewise.formats.tflite.metadata import read_about
from edgewise.formats.tflite.operator import Indices, Operator
from edgewise.formats.tflite.ops import RULES
from edgewise.formats.tflite.recurrent import RECURRENT
from edgewise.formats.tflite.schema import (
    CUSTOM,
    OPERATORS,
    SCHEMA_VERSION,
    MetadataSlot,
    ModelSlot,
    OperatorCodeSlot,
    OperatorSlot,
    SignatureSlot,
    SubGraphSlot,
    TensorMapSlot,
)
from edgewise.formats.tflite.special import SPECIAL
from edgewise.formats.tflite.stablehlo import STABLEHLO
from edgewise.formats.tflite.tensors import TensorReader
from edgewise.graph import Graph, Layer, Signature, Tensor, Weights

#: Bodies of control flow may be nested this deep, and come to this many layers when every use of a
#: body is counted: a body may be used by several layers of another, and so on.
MAX_DEPTH = 32
MAX_LAYERS_IN_ALL = 1_000_000

_TRANSLATORS = RULES | RECURRENT | STABLEHLO | SPECIAL


def read(file: File) -> Graph:
    """See `contract.Format`. No byte of the weights is touched.

    Raises:
        RejectedModel: it is no valid TFLite file; says where it breaks.
        OpaqueModel: its schema is of another version.
        LimitExceeded: it asks for more work than any real model does.
    """
    data = file.data()
    identified = bytes(data[4:8]) == tflite.IDENTIFIER
    try:
        return _Model(file, data, identified).read()
    except RejectedModel as error:
        if identified:
            raise
        raise RejectedModel(
            "neither the identifier TFL3 at byte 4 nor the structure of a TFLite file",
            hint="encrypted, compressed or another format",
        ) from error


@dataclass(slots=True)
class _Calls:
    """A subgraph that was read, with the bodies that its layers call, by number."""

    graph: Graph
    calls: list[tuple[Layer, tuple[int, ...]]] = field(default_factory=list)


class _Model:
    """One file while it is read."""

    def __init__(self, file: File, data: memoryview, identified: bool) -> None:
        self._file = file
        self._buffer = buffer = Flatbuffer(data)
        self._model = buffer.root()
        self._no_options = buffer.missing_table()
        self._check_version(identified)
        self._subgraphs = self._model.tables(ModelSlot.SUBGRAPHS)
        if not len(self._subgraphs):
            raise RejectedModel("the model has no subgraphs")
        self._ops = [_op(code) for code in self._model.tables(ModelSlot.OPERATOR_CODES)]
        self._tensors = TensorReader(file, data, self._model)

    def read(self) -> Graph:
        """The network."""
        graph = self._connected()
        stored = self._metadata()
        about = read_about(self._model.text(ModelSlot.DESCRIPTION), stored, self._file)
        graph.format = tflite.NAME
        graph.resizable = True
        graph.extent = self._extent()
        graph.name = about.texts.get("name") or graph.name or PurePosixPath(self._file.name).stem
        graph.producer = about.producer
        graph.metadata = about.texts
        graph.labels = about.labels
        graph.companions = tuple(self._tensors.companions)
        graph.missing = tuple(n for n in graph.companions if self._file.sibling(n) is None)
        graph.signatures = self._signatures()
        graph.notes = about.notes + self._notes(graph)
        return graph

    def _extent(self) -> int:
        """Where the last thing that belongs to the model ends; writers fill up to four bytes."""
        end = max(self._buffer.reach, self._tensors.reach)
        return min(end + -end % 4, len(self._buffer.data))

    def _check_version(self, identified: bool) -> None:
        version = self._model.uint32(ModelSlot.VERSION)
        if version != SCHEMA_VERSION:
            problem = f"TFLite schema version {version}, not {SCHEMA_VERSION}"
            raise OpaqueModel(problem) if identified else RejectedModel(problem)

    def _connected(self) -> Graph:
        """The first subgraph, with all those that it calls as bodies of its layers."""
        read: dict[int, _Calls] = {}
        waiting = [0]
        while waiting:
            number = waiting.pop()
            if number in read:
                continue
            if not 0 <= number < len(self._subgraphs):
                raise RejectedModel(f"subgraph {number} of {len(self._subgraphs)} does not exist")
            read[number] = self._subgraph(number)
            waiting += [body for _, bodies in read[number].calls for body in bodies]
        _check_calls(read)
        for one in read.values():
            for layer, bodies in one.calls:
                layer.bodies = tuple(read[body].graph for body in bodies)
        return read[0].graph

    def _subgraph(self, number: int) -> _Calls:
        table = self._subgraphs[number]
        tables = table.tables(SubGraphSlot.TENSORS)
        where = f"subgraph {number}"
        inputs = _present(table.int32s(SubGraphSlot.INPUTS), len(tables), f"inputs of {where}")
        outputs = _present(table.int32s(SubGraphSlot.OUTPUTS), len(tables), f"outputs of {where}")
        tensors = self._tensors.read(tables, frozenset(inputs))
        name = table.text(SubGraphSlot.NAME) or ""
        result = _Calls(Graph("" if name == "main" else name, tensors, [], inputs, outputs))
        for at, operator in enumerate(table.tables(SubGraphSlot.OPERATORS)):
            try:
                layer, bodies = self._layer(operator, tensors)
            except RejectedModel as error:
                raise RejectedModel(f"{where}, operator {at}: {error.message}") from error
            result.graph.layers.append(layer)
            if bodies:
                result.calls.append((layer, bodies))
        _fill_empty_constants(result.graph)
        return result

    def _layer(self, table: Table, tensors: list[Tensor]) -> tuple[Layer, tuple[int, ...]]:
        code = table.uint32(OperatorSlot.OPCODE_INDEX)
        if code >= len(self._ops):
            raise RejectedModel(f"operator code {code} of {len(self._ops)} does not exist")
        number, op = self._ops[code]
        operator = Operator(
            op,
            table,
            table.table(OperatorSlot.OPTIONS)
            or table.table(OperatorSlot.OPTIONS_2)
            or self._no_options,
            _indices(table.int32s(OperatorSlot.INPUTS), len(tensors)),
            _indices(table.int32s(OperatorSlot.OUTPUTS), len(tensors)),
            tensors,
        )
        translated = _translate(number, operator)
        first = operator.outputs[0] if operator.outputs else None
        layer = Layer(
            tensors[first].name if first is not None else op,
            op,
            translated.kind,
            arrange(operator.inputs, translated, _no_tensor, rest=True),
            operator.outputs,
            dict(translated.attributes),
        )
        return layer, translated.bodies

    def _metadata(self) -> dict[str, memoryview]:
        """The metadata buffers by name; the first of a name counts."""
        stored: dict[str, memoryview] = {}
        for entry in self._model.tables(ModelSlot.METADATA):
            name = entry.text(MetadataSlot.NAME) or ""
            stored.setdefault(name, self._tensors.buffer(entry.uint32(MetadataSlot.BUFFER)))
        return stored

    def _signatures(self) -> tuple[Signature, ...]:
        return tuple(
            Signature(
                table.text(SignatureSlot.KEY) or "",
                _named_tensors(table.tables(SignatureSlot.INPUTS)),
                _named_tensors(table.tables(SignatureSlot.OUTPUTS)),
                table.uint32(SignatureSlot.SUBGRAPH),
            )
            for table in self._model.tables(ModelSlot.SIGNATURES)
        )

    def _notes(self, graph: Graph) -> list[str]:
        others = [one.name for one in graph.signatures if one.subgraph != 0]
        notes: list[str] = []
        if others:
            notes.append(
                f"{len(others)} more entry points ({', '.join(others)}) are not counted: "
                "the network is the first subgraph"
            )
        return notes


def _op(code: Table) -> tuple[int, str]:
    """Number and name of an operator code. Old files only have the byte, new ones both."""
    number = max(
        code.int8(OperatorCodeSlot.DEPRECATED_BUILTIN_CODE),
        code.int32(OperatorCodeSlot.BUILTIN_CODE),
    )
    if number == CUSTOM:
        return number, code.text(OperatorCodeSlot.CUSTOM_CODE) or OPERATORS[CUSTOM]
    return number, OPERATORS[number] if 0 <= number < len(OPERATORS) else f"BUILTIN_{number}"


def _translate(number: int, operator: Operator) -> Meaning:
    if number == CUSTOM:
        return custom(operator)
    translate = _TRANSLATORS.get(operator.op)
    return UNKNOWN if translate is None else translate(operator)


def _no_tensor(tensor: Tensor) -> int:
    raise AssertionError(f"{tensor.name}: every tensor of this format stands in the file")


def _indices(numbers: tuple[int, ...], count: int) -> Indices:
    """Tensors of an operator: -1 is an optional one left out."""
    if numbers and not (min(numbers) >= -1 and max(numbers) < count):
        raise RejectedModel(f"tensors {list(numbers)[:8]} of {count}")
    return tuple(None if number < 0 else number for number in numbers) if -1 in numbers else numbers


def _present(numbers: tuple[int, ...], count: int, what: str) -> list[int]:
    if numbers and not (min(numbers) >= 0 and max(numbers) < count):
        raise RejectedModel(f"{what}: tensors {list(numbers)[:8]} of {count}")
    return list(numbers)


def _fill_empty_constants(graph: Graph) -> None:
    """A constant without elements has no buffer, such as the target shape of a scalar."""
    made = {index for layer in graph.layers for index in layer.outputs} | set(graph.inputs)
    for index, tensor in enumerate(graph.tensors):
        if tensor.weights is None and index not in made and tensor.shape and 0 in tensor.shape:
            tensor.weights = Weights(0, lambda: memoryview(b""))


def _named_tensors(entries: Iterable[Table]) -> dict[str, int]:
    return {
        entry.text(TensorMapSlot.NAME) or "": entry.uint32(TensorMapSlot.TENSOR)
        for entry in entries
    }


def _check_calls(read: dict[int, _Calls]) -> None:
    """Refuse subgraphs that call themselves, and those that call each other into the millions."""
    size: dict[int, int] = {}
    depth: dict[int, int] = {}
    path: dict[int, None] = {}
    stack = [0]
    while stack:
        number = stack[-1]
        bodies = [body for _, bodies in read[number].calls for body in bodies]
        open_bodies = [body for body in bodies if body not in size]
        if number in size or not open_bodies:
            stack.pop()
            path.pop(number, None)
            depth[number] = 1 + max((depth[body] for body in bodies), default=0)
            size[number] = len(read[number].graph.layers) + sum(size[body] for body in bodies)
            continue
        path[number] = None
        if any(body in path for body in open_bodies):
            raise RejectedModel(f"subgraph {number} calls itself, directly or through others")
        stack.append(open_bodies[0])
    if depth[0] > MAX_DEPTH:
        raise LimitExceeded(f"control flow nested deeper than {MAX_DEPTH}")
    if size[0] > MAX_LAYERS_IN_ALL:
        raise LimitExceeded(f"control flow of more than {MAX_LAYERS_IN_ALL:,} layers in all")
