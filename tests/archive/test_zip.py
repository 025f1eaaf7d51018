"""Archives and entries: what is read, and what is refused."""

from __future__ import annotations

import hashlib
import io
import random
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from zips import DEFLATED, STORED, doctored, opened, packed

from edgewise.archive import Archive, Budget, DiskFile, Limits
from edgewise.archive.region import Region
from edgewise.errors import EdgewiseError, LimitExceeded, MalformedArchive

TEXT = b"some text that deflates well, " * 100
NOISE = random.Random(7).randbytes(3000)
SAMPLE = {"AndroidManifest.xml": TEXT, "assets/m.tflite": NOISE, "empty": b""}


def contents(archive: Archive) -> dict[str, bytes]:
    return {entry.entry_name: bytes(entry.data()) for entry in archive}


@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_reads_what_was_packed(tmp_path: Path, method: int) -> None:
    archive = opened(tmp_path, packed(SAMPLE, method))
    assert contents(archive) == SAMPLE
    assert archive.notes == ()
    for entry in archive:
        content = SAMPLE[entry.entry_name]
        assert (entry.size, entry.head(512)) == (len(content), content[:512])
        assert entry.sha256() == hashlib.sha256(content).hexdigest()


def test_stored_entries_are_not_copied(tmp_path: Path) -> None:
    inner = packed({"m.bin": NOISE}, STORED)
    outer = opened(tmp_path, packed({"inner.apk": inner}, STORED))
    entry = outer.get("inner.apk")
    assert entry is not None
    deepest = outer.nested(entry).get("m.bin")
    assert deepest is not None
    assert deepest.data().obj is outer.region.view.obj
    assert bytes(deepest.data()) == NOISE


def test_a_head_inflates_nothing_more(tmp_path: Path) -> None:
    data = bytearray(packed({"a": TEXT + NOISE}))
    at = data.index(b"PK\x01\x02") - 100
    data[at : at + 50] = bytes(50)  # damaged towards its end
    (entry,) = opened(tmp_path, bytes(data))
    assert entry.head(512) == TEXT[:512]
    with pytest.raises(MalformedArchive, match=r"some\.zip!/a: "):
        entry.data()


def test_folders_are_no_entries_but_what_hides_behind_a_slash_is(tmp_path: Path) -> None:
    archive = opened(tmp_path, packed({"assets/": b"", "classes.dex/": TEXT}))
    assert contents(archive) == {"classes.dex/": TEXT}


def test_siblings_are_in_the_same_folder(tmp_path: Path) -> None:
    names = {"assets/m.param": b"1", "assets/m.bin": b"2", "assets/x/m.bin": b"3", "m.bin": b"4"}
    entry = opened(tmp_path, packed(names)).get("assets/m.param")
    assert entry is not None
    beside = entry.sibling("m.bin")
    assert beside is not None and bytes(beside.data()) == b"2"
    assert list(entry.siblings()) == ["m.bin"]
    below = entry.sibling("x/m.bin")
    assert below is not None and bytes(below.data()) == b"3"
    assert list(entry.siblings("x")) == ["m.bin"]
    for elsewhere in ("../m.bin", "/m.bin", "x//m.bin", "./m.bin", "none", ""):
        assert entry.sibling(elsewhere) is None


def test_what_was_cut_short_is_not_taken_for_an_archive_stored_in_it(tmp_path: Path) -> None:
    inner = packed({"m.bin": NOISE}, STORED)
    whole = packed({"a": NOISE, "inner.zip": inner, "z": NOISE}, STORED)
    for size in range(whole.index(inner) + len(inner), len(whole)):
        if whole[:size].endswith(inner):
            continue  # the one place where nothing tells
        with pytest.raises(MalformedArchive, match="cut short"):
            opened(tmp_path, whole[:size])
    assert len(opened(tmp_path, b"#!/bin/sh\n" + whole)) == 3


def test_entries_that_share_their_bytes_are_held_to_one_ratio(tmp_path: Path) -> None:
    limits = Limits(ratio_from_bytes=4096, ratio=20)
    data = packed({f"{n:02}": NOISE[:50] * 80 for n in range(40)})
    first = data.index(b"PK\x01\x02")
    for n in range(1, 40):  # all at the place of the first
        data = doctored(data, f"{n:02}", offset=0)
    cut = data[: data.index(b"PK\x03\x04", 4)] + data[first:]
    archive = opened(tmp_path, cut, limits)
    read = []
    with pytest.raises(LimitExceeded, match="ratio"):
        read.extend(len(entry.data()) for entry in archive)
    assert archive.budget.inflated_bytes <= 16 * 4096 < 40 * len(NOISE[:50] * 80)


# -- names -------------------------------------------------------------------------------------


def test_names_are_data(tmp_path: Path) -> None:
    names = ["../../etc/passwd", "/absolute", "a\\b", "ünï", "tab\tand\nline"]
    archive = opened(tmp_path, packed(dict.fromkeys(names, b"x")))
    assert list(archive.names()) == names


