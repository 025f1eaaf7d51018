"""Lists of labelled images as people's tools write them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from edgewise.bench.labelled import load_labelled
from edgewise.errors import InputError

Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "in").mkdir()
    for number, name in enumerate(("a.png", "b ä.png", "c.PNG")):
        Image.fromarray(np.full((4, 4), 80 * number, np.uint8)).save(tmp_path / "in" / name)
    return tmp_path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("l.csv", b"file,label\nin/a.png,cat\nin/b \xc3\xa4.png,dog\nin/c.PNG,cat\n"),
        ("l.csv", b"\xef\xbb\xbfFileName;Class\r\nin/a.png;cat\r\nin/b \xc3\xa4.png;dog\r\n"
                  b"in/c.PNG;cat\r\n"),
        ("l.csv", "image,px,label\nin/a.png,3,0\nin/b ä.png,4,1\nin/c.PNG,5,0\n".encode("utf-16")),
        ("l.tsv", b"path\tlabel\nin\\a.png\tcat\nin\\b \xc3\xa4.png\tdog\nin\\c.PNG\tcat\n"),
        ("l.csv", b"in/a.png,0\nin/b \xc3\xa4.png,1\nin/c.PNG,0\n"),
        ("l.csv", b'"in/a.png",cat\n"in/b \xc3\xa4.png",dog\n"in/c.PNG",cat\n'),
        ("l.txt", b"in/a.png 0\nin/b \xc3\xa4.png 1\nin/c.PNG 0\n"),
        ("l.csv", b"id,label\n@/in/a.png,cat\n@/in/b \xc3\xa4.png,dog\n@/in/c.PNG,cat\n"),
    ],
)  # fmt: skip
def test_a_list_of_files_and_labels(photos: Path, name: str, content: bytes) -> None:
    (photos / name).write_bytes(content.replace(b"@", os.fsencode(photos)))
    found = load_labelled(photos / name, ("cat", "dog"))
    assert found.labels.tolist() == [0, 1, 0]
    assert [int(np.asarray(found.image(i)).max()) for i in range(3)] == [0, 80, 160]


def test_without_label_names_they_are_put_in_order(photos: Path) -> None:
    (photos / "l.csv").write_text("file,label\nin/a.png,wolf\nin/c.PNG,cat\n")
    found = load_labelled(photos / "l.csv", ())
    assert (found.labels.tolist(), found.ordered) == ([1, 0], 2)


def test_a_file_that_is_missing_is_one_file(photos: Path) -> None:
    (photos / "l.csv").write_text("file,label\nin/a.png,0\nin/gone.png,1\n")
    found = load_labelled(photos / "l.csv", ())
    found.image(0)
    with pytest.raises(InputError, match=r"gone\.png"):
        found.image(1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "lists no file"),
        ("file,colour,size\na.png,red,3\n", "no column of labels"),
        ("colour,label,size\nred,1,3\n", "no column of files"),
        ("file,label\na.png,\n", "line 2: no file or no label"),
        ("file,label\nin/a.png,cow\n", "the label 'cow' is no label of the model"),
        ("one\n", "line 1: not a file and its label"),
    ],
)
def test_lists_that_are_none_say_why(photos: Path, content: str, words: str) -> None:
    (photos / "l.csv").write_text(content)
    with pytest.raises(InputError, match=words):
        load_labelled(photos / "l.csv", ("cat", "dog"))
