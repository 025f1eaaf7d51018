"""Real ONNX files against the `onnx` package: nodes, names, shapes, values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx_models import numpy_helper, onnx

from edgewise.archive import DiskFile
from edgewise.errors import RejectedModel
from edgewise.formats import onnx as reader
from edgewise.graph import FreeDim, Graph

SHIPPED = sorted((Path(onnx.__file__).parent / "backend/test/data").rglob("*.onnx"))


def _stated(info: Any) -> list[Any]:
    return [dim.dim_value if dim.HasField("dim_value") else None
            for dim in info.type.tensor_type.shape.dim]  # fmt: skip


def _compare(found: Graph, wanted: Any) -> None:
    """Everything that both readers see."""
    assert [(layer.op.rpartition("::")[2], len(layer.bodies) > 0) for layer in found.layers] == [
        (node.op_type, any(a.HasField("g") for a in node.attribute)) for node in wanted.graph.node
    ]
    for layer, node in zip(found.layers, wanted.graph.node, strict=True):
        names = [found.tensors[index].name for index in layer.outputs if index is not None]
        assert sorted(names) == sorted(filter(None, node.output))
    stored = {tensor.name: tensor for tensor in found.tensors if tensor.weights is not None}
    for proto in wanted.graph.initializer:
        tensor = stored[proto.name]
        assert tensor.shape == tuple(proto.dims)
        if tensor.dtype != "string":
            np.testing.assert_array_equal(tensor.array(), numpy_helper.to_array(proto))
    inputs = [info for info in wanted.graph.input if info.name not in stored]
    for indices, infos in ((found.inputs, inputs), (found.outputs, wanted.graph.output)):
        assert [found.tensors[index].name for index in indices] == [info.name for info in infos]
        for index, info in zip(indices, infos, strict=True):
            shape = found.tensors[index].shape
            if shape is not None and info.type.HasField("tensor_type"):
                sizes = [None if isinstance(size, FreeDim) else size for size in shape]
                assert sizes == _stated(info)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_models_that_onnx_ships(path: Path) -> None:
    file = DiskFile(path)
    assert reader.recognise(file.head(512), "data.bin") > 0.5
    _compare(reader.read(file), onnx.load(path))


@pytest.mark.corpus
def test_the_corpus(corpus: Path) -> None:
    paths = sorted((corpus / "models/onnx").glob("Linzaer*.onnx"))
    assert len(paths) == 3
    for path in paths:
        _compare(reader.read(DiskFile(path)), onnx.load(path))


@pytest.mark.corpus
def test_a_model_of_another_dialect_is_rejected(corpus: Path) -> None:
    (path,) = (corpus / "models/onnx").glob("*pnnx.onnx")
    with pytest.raises(RejectedModel, match="no ir_version"):
        reader.read(DiskFile(path))


@pytest.mark.corpus
def test_nothing_else_in_the_corpus_looks_like_onnx(corpus: Path) -> None:
    others = [p for p in corpus.rglob("*") if p.is_file() and p.suffix != ".onnx"]
    assert len(others) > 50
    taken = [p.name for p in others if reader.recognise(DiskFile(p).head(512), "data.bin") > 0]
    assert taken == []