def test_a_nul_in_a_name_is_kept_and_noted(tmp_path: Path) -> None:
    data = packed({"test_txt": b"x"}).replace(b"test_txt", b"test.tx\0")
    archive = opened(tmp_path, data)
    assert contents(archive) == {"test.tx\0": b"x"}
    assert "NUL" in archive.notes[0]


def test_a_name_that_is_no_utf8_stays_readable(tmp_path: Path) -> None:
    archive = opened(tmp_path, packed({"name1": b"x"}).replace(b"name1", b"nam\xff\x81"))
    assert list(archive.names()) == ["nam\xa0ü"]


def test_of_two_entries_with_one_name_get_gives_the_first(tmp_path: Path) -> None:
    data = packed({"one": b"first", "two": b"second"}).replace(b"two", b"one")
    archive = opened(tmp_path, data)
    assert [bytes(entry.data()) for entry in archive] == [b"first", b"second"]
    first = archive.get("one")
    assert first is not None and bytes(first.data()) == b"first"
    assert "more than once" in archive.notes[0]


# -- odd directories ---------------------------------------------------------------------------


def test_an_empty_archive(tmp_path: Path) -> None:
    assert len(opened(tmp_path, packed({}))) == 0


def test_a_comment_that_looks_like_an_end_record(tmp_path: Path) -> None:
    fake = b"PK\x05\x06" + bytes(18)
    comment = (b"x" * 1000 + fake).ljust(65535, b"y")
    archive = opened(tmp_path, packed(SAMPLE, comment=comment))
    assert contents(archive) == SAMPLE


def test_bytes_before_and_after(tmp_path: Path) -> None:
    archive = opened(tmp_path, b"#!/bin/sh\n" * 50 + packed(SAMPLE) + b"signature" * 99)
    assert contents(archive) == SAMPLE
    assert [note.split()[0] for note in archive.notes] == ["500", "891"]


def test_a_wrong_count_is_noted(tmp_path: Path) -> None:
    data = bytearray(packed(SAMPLE))
    struct.pack_into("<HH", data, len(data) - 14, 9, 9)
    archive = opened(tmp_path, bytes(data))
    assert contents(archive) == SAMPLE
    assert archive.notes == ("the zip directory has 3 entries but states 9",)


