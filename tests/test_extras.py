"""Optional parts: what is missing is told at once, with what brings it."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest

from edgewise import extras
from edgewise.cli.main import run
from edgewise.errors import MissingExtra

DIGITS = Path(str(files("edgewise"))) / "demo" / "data" / "digits"
PROJECT = Path(__file__).resolve().parents[1] / "pyproject.toml"


def test_all_that_is_missing_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extras, "_is_there", lambda module: module != "PIL" and module != "grpc")
    assert extras.missing(["litert", "images", "serve", "images"]) == ["images", "serve"]
    with pytest.raises(MissingExtra, match=r"pip install .*\[images,serve\]'"):
        extras.check(["litert", "images", "serve"], "the demo")


def test_extras_are_those_of_the_project() -> None:
    stated = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    assert set(extras.MODULES) == set(stated) - {"all"}


@pytest.mark.parametrize(
    ("module", "extra"),
    [("google.protobuf", "serve"), ("PIL.Image", "images"), ("ray", "ray"), ("nowhere", None)],
)
def test_a_module_tells_its_extra(module: str, extra: str | None) -> None:
    assert extras.bringing(module) == extra


@pytest.mark.parametrize(
    "arguments",
    [
        ["links", "measure", "http://127.0.0.1:9"],
        [
            "load",
            "http://127.0.0.1:9",
            "--model",
            "m",
            "--input",
            f"{DIGITS}/heldout.npz",
            "--seconds",
            "1",
        ],
        ["serve", f"{DIGITS}/family.toml"],
    ],
)
def test_no_missing_part_gives_a_traceback(arguments: list[str]) -> None:
    """As on a machine that has only the core: the modules of the extras cannot be imported."""
    absent = sorted({name.partition(".")[0] for names in extras.MODULES.values() for name in names})
    code = (
        "import sys\n"
        f"for name in {absent!r}: sys.modules[name] = None\n"
        f"from edgewise.cli.main import run\nsys.exit(run({arguments!r}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr and "pip install" in done.stderr, done.stderr


def test_a_module_that_no_extra_brings_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(arguments: object) -> object:
        raise ModuleNotFoundError("no module", name="nowhere")

    monkeypatch.setattr("edgewise.cli.main.command_line", broken)
    with pytest.raises(ModuleNotFoundError):
        run(["scan", "x"])
