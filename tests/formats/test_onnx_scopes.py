"""Scopes of ONNX: bodies of control flow, model-local functions, and how deep they may go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_models import (
    BOOL,
    INT64,
    MemoryFile,
    graph,
    helper,
    model,
    names,
    node,
    onnx,
    read,
    tensor,
    value,
)

from edgewise.errors import LimitExceeded, RejectedModel
from edgewise.formats import onnx as reader
from edgewise.graph import Kind

# Bodies


def _branch(op: str, reads: str, gives: str) -> Any:
    return graph([node(op, reads, gives)], [], [value(gives, None)])


def test_bodies_capture_what_they_see() -> None:
    proto = model(
        [
            node("Relu", "x", "a"),
            node("If", "c", "y", then_branch=_branch("Neg", "a", "p"),
                 else_branch=_branch("Exp", "w", "q")),
        ],
        [value("x", [4]), value("c", [], BOOL)], [value("y", None)], {"w": np.ones(4, np.float32)},
    )  # fmt: skip
    found = read(proto)
    layer = found.layers[1]
    assert layer.kind is Kind.IF
    assert [body.layers[0].op for body in layer.bodies] == ["Neg", "Exp"]
    for body, name in zip(layer.bodies, "aw", strict=True):
        ((inside, outside),) = body.captures.items()
        assert found.tensors[outside].name == name
        assert body.layers[0].inputs == (inside,)
        assert body.tensors[inside].weights is None  # counted where it is stored
    assert tensor(found, "y").dtype == "float32"


def test_captures_go_through_the_graphs_between() -> None:
    inner = node("If", "c", "z", then_branch=_branch("Neg", "x", "p"),
                 else_branch=_branch("Abs", "x", "q"))  # fmt: skip
    middle = graph([inner], [], [value("z", None)])
    proto = model(
        [node("If", "c", "y", then_branch=middle, else_branch=_branch("Exp", "x", "r"))],
        [value("x"), value("c", [], BOOL)], [value("y", None)],
    )  # fmt: skip
    found = read(proto)
    between = found.layers[0].bodies[0]
    within = between.layers[0].bodies[0]
    (step,) = within.captures.values()
    assert between.tensors[step].name == "x"
    assert found.tensors[between.captures[step]].name == "x"


def test_a_body_may_give_an_outer_value() -> None:
    proto = model(
        [node("If", "c", "y", then_branch=graph([], [], [value("x", None)]),
              else_branch=_branch("Neg", "x", "q"))],
        [value("x"), value("c", [], BOOL)], [value("y", None)],
    )  # fmt: skip
    body = read(proto).layers[0].bodies[0]
    assert list(body.captures) == body.outputs


def _loop(condition: str, trips: int | None = 5) -> Any:
    body = graph(
        [node(condition, "go", "on"), node("Add", "s x", "t")],
        [value("i", [], INT64), value("go", [], BOOL), value("s", None)],
        [value("on", [], BOOL), value("t", None)],
    )
    stored = {} if trips is None else {"m": np.array(trips, np.int64)}
    free = [value("m", [], INT64)] if trips is None else []
    return model([node("Loop", "m - x", "y", body=body)], [value("x"), *free], [value("y", None)],
                 stored)  # fmt: skip


@pytest.mark.parametrize(
    ("condition", "trips", "expected"),
    [("Identity", 5, 5), ("Not", 5, None), ("Identity", None, None), ("Identity", 2**62, None)],
)
def test_a_loop_has_a_trip_count_where_nothing_else_ends_it(
    condition: str, trips: int | None, expected: int | None
) -> None:
    layer = read(_loop(condition, trips)).layers[0]
    assert layer.kind is Kind.LOOP
    assert layer.attributes["style"] == "onnx"
    assert layer.attributes.get("trip_count") == expected


def test_scan_says_what_it_scans_over() -> None:
    body = graph(
        [node("Add", "s e", "t"), node("Identity", "t", "o")],
        [value("s", None), value("e", None)],
        [value("t", None), value("o", None)],
    )
    made = node("Scan", "x seq", "y all", body=body, num_scan_inputs=1, scan_input_axes=[1])
    found = read(model([made], [value("x", [4]), value("seq", [4, 9])], [value("all", None)]))
    layer = found.layers[0]
    assert layer.attributes == {"style": "scan", "scan_inputs": 1, "scan_input_axes": (1,)}
    assert tensor(found, "all").dtype == "float32"


def test_a_mapped_body_that_multiplies_is_unknown() -> None:
    def mapped(op: str) -> Kind:
        body = graph([node(op, "e e", "o")], [value("e", [2, 2])], [value("o", [2, 2])])
        made = [node("SequenceConstruct", "x", "s"), node("SequenceMap", "s", "y", body=body)]
        return read(model(made, [value("x", [2, 2])], [value("y", None)])).layers[1].kind

    assert mapped("MatMul") is Kind.UNKNOWN
    assert mapped("Add") is Kind.DATA_DEPENDENT


# Functions


def _function(name: str, nodes: list[Any], inputs: str = "x", **parts: Any) -> Any:
    return helper.make_function(
        "local", name, inputs.split(), ["y"], nodes,
        [helper.make_opsetid("", 21), helper.make_opsetid("local", 1)], **parts,
    )  # fmt: skip


def test_a_function_is_read_for_each_call_with_its_attributes() -> None:
    inside = node("Softmax", "x", "y")
    reference = onnx.AttributeProto(name="axis", ref_attr_name="over", type=2)
    inside.attribute.append(reference)
    default = helper.make_attribute("over", 1)
    proto = model(
        [node("Soft", "x", "a", "local", over=0), node("Soft", "a", "y", "local")],
        [value("x", [2, 2])], [value("y", None)],
        functions=[_function("Soft", [inside], attribute_protos=[default])],
    )  # fmt: skip
    layers = read(proto).layers
    assert [layer.kind for layer in layers] == [Kind.CALL, Kind.CALL]
    assert [layer.bodies[0].layers[0].attributes["axis"] for layer in layers] == [0, 1]
    assert layers[0].op == "local::Soft"


def test_arguments_left_out_are_left_out_inside() -> None:
    proto = model(
        [node("Bound", "x", "y", "local")], [value("x")], [value("y")],
        functions=[_function("Bound", [node("Clip", "x low high", "y")], "x low high")],
    )  # fmt: skip
    body = read(proto).layers[0].bodies[0]
    assert names(body, body.layers[0].inputs) == ["x"]
    assert len(body.inputs) == 3


def test_functions_see_their_arguments_only() -> None:
    proto = model(
        [node("Leak", "x", "y", "local")], [value("x")], [value("y")],
        {"w": np.ones(1, np.float32)}, functions=[_function("Leak", [node("Add", "x w", "y")])],
    )  # fmt: skip
    with pytest.raises(RejectedModel, match="reads 'w'"):
        read(proto)


def test_a_function_that_calls_itself_is_rejected() -> None:
    a = _function("A", [node("B", "x", "y", "local")])
    b = _function("B", [node("A", "x", "y", "local")])
    proto = model([node("A", "x", "y", "local")], [value("x")], [value("y")], functions=[a, b])
    with pytest.raises(RejectedModel, match="calls itself"):
        read(proto)


def test_calls_that_double_at_each_level_hit_a_limit() -> None:
    functions = [_function("F0", [node("Relu", "x", "y")])]
    for level in range(1, 40):
        calls = [node(f"F{level - 1}", *ends, "local") for ends in (("x", "a"), ("a", "y"))]
        functions.append(_function(f"F{level}", calls))
    proto = model([node("F39", "x", "y", "local")], [value("x")], [value("y")], functions=functions)
    with pytest.raises(LimitExceeded), pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgewise.formats.onnx.graphs.PART_LIMIT", 2000)
        read(proto)


def _field(number: int, content: bytes) -> bytes:
    size = len(content)
    length = b""
    while size > 0x7F:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def test_graphs_nested_too_deep_are_rejected() -> None:
    # protobuf's own writer refuses to go this deep.
    leaf = _branch("Neg", "x", "p").SerializeToString()
    nested = leaf
    for _ in range(100):
        attributes = b"".join(
            _field(5, _field(1, name) + _field(6, part))
            for name, part in ((b"then_branch", nested), (b"else_branch", leaf))
        )
        nodes = _field(1, _field(1, b"c") + _field(2, b"z") + _field(4, b"If") + attributes)
        nested = nodes + _field(12, _field(1, b"z"))
    inputs = b"".join(_field(11, _field(1, name)) for name in (b"x", b"c"))
    content = b"\x08\x08" + _field(8, b"\x10\x15") + _field(7, nested + inputs)
    with pytest.raises(RejectedModel, match="nested deeper"):
        reader.read(MemoryFile(content))


def test_the_number_of_nodes_is_limited() -> None:
    content = b"\x08\x08" + _field(8, b"\x10\x15") + _field(7, _field(1, b"") * 400_000)
    with pytest.raises(LimitExceeded):
        reader.read(MemoryFile(content))
