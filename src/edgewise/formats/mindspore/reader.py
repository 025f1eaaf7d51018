"""MindSpore Lite's flatbuffer (`MSL2`): tensors, nodes and subgraphs, with all shapes stated."""

from __future__ import annotations

from edgewise.archive import File
from edgewise.errors import OpaqueModel, RejectedModel
from edgewise.formats.building import Builder
from edgewise.formats.flatbuffer import Flatbuffer
from edgewise.formats.mindspore.control import Follower
from edgewise.formats.mindspore.model import Model, Slots
from edgewise.graph import Graph


def read(file: File) -> Graph:
    """See `contract.Format.read`.

    Raises:
        RejectedModel: an offset or index does not fit, or a tensor does not fill its shape.
        OpaqueModel: a version of before the current schema.
        LimitExceeded: more parts than any known network has.
    """
    head = file.head(8)
    if head[4:8] != b"MSL2":
        version = str(head[4:8], "latin-1") if head[4:7] == b"MSL" else "MSL0"
        if head[4:7] != b"MSL":
            _check_old(file)
        raise OpaqueModel(f"MindSpore Lite's schema {version}: only MSL2 is read")
    root = Flatbuffer(file.data()).root()
    try:
        graph = _graph(Model(root))
    except (IndexError, ValueError, TypeError, KeyError) as error:
        raise RejectedModel(f"not a valid MindSpore Lite model: {error!r}"[:200]) from error
    graph.format, graph.name = "mindspore", root.text(Slots.NAME) or ""
    made_by = root.text(Slots.VERSION)
    graph.producer = f"MindSpore Lite {made_by}" if made_by else None
    return graph


def _check_old(file: File) -> None:
    """A file of before identifiers is at least a flatbuffer with a list of nodes or graphs.

    Raises:
        RejectedModel: it is none.
    """
    root = Flatbuffer(file.data()).root()
    if not any(len(root.tables(slot)) for slot in (Slots.INPUTS, Slots.NODES, Slots.TENSORS)):
        raise RejectedModel("not MindSpore Lite: no nodes")


def _graph(model: Model) -> Graph:
    """The graph of the first subgraph."""
    if not len(model.tensors):
        raise RejectedModel("a model without tensors")
    builder = Builder("", model.budget)
    for index in model.root.uint32s(Slots.INPUTS):
        builder.graph.inputs.append(model.define(builder, index))
    nodes = range(len(model.nodes))
    if len(model.subgraphs):
        nodes = model.subgraphs[0].uint32s(3)  # type: ignore[assignment]
    follower = Follower(model, builder)
    for number in nodes:
        follower.node(model.nodes[number])
    outputs = model.root.uint32s(Slots.OUTPUTS)
    builder.graph.outputs = [model.use(builder, index) for index in outputs]
    return builder.graph
