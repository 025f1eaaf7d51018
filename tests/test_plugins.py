"""Plug-ins: what a package outside declares is found, what is broken is left out and said."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edgewise import plugins


def install(folder: Path, group: str, entry: str, module: str) -> None:
    """A distribution as pip would leave it: a module, and its metadata with one entry point."""
    (folder / f"{entry}.py").write_text(module)
    info = folder / f"{entry}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {entry}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[edgewise.{group}]\n{entry} = {entry}\n")


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    plugins.declared.cache_clear()
    return tmp_path


@pytest.fixture(autouse=True)
def forgotten() -> object:
    yield
    plugins.declared.cache_clear()


def test_a_module_of_another_package_is_found(outside: Path) -> None:
    install(outside, "formats", "toy_format_here", "NAME = 'toy'\n")
    assert [each.NAME for each in plugins.declared("formats")] == ["toy"]
    assert plugins.declared("meters") == ()


def test_a_broken_one_is_left_out_and_named(outside: Path) -> None:
    install(outside, "meters", "broken_meter_here", "raise RuntimeError('no such library')\n")
    install(outside, "meters", "well_meter_here", "NAME = 'well'\n")
    with pytest.warns(UserWarning, match=r"broken_meter_here.*no such library"):
        found = plugins.declared("meters")
    assert [each.NAME for each in found] == ["well"]
