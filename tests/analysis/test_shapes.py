"""Shapes follow from the inputs, whatever the file states."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.analysis.rules.movement import strided_length
from edgewise.analysis.shapes import propagate
from edgewise.analysis.symbolic import Symbols, formula
from edgewise.errors import UsageError
from edgewise.graph import FreeDim, Kind


def shape_of(builder: Any, name: str, **overrides: Any) -> Any:
    return propagate(builder.graph, overrides).dims[builder.of(name)]


def test_a_dilated_convolution_between_space_to_batch_and_batch_to_space(net: Any) -> None:
    """TensorFlow's way of dilating: the stored batch of the middle is often wrong."""
    b = net(x=(1, 30, 40, 8))
    b.layer(Kind.SPACE_TO_BATCH, ["x", [5, 5], [[5, 5], [5, 5]]], "s")
    b.layer(
        Kind.CONV, ["s", np.zeros((12, 3, 3, 8), "f4"), None], "c",
        layout="channels_last", weight_layout="O*I", pads="valid",
    )  # fmt: skip
    b.layer(Kind.BATCH_TO_SPACE, ["c", [5, 5], [[0, 0], [0, 0]]], "y")
    b.graph.tensors[b.of("s")].shape = (1, 8, 10, 8)
    assert shape_of(b, "s") == (25, 8, 10, 8)
    assert shape_of(b, "y") == (1, 30, 40, 12)


@pytest.mark.parametrize(
    ("pads", "strides", "dilations", "expected"),
    [
        ("same", (2, 2), (1, 1), (1, 16, 113, 8)),
        ("valid", (1, 1), (1, 1), (1, 16, 223, 14)),
        ((1, 1, 1, 1), (2, 2), (1, 1), (1, 16, 113, 8)),
        ((0, 0, 0, 0), (1, 1), (2, 2), (1, 16, 221, 12)),
    ],
)
def test_convolution(net: Any, pads: Any, strides: Any, dilations: Any, expected: Any) -> None:
    b = net(x=(1, 3, 225, 16)).layer(
        Kind.CONV, ["x", np.zeros((16, 3, 3, 3), "f4")], "y", layout="channels_first",
        weight_layout="OI*", pads=pads, strides=strides, dilations=dilations,
    )  # fmt: skip
    assert shape_of(b, "y") == expected


def test_pool_in_ceil_mode_starts_no_window_in_the_right_padding(net: Any) -> None:
    for size, expected in ((5, 3), (6, 3), (7, 4)):
        b = net(x=(1, 1, size, size)).layer(
            Kind.POOL, ["x"], "y", kernel=(2, 2), strides=(2, 2), pads=(0, 0, 0, 0),
            layout="channels_first", ceil_mode=True,
        )  # fmt: skip
        assert shape_of(b, "y") == (1, 1, expected, expected)


def test_transposed_convolution_is_the_inverse_of_a_convolution(net: Any) -> None:
    b = net(x=(1, 8, 7, 7)).layer(
        Kind.CONV_TRANSPOSE, ["x", np.zeros((8, 4, 3, 3), "f4")], "y", layout="channels_first",
        weight_layout="IO*", strides=(2, 2), pads=(1, 1, 1, 1), output_padding=(1, 1),
    )  # fmt: skip
    assert shape_of(b, "y") == (1, 4, 14, 14)


def test_sizes_computed_in_the_graph_decide_a_reshape(net: Any) -> None:
    """Shape → Gather → Concat → Reshape, as PyTorch exports a flatten."""
    b = net(x=("N", 6, 4, 4))
    b.layer(Kind.SHAPE, ["x"], "s", dtype="int64")
    b.layer(Kind.GATHER, ["s", np.array(0)], "n", dtype="int64")
    b.layer(Kind.EXPAND_DIMS, ["n"], "n1", dtype="int64", axes=[0])
    b.layer(Kind.CONCAT, ["n1", np.array([-1])], "target", dtype="int64", axis=0)
    b.layer(Kind.RESHAPE, ["x", "target"], "y")
    assert shape_of(b, "y") == (1, 96)
    assert shape_of(b, "y", x=(3, 6, 4, 4)) == (3, 96)


