"""Keras: from a configuration and an HDF5 file of weights to a graph."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from edgewise.archive import Entry, File
from edgewise.errors import LimitExceeded, MalformedArchive, RejectedModel
from edgewise.formats import hdf5, keras
from edgewise.formats.keras.model import Call, Key, Model
from edgewise.formats.keras.ops import add
from edgewise.formats.keras.store import ROLES, Store, scattered
from edgewise.formats.listing import weights_graph
from edgewise.formats.netlist import Netlist, slice_of
from edgewise.formats.zipped import open_zip
from edgewise.graph import FreeDim, Graph, Shape, Tensor, Weights

MAX_LAYERS = 20_000
MAX_DEPTH = 16
MAX_JSON = 64 << 20


def read(file: File) -> Graph:
    """See `contract.Format`. No byte of the weights is touched.

    Raises:
        RejectedModel: it is no model of Keras'; says where it breaks.
        LimitExceeded: it lists more layers than any real model.
    """
    name = PurePosixPath(file.name).stem
    if file.head(4) == b"PK\x03\x04":
        archive = open_zip(file)
        config, weights = archive.get("config.json"), archive.get("model.weights.h5")
        if config is None:
            raise RejectedModel("a zip without config.json")
        data = memoryview(b"") if weights is None else _content(weights)
        contents = hdf5.read(data) if len(data) else hdf5.Contents()
        about, store = _json(_content(config)), Store(data, contents.datasets, by_name=False)
        metadata = archive.get("metadata.json")
        version = _json(_content(metadata)).get("keras_version") if metadata else None
        prefix = ""
    else:
        data = file.data()
        contents = hdf5.read(data)
        root = contents.attributes.get("", {})
        version = root.get("keras_version")
        if "model_config" not in root:
            return _weights_alone(data, contents)
        about = _json(root["model_config"].encode())
        store, prefix = Store(data, contents.datasets, by_name=True), "model_weights"
    netlist = Netlist(name, keras.NAME)
    build(Model(netlist, store, prefix, build), about)
    graph = netlist.graph
    graph.producer = f"Keras {version}" if version else None
    return graph


def _content(entry: Entry) -> memoryview:
    try:
        return entry.data()
    except MalformedArchive as error:
        raise RejectedModel(error.message) from error


def _weights_alone(data: memoryview, contents: hdf5.Contents) -> Graph:
    """A file of weights without the network: what it stores."""
    paths = {
        path: one
        for path, one in contents.datasets.items()
        if one.dtype != "unknown" and "optimizer" not in path.split("/")
    }
    if not any(
        "/vars/" in path or path.rsplit("/", 1)[-1].split(":")[0] in ROLES for path in paths
    ):
        raise RejectedModel("HDF5, but neither a model nor weights of Keras'")
    return weights_graph(
        (
            Tensor(
                ".".join(path.replace("/vars/", "/").replace(".", "_").rsplit("/", 1)),
                one.dtype,
                one.shape,
                Weights(
                    one.nbytes,
                    scattered if one.start is None else slice_of(data, one.start, one.nbytes, path),
                ),
            )
            for path, one in paths.items()
        ),
        keras.NAME,
    )


def _json(raw: memoryview | bytes) -> dict[str, Any]:
    if len(raw) > MAX_JSON:
        raise LimitExceeded(f"a configuration of {len(raw):,} bytes")
    try:
        value = json.loads(bytes(raw))
    except (ValueError, RecursionError) as error:
        raise RejectedModel(f"its configuration is no JSON: {error}") from error
    if not isinstance(value, dict):
        raise RejectedModel("its configuration is no object")
    return value


def build(model: Model, about: dict[str, Any]) -> None:
    """Fill the netlist of a model with its layers.

    Raises:
        RejectedModel: the configuration contradicts itself.
    """
    if model.depth > MAX_DEPTH:
        raise LimitExceeded(f"models nested deeper than {MAX_DEPTH}")
    kind, config = about.get("class_name"), about.get("config")
    layers = config if isinstance(config, list) else (config or {}).get("layers")
    if not isinstance(layers, list) or not all(isinstance(one, dict) for one in layers):
        raise RejectedModel(f"{kind}: a model whose layers are its own code")
    if len(layers) > MAX_LAYERS:
        raise LimitExceeded(f"{len(layers):,} layers, more than {MAX_LAYERS:,}")
    groups = _groups(model, layers)
    if kind == "Sequential":
        _sequential(model, layers, groups)
    else:
        _functional(model, config, layers, groups)


def _groups(model: Model, layers: list[dict[str, Any]]) -> dict[int, str]:
    """Where the weights of each layer are: by its name, or by its class and number."""
    counts: dict[str, int] = {}
    found = {}
    for place, layer in enumerate(layers):
        name = layer_name(layer)
        if model.store.by_name:
            found[place] = _group_of(model, name)
            continue
        kind = snake_case(str(layer.get("class_name", "")))
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        label = f"{kind}_{number}" if number else kind
        found[place] = f"{model.prefix}layers/{label}"
    return found


def _group_of(model: Model, name: str) -> str:
    """The group of a layer by its name; inside another model Keras 3 repeats the model's."""
    if not model.prefix:
        return name
    plain = f"{model.prefix}/{name}"
    again = f"{model.prefix}/{model.prefix.rsplit('/', 1)[-1]}/{name}"
    if model.depth and not any(path.startswith(f"{plain}/") for path in model.store.datasets):
        return again
    return plain


