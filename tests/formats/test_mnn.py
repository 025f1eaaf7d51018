"""MNN: files of its own converter, its own runtime as oracle."""

from __future__ import annotations

import contextlib
import os
import random
from pathlib import Path

import numpy as np
import pytest

from edgewise.analysis.summary import summarise
from edgewise.archive import open_file
from edgewise.formats import mnn, registry
from edgewise.records import Model
from formats.held_files import inspected

INPUT = (1, 3, 20, 26)
MACS = 8 * 10 * 13 * 27 + 8 * 10 * 13 * 9 + 6 * 20 * 26 * 8 * 16 // 4 + 5 * 6


def network() -> bytes:
    """Convolutions of three kinds, a pool and a matrix product, as ONNX."""
    onnx = pytest.importorskip("onnx")
    helper, numpy_helper = onnx.helper, onnx.numpy_helper
    shapes = {"w": (8, 3, 3, 3), "d": (8, 1, 3, 3), "u": (8, 6, 4, 4), "f": (6, 5)}
    weights = [
        numpy_helper.from_array(
            np.linspace(-1, 1, int(np.prod(shape)), dtype=np.float32).reshape(shape), name
        )
        for name, shape in shapes.items()
    ]
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "d"], ["c"], group=8, pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["c", "u"], ["e"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("GlobalAveragePool", ["e"], ["g"]),
        helper.make_node("Flatten", ["g"], ["h"]),
        helper.make_node("MatMul", ["h", "f"], ["y"]),
    ]
    values = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", values, INPUT)],
        [helper.make_tensor_value_info("y", values, (1, 5))],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8
    return bytes(model.SerializeToString())


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The network as MNN writes it: with floats, packed to 8 and 4 bits, as halves, outside."""
    pytest.importorskip("MNN")
    tools = pytest.importorskip("_tools", reason="MNN's converter")
    folder = tmp_path_factory.mktemp("mnn")
    (folder / "net.onnx").write_bytes(network())
    options = {
        "float": [],
        "fp16": ["--fp16"],
        "w8": ["--weightQuantBits", "8"],
        "w4": ["--weightQuantBits", "4"],
        "outside": ["--saveExternalData"],
    }
    found = {}
    for name, more in options.items():
        found[name] = folder / f"{name}.mnn"
        arguments = ["-f", "ONNX", "--modelFile", str(folder / "net.onnx")]
        arguments += ["--MNNModel", str(found[name]), "--bizCode", "test", *more]
        with _quietly():
            tools.mnnconvert(["mnnconvert", *arguments])
    return found


@contextlib.contextmanager
def _quietly():  # type: ignore[no-untyped-def]
    """The converter writes to the process's own output."""
    kept, sink = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)
        os.close(sink)


def inspect(path: Path) -> Model:
    return summarise(open_file(str(path)), weights=True)


@pytest.mark.parametrize("name", ["float", "fp16", "w8", "w4", "outside"])
def test_every_form_of_weights(converted: dict[str, Path], name: str) -> None:
    model = inspect(converted[name])
    assert (model.format, model.status, model.macs) == ("mnn", "parsed", MACS)
    assert model.notes == ()
    assert [port.shape for port in model.outputs or ()] == [(1, 5)]
    said = {"float": "none", "outside": "none", "fp16": "float16"}.get(name, "weights")
    assert model.quantization == said
    assert model.zero_fraction is not None and model.zero_fraction < 0.5
    assert model.companions == (("outside.mnn.weight",) if name == "outside" else ())


def test_packed_weights_are_those_that_were_packed(converted: dict[str, Path]) -> None:
    plain = {t.name: t for t in mnn.read(open_file(str(converted["float"]))).tensors if t.weights}
    packed = mnn.read(open_file(str(converted["w8"]))).tensors
    compared = 0
    for tensor in packed:
        if tensor.dtype == "int8" and tensor.weights:
            row = tensor.array().reshape(len(tensor.array()), -1)[0].astype(float)
            other = plain[tensor.name].array().reshape(len(tensor.array()), -1)[0]
            compared += len(row) > 2
            assert len(row) < 3 or np.corrcoef(row, other)[0, 1] > 0.99
    assert compared


def test_weights_outside_that_are_not_there_are_told(
    converted: dict[str, Path], tmp_path: Path
) -> None:
    path = tmp_path / "net.mnn"
    path.write_bytes(converted["outside"].read_bytes())
    model = inspect(path)
    assert model.macs == MACS and "missing" in model.notes[0]


def test_shapes_are_those_of_the_runtime(converted: dict[str, Path]) -> None:
    runtime = pytest.importorskip("MNN")
    net = runtime.Interpreter(str(converted["float"]))
    session = net.createSession()
    net.runSession(session)
    shape = net.getSessionOutput(session).getShape()
    (port,) = inspect(converted["float"]).outputs or ()
    assert port.shape == tuple(shape)


def test_broken_files_are_rejected(converted: dict[str, Path]) -> None:
    data = converted["float"].read_bytes()
    for length in (0, 30, 300, len(data) // 2, len(data) - 40):
        model = inspected("a.mnn", data[:length])
        assert model.status == "rejected", length
    assert inspected("a.mnn", b"no model at all" * 99).status == "rejected"


def test_it_is_recognised_by_the_layout_of_its_first_table(converted: dict[str, Path]) -> None:
    head = converted["float"].read_bytes()[:512]
    fmt = registry.recognise(head, "assets/a7f3")
    assert fmt is not None and fmt.NAME == "mnn"
    drawn = random.Random(3)
    assert not any(mnn.recognise(drawn.randbytes(512), "x") for _ in range(3000))


@pytest.mark.corpus
def test_real_networks(corpus: Path) -> None:
    models = [inspect(path) for path in (corpus / "models" / "mnn").iterdir()]
    assert {(model.status, model.macs) for model in models} == {("parsed", 100_418_560)}
    assert {model.quantization for model in models} == {"none", "full"}
