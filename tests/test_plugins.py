"""Plug-ins: what a package outside declares is found, what is broken is left out and said."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from edgewise import plugins
from edgewise.apps.evidence import registry as extractors
from edgewise.apps.sources import registry as sources
from edgewise.devices import registry as devices
from edgewise.energy.meters import registry as meters
from edgewise.formats import registry as formats
from edgewise.runtimes import registry as runtimes
from edgewise.selection.policies import registry as policies

#: What each room lists: its own, and what other packages declare.
LISTED: dict[str, Callable[[], Sequence[Any]]] = {
    "formats": formats.formats,
    "runtimes": runtimes.runtimes,
    "devices": devices.kinds,
    "meters": meters.kinds,
    "sources": sources.sources,
    "extractors": extractors.extractors,
}


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
    forget()
    return tmp_path


def forget() -> None:
    for each in (plugins.declared, policies.policies, *LISTED.values()):
        if clear := getattr(each, "cache_clear", None):
            clear()


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    yield
    forget()


def test_every_group_has_a_room_that_lists_it() -> None:
    assert {*LISTED, "policies"} == {*plugins.GROUPS}


@pytest.mark.parametrize("group", LISTED)
def test_a_module_of_another_package_is_listed_in_its_room(group: str, outside: Path) -> None:
    before = [each.NAME for each in LISTED[group]()]
    forget()
    install(outside, group, f"toy_of_{group}", "NAME = 'toy'\n")
    assert sorted(each.NAME for each in LISTED[group]()) == sorted([*before, "toy"])


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
