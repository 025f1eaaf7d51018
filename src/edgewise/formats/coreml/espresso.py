"""Compiled networks of before programs: `model.espresso.net`, `.shape` and `.weights`.

The first two are JSON: layers with inputs (`bottom`) and outputs (`top`), and the sizes n, k, h, w
of every value. The weights: u64 count, then (u64 number, u64 size) for each, then the data (read
off public readers of the format).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from edgewise.archive import File
from edgewise.errors import LimitExceeded, RejectedModel
from edgewise.formats import siblings
from edgewise.formats.building import missing, stored
from edgewise.formats.contract import Sibling
from edgewise.formats.coreml.scope import Scope
from edgewise.formats.kit import Meaning, function
from edgewise.graph import Graph, Kind, Shape, Tensor, Weights

JSON_LIMIT, BLOB_LIMIT, LAYER_LIMIT = 64 << 20, 100_000, 100_000
_SHAPES = (Sibling(".espresso.net", ".espresso.shape", "shapes"),)
_WEIGHTS = (Sibling(".espresso.net", ".espresso.weights"),)
_FIRST = "channels_first"

Layer = Mapping[str, Any]


def read(file: File) -> Graph:
    """The graph of a compiled network.

    Raises:
        RejectedModel: the JSON is none, or a layer reads what nothing gives.
        LimitExceeded: more layers than any known network has.
    """
    net = _json(file)
    layers = net.get("layers")
    if not isinstance(layers, list) or not net.get("format_version"):
        raise RejectedModel("JSON, but no compiled network")
    if len(layers) > LAYER_LIMIT:
        raise LimitExceeded(f"more than {LAYER_LIMIT:,} layers")
    beside = siblings.find(file, _SHAPES)
    shapes = _shapes(_json(beside)) if beside is not None else {}
    try:
        return _Reader(file, shapes).graph(layers)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RejectedModel(f"not a valid compiled network: {error!r}"[:200]) from error


def _json(file: File) -> dict[str, Any]:
    data = file.data()
    if len(data) > JSON_LIMIT:
        raise LimitExceeded(f"{file.name} is larger than {JSON_LIMIT >> 20} MiB")
    try:
        found = json.loads(bytes(data))
    except (ValueError, RecursionError) as error:
        raise RejectedModel(f"{file.name} is no JSON: {error}"[:200]) from error
    if not isinstance(found, dict):
        raise RejectedModel(f"{file.name} is no JSON object")
    return found


def _shapes(about: dict[str, Any]) -> dict[str, Shape]:
    """Sizes of values: batch, channels, height, width."""
    rows = about.get("layer_shapes")
    if not isinstance(rows, dict):
        return {}
    return {
        name: tuple(int(row.get(axis, 1)) for axis in "nkhw")
        for name, row in rows.items()
        if isinstance(row, dict)
    }


class _Reader:
    def __init__(self, file: File, shapes: Mapping[str, Shape]) -> None:
        self._shapes = shapes
        self._scope = Scope()
        self._file = siblings.find(file, _WEIGHTS)
        self._expected = siblings.expected(file, _WEIGHTS)
        self._places = self._directory()

    def _directory(self) -> dict[int, tuple[int, int]]:
        if self._file is None:
            return {}
        data = self._file.data()
        count = int.from_bytes(data[:8], "little")
        if count > BLOB_LIMIT or 8 + 16 * count > len(data):
            raise RejectedModel(f"{self._file.name}: {count:,} entries do not fit")
        places, at = {}, 8 + 16 * count
        for number in range(count):
            entry = 8 + 16 * number
            key, size = (int.from_bytes(data[i : i + 8], "little") for i in (entry, entry + 8))
            places[key] = (at, size)
            at += size
        return places

    def graph(self, layers: list[Layer]) -> Graph:
        """The graph of all layers."""
        scope = self._scope
        used: set[str] = set()
        for layer in layers:
            bottoms, given = _names(layer, "bottom"), _names(layer, "top")
            inputs = [self._value(name) for name in bottoms]
            meaning, weights = self._meaning(layer)
            outputs = [scope.value(n, "float32", self._shapes.get(n)) for n in given]
            label = str(layer["name"])
            scope.put(str(layer["type"]), meaning, [*inputs, *weights], outputs, name=label)
            used |= set(bottoms)
        graph = scope.graph
        tops = dict.fromkeys(name for layer in layers for name in _names(layer, "top"))
        graph.outputs = [scope.wanted(n, "the network") for n in tops if n not in used]
        graph.companions = () if self._file is None else (self._file.name,)
        graph.missing = () if self._file is not None else (self._expected,)
        graph.metadata = {"form": "compiled network"}
        return graph

    def _value(self, name: str) -> int:
        """A value; what nothing gave before is an input."""
        known = self._scope.named(name)
        if known is not None:
            return known
        return self._scope.input(name, "float32", self._shapes.get(name))

    def _meaning(self, layer: Layer) -> tuple[Meaning, list[int | None]]:
        op = str(layer["type"])
        if op in ("convolution", "deconvolution"):
            return self._convolution(layer, op == "deconvolution")
        if op == "inner_product":
            return self._dense(layer)
        if op == "batchnorm":
            params = self._stored(layer, "blob_batchnorm_params", (4, int(layer["C"])))
            return function(Kind.NORMALISE, "batch"), [params]
        return _KINDS.get(op, Meaning(Kind.UNKNOWN)), []

    def _convolution(self, layer: Layer, turned: bool) -> tuple[Meaning, list[int | None]]:
        out, inside, groups = (int(layer.get(key, 1)) for key in ("C", "K", "n_groups"))
        kernel = (int(layer["Ny"]), int(layer["Nx"]))
        shape = (inside, out // groups, *kernel) if turned else (out, inside // groups, *kernel)
        modes = {1: "same", 2: "valid"}
        pads: Any = modes.get(int(layer.get("pad_mode", 0))) or tuple(
            int(layer.get(f"pad_{side}", 0)) for side in "tlbr"
        )
        attributes = {
            "layout": _FIRST, "weight_layout": "IO*" if turned else "OI*", "groups": groups,
            "strides": (int(layer.get("stride_y", 1)), int(layer.get("stride_x", 1))),
            "dilations": (int(layer.get("dilation_y", 1)), int(layer.get("dilation_x", 1))),
            "pads": pads, **_fused(layer),
        }  # fmt: skip
        meaning = Meaning(Kind.CONV_TRANSPOSE if turned else Kind.CONV, attributes)
        return meaning, [self._weight(layer, shape), self._bias(layer, out)]

    def _dense(self, layer: Layer) -> tuple[Meaning, list[int | None]]:
        """x is (n, k, 1, 1): a fully connected layer over what it holds."""
        inside, out = int(layer["nB"]), int(layer["nC"])
        attributes = {"layout": _FIRST, "weight_layout": "OI*", "groups": 1, **_fused(layer)}
        weight = self._weight(layer, (out, inside, 1, 1))
        return Meaning(Kind.CONV, attributes), [weight, self._bias(layer, out)]

    def _weight(self, layer: Layer, shape: tuple[int, ...]) -> int | None:
        for key, dtype in (("blob_weights", "float32"), ("blob_weights_f16", "float16")):
            if key in layer:
                return self._stored(layer, key, shape, dtype)
        held = layer.get("weights")
        for key in ("W_int8", "W_t_int8", "W_S8", "wGamma", "wBeta"):
            if isinstance(held, dict) and key in held:
                return self._stored(held, key, shape, "int8" if "8" in key else "float32")
        return self._tensor(layer, "weights", shape, "float32", missing(0, "no weights are named"))

    def _bias(self, layer: Layer, out: int) -> int | None:
        if not layer.get("has_biases") or "blob_biases" not in layer:
            return None
        return self._stored(layer, "blob_biases", (out,))

    def _stored(
        self, layer: Layer, key: str, shape: tuple[int, ...], dtype: str = "float32"
    ) -> int | None:
        if key not in layer:
            return None
        width = {"float32": 4, "float16": 2, "int8": 1}[dtype]
        size = math.prod(shape) * width
        if self._file is None:
            weights = missing(size, f"{self._expected!r} is not beside the model")
        else:
            place = self._places.get(int(layer[key]))
            if place is None or place[1] < size:
                raise RejectedModel(f"weights {layer[key]} do not fill {shape}")
            weights = stored(self._file.data(), place[0], size)
        return self._tensor(layer, key, shape, dtype, weights)

    def _tensor(
        self, layer: Layer, key: str, shape: tuple[int, ...], dtype: str, weights: Weights
    ) -> int:
        name = f"{layer.get('name', key)}.{key.removeprefix('blob_')}"
        return self._scope.add(Tensor(name, dtype, shape, weights))


def _names(layer: Layer, key: str) -> list[str]:
    return [name for name in str(layer.get(key, "")).split(",") if name]


def _fused(layer: Layer) -> dict[str, str]:
    for name in ("relu", "tanh", "prelu"):
        if layer.get(f"fused_{name}") or layer.get(f"has_{name}"):
            return {"activation": name}
    return {}


def _named(kind: Kind, *ops: str) -> dict[str, Meaning]:
    return dict.fromkeys(ops, Meaning(kind))


#: Layers that multiply and accumulate nothing: their sizes are those that the file states.
_KINDS: Mapping[str, Meaning] = {
    **_named(
        Kind.POSTPROCESS, "pool", "pooling", "transpose", "reshape", "concat", "general_concat",
        "upsample", "flatten", "squeeze", "expand_dims", "slice", "general_slice", "split",
        "split_nd", "load_constant", "crop", "crop_resize", "resize", "padding", "general_padding",
        "space_to_depth", "depth_to_space", "reorganize_data", "reduce", "global_pool", "tile",
        "nonmaximum_suppression", "gather", "scatter", "get_shape", "range", "topk", "argmax",
        "broadcast", "fill", "stack", "constant_pad", "dynamic_quantize", "dynamic_dequantize"),
    **{op: function(Kind.UNARY, op) for op in (
        "activation", "relu", "tanh", "sigmoid", "elementwise_unary", "unary", "copy")},
    **{op: function(Kind.BINARY, op) for op in ("elementwise", "prelu", "select", "scale", "bias")},
    "softmax": Meaning(Kind.SOFTMAX, {"axis": 1}),
    "softmax_nd": Meaning(Kind.SOFTMAX, {"axis": -1}),
    **{op: function(Kind.NORMALISE, op) for op in (
        "batch_norm", "instancenorm_1d", "layernorm", "l2_normalize", "lrn", "mvn")},
}  # fmt: skip
