"""Paddle and Paddle Lite: programs written by hand, in their layouts."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from edgewise.formats import paddle, paddlelite
from formats.held_files import inspected
from formats.wire_bytes import message

FP32, LOD_TENSOR, FEED = 5, 7, 9
#: Operators: type, inputs, outputs, attributes (paddings and strides are lists of whole numbers).
Op = tuple[str, dict[str, str], dict[str, str], dict[str, Any]]
OPS: list[Op] = [
    ("feed", {"X": "feed"}, {"Out": "x"}, {}),
    ("conv2d", {"Input": "x", "Filter": "w"}, {"Output": "c"},
     {"strides": [2, 2], "paddings": [1, 1], "dilations": [1, 1], "groups": 2}),
    ("elementwise_add", {"X": "c", "Y": "b"}, {"Out": "d"}, {"axis": 1}),
    ("relu", {"X": "d"}, {"Out": "c"}, {}),  # a name used again
    ("pool2d", {"X": "c"}, {"Out": "p"}, {"global_pooling": True, "ksize": [1, 1]}),
    ("fc", {"Input": "p", "W": "f"}, {"Out": "y"}, {"in_num_col_dims": 1}),
    ("fetch", {"X": "y"}, {"Out": "fetch"}, {}),
]  # fmt: skip
WEIGHTS = {"w": (8, 2, 3, 3), "b": (8,), "f": (8, 5)}
MACS = 8 * 5 * 6 * 18 + 40


def count(shape: tuple[int, ...]) -> int:
    product = 1
    for size in shape:
        product *= size
    return product


def floats(shape: tuple[int, ...]) -> bytes:
    return struct.pack(f"<{count(shape)}f", *([0.5] * count(shape)))


# Paddle


def tensor(*dims: int) -> bytes:
    return message((1, FP32), *((2, size) for size in dims))


def variable(name: str, *dims: int, stored: bool = False, kind: int = LOD_TENSOR) -> bytes:
    described = message((1, kind), (3, message((1, tensor(*dims)))))
    return message((1, name), (2, described), (3, int(stored)))


def attribute(name: str, value: Any) -> bytes:
    if isinstance(value, bool):
        return message((1, name), (2, 6), (10, int(value)))
    if isinstance(value, list):
        return message((1, name), (2, 3), *((6, one) for one in value))
    return message((1, name), (2, 0), (3, value))


def operator(op: Op) -> bytes:
    kind, inputs, outputs, attributes = op
    slots = [
        (n, message((1, k), (2, v))) for n, s in ((1, inputs), (2, outputs)) for k, v in s.items()
    ]
    return message(*slots, (3, kind), *((4, attribute(k, v)) for k, v in attributes.items()))


def program(ops: list[Op] = OPS) -> bytes:
    variables = [variable("feed", kind=FEED, stored=True), variable("x", -1, 4, 10, 12)]
    variables += [variable(name, *shape, stored=True) for name, shape in WEIGHTS.items()]
    block = message((1, 0), (2, -1), *((3, v) for v in variables), *((4, operator(o)) for o in ops))
    return message((1, block), (4, message((1, 2006002))))


def parameters() -> bytes:
    parts = b""
    for name in sorted(WEIGHTS):
        described = tensor(*WEIGHTS[name])
        parts += struct.pack("<IQIi", 0, 0, 0, len(described)) + described + floats(WEIGHTS[name])
    return parts


def test_a_program_and_its_weights() -> None:
    model = inspected("net.pdmodel", program(), {"net.pdiparams": parameters()})
    assert (model.format, model.status, model.notes) == ("paddle", "parsed", ())
    assert (model.macs, model.parameters) == (MACS, 144 + 8 + 40)
    assert [port.shape for port in model.inputs or ()] == [(1, 4, 10, 12)]
    assert [port.shape for port in model.outputs or ()] == [(1, 5)]
    assert model.companions == ("net.pdiparams",) and model.zero_fraction == 0


@pytest.mark.parametrize(
    ("stored", "note"), [({}, "missing"), ({"net.pdiparams": parameters()[:-4]}, "other weights")]
)
def test_weights_that_do_not_fit_are_told(stored: dict[str, bytes], note: str) -> None:
    model = inspected("net.pdmodel", program(), stored)
    assert (model.macs, model.parameters) == (MACS, 192)
    assert note in " ".join(model.notes)


@pytest.mark.parametrize("name", ["net.pdiparams", "__params__"])
def test_weights_without_their_program_are_a_list_of_tensors(name: str) -> None:
    model = inspected(name, parameters())
    assert (model.format, model.status, model.level) == ("paddle", "parsed", "operators")
    assert (model.parameters, model.macs) == (192, None)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("net.pdiparams", bytes(64)),
        ("net.pdiparams", parameters()[:-1]),
        ("net.pdiparams", parameters() + bytes(3)),
        ("net.pdiparams", struct.pack("<IQIi", 0, 1 << 60, 0, 4) + bytes(9)),
        ("net.pdiparams", struct.pack("<IQIi", 0, 0, 0, 1 << 30)),
        ("net.pdiparams", struct.pack("<IQQ", 0, 1, (1 << 64) - 1) + bytes(40)),
        ("__model__", b"\x0a\xf0\x12\x08\x00" + bytes(40)),
        ("__model__", b""),
    ],
)
def test_a_name_alone_makes_a_candidate_that_is_rejected_with_a_reason(
    name: str, content: bytes
) -> None:
    model = inspected(name, content)
    assert (model.format, model.status) == ("paddle", "rejected") and model.reason


def test_an_operator_that_is_not_known_makes_the_count_unknown() -> None:
    ops = [("mine", *op[1:]) if op[0] == "relu" else op for op in OPS]
    model = inspected("net.pdmodel", program(ops))
    assert model.macs is None and "mine" in " ".join(model.notes)


def test_layers_of_a_recurrent_network_are_counted() -> None:
    ops: list[Op] = [
        ("feed", {"X": "feed"}, {"Out": "x"}, {}),
        (
            "rnn",
            {"Input": "x"},
            {"Out": "y"},
            {"hidden_size": 4, "num_layers": 2, "is_bidirec": True},
        ),
        ("fetch", {"X": "y"}, {"Out": "fetch"}, {}),
    ]
    block = message((1, 0), (2, -1), (3, variable("x", 7, 1, 3)),
                    *((4, operator(o)) for o in ops))  # fmt: skip
    model = inspected("net.pdmodel", message((1, block)))
    first, second = 4 * 3 + 4 * 4, 4 * 8 + 4 * 4
    assert model.macs == 7 * 2 * (first + second)


@pytest.mark.parametrize("cut", [3, 60, 400])
def test_what_is_cut_off_is_rejected(cut: int) -> None:
    assert inspected("net.pdmodel", program()[:cut]).status == "rejected"


def test_it_is_recognised_by_its_first_block() -> None:
    assert paddle.recognise(program()[:512], "assets/x") > 0.5
    assert paddle.recognise(message((1, message((1, 1)))), "assets/x") == 0


# Paddle Lite, the older layout


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def each(parts: list[bytes]) -> bytes:
    return struct.pack("<Q", len(parts)) + b"".join(parts)


def numbers(form: str, values: tuple[int, ...] | list[int]) -> bytes:
    return each([struct.pack(f"<{form}", value) for value in values])


NO_TENSOR = struct.pack("<i", 0) + each([])


def old_variable(name: str, *dims: int, stored: bool = False, kind: int = 10) -> bytes:
    described = struct.pack("<i", FP32) + numbers("q", dims)
    lod = described + struct.pack("<i", 0)
    array = NO_TENSOR + struct.pack("<i", 0)
    body = NO_TENSOR + lod + array + each([]) + each([]) + bytes([stored])
    return text(name) + struct.pack("<i", kind) + body


def old_attribute(name: str, value: Any) -> bytes:
    kind = 6 if isinstance(value, bool) else 3 if isinstance(value, list) else 0
    ints = numbers("i", value if isinstance(value, list) else [])
    whole = value if isinstance(value, int) else 0
    return (
        text(name) + struct.pack("<iif", kind, whole, 0.0) + text("") + ints + each([]) * 2
        + bytes([value is True]) + each([]) + struct.pack("<iq", 0, 0) + each([]) * 2
    )  # fmt: skip


def old_program() -> bytes:
    variables = [old_variable("feed", kind=12, stored=True), old_variable("x", 1, 4, 10, 12)]
    variables += [old_variable(name, *shape, stored=True) for name, shape in WEIGHTS.items()]
    operators = []
    for kind, inputs, outputs, attributes in OPS:
        slots = [each([text(k) + each([text(v)]) for k, v in s.items()]) for s in (inputs, outputs)]
        said = each([old_attribute(k, v) for k, v in attributes.items()])
        operators.append(text(kind) + slots[0] + slots[1] + said + b"\0")
    block = struct.pack("<ii", 0, -1) + each(variables) + each(operators) + struct.pack("<i", -1)
    return each([block]) + struct.pack("<q", 0)


def old_weights() -> bytes:
    return each([
        text(name) + struct.pack("<IQ", 0, 0) + each([]) + struct.pack("<Ii", 0, FP32)
        + numbers("q", shape) + struct.pack("<Q", 4 * count(shape)) + floats(shape)
        for name, shape in WEIGHTS.items()
    ])  # fmt: skip


def test_the_older_layout_in_one_file() -> None:
    head = struct.pack("<H16sQ", 0, b"v2.3.0\0garbage..", len(old_program()))
    model = inspected("net.nb", head + old_program() + old_weights())
    assert (model.format, model.status, model.notes) == ("paddlelite", "parsed", ())
    assert (model.macs, model.parameters) == (MACS, 192)
    assert model.producer == "Paddle Lite 2.3.0"


def test_the_older_layout_in_two_files() -> None:
    model = inspected("__model__.nb", old_program(), {"param.nb": old_weights()})
    assert (model.status, model.macs, model.parameters) == ("parsed", MACS, 192)
    assert model.companions == ("param.nb",)
    alone = inspected("__model__.nb", old_program())
    assert alone.macs == MACS and "missing" in " ".join(alone.notes)
    assert inspected("param.nb", old_weights()).status == "opaque"


def test_broken_and_later_files() -> None:
    head = struct.pack("<H16sQ", 0, b"v2.3.0", len(old_program()))
    data = head + old_program() + old_weights()
    for length in (1, 20, 26, 200, len(data) - 5):
        assert inspected("net.nb", data[:length]).status == "rejected", length
    later = struct.pack("<H16sQ", 9, b"v9.9", 4) + bytes(40)
    assert inspected("net.nb", later).status == "opaque"


@pytest.mark.corpus
def test_real_files_of_the_optimiser(corpus: Path) -> None:
    from edgewise.analysis.summary import summarise
    from edgewise.archive import open_file

    folder = corpus / "models" / "paddlelite"
    found = {path.name: summarise(open_file(str(path))) for path in folder.iterdir()}
    counts = {model.macs for model in found.values() if model.macs}
    assert counts == {100_418_560, 32_992_256}
    assert {model.status for model in found.values()} == {"parsed", "opaque"}
    assert all(paddlelite.recognise(path.read_bytes()[:512], "x") > 0.5
               for path in folder.iterdir() if "param" not in path.name)  # fmt: skip
