"""Extractors and signatures from outside the package: one file each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from packages import apk, written


def install(folder: Path, group: str, entry: str, module: str) -> None:
    """A distribution as pip would leave it: a module, and its metadata with one entry point."""
    (folder / f"{entry}.py").write_text(module)
    info = folder / f"{entry}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {entry}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[edgewise.{group}]\n{entry} = {entry}\n")


EXTRACTOR = '''
"""Finds the toy framework's marker."""
from edgewise.apps.evidence.contract import Trace
NAME = "toy"
def wants(inside, head): return inside.endswith(".toy")
def extract(file, inside, context, found):
    found.traces.append(Trace("framework", "toy", "asset", inside, bytes(file.data()).decode()))
'''
SIGNATURES = """
[[signature]]
kind = "framework"
name = "mine"
source = "https://example.org"
assets = ["**/mine.cfg"]
[[signature.example]]
where = "assets"
value = "assets/mine.cfg"
"""


def test_an_extractor_and_a_signature_from_outside_are_used(tmp_path: Path) -> None:
    install(tmp_path, "extractors", "toy_extractor", EXTRACTOR)
    (tmp_path / "signatures").mkdir()
    (tmp_path / "signatures" / "mine.toml").write_text(SIGNATURES)
    package = written(tmp_path / "a.apk", apk({"assets/m.toy": b"v1", "assets/mine.cfg": b""}))
    program = f"""
from edgewise.apps.scan import scan_package
for row in scan_package({package!r}).evidence:
    print(row.name, row.grade, row.where, row.detail)
"""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "EDGEWISE_SIGNATURES": str(tmp_path / "signatures"),
    }
    out = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert out.splitlines() == ["mine asset assets/mine.cfg ", "toy asset assets/m.toy v1"]


SOURCE = '''
"""A place that always has one app."""
from edgewise.apps.sources.contract import Offer
NAME = "toy"
ADDRESS = "toy:ANYTHING"
def takes(address): return address.startswith("toy:")
def offers(address, wanted, settings):
    yield Offer(name="toy.apk", address=address, listing={"package": "toy"})
def bring(offer, to, settings): to.write_bytes(offer.address.encode())
'''


def test_a_source_from_outside_is_used(tmp_path: Path) -> None:
    install(tmp_path, "sources", "toy_source", SOURCE)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-m", "edgewise", "fetch", "toy:here", "-o", str(tmp_path / "apps")]
    out = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert out.stdout.startswith("fetched:")
    assert (tmp_path / "apps" / "toy.apk").read_text() == "toy:here"
