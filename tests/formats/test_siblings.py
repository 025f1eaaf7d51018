"""The files that belong to a model: by pattern, renamed with it, by what fits, or missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgewise.archive import DiskFile
from edgewise.errors import InputError
from edgewise.formats import siblings
from edgewise.formats.contract import Sibling

PATTERNS = (Sibling(".param", ".bin"),)


def beside(folder: Path, model: str, *others: str) -> DiskFile:
    for name in (model, *others):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return DiskFile(folder / model)


@pytest.mark.parametrize(
    ("model", "companion"),
    [
        ("net.param", "net.bin"),
        ("a.ncnn.param", "a.ncnn.bin"),
        ("NET.PARAM", "NET.bin"),
        ("net.param.mp3", "net.bin.mp3"),
        ("net_param", "net_bin"),
    ],
)
def test_a_companion_is_found_by_its_name(tmp_path: Path, model: str, companion: str) -> None:
    found = siblings.find(beside(tmp_path, model, companion, "other.bin"), PATTERNS)
    assert found is not None and found.name == companion


def test_what_fits_is_found_under_any_name(tmp_path: Path) -> None:
    model = beside(tmp_path, "f1.dat", "f2.dat", "notes.txt")
    assert siblings.find(model, PATTERNS) is None
    found = siblings.find(model, PATTERNS, lambda file: file.name == "f2.dat")
    assert found is not None and found.name == "f2.dat"


def test_a_name_that_does_not_fit_is_passed_over(tmp_path: Path) -> None:
    model = beside(tmp_path, "net.param", "net.bin")
    assert siblings.find(model, PATTERNS, lambda file: file.size > 100) is None


def test_a_path_downwards(tmp_path: Path) -> None:
    model = beside(tmp_path, "model.mil", "weights/weight.bin")
    found = siblings.find(model, (Sibling("", "weights/weight.bin"),))
    assert found is not None and found.name == "weight.bin"


def test_weights_in_a_companion(tmp_path: Path) -> None:
    other, model = beside(tmp_path, "net.bin"), beside(tmp_path, "net.param")
    assert bytes(siblings.stored(other, "net.bin", 4, 3).load()) == b"bin"
    with pytest.raises(InputError, match="ends before"):
        siblings.stored(other, "net.bin", 4, 30).load()
    with pytest.raises(InputError, match=r"'net\.bin' are missing"):
        siblings.stored(None, siblings.expected(model, PATTERNS), 0, 1).load()
