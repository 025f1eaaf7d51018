"""The table reader, on tables written with the flatbuffers package."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from edgewise.errors import LimitExceeded, RejectedModel
from edgewise.formats.flatbuffer import Flatbuffer, Table

flatbuffers = pytest.importorskip("flatbuffers")


def _root(builder: object, budget: int = 10_000) -> Table:
    return Flatbuffer(memoryview(bytes(builder.Output())), budget).root()  # type: ignore[attr-defined]


def test_scalars_of_every_width_and_defaults_of_absent_ones() -> None:
    builder = flatbuffers.Builder(64)
    builder.StartObject(9)
    builder.PrependInt8Slot(0, -3, 0)
    builder.PrependUint8Slot(1, 200, 0)
    builder.PrependBoolSlot(2, True, False)
    builder.PrependInt32Slot(3, -70_000, 0)
    builder.PrependUint32Slot(4, 4_000_000_000, 0)
    builder.PrependInt64Slot(5, -(1 << 40), 0)
    builder.PrependUint64Slot(6, 1 << 63, 0)
    builder.Finish(builder.EndObject())
    table = _root(builder)
    assert (table.int8(0), table.uint8(1), table.flag(2)) == (-3, 200, True)
    assert (table.int32(3), table.uint32(4)) == (-70_000, 4_000_000_000)
    assert (table.int64(5), table.uint64(6)) == (-(1 << 40), 1 << 63)
    assert table.int32(7, 5) == 5
    assert table.int32(99, 6) == 6
    assert table.has(3)
    assert not table.has(8)


def test_vectors_text_and_nested_tables() -> None:
    builder = flatbuffers.Builder(64)
    text = builder.CreateString("größe")
    builder.StartVector(4, 3, 4)
    for number in (3, -2, 1):
        builder.PrependInt32(number)
    numbers = builder.EndVector()
    inner = []
    for number in (10, 20):
        builder.StartObject(1)
        builder.PrependInt32Slot(0, number, 0)
        inner.append(builder.EndObject())
    builder.StartVector(4, 2, 4)
    for offset in reversed(inner):
        builder.PrependUOffsetTRelative(offset)
    tables = builder.EndVector()
    builder.StartObject(3)
    for slot, offset in enumerate((text, numbers, tables)):
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    builder.Finish(builder.EndObject())
    table = _root(builder)
    assert table.text(0) == "größe"
    assert table.int32s(1) == (1, -2, 3)
    assert [one.int32(0) for one in table.tables(2)] == [10, 20]
    assert table.tables(2)[1].int32(0) == 20
    assert table.count(1, 4) == 3
    assert table.text(7) is None
    assert table.int32s(7) == ()
    assert list(table.tables(7)) == []


def test_text_that_is_no_utf8_is_replaced() -> None:
    builder = flatbuffers.Builder(64)
    text = builder.CreateString(b"a\xffb")
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, text, 0)
    builder.Finish(builder.EndObject())
    assert _root(builder).text(0) == "a\ufffdb"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x01",
        bytes(64),
        struct.pack("<I", 1 << 31),
        struct.pack("<Ii", 4, 100),  # its layout lies before the file
        struct.pack("<IiHH", 4, -4, 2, 4),  # a layout too short for its own head
        struct.pack("<IiHH", 4, -4, 60_000, 4),  # a layout beyond the end
    ],
)
def test_what_is_no_table_is_rejected_with_its_place(content: bytes) -> None:
    with pytest.raises(RejectedModel, match="byte"):
        Flatbuffer(memoryview(content)).root()


def _one_field(target: bytes) -> Table:
    """A table whose one field is an offset to `target`, right behind it."""
    vtable = struct.pack("<HHH2x", 6, 8, 4)
    content = struct.pack("<I", 12) + vtable + struct.pack("<iI", 8, 4) + target
    return Flatbuffer(memoryview(content)).root()


def test_a_vector_longer_than_the_file_is_rejected() -> None:
    table = _one_field(struct.pack("<I", 1 << 30))
    for read in (table.int32s, table.int64s, table.bytes, table.text, table.tables, table.flags):
        with pytest.raises(RejectedModel, match="do not fit"):
            read(0)


def test_a_table_referred_to_again_and_again_ends_at_the_budget() -> None:
    builder = flatbuffers.Builder(64)
    builder.StartObject(0)
    inner = builder.EndObject()
    builder.StartVector(4, 2000, 4)
    for _ in range(2000):
        builder.PrependUOffsetTRelative(inner)
    tables = builder.EndVector()
    builder.StartObject(1)
    builder.PrependUOffsetTRelativeSlot(0, tables, 0)
    builder.Finish(builder.EndObject())
    with pytest.raises(LimitExceeded, match="10,000"):
        list(_root(builder, budget=10_000).tables(0))


def test_how_far_what_was_read_reaches(digits: Path) -> None:
    from edgewise.archive import DiskFile
    from edgewise.formats import tflite

    for path in digits.glob("*.tflite"):
        end, content = tflite.read(DiskFile(path)).extent, path.read_bytes()
        assert content[end:] == b"" or content[end:].startswith(b"PK\x03\x04")  # labels
