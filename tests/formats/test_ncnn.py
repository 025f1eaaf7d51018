"""ncnn, text and binary, with and without weights; checked against its runtime where installed."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from edgewise.analysis.summary import summarise
from edgewise.archive import open_file
from edgewise.formats import ncnn
from edgewise.formats.ncnn.params import TYPES
from edgewise.records import Model

NET = """7767517
5 6
Input            data  0 1 data 0=12 1=10 2=3
Convolution      conv  1 1 data c 0=4 1=3 3=2 4=1 5=1 6=108 9=1
Split            twice 1 2 c c0 c1
BinaryOp         add   2 1 c0 c1 sum 0=0
InnerProduct     fc    1 1 sum out 0=5 1=1 2=600
"""


def weights(net: str = "f32") -> bytes:
    """The weights of `NET`, all 1: tagged arrays, then raw biases."""
    conv = struct.pack("<I", 0) + np.ones(108, "<f4").tobytes()
    if net == "f16":
        conv = struct.pack("<I", 0x01306B47) + np.ones(108, "<f2").tobytes()
    dense = struct.pack("<I", 0) + np.ones(600, "<f4").tobytes()
    return conv + np.ones(4, "<f4").tobytes() + dense + np.ones(5, "<f4").tobytes()


def inspect(path: Path, **options: object) -> Model:
    return summarise(open_file(str(path)), **options)  # type: ignore[arg-type]


def write(folder: Path, text: str | bytes, stored: bytes | None = None) -> Path:
    path = folder / "net.param"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    if stored is not None:
        (folder / "net.bin").write_bytes(stored)
    return path


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
def test_a_network_with_its_weights(tmp_path: Path, ends: str) -> None:
    model = inspect(write(tmp_path, NET.replace("\n", ends), weights()), weights=True)
    assert (model.format, model.status, model.notes) == ("ncnn", "parsed", ())
    assert model.macs == 5 * 6 * 108 + 600
    assert model.parameters == 108 + 4 + 600 + 5
    assert [tuple(port.shape or ()) for port in model.inputs or ()] == [(1, 3, 10, 12)]
    assert [tuple(port.shape or ()) for port in model.outputs or ()] == [(1, 5)]
    assert model.zero_fraction == 0 and model.companions == ("net.bin",)


def test_half_floats_are_found_at_their_place(tmp_path: Path) -> None:
    model = inspect(write(tmp_path, NET, weights("f16")))
    assert (model.notes, model.weight_dtypes) == ((), {"float16": 216, "float32": 4 * 609})


def test_renamed_weights_are_found_by_what_they_hold(tmp_path: Path) -> None:
    path = write(tmp_path, NET)
    (tmp_path / "a7f3.dat").write_bytes(bytes(400))
    (tmp_path / "b7f3.dat").write_bytes(weights())
    model = inspect(path)
    assert (model.companions, model.notes) == (("b7f3.dat",), ())


@pytest.mark.parametrize(
    ("stored", "note"),
    [
        (None, "missing"),
        (weights()[:400], "other weights"),
        (weights() + bytes(8), "belong to no layer"),
    ],
)
def test_weights_that_do_not_fit_are_told(tmp_path: Path, stored: bytes | None, note: str) -> None:
    model = inspect(write(tmp_path, NET, stored))
    assert model.macs == 5 * 6 * 108 + 600 and model.parameters == 717
    assert note in " ".join(model.notes)


def binary(types: list[tuple[str, list[int], list[int], dict[int, int]]], blobs: int) -> bytes:
    """The binary form of a list of layers."""
    words = [7767517, len(types), blobs]
    for name, reads, writes, parameters in types:
        words += [TYPES.index(name), len(reads), len(writes), *reads, *writes]
        words += [number for pair in parameters.items() for number in pair] + [-233]
    return struct.pack(f"<{len(words)}i", *words)


def test_the_binary_form_says_the_same(tmp_path: Path) -> None:
    data = binary(
        [
            ("Input", [], [0], {0: 12, 1: 10, 2: 3}),
            ("Convolution", [0], [1], {0: 4, 1: 3, 3: 2, 4: 1, 5: 1, 6: 108, 9: 1}),
            ("Split", [1], [2, 3], {}),
            ("BinaryOp", [2, 3], [4], {0: 0}),
            ("InnerProduct", [4], [5], {0: 5, 1: 1, 2: 600}),
        ],
        6,
    )
    path = tmp_path / "net.param.bin"
    path.write_bytes(data)
    (tmp_path / "net.bin").write_bytes(weights())
    model = inspect(path)
    assert (model.status, model.macs, model.parameters) == ("parsed", 3840, 717)
    path.write_bytes(data[:-4])
    assert inspect(path).status == "rejected"
    path.write_bytes(data + b"1234")
    assert inspect(path).status == "rejected"


def test_without_a_size_the_count_is_unknown_until_it_is_given(tmp_path: Path) -> None:
    path = write(tmp_path, NET.replace(" 0=12 1=10 2=3", ""), weights())
    assert (inspect(path).macs, inspect(path).parameters) == (None, 717)
    assert inspect(path, shapes={"data": (1, 3, 10, 12)}).macs == 3840


def test_sizes_in_the_order_of_early_converters_are_turned(tmp_path: Path) -> None:
    model = inspect(write(tmp_path, NET.replace("0=12 1=10 2=3", "0=3 1=10 2=12"), weights()))
    assert model.macs == 3840 and "order c, h, w" in model.notes[0]


def test_a_layer_of_the_apps_own_makes_the_count_unknown(tmp_path: Path) -> None:
    text = NET.replace("BinaryOp         add   2 1 c0 c1 sum 0=0", "Mine m 2 1 c0 c1 sum 0=7")
    model = inspect(write(tmp_path, text, weights()))
    assert (model.macs, model.macs_known) == (None, 3240)
    assert "Mine" in " ".join(model.notes)


def test_attention_counts_its_four_projections_and_two_products(tmp_path: Path) -> None:
    text = "7767517\n2 2\nInput x 0 1 x 0=16 1=7\nMultiHeadAttention a 1 1 x y 0=16 1=4 2=256\n"
    part = struct.pack("<I", 0) + bytes(4 * 256) + bytes(4 * 16)
    model = inspect(write(tmp_path, text, part * 4))
    assert (model.macs, model.parameters) == (4 * 7 * 256 + 2 * 7 * 7 * 16, 4 * 272)
    assert model.ops == {"MultiHeadAttention": 1}
    assert model.notes == ()


def test_a_deconvolution_in_groups_and_a_size_as_text(tmp_path: Path) -> None:
    net = """7767517
