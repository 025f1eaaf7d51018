"""OpenVINO IR, versions 10 and 11: read it into a `Graph`.

The XML lists layers with their ports, edges between ports, and for a constant its place in the
`.bin` file beside it (https://docs.openvino.ai, "Operation Set Specifications"). Weights are found
there and not read. Bodies of If, Loop and TensorIterator are networks inside a layer.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.etree import ElementTree

from edgewise.archive import File
from edgewise.errors import InputError, LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats.building import (
    Budget,
    Builder,
    Meaning,
    byte_size,
    meaning_of,
    missing,
    stored,
)
from edgewise.formats.openvino.control import control_flow, number
from edgewise.formats.openvino.operator import Operator, dtype_name
from edgewise.formats.openvino.ops import OPERATORS
from edgewise.graph import FreeDim, Graph, Kind, Shape, Tensor, Weights

#: The largest XML that is read: a network of 20,000 layers takes about 40 MB.
XML_LIMIT = 256 << 20
DEPTH_LIMIT = 32
_OLDEST = 10

Port = tuple[int, int]


def read(file: File) -> Graph:
    """See `contract.Format.read`.

    Raises:
        RejectedModel: it is no valid IR: no XML, an edge from nowhere, a constant that does not
            fit its shape.
        OpaqueModel: a version before 10, whose layers mean something else.
        LimitExceeded: the XML is larger than any known network's.
    """
    root = _parse(file)
    version = root.get("version", "")
    if not version.isdigit():
        raise RejectedModel(f"not an OpenVINO network: version {version!r:.20}")
    if int(version) < _OLDEST:
        raise OpaqueModel(f"OpenVINO IR version {version}: only 10 and later are read")
    blob = Blob(file)
    builder = read_network(root, blob, Budget(), 0)
    graph = builder.graph
    graph.format = "openvino"
    graph.producer = _producer(root)
    graph.metadata = {"ir_version": version}
    graph.companions = blob.companions()
    graph.notes += blob.notes
    return graph


def _parse(file: File) -> ElementTree.Element:
    data = file.data()
    if len(data) > XML_LIMIT:
        raise LimitExceeded(f"XML larger than {XML_LIMIT >> 20} MiB")
    text = bytes(data)
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise RejectedModel("XML with a document type: entities are not followed")
    try:
        root = ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise RejectedModel(f"not valid XML: {error}") from error
    if root.tag != "net" or root.find("layers") is None:
        raise RejectedModel("XML, but no OpenVINO network")
    return root


def _producer(root: ElementTree.Element) -> str | None:
    for name in ("Runtime_version", "MO_version"):
        found = root.find(f"rt_info/{name}")
        if found is not None and found.get("value"):
            return f"OpenVINO {found.get('value')}"
    return None


class Blob:
    """The weights' file, which lies beside the XML under the same stem."""

    def __init__(self, file: File) -> None:
        stem = file.name.rpartition(".")[0] or file.name
        self._name = f"{stem}.bin"
        self._file = file.sibling(self._name)
        self._data: memoryview | None = None
        self.notes: list[str] = []

    def companions(self) -> tuple[str, ...]:
        """Names of the files that belong to the model."""
        return (self._name,) if self._file is not None else ()

    def weights(self, offset: int, size: int) -> Weights:
        """The bytes at a place."""
        if self._file is None:
            why = f"{self._name!r} is not beside the model"
            if why not in self.notes:
                self.notes.append(why)
            return missing(size, why)
        if self._data is None:
            self._data = self._file.data()
        return stored(self._data, offset, size)


@dataclass(slots=True)
class Node:
    """A layer of the XML."""

    element: ElementTree.Element
    id: int
    name: str
    op: str
    data: dict[str, str]
    inputs: list[int] = field(default_factory=list)
    outputs: list[tuple[int, str, Shape]] = field(default_factory=list)


def read_network(root: ElementTree.Element, blob: Blob, budget: Budget, depth: int) -> Builder:
    """A network or a body. Its builder's keys are (layer, port); a Result's are (layer, -1)."""
    if depth > DEPTH_LIMIT:
        raise RejectedModel(f"bodies nested deeper than {DEPTH_LIMIT}")
    builder = Builder(root.get("name", ""), budget)
    nodes = [_node(element) for element in root.iterfind("layers/layer")]
    if not nodes:
        raise RejectedModel("a network without layers")
    edges = _edges(root)
    for node in _ordered(nodes, edges):
        _add(builder, node, edges, blob, depth)
    return builder


def _edges(root: ElementTree.Element) -> dict[Port, Port]:
    names = ("to-layer", "to-port", "from-layer", "from-port")
    edges = {}
    for edge in root.iterfind("edges/edge"):
        to_layer, to_port, from_layer, from_port = (number(edge, name) for name in names)
        edges[to_layer, to_port] = (from_layer, from_port)
    return edges


def _node(element: ElementTree.Element) -> Node:
    data = element.find("data")
    op = element.get("type", "")
    if not op:
        raise RejectedModel("a layer without a type")
    node = Node(
        element, number(element, "id"), element.get("name", ""), op,
        dict(data.attrib) if data is not None else {},
    )  # fmt: skip
    node.inputs = [number(port, "id") for port in element.iterfind("input/port")]
    node.outputs = [
        (number(port, "id"), port.get("precision", ""), _dims(port, node))
        for port in element.iterfind("output/port")
    ]
    return node


