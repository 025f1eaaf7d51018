"""Compiled code where its cache can be written, and where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgewise.selection import compiled
from edgewise.selection.compiled import config


def doubled(x: float) -> float:
    return x + x


@pytest.fixture(autouse=True)
def anew() -> None:
    compiled.folder.cache_clear()


def test_without_a_place_for_the_cache_it_still_compiles_and_says_so_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    nowhere = tmp_path / "file"
    nowhere.write_text("no folder")
    monkeypatch.setattr(compiled, "_bases", lambda: iter([nowhere]))
    for _ in range(2):
        assert compiled.njit(inline="never")(doubled)(2.0) == 4.0
    assert caplog.text.count("half a minute") == 1


def test_the_cache_lies_where_the_user_says_and_numba_is_left_as_it_was(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(config, "CACHE_DIR", str(tmp_path))
    assert compiled.njit()(doubled)(2.0) == 4.0
    assert list(tmp_path.glob("compiled-*/**/*.nbi"))
    assert str(tmp_path) == config.CACHE_DIR


def test_a_change_in_any_source_is_another_cache(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    one, other = tmp_path / "kernels.py", tmp_path / "sub" / "kernel_arrays.py"
    one.write_text("a = 1\n")
    other.write_text("b = 1\n")
    before = compiled.source_hash(tmp_path)
    assert before == compiled.source_hash(tmp_path)
    other.write_text("b = 2\n")
    assert compiled.source_hash(tmp_path) != before
