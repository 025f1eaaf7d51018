"""Caffe: the layers of the testing phase, with the weights that the trained file has for them."""

from __future__ import annotations

from pathlib import PurePosixPath

from edgewise.archive import File
from edgewise.errors import LimitExceeded, OpaqueModel, RejectedModel
from edgewise.formats import caffe
from edgewise.formats.caffe.network import Caffe
from edgewise.formats.caffe.ops import add_layer
from edgewise.formats.caffe.schema import SCHEMA, V1_NAMES, V1_TYPES
from edgewise.formats.messages import Decoder, Message, Word
from edgewise.formats.netlist import Netlist, slice_of
from edgewise.formats.protobuf import Span, Wire
from edgewise.formats.prototext import parse
from edgewise.formats.siblings import expected, find
from edgewise.graph import Graph

_TRAIN = 0
_FLOAT16 = 2
#: Layers that only bring data in.
DATA = (
    "Input", "Data", "ImageData", "HDF5Data", "WindowData", "MemoryData", "DummyData",
    "AnnotatedData", "VideoData", "CPMData", "DenseImageData", "ImageSegData",
)  # fmt: skip


def read(file: File) -> Graph:
    """See `contract.Format`. No byte of the weights is touched.

    Raises:
        RejectedModel: it is no network of Caffe's; says where it breaks.
        OpaqueModel: its layers are in the oldest messages (V0).
    """
    data = file.data()
    net, decoded = _network(data)
    layers = _layers(net)
    netlist = Netlist(net.text("name") or PurePosixPath(file.name).stem, caffe.NAME)
    reader = Caffe(netlist, file, file.name if decoded else expected(file, caffe.SIBLINGS))
    if decoded:
        _store(reader, data, net)
    else:
        _weights_beside(reader, layers)
    _inputs(reader, net)
    for layer in layers:
        if _type_of(layer) in DATA:
            _data(reader, layer, layers)
            continue
        for name in layer.texts("bottom"):
            if not netlist.known(name):
                raise RejectedModel(f"layer {layer.text('name')!r}: nothing makes {name!r}")
        add_layer(reader, _type_of(layer), layer)
    return netlist.finish()


def _network(data: memoryview) -> tuple[Message, bool]:
    """The network, and whether it comes from the wire rather than from text."""
    start = bytes(data[:256]).lstrip()
    if start[:1].isalpha() or start[:1] == b"#":
        return parse(data), False
    return Decoder(Wire(data), SCHEMA).decode("Net", (0, len(data))), True


def _weights_beside(reader: Caffe, layers: list[Message]) -> None:
    graph = reader.netlist.graph
    beside = find(reader.file, caffe.SIBLINGS, lambda other: _fits(other, layers))
    named = reader.file.sibling(reader.weights_name)
    if beside is None:
        if named is not None:
            graph.notes.append(f"{named.name}: not read: no trained network with these layers")
        graph.companions = graph.missing = (reader.weights_name,)
        return
    graph.companions = (beside.name,)
    data = beside.data()
    _store(reader, data, Decoder(Wire(data), SCHEMA).decode("Net", (0, len(data))))


def _fits(other: File, layers: list[Message]) -> bool:
    """Whether a file is a trained network that has blobs for the layers that need some."""
    head = other.head(16)
    if not head.startswith((b"\n", b"\xa2\x06", b"\x12")):
        return False
    data = other.data()
    try:
        net = Decoder(Wire(data), SCHEMA).decode("Net", (0, len(data)))
        found = {
            layer.text("name"): layer.messages("blobs")[0]
            for layer in (*net.messages("layer"), *net.messages("layers"))
            if layer.has("blobs")
        }
    except (RejectedModel, LimitExceeded):
        return False
    wanted = [layer for layer in layers if _type_of(layer) in ("Convolution", "InnerProduct")]
    return bool(found) and all(layer.text("name") in found for layer in wanted)


def _store(reader: Caffe, data: memoryview, net: Message) -> None:
    for layer in (*net.messages("layer"), *net.messages("layers")):
        blobs = layer.messages("blobs")
        if blobs:
            name = layer.text("name")
            reader.blobs[name] = [
                _blob(reader, data, f"{name}.{at}", blob) for at, blob in enumerate(blobs)
            ]


