"""What README and docs show works as it stands: every command line parses, the README's run."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import typer

from doc_blocks import DATA, PAGES, ROOT, VARY, blocks, commands, differs, words
from doc_blocks import name as page_name
from edgewise.cli.main import VERBS, command_line

_FILES = {".apk", ".tflite", ".onnx", ".npz", ".toml", ".csv", ".png"}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_command_line_is_one(page: Path) -> None:
    for line in (each.line for each in commands(page)):
        _, verb, *rest = words(line)
        assert verb in VERBS or verb.startswith("-"), line
        if verb in VERBS:
            group = typer.main.get_group(command_line([verb]))
            try:
                group.commands[verb].make_context(verb, rest)
            except typer.Exit:
                pass  # --help
            except Exception as error:
                raise AssertionError(f"{page_name(page)}: {line}: {error}") from error


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_page_that_is_linked_is_there(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name} links {target}"


#: Files of commands in the docs that only a user can have, or that a command before has made.
_OWN = {"samples.csv", "answers.csv", "mine.toml"}


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_every_file_that_a_command_names_ships(page: Path) -> None:
    own = _OWN | {block.file for block in blocks(page)}
    for line in (each.line for each in commands(page)):
        for word in words(line)[2:]:
            name = word.partition("!/")[0]
            if Path(name).suffix in _FILES and name not in own:
                assert (DATA / name).exists(), line


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_lists_are_lists_wherever_the_page_is_read(page: Path) -> None:
    """MkDocs wants an empty line before a list, and no number where a wrapped line begins."""
    text = re.sub(r"^( *)```.*?^\1```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    before = ""
    for line in text.splitlines():
        starts = re.match(r"( {0,3})(?:[-*]|[0-9]+[.]) ", line)
        if starts and before.strip() and not re.match(r" *(?:[-*]|[0-9]+[.]) | +", before):
            raise AssertionError(f"no empty line before {line!r}")
        assert not starts or not starts[1], f"a list of its own: {line!r}"
        before = line


def test_the_floors_are_those_of_the_contract() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    floors = project["tool"]["importlinter"]["contracts"][0]["layers"]
    contract = [sorted(re.findall(r"\w+", floor)) for floor in floors]
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rows = re.findall(r"^\| \d+ \| ([^|]+) \|", page, re.M)
    assert [sorted(re.findall(r"`(\w+)`", row)) for row in rows] == contract


def test_diffs_are_in_the_code() -> None:
    """What they show as it is now; `…` stands for what is left out."""
    shown = [block for page in PAGES for block in blocks(page) if block.kind == "diff"]
    assert len(shown) >= 8
    for block in shown:
        there: set[str] = set()
        for line in block.text.splitlines():
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
        for each in commands(ROOT / "README.md"):
            line = each.line
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
            done = subprocess.run(
                command, cwd=data, capture_output=True, text=True, timeout=400,
                env=os.environ | {"COLUMNS": "100"},
            )  # fmt: skip
            assert done.returncode == 0, f"{line}: {done.stderr}"
            assert done.stdout or done.stderr
            if each.shown and each.title != VARY:
                assert differs(each.shown, done.stdout) is None, line
        assert served is not None and served.poll() is None
        for block in blocks(ROOT / "README.md"):
            if block.kind == "python":
                code = block.text.replace(":8080", f":{port}")
                done = subprocess.run([sys.executable, "-c", code], cwd=data, capture_output=True,
                                      text=True, timeout=100)  # fmt: skip
                assert done.returncode == 0 and done.stdout.startswith("7 "), done.stderr
    finally:
        if served is not None:
            os.kill(served.pid, signal.SIGTERM)
            served.wait(120)
