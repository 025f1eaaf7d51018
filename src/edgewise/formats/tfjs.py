"""TensorFlow.js: a graph model, which is TensorFlow's GraphDef as JSON with its weights in shards.

The nodes are read as TensorFlow's own; constants lie in the files of the weights' manifest, one
after the other. A layers model (Keras layers as JSON) is told and not read.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from edgewise.archive import File
from edgewise.errors import InputError, LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats.contract import Level, Sibling
from edgewise.graph import Graph

if TYPE_CHECKING:
    from edgewise.formats.messages import Message
    from edgewise.formats.netlist import Netlist
    from edgewise.formats.tensorflow.nodes import Node

NAME = "tfjs"
EXTENSIONS = (".json",)
LEVEL: Level = "graph"
SIBLINGS: tuple[Sibling, ...] = ()
LIMITS = {"bytes of JSON": 256 << 20, "nodes": 400_000}
SOURCES = (
    "https://github.com/tensorflow/tfjs/blob/master/tfjs-core/src/io/types.ts",
    "https://protobuf.dev/programming-guides/json",
)
_START = re.compile(
    rb'\s*\{.*?"(?:format"\s*:\s*"(?:graph|layers)-model"|modelTopology"\s*:|weightsManifest"\s*:)',
    re.S,
)
#: How a quantised weight is stored; else it is stored as its type.
_BYTES = {"float32": 4, "int32": 4, "bool": 1, "uint8": 1, "uint16": 2, "float16": 2,
          "complex64": 8}  # fmt: skip


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format`: a JSON object that begins as a model's description."""
    return 0.8 if _START.match(head) else 0.0


def read(file: File) -> Graph:
    """See `contract.Format`. No byte of the weights is touched."""
    from edgewise.formats.netlist import Netlist
    from edgewise.formats.tensorflow.graphs import Builder, Context
    from edgewise.formats.tensorflow.nodes import node_of

    described = _parsed(file)
    topology = described.get("modelTopology")
    kind = described.get("format")
    if not isinstance(topology, dict):
        raise RejectedModel("JSON without a model's topology")
    if kind == "layers-model" or "model_config" in topology:
        raise OpaqueModel("a layers model: its Keras layers are not read")
    nodes = [node_of(message) for message in _message(topology, "Graph").messages("node")]
    if not nodes or not all(node.name and node.op for node in nodes):
        raise RejectedModel("a graph without nodes, or with nodes that have no operator")
    if len(nodes) > LIMITS["nodes"]:
        raise LimitExceeded(f"{len(nodes):,} nodes; the limit nodes is {LIMITS['nodes']:,}")
    weights = _Weights(file, described.get("weightsManifest"))
    library = {
        message.message("signature").text("name"): message
        for message in _message(topology, "Graph").message("library").messages("function")
    }
    _state_inputs(nodes, described, weights)
    constants = {node.name: node for node in nodes if weights.has(node.name)}
    for node in constants.values():
        node.op, node.inputs = "VariableV2", []  # its value lies in the shards, not in the node
    context = Context(memoryview(b""), library, weights.store)
    builder = Builder(nodes, context, Netlist(PurePosixPath(file.name).stem, NAME))
    read_by = {builder.ref(text)[0] for node in nodes for text in node.inputs}
    results = [
        (node.name, 0) for node in nodes
        if node.name not in read_by and node.op not in ("Placeholder", "NoOp", "VariableV2")
    ]  # fmt: skip
    if not results:
        raise RejectedModel("a graph without a result")
    graph = builder.build(results)
    graph.companions, graph.missing = weights.there, weights.missing
    graph.producer = described.get("convertedBy") or described.get("generatedBy")
    graph.notes += list(context.notes)
    return graph


def _state_inputs(nodes: list[Node], described: dict[str, Any], weights: _Weights) -> None:
    """Give inputs that state no shape the one of the model's signature, or the one that the matrix
    they are multiplied with asks for."""
    from edgewise.formats.messages import Message

    stated: dict[str, Message] = {}
    signature = described.get("signature") or described.get("userDefinedMetadata", {})
    inputs = signature.get("inputs", {}) if isinstance(signature, dict) else {}
    for one in inputs.values() if isinstance(inputs, dict) else ():
        if isinstance(one, dict) and isinstance(one.get("tensorShape"), dict):
            name = str(one.get("name", "")).partition(":")[0]
            stated[name] = _message(one["tensorShape"], "Shape")
    for node in nodes:
        if node.op == "MatMul" and len(node.inputs) == 2 and not node.flag("transpose_a"):
            matrix = weights.shape(node.inputs[1])
            if matrix is not None and len(matrix) == 2:
                width = matrix[1 if node.flag("transpose_b") else 0]
                sizes = [Message({"size": [size]}) for size in (-1, width)]
                stated.setdefault(node.inputs[0], Message({"dim": list(sizes)}))
    for node in nodes:
        if node.op == "Placeholder" and node.shape("shape") is None and node.name in stated:
            node.attributes["shape"] = Message({"shape": [stated[node.name]]})


