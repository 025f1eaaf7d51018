"""TensorFlow.js: graph models counted as TensorFlow's, weights in shards, damage refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from edgewise.analysis.summary import summarise
from edgewise.archive import DiskFile
from edgewise.errors import OpaqueModel, RejectedModel
from edgewise.formats import registry, tfjs
from edgewise.records import Model


def node(name: str, op: str, *inputs: str, **attributes: Any) -> dict[str, Any]:
    return {"name": name, "op": op, "input": list(inputs), "attr": attributes}


def shape(*sizes: int) -> dict[str, Any]:
    return {"shape": {"dim": [{"size": str(size)} for size in sizes]}}


CONV = [
    node("x", "Placeholder", dtype={"type": "DT_FLOAT"}, shape=shape(-1, 8, 8, 3)),
    node("w", "Const"),
    node("c", "Conv2D", "x", "w", strides={"list": {"i": ["1", "1", "1", "1"]}},
         padding={"s": "U0FNRQ=="}, T={"type": "DT_FLOAT"}),
    node("r", "Relu", "c", "^x"),
]  # fmt: skip
WEIGHTS = [{"name": "w", "shape": [3, 3, 3, 4], "dtype": "float32"}]


def written(folder: Path, nodes: list[dict[str, Any]], weights: list[Any], **more: Any) -> DiskFile:
    described = {
        "format": "graph-model", "convertedBy": "TensorFlow.js Converter v4.10.0",
        "modelTopology": {"node": nodes, "versions": {"producer": 9}},
        "weightsManifest": [{"paths": ["shard1.bin", "shard2.bin"], "weights": weights}], **more,
    }  # fmt: skip
    path = folder / "model.json"
    path.write_text(json.dumps(described))
    return DiskFile(path)


def summary(file: DiskFile) -> Model:
    found = registry.recognise(file.head(512), file.name)
    assert found is not None and found.NAME == "tfjs"
    return summarise(file, found)


def test_a_convolution_is_counted_and_its_weights_are_found(tmp_path: Path) -> None:
    (tmp_path / "shard1.bin").write_bytes(bytes(100))
    (tmp_path / "shard2.bin").write_bytes(bytes(332))
    file = written(tmp_path, CONV, WEIGHTS)
    model = summary(file)
    assert (model.macs, model.parameters, model.weight_bytes) == (8 * 8 * 4 * 27, 108, 432)
    assert model.companions == ("shard1.bin", "shard2.bin")
    assert model.ops == {"Conv2D": 1, "Relu": 1}
    graph = tfjs.read(file)
    (weight,) = [tensor for tensor in graph.tensors if tensor.weights is not None]
    assert weight.weights is not None and len(weight.weights.load()) == 432


def test_an_input_without_a_shape_has_that_of_the_matrix_or_the_signature(tmp_path: Path) -> None:
    nodes = [node("x", "Placeholder"), node("w", "Const"), node("y", "MatMul", "x", "w")]
    weights = [{"name": "w", "shape": [8, 4], "dtype": "float32"}]
    assert summary(written(tmp_path, nodes, weights)).macs == 32
    no_matrix = [node("x", "Placeholder"), *CONV[1:]]
    signature = {"inputs": {"image": {"name": "x:0", "tensorShape": shape(1, 4, 4, 3)["shape"]}}}
    model = summary(written(tmp_path, no_matrix, WEIGHTS, signature=signature))
    assert model.macs == 4 * 4 * 4 * 27


def test_shards_that_are_not_there_are_named(tmp_path: Path) -> None:
    graph = tfjs.read(written(tmp_path, CONV, WEIGHTS))
    assert graph.missing == ("shard1.bin", "shard2.bin")


@pytest.mark.parametrize(
    "change",
    [
        {"modelTopology": None}, {"modelTopology": {"node": []}}, {"modelTopology": {"node": 3}},
        {"weightsManifest": [{"paths": ["a"], "weights": [{"name": "w"}]}]},
        {"weightsManifest": [{"paths": ["a"], "weights": [
            {"name": "w", "shape": [-1], "dtype": "float32"}]}]},
    ],
)  # fmt: skip
def test_damage_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(RejectedModel):
        tfjs.read(written(tmp_path, CONV, WEIGHTS, **change))


def test_other_json_is_none_of_it(tmp_path: Path) -> None:
    layers = written(tmp_path, CONV, WEIGHTS, format="layers-model")
    with pytest.raises(OpaqueModel):
        tfjs.read(layers)
    assert tfjs.recognise(b'{"format": "graph", "model": 1}', "model.json") == 0
    (tmp_path / "model.json").write_text('{"modelTopology": ')
    with pytest.raises(RejectedModel):
        tfjs.read(DiskFile(tmp_path / "model.json"))
