"""The wire walker against protobuf's own encoder, and against what is no protobuf."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.errors import LimitExceeded, RejectedModel
from edgewise.formats.protobuf import (
    Wire,
    bytes_tag,
    fixed32_tag,
    fixed64_tag,
    signed,
    varint_tag,
)

wrappers = pytest.importorskip("google.protobuf.wrappers_pb2")
struct_pb2 = pytest.importorskip("google.protobuf.struct_pb2")


def _fields(content: bytes, limit: int = 100) -> list[tuple[int, int, int]]:
    return list(Wire(memoryview(content), limit).fields(0, len(content)))


@given(st.integers(-(2**63), 2**63 - 1))
def test_integers_are_those_that_protobuf_wrote(number: int) -> None:
    content = wrappers.Int64Value(value=number).SerializeToString()
    assert [signed(value) for _, value, _ in _fields(content)] == ([number] if number else [])


@given(st.text(max_size=300))
def test_text_is_where_the_walker_says(text: str) -> None:
    content = wrappers.StringValue(value=text).SerializeToString()
    wire = Wire(memoryview(content))
    found = [wire.text(start, end) for _, start, end in wire.fields(0, len(content))]
    assert found == ([text] if text else [])


def test_tags_tell_number_and_wire_type() -> None:
    content = b"\x08\x01" + b"\x12\x01x" + b"\x1d\0\0\0\0" + b"\x21" + bytes(8)
    tags = [tag for tag, _, _ in _fields(content)]
    assert tags == [varint_tag(1), bytes_tag(2), fixed32_tag(3), fixed64_tag(4)]


def test_high_field_numbers_take_several_bytes() -> None:
    assert _fields(b"\xa2\x01\x01x") == [(bytes_tag(20), 3, 4)]


def test_nested_messages_are_walked_in_place() -> None:
    value = struct_pb2.Value(list_value={"values": [{"number_value": 1.0}, {"bool_value": True}]})
    wire = Wire(memoryview(value.SerializeToString()))
    outer = wire.first((0, len(wire.data)), bytes_tag(6))
    assert outer is not None
    assert [tag for tag, _, _ in wire.fields(*outer)] == [bytes_tag(1), bytes_tag(1)]
    assert wire.first(outer, bytes_tag(3)) is None


@pytest.mark.parametrize(
    "content",
    [
        b"\x08",  # no value
        b"\x0a\x05abc",  # longer than the message
        b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # longer than anything
        b"\x08" + b"\xff" * 11,  # no end within ten bytes
        b"\x0d\0\0\0",  # three bytes of four
        b"\x0b",  # a group
        b"\x0e",  # wire type 6
        b"\x00\x01",  # field number 0
        b"\xff\xff\xff\xff\xff\x0f\x01",  # a number above 2^29
    ],
)
def test_what_is_no_protobuf_is_rejected(content: bytes) -> None:
    with pytest.raises(RejectedModel):
        _fields(content)


def test_fields_inside_a_message_may_not_reach_beyond_it() -> None:
    content = b"\x0a\x02\x0a\x02xx"
    wire = Wire(memoryview(content))
    with pytest.raises(RejectedModel):
        list(wire.fields(2, 4))


def test_the_number_of_fields_is_limited_over_all_messages() -> None:
    content = b"\x08\x01" * 6
    wire = Wire(memoryview(content), limit=10)
    assert len(list(wire.fields(0, len(content)))) == 6
    with pytest.raises(LimitExceeded):
        list(wire.fields(0, len(content)))


def test_packed_numbers_count_as_fields() -> None:
    wire = Wire(memoryview(b"\x01\x96\x01\x03"), limit=3)
    assert list(wire.varints(0, 4)) == [1, 150, 3]
    with pytest.raises(LimitExceeded):
        list(wire.varints(0, 4))


def test_text_that_is_no_utf_8_shows_as_escapes() -> None:
    assert Wire(memoryview(b"a\xff")).text(0, 2) == "a\\xff"


@given(st.binary(max_size=60))
def test_any_bytes_end_in_fields_within_bounds_or_a_rejection(content: bytes) -> None:
    try:
        found = _fields(content)
    except RejectedModel:
        return
    assert all(end <= len(content) for _, _, end in found)
