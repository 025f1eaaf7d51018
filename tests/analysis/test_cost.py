"""MACs and FLOPs against numbers worked out by hand from counting.md."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgewise.analysis.cost import Cost, layer_costs, total
from edgewise.analysis.shapes import propagate
from edgewise.analysis.symbolic import formula
from edgewise.graph import Kind


def cost_of(builder: Any, **overrides: Any) -> Cost:
    return total(layer_costs(builder.graph, propagate(builder.graph, overrides)))


def zeros(*shape: int) -> Any:
    return np.zeros(shape, "f4")


def test_convolution_with_fused_activation(net: Any) -> None:
    b = net(x=(1, 8, 8, 3)).layer(
        Kind.CONV, ["x", zeros(16, 3, 3, 3), zeros(16)], "y", layout="channels_last",
        weight_layout="O*I", pads="same", strides=(2, 2), activation="relu6",
    )  # fmt: skip
    macs = 4 * 4 * 16 * 3 * 3 * 3
    assert cost_of(b) == Cost(macs, 2 * macs + 4 * 4 * 16, macs)


def test_grouped_and_depthwise_convolutions(net: Any) -> None:
    b = net(x=(1, 8, 6, 6))
    b.layer(Kind.CONV, ["x", zeros(12, 2, 3, 3)], "g", weight_layout="OI*", pads=(1,) * 4, groups=4)
    b.layer(Kind.TRANSPOSE, ["g"], "t", permutation=[0, 2, 3, 1])
    b.layer(
        Kind.CONV, ["t", zeros(1, 3, 3, 24)], "d", layout="channels_last", weight_layout="1*O",
        pads="same",
    )  # fmt: skip
    assert cost_of(b).macs == 36 * 12 * 9 * 2 + 36 * 24 * 9


def test_transposed_convolution_counts_its_input_places(net: Any) -> None:
    b = net(x=(1, 8, 7, 7)).layer(
        Kind.CONV_TRANSPOSE, ["x", zeros(8, 4, 3, 3)], "y", weight_layout="IO*", strides=(2, 2)
    )
    assert cost_of(b).macs == 7 * 7 * 8 * 4 * 9


def test_recurrent_layers(net: Any) -> None:
    for cell, gates in (("lstm", 4), ("gru", 3), ("rnn", 1)):
        b = net(x=(10, 1, 20)).layer(
            Kind.RECURRENT, ["x", zeros(1, 1), zeros(1, 1)], "y", cell=cell, hidden=32,
            directions=2, time_axis=0, batch_axis=1, outputs=["onnx_sequence"],
        )  # fmt: skip
        assert cost_of(b).macs == 10 * 2 * gates * (20 * 32 + 32 * 32)


def test_projected_lstm(net: Any) -> None:
    b = net(x=(10, 1, 20)).layer(
        Kind.RECURRENT, ["x", zeros(1, 1), zeros(1, 1)], "y", cell="lstm", hidden=32,
        projection=8, time_axis=0, batch_axis=1,
    )  # fmt: skip
    assert cost_of(b).macs == 10 * (4 * (20 * 32 + 8 * 32) + 32 * 8)


def test_svdf(net: Any) -> None:
    b = net(x=(1, 40)).layer(Kind.SVDF, ["x", zeros(16, 40), zeros(16, 10)], "y", rank=2)
    assert cost_of(b).macs == 8 * 2 * (40 + 10)


def test_attention_products_of_grouped_heads(net: Any) -> None:
    b = net(q=(1, 5, 64), k=(1, 7, 32), v=(1, 7, 32)).layer(
        Kind.ATTENTION, ["q", "k", "v"], "y", heads=8, kv_heads=4, packed=True
    )
    assert cost_of(b).macs == 2 * (8 * 5 * 7 * 8)


@pytest.mark.parametrize(
    ("equation", "a", "b", "macs"),
    [
        ("bij,bjk->bik", (2, 3, 4), (2, 4, 5), 2 * 3 * 4 * 5),
        ("...ij,...jk->...ik", (6, 3, 4), (6, 4, 5), 6 * 3 * 4 * 5),
        ("i,j->ij", (3,), (4,), 0),
    ],
)
def test_einsum(net: Any, equation: str, a: Any, b: Any, macs: int) -> None:
    built = net(a=a, b=b).layer(Kind.EINSUM, ["a", "b"], "y", equation=equation)
    assert cost_of(built).macs == macs


def test_flops_of_what_does_not_multiply_accumulate(net: Any) -> None:
    b = net(x=(1, 4, 8, 8))
    b.layer(Kind.POOL, ["x"], "p", kernel=(2, 2), strides=(2, 2), layout="channels_first")
    b.layer(Kind.SOFTMAX, ["p"], "s")
    b.layer(Kind.REDUCE, ["s"], "r", function="mean", axes=[2, 3])
    b.layer(Kind.RESHAPE, ["r", [4]], "f")
    pooled = 4 * 4 * 4
    assert cost_of(b) == Cost(0, pooled * 4 + pooled + pooled, 0)


def test_an_operator_that_is_not_understood_makes_the_sum_unknown(net: Any) -> None:
    b = net(x=(1, 10)).layer(Kind.DENSE, ["x", zeros(5, 10)], "y")
    b.layer(Kind.UNKNOWN, ["y"], "z")
    found = cost_of(b)
    assert (found.macs, found.flops, found.known) == (None, None, 50)
    assert found.why == ("UNKNOWN: not understood, it may multiply and accumulate",)


def test_the_costlier_branch_counts(net: Any) -> None:
    def branch(units: int) -> Any:
        return net(x=(1, 10)).layer(Kind.DENSE, ["x", zeros(units, 10)], "y").done("y")

    b = net(c=(), x=(1, 10)).layer(Kind.IF, ["c", "x"], "y", bodies=(branch(3), branch(7)))
    assert cost_of(b).macs == 70


def test_a_loop_counts_as_often_as_it_runs_or_not_at_all(net: Any) -> None:
    def loop(count: Any) -> Any:
        body = net(i=(), go=(), s=(1, 10))
        body.layer(Kind.IDENTITY, ["go"], "on")
        body.layer(Kind.DENSE, ["s", zeros(10, 10)], "n")
        outer = net(x=(1, 10), m=())
        return outer.layer(
            Kind.LOOP, [count, None, "x"], "y", style="onnx", bodies=(body.done("on", "n"),)
        )

    assert cost_of(loop(np.array(4))).macs == 400
    assert cost_of(loop("m")).macs is None


def test_formula_holds_for_other_sizes(net: Any) -> None:
    """Attention grows with the square of a free length."""
    b = net(x=("N", "T", 16))
    b.layer(Kind.MATMUL, ["x", zeros(16, 16)], "q")
    b.layer(Kind.ATTENTION, ["q", "q", "q"], "y", heads=2, packed=True)
    text = formula(cost_of(b).macs)
    assert text is not None
    for batch, length in ((1, 1), (2, 9), (3, 40)):
        expected = cost_of(b, x=(batch, length, 16)).macs
        assert eval(text, {"N": batch, "T": length}) == expected