def layer_name(layer: dict[str, Any]) -> str:
    """The name of a layer."""
    config = layer.get("config")
    inside = config.get("name") if isinstance(config, dict) else None
    return str(layer.get("name") or inside or layer.get("class_name") or "")


def snake_case(name: str) -> str:
    """`BatchNormalization` as Keras writes it in paths: `batch_normalization`."""
    text = re.sub(r"\W+", "", name)
    text = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", text)
    return re.sub("([a-z])([A-Z])", r"\1_\2", text).lower()


def _settings(layer: dict[str, Any]) -> dict[str, Any]:
    config = layer.get("config")
    return config if isinstance(config, dict) else {}


def _input_shape(config: dict[str, Any]) -> Shape | None:
    stated = config.get("batch_shape") or config.get("batch_input_shape")
    return open_shape(stated)


def open_shape(stated: Any) -> Shape | None:
    """A shape with None for free sizes, the first of which is the batch."""
    if not isinstance(stated, list) or not all(s is None or isinstance(s, int) for s in stated):
        return None
    return tuple(
        size if isinstance(size, int) else FreeDim("batch" if axis == 0 else f"free_{axis}")
        for axis, size in enumerate(stated)
    )


def _sequential(model: Model, layers: list[dict[str, Any]], groups: dict[int, str]) -> None:
    value = ""
    for place, layer in enumerate(layers):
        name, config = layer_name(layer), _settings(layer)
        if layer.get("class_name") == "InputLayer" or not value:
            value = f"{name}:in"
            dtype = config.get("dtype")
            shape = _input_shape(config)
            model.netlist.input(value, dtype if isinstance(dtype, str) else "float32", shape)
            if layer.get("class_name") == "InputLayer":
                continue
        made = f"{name}:0"
        stored = model.store.of(model.netlist, groups[place], name)
        call = Call(str(layer.get("class_name")), name, config, [value], [made], stored, layer)
        add(model, call, groups[place])
        value = made
    model.netlist.graph.outputs = [model.netlist.value(value)]


