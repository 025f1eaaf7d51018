"""TNN: text, and the weights beside it."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from edgewise.formats import tnn
from formats.held_files import inspected

OLD, NEW = 4206624770, 4206624772
BODY = """" a b c d e f y ,"
"y ,"
" 6 ,"
"Convolution a 1 1 x a 2 2 8 3 3 2 2 1 1 1 -1 1 1 ,"
"ReLU b 1 1 a b ,"
"Deconvolution c 1 1 b c 1 8 4 2 2 2 2 0 0 0 -1 1 1 ,"
"Add d 2 1 c c d ,"
"Pooling e 1 1 d e 1 0 0 1 1 0 0 -1 -1 -1 0 ,"
"InnerProduct y 1 1 e y 5 1 0 1 ,"
"""
TEXT = f'"1 6 1 {OLD} ,"\n"x 1 4 10 12 ,"\n{BODY}'
MACS = 5 * 6 * 8 * 18 + 5 * 6 * 8 * 4 * 4 + 20


def text(value: str) -> bytes:
    return struct.pack("<i", len(value)) + value.encode()


def buffer(number: int, *dims: int) -> bytes:
    count = 1
    for size in dims:
        count *= size
    shape = struct.pack(f"<{len(dims) + 1}i", len(dims), *dims) if number == NEW else b""
    head = struct.pack("<Iii", number, 0, 4 * count) + shape
    return head + struct.pack(f"<{count}f", *([0.5] * count))


def weights(number: int) -> bytes:
    parts = struct.pack("<Ii", number, 3)
    parts += struct.pack("<i", 1) + text("Convolution") + text("a") + text("a")
    parts += struct.pack("<i", 1) + buffer(number, 8, 2, 3, 3) + buffer(number, 8)
    parts += struct.pack("<i", 2) + text("Deconvolution") + text("c") + text("c")
    parts += struct.pack("<i", 0) + buffer(number, 8, 4, 2, 2)
    parts += struct.pack("<i", 3) + text("InnerProduct") + text("y") + text("y")
    return parts + buffer(number, 5, 4) + buffer(number, 5)


@pytest.mark.parametrize("number", [OLD, NEW])
def test_a_network_and_its_weights(number: int) -> None:
    said = TEXT if number == OLD else TEXT.replace(str(OLD), str(NEW)).replace(
        "x 1 4 10 12 ,", "x 4 1 4 10 12 0 ,"
    )  # fmt: skip
    model = inspected("net.tnnproto", said.encode(), {"net.tnnmodel": weights(number)})
    assert (model.format, model.status, model.notes) == ("tnn", "parsed", ())
    assert (model.macs, model.parameters) == (MACS, 144 + 8 + 128 + 20 + 5)
    assert [port.shape for port in model.inputs or ()] == [(1, 4, 10, 12)]
    assert [port.shape for port in model.outputs or ()] == [(1, 5)]
    assert model.zero_fraction == 0


def test_without_weights_shapes_follow_from_the_layers() -> None:
    model = inspected("net.tnnproto", TEXT.encode())
    assert (model.macs, model.parameters) == (MACS, 305)
    assert "missing" in " ".join(model.notes)


def test_weights_that_break_off_are_told() -> None:
    stored = weights(NEW)[:200]
    model = inspected("net.tnnproto", TEXT.encode(), {"net.tnnmodel": stored})
    assert model.macs == MACS and "not all" in " ".join(model.notes)


def test_a_layer_that_is_not_known_makes_the_count_unknown() -> None:
    model = inspected("net.tnnproto", TEXT.replace('"ReLU', '"Mine').encode())
    assert model.macs is None and "Mine" in " ".join(model.notes)


@pytest.mark.parametrize(
    "said",
    [
        TEXT[:60],
        TEXT.replace(str(OLD), "4206624771"),
        TEXT.replace('" 6 ,"', '" 7 ,"'),
        TEXT.replace("1 1 a b ,", "1 1 q b ,"),
        TEXT.replace("2 2 8 3 3", "2 2 8 0 3"),
    ],
)
def test_what_is_no_network_is_rejected(said: str) -> None:
    assert inspected("net.tnnproto", said.encode()).status == "rejected"


def test_the_weights_alone_are_opaque() -> None:
    assert inspected("net.tnnmodel", weights(NEW)).status == "opaque"
    assert tnn.recognise(weights(NEW), "x") > 0.5
    assert tnn.recognise(TEXT.encode(), "x") > 0.5
    assert tnn.recognise(b"1 2 3 4 ,", "x") == 0


@pytest.mark.corpus
def test_real_networks_have_their_published_counts(corpus: Path) -> None:
    from edgewise.analysis.summary import summarise
    from edgewise.archive import open_file

    folder = corpus / "models" / "tnn"
    found = {path.name: summarise(open_file(str(path))) for path in folder.glob("*.tnnproto")}
    counts = {name.rpartition("__")[2]: model.macs for name, model in found.items()}
    assert counts["mobilenet_v1.tnnproto"] == counts["quant_mobilenet_v1.tnnproto"] == 568_740_352
    assert counts["resnet50.tnnproto"] == 3_857_973_248
