"""The high-water mark rises with what is held; files leave the page cache, or it is said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgewise.bench import memory

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_peak_remembers_what_is_gone() -> None:
    baseline = memory.start_over()
    if baseline is None:
        pytest.skip("clear_refs is not for us here")
    held = bytearray(b"x" * 64_000_000)
    _, holding = memory.above(baseline)
    del held
    peak, after = memory.above(baseline)
    assert peak is not None and holding is not None and after is not None
    assert peak > 60_000_000
    assert holding > 60_000_000 > after


def test_unknown_stays_unknown() -> None:
    assert memory.above(None) == (None, None)


def test_a_file_is_evicted_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(b"x" * 300_000)
    memory.read_into_cache(path)
    assert memory._any_resident(path)
    if not memory.evict_from_cache(path):
        pytest.skip("this file system keeps its pages")
    assert not memory._any_resident(path)
    memory.read_into_cache(path)
    assert memory._any_resident(path)


def test_a_mapped_file_is_not_evicted(tmp_path: Path) -> None:
    import mmap

    path = tmp_path / "model.bin"
    path.write_bytes(b"x" * 300_000)
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as view:
        assert view[150_000] == ord("x")
        assert not memory.evict_from_cache(path)


def test_an_empty_file_is_nowhere(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert memory.evict_from_cache(tmp_path / "empty")
