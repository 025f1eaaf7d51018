"""Damaged ONNX files end in a typed error or in a graph, whatever is damaged."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx_models import BOOL, INT64, MemoryFile, graph, helper, model, node, onnx, value

from edgewise.errors import InputError, LimitExceeded
from edgewise.formats import onnx as reader
from edgewise.graph import Graph


def _check(found: Graph) -> None:
    for layer in found.layers:
        for index in (*layer.inputs, *layer.outputs):
            assert index is None or 0 <= index < len(found.tensors)
        for body in layer.bodies:
            assert all(0 <= outer < len(found.tensors) for outer in body.captures.values())
            _check(body)
    for tensor in found.tensors:
        if tensor.weights is not None:
            try:
                assert tensor.weights.load().nbytes <= 1 << 20
            except (InputError, LimitExceeded):
                continue


def _outcome(content: bytes) -> str:
    reader.recognise(content[:512], "x.bin")
    try:
        found = reader.read(MemoryFile(content))
    except (InputError, LimitExceeded) as error:
        return type(error).__name__
    _check(found)
    return "parsed"


def _sample() -> Any:
    """A bit of everything: weights of all sorts, bodies, a function, free dimensions."""
    branch = graph([node("MatMul", "a w", "p")], [], [value("p", None)])
    other = graph([node("Constant", "", "q", value_floats=[1.0])], [], [value("q", None)])
    step = graph([node("Identity", "go", "on"), node("Twice", "s", "t", "local")],
                 [value("i", [], INT64), value("go", [], BOOL), value("s", None)],
                 [value("on", [], BOOL), value("t", None)])  # fmt: skip
    twice = helper.make_function("local", "Twice", ["x"], ["y"], [node("Add", "x x", "y")],
                                 [helper.make_opsetid("", 21)])  # fmt: skip
    external = onnx.TensorProto(data_type=1, dims=[2], data_location=1)
    external.external_data.add(key="location", value="w.bin")
    proto = model(
        [
            node("Conv", "x k", "c", pads=[1, 1, 1, 1], group=1),
            node("Reshape", "c shape", "a"),
            node("If", "yes", "b", then_branch=branch, else_branch=other),
            node("Loop", "n - b", "d", body=step),
            node("LSTM", "d r0 r1", "e - f", hidden_size=2),
            node("MatMulNBits", "e nb s", "g", "com.microsoft", K=8, N=2, block_size=8),
            node("Add", "g out", "y"),
        ],
        [value("x", ["n", 3, 4, 4]), value("yes", [], BOOL)], [value("y", None)],
        {
            "k": np.ones((2, 3, 3, 3), np.float32), "w": np.ones((8, 8), np.float16),
            "shape": helper.make_tensor("shape", INT64, [2], [-1, 8]), "n": np.array(3),
            "r0": np.ones((1, 8, 8), np.float32), "r1": np.ones((1, 8, 2), np.float32),
            "nb": np.ones((2, 1, 4), np.uint8), "s": np.ones(2, np.float32), "out": external,
        },
        functions=[twice],
    )  # fmt: skip
    helper.set_model_props(proto, {"names": "['a']"})
    return proto


SAMPLE = _sample().SerializeToString()


def test_the_sample_itself_is_read() -> None:
    assert _outcome(SAMPLE) == "parsed"


def test_every_truncation_ends_in_a_typed_outcome() -> None:
    outcomes = {_outcome(SAMPLE[:length]) for length in range(len(SAMPLE))}
    assert "RejectedModel" in outcomes


def test_mutated_bytes_end_in_a_typed_outcome() -> None:
    chance = random.Random(7)
    seen = set()
    for _ in range(3000):
        content = bytearray(SAMPLE)
        for _ in range(chance.choice((1, 1, 2, 8))):
            at = chance.randrange(len(content))
            content[at] = chance.choice((0, 0x7F, 0x80, 0xFF, chance.randrange(256)))
        seen.add(_outcome(bytes(content)))
    assert {"parsed", "RejectedModel"} <= seen


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_bytes_after_a_good_beginning_end_in_a_typed_outcome(tail: bytes) -> None:
    _outcome(b"\x08\x08\x42\x02\x10\x15" + tail)


@pytest.mark.parametrize("filler", [b"\x08\x08", b"\x3a\x00", b"\x42\x00"])
def test_millions_of_tiny_fields_hit_a_limit(filler: bytes) -> None:
    with pytest.raises(LimitExceeded), pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgewise.formats.onnx.graphs.PART_LIMIT", 10_000)
        patch.setattr("edgewise.formats.protobuf.Wire.__init__", _small_limit)
        reader.read(MemoryFile(filler * 50_000))


def _small_limit(wire: Any, data: memoryview) -> None:
    wire.data, wire.budget = data, 20_000
