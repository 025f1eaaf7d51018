"""What the pages show happens: commands and Python run in a copy of the demo's data, in order, and
print what is shown. Titles of blocks say what is left out (CONTRIBUTING.md, “Documentation”)."""

from __future__ import annotations

import asyncio
import inspect
import shutil
from ast import PyCF_ALLOW_TOP_LEVEL_AWAIT
from pathlib import Path
from typing import Any

import pytest

from doc_blocks import (
    DATA,
    NEEDS,
    PAGES,
    ROOT,
    VARY,
    Block,
    blocks,
    commands,
    differs,
    in_block,
    words,
)
from doc_blocks import name as page_name
from edgewise.cli.main import run
from edgewise.store import Store

README = ROOT / "README.md"
#: The tour of the README is run by `test_documentation.py`, each command in a process of its own.
IN_TOUR = {each.line for each in commands(README)}
#: Verbs that run until they are told to end.
_ENDLESS = {"serve", "ui"}
#: Pages with something to run; `test_api.py` runs that of the Python interface.
RUN = [
    page for page in PAGES
    if page not in (README, ROOT / "docs" / "python.md")
    and any(block.kind in ("python", "sql") or in_block(block) for block in blocks(page))
]  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_titles_say_what_they_may(page: Path) -> None:
    for block in blocks(page):
        known = not block.title or block.file or block.title == VARY
        assert known or block.title.startswith(NEEDS), f"{page_name(page)}: {block.title!r}"


@pytest.mark.parametrize("page", RUN, ids=page_name)
def test_a_page_runs(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "data"
    shutil.copytree(DATA, data)
    monkeypatch.chdir(data)
    monkeypatch.setenv("COLUMNS", "100")
    names: dict[str, Any] = {"__name__": "example"}
    for block in blocks(page):
        if block.file is not None:
            (data / block.file).write_text(block.text, encoding="utf-8")
        elif block.kind == "sql":
            for statement in block.text.split(";"):
                list(Store.open("asked", create=True).query(statement))
        elif block.kind == "python":
            _run_python(page, block, names)
            capsys.readouterr()
        elif not block.title.startswith(NEEDS):
            _run_commands(page, block, capsys)


def _run_python(page: Path, block: Block, names: dict[str, Any]) -> None:
    """What needs something is compiled alone."""
    code = compile(block.text, page_name(page), "exec", flags=PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if block.title.startswith(NEEDS):
        return
    done = eval(code, names)
    if inspect.iscoroutine(done):
        asyncio.run(done)


def _run_commands(page: Path, block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    status = 0
    for command in in_block(block):
        if command.line == "echo $?":
            assert command.shown == [str(status)]
            status = 0
            continue
        assert status == 0, f"{page_name(page)}: ends with {status}, and does not say so"
        if not command.line.startswith("edgewise ") or command.line in IN_TOUR:
            continue
        assert words(command.line)[1] not in _ENDLESS, (
            f"{command.line}: the title says what it needs"
        )
        status = run(words(command.line)[1:])
        said = capsys.readouterr()
        where = f"{page_name(page)}: {command.line}: {said.err[:500]}"
        if command.title == VARY:
            first = said.out.splitlines()[0].split()
            assert not command.shown or command.shown[0].split() == first, where
        elif command.shown:
            different = differs(command.shown, said.out)
            assert different is None, f"{where}\n{different}"
    assert status == 0, f"{page_name(page)}: ends with {status}, and does not say so"
