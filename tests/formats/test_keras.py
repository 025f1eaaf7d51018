"""Keras: configurations by hand, weights as h5py writes them."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewise.analysis.summary import summarise
from edgewise.archive import open_file
from edgewise.formats import hdf5
from edgewise.records import Model

h5py = pytest.importorskip("h5py")

#: Layers of a sequential network: class, settings, weights by role in the layer's order.
LAYERS: list[tuple[str, dict[str, Any], dict[str, tuple[int, ...]]]] = [
    ("Conv2D", {"name": "c", "strides": [2, 2], "padding": "same", "activation": "relu"},
     {"kernel": (3, 3, 3, 8), "bias": (8,)}),
    ("BatchNormalization", {"name": "b", "axis": [3]},
     {"gamma": (8,), "beta": (8,), "moving_mean": (8,), "moving_variance": (8,)}),
    ("DepthwiseConv2D", {"name": "d", "padding": "valid"}, {"kernel": (3, 3, 8, 2), "bias": (16,)}),
    ("Conv2DTranspose", {"name": "u", "kernel_size": [2, 2], "strides": [2, 2]},
     {"kernel": (2, 2, 5, 16), "bias": (5,)}),
    ("Reshape", {"name": "r", "target_shape": [96, 5]}, {}),
    ("Bidirectional", {"name": "l", "layer": {"class_name": "LSTM", "config": {
        "units": 4, "return_sequences": True}}},
     {"forward/kernel": (5, 16), "forward/recurrent_kernel": (4, 16), "forward/bias": (16,),
      "backward/kernel": (5, 16), "backward/recurrent_kernel": (4, 16), "backward/bias": (16,)}),
    ("GlobalAveragePooling1D", {"name": "g"}, {}),
    ("Dense", {"name": "f", "units": 3}, {"kernel": (8, 3), "bias": (3,)}),
]  # fmt: skip
INPUT = [None, 12, 16, 3]
MACS = 6 * 8 * 8 * 27 + 4 * 6 * 16 * 9 + 24 * 16 * 5 * 4 + 96 * 2 * 144 + 24
PARAMETERS = 216 + 8 + 32 + 144 + 16 + 320 + 5 + 2 * (80 + 64 + 16) + 24 + 3


def sequential() -> dict[str, Any]:
    layers = [{"class_name": kind, "config": config} for kind, config, _ in LAYERS]
    start = {"class_name": "InputLayer", "config": {"name": "x", "batch_input_shape": INPUT}}
    return {"class_name": "Sequential", "config": {"name": "net", "layers": [start, *layers]}}


def write_h5(path: Path, about: dict[str, Any] | None, suffix: str = ":0") -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.15.0"
        if about is not None:
            file.attrs["model_config"] = json.dumps(about)
        for _, config, weights in LAYERS:
            name = config["name"]
            for role, shape in weights.items():
                group, _, last = role.rpartition("/")
                where = f"model_weights/{name}/{name}/{group + '_' + name + '/' if group else ''}"
                file[f"{where}{last}{suffix}"] = np.full(shape, 0.5, np.float32)
    return path


def write_keras(path: Path) -> Path:
    content = io.BytesIO()
    counts: dict[str, int] = {}
    names = {"Conv2D": "conv2d", "BatchNormalization": "batch_normalization",
             "DepthwiseConv2D": "depthwise_conv2d", "Conv2DTranspose": "conv2d_transpose",
             "Bidirectional": "bidirectional", "Dense": "dense"}  # fmt: skip
    with h5py.File(content, "w") as file:
        for kind, _, weights in LAYERS:
            for number, (role, shape) in enumerate(weights.items()):
                part = f"{role.split('/')[0]}_layer/cell/" if "/" in role else ""
                key = f"layers/{names[kind]}/{part}vars/{number % 3 if part else number}"
                file[key] = np.full(shape, 0.5, np.float32)
            counts[kind] = counts.get(kind, 0) + 1
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.5.0"}))
        archive.writestr("config.json", json.dumps(sequential()))
        archive.writestr("model.weights.h5", content.getvalue())
    return path


def inspect(path: Path) -> Model:
    return summarise(open_file(str(path)), weights=True)


def test_both_kinds_of_files_say_the_same(tmp_path: Path) -> None:
    for path in (write_h5(tmp_path / "a.h5", sequential()), write_keras(tmp_path / "a.keras")):
        model = inspect(path)
        assert (model.format, model.status, model.notes) == ("keras", "parsed", ()), path
        assert (model.macs, model.parameters) == (MACS, PARAMETERS)
        assert [port.shape for port in model.inputs or ()] == [(1, 12, 16, 3)]
        assert [port.shape for port in model.outputs or ()] == [(1, 3)]
        assert model.zero_fraction == 0 and (model.producer or "").startswith("Keras ")


def node(*names: str) -> list[Any]:
    """A call in the words of Keras 2."""
    return [[[name, 0, 0, {}] for name in names]]


def test_functional_networks_of_both_words_and_layers_used_twice(tmp_path: Path) -> None:
    def tensor(name: str, call: int, *shape: int | None) -> dict[str, Any]:
        history = {"shape": list(shape), "keras_history": [name, call, 0]}
        return {"class_name": "__keras_tensor__", "config": history}

    dense = {"class_name": "Dense", "config": {"name": "f", "units": 8}, "name": "f"}
    start = {"class_name": "InputLayer", "config": {"batch_shape": [None, 8]}, "name": "x"}
    total = {"class_name": "Add", "config": {"name": "s"}, "name": "s"}
    old = [
        total | {"inbound_nodes": node("f", "x")},  # in any order
        start | {"inbound_nodes": []},
        dense | {"inbound_nodes": [[["x", 0, 0, {}]], [["s", 0, 0, {}]]]},
    ]
    new = [
        start | {"inbound_nodes": []},
        dense | {"inbound_nodes": [{"args": [tensor("x", 0, None, 8)]},
                                   {"args": [tensor("s", 0, None, 8)]}]},
        total | {"inbound_nodes": [{"args": [[tensor("f", 0, None, 8), tensor("x", 0, None, 8)]]}]},
    ]  # fmt: skip
    for layers in (old, new):
        config = {"layers": layers, "input_layers": [["x", 0, 0]], "output_layers": [["f", 1, 0]]}
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            file.attrs["model_config"] = json.dumps({"class_name": "Model", "config": config})
            file["model_weights/f/f/kernel:0"] = np.ones((8, 8), np.float32)
        model = inspect(path)
        assert (model.status, model.macs, model.parameters) == ("parsed", 128, 64)


def test_a_layer_of_its_own_makes_the_count_unknown_unless_its_weights_tell(tmp_path: Path) -> None:
    about = sequential()
    about["config"]["layers"][2] = {"class_name": "Mine", "config": {"name": "b"}}
    model = inspect(write_h5(tmp_path / "a.h5", about))
    assert model.macs is None and "Mine" in " ".join(model.notes)


def test_weights_alone_are_told_as_such(tmp_path: Path) -> None:
    model = inspect(write_h5(tmp_path / "net.weights.h5", None))
    assert (model.status, model.level, model.macs) == ("parsed", "operators", None)
    assert model.parameters == PARAMETERS


def test_what_is_no_model_is_rejected(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "a.h5", sequential())
    data = path.read_bytes()
    for length in (4, 100, 2000, len(data) // 2):
        path.write_bytes(data[:length])
        assert inspect(path).status == "rejected"
    with h5py.File(path, "w") as file:
        file["temperature"] = np.ones(5)
    assert inspect(path).status == "rejected"
    write_h5(path, {"class_name": "Sequential", "config": {"layers": 3}})
    assert inspect(path).status == "rejected"


@pytest.mark.parametrize("version", ["earliest", "latest"])
def test_hdf5_of_both_layouts(tmp_path: Path, version: str) -> None:
    path = tmp_path / "a.h5"
    values = np.arange(12, dtype=np.float32).reshape(3, 4)
    with h5py.File(path, "w", libver=version) as file:
        file.attrs["text"] = "x" * 5000
        file.create_dataset("a/b/plain", data=values)
        file.create_dataset("a/packed", data=values, chunks=(1, 4), compression="gzip")
    data = memoryview(path.read_bytes())
    found = hdf5.read(data)
    assert found.attributes[""]["text"] == "x" * 5000
    plain = found.datasets["a/b/plain"]
    assert plain.start is not None and (plain.dtype, plain.shape) == ("float32", (3, 4))
    assert bytes(data[plain.start : plain.start + plain.nbytes]) == values.tobytes()
    assert found.datasets["a/packed"].start is None
