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
