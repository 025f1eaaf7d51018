"""Files whose format is all that can be told, and RKNN, which says a little more."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from held_files import Held, inspected

from edgewise.errors import OpaqueModel
from edgewise.formats import identified, registry, rknn
from edgewise.formats.identified import FORMATS, entropy

HEADS = {
    "snpe": b"\xd5\x0a\x04\0\0\0\0\0\x20\0\0\0NETD" + bytes(40),
    "tensorrt": b"ftrt\x00\x00\x00\x00" + bytes(40),
    "huawei-om": b"IMOD" + (256).to_bytes(4, "little") + b"\0\0\0\x20" + bytes(64),
    "darknet": b"# a net\n[net]\nbatch=64\nwidth=416\n\n[convolutional]\nfilters=32\n",
    "mxnet": b'{\n  "nodes": [\n    {\n      "op": "null", \n      "name": "data"',
    "kaldi": b"\0B<TransitionModel> " + bytes(40),
    "mace": b"\n\x22\n\x01x\n\x01w\x12\x01y\x1a\x05conv1\x22\x06Conv2D" + bytes(40),
    "dl4j": b"PK\x03\x04" + bytes(22) + b"\x10\0\0\0coefficients.bin" + bytes(20),
}


@pytest.mark.parametrize(("name", "head"), list(HEADS.items()))
def test_the_first_bytes_say_what_it_is(name: str, head: bytes) -> None:
    found = registry.recognise(head, "assets/any.bin")
    assert found is not None and name == found.NAME
    model = inspected("any.bin", head)
    assert (model.status, model.format) == ("opaque", name) and model.reason


def noise(size: int) -> bytes:
    return random.Random(11).randbytes(size)


def test_noise_is_a_sealed_model_only_where_the_name_says_model() -> None:
    sealed = inspected("face.tflite", noise(20_000))
    assert (sealed.status, sealed.format) == ("opaque", "encrypted")
    assert inspected("photo.bin", noise(20_000)).format is None
    assert inspected("face.tflite", noise(600)).status == "rejected"
    repeated = noise(512) * 40  # a head that looks like noise, and no more than that
    assert inspected("face.tflite", noise(256) * 2 + bytes(20_000)).status == "rejected"
    assert inspected("face.tflite", repeated).status == "rejected"


def test_entropy_is_in_bits_per_byte() -> None:
    assert entropy(b"") == entropy(b"aaaa") == 0
    assert entropy(bytes(range(256))) == 8
    assert entropy(b"abab") == 1


def test_ordinary_files_are_none_of_these() -> None:
    drawn = random.Random(3)
    heads = [drawn.randbytes(512) for _ in range(3000)]
    heads += [b'{"nodes": 3}', b"[network-manager]\na=1", b"PK\x03\x04" + bytes(60), b"IMODEL", b""]
    for head in heads:
        assert all(one.recognise(head, "assets/a.dat") == 0 for one in FORMATS)
        assert rknn.recognise(head, "assets/a.dat") == 0


DESCRIPTION = {
    "name": "rknn model", "version": "2.5.0", "target_platform": ["rk3588"],
    "nodes": [{"name": "nnbg", "op": "RKNN_OP_NNBG"}],
    "norm_tensor": [
        {"tensor_id": 0, "size": [1, 3, 8, 8], "url": "x", "dtype": {"vx_type": "int8"}},
        {"tensor_id": 1, "size": [1, 4], "url": "y", "dtype": {"vx_type": "int8"}},
    ],
    "graph": [
        {"left": "input", "right": "norm_tensor", "right_tensor_id": 0},
        {"left": "output", "right": "norm_tensor", "right_tensor_id": 1},
    ],
}  # fmt: skip


def rknn_file(description: object, body: bytes = bytes(32)) -> bytes:
    text = json.dumps(description).encode()
    sizes = (6).to_bytes(8, "little") + len(body).to_bytes(8, "little")
    header = (b"RKNN\0\0\0\0" + sizes).ljust(64, b"\0")
    return header + body + len(text).to_bytes(8, "little") + text


def test_rknn_tells_ports_and_target_but_no_cost() -> None:
    model = inspected("m.rknn", rknn_file(DESCRIPTION))
    assert (model.status, model.level, model.macs) == ("parsed", "operators", None)
    assert model.inputs[0].shape == (1, 3, 8, 8) and model.outputs[0].name == "y"
    assert model.metadata["target"] == "rk3588" and model.producer == "rknn-toolkit 2.5.0"


@pytest.mark.parametrize(
    "content",
    [rknn_file(DESCRIPTION)[:-3], rknn_file([]), rknn_file({"graph": [{"right": "norm_tensor"}]}),
     b"RKNN\0\0\0\0" + b"\xff" * 40],
)  # fmt: skip
def test_rknn_that_contradicts_itself(content: bytes) -> None:
    assert inspected("m.rknn", content).status == "rejected"


def test_encrypted_rknn_is_opaque() -> None:
    with pytest.raises(OpaqueModel):
        rknn.read(Held("m.rknn", b"CYPTRKNN" + bytes(80)))


@pytest.mark.corpus
def test_real_rknn(corpus: Path) -> None:
    for path in (corpus.parent / "known/rosetta/mixcnn/rknn").glob("*.rknn"):
        model = inspected(path.name, path.read_bytes())
        assert model.inputs[0].shape == (1, 3, 48, 64) and model.macs is None


def test_every_row_has_a_source() -> None:
    assert all(one.SOURCES and one.reason for one in identified.FORMATS)
