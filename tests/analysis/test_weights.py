"""Which constants are parameters, and how a network is quantised."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgewise.analysis.quantised import quantization
from edgewise.analysis.values import weight_statistics
from edgewise.analysis.weights import parameters_by_layer, stored
from edgewise.errors import InputError
from edgewise.graph import Kind, Quantization, Tensor, Weights


def test_shapes_axes_and_lone_scalars_are_no_parameters(net: Any) -> None:
    b = net(x=(1, 10))
    b.layer(Kind.DENSE, ["x", np.zeros((5, 10), "f4"), np.zeros(5, "f4")], "a")
    b.layer(Kind.RESHAPE, ["a", np.array([5, 1])], "b")
    b.layer(Kind.BINARY, ["b", np.float32(2)], "c", function="mul")
    b.layer(Kind.GATHER, ["c", np.array([0, 1], "i4")], "d")
    found = stored(parameters_by_layer(b.graph))
    assert (found.parameters, found.size_bytes) == (55, 220)


def test_an_embedding_is_a_parameter_its_indices_are_not(net: Any) -> None:
    b = net(ids=(1, 7)).layer(Kind.GATHER, [np.zeros((30, 4), "f4"), "ids"], "y")
    assert stored(parameters_by_layer(b.graph)).parameters == 120


def test_tied_weights_count_once(net: Any) -> None:
    b = net(x=(1, 10)).layer(Kind.DENSE, ["x", np.zeros((10, 10), "f4")], "a")
    b.layer(Kind.DENSE, ["a", "w1"], "b")
    assert stored(parameters_by_layer(b.graph)).parameters == 100


def test_where_a_state_begins_is_no_parameter_however_it_gets_there(net: Any) -> None:
    b = net(x=(5, 1, 3))
    b.layer(Kind.BROADCAST_TO, [np.zeros((1, 1, 4), "f4"), np.array([1, 1, 4])], "h")
    kernel, again = np.zeros((1, 4, 3), "f4"), np.zeros((1, 4, 4), "f4")
    inputs = ["x", kernel, again, None, None, "h"]
    b.layer(Kind.RECURRENT, inputs, "y", cell="rnn", outputs=("onnx_sequence",))
    assert stored(parameters_by_layer(b.graph)).parameters == 12 + 16


def test_of_a_loop_only_what_it_passes_on_is_a_parameter(net: Any) -> None:
    body = net(i=(), state=(1, 4), weight=(4, 4))
    body.layer(Kind.MATMUL, ["state", "weight"], "next")
    inner = body.done("i", "next", "weight")
    outer = net(i=())
    stored_here = [np.zeros((1, 4), "f4"), np.zeros((4, 4), "f4")]
    outer.layer(
        Kind.LOOP, ["i", *stored_here], ["a", "b", "c"], style="while", bodies=(inner, inner)
    )
    assert stored(parameters_by_layer(outer.graph)).parameters == 16


@pytest.mark.parametrize(
    ("weight", "activation", "expected"),
    [
        ("float32", "float32", "none"),
        ("float16", "float32", "float16"),
        ("int8", "float32", "weights"),
        ("int8", "int8", "full"),
        ("int8", "int16", "full"),
    ],
)
def test_quantisation_class(net: Any, weight: str, activation: str, expected: str) -> None:
    b = net(x=(1, 10)).layer(Kind.DENSE, ["x", np.zeros((5, 10), weight)], "y", dtype=activation)
    b.graph.tensors[0].dtype = activation
    assert quantization(b.graph) == expected


def test_weights_behind_a_dequantisation_are_quantised(net: Any) -> None:
    b = net(x=(1, 10))
    b.layer(Kind.DEQUANTIZE, [np.zeros((5, 10), "i1"), np.float32(0.1)], "w")
    b.layer(Kind.DENSE, ["x", "w"], "y")
    assert quantization(b.graph) == "weights"
    b = net(x=(1, 10))
    b.layer(Kind.QUANTIZE, ["x", np.float32(0.1)], "xq", dtype="int8")
    b.layer(Kind.DEQUANTIZE, ["xq", np.float32(0.1)], "xd")
    b.layer(Kind.DEQUANTIZE, [np.zeros((5, 10), "i1"), np.float32(0.1)], "w")
    b.layer(Kind.DENSE, ["xd", "w"], "y")
    assert quantization(b.graph) == "full"


def test_activations_quantised_while_running_are_floating_point(net: Any) -> None:
    b = net(x=(1, 10)).layer(Kind.QUANTIZE, ["x"], ["q", "scale", "zero"], dtype="uint8")
    b.layer(Kind.MATMUL, ["q", np.zeros((10, 5), "i1")], "y", dtype="int32")
    assert quantization(b.graph) == "weights"


def test_half_quantised_is_mixed(net: Any) -> None:
    b = net(x=(1, 10)).layer(Kind.DENSE, ["x", np.zeros((10, 10), "i1")], "a")
    b.layer(Kind.DENSE, ["a", np.zeros((10, 10), "f4")], "b")
    assert quantization(b.graph) == "mixed"


def test_statistics_of_values(net: Any) -> None:
    clustered = np.resize(np.array([0, 0.5, -0.5, 1e-12], "f4"), (64, 32))
    b = net(x=(1, 32)).layer(Kind.DENSE, ["x", clustered], "y")
    found = weight_statistics(b.graph, parameters_by_layer(b.graph))
    assert found["zero_fraction"] == 0.25
    assert found["near_zero_fraction"] == 0.5
    assert found["clustered_tensors"] == 1
    assert found["tensors"][0].distinct_values == 4


def test_zero_of_a_quantised_tensor_is_its_zero_point(net: Any) -> None:
    b = net(x=(1, 4)).layer(Kind.DENSE, ["x", np.array([[3, 3, 0, 1]], "i1")], "y")
    b.graph.tensors[1].quantization = Quantization(scales=1, scale=0.5, zero_point=3)
    found = weight_statistics(b.graph, parameters_by_layer(b.graph))
    assert found["zero_fraction"] == 0.5


def test_weights_that_a_body_captures_are_counted_where_they_are_used(net: Any) -> None:
    body = net(x=(1, 10))
    body.layer(Kind.DENSE, ["x", np.zeros((5, 10), "i1")], "y")
    (weight,) = (i for i, tensor in enumerate(body.graph.tensors) if tensor.weights)
    outer = net(c=(), x=(1, 10))
    outer.graph.tensors.append(body.graph.tensors[weight])
    body.graph.tensors[weight] = Tensor("captured", "int8", (5, 10))
    body.graph.captures = {weight: len(outer.graph.tensors) - 1}
    outer.layer(Kind.IF, ["c", "x"], "y", bodies=(body.done("y"),))
    assert stored(parameters_by_layer(outer.graph)).parameters == 50
    assert quantization(outer.graph) == "weights"


def test_of_weights_that_are_partly_missing_nothing_is_said_of_the_whole(net: Any) -> None:
    def gone() -> memoryview:
        raise InputError("external data 'w' is missing")

    b = net(x=(1, 4)).layer(Kind.DENSE, ["x", np.ones((4, 4), "f4")], "a")
    for name in ("b", "c"):
        b.layer(Kind.DENSE, ["a", np.ones((4, 4), "f4")], name)
        b.graph.tensors[b.of(name) - 1].weights = Weights(64, gone)
    found = weight_statistics(b.graph, parameters_by_layer(b.graph))
    assert list(found) == ["tensors"]
    read = [row.fingerprint is not None for row in found["tensors"]]
    assert read == [True, False, False]  # of the others only what the file states
    assert [row.size_bytes for row in found["tensors"]] == [64, 64, 64]
    (note,) = b.graph.notes
    assert "and 1 more: external data 'w' is missing" in note


def test_scales_of_weights_that_arithmetic_dequantises_are_none(net: Any) -> None:
    graph = (
        net(x=(1, 8))
        .layer(Kind.CAST, [np.ones((8, 4), np.int8)], "f")
        .layer(Kind.BINARY, ["f", np.ones(4, np.float32)], "less", function="sub")
        .layer(Kind.BINARY, ["less", np.ones(4, np.float32)], "w", function="mul")
        .layer(Kind.MATMUL, ["x", "w"], "y")
        .done("y")
    )
    assert quantization(graph) == "weights"
    assert stored(parameters_by_layer(graph)).parameters == 32


def test_a_quantised_table_does_not_make_what_follows_integers(net: Any) -> None:
    graph = (
        net(ids=(1, 5))
        .layer(Kind.GATHER, [np.ones((9, 8), np.int8), "ids"], "rows", "int8")
        .layer(Kind.DEQUANTIZE, ["rows", np.float32(1)], "x")
        .layer(Kind.QUANTIZE, ["x"], ["q", "scale", "zero"], "uint8")
        .layer(Kind.MATMUL, ["q", np.ones((8, 4), np.int8)], "y", "int32")
        .done("y")
    )
    assert quantization(graph) == "weights"


def test_where_a_state_begins_is_no_parameter_behind_dequantisation_either(net: Any) -> None:
    body = net(state=(1, 8)).layer(Kind.UNARY, ["state"], "next", function="tanh").done("next")
    test = net(state=(1, 8)).layer(Kind.UNARY, ["state"], "go", function="tanh").done("go")
    graph = (
        net()
        .layer(Kind.DEQUANTIZE, [np.zeros((1, 8), np.float16)], "start")
        .layer(Kind.LOOP, ["start"], "end", style="while", bodies=(test, body))
        .done("end")
    )
    assert stored(parameters_by_layer(graph)).parameters == 0
