"""Caffe: text with and without trained weights, both kinds of layer messages."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from edgewise.formats import caffe, registry
from formats.held_files import inspected
from formats.wire_bytes import message

NET = """name: "small" # a comment
input: "data"
input_shape { dim: 1 dim: 3 dim: 11 dim: 11 }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 4 kernel_size: 3 stride: 2 pad_h: 1 pad_w: 0 } }
layer { name: "bn" type: "BatchNorm" bottom: "conv" top: "conv" }
layer { name: "scale" type: "Scale" bottom: "conv" top: "conv" scale_param { bias_term: true } }
layer { name: "relu" type: "ReLU" bottom: "conv" top: "conv" }
layer { name: "pool" type: "Pooling" bottom: "conv" top: "pool"
  pooling_param { pool: MAX kernel_size: 3 stride: 2 } }
layer { name: "loss" type: "SoftmaxWithLoss" bottom: "pool" top: "l" include { phase: TRAIN } }
layer { name: "fc" type: "InnerProduct" bottom: "pool" top: "fc"
  inner_product_param { num_output: 5 } }
"""
MACS = 6 * 5 * 4 * 27 + 5 * 4 * 3 * 2


def test_text_alone_has_the_count_and_the_parameters() -> None:
    model = inspected("deploy.prototxt", NET.encode())
    assert (model.format, model.status, model.name) == ("caffe", "parsed", "small")
    assert model.macs == MACS
    assert model.parameters == 108 + 4 + 8 + 8 + 120 + 5
    assert [port.shape for port in model.outputs or ()] == [(1, 5)]
    assert "missing" in " ".join(model.notes)


def blob(*shape: int) -> bytes:
    count = 1
    for size in shape:
        count *= size
    dims = b"".join(bytes([size]) for size in shape)
    return message((5, struct.pack(f"<{count}f", *([0.5] * count))), (7, message((1, dims))))


def trained(*, wide: int = 4) -> bytes:
    """The trained file for `NET`."""
    layers = [
        ("conv", "Convolution", [blob(wide, 3, 3, 3), blob(wide)]),
        ("bn", "BatchNorm", [blob(4), blob(4), blob(1)]),
        ("scale", "Scale", [blob(4), blob(4)]),
        ("fc", "InnerProduct", [blob(5, 24), blob(5)]),
    ]
    return message(
        (1, "small"),
        *(
            (100, message((1, name), (2, kind), *((7, part) for part in blobs)))
            for name, kind, blobs in layers
        ),
    )


def test_trained_weights_are_paired_by_layer() -> None:
    model = inspected("net.prototxt", NET.encode(), {"net.caffemodel": trained()})
    assert (model.macs, model.parameters, model.notes) == (MACS, 253, ())
    assert model.companions == ("net.caffemodel",) and model.zero_fraction == 0


def test_weights_that_are_no_message_are_told() -> None:
    model = inspected("net.prototxt", NET.encode(), {"net.caffemodel": trained()[:-7]})
    assert model.macs == MACS and "not read" in model.notes[0]


def test_old_messages_and_old_inputs() -> None:
    text = """input: "data" input_dim: 1 input_dim: 4 input_dim: 6 input_dim: 6
    layers { name: "c" type: CONVOLUTION bottom: "data" top: "c"
      convolution_param { num_output: 8 kernel_size: 3 group: 2 } }
    layers { name: "d" type: DECONVOLUTION bottom: "c" top: "d"
      convolution_param { num_output: 4 kernel_size: 2 stride: 2 bias_term: false } }
    layers { name: "i" type: INNER_PRODUCT bottom: "d" top: "i"
      inner_product_param { num_output: 3 } }"""
    model = inspected("old.prototxt", text.encode())
    assert model.macs == 16 * 8 * 18 + 16 * 8 * 4 * 4 + 3 * 256
    binary = message(
        (1, "old"),
        (2, message((2, "x"), (3, "y"), (4, "c"), (5, 18))),
        (3, "x"),
    )
    model = inspected("old.caffemodel", binary)
    assert (model.status, model.ops) == ("parsed", {"ReLU": 1})


def test_a_layer_of_a_branch_that_is_not_known_makes_the_count_unknown() -> None:
    model = inspected("a.prototxt", NET.replace('type: "ReLU"', 'type: "Mine"').encode())
    assert model.macs is None and "Mine" in " ".join(model.notes)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('net: "train.prototxt"\nbase_lr: 0.1\n', "without layers"),
        (NET.replace('bottom: "data"', 'bottom: "elsewhere"'), "nothing makes"),
        (NET[:-3], "line"),
        (NET.replace("kernel_size: 3", "kernel_size: 0"), "kernel"),
        ("layer { name: ", "line"),
    ],
)
def test_what_is_no_network_is_rejected(text: str, why: str) -> None:
    model = inspected("a.prototxt", text.encode())
    assert model.status == "rejected" and why in (model.reason or "")


def test_content_is_recognised_whatever_the_name() -> None:
    assert caffe.recognise(NET.encode()[:512], "assets/x.dat") > 0.5
    assert caffe.recognise(trained()[:512], "assets/x.dat") > 0.5
    for other in (b"layered cake {", b'{"layer": {"type": 1}}', b"name: x\n", bytes(512)):
        assert caffe.recognise(other, "assets/x.dat") == 0


@pytest.mark.corpus
def test_real_networks(corpus: Path) -> None:
    from edgewise.analysis.summary import summarise
    from edgewise.archive import open_file

    found = {
        path.name.rpartition("__")[2]: summarise(open_file(str(path)))
        for path in (corpus / "models" / "caffe").iterdir()
    }
    assert {model.status for model in found.values()} == {"parsed"}
    assert found["RFB-320.prototxt"].macs == found["RFB-320.caffemodel"].macs == 100_418_560
    assert found["det1.prototxt"].macs == 44_760  # at its 12x12
    head = (corpus / "models/caffe/Tencent__mtcnn__det2.caffemodel").read_bytes()[:512]
    fmt = registry.recognise(head, "det2")
    assert fmt is not None and fmt.NAME == "caffe"
