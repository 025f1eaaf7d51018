"""Protobuf's text form and messages as trees."""

from __future__ import annotations

import math

import pytest

from edgewise.errors import RejectedModel
from edgewise.formats.messages import Decoder, Word
from edgewise.formats.protobuf import Wire
from edgewise.formats.prototext import parse
from formats.wire_bytes import message


def fields(text: str) -> dict[str, list[object]]:
    return parse(memoryview(text.encode())).fields


def test_values_of_every_kind() -> None:
    found = fields(
        "a: 1 b: -0x1F, c: 017; d: 2.5e-3 e: inf f: -3f g: TRUE_ONE\n"
        "h: 'it''s' \"x\\101\\n\" # a comment\n i: [1, 2] [ext.name]: 4 a: 2"
    )
    assert found["a"] == [1, 2] and found["b"] == [-31] and found["c"] == [15]
    assert found["d"] == [0.0025] and found["e"] == [math.inf] and found["f"] == [-3.0]
    assert found["g"] == [Word("TRUE_ONE")] and found["h"] == [b"itsxA\n"]
    assert found["i"] == [1, 2] and found["[ext.name]"] == [4]


def test_messages_of_either_bracket() -> None:
    net = parse(memoryview(b"layer { p < q: 1 > } layer: { p { q: 2 } }"))
    assert [layer.message("p").integer("q") for layer in net.messages("layer")] == [1, 2]


@pytest.mark.parametrize(
    "text", ["a", "a {", "a: ", "a: [1", "a 1", "}", "a: 1 }", "a: \x00", "a: @"]
)
def test_what_is_no_text_is_rejected(text: str) -> None:
    with pytest.raises(RejectedModel):
        fields(text)


def test_depth_is_bounded() -> None:
    with pytest.raises(RejectedModel, match="deeper"):
        fields("a {" * 5000)


def test_wire_and_text_give_the_same() -> None:
    schema = {"M": {1: ("n", "int"), 2: ("t", "text"), 3: ("m", "M"), 4: ("f", "float")}}
    data = message(
        (1, -3), (2, "x"), (9, b"stepped over"), (3, message((1, b"\x01\x02"))), (4, 1.5)
    )
    found = Decoder(Wire(memoryview(data)), schema).decode("M", (0, len(data)))
    text = parse(memoryview(b't: "x" n: -3 m { n: [1, 2] } f: 1.5'))
    for tree in (found, text):
        assert (tree.integer("n"), tree.text("t"), tree.number("f")) == (-3, "x", 1.5)
        assert tree.message("m").integers("n") == [1, 2]
    with pytest.raises(RejectedModel):
        found.message("n")
