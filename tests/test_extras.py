"""Optional parts: what is missing is told at once, with what brings it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib import metadata
from importlib.resources import files
from pathlib import Path

import pytest
from packaging.requirements import Requirement

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


def on_the_core(folder: Path, *lines: list[str]) -> list[tuple[int, str, str]]:
    """Exit status, output and errors of command lines where only the core is installed: no module
    of an extra can be imported, also not by the processes that a verb starts."""
    absent = sorted({name.partition(".")[0] for names in extras.MODULES.values() for name in names})
    (folder / "sitecustomize.py").write_text(
        f"import sys\nfor name in {absent!r}: sys.modules[name] = None\n"
    )
    code = f"""
import contextlib, io, json, sys
from edgewise.cli.main import run
found = []
for line in {list(lines)!r}:
    out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = run(line)
    out.flush()
    found.append((status, out.buffer.getvalue().decode(), err.getvalue()))
print(json.dumps(found))
"""
    path = os.pathsep.join([str(folder), str(DIGITS.parents[2].parent)])
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=DIGITS.parent, env={**os.environ, "PYTHONPATH": path},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return [tuple(each) for each in json.loads(done.stdout)]


def test_the_core_scans_and_inspects(tmp_path: Path) -> None:
    done = on_the_core(
        tmp_path, ["scan", "demo.apk", "--json"], ["scan", "demo.apk"],
        ["inspect", "digits", "--json"], ["inspect", "digits/digits-s.tflite", "--weights"],
        ["formats"], ["lineage", "digits"], ["diff", "demo.apk", "demo-1.1.apk"],
        ["check", "demo.apk", "--baseline", "demo-1.1.apk"], ["links"],
        ["place", "inception_v3", "--profiles", "pixel3", "--server", "p2", "--link", "lte"],
        ["simulate", "--sla", "200", "--requests", "50", "--policy", "fastest,cnnselect"],
    )  # fmt: skip
    assert [(status, err) for status, _, err in done] == [(0, "")] * len(done)
    app = json.loads(done[0][1])
    assert [model["status"] for model in app["models"]].count("parsed") == 4
    assert {found["name"] for found in app["evidence"]} == {"onnxruntime", "tflite"}
    models = [json.loads(line) for line in done[2][1].splitlines()]
    assert len(models) == 11 and all(model["macs"] for model in models)
    assert "quantised" in done[5][1]


@pytest.mark.parametrize(
    ("extra", "lines"),
    [
        (
            "store",
            [
                ["scan", "demo.apk", "--store", "STORE"],
                ["scan", "s3://bucket/demo.apk"],
                ["query", "STORE", "select 1"],
                ["study", "STORE"],
                ["lineage", "s3://bucket/store"],
            ],
        ),
        ("report", [["report", "STORE"], ["plot", "STORE"], ["ui", "STORE"],
                    ["simulate", "--plot", "curve.svg"]]),
        ("select", [["recommend"], ["simulate", "--arrivals", "poisson:80"]]),
        (
            "serve",
            [
                ["links", "measure", "http://127.0.0.1:9"],
                ["load", "http://127.0.0.1:9", "--model", "m", "--input", "digits/heldout.npz",
                 "--seconds", "1"],
                ["serve", "digits/family.toml"],
                ["place", "digits/digits-s.tflite", "--link", "wifi"],
            ],
        ),
        ("serve,store", [["serve", "digits/family.toml", "--decisions", "STORE"]]),
        ("litert,onnx,serve,report", [["demo"]]),
    ],
)  # fmt: skip
def test_a_verb_names_the_extra_that_it_misses(
    extra: str, lines: list[list[str]], tmp_path: Path
) -> None:
    store = str(tmp_path / "store")
    given = [[store if word == "STORE" else word for word in line] for line in lines]
    for line, (status, out, err) in zip(lines, on_the_core(tmp_path, *given), strict=True):
        assert (status, out) == (1, ""), line
        assert err.startswith("edgewise: ") and err.count("\n") == 1, err
        assert "pip install" in err and f"[{extra}]'" in err, err
    assert not Path(store).exists(), "what cannot be filled is not made"


def test_the_core_is_slim() -> None:
    """What pip installs for `edgewise` alone, with the machine code and the bytecode."""
    named: set[str] = set()
    waiting = [*tomllib.loads(PROJECT.read_text())["project"]["dependencies"]]
    while waiting:
        required = Requirement(waiting.pop())
        wanted = required.marker is None or required.marker.evaluate({"extra": ""})
        if wanted and required.name not in named:
            named.add(required.name)
            waiting += metadata.distribution(required.name).requires or ()
    assert {"numba", "pyarrow", "duckdb", "vl-convert-python"}.isdisjoint(named)
    installed = [
        Path(str(file.locate()))
        for name in named
        for file in metadata.distribution(name).files or ()
    ]
    own = [path for path in DIGITS.parents[1].rglob("*") if "compiled-" not in str(path)]
    size = sum(path.stat().st_size for path in [*installed, *own] if path.is_file())
    assert size < 100 * 2**20


def test_all_is_every_extra_that_comes_in_wheels() -> None:
    stated = tomllib.loads(PROJECT.read_text())["project"]["optional-dependencies"]
    (everything,) = map(Requirement, stated["all"])
    assert everything.extras == set(stated) - {"all", "executorch", "llamacpp"}


def test_a_module_that_no_extra_brings_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(arguments: object) -> object:
        raise ModuleNotFoundError("no module", name="nowhere")

    monkeypatch.setattr("edgewise.cli.main.command_line", broken)
    with pytest.raises(ModuleNotFoundError):
        run(["scan", "x"])
