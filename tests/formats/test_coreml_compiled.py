"""Compiled Core ML models: programs as text, and networks of before programs."""

from __future__ import annotations

import json
import struct

import pytest
from held_files import inspected

HEAD = (
    'program(1.0)\n[buildInfo = dict<tensor<string, []>, tensor<string, []>>({{"coremlc-version", '
    '"1\\"0"}, {"coremltools-version", "7.0"}})]\n{\n'
)
FLEXIBLE = (
    "[FlexibleShapeInformation = tuple<tuple<tensor<string, []>, "
    "dict<tensor<string, []>, tensor<int32, [?]>>>>()]"
)


def const(kind: str, name: str, value: str) -> str:
    return f'{kind} {name} = const()[name = string("{name}"), val = {kind}({value})];\n'


def op(kind: str, name: str, call: str) -> str:
    return f'{kind} {name} = {call}[name = tensor<string, []>("{name}")];\n'


BLOB = (
    'BLOBFILE(path = tensor<string, []>("@model_path/weights/weight.bin"), '
    "offset = tensor<uint64, []>(64))"
)
MAP = "tensor<fp16, [1, 4, 4, 4]>"
HALF = "tensor<fp16, [1, 2, 4, 4]>"
PROGRAM = (
    HEAD
    + f"func main<ios16>(tensor<fp32, [1, 3, 8, 8]> image) {FLEXIBLE} {{\n"
    + const("tensor<string, []>", "t", '"custom"')
    + const("tensor<int32, [4]>", "p", "[1, 1, 1, 1]")
    + const("tensor<int32, [2]>", "s", "[2, 2]")
    + const("tensor<int32, [2]>", "d", "[1, 1]")
    + const("int32", "g", "1")
    + const("tensor<fp16, [4, 3, 3, 3]>", "w", BLOB)
    + op(MAP, "c", "conv(dilations = d, groups = g, pad = p, pad_type = t, strides = s, "
                   "weight = w, x = image)")
    + const("string", "mode", '"EXACT"')
    + op(MAP, "a", "gelu(mode = mode, x = c)")
    + const("fp16", "half", "0x1p-1")
    + op(MAP, "m", "mul(x = a, y = half)")
    + const("int32", "axis", "1")
    + const("int32", "two", "2")
    + f'{HALF} l, {HALF} r = split(axis = axis, num_splits = two, x = m)[name = string("lr")];'
    + const("bool", "no", "false")
    + op(MAP, "y", "concat(axis = axis, interleave = no, values = (r, l))")
    + "} -> (y);\n}\n"
)  # fmt: skip


def storage(data: bytes) -> bytes:
    record = struct.pack("<IIQQ", 0xDEADBEEF, 1, len(data), 128)
    return bytes(64) + record.ljust(64, b"\0") + data


def test_a_program_as_text() -> None:
    beside = {"weights/weight.bin": storage(bytes(216)), "coremldata.bin": b""}
    found = inspected("model.mil", PROGRAM.encode(), beside)
    assert (found.status, found.format) == ("parsed", "coreml"), found.reason
    assert (found.macs, found.parameters) == (4 * 4 * 4 * 27, 108)
    assert found.outputs[0].shape == (1, 4, 4, 4)
    assert found.zero_fraction == 1 and found.quantization == "float16"
    assert set(found.companions) == {"weights/weight.bin", "coremldata.bin"}


@pytest.mark.parametrize("cut", [60, 400, 900, 1600])
def test_text_that_ends_in_the_middle_is_rejected(cut: int) -> None:
    assert inspected("model.mil", PROGRAM[:cut].encode()).status == "rejected"


def test_blocks_inside_operations_are_opaque() -> None:
    text = HEAD + (
        "func main<ios16>(tensor<fp16, [1]> x) { tensor<fp16, [1]> y = "
        'while_loop(loop_vars = (x))[name = string("y")] { block0() { } }; } -> (y); }'
    )
    assert inspected("model.mil", text.encode()).status == "opaque"


NET = {
    "format_version": 200, "storage": "model.espresso.weights",
    "layers": [
        {"name": "conv", "type": "convolution", "bottom": "data", "top": "a", "C": 4, "K": 3,
         "Nx": 3, "Ny": 3, "n_groups": 1, "stride_x": 2, "stride_y": 2, "pad_mode": 1,
         "has_biases": 1, "blob_biases": 1, "blob_weights": 3, "fused_relu": 1},
        {"name": "pool", "type": "pool", "bottom": "a", "top": "b"},
        {"name": "fc", "type": "inner_product", "bottom": "b", "top": "c", "nB": 4, "nC": 5,
         "has_biases": 0, "blob_weights_f16": 5},
        {"name": "prob", "type": "softmax", "bottom": "c", "top": "prob"},
    ],
}  # fmt: skip
SHAPES = {"layer_shapes": {
    "data": {"n": 1, "k": 3, "h": 8, "w": 8}, "a": {"n": 1, "k": 4, "h": 4, "w": 4},
    "b": {"n": 1, "k": 4, "h": 1, "w": 1}, "c": {"n": 1, "k": 5, "h": 1, "w": 1},
    "prob": {"n": 1, "k": 5, "h": 1, "w": 1},
}}  # fmt: skip


def blobs(**sizes: int) -> bytes:
    pairs = [(int(key[1:]), size) for key, size in sizes.items()]
    head = struct.pack("<Q", len(pairs)) + b"".join(struct.pack("<QQ", *pair) for pair in pairs)
    return head + bytes(sum(sizes.values()))


BESIDE = {
    "model.espresso.shape": json.dumps(SHAPES).encode(),
    "model.espresso.weights": blobs(_1=16, _3=432, _5=40),
}


def test_a_network_of_before_programs() -> None:
    found = inspected("model.espresso.net", json.dumps(NET).encode(), BESIDE)
    assert (found.status, found.format) == ("parsed", "coreml"), found.reason
    assert found.macs == 4 * 4 * 4 * 27 + 20
    assert found.parameters == 108 + 4 + 20
    assert found.inputs[0].shape == (1, 3, 8, 8) and found.outputs[0].name == "prob"


def test_a_compiled_layer_that_nobody_knows() -> None:
    net = json.loads(json.dumps(NET))
    net["layers"][1]["type"] = "rnn_arch"
    found = inspected("model.espresso.net", json.dumps(net).encode(), BESIDE)
    assert found.macs is None and any("rnn_arch" in note for note in found.notes)


def test_weights_that_do_not_fill_their_shape() -> None:
    short = {**BESIDE, "model.espresso.weights": blobs(_1=16, _3=431, _5=40)}
    assert inspected("model.espresso.net", json.dumps(NET).encode(), short).status == "rejected"
    alone = inspected("model.espresso.net", json.dumps(NET).encode())
    assert alone.status == "parsed" and alone.macs is None
