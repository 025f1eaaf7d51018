"""What is built to be published: everything that runs, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tomllib
import zipfile
from email import message_from_bytes
from pathlib import Path, PurePosixPath

import pytest

pytest.importorskip("hatchling")

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution of this checkout."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-t", "wheel", "-d", folder],
        cwd=ROOT, check=True, capture_output=True,
    )  # fmt: skip
    return folder


def sources() -> set[str]:
    """Every file of the package, from `edgewise/` on, but what an interpreter leaves there."""
    source = ROOT / "src"
    return {
        path.relative_to(source).as_posix()
        for path in (source / "edgewise").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_has_all_of_the_package_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
        about = {PurePosixPath(name).name: archive.read(name) for name in archive.namelist()
                 if ".dist-info/" in name}  # fmt: skip
    assert inside == sources()
    # What verbs read as files, of each kind one.
    assert {
        "edgewise/py.typed", "edgewise/demo/data/demo.apk", "edgewise/demo/data/digits/heldout.npz",
        "edgewise/apps/evidence/signatures/frameworks.toml", "edgewise/server/status/page.js",
        "edgewise/selection/profiles/data/p2.csv",
    } <= inside  # fmt: skip
    assert b"edgewise = edgewise.cli.main:main" in about["entry_points.txt"]
    assert about["LICENSE"] == (ROOT / "LICENSE").read_bytes()


def test_the_metadata_has_the_extras_and_the_readme(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("METADATA"))
        stated = message_from_bytes(archive.read(name))
    assert set(stated.get_all("Provides-Extra", ())) == set(PROJECT["optional-dependencies"])
    assert stated["Description-Content-Type"].startswith("text/markdown")
    assert str(stated.get_payload()).startswith("# Edgewise")
    plain = [each for each in stated.get_all("Requires-Dist", ()) if "extra ==" not in each]
    assert len(plain) == len(PROJECT["dependencies"])


def test_the_source_distribution_builds_the_same_and_carries_no_tests(built: Path) -> None:
    (packed,) = built.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        inside = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in sources()} | {
        "pyproject.toml",
        "README.md",
        "LICENSE",
    } <= inside
    assert {name.partition("/")[0] for name in inside} <= {
        ".gitignore", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "PKG-INFO", "README.md",
        "constraints.txt", "docs", "examples", "pyproject.toml", "src",
    }  # fmt: skip