def _dims(port: ElementTree.Element, node: Node) -> Shape:
    sizes = []
    for axis, dim in enumerate(port.iterfind("dim")):
        sizes.append(_dim((dim.text or "").strip(), f"{node.name}_{axis}"))
    return tuple(sizes)


def _dim(text: str, name: str) -> int | FreeDim:
    """A dimension: a number, -1 or ? (free), or a range such as 1..4."""
    if text.isdigit():
        return int(text)
    return FreeDim(name)


def _ordered(nodes: list[Node], edges: dict[Port, Port]) -> list[Node]:
    """Makers before readers; the file's order where it is one already."""
    known = {node.id: node for node in nodes}
    if len(known) != len(nodes):
        raise RejectedModel("two layers have the same id")
    done: set[int] = set()
    ordered: list[Node] = []
    for first in nodes:
        stack = [(first, iter(_makers(first, edges)))] if first.id not in done else []
        waiting = {first.id}
        while stack:
            node, makers = stack[-1]
            maker = next((m for m in makers if m not in done), None)
            if maker is None:
                stack.pop()
                done.add(node.id)
                ordered.append(node)
                continue
            if maker in waiting or maker not in known:
                raise RejectedModel(f"layer {node.name!r} reads itself or a layer that is not here")
            waiting.add(maker)
            stack.append((known[maker], iter(_makers(known[maker], edges))))
    return ordered


def _makers(node: Node, edges: dict[Port, Port]) -> list[int]:
    ports = ((node.id, port) for port in node.inputs)
    return [edges[port][0] for port in ports if port in edges]


def _add(builder: Builder, node: Node, edges: dict[Port, Port], blob: Blob, depth: int) -> None:
    keys = [edges.get((node.id, port)) for port in node.inputs]
    inputs = [None if key is None else builder.use(key, node.name) for key in keys]
    graph = builder.graph
    if node.op == "Parameter":
        graph.inputs.append(_parameter(builder, node))
    elif node.op in ("Result", "Assign") and not node.outputs:
        if node.op == "Result":
            if not inputs or inputs[0] is None:
                raise RejectedModel(f"output {node.name!r} that nothing gives")
            graph.outputs.append(inputs[0])
            builder.rebind((node.id, -1), inputs[0])
    elif node.op == "Const":
        _constant(builder, node, blob)
    else:
        _operator(builder, node, inputs, blob, depth)


def _parameter(builder: Builder, node: Node) -> int:
    if len(node.outputs) != 1:
        raise RejectedModel(f"input {node.name!r} with {len(node.outputs)} ports")
    port, precision, dims = node.outputs[0]
    text = node.data.get("shape")
    shape: Shape | None = dims
    if text is not None:
        sizes = [part.strip() for part in text.split(",")] if text.strip() else []
        # "..." is a free rank.
        shape = (
            None
            if "..." in sizes
            else tuple(_dim(size, f"{node.name}_{axis}") for axis, size in enumerate(sizes))
        )
    dtype = dtype_name(node.data.get("element_type", precision))
    return builder.add(Tensor(node.name, dtype, shape), (node.id, port))


def _constant(builder: Builder, node: Node, blob: Blob) -> None:
    if len(node.outputs) != 1:
        raise RejectedModel(f"constant {node.name!r} with {len(node.outputs)} ports")
    port, precision, dims = node.outputs[0]
    sizes = tuple(size for size in dims if isinstance(size, int))
    dtype = dtype_name(node.data.get("element_type", precision))
    try:
        offset, size = int(node.data["offset"]), int(node.data["size"])
    except (KeyError, ValueError):
        raise RejectedModel(f"constant {node.name!r} without a place") from None
    wanted = byte_size(dtype, sizes)
    if len(sizes) != len(dims) or (wanted is not None and wanted > size):
        raise RejectedModel(f"constant {node.name!r}: {size:,} bytes do not fill its shape")
    weights = blob.weights(offset, size if wanted is None else wanted)
    index = builder.add(Tensor(node.name, dtype, sizes, weights), (node.id, port))
    builder.layer(node.name, node.op, Meaning(Kind.CONSTANT), (), (index,))


def _operator(
    builder: Builder, node: Node, inputs: list[int | None], blob: Blob, depth: int
) -> None:
    outputs = [
        builder.add(
            Tensor(node.name if not at else f"{node.name}.{at}", dtype_name(precision), dims),
            (node.id, port),
        )
        for at, (port, precision, dims) in enumerate(node.outputs)
    ]
    if node.op in ("If", "Loop", "TensorIterator"):

        def body(element: ElementTree.Element) -> Builder:
            return read_network(element, blob, builder.budget, depth + 1)

        ports = [port for port, _, _ in node.outputs]
        meaning, arranged, bodies = control_flow(node.element, node.inputs, inputs, ports, body)
        builder.layer(node.name, node.op, meaning, arranged, outputs, bodies)
        return
    operator = Operator(node.op, node.data, builder, inputs, len(outputs))
    try:
        meaning = meaning_of(OPERATORS, node.op, operator)
    except (ValueError, InputError) as error:
        raise RejectedModel(f"layer {node.name!r}: {error}") from error
    builder.layer(node.name, node.op, meaning, inputs, outputs)