def test_strided_slice_masks(net: Any) -> None:
    b = net(x=(4, 10, 6))
    b.layer(
        Kind.STRIDED_SLICE, ["x", [0, 2, 0], [0, 8, 1], [1, 2, 1]], "y",
        begin_mask=1, end_mask=1, shrink_axis_mask=4,
    )  # fmt: skip
    b.layer(
        Kind.STRIDED_SLICE, ["x", [0, 0], [0, 3], [1, 1]], "z", ellipsis_mask=1, new_axis_mask=0
    )
    assert shape_of(b, "y") == (4, 3)
    assert shape_of(b, "z") == (4, 10, 3)


def test_onnx_slice_backwards_and_to_the_end(net: Any) -> None:
    b = net(x=(4, 10))
    b.layer(Kind.STRIDED_SLICE, ["x", [2], [2**63 - 1], [1]], "y", onnx=True)
    b.layer(Kind.STRIDED_SLICE, ["x", [-1], [-(2**63)], [1], [-2]], "z", onnx=True)
    assert shape_of(b, "y") == (4, 8)
    assert shape_of(b, "z") == (4, 5)


def test_loop_of_constant_trips_stacks_its_scans(net: Any) -> None:
    body = net(i=(), go=(), state=(2, 3))
    body.layer(Kind.IDENTITY, ["go"], "on", dtype="bool")
    body.layer(Kind.UNARY, ["state"], "next", function="exp")
    body.layer(Kind.UNARY, ["state"], "seen", function="exp")
    b = net(x=(2, 3)).layer(
        Kind.LOOP, [np.array(5), np.array(True), "x"], ["y", "all"], style="onnx",
        bodies=(body.done("on", "next", "seen"),),
    )  # fmt: skip
    found = propagate(b.graph)
    assert found.dims[b.of("y")] == (2, 3)
    assert found.dims[b.of("all")] == (5, 2, 3)
    assert found.trips == {0: 5}


def test_free_dimensions_are_counted_as_one_and_noted(net: Any) -> None:
    b = net(x=("N", 3, "H", "W")).layer(Kind.UNARY, ["x"], "y", function="exp")
    b.graph.tensors[0].shape = (FreeDim("N"), 3, FreeDim("H", 224), FreeDim("W"))
    found = propagate(b.graph)
    assert found.dims[b.of("y")] == (1, 3, 224, 1)
    assert any("H" in note and "224" in note for note in found.notes)
    assert not any("N " in note for note in found.notes), "a free batch is 1 without a word"


def test_a_layer_that_contradicts_itself_has_no_shape(net: Any) -> None:
    b = net(x=(1, 4)).layer(Kind.TRANSPOSE, ["x"], "y", permutation=[0, 5])
    assert shape_of(b, "y") is None


def test_an_override_of_nothing_is_refused(net: Any) -> None:
    b = net(x=(1, 4)).layer(Kind.UNARY, ["x"], "y")
    with pytest.raises(UsageError, match="no input 'z'"):
        shape_of(b, "y", z=(1, 4))
    with pytest.raises(UsageError, match="2 dimensions"):
        shape_of(b, "y", x=(1, 4, 4))


def test_every_kind_has_a_rule() -> None:
    from edgewise.analysis.rules import RULES

    assert set(RULES) == set(Kind)


def test_values_of_any_stated_size_are_not_computed(net: Any) -> None:
    b = net(x=(1, 4))
    b.layer(Kind.SHAPE, ["x"], "s", dtype="int64")
    b.layer(Kind.TILE, ["s", np.array([10**9])], "t", dtype="int64")
    b.layer(Kind.EXPAND_DIMS, ["t"], "c", dtype="int64", axes=[1])
    b.layer(Kind.BINARY, ["c", "t"], "y", dtype="int64", function="add")
    assert shape_of(b, "t") == (2 * 10**9,)
    assert shape_of(b, "y") == (2 * 10**9, 2 * 10**9)


def test_an_equation_with_labels_of_no_operand_has_no_shape(net: Any) -> None:
    b = net(a=(2, 3), b=(3, 4)).layer(Kind.EINSUM, ["a", "b"], "y", equation="ij,jk->iz")
    assert shape_of(b, "y") is None


def test_a_shape_to_broadcast_to_is_a_value(net: Any) -> None:
    b = net(x=("n", 1, 4), y=(3, 1)).layer(Kind.SHAPE, ["x"], "a", dtype="int32")
    b.layer(Kind.SHAPE, ["y"], "b", dtype="int32")
    b.layer(Kind.BROADCAST_SHAPE, ["a", "b"], "s", dtype="int32")
    b.layer(Kind.BROADCAST_TO, ["y", "s"], "z")
    assert propagate(b.graph, {"x": (5, 1, 4)}).dims[b.of("z")] == (5, 3, 4)