def _functional(
    model: Model, config: Any, layers: list[dict[str, Any]], groups: dict[int, str]
) -> None:
    waiting: list[tuple[int, int, list[Key], Any]] = []
    for place, layer in enumerate(layers):
        nodes = layer.get("inbound_nodes") or []
        for number, node in enumerate(nodes):
            keys = list(_read_by(node, model.shapes, 0))
            waiting.append((place, number, keys, node))
        if not nodes:
            waiting.append((place, 0, [], None))
    made: dict[Key, str] = {}
    stored: dict[int, list[tuple[str, int]]] = {}
    outputs = _keys(config.get("output_layers"))
    wanted_of: dict[tuple[str, int], int] = {}
    for key in (*model.shapes, *outputs):
        wanted_of[key[:2]] = max(wanted_of.get(key[:2], 0), key[2])
    for place, number, keys, node in _ordered(layers, waiting):
        layer = layers[place]
        name, settings = layer_name(layer), _settings(layer)
        missing = next((key for key in keys if key not in made), None)
        if missing is not None:
            raise RejectedModel(f"layer {name!r} reads {missing}, which none makes")
        if layer.get("class_name") == "InputLayer":
            dtype = settings.get("dtype")
            label = f"{name}:0"
            shape = _input_shape(settings)
            index = model.netlist.input(
                label, dtype if isinstance(dtype, str) else "float32", shape
            )
            model.netlist.tensor(index).name = name
            made[name, 0, 0] = label
            continue
        if place not in stored:
            stored[place] = model.store.of(model.netlist, groups[place], name)
        count = wanted_of.get((name, number), 0) + 1
        if count > 64:
            raise RejectedModel(f"layer {name!r} with {count} outputs")
        labels = [f"{name}:{number}:{one}" for one in range(count)]
        call = Call(
            str(layer.get("class_name")), name, settings, [made[key] for key in keys],
            labels, stored[place], layer | {"node": node},
        )  # fmt: skip
        add(model, call, groups[place])
        for one, label in enumerate(labels):
            made[name, number, one] = label
            tensor = model.netlist.tensor(model.netlist.value(label))
            tensor.shape = tensor.shape or model.shapes.get((name, number, one))
    inputs = [key for key in _keys(config.get("input_layers")) if key in made]
    order = {model.netlist.value(made[key]): place for place, key in enumerate(inputs)}
    model.netlist.graph.inputs.sort(key=lambda index: order.get(index, len(order)))
    given = [model.netlist.value(made[key]) for key in outputs if key in made]
    model.netlist.graph.outputs = given or model.netlist.finish().outputs


def _ordered(
    layers: list[dict[str, Any]], calls: list[tuple[int, int, list[Key], Any]]
) -> Iterator[tuple[int, int, list[Key], Any]]:
    """Calls after those that they read, whatever the file's order.

    Raises:
        RejectedModel: some read one another.
    """
    makers = {(layer_name(layers[call[0]]), call[1]): call for call in calls}
    left = {id(call): len({key[:2] for key in call[2]} & makers.keys()) for call in calls}
    readers: dict[tuple[str, int], list[tuple[int, int, list[Key], Any]]] = {}
    for call in calls:
        for maker in {key[:2] for key in call[2]} & makers.keys():
            readers.setdefault(maker, []).append(call)
    ready = deque(call for call in calls if not left[id(call)])
    done = 0
    while ready:
        call = ready.popleft()
        done += 1
        yield call
        for reader in readers.get((layer_name(layers[call[0]]), call[1]), ()):
            left[id(reader)] -= 1
            if not left[id(reader)]:
                ready.append(reader)
    if done < len(calls):
        raise RejectedModel(f"{len(calls) - done} layers read one another")


def _keys(listed_layers: Any) -> list[Key]:
    """Layers as a list of [name, call, output], or one such."""
    if not isinstance(listed_layers, list):
        return []
    if len(listed_layers) == 3 and isinstance(listed_layers[0], str):
        listed_layers = [listed_layers]
    return [
        (str(one[0]), one[1], one[2])
        for one in listed_layers
        if isinstance(one, list) and len(one) >= 3 and all(isinstance(n, int) for n in one[1:3])
    ]


def _read_by(node: Any, shapes: dict[Key, Shape], depth: int) -> Iterator[Key]:
    """The values that a call reads, in order, their shapes noted."""
    if depth > MAX_DEPTH:
        raise RejectedModel("arguments nested too deeply")
    if isinstance(node, dict):
        if node.get("class_name") == "__keras_tensor__" and isinstance(node.get("config"), dict):
            history = node["config"].get("keras_history")
            if isinstance(history, list) and len(history) == 3:
                key = (str(history[0]), int(history[1]), int(history[2]))
                shape = open_shape(node["config"].get("shape"))
                if shape is not None:
                    shapes[key] = shape
                yield key
            return
        for value in node.values():
            yield from _read_by(value, shapes, depth + 1)
    elif isinstance(node, list):
        old = len(node) >= 3 and isinstance(node[0], str)
        if old and isinstance(node[1], int) and isinstance(node[2], int):
            yield (node[0], node[1], node[2])
            yield from _read_by(node[3:], shapes, depth + 1)
            return
        for value in node:
            yield from _read_by(value, shapes, depth + 1)