def test_zip64(tmp_path: Path) -> None:
    """Sizes and offsets in the 64-bit fields, as in packages above 4 GiB."""
    data = packed({"a": TEXT})
    row, end = data.index(b"PK\x01\x02"), data.index(b"PK\x05\x06")
    packed_size, size = struct.unpack_from("<II", data, row + 20)
    extra = struct.pack("<HHQQQ", 1, 24, size, packed_size, 0)
    directory = bytearray(data[row:end] + extra)
    struct.pack_into("<IIHH", directory, 20, 0xFFFFFFFF, 0xFFFFFFFF, 1, len(extra))
    struct.pack_into("<I", directory, 42, 0xFFFFFFFF)
    end64 = struct.pack("<4sQHHIIQQQQ", b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, len(directory), row)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, row + len(directory), 1)
    last = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, *[0xFFFF] * 2, *[0xFFFFFFFF] * 2, 0)
    archive = opened(tmp_path, data[:row] + directory + end64 + locator + last)
    assert contents(archive) == {"a": TEXT}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "is empty"),
        (b"hello, I am a text", "not a zip archive: it begins with b'hello"),
        (packed(SAMPLE)[:2000], "cut short"),
        (packed(SAMPLE).replace(b"PK\x01\x02", b"none"), "directory is not where"),
    ],
)
def test_what_is_no_archive(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(MalformedArchive, match=reason):
        opened(tmp_path, data)


# -- entries made to mislead -------------------------------------------------------------------


@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_an_encryption_bit_without_encryption_is_ignored(tmp_path: Path, method: int) -> None:
    data = doctored(packed({"a": TEXT}, method), "a", flags=1)
    assert contents(opened(tmp_path, data)) == {"a": TEXT}


@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_encrypted_entries_say_so(tmp_path: Path, method: int) -> None:
    data = doctored(packed({"a": NOISE}, STORED), "a", flags=1, method=method, crc=1)
    (entry,) = opened(tmp_path, data)
    for read in (entry.data, lambda: entry.head(512)):
        with pytest.raises(MalformedArchive, match="is encrypted"):
            read()


@pytest.mark.parametrize("method", [STORED, DEFLATED])
def test_an_unknown_method_is_seen_through(tmp_path: Path, method: int) -> None:
    data = doctored(packed({"a": TEXT}, method), "a", method=0x4A7B)
    assert contents(opened(tmp_path, data)) == {"a": TEXT}


def test_an_unknown_method_with_a_false_size_is_taken_as_stored(tmp_path: Path) -> None:
    data = doctored(packed({"a": NOISE}, STORED), "a", method=777, packed=5)
    assert contents(opened(tmp_path, data)) == {"a": NOISE}


def test_methods_that_phones_cannot_read_are_named(tmp_path: Path) -> None:
    (entry,) = opened(tmp_path, packed({"a": TEXT}, zipfile.ZIP_BZIP2))
    with pytest.raises(MalformedArchive, match="bzip2"):
        entry.head(16)


@pytest.mark.parametrize("method", [STORED, DEFLATED])
@pytest.mark.parametrize("memory_bytes", [1 << 24, 64])
def test_a_wrong_checksum_is_damage(tmp_path: Path, method: int, memory_bytes: int) -> None:
    data = doctored(packed({"a": TEXT}, method), "a", crc=0)
    (entry,) = opened(tmp_path, data, Limits(memory_bytes=memory_bytes))
    with pytest.raises(MalformedArchive, match="checksum"):
        entry.data()


@pytest.mark.parametrize("memory_bytes", [1 << 24, 64])
@pytest.mark.parametrize("size", [len(TEXT) - 1, len(TEXT) + 1])
def test_a_wrong_size_is_damage(tmp_path: Path, size: int, memory_bytes: int) -> None:
    data = doctored(packed({"a": TEXT}), "a", size=size)
    (entry,) = opened(tmp_path, data, Limits(memory_bytes=memory_bytes))
    with pytest.raises(MalformedArchive, match="inflate"):
        entry.data()


def test_an_entry_outside_the_archive(tmp_path: Path) -> None:
    for fields in ({"offset": 1 << 30}, {"packed": 1 << 30}, {"offset": 1}):
        (entry,) = opened(tmp_path, doctored(packed({"a": TEXT}), "a", **fields))
        with pytest.raises(MalformedArchive, match=r"some\.zip!/a"):
            entry.data()


# -- limits ------------------------------------------------------------------------------------


def test_large_entries_are_spooled(tmp_path: Path) -> None:
    content = NOISE * 700
    (entry,) = opened(tmp_path, packed({"a": content}), Limits(memory_bytes=1 << 20))
    assert bytes(entry.data()) == content
    assert entry.sha256() == hashlib.sha256(content).hexdigest()
    assert not isinstance(entry.data().obj, bytes | bytearray)
    assert [path.name for path in tmp_path.iterdir()] == ["some.zip"]


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (Limits(entry_bytes=999), "entry_bytes"),
        (Limits(ratio=20, ratio_from_bytes=1000), "ratio"),
        (Limits(total_bytes=2 * len(TEXT) - 1), "total_bytes"),
    ],
)
def test_limits_on_inflating_are_named(tmp_path: Path, limits: Limits, name: str) -> None:
    first, second = opened(tmp_path, packed({"a": TEXT, "b": TEXT}), limits)
    assert first.head(100) == second.head(100) == TEXT[:100]
    with pytest.raises(LimitExceeded, match=name):
        (first.data(), second.data())


def test_the_limit_on_depth_is_named(tmp_path: Path) -> None:
    archive = opened(tmp_path, packed({"z": packed({"z": packed({})})}), Limits(depth=1))
    (inner,) = archive.nested(next(iter(archive)))
    with pytest.raises(LimitExceeded, match="depth"):
        Archive(inner, Budget(Limits(depth=1)), 2)


def test_the_limit_on_entries_leaves_the_rest_out(tmp_path: Path) -> None:
    archive = opened(tmp_path, packed(SAMPLE), Limits(entries=2))
    assert len(archive) == 2
    assert "limit entries" in archive.notes[0]


# -- anything ----------------------------------------------------------------------------------


class Held:
    """Bytes as a file."""

    def __init__(self, data: bytes) -> None:
        self.path = self.name = "held.zip"
        self.size = len(data)
        self._region = Region(memoryview(data))

    def region(self) -> Region:
        return self._region


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_damage_ends_in_a_typed_error(data: st.DataObject) -> None:
    damaged = bytearray(packed(SAMPLE))
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(0, len(damaged) - 1))
        damaged[place] = data.draw(st.sampled_from([0, 1, 127, 128, 255]))
    cut = data.draw(st.integers(0, 3 * len(damaged)))
    try:
        for entry in Archive(Held(bytes(damaged[:cut])), Budget()):  # type: ignore[arg-type]
            try:
                assert entry.head(64) == bytes(entry.data()[:64])
            except EdgewiseError:
                assert entry.size >= 0
    except EdgewiseError as error:
        assert "held.zip" in str(error)


@pytest.mark.corpus
def test_real_packages_read_as_the_standard_library_reads_them(corpus: Path) -> None:
    for path in sorted((corpus / "apks").iterdir()):
        with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as theirs:
            wanted = {
                info.orig_filename: theirs.read(info)
                for info in theirs.infolist()
                if info.file_size or not info.is_dir()
            }
        assert contents(Archive(DiskFile(path), Budget())) == wanted
