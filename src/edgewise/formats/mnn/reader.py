"""MNN: from the flatbuffer to a graph. Subgraphs are bodies of loops and branches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from edgewise.archive import File
from edgewise.errors import LimitExceeded, RejectedModel
from edgewise.formats import mnn
from edgewise.formats.flatbuffer import Flatbuffer, Table
from edgewise.formats.mnn.body import Body, Operator
from edgewise.formats.mnn.ops import add
from edgewise.formats.mnn.schema import (
    NC4HW4,
    NCHW,
    NHWC,
    OPERATORS,
    TYPES,
    NetSlot,
    OpSlot,
    SubgraphSlot,
)
from edgewise.formats.mnn.weights import Values
from edgewise.formats.netlist import Netlist
from edgewise.graph import FreeDim, Graph, Shape

MAX_SUBGRAPHS = 4096


def read(file: File) -> Graph:
    """See `contract.Format`. No byte of the weights is touched.

    Raises:
        RejectedModel: it is no valid file of MNN's; says where it breaks.
        LimitExceeded: it asks for more work than any real model does.
    """
    data = file.data()
    net = Flatbuffer(data).root()
    operators = net.tables(NetSlot.OPERATORS)
    names = net.texts(NetSlot.NAMES)
    if not len(operators) or not names:
        raise RejectedModel("a table without operators or names of tensors")
    subgraphs = net.tables(NetSlot.SUBGRAPHS)
    if len(subgraphs) > MAX_SUBGRAPHS:
        raise LimitExceeded(f"{len(subgraphs):,} subgraphs, more than {MAX_SUBGRAPHS:,}")
    body = Body(
        Netlist(PurePosixPath(file.name).stem, mnn.NAME),
        names,
        Values(file, data),
        {table.text(SubgraphSlot.NAME) or "": table for table in subgraphs},
        _body,
    )
    _fill(body, _operators(operators, names))
    quantised = net.tables(NetSlot.DESCRIBED)
    _mark_quantised(body, quantised)
    graph = body.netlist.finish()
    stated = [body.netlist.value(_number(names, name)) for name in net.texts(NetSlot.OUTPUTS)]
    graph.outputs = stated or graph.outputs
    _rename(graph, names)
    extra = net.table(NetSlot.EXTRA)
    version = extra.text(2) if extra else None
    graph.producer = f"MNN {version}" if version else None
    if body.values.looked_for:
        graph.companions = (body.values.name,)
        graph.missing = () if body.values.beside else (body.values.name,)
    return graph


def _number(names: Sequence[str], name: str) -> str:
    try:
        return str(names.index(name))
    except ValueError as problem:
        raise RejectedModel(f"the output {name!r} is no tensor of the network") from problem


def _operators(tables: Sequence[Table], names: Sequence[str]) -> list[Operator]:
    found = []
    for table in tables:
        number = table.int32(OpSlot.TYPE)
        op = OPERATORS.get(number)
        if op is None:
            op = f"OpType_{number}"
        inputs, outputs = table.int32s(OpSlot.INPUTS), table.int32s(OpSlot.OUTPUTS)
        if any(not 0 <= index < len(names) for index in outputs) or any(
            not -1 <= index < len(names) for index in inputs
        ):
            raise RejectedModel(f"{op}: tensors {[*inputs, *outputs][:8]} of {len(names)}")
        found.append(
            Operator(
                op,
                table.text(OpSlot.NAME) or "",
                table.table(OpSlot.MAIN) or table.empty(),
                inputs,
                outputs,
                table.int8(OpSlot.LAYOUT, 1) == 1,
            )
        )
    return found


def _fill(body: Body, operators: list[Operator]) -> None:
    for operator in operators:
        if operator.op == "Input":
            _input(body, operator)
        elif operator.op in ("Const", "TrainableParam"):
            _constant(body, operator)
        else:
            for index in operator.inputs:
                if index >= 0 and not body.netlist.known(body.key(index)):
                    raise RejectedModel(
                        f"{operator.op} {operator.name}: nothing makes {body.names[index]!r}"
                    )
            first = operator.inputs[0] if operator.inputs else -1
            operator.channels_last = body.orders.get(first, NCHW) == NHWC
            add(body, operator)
            for index in operator.outputs:
                body.orders[index] = _order(operator, body.orders.get(first, NCHW))


def _order(operator: Operator, given: int) -> int:
    """The order of the axes of what an operator gives: packed by windows, else as it came."""
    if operator.op == "ConvertTensor":
        return operator.main.int8(1)
    return NC4HW4 if "Conv" in operator.op or "Pool" in operator.op else given


def _input(body: Body, operator: Operator) -> None:
    dims = operator.main.int32s(0)
    dtype = TYPES.get(operator.main.int32(1, 1), "float32")
    shape: Shape | None = tuple(
        size if size > 0 else FreeDim("batch" if axis == 0 else f"{operator.name}_{axis}")
        for axis, size in enumerate(dims)
    )
    if not dims:
        shape = None
    for index in operator.outputs:
        body.orders[index] = operator.main.int8(2, NC4HW4)
        body.netlist.input(body.key(index), dtype, shape)


def _constant(body: Body, operator: Operator) -> None:
    dtype, shape, weights = body.values.blob(operator.main)
    for index in operator.outputs:
        made = body.netlist.define(body.key(index), dtype, shape)
        body.netlist.tensor(made).weights = weights


def _body(table: Table, outside: Body) -> Graph:
    """A subgraph; its inputs and outputs in the order that it lists them."""
    names = table.texts(SubgraphSlot.NAMES)
    name = table.text(SubgraphSlot.NAME) or ""
    netlist = Netlist(name, mnn.NAME)
    body = Body(netlist, names, outside.values, outside.subgraphs, _body, outside.depth + 1)
    inputs, outputs = table.int32s(SubgraphSlot.INPUTS), table.int32s(SubgraphSlot.OUTPUTS)
    if any(not 0 <= index < len(names) for index in (*inputs, *outputs)):
        raise RejectedModel(f"subgraph {name}: tensors {[*inputs, *outputs][:8]} of {len(names)}")
    for index in inputs:
        netlist.input(str(index))
    operators = _operators(table.tables(SubgraphSlot.OPERATORS), names)
    _fill(body, [one for one in operators if one.op != "Input"])
    graph = netlist.graph
    graph.outputs = [netlist.value(str(index)) for index in outputs]
    _rename(graph, names)
    return graph


def _rename(graph: Graph, names: Sequence[str]) -> None:
    for tensor in graph.tensors:
        if tensor.name.isdigit() and int(tensor.name) < len(names):
            tensor.name = names[int(tensor.name)]


def _mark_quantised(body: Body, described: Sequence[Table]) -> None:
    """Activations that are 8-bit integers when the network runs."""
    for table in described:
        quantised, index = table.table(4), table.int32(1)
        if quantised is None or not 0 <= index < len(body.names):
            continue
        if TYPES.get(quantised.int32(4)) == "int8" and body.netlist.known(str(index)):
            body.netlist.tensor(body.netlist.value(str(index))).dtype = "int8"
