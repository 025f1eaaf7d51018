"""Tables as text: how they may be written, and what is wrong with those that are none."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from edgewise import delimited
from edgewise.errors import InputError


def written(folder: Path, raw: bytes) -> Path:
    path = folder / "table.csv"
    path.write_bytes(raw)
    return path


def test_rows_know_the_lines_they_end_in(tmp_path: Path) -> None:
    path = written(tmp_path, b'# by hand\na,b\n\n1,"two\nlines"\n# more\n3, 4 \n')
    sheet = delimited.read(path)
    assert sheet.columns == ("a", "b")
    assert sheet.rows == [(5, {"a": "1", "b": "two\nlines"}), (7, {"a": "3", "b": "4"})]


def test_a_decimal_comma_is_one_only_where_something_else_parts(tmp_path: Path) -> None:
    semicolons = delimited.read(written(tmp_path, b"a;b;c\n1,5;-2,25e3;x,5\n"))
    assert semicolons.rows == [(2, {"a": "1.5", "b": "-2.25e3", "c": "x,5"})]
    commas = delimited.read(written(tmp_path, b'a,b\n"1,5",2\n'))
    assert commas.rows == [(2, {"a": "1,5", "b": "2"})]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_text_is_read_however_it_is_encoded(tmp_path: Path, encoding: str) -> None:
    raw = "größe,b\r\n1,2\r\n".encode(encoding)
    for content in (raw, gzip.compress(raw)):
        assert delimited.read(written(tmp_path, content)).rows == [(2, {"größe": "1", "b": "2"})]


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"a,b\n1\n", "line 2: not as many values"),
        (b"a,b\n1,2,3\n", "line 2: not as many values"),
        (b'a,b\n1,"2\n', "line 2: cannot be read as CSV"),
        (b"a,b,a\n1,2,3\n", "column 'a' twice"),
        (b"\xff\x00\x01\xfe", "no text in UTF-8"),
        (b"\x1f\x8bno gzip", "cannot be read"),
        (gzip.compress(b"a,b\n1,2\n" * 99, mtime=0)[:-20], "cannot be read"),
    ],
)
def test_what_is_no_table_says_why(tmp_path: Path, raw: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message) as error:
        delimited.read(written(tmp_path, raw))
    assert "\n" not in str(error.value)


def test_a_packed_bomb_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delimited, "MAX_BYTES", 1000)
    with pytest.raises(InputError, match="has more than"):
        delimited.read(written(tmp_path, gzip.compress(b"a" * 100_000)))
    with pytest.raises(InputError, match="has more than"):
        delimited.read(written(tmp_path, b"a" * 1001))


def test_nothing_has_no_columns(tmp_path: Path) -> None:
    assert delimited.read(written(tmp_path, b"\n# only a comment\n")) == ((), [])
    with pytest.raises(InputError, match="cannot be read"):
        delimited.read(tmp_path)
