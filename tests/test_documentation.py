"""What README and docs show works as it stands: every command line parses, the README's run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

from edgewise.cli.main import VERBS, command_line

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])
DATA = ROOT / "src" / "edgewise" / "demo" / "data"
_FILES = {".apk", ".tflite", ".onnx", ".npz", ".toml", ".csv", ".png"}
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.M | re.S)
#: What stands for something of a user's own.
_PLACEHOLDER = re.compile(r"…|\.\.\.|<\w+>")


def commands(page: Path) -> Iterator[str]:
    """Command lines of `edgewise` in the blocks of a page, continued lines joined."""
    for kind, block in _BLOCK.findall(page.read_text(encoding="utf-8")):
        if kind not in ("", "console", "sh", "bash", "shell"):
            continue
        joined = block.replace("\\\n", " ")
        for line in joined.splitlines():
            text = line.removeprefix("$ ").strip()
            if text.startswith("edgewise ") and not _PLACEHOLDER.search(text):
                yield text


def words(line: str) -> list[str]:
    return shlex.split(line.partition(" >")[0].removesuffix("&"), comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_line_is_one(page: Path) -> None:
    for line in commands(page):
        _, verb, *rest = words(line)
        assert verb in VERBS or verb.startswith("-"), line
        if verb in VERBS:
            group = typer.main.get_group(command_line([verb]))
            try:
                group.commands[verb].make_context(verb, rest)
            except typer.Exit:
                pass  # --help
            except Exception as error:
                raise AssertionError(f"{page.name}: {line}: {error}") from error


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_page_that_is_linked_is_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links {target}"


#: Files of commands in the docs that only a user can have, or that a command before has made.
_OWN = {"samples.csv", "answers.csv"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_a_command_names_ships(page: Path) -> None:
    for line in commands(page):
        for word in words(line)[2:]:
            name = word.partition("!/")[0]
            if Path(name).suffix in _FILES and name not in _OWN:
                assert (DATA / name).exists(), line


def test_the_floors_are_those_of_the_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    floors = project["tool"]["importlinter"]["contracts"][0]["layers"]
    contract = [sorted(re.findall(r"\w+", floor)) for floor in floors]
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| \d+ \| ([^|]+) \|", page, re.M)
    assert [sorted(re.findall(r"`(\w+)`", row)) for row in rows] == contract


def test_diffs_of_contributing_are_in_the_code() -> None:
    """What they show as it is now; `…` stands for what is left out."""
    blocks = [text for kind, text in _BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text("utf-8"))
              if kind == "diff"]  # fmt: skip
    assert len(blocks) >= 8
    for block in blocks:
        there: set[str] = set()
        for line in block.splitlines():
            if line.startswith("+++ b/"):
                code = (ROOT / line.removeprefix("+++ b/")).read_text(encoding="utf-8")
                there = {each.strip() for each in code.splitlines()} | {"", "…"}
            else:
                assert line[1:].strip() in there, line


def test_the_tour_runs_as_it_stands(tmp_path: Path) -> None:
    """Every command of the README in order, in a copy of the demo's data, as a user would."""
    pytest.importorskip("ai_edge_litert")
    pytest.importorskip("uvicorn")
    data = tmp_path / "data"
    shutil.copytree(DATA, data)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    served = None
    try:
        for line in commands(ROOT / "README.md"):
            given = [word.replace(":8080", f":{port}") for word in words(line)[1:]]
            if "URL" in given or "STORE" in given:
                continue
            command = [sys.executable, "-m", "edgewise", *given]
            if given[0] == "serve":
                served = subprocess.Popen([*command, "--port", str(port)], cwd=data,
                                          stdout=subprocess.DEVNULL)  # fmt: skip
                continue
            if given[0] == "load":
                given[given.index("--seconds") + 1] = "1"
                given[given.index("--wait") + 1] = "300"  # a first start compiles
                command = [sys.executable, "-m", "edgewise", *given]
            done = subprocess.run(command, cwd=data, capture_output=True, text=True, timeout=400)
            assert done.returncode == 0, f"{line}: {done.stderr}"
            assert done.stdout or done.stderr
        assert served is not None and served.poll() is None
    finally:
        if served is not None:
            os.kill(served.pid, signal.SIGTERM)
            served.wait(120)
