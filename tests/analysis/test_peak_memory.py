"""Peak activation memory, worked out by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgewise.analysis.memory import peak_activation_bytes, tensor_bytes
from edgewise.analysis.shapes import propagate
from edgewise.graph import Kind


def peak(builder: Any) -> int | None:
    return peak_activation_bytes(builder.graph, propagate(builder.graph))


def test_a_chain_holds_two_neighbours(net: Any) -> None:
    b = net(x=(1, 100))
    for name, units, source in (("a", 50, "x"), ("b", 10, "a")):
        shape = (units, 100 if source == "x" else 50)
        b.layer(Kind.DENSE, [source, np.zeros(shape, "f4")], name)
    b.done("b")
    assert peak(b) == (100 + 50) * 4


def test_a_shortcut_keeps_its_source_alive(net: Any) -> None:
    b = net(x=(1, 100))
    b.layer(Kind.UNARY, ["x"], "a")
    b.layer(Kind.UNARY, ["a"], "b")
    b.layer(Kind.BINARY, ["b", "x"], "c", function="add")
    b.done("c")
    assert peak(b) == 3 * 100 * 4


def test_outputs_live_to_the_end(net: Any) -> None:
    b = net(x=(1, 10))
    b.layer(Kind.UNARY, ["x"], "early")
    b.layer(Kind.UNARY, ["x"], "late")
    b.done("early", "late")
    assert peak(b) == 3 * 10 * 4


def test_an_unknown_size_is_not_zero(net: Any) -> None:
    b = net(x=(1, 10)).layer(Kind.UNKNOWN, ["x"], "y")
    b.done("y")
    assert peak(b) is None


def test_sub_byte_types_are_packed() -> None:
    assert tensor_bytes((3,), "int4") == 2
    assert tensor_bytes((3,), "string") is None


def test_a_copy_of_weights_is_no_activation(net: Any) -> None:
    """16-bit models dequantise their weights in the graph."""
    b = net(x=(1, 100))
    b.layer(Kind.DEQUANTIZE, [np.zeros((50, 100), "f2")], "w")
    b.layer(Kind.DENSE, ["x", "w"], "y")
    b.done("y")
    assert peak(b) == (100 + 50) * 4


def test_a_handle_of_a_variable_is_no_activation(net: Any) -> None:
    b = net(x=(1, 10)).layer(Kind.VARIABLE, [], "handle", dtype="resource")
    b.layer(Kind.UNARY, ["x"], "y")
    b.layer(Kind.VARIABLE, ["handle", "y"], "written", dtype="resource")
    b.done("y")
    assert peak_activation_bytes(b.graph, propagate(b.graph)) == 80


def captured(net: Any, weights: Any) -> Any:
    """A body that multiplies what its caller has, by weights that its caller has."""
    body = net(x=(1, 100))
    body.graph.inputs.clear()
    body.layer(Kind.CONSTANT, [], "w")
    body.graph.layers.clear()
    body.graph.captures.update({0: 0, 1: 1})
    body.layer(Kind.UNARY, ["w"], "cast", function="neg")
    body.layer(Kind.MATMUL, ["x", "cast"], "y").done("y")
    return body.graph


def test_weights_that_a_body_captures_are_no_activation(net: Any) -> None:
    b = net(x=(1, 100))
    b.layer(Kind.IDENTITY, [np.zeros((100, 50), "f4")], "w")
    (index,) = b.graph.layers[0].inputs
    b.graph.layers.clear()
    bodies = tuple(captured(net, index) for _ in range(2))
    for body in bodies:
        body.captures[1] = index
    b.layer(Kind.CONSTANT, [], "which", dtype="bool")
    b.graph.layers[-1].attributes["value"] = [True]
    b.layer(Kind.IF, ["which"], "y", bodies=bodies).done("y")
    assert peak(b) == 1 + (100 + 50 + 50) * 4


def test_a_function_costs_no_more_memory_than_its_layers(net: Any) -> None:
    """What goes in and comes out is its caller's: neither is there twice, nor are weights live."""
    body = net(x=(1, 100), w=(50, 100))
    body.layer(Kind.DENSE, ["x", "w"], "y").done("y")
    b = net(x=(1, 100))
    b.layer(Kind.CALL, ["x", np.zeros((50, 100), "f4")], "y", bodies=(body.graph,)).done("y")
    assert peak(b) == (100 + 50) * 4
