"""Core ML models: which form a file has, what it says of its inputs, and pipelines of models."""

from __future__ import annotations

from edgewise.archive import Entry, File
from edgewise.errors import LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats.coreml import LIMITS
from edgewise.formats.coreml.blob import Storages
from edgewise.formats.coreml.mil import BlockReader
from edgewise.formats.coreml.program import Block, FromMessages
from edgewise.formats.coreml.scope import Scope
from edgewise.formats.coreml.spec import ARRAY_TYPES, MODELS, SCHEMA, shown
from edgewise.formats.kit import Meaning
from edgewise.formats.messages import Decoder, Message
from edgewise.formats.protobuf import Wire
from edgewise.formats.zipped import open_zip
from edgewise.graph import FreeDim, Graph, Kind, Shape

_NEWEST = 30
_DEPTH = 8
#: Models that hold no multiply-accumulate by counting.md.
_NO_MACS = frozenset((
    "treeEnsembleRegressor", "treeEnsembleClassifier", "kNearestNeighborsClassifier",
    "classConfidenceThresholding", "oneHotEncoder", "imputer", "featureVectorizer",
    "dictVectorizer", "scaler", "categoricalMapping", "normalizer", "arrayFeatureExtractor",
    "nonMaximumSuppression", "identity", "itemSimilarityRecommender", "gazetteer",
    "wordEmbedding",
))  # fmt: skip
_PIPELINES = ("pipeline", "pipelineClassifier", "pipelineRegressor")
_NETWORKS = ("neuralNetwork", "neuralNetworkClassifier", "neuralNetworkRegressor")


def read(file: File) -> Graph:
    """See `contract.Format.read`.

    Raises:
        RejectedModel: it is no valid model: no protobuf, a value that nothing gives, weights that
            do not fit their shape.
        OpaqueModel: a kind or version of model that says nothing of its network.
        LimitExceeded: it has more fields than anyone's model.
    """
    head = file.head(512)
    if head.startswith(b"PK\x03\x04"):
        return read(_inside(file))
    if head.startswith(b"program("):
        from edgewise.formats.coreml import miltext

        return finished(miltext.read(_text(file), Storages(file)), file)
    if head.lstrip()[:1] == b"{":
        from edgewise.formats.coreml import espresso

        return finished(espresso.read(file), file)
    return specification(file, file.data())


def finished(graph: Graph, file: File) -> Graph:
    """A graph with what all forms say of it; what is compiled has a description beside it."""
    graph.format = "coreml"
    if file.name.endswith((".mil", ".espresso.net")) and file.sibling("coremldata.bin") is not None:
        graph.companions = (*graph.companions, "coremldata.bin")
    return graph


def _text(file: File) -> str:
    data = file.data()
    if len(data) > LIMITS["bytes of text"]:
        raise LimitExceeded(f"a program of more than {LIMITS['bytes of text'] >> 20} MiB of text")
    return str(data, "utf-8", "replace")


def _inside(file: File) -> Entry:
    """The model in a zipped package."""
    archive = open_zip(file)
    for ending in ("/com.apple.CoreML/model.mlmodel", ".mlmodel", "/model.mil",
                   "/model.espresso.net"):  # fmt: skip
        for entry in archive:
            if entry.entry_name.endswith(ending):
                return entry
    raise RejectedModel("a zipped package without a model in it")


def specification(file: File, data: memoryview) -> Graph:
    """A `.mlmodel`, from its bytes."""
    wire = Wire(data)
    model = Decoder(wire, SCHEMA).decode("Model", (0, len(data)))
    version = model.integer("specificationVersion")
    if not 1 <= version <= _NEWEST or not model.has("description"):
        raise RejectedModel("not a Core ML specification: no version or no description")
    storages = Storages(file)
    graph = _Reader(wire, storages).model(model, 0)
    described = model.message("description").message("metadata")
    graph.metadata = {"specification_version": str(version)} | shown(
        described, {"author": "author", "license": "license", "shortDescription": "description",
                    "versionString": "version"})  # fmt: skip
    own = {m.text("key"): m.text("value") for m in described.messages("userDefined")}
    graph.metadata |= own
    source = own.get("com.github.apple.coremltools.version")
    graph.producer = f"coremltools {source}" if source else None
    graph.companions, graph.missing = tuple(storages.companions), tuple(storages.missing)
    return finished(graph, file)


def inputs_of(description: Message) -> dict[str, tuple[str, Shape | None]]:
    """A model's inputs by name: dtype and shape, images with a batch and channels first."""
    found = {}
    for feature in description.messages("input"):
        name, kind = feature.text("name"), feature.message("type")
        found[name] = _feature(name, kind)
    return found


