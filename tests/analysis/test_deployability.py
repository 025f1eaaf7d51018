"""Which operators keep a model from running whole where it is handed to."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from conftest import Net
from edgewise.analysis.deployability import deployability, targets
from edgewise.analysis.shapes import propagate
from edgewise.analysis.summary import summarise
from edgewise.archive import DiskFile
from edgewise.cli.main import run
from edgewise.errors import RuntimeRefused
from edgewise.graph import Kind
from edgewise.records import Model
from edgewise.runtimes import runner

DIGITS = Path(str(files("edgewise.demo") / "data" / "digits"))


def blocking(net: Net, format: str) -> dict[str, dict[str, int]]:
    found = deployability(format, net.graph, propagate(net.graph))
    assert found is not None
    assert all(one.runs_whole == (not one.blocking) for one in found)
    return {one.target: one.blocking for one in found}


def named(net: Net, *ops: str) -> Net:
    """The same layers under the names of a format."""
    for layer, op in zip(net.graph.layers, ops, strict=True):
        layer.op = op
    return net


def convolved(channels: int = 3) -> Net:
    net = Net(x=(1, 8, 8, channels))
    kernel = np.ones((4, 3, 3, channels), np.float32)
    return net.layer(Kind.CONV, ["x", kernel], "y", strides=(1, 1), pads=(0, 0, 0, 0))


def test_an_operator_that_is_not_listed_blocks() -> None:
    net = Net(x=(1, 4)).layer(Kind.UNARY, ["x"], "y", function="relu")
    net.layer(Kind.UNARY, ["y"], "z", function="cos").layer(Kind.UNARY, ["z"], "a", function="cos")
    said = blocking(named(net, "RELU", "COS", "COS"), "tflite")
    assert said == {
        "builtin": {}, "gpu": {"COS": 2}, "nnapi": {"COS": 2}, "xnnpack": {"COS": 2}
    }  # fmt: skip


@pytest.mark.parametrize(
    ("format", "ops", "custom"),
    [
        ("tflite", ("FlexErf", "MyOwn"), {"FlexErf": 1, "MyOwn": 1}),
        ("tflite", ("RELU", "TFLite_Detection_PostProcess"), {}),
        ("onnx", ("Relu", "my.domain::Fancy"), {"my.domain::Fancy": 1}),
        ("ort", ("Relu", "com.microsoft::QuickGelu"), {}),
    ],
)
def test_custom_and_flex_operators_are_no_built_in_ones(
    format: str, ops: tuple[str, str], custom: dict[str, int]
) -> None:
    net = Net(x=(1, 4)).layer(Kind.UNKNOWN, ["x"], "y").layer(Kind.UNKNOWN, ["y"], "z")
    said = blocking(named(net, *ops), format)
    assert said["builtin"] == custom
    assert all(custom.items() <= each.items() for each in said.values())


def test_number_types_count_where_they_are_documented() -> None:
    net = named(Net(x=(1, 4)).layer(Kind.UNARY, ["x"], "y", function="tanh"), "TANH")
    assert blocking(net, "tflite")["xnnpack"] == {}
    for tensor in net.graph.tensors:
        tensor.dtype = "int16"
    assert blocking(net, "tflite")["xnnpack"] == {"TANH": 1}


def test_parameters_have_to_be_stored() -> None:
    assert blocking(named(convolved(), "CONV_2D"), "tflite")["xnnpack"] == {}
    net = Net(x=(1, 8, 8, 3), k=(4, 3, 3, 3))
    net.layer(Kind.CONV, ["x", "k"], "y", strides=(1, 1), pads=(0, 0, 0, 0))
    assert blocking(named(net, "CONV_2D"), "tflite")["xnnpack"] == {"CONV_2D": 1}


def test_weights_made_real_beforehand_are_stored() -> None:
    net = Net(x=(1, 4))
    net.layer(Kind.DEQUANTIZE, [np.ones((2, 4), np.float16)], "w")
    net.layer(Kind.DENSE, ["x", "w"], "y")
    assert blocking(named(net, "DEQUANTIZE", "FULLY_CONNECTED"), "tflite")["xnnpack"] == {}
    held = next(tensor for tensor in net.graph.tensors if tensor.weights)
    held.dtype = "uint8"
    assert blocking(net, "tflite")["xnnpack"] == {"FULLY_CONNECTED": 1}


def test_only_some_ranks_are_taken() -> None:
    net = named(Net(x=(1, 8, 8, 3)).layer(Kind.SOFTMAX, ["x"], "y"), "AveragePool")
    assert blocking(net, "onnx")["coreml"] == {}
    flat = named(Net(x=(1, 8, 3)).layer(Kind.SOFTMAX, ["x"], "y"), "AveragePool")
    assert blocking(flat, "onnx")["coreml"] == {"AveragePool": 1}


def test_formats_without_a_list_say_nothing() -> None:
    net = Net(x=(1, 4)).layer(Kind.UNARY, ["x"], "y", function="relu")
    assert deployability("ncnn", net.graph, propagate(net.graph)) is None


def test_lists_are_sound() -> None:
    for format in ("tflite", "onnx"):
        for target in targets(format):
            assert target.source.startswith("https://")
            assert all(group.ops for group in target.group)


def test_inspect_says_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["inspect", "--json", str(DIGITS / "digits-m.onnx")]) == 0
    (line,) = capsys.readouterr().out.splitlines()
    said = {one["target"]: one for one in json.loads(line)["deployability"]}
    assert set(said) == {"builtin", "coreml", "nnapi", "xnnpack"}
    assert said["builtin"] == {"target": "builtin", "runs_whole": True, "blocking": {}}
    assert run(["inspect", str(DIGITS / "digits-m.tflite")]) == 0
    assert "on xnnpack" in capsys.readouterr().out


def delegated(path: Path) -> dict[str, int] | None:
    """What LiteRT left of a model when XNNPACK took its part; None where it does not run it."""
    pytest.importorskip("ai_edge_litert")
    try:
        session = runner.load("litert", path, delegate="xnnpack").session
        session.resize({port.name: port.shape for port in session.inputs})
    except RuntimeRefused:
        return None
    return dict(session.coverage().fell_back)


def said_of(model: Model) -> dict[str, int]:
    return next(one.blocking for one in model.deployability or () if one.target == "xnnpack")


def test_what_is_said_of_xnnpack_is_what_it_takes() -> None:
    for path in sorted(DIGITS.glob("*.tflite")):
        assert said_of(summarise(DiskFile(path))) == delegated(path), path.name


@pytest.mark.corpus
def test_what_is_said_of_xnnpack_is_what_it_takes_of_real_models(corpus: Path) -> None:
    compared = 0
    for path in sorted(corpus.glob("models/tflite/*.tflite")):
        if (left := delegated(path)) is not None:
            assert said_of(summarise(DiskFile(path))) == left, path.name
            compared += 1
    assert compared >= 10