def test_a_transform_of_real_signals_keeps_half(net: Any) -> None:
    b = net(x=(2, 9, 1, 256))
    b.layer(Kind.FOURIER, ["x", np.array([1, 256], "i4")], "y", dtype="complex64", style="rfft")
    assert propagate(b.graph).dims[b.of("y")] == (2, 9, 1, 129)


def test_pooled_regions_are_as_many_as_there_are_regions(net: Any) -> None:
    b = net(x=(1, 8, 20, 30), regions=(6, 4)).layer(
        Kind.ROI_POOL, ["x", "regions"], "y", size=(7, 5)
    )
    assert propagate(b.graph).dims[b.of("y")] == (6, 8, 7, 5)


@pytest.mark.parametrize(
    ("shape", "kind", "weights", "more", "expected"),
    [
        (("N", "F"), Kind.MATMUL, [np.zeros((7, 5), "f4")], {}, (1, 5)),
        (("N", "F"), Kind.DENSE, [np.zeros((5, 7), "f4")], {}, (1, 5)),
        (("T", 1, "F"), Kind.RECURRENT, [np.zeros((1, 20, 7), "f4"), np.zeros((1, 20, 5), "f4")],
         {"cell": "lstm", "hidden": 5, "input_size": 7, "time_axis": 0, "batch_axis": 1,
          "outputs": ("onnx_sequence",)}, (1, 1, 1, 5)),
        (("N", "F", 9), Kind.CONV, [np.zeros((5, 7, 3), "f4")],
         {"layout": "channels_first", "weight_layout": "OI*", "groups": 1}, (1, 5, 7)),
    ],
)  # fmt: skip
def test_a_free_size_is_what_its_weights_take(
    net: Any, shape: Any, kind: Kind, weights: Any, more: Any, expected: Any
) -> None:
    """Through a layer that keeps it, too; what a user says stays."""
    b = net(x=shape).layer(Kind.UNARY, ["x"], "same", function="relu")
    b.layer(kind, ["same", *weights], "y", **more)
    found = propagate(b.graph)
    at = shape.index("F")
    assert (found.dims[b.of("x")] or ())[at] == 7
    assert found.dims[b.of("y")] == expected
    assert any("F is 7" in note for note in found.notes)
    said = tuple(3 if size == "F" else 1 if isinstance(size, str) else size for size in shape)
    assert shape_of(b, "x", x=said) == said


@given(
    st.integers(0, 7), st.none() | st.integers(-9, 9), st.none() | st.integers(-9, 9),
    st.sampled_from((1, 2, 3, -1, -2, -3)),
)  # fmt: skip
def test_a_slice_takes_what_pythons_takes(
    size: int, begin: int | None, end: int | None, step: int
) -> None:
    assert strided_length(size, begin, end, step) == len(range(size)[begin:end:step])


@pytest.mark.parametrize(
    ("begin", "end", "step", "text"),
    [(None, None, -1, "N"), (-1, -(2**63), -1, "N"), (1, 2**63 - 1, 1, "N - 1"),
     (-1, None, 1, None), (0, 1, 1, None)],
)  # fmt: skip
def test_a_slice_of_a_free_size_keeps_its_formula(
    begin: int | None, end: int | None, step: int, text: str | None
) -> None:
    assert formula(strided_length(Symbols().dim("N", 9), begin, end, step)) == text


def test_a_branch_that_no_runtime_could_run_is_left_out(net: Any) -> None:
    """As files have one branch for each sample rate: the condition is an input."""
    fits, does_not = net(), net()
    for body, depth in ((fits, 8), (does_not, 9)):
        body.layer(Kind.CONSTANT, [], "x")
        body.graph.layers.clear()
        body.graph.captures[0] = 0
        body.layer(Kind.MATMUL, ["x", np.zeros((depth, 5), "f4")], "y").done("y")
    b = net(x=(2, 8), rate=())
    b.graph.tensors[1].dtype = "bool"
    b.layer(Kind.IF, ["rate"], "z", bodies=(does_not.graph, fits.graph))
    found = propagate(b.graph)
    assert found.dims[b.of("z")] == (2, 5) and found.taken == {0: 1}
    assert any("left out" in note for note in found.notes)
    neither = net(x=(2, 7), rate=())
    neither.layer(Kind.IF, ["rate"], "z", bodies=(does_not.graph, fits.graph))
    found = propagate(neither.graph)
    assert found.dims[neither.of("z")] is None and found.impossible