def _feature(name: str, kind: Message) -> tuple[str, Shape | None]:
    if kind.has("imageType"):
        image = kind.message("imageType")
        channels = 1 if image.integer("colorSpace") in (10, 40) else 3
        return "float32", (1, channels, image.integer("height"), image.integer("width"))
    if kind.has("stateType"):
        kind = kind.message("stateType")
        kind.fields["multiArrayType"] = kind.fields.get("arrayType", [])
    if not kind.has("multiArrayType"):
        return ("int64" if kind.has("int64Type") else "float64"), (1,)
    array = kind.message("multiArrayType")
    shape = array.integers("shape")
    if not shape and array.has("enumeratedShapes"):
        options = array.message("enumeratedShapes").messages("shapes")
        shape = options[0].integers("shape") if options else []
    ranges = array.message("shapeRange").messages("sizeRanges")
    sizes: list[int | FreeDim] = list(shape)
    for axis, one in enumerate(ranges):
        lower, upper = one.integer("lowerBound"), one.integer("upperBound")
        size = shape[axis] if axis < len(shape) else max(lower, 1)
        stated = size if lower == upper else FreeDim(f"{name}_{axis}", size)
        sizes[axis : axis + 1] = [stated]
    if any(isinstance(size, int) and size < 0 for size in sizes):
        raise RejectedModel(f"input {name!r} of a negative size")
    return ARRAY_TYPES.get(array.integer("dataType"), "float32"), tuple(sizes) if sizes else None


class _Reader:
    """Reads models out of one file."""

    def __init__(self, wire: Wire, storages: Storages) -> None:
        self._wire = wire
        self._storages = storages

    def model(self, model: Message, depth: int) -> Graph:
        """The graph of a model, one of a pipeline too."""
        if depth > _DEPTH:
            raise RejectedModel(f"pipelines nested deeper than {_DEPTH}")
        kind = next((name for name in MODELS.values() if model.has(name)), None)
        if kind is None:
            raise RejectedModel("a model of no kind")
        description = model.message("description")
        if kind == "mlProgram":
            graph = self._program(model.message(kind), description)
        elif kind in _NETWORKS:
            from edgewise.formats.coreml.neural import NetworkReader

            reader = NetworkReader(self._wire)
            names = [one.text("name") for one in description.messages("output")]
            graph = reader.network(model.message(kind), inputs_of(description), names)
        elif kind in _PIPELINES:
            pipeline = model.message(kind)
            inner = pipeline if kind == "pipeline" else pipeline.message("pipeline")
            graph = self._pipeline(inner, description, depth)
        else:
            graph = self._other(kind, description)
        graph.labels = graph.labels or _labels(model, kind)
        return graph

    def _program(self, program: Message, description: Message) -> Graph:
        functions = {one.text("key"): one.message("value") for one in program.messages("functions")}
        wanted = description.text("defaultFunctionName") or "main"
        function = functions.get(wanted) or next(iter(functions.values()), None)
        if function is None:
            raise RejectedModel("a program without functions")
        for one in description.messages("functions"):
            if one.text("name") == wanted:
                description = one
        blocks = {one.text("key"): one.message("value") for one in function.messages("blocks")}
        chosen = blocks.get(function.text("opset")) or next(iter(blocks.values()), None)
        if chosen is None:
            raise RejectedModel("a function without a block")
        reading = FromMessages(self._wire, self._storages)
        inner = reading.block(chosen)
        named = [reading.named(one) for one in function.messages("inputs")]
        block = Block(named, inner.outputs, inner.operations)
        shapes = {name: shape for name, (_, shape) in inputs_of(description).items() if shape}
        return BlockReader().read(block, shapes)

    def _pipeline(self, pipeline: Message, description: Message, depth: int) -> Graph:
        """Models one behind the other: each takes values by name and gives others."""
        builder = Scope()
        for name, (dtype, shape) in inputs_of(description).items():
            builder.input(name, dtype, shape)
        names = pipeline.texts("names")
        for at, model in enumerate(pipeline.messages("models")):
            graph = self.model(model, depth + 1)
            inputs = [builder.named(graph.tensors[index].name) for index in graph.inputs]
            outputs = [one.text("name") for one in model.message("description").messages("output")]
            made = [
                builder.value(outputs[place] if place < len(outputs) else f"output_{place}",
                               graph.tensors[index].dtype, None)
                for place, index in enumerate(graph.outputs)
            ]  # fmt: skip
            label = names[at] if at < len(names) else f"model_{at}"
            builder.put("model", Meaning(Kind.CALL), inputs, made, name=label, bodies=(graph,))
            builder.graph.notes += graph.notes
        found = [builder.named(one.text("name")) for one in description.messages("output")]
        builder.graph.outputs = [index for index in found if index is not None]
        return builder.graph

    def _other(self, kind: str, description: Message) -> Graph:
        """A model that is no network: named, and whether it multiplies and accumulates."""
        if kind in ("customModel", "linkedModel", "serializedModel"):
            raise OpaqueModel(f"a Core ML model of the kind {kind}: the app has what it does")
        builder = Scope()
        inputs = [builder.input(name, *about) for name, about in inputs_of(description).items()]
        outputs = [
            builder.value(one.text("name"), *_feature(one.text("name"), one.message("type")))
            for one in description.messages("output")
        ]
        meaning = Meaning(Kind.POSTPROCESS if kind in _NO_MACS else Kind.UNKNOWN)
        builder.put(kind, meaning, inputs, outputs, name=kind)
        builder.graph.outputs = outputs
        builder.graph.level = "operators"
        return builder.graph


def _labels(model: Message, kind: str) -> tuple[str, ...]:
    if kind != "neuralNetworkClassifier":
        return ()
    return tuple(model.message(kind).message("stringLabels").texts("vector"))
