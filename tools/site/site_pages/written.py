"""Markdown that is made: tables, links, and text that must not be read as Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

#: What a sentence of a docstring or a help text may hold that Markdown or HTML would take for its own.
_SIGNS = str.maketrans({"<": "&lt;", ">": "&gt;", "*": "\\*", "_": "\\_", "[": "\\[", "|": "\\|"})
_CODE = re.compile(r"(`[^`]+`)")
_URL = re.compile(r"https?://[^\s<>()\"',;]*[\w/#=]")


def text(words: str) -> str:
    """Words as they stand, on one line: what is in backticks stays code, in `**` bold; URLs are links."""
    parts = _CODE.split(" ".join(words.split()))
    return "".join(part.replace("|", "\\|") if part[:1] == "`" else _linked(part) for part in parts)


def _linked(part: str) -> str:
    found, at = "", 0
    for each in _URL.finditer(part):
        found += part[at : each.start()].translate(_SIGNS) + f"<{each.group()}>"
        at = each.end()
    return (found + part[at:].translate(_SIGNS)).replace("\\*\\*", "**")


def code(word: object) -> str:
    """A name or a value, as code in a table's cell."""
    return f"`{str(word).replace('|', '&#124;')}`" if "|" not in str(word) else _raw(str(word))


def _raw(word: str) -> str:
    """Code with a bar in it, which would end a table's cell."""
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("|", "&#124;")):
        word = word.replace(sign, entity)
    return f"<code>{word}</code>"


def codes(words: Iterable[object], none: str = "–") -> str:
    """Several of them, with commas."""
    return ", ".join(code(word) for word in words) or none


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; its cells are Markdown."""
    lines = [f"| {' | '.join(head)} |", f"|{'|'.join('---' for _ in head)}|"]
    lines += [f"| {' | '.join(cell.replace(chr(10), ' ') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def page(title: str, *parts: str) -> str:
    """A page of these parts."""
    return "\n\n".join([f"# {title}", *(part.strip() for part in parts if part.strip())]) + "\n"


def paragraphs(doc: str) -> str:
    """A docstring as Markdown: its paragraphs and lists stay apart, code blocks stay code."""
    import inspect

    found = []
    for block in re.split(r"\n\s*\n", inspect.cleandoc(doc)):
        items = re.split(r"^- ", block, flags=re.M)
        if len(items) > 1:
            lead = [text(items[0])] if items[0].strip() else []
            found += [*lead, "\n".join(f"- {text(item)}" for item in items[1:])]
        elif block.startswith("    "):
            found.append(block)
        else:
            found.append(text(block))
    return "\n\n".join(found)
