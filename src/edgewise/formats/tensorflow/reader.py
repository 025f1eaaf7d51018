"""TensorFlow: a frozen graph or a SavedModel, from the wire or from text."""

from __future__ import annotations

from pathlib import PurePosixPath

from edgewise.archive import File
from edgewise.errors import OpaqueModel, RejectedModel
from edgewise.formats import tensorflow
from edgewise.formats.messages import Decoder, Message
from edgewise.formats.netlist import Netlist, absent
from edgewise.formats.protobuf import Wire
from edgewise.formats.prototext import parse
from edgewise.formats.tensorflow.bundle import Bundle
from edgewise.formats.tensorflow.graphs import Builder, Context, Ref
from edgewise.formats.tensorflow.nodes import Node, node_of
from edgewise.formats.tensorflow.schema import SCHEMA
from edgewise.graph import Graph, Signature, Weights

_VARIABLES = ("VarHandleOp", "VariableV2", "Variable", "AutoReloadVariable")
#: Operators whose result nobody reads although it is none of the network's.
_NO_RESULT = frozenset({
    "Const", "Placeholder", "PlaceholderV2", "NoOp", "Assert", "SaveV2", "RestoreV2", "Assign",
    "AssignVariableOp", "MergeV2Checkpoints", "ShardedFilename", "VarHandleOp", "VariableV2",
    "HistogramSummary", "ScalarSummary", "MergeSummary", "VarIsInitializedOp", "Identity_",
    "Switch", "LoopCond", "Enter", "Exit", "Merge", "NextIteration", "DisableCopyOnRead", "Print",
})  # fmt: skip
_SERVING = "serving_default"


def read(file: File) -> Graph:
    """See `contract.Format`. No byte of the weights is touched.

    Raises:
        RejectedModel: it is no graph of TensorFlow's; says where it breaks.
        LimitExceeded: it asks for more work than any real model does.
    """
    data = file.data()
    if bytes(data[:3]) == b"\x08\x01\x12":
        return _saved(file, data)
    start = bytes(data[:64]).lstrip()
    if start[:1] == b"#" or start[:4] == b"node" or start[:7] == b"library":
        message = parse(data)
    else:
        message = Decoder(Wire(data), SCHEMA).decode("Graph", (0, len(data)))
    reader = _Reader(file, data, message)
    graph = reader.builder.build(reader.unread())
    return reader.finish(graph)


class _Reader:
    """One file while it is read."""

    def __init__(self, file: File, data: memoryview, graph: Message) -> None:
        self._file = file
        self._bundle: Bundle | None = None
        nodes = [node_of(message) for message in graph.messages("node")]
        if not nodes or not all(node.name and node.op for node in nodes):
            raise RejectedModel("a graph without nodes, or with nodes that have no operator")
        library = {
            message.message("signature").text("name"): message
            for message in graph.message("library").messages("function")
        }
        netlist = Netlist(PurePosixPath(file.name).stem, tensorflow.NAME)
        context = Context(data, library, self._variable)
        self.builder = Builder(nodes, context, netlist)

    def use(self, bundle: Bundle) -> None:
        """Where the values of variables are."""
        self._bundle = bundle

    def unread(self) -> list[Ref]:
        """The values that no node reads: what a frozen graph gives."""
        builder = self.builder
        read = {builder.ref(text)[0] for node in builder.nodes.values() for text in node.inputs}
        found = [
            (node.name, 0)
            for node in builder.nodes.values()
            if node.name not in read and node.op not in _NO_RESULT
        ]
        fed = _fed(builder)
        useful = [ref for ref in found if ref[0] in fed]
        if not found:
            raise RejectedModel("a graph without a result")
        return useful or found

    def finish(self, graph: Graph) -> Graph:
        """The graph with what is known about the file."""
        graph.notes += list(self.builder.context.notes)
        if self._bundle is not None:
            graph.companions, graph.missing = self._bundle.names, self._bundle.missing
        for tensor in graph.tensors:
            tensor.name = tensor.name.removesuffix(":0")
        return graph

    def _variable(self, netlist: Netlist, node: Node, name: str) -> bool:
        """Store a node that is a variable; False where it is none."""
        if node.op not in _VARIABLES:
            return False
        found = None
        for label in (node.text("shared_name"), node.name):
            if found is None and self._bundle is not None and label:
                found = self._bundle.find(label)
        if found is not None:
            entry, weights = found
            index = netlist.define(name, entry.dtype, entry.shape)
            netlist.tensor(index).weights = Weights(weights.nbytes, weights.load)
            return True
        shape = node.shape("shape")
        if shape is None or any(size < 0 for size in shape):
            netlist.define(name, node.dtype("dtype"), None)
            return True
        load = absent(self._file, "variables/variables.index")
        netlist.weight(name, node.dtype("dtype"), shape, load, bind=True)
        return True


def _fed(builder: Builder) -> set[str]:
    """The nodes that depend on what is fed."""
    users: dict[str, list[str]] = {}
    for node in builder.nodes.values():
        for text in node.inputs:
            users.setdefault(builder.ref(text)[0], []).append(node.name)
    stack = [node.name for node in builder.nodes.values() if node.op.startswith("Placeholder")]
    found: set[str] = set()
    while stack:
        name = stack.pop()
        if name not in found:
            found.add(name)
            stack += users.get(name, ())
    return found


def _saved(file: File, data: memoryview) -> Graph:
    """The signature that serves, or the first one."""
    saved = Decoder(Wire(data), SCHEMA).decode("SavedModel", (0, len(data)))
    metas = saved.messages("meta_graphs")
    if not metas:
        raise RejectedModel("a SavedModel without a graph")
    meta = next((m for m in metas if "serve" in m.message("meta_info_def").texts("tags")), metas[0])
    reader = _Reader(file, data, meta.message("graph_def"))
    bundle = Bundle(file)
    bundle.open()
    reader.use(bundle)
    signatures = {
        entry.text("key"): entry.message("value") for entry in meta.messages("signature_def")
    }
    signatures = {key: one for key, one in signatures.items() if one.has("outputs")}
    if not signatures:
        raise OpaqueModel("a SavedModel without a signature that gives something")
    name = _SERVING if _SERVING in signatures else next(iter(signatures))
    outputs = signatures[name].messages("outputs")
    builder = reader.builder
    wanted = [builder.ref(entry.message("value").text("name")) for entry in outputs]
    graph = builder.build(wanted)
    labels = {
        entry.message("value").text("name").removesuffix(":0"): entry.text("key")
        for entry in signatures[name].messages("inputs")
    }
    graph.signatures = (
        Signature(
            name,
            {labels.get(graph.tensors[i].name, graph.tensors[i].name): i for i in graph.inputs},
            {e.text("key"): i for e, i in zip(outputs, graph.outputs, strict=True)},
        ),
    )
    others = [key for key in signatures if key not in (name, "serve", "__saved_model_init_op")]
    if others:
        graph.notes.append(f"{len(others)} more entry points ({', '.join(others)}) are not counted")
    version = meta.message("meta_info_def").text("tensorflow_version")
    graph.producer = f"TensorFlow {version}" if version else None
    return reader.finish(graph)
