"""Known architectures by structure: what layers a network has, whatever it is called."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgewise.analysis.architecture import Facts, architecture, facts_of, form_of, rows
from edgewise.analysis.shapes import propagate
from edgewise.analysis.structure import structure
from edgewise.analysis.summary import summarise
from edgewise.analysis.task import told
from edgewise.archive import open_file
from edgewise.graph import Graph, Kind, Tensor


def family(graph: Graph) -> str | None:
    shapes = propagate(graph)
    return architecture(graph, facts_of(graph, shapes, structure(graph, shapes)))


class Stack:
    """Layers one behind the other over a picture of four channels."""

    def __init__(self, net: Any) -> None:
        self.net, self.last, self.count = net(x=(1, 4, 32, 32)), "x", 0

    def conv(self, size: int = 3, groups: int = 1) -> str:
        weight = np.zeros((4, 4 // groups, size, size), np.float32)
        return self._add(
            Kind.CONV, [self.last, weight], weight_layout="OI*", groups=groups, pads="same"
        )

    def add(self, other: str) -> str:
        return self._add(Kind.BINARY, [self.last, other], function="add")

    def _add(self, kind: Kind, inputs: list[Any], **attributes: Any) -> str:
        self.count += 1
        self.last = f"t{self.count}"
        self.net.layer(kind, inputs, self.last, **attributes)
        return self.last

    def family(self) -> str | None:
        graph = self.net.done(self.last)
        return family(graph)


def test_residual_networks_by_their_convolutions_and_sums(net: Any) -> None:
    stack = Stack(net)
    stack.conv()
    for block in range(8):
        before = stack.last
        stack.conv()
        stack.conv()
        if block in (2, 4, 6):
            stack.conv(1)
        stack.add(before)
    assert stack.family() == "resnet-18"


def test_separable_convolutions_with_and_without_sums(net: Any) -> None:
    first, second = Stack(net), Stack(net)
    first.conv()
    for _ in range(13):
        first.conv(3, groups=4)
        first.conv(1)
    assert first.family() == "mobilenet-v1"
    second.conv()
    for block in range(17):
        before = second.last
        second.conv(1)
        second.conv(3, groups=4)
        second.conv(1)
        if block < 10:
            second.add(before)
    assert second.family() == "mobilenet-v2"


def test_what_fits_no_family_is_unknown(net: Any) -> None:
    stack = Stack(net)
    for _ in range(7):
        stack.conv()
    assert stack.family() is None


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("file", "family"),
    [
        ("ncnn/Tencent__benchmark__models__googlenet.param", "googlenet"),
        ("ncnn/Tencent__benchmark__models__alexnet.param", "alexnet"),
        ("ncnn/Tencent__benchmark__models__resnet18.param", "resnet-18"),
        ("ncnn/Tencent__benchmark__models__squeezenet.param", "squeezenet"),
        ("ncnn/Tencent__benchmark__models__mobilenet_ssd.param", "ssd"),
        ("tnn/Tencent__benchmark__benchmark-model__resnet50.tnnproto", "resnet-50"),
        ("tnn/Tencent__benchmark__benchmark-model__quant_mobilenet_v2.tnnproto", "mobilenet-v2"),
    ],
)
def test_published_networks(corpus: Path, file: str, family: str | None) -> None:
    assert summarise(open_file(str(corpus / "models" / file))).architecture == family


def of(net: Any, x: tuple[int, ...], dtype: str = "float32") -> Any:
    made = net(x=x)
    made.graph.tensors[0].dtype = dtype
    return made


def heads(made: Any) -> dict[str, int]:
    made.graph.outputs = [len(made.graph.tensors) - 1]
    return structure(made.graph, propagate(made.graph))


@pytest.mark.parametrize("masked", [True, False])
def test_attention_is_a_softmax_between_two_products(net: Any, masked: bool) -> None:
    made = net(q=(1, 4, 6, 8), k=(1, 4, 8, 6), v=(1, 4, 6, 8))
    made.layer(Kind.MATMUL, ["q", "k"], "s0").layer(
        Kind.BINARY, ["s0", np.float32(0.3)], "s1", function="mul"
    )
    mask = np.zeros((6, 6), np.float32) if masked else np.zeros((1, 6), np.float32)
    made.layer(Kind.BINARY, ["s1", mask], "s2", function="add")
    made.layer(Kind.SOFTMAX, ["s2"], "p").layer(Kind.MATMUL, ["p", "v"], "y")
    found = heads(made)
    assert (found["attentions"], found["causal"]) == (1, int(masked))


def test_a_softmax_at_the_end_is_no_attention(net: Any) -> None:
    made = net(x=(1, 8)).layer(Kind.MATMUL, ["x", np.zeros((8, 4), np.float32)], "s")
    assert heads(made.layer(Kind.SOFTMAX, ["s"], "y"))["attentions"] == 0


def test_a_gate_is_a_product_of_two_of_the_same_input(net: Any) -> None:
    weights = np.zeros((8, 16), np.float32)
    made = net(x=(1, 6, 8)).layer(Kind.MATMUL, ["x", weights], "a")
    made.layer(Kind.MATMUL, ["x", weights + 1], "b").layer(
        Kind.UNARY, ["a"], "s", function="sigmoid"
    )
    made.layer(Kind.BINARY, ["a", "s"], "swish", function="mul")
    assert heads(made)["gated"] == 0
    assert heads(made.layer(Kind.BINARY, ["swish", "b"], "y", function="mul"))["gated"] == 1


@pytest.mark.parametrize("centred", [True, False])
def test_norms_as_exporters_write_them(net: Any, centred: bool) -> None:
    made = net(x=(1, 6, 8))
    if centred:
        made.layer(Kind.REDUCE, ["x"], "m", function="mean", axes=(-1,), keep_dims=True)
        made.layer(Kind.BINARY, ["x", "m"], "c", function="sub")
    made.layer(Kind.BINARY, ["c" if centred else "x", np.float32(2)], "s", function="pow").layer(
        Kind.REDUCE, ["s"], "v", function="mean", axes=(-1,), keep_dims=True
    )
    found = heads(made)
    assert (found["normalise_layer"], found["normalise_rms"]) == (int(centred), int(not centred))


def test_words_are_looked_up_by_numbers_that_are_an_input(net: Any) -> None:
    made = of(net, (1, 6), "int64").layer(Kind.CAST, ["x"], "i", dtype="int32")
    found = heads(made.layer(Kind.GATHER, [np.zeros((100, 8), np.float32), "i"], "y"))
    assert (found["lookups"], found["words"]) == (1, 100)


def test_heads_over_pictures_of_falling_sizes_are_a_pyramid(net: Any) -> None:
    made = net(x=(1, 4, 32, 32))
    weight = np.zeros((4, 4, 3, 3), np.float32)
    for level, (before, stride) in enumerate((("x", 1), ("c0", 2), ("c1", 2))):
        made.layer(
            Kind.CONV,
            [before, weight],
            f"c{level}",
            strides=(stride, stride),
            pads="same",
            weight_layout="OI*",
            layout="channels_first",
        ).layer(Kind.RESHAPE, [f"c{level}"], f"r{level}", shape=(1, -1, 4))
    found = heads(made.layer(Kind.CONCAT, ["r0", "r1", "r2"], "y", axis=1))
    assert (found["pyramids"], found["levels"]) == (1, 3)
    assert heads(made.layer(Kind.CONCAT, ["r0", "r0"], "z", axis=1))["pyramids"] == 1


#: Real networks as exporters write them: what `structure` counts in them, and what they are.
NETWORKS = json.loads((Path(__file__).parent / "networks.json").read_text())


@pytest.mark.parametrize("row", NETWORKS, ids=[row["network"] for row in NETWORKS])
def test_rules_tell_real_networks_apart(row: dict[str, Any]) -> None:
    inputs, outputs = (tuple(map(tuple, row[ports])) for ports in ("inputs", "outputs"))
    graph = Graph("", [], [], [], [])
    facts = Facts(Counter(row["numbers"]), inputs, outputs, frozenset())
    told_family = architecture(graph, facts)
    assert (told_family, told("m.bin", graph, facts, told_family).task) == (
        row["architecture"], row["task"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("names", "family"),
    [
        (["blk.0.attn_q.weight", "blk.0.ffn_gate.weight", "output_norm.weight"], "llama"),
        (["model.layers.0.self_attn.q_proj.weight", "model.layers.0.mlp.gate_proj.weight",
          "model.norm.weight"], "llama"),
        (["v.blk.0.attn_q.weight", "v.blk.0.ffn_gate.weight", "output_norm.weight"], None),
        (["transformer.h.0.attn.c_attn.weight", "transformer.wpe.weight"], "gpt"),
        (["encoder.conv1.weight", "decoder.blocks.0.cross_attn.query.weight"], "whisper"),
        (["blk.0.attn_q.weight", "blk.0.ffn_up.weight"], None),
    ],
)  # fmt: skip
def test_weights_alone_tell_by_their_layers(names: list[str], family: str | None) -> None:
    graph = Graph("", [Tensor(name, "float32", (1,)) for name in names], [], [], [])
    facts = Facts(Counter(weights=1), (), (), frozenset())
    assert architecture(graph, facts) == family


def test_rules_only_ask_for_what_is_counted() -> None:
    source = Path(structure.__code__.co_filename).read_text()
    functions = {"hard_swish", "hard_sigmoid", "leaky_relu", "sigmoid", "swish"}
    known = functions | {kind.value for kind in Kind} | {"normalise_rms", "normalise_layer"}
    for row in rows("architectures.toml") + rows("tasks.toml"):
        assert row["source"]
        for condition in form_of(row).where:
            for term in (*condition.left, *condition.right):
                assert term.isdigit() or term in known or f'"{term}"' in source, term
