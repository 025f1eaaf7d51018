"""Families are read strictly: what is wrong is said at load, not at the first request."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgewise.errors import InputError
from edgewise.family import load_family

GOOD = """
name = "digits"
task = "image-classification"
labels = "labels.txt"
[input]
kind = "image"
[[variant]]
name = "small"
file = "small.tflite"
accuracy = 91.4
accuracy_source = "held-out"
role = "device"
[variant.preprocess]
size = [32, 24]
colour = "grey"
mean = [0.0]
scale = [255.0]
output = "logits"
[[variant]]
name = "remote"
endpoint = "grpc://host:1/model"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "labels.txt").write_text("zero\none\n\n")
    (tmp_path / "small.tflite").write_bytes(b"x")
    (tmp_path / "family.toml").write_text(GOOD)
    return tmp_path


def test_a_family(folder: Path) -> None:
    family = load_family(folder / "family.toml")
    small, remote = family.variant
    assert family.label_names == ("zero", "one")
    assert small.file == str(folder / "small.tflite") and small.preprocess.size == (32, 24)
    assert small.output == "logits" and remote.endpoint == "grpc://host:1/model"
    assert family.fallback() == small
    assert remote.preprocess.mean == (0.0,) and remote.role == "server"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "digits"', 'nam = "digits"', "unknown field `nam`"),
        ('name = "digits"', 'path = "/x"\nname = "d"', "unknown key 'path'"),
        ("size = [32, 24]", "sizes = [32, 24]", "unknown field `sizes`"),
        ('kind = "image"', 'kind = "sound"', "'sound'"),
        ("size = [32, 24]", "size = [32]", "size"),
        ("size = [32, 24]", "size = [0, 24]", "size of 0"),
        ('colour = "grey"', 'colour = "pink"', "'pink'"),
        ("scale = [255.0]", "scale = [0.0]", "scale is 0"),
        ("scale = [255.0]", "scale = [1.0, 2.0, 3.0]", "grey has 1 channels"),
        ("scale = [255.0]", "scale = [nan]", "scale is one number"),
        ("mean = [0.0]", "mean = [0.0, 1.0]", "mean is one number"),
        ("mean = [0.0]", 'dtype = "complex64"', "dtype 'complex64'"),
        ("accuracy = 91.4", "accuracy = 191.4", "accuracy of 191.4"),
        ('file = "small.tflite"', 'file = "gone.tflite"', "no file .*gone.tflite"),
        ('file = "small.tflite"\n', "", "either a file or an endpoint"),
        ('endpoint = "grpc://host:1/model"', 'endpoint = "host"', "no URL"),
        ('name = "remote"', 'name = "small"', "'small' twice"),
        ('name = "remote"', 'name = "remote"\nrole = "device"', "two variants with the role"),
        ('labels = "labels.txt"', 'labels = "none.txt"', "labels cannot be read"),
        ("[[variant]]", "[[", "cannot be read"),
        ('role = "device"', 'output = "probabilities"', "output is given twice"),
    ],
)
def test_what_is_wrong_is_said(folder: Path, old: str, new: str, message: str) -> None:
    (folder / "family.toml").write_text(GOOD.replace(old, new, 1))
    with pytest.raises(InputError, match=message) as error:
        load_family(folder / "family.toml")
    assert "family.toml" in str(error.value) and "\n" not in str(error.value)


def test_a_byte_order_mark_is_none_of_the_names(folder: Path) -> None:
    for name in ("labels.txt", "family.toml"):
        text = (folder / name).read_text()
        (folder / name).write_text(text, encoding="utf-8-sig", newline="\r\n")
    family = load_family(folder / "family.toml")
    assert family.name == "digits" and family.label_names == ("zero", "one")


def test_labels_are_there_and_may_be_there_twice(folder: Path) -> None:
    (folder / "labels.txt").write_text("")
    with pytest.raises(InputError, match=r"labels\.txt is empty"):
        load_family(str(folder / "family.toml"))
    (folder / "labels.txt").write_text("crane\nb\ncrane\n")  # the bird and the machine
    assert load_family(folder / "family.toml").label_names == ("crane", "b", "crane")


def test_a_family_has_variants(folder: Path) -> None:
    (folder / "family.toml").write_text('name = "empty"\n')
    with pytest.raises(InputError, match="has no variant"):
        load_family(folder / "family.toml")


@given(st.integers(0, len(GOOD)), st.text(max_size=5))
def test_a_damaged_family_loads_or_is_refused(
    tmp_path_factory: pytest.TempPathFactory, at: int, inserted: str
) -> None:
    path = tmp_path_factory.mktemp("family") / "family.toml"
    path.write_text(GOOD[:at] + inserted + GOOD[at + 1 :], encoding="utf-8")
    with pytest.raises(InputError):
        load_family(path)  # its files are not there, so that it can never load
