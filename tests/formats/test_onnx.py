"""Reading ONNX: recognising it, names and scopes, what makes a model invalid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx_models import (
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

from edgewise.errors import RejectedModel
from edgewise.formats import onnx as reader
from edgewise.graph import FreeDim, Kind

RELU = [node("Relu", "x", "y")]


def _relu(**parts: Any) -> Any:
    return model(RELU, [value("x")], [value("y")], **parts)


# Recognising


def _sure(proto: Any, name: str = "data.bin") -> float:
    return reader.recognise(proto.SerializeToString()[:512], name)


def test_a_model_is_recognised_by_its_bytes() -> None:
    assert _sure(_relu()) > 0.5
    assert _sure(helper.make_model(graph(RELU, [value("x")], [value("y")]))) > 0.5


@pytest.mark.parametrize("long", [0, 600])
def test_a_description_does_not_hide_a_model(long: int) -> None:
    proto = _relu()
    proto.doc_string = "A face detector.\n" + "x" * long
    proto.domain, proto.model_version = "org.example", 3
    assert _sure(proto) > 0.5


def test_a_model_that_begins_with_a_large_weight_is_recognised() -> None:
    proto = model(RELU, [value("x")], [value("y")], {"w": np.zeros(2000, np.float32)})
    del proto.graph.node[:]
    assert _sure(proto) > 0.5


@pytest.mark.parametrize(
    "head",
    [
        b"", b"\x08", b"PK\x03\x04", b"dex\n035\0", b"\x89PNG\r\n\x1a\n", b"{\"a\": 1}" * 60,
        b"\x08\x03" + b"\x12\x10\x0a\x0einput features", b"\x08\x07\x12\x04ab\x00c" + b"x" * 500,
        b"\x08\x07\x12\x03abc\x1a\x03abc", b"\x08\x01\x10\x02\x18\x03" * 50,
        b"\x08\x07:\x05\x0a\xff\x01xx", b"\x08\x07B\x04\x10\x0dxx", b"ir_version: 7\n" * 40,
        bytes(512), bytes(range(256)) * 2,
    ],
)  # fmt: skip
def test_other_bytes_are_not(head: bytes) -> None:
    assert reader.recognise(head, "data.bin") == 0
    assert 0 < reader.recognise(head, "Net.ONNX") <= 0.5


# What a model says of itself


def test_what_stands_around_the_graph() -> None:
    proto = _relu()
    helper.set_model_props(proto, {"names": "{1: 'dog', 0: 'cat'}", "stride": "32"})
    found = read(proto)
    assert (found.format, found.level, found.name) == ("onnx", "graph", "net")
    assert found.producer == "tests 1.0"
    assert found.metadata["stride"] == "32"
    assert found.labels == ("cat", "dog")


@pytest.mark.parametrize("names", ["['a', 'b'", "{'a': 0}", "[1, 2]", "__import__('os')", "x"])
def test_metadata_that_are_no_labels_are_none(names: str) -> None:
    proto = _relu()
    helper.set_model_props(proto, {"names": names})
    assert read(proto).labels == ()


def test_layers_and_tensors_carry_the_files_names() -> None:
    proto = model(
        [node("Conv", "x w", "a", name="first"), node("Relu", "a", "y")],
        [value("x", [1, 3, 8, 8])], [value("y", None)],
        {"w": np.ones((4, 3, 3, 3), np.float32)}, value_info=[value("a", [1, 4, 6, 6])],
    )  # fmt: skip
    found = read(proto)
    assert [(layer.name, layer.op) for layer in found.layers] == [("first", "Conv"), ("y", "Relu")]
    assert tensor(found, "a").shape == (1, 4, 6, 6)
    assert tensor(found, "y").shape is None
    assert tensor(found, "y").dtype == "float32"
    assert names(found, found.inputs) == ["x"]
    assert names(found, found.outputs) == ["y"]


def test_free_dimensions_keep_or_get_a_name() -> None:
    found = read(model(RELU, [value("x", ["batch", 3, None, -1])], [value("y", None)]))
    shape = found.tensors[found.inputs[0]].shape
    assert shape == (FreeDim("batch"), 3, FreeDim("x_2"), FreeDim("x_3"))
    assert any("-1" in note for note in found.notes)


def test_a_batch_of_zero_is_free_and_noted() -> None:
    found = read(model(RELU, [value("x", [0, 3])], [value("y", None)]))
    assert found.tensors[found.inputs[0]].shape == (FreeDim("x_0"), 3)
    assert any("size 0" in note for note in found.notes)


def test_initialisers_among_the_inputs_are_no_inputs() -> None:
    proto = model(
        [node("Add", "x w", "y")], [value("x"), value("w")], [value("y")],
        {"w": np.ones(1, np.float32)}, ir_version=3,
    )  # fmt: skip
    found = read(proto)
    assert names(found, found.inputs) == ["x"]
    assert tensor(found, "w").weights is not None


def test_models_before_ir_3_need_no_operator_set() -> None:
    proto = _relu(ir_version=2)
    del proto.opset_import[:]
    assert [layer.kind for layer in read(proto).layers] == [Kind.UNARY]


def test_operators_of_other_domains_carry_it_and_are_unknown_if_unheard_of() -> None:
    proto = model(
        [node("Magic", "x", "a", "local"), node("Shiny", "a", "b"), node("Odd", "b", "y", "else")],
        [value("x")], [value("y")],
    )  # fmt: skip
    found = read(proto)
    assert [(layer.op, layer.kind) for layer in found.layers] == [
        ("local::Magic", Kind.UNKNOWN), ("Shiny", Kind.UNKNOWN), ("else::Odd", Kind.UNKNOWN)
    ]  # fmt: skip
    assert any("'else'" in note for note in found.notes)


def test_the_default_domain_has_two_names() -> None:
    found = read(model([node("Relu", "x", "y", "ai.onnx")], [value("x")], [value("y")]))
    assert (found.layers[0].op, found.layers[0].kind) == ("Relu", Kind.UNARY)


def test_optional_inputs_left_out_are_none() -> None:
    found = read(model([node("Clip", "x - m", "y")], [value("x"), value("m")], [value("y")]))
    assert names(found, found.layers[0].inputs) == ["x", None, "m"]


# What makes a model invalid


def _without(field: str) -> Any:
    proto = _relu()
    proto.ClearField(field)
    return proto


@pytest.mark.parametrize(
    ("proto", "why"),
    [
        (_without("ir_version"), "no ir_version"),
        (_without("graph"), "no graph"),
        (_without("opset_import"), "no operator set"),
        (model([], [value("x")], []), "neither nodes nor outputs"),
        (model([node("Relu", "z", "y")], [], [value("y")]), "reads 'z'"),
        (model([node("Relu", "y", "z"), *RELU], [value("x")], [value("z")]), "reads 'y'"),
        (model([*RELU, *RELU], [value("x")], [value("y")]), "two values are called 'y'"),
        (model([], [value("x"), value("x")], [value("x")]), "two values are called 'x'"),
        (model(RELU, [value("x")], [value("q")]), "output 'q'"),
        (model([node("", "x", "y")], [value("x")], [value("y")]), "without an operator"),
        (model([node("MaxPool", "x", "y")], [value("x")], [value("y")]), "kernel_shape"),
        (model([node("If", "x", "y")], [value("x")], [value("y")]), "then_branch"),
        (model([node("Constant", "", "y")], [], [value("y")]), "without a value"),
        (model([node("Softmax", "x", "y", axis="two")], [value("x")], [value("y")]), "'axis'"),
    ],
)
def test_invalid_models_are_rejected_with_a_reason(proto: Any, why: str) -> None:
    with pytest.raises(RejectedModel, match=why):
        read(proto)


def test_text_called_onnx_is_rejected() -> None:
    for content in (b"", b"ir_version: 7 graph { }", b"<html></html>", b"\0" * 64):
        with pytest.raises(RejectedModel, match="not a valid ONNX model"):
            reader.read(MemoryFile(content, "net.onnx"))


def test_a_second_graph_is_rejected() -> None:
    content = _relu().SerializeToString()
    twice = content + onnx.ModelProto(graph=_relu().graph).SerializeToString()
    with pytest.raises(RejectedModel, match="2 graphs"):
        reader.read(MemoryFile(twice))