def _blob(reader: Caffe, data: memoryview, name: str, blob: Message) -> int:
    shape = blob.message("shape").integers("dim")
    if not blob.has("shape"):
        legacy = [blob.integer(key) for key in ("num", "channels", "height", "width")]
        shape = legacy if any(legacy) else []
    dtype, spans = "float32", _spans(blob, "data")
    if blob.has("double_data"):
        dtype, spans = "float64", _spans(blob, "double_data")
    elif blob.has("raw_data"):
        half = blob.integer("raw_data_type") == _FLOAT16
        dtype, spans = "float16" if half else "float32", _spans(blob, "raw_data")
    stored = sum(b - a for a, b in spans)
    if len(spans) == 1:
        load = slice_of(data, spans[0][0], stored, name)
    else:
        load = lambda: memoryview(b"".join(data[a:b] for a, b in spans))  # noqa: E731
    index = reader.netlist.weight(name, dtype, shape, load)
    weights = reader.netlist.tensor(index).weights
    if weights is not None and weights.nbytes != stored:
        raise RejectedModel(f"blob {name}: {stored:,} bytes for the shape {shape}")
    return index


def _spans(blob: Message, name: str) -> list[Span]:
    return [value for value in blob.all(name) if isinstance(value, tuple)]


def _layers(net: Message) -> list[Message]:
    """The layers that run when the network is used."""
    found = net.messages("layer") or net.messages("layers")
    if not found:
        raise RejectedModel("a message without layers")
    if any(layer.has("layer") for layer in found):
        raise OpaqueModel("layers in Caffe's oldest messages (V0)")
    layers = [layer for layer in found if _runs(layer)]
    if not net.has("input") and not any(_type_of(layer) in DATA for layer in layers):
        # What a training run saved: data came in for training only.
        layers = [layer for layer in found if _runs(layer) or _type_of(layer) in DATA]
    if not all(_type_of(layer) for layer in layers):
        raise RejectedModel("a layer without a type")
    return layers


def _runs(layer: Message) -> bool:
    phases = [_is_train(rule) for rule in layer.messages("include") if rule.has("phase")]
    if phases and all(phases):
        return False
    return not any(rule.has("phase") and not _is_train(rule) for rule in layer.messages("exclude"))


def _is_train(rule: Message) -> bool:
    phase = rule.last("phase")
    return phase == "TRAIN" if isinstance(phase, Word) else phase == _TRAIN


def _type_of(layer: Message) -> str:
    """Today's name of a layer's type."""
    kind = layer.last("type")
    if isinstance(kind, int):
        return V1_TYPES.get(kind, f"type_{kind}")
    if isinstance(kind, Word):
        return V1_NAMES.get(kind) or "".join(part.capitalize() for part in kind.split("_"))
    return layer.text("type")


def _inputs(reader: Caffe, net: Message) -> None:
    """Inputs that the network lists beside its layers."""
    names = net.texts("input")
    shapes = [shape.integers("dim") for shape in net.messages("input_shape")]
    flat = net.integers("input_dim")
    if flat and len(flat) == 4 * len(names):
        shapes = [flat[at : at + 4] for at in range(0, len(flat), 4)]
    for at, name in enumerate(names):
        reader.netlist.input(name, "float32", tuple(shapes[at]) if at < len(shapes) else None)


def _data(reader: Caffe, layer: Message, layers: list[Message]) -> None:
    """A layer that brings data in: its values are inputs of the network."""
    tops = layer.texts("top")
    shapes = [
        shape.integers("dim")
        for key in ("input_param", "dummy_data_param")
        for shape in layer.message(key).messages("shape")
    ]
    memory, dummy = layer.message("memory_data_param"), layer.message("dummy_data_param")
    sizes = [memory.integer(key) for key in ("batch_size", "channels", "height", "width")]
    if all(sizes):
        shapes = [sizes]
    legacy = [dummy.integers(key) for key in ("num", "channels", "height", "width")]
    if all(legacy) and not shapes:
        shapes = [[part[min(at, len(part) - 1)] for part in legacy] for at in range(len(tops))]
    if len(shapes) == 1:
        shapes *= len(tops)
    crop = layer.message("transform_param").integer("crop_size")
    read = {name for one in layers for name in one.texts("bottom")}
    for at, name in enumerate(tops):
        if at >= len(shapes) and crop > 0 and at == 0:
            shapes.append([1, _channels(reader, layers, name), crop, crop])
            reader.netlist.graph.notes.append(f"{name}: its size is the crop of the training data")
        if at == 0 or name in read:
            shape = tuple(shapes[at]) if at < len(shapes) else None
            reader.netlist.input(name, "float32", shape)


def _channels(reader: Caffe, layers: list[Message], name: str) -> int:
    """Channels of an image, as the first convolution's weights tell; else 3."""
    for layer in layers:
        if name in layer.texts("bottom") and _type_of(layer) == "Convolution":
            blobs = reader.blobs.get(layer.text("name"))
            shape = reader.netlist.tensor(blobs[0]).shape if blobs else None
            if shape and len(shape) == 4 and isinstance(shape[1], int):
                return shape[1] * layer.message("convolution_param").integer("group", 1)
    return 3
