"""MindSpore Lite: layers with channels last, and loops as subgraphs that call themselves."""

from __future__ import annotations

from pathlib import Path

import pytest
from held_files import Held, inspected

from edgewise.formats import mindspore
from edgewise.formats.mindspore.ops import OPERATORS
from edgewise.formats.mindspore.primitives import PRIMITIVES
from edgewise.graph import Kind


def test_it_is_recognised_by_its_identifier_or_name() -> None:
    assert mindspore.recognise(b"\x28\0\0\0MSL2" + bytes(8), "any") > 0.5
    assert 0 < mindspore.recognise(b"\x28\0\0\0\0\0\0\0", "a.ms") <= 0.5
    assert mindspore.recognise(b"\x28\0\0\0TFL3", "a.tflite") == 0


def test_the_table_names_primitives_that_exist() -> None:
    assert set(OPERATORS) <= set(PRIMITIVES)
    assert PRIMITIVES.index("Conv2DFusion") == 34 and PRIMITIVES[-1] == "FillV2"
    trained = {"Adam", "SGD", "ApplyMomentum", "AdamWeightDecay"}
    left = {op for op in PRIMITIVES if op not in OPERATORS and "Grad" not in op} - trained
    assert not left & {"MatMulFusion", "FullConnection", "LSTM", "GRU", "AddFusion"}


@pytest.mark.parametrize("content", [b"\x28\0\0\0MSL2", b"\x08\0\0\0MSL2" + bytes(40), bytes(64)])
def test_files_that_are_none(content: bytes) -> None:
    assert inspected("m.ms", content).status == "rejected"


def test_an_older_schema_is_opaque() -> None:
    assert inspected("m.ms", b"\x28\0\0\0MSL1" + bytes(64)).status == "opaque"


def known(corpus: Path, network: str, name: str) -> bytes:
    return (corpus.parent / "known/rosetta" / network / "mindspore" / name).read_bytes()


@pytest.mark.corpus
def test_a_loop_of_subgraphs_is_counted(corpus: Path) -> None:
    content = known(corpus, "gatednet", "gatednet__base.tflite.ms")
    graph = mindspore.read(Held("m.ms", content))
    assert [layer.op for layer in graph.layers if layer.kind is Kind.LOOP] == ["while", "while"]
    found = inspected("m.ms", content)
    assert (found.macs, found.parameters) == (103_008, 4_566)


@pytest.mark.corpus
def test_weights_are_those_of_the_file_it_was_made_from(corpus: Path) -> None:
    whole = inspected("m.ms", known(corpus, "mixcnn", "mixcnn__base.onnx.ms"))
    half = inspected("m.ms", known(corpus, "mixcnn", "mixcnn__base.onnx.fp16.ms"))
    assert whole.macs == half.macs == 6_058_184
    assert (whole.quantization, half.quantization) == ("none", "float16")
    assert whole.zero_fraction == pytest.approx(half.zero_fraction, abs=0.01)


@pytest.mark.corpus
def test_what_is_cut_off_is_rejected(corpus: Path) -> None:
    content = known(corpus, "mixcnn", "mixcnn__base.onnx.ms")
    for size in (100, len(content) // 2, len(content) - 200):
        assert inspected("m.ms", content[:size]).status == "rejected"
