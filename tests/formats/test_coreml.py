"""Core ML: networks of layers and programs, from messages written by hand."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
from held_files import Held, inspected
from wire_bytes import field, varint

from edgewise.analysis.summary import summarise
from edgewise.archive import open_file
from edgewise.formats import coreml
from edgewise.formats.coreml.blob import unpacked


def packed(number: int, *values: int) -> bytes:
    return field(number, b"".join(map(varint, values)))


def floats(*values: float) -> bytes:
    return field(1, struct.pack(f"<{len(values)}f", *values))


def feature(name: str, *shape: int) -> bytes:
    array = packed(1, *shape) + field(2, 65568)
    return field(1, name) + field(3, field(5, array))


def model(kind: int, content: bytes, *shape: int) -> bytes:
    description = field(1, feature("x", *shape)) + field(10, feature("y"))
    return field(1, 5) + field(2, description) + field(kind, content)


def layer(number: int, parameters: bytes, takes: str, gives: str) -> bytes:
    return field(1, field(1, gives) + field(2, takes) + field(3, gives) + field(number, parameters))


CONV = (
    field(1, 4) + field(2, 3) + packed(20, 3, 3) + packed(30, 2, 2) + field(51, b"")
    + field(70, 1) + field(90, floats(*[1.0] * 108)) + field(91, floats(*[0.0] * 4))
)  # fmt: skip
NETWORK = layer(100, CONV, "x", "a") + layer(301, b"", "a", "f") + layer(
    140, field(1, 64) + field(2, 5) + field(20, floats(*[0.5] * 320)), "f", "y")  # fmt: skip


def test_an_older_network_sees_channels_first() -> None:
    found = inspected("m.mlmodel", model(500, NETWORK, 3, 8, 8))
    assert found.status == "parsed", found.reason
    assert found.macs == 4 * 4 * 4 * 27 + 64 * 5
    assert found.parameters == 108 + 4 + 320
    assert found.inputs[0].shape == (1, 3, 8, 8) and found.outputs[0].shape == (1, 5, 1, 1)
    assert found.zero_fraction == pytest.approx(4 / 432)


def test_numbers_of_few_bits_stand_for_reals() -> None:
    raw = bytes([0b0001_1011])  # 0, 1, 2, 3 in two bits each, high bits first
    scaled = field(40, field(1, 2) + field(101, field(1, struct.pack("<f", 0.5))
                                           + field(2, struct.pack("<f", -1.0))))  # fmt: skip
    dense = field(1, 2) + field(2, 2) + field(20, field(30, raw) + scaled)
    content = field(5, 1) + layer(140, dense, "x", "y")
    file = inspected("m.mlmodel", model(500, content, 1, 2))
    assert (file.macs, file.parameters, file.quantization) == (4, 4, "weights")
    graph = coreml.read(Held("m.mlmodel", model(500, content, 1, 2)))
    weight = next(t for t in graph.tensors if t.weights is not None)
    assert weight.array().tolist() == [[-1.0, -0.5], [0.0, 0.5]]


def loop(limit: float) -> bytes:
    """i = 0; while i < limit: y = y · W, i = i + 1."""

    def constant(name: str, value: float) -> bytes:
        data = packed(1, 1) + field(2, floats(value))
        return field(1, field(1, name) + field(3, name) + field(1070, data))

    test = field(
        1, field(1, "go") + field(2, "i") + field(2, "n") + field(3, "go") + field(825, b"")
    )
    add = varint(1 << 3 | 5) + struct.pack("<f", 1.0)
    dense = field(1, 3) + field(2, 3) + field(20, floats(*[0.1] * 9))
    body = layer(140, dense, "y", "y") + layer(230, add, "i", "i")
    inner = field(2, "go") + field(3, test) + field(4, body)
    content = field(5, 1) + constant("n", limit) + constant("i", 0.0)
    content += layer(600, b"", "x", "y") + field(1, field(1, "l") + field(615, inner))
    return model(500, content, 1, 3)


@pytest.mark.parametrize("limit", [1.0, 7.0])
def test_a_loop_runs_as_often_as_its_constants_say(limit: float) -> None:
    found = inspected("m.mlmodel", loop(limit))
    assert found.status == "parsed", found.reason
    assert found.macs == 9 * limit
    assert found.parameters == 9


def test_what_an_app_brings_itself_is_unknown() -> None:
    found = inspected("m.mlmodel", model(500, layer(500, field(10, "Secret"), "x", "y"), 3))
    assert found.macs is None and any("custom Secret" in note for note in found.notes)
    assert inspected("m.mlmodel", model(555, b"", 3)).status == "opaque"
    assert inspected("m.mlmodel", model(402, b"", 3)).macs == 0


# Programs


def named_type(name: str, dtype: int, *shape: int) -> bytes:
    dims = b"".join(field(3, field(1, field(1, size))) for size in shape)
    return field(1, name) + field(2, field(1, field(1, dtype) + field(2, len(shape)) + dims))


def operation(op: str, inputs: dict[str, str], output: bytes, attributes: bytes = b"") -> bytes:
    given = b"".join(
        field(2, field(1, key) + field(2, field(1, field(1, name)))) for key, name in inputs.items()
    )
    return field(3, field(1, op) + given + field(3, output) + attributes)


def constant(name: str, dtype: int, shape: tuple[int, ...], content: bytes) -> bytes:
    dims = b"".join(field(3, field(1, field(1, size))) for size in shape)
    kind = field(1, field(1, dtype) + field(2, len(shape)) + dims)
    attribute = field(5, field(1, "val") + field(2, field(2, kind) + content))
    return operation("const", {}, named_type(name, dtype, *shape), attribute)


def program(operations: bytes) -> bytes:
    block = operations + field(2, "y")
    function = field(1, named_type("x", 11, 1, 4)) + field(2, "CoreML5")
    function += field(3, field(1, "CoreML5") + field(2, block))
    return model(502, field(2, field(1, "main") + field(2, function)), 1, 4)


def storage(data: bytes) -> bytes:
    record = struct.pack("<IIQQ", 0xDEADBEEF, 1, len(data), 128)
    return bytes(64) + record.ljust(64, b"\0") + data


BLOB = field(5, field(1, "@model_path/weights/weight.bin") + field(2, 64))
LINEAR = constant("w", 11, (3, 4), BLOB) + operation(
    "linear", {"x": "x", "weight": "w"}, named_type("y", 11, 1, 3))  # fmt: skip


def test_a_program_finds_its_weights_in_the_storage() -> None:
    beside = {"weights/weight.bin": storage(struct.pack("<12f", *range(12)))}
    found = inspected("model.mlmodel", program(LINEAR), beside)
    assert found.status == "parsed", found.reason
    assert (found.macs, found.parameters) == (12, 12)
    assert found.companions == ("weights/weight.bin",)
    missing = inspected("model.mlmodel", program(LINEAR))
    assert missing.macs == 12 and any("weight.bin" in note for note in missing.notes)
    short = {"weights/weight.bin": storage(bytes(47))}
    assert inspected("model.mlmodel", program(LINEAR), short).status == "rejected"


def test_an_operation_that_nobody_knows() -> None:
    op = operation("mystery", {"x": "x"}, named_type("y", 11, 1, 4))
    found = inspected("m.mlmodel", program(op))
    assert found.macs is None and any("mystery" in note for note in found.notes)


@pytest.mark.parametrize("cut", [10, 200, 900])
def test_what_is_cut_off_is_rejected(cut: int) -> None:
    assert inspected("m.mlmodel", model(500, NETWORK, 3, 8, 8)[:-cut]).status == "rejected"


def test_sub_byte_numbers_are_unpacked_low_bits_first() -> None:
    assert unpacked(memoryview(bytes([0b11_10_01_00])), 2, 4).tolist() == [0, 1, 2, 3]
    assert unpacked(memoryview(bytes([0b00000001, 0b00010000])), 6, 2).tolist() == [1, 0x40 & 0x3F]


def test_other_files_are_no_models() -> None:
    assert coreml.recognise(b"\x08\x07\x12\x03abc", "a.onnx") == 0
    assert coreml.recognise(b"\x89PNG\r\n", "a.png") == 0
    assert coreml.recognise(b'{"a": 1}', "a.json") == 0


@pytest.mark.corpus
def test_compressed_weights_stand_for_those_of_the_plain_file(corpus: Path) -> None:
    folder = corpus.parent / "known" / "rosetta" / "mixcnn" / "coreml"

    def weights(name: str) -> list[np.ndarray]:  # type: ignore[type-arg]
        path = folder / name / "Data" / "com.apple.CoreML" / "model.mlmodel"
        graph = coreml.read(open_file(str(path)))
        return [
            t.array() for t in graph.tensors if t.weights is not None and len(t.shape or ()) == 4
        ]

    plain = {w.shape: w for w in weights("mixcnn__base.fp32.mlpackage")}
    for name, worst in (("lin8", 0.02), ("pal6", 0.1), ("lin4blk", 0.2)):
        found = weights(f"mixcnn__base.{name}.mlpackage")
        assert len(found) == 7
        for weight in found:
            reference = plain[weight.shape]
            off = np.abs(weight - reference).max() / np.abs(reference).max()
            assert off < worst, (name, weight.shape, off)
    sparse = weights("mixcnn__base.sparse60.mlpackage")
    assert sum((w == 0).sum() for w in sparse) / sum(w.size for w in sparse) > 0.5


@pytest.mark.corpus
def test_a_real_pose_network(corpus: Path) -> None:
    (path,) = (corpus / "models" / "coreml").glob("*.mlmodel")
    found = summarise(open_file(str(path)))
    assert (found.status, found.parameters) == ("parsed", 577_212)


def test_a_simple_recurrent_layer_has_two_matrices() -> None:
    cell = field(1, 3) + field(2, 4) + field(15, 1) + field(20, 1)
    cell += field(30, floats(*[0.1] * 12)) + field(31, floats(*[0.1] * 16))
    cell += field(32, floats(*[0.1] * 4))
    one = field(1, "r") + field(2, "x") + field(3, "y") + field(3, "h") + field(400, cell)
    found = inspected("m.mlmodel", model(500, field(5, 1) + field(1, one), 7, 1, 3, 1, 1))
    assert found.status == "parsed", found.reason
    assert (found.macs, found.parameters) == (7 * (3 * 4 + 4 * 4), 12 + 16 + 4)
    assert found.outputs[0].shape == (7, 1, 4, 1, 1)
