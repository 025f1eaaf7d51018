"""The blocks of code in README and docs, and the commands in them with what they print."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "src" / "edgewise" / "demo" / "data"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
_BLOCK = re.compile(r"^( *)```(\w*)(?: title=\"([^\"]*)\")?\n(.*?)^\1```", re.M | re.S)
_SHELLS = ("", "console", "sh", "bash", "shell")
#: What stands for something of a user's own.
_PLACEHOLDER = re.compile(r"…|\.\.\.|<\w+>")
#: A title that says that figures are other ones everywhere, and one that says what a test lacks.
VARY, NEEDS = "figures vary", "needs "


class Block(NamedTuple):
    """A fenced block: its language, its title (empty: none), what is in it."""

    kind: str
    title: str
    text: str

    @property
    def file(self) -> str | None:
        """The name of the file that the block shows, None where it is none."""
        return self.title if Path(self.title).suffix and " " not in self.title else None


@dataclass
class Command:
    """A command line, and the lines below it that show what it prints."""

    line: str
    title: str
    shown: list[str] = field(default_factory=list)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path) -> Iterator[Block]:
    for _, kind, title, text in _BLOCK.findall(page.read_text(encoding="utf-8")):
        yield Block(kind, title, text)


def in_block(block: Block) -> list[Command]:
    """The commands of a block: lines after `$`, or all lines where there is no `$`; joined where
    they are continued."""
    if block.kind not in _SHELLS:
        return []
    lines = block.text.replace("\\\n", " ").splitlines()
    marked = any(line.startswith("$ ") for line in lines)
    found: list[Command] = []
    for line in lines:
        if line.startswith("$ ") or not marked:
            found.append(Command(re.sub(r" +", " ", line.removeprefix("$ ")).strip(), block.title))
        else:
            found[-1].shown.append(line.rstrip())
    return found


def commands(page: Path) -> Iterator[Command]:
    """The lines of `edgewise` on a page that name no placeholder."""
    for block in blocks(page):
        for each in in_block(block):
            if each.line.startswith("edgewise ") and not _PLACEHOLDER.search(each.line):
                yield each


def words(line: str) -> list[str]:
    return shlex.split(re.split(r" >", line)[0].removesuffix("&"), comments=True)


def differs(shown: list[str], printed: str) -> str | None:
    """Where what was printed is not what is shown, None where it is. `…` stands for any lines."""
    lines = [line.rstrip() for line in printed.rstrip().splitlines()]
    at, anywhere = 0, False
    for line in shown:
        if line == "…":
            anywhere = True
            continue
        there = lines.index(line, at) if anywhere and line in lines[at:] else at
        if there >= len(lines) or lines[there] != line:
            return f"shown: {line!r}; printed: {lines[at : at + 3]}"
        at, anywhere = there + 1, False
    return None if anywhere or at == len(lines) else f"not shown: {lines[at]!r}"
