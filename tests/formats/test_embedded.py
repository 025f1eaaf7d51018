"""Models inside a file: behind a header, in a row, in a library; none where none are."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edgewise.analysis.summary import summarise
from edgewise.archive import DiskFile
from edgewise.formats.candidates import model_files
from edgewise.formats.embedded import embedded, may_hold_models


@pytest.fixture
def models(digits: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(digits.glob("*.tflite"))[:2]]


def packed(folder: Path, content: bytes) -> DiskFile:
    path = folder / "packed.data"
    path.write_bytes(content)
    return DiskFile(path)


def test_each_model_has_its_own_place_size_and_hash(tmp_path: Path, models: list[bytes]) -> None:
    import hashlib

    first, second = models
    content = b"HEADER_____" + first + bytes(5) + second + b"the end"
    parts = [part for part, _ in embedded(packed(tmp_path, content))]
    assert [part.start for part in parts] == [11, 11 + len(first) + 5]
    assert [part.sha256() for part in parts] == [
        hashlib.sha256(each).hexdigest() for each in models
    ]
    found = [summarise(part) for part in parts]
    assert [model.path for model in found] == [f"{tmp_path}/packed.data@{p.start}" for p in parts]
    assert all(model.status == "parsed" and model.macs for model in found)


def test_a_path_with_an_offset_is_that_model(tmp_path: Path, models: list[bytes]) -> None:
    packed(tmp_path, b"x" * 300 + models[0] + models[1])
    (only,) = model_files(f"{tmp_path}/packed.data@{300 + len(models[0])}")
    assert only.size == len(models[1])
    assert [file.size for file in model_files(f"{tmp_path}/packed.data")] == [
        len(m) for m in models
    ]


def test_bytes_behind_a_model_are_told(tmp_path: Path, models: list[bytes]) -> None:
    notes = summarise(packed(tmp_path, models[0] + models[1])).notes
    assert any(note.endswith("bytes behind the model are not its own") for note in notes)
    assert not any("behind" in note for note in summarise(packed(tmp_path, models[0])).notes)


def test_nothing_is_found_where_there_is_nothing(tmp_path: Path, models: list[bytes]) -> None:
    chance = random.Random(7)
    marked = b"".join(chance.randbytes(200) + b"TFL3" for _ in range(400))
    assert list(embedded(packed(tmp_path, marked))) == []
    assert list(embedded(packed(tmp_path, bytes(100) + models[0][: len(models[0]) // 3]))) == []


def test_pictures_and_code_are_not_looked_through() -> None:
    assert may_hold_models(b"\x7fELF".ljust(512, b"\0")) and may_hold_models(bytes(512))
    assert not may_hold_models(b"\x89PNG\r\n".ljust(512)) and not may_hold_models(
        b"dex\n035".ljust(512)
    )
    assert not may_hold_models(b"short")
