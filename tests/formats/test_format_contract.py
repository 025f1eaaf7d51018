"""Every format declares what the contract asks; one from outside is a format like any other."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgewise import plugins
from edgewise.analysis.summary import summarise
from edgewise.archive import DiskFile
from edgewise.cli.main import run
from edgewise.formats import registry

TOY = """
import struct
from edgewise.errors import RejectedModel
from edgewise.formats.building import Builder, Meaning
from edgewise.graph import Kind, Tensor, Weights

NAME, EXTENSIONS, LEVEL, SIBLINGS = "toy", (".toy",), "graph", ()
LIMITS, SOURCES = {}, ("https://example.org/toy",)

def recognise(head, name):
    return 0.9 if head[:4] == b"TOY1" else 0.0

def read(file):
    data = file.data()
    if len(data) < 8:
        raise RejectedModel("cut short")
    depth, units = struct.unpack_from("<HH", data, 4)
    made = Builder("toy")
    x = made.add(Tensor("x", "float32", (1, depth)))
    w = made.add(Tensor("w", "float32", (units, depth), Weights(4, lambda: data[8:])))
    y = made.add(Tensor("y", "float32", None))
    made.layer("fc", "Dense", Meaning(Kind.DENSE, {"weight_layout": "OI"}), [x, w], [y])
    made.graph.inputs, made.graph.outputs, made.graph.format = [x], [y], NAME
    return made.graph
"""


@pytest.mark.parametrize("fmt", registry.formats(), ids=lambda fmt: fmt.NAME)
def test_a_format_declares_itself(fmt: registry.Format) -> None:
    assert fmt.NAME and fmt.LEVEL in ("graph", "operators", "identified")
    assert all(ending.startswith(".") and ending == ending.lower() for ending in fmt.EXTENSIONS)
    assert all(source.startswith("https://") for source in fmt.SOURCES) and fmt.SOURCES
    assert all(limit > 0 for limit in fmt.LIMITS.values())
    assert all(isinstance(each.other, str) for each in fmt.SIBLINGS)
    assert fmt.recognise(b"", "") == 0


@pytest.fixture
def outside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "toy_format_outside.py").write_text(TOY)
    info = tmp_path / "toy_format_outside-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[edgewise.formats]\ntoy = toy_format_outside\n")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    for cached in (plugins.declared, registry.formats):
        cached.cache_clear()
    yield tmp_path
    for cached in (plugins.declared, registry.formats):
        cached.cache_clear()


def test_a_format_of_another_package_is_read(outside: Path) -> None:
    path = outside / "model.dat"
    path.write_bytes(b"TOY1" + bytes([12, 0, 5, 0]) + bytes(240))
    model = summarise(DiskFile(path))
    assert (model.format, model.status, model.macs, model.parameters) == ("toy", "parsed", 60, 60)


def test_a_format_of_another_package_is_listed(
    outside: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["formats", "--json"]) == 0
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (last["format"], last["level"], last["sources"]) == (
        "toy", "graph", ["https://example.org/toy"],
    )  # fmt: skip