def _parsed(file: File) -> dict[str, Any]:
    import json

    if file.size > LIMITS["bytes of JSON"]:
        raise LimitExceeded(
            f"{file.size:,} bytes; the limit bytes of JSON is {LIMITS['bytes of JSON']:,}"
        )
    try:
        found = json.loads(bytes(file.data()))
    except (ValueError, RecursionError) as error:
        raise RejectedModel(f"no JSON: {error}") from error
    if not isinstance(found, dict):
        raise RejectedModel("JSON, but no object")
    return found


def _message(value: dict[str, Any], kind: str) -> Message:
    """A message out of its JSON form: 64-bit numbers are texts, bytes are in base 64."""
    from edgewise.formats.messages import Message
    from edgewise.formats.tensorflow.schema import SCHEMA

    fields: dict[str, list[Any]] = {}
    types = dict(SCHEMA[kind].values())
    for name, held in value.items():
        of = types.get(re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower())
        if of is None or held is None:
            continue
        field = re.sub(r"(?<!^)([A-Z])", r"_\1", name).lower()
        if of.endswith("Entry") and isinstance(held, dict):  # a map
            held = [{"key": key, "value": each} for key, each in held.items()]
        many = held if isinstance(held, list) else [held]
        fields[field] = [_value(each, of, kind) for each in many]
    return Message(fields)


def _value(value: Any, of: str, kind: str) -> Any:
    import base64
    import binascii

    from edgewise.formats.messages import Word
    from edgewise.formats.tensorflow.schema import SCHEMA

    if of in SCHEMA:
        if not isinstance(value, dict):
            raise RejectedModel(f"{of} is {value!r:.60}, no object")
        return _message(value, of)
    if of == "int" and isinstance(value, str):
        return int(value) if re.fullmatch(r"-?[0-9]{1,20}", value) else Word(value)
    if kind.startswith("Attr") and of == "text" and isinstance(value, str) and kind != "AttrEntry":
        try:
            return base64.b64decode(value, validate=True).decode("utf-8", "replace")
        except (binascii.Error, ValueError):
            return value
    return value


class _Weights:
    """The constants of the manifest, and the shards that they lie in."""

    def __init__(self, file: File, manifest: Any) -> None:
        self._file = file
        #: By name: type, shape, the group's paths, and where in the group they begin and end.
        self._known: dict[str, tuple[str, list[int], tuple[str, ...], int, int]] = {}
        paths: list[str] = []
        for group in manifest if isinstance(manifest, list) else ():
            paths += self._add(group)
        beside = [path for path in dict.fromkeys(paths) if file.sibling(path) is not None]
        self.there = tuple(beside)
        self.missing = tuple(path for path in dict.fromkeys(paths) if path not in beside)

    def _add(self, group: Any) -> list[str]:
        try:
            paths = tuple(str(path) for path in group["paths"])
            at = 0
            for each in group["weights"]:
                shape = [int(size) for size in each["shape"]]
                dtype = str(each["dtype"])
                stored = each.get("quantization", {}).get("dtype", dtype)
                size = math.prod(shape) * _BYTES.get(stored, 0)
                if any(part < 0 for part in shape):
                    raise ValueError("a negative size")
                self._known[str(each["name"])] = (stored, shape, paths, at, at + size)
                at += size
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RejectedModel(f"the weights' manifest is damaged: {error}") from error
        return list(paths)

    def has(self, name: str) -> bool:
        """Whether a node's value lies in the shards."""
        return name in self._known

    def shape(self, name: str) -> list[int] | None:
        """Of a constant, if it is one."""
        known = self._known.get(name)
        return None if known is None else known[1]

    def store(self, netlist: Netlist, node: Node, name: str) -> bool:
        """Store a node that is a constant of the manifest; False where it is none."""
        if node.name not in self._known:
            return False
        dtype, shape, paths, start, end = self._known[node.name]
        netlist.weight(name, dtype, shape, self._load(paths, start, end), bind=True)
        return True

    def _load(self, paths: tuple[str, ...], start: int, end: int) -> Callable[[], memoryview]:
        def load() -> memoryview:
            parts = []
            for path in paths:
                shard = self._file.sibling(path)
                if shard is None:
                    raise InputError(f"{self._file.path}: its weights {path!r} are not beside it")
                parts.append(shard.data())
            joined = parts[0] if len(parts) == 1 else memoryview(b"".join(parts))
            if end > len(joined):
                raise InputError(f"{self._file.path}: its weights end before {end:,} bytes")
            return joined[start:end]

        return load