3 3
Input data 0 1 data 0=5 1=5 2=4
DeconvolutionDepthWise up 1 1 data u 0=6 1=2 3=2 6=48 7=2
Reshape flat 1 1 u out 6="100,0c"
"""
    model = inspect(write(tmp_path, net))
    assert model.macs == 5 * 5 * 4 * (6 // 2) * 2 * 2
    assert [tuple(port.shape or ()) for port in model.outputs or ()] == [(1, 6, 100)]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("7767517\n", "first line"),
        ("7767517\n2 2\nInput x 0 1 x\n", "2 layers announced"),
        ("7767517\n1 1\nReLU r 1 1 a b\n", "nothing makes"),
        ("7767517\n1 1\nReLU r 1 1 a\n", "announced"),
        ("7767517\n1 1\nInput x 0 1 x 1=--\n", "no number"),
        ("7767517\n2 2\nInput x 0 1 x 0=4\nInnerProduct f 1 1 x y 0=3 2=7\n", "7 weights"),
    ],
)
def test_what_is_no_network_is_rejected(tmp_path: Path, text: str, why: str) -> None:
    model = inspect(write(tmp_path, text))
    assert model.status == "rejected" and why in (model.reason or "")


def test_only_a_whole_first_line_is_recognised() -> None:
    assert ncnn.recognise(b"7767517\n75 83\n", "any.name") > 0.5
    assert ncnn.recognise(b"\xdd\x85\x76\x00", "any") > 0.5
    assert ncnn.recognise(b"7767517 apples\n", "any.txt") == 0
    assert ncnn.recognise(b"1 2 3\n", "physics.param") == 0.3


RUN = """7767517
9 10
Input            data  0 1 data
Convolution      a     1 1 data a 0=8 1=3 3=2 4=1 5=1 6=216 9=1
Pooling          p     1 1 a p 0=0 1=3 2=2 3=1 5=0
ConvolutionDepthWise d 1 1 p d 0=8 1=3 4=-233 5=1 6=72 7=8
Deconvolution    u     1 1 d u 0=4 1=4 2=1 3=2 4=1 5=1 6=512 18=1 19=1
Padding          q     1 1 u q 0=1 1=2 2=3 3=4 4=0
Interp           i     1 1 q i 0=2 1=0.5 2=0.5
Permute          t     1 1 i t 0=3
Reshape          out   1 1 t out 0=4 1=-1
"""


def test_shapes_are_those_of_the_runtime(tmp_path: Path) -> None:
    runtime = pytest.importorskip("ncnn")
    from edgewise.analysis.shapes import propagate

    sizes = ((216, 8), (72, 8), (512, 4))
    stored = b"".join(bytes(4) + bytes(4 * many) + bytes(4 * bias) for many, bias in sizes)
    path = write(tmp_path, RUN, stored)
    graph = ncnn.read(open_file(str(path)))
    found = propagate(graph, {"data": (1, 3, 37, 53)}).dims
    net = runtime.Net()
    assert net.load_param(str(path)) == 0 and net.load_model(str(tmp_path / "net.bin")) == 0
    extractor = net.create_extractor()
    extractor.input("data", runtime.Mat(np.zeros((3, 37, 53), np.float32)))
    for index, tensor in enumerate(graph.tensors):
        if tensor.weights is None:
            _, made = extractor.extract(tensor.name)
            assert found[index] == (1, *np.array(made).shape), tensor.name


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("name", "macs"),
    [("mobilenet", 568_740_352), ("resnet18", 1_826_918_400), ("alexnet", 724_406_816)],
)
def test_published_networks_have_their_published_counts(corpus: Path, name: str, macs: int) -> None:
    (path,) = corpus.glob(f"models/ncnn/*{name}.param")
    assert inspect(path).macs == macs
