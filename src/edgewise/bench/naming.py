"""Which class a word stands for: by the lines of a label file, in the forms that people write.

A line is a name (`tench`), a number, a synset with its synonyms (`n01440764 tench, Tinca tinca`),
or a name behind its index (`0: tench`). Data calls a class by any of these, or by its index.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from edgewise.errors import InputError

_SYNSET = re.compile(r"(n\d{8})\b[\s,:]*(.*)")
_NUMBERED = re.compile(r"(\d+)(?:\s*[:,;=]\s*|\s+)(\S.*)")


class Classes:
    """Indices of classes by what they are called."""

    def __init__(self, lines: Sequence[str]) -> None:
        """`lines` of a label file; of two alike the first counts."""
        self._count = len(lines)
        self._exact: dict[str, int] = {}
        self._loose: dict[str, set[int]] = {}
        numbered = [_NUMBERED.fullmatch(line) for line in lines]
        in_order = all(found and int(found[1]) == i for i, found in enumerate(numbered))
        for index, line in enumerate(lines):
            index = self._exact.setdefault(line, index)
            for form in _forms(line, in_order=in_order):
                self._loose.setdefault(_plain(form), set()).add(index)

    def find(self, word: str) -> int | None:
        """The index of the class that is called so, None: there is none.

        Raises:
            InputError: there are several.
        """
        if word in self._exact:
            return self._exact[word]
        found = self._loose.get(_plain(word), set())
        if len(found) > 1:
            raise InputError(
                f"'{word}' may be label {', '.join(map(str, sorted(found)[:3]))}",
                hint="call it by its whole line, or by its index",
            )
        if found:
            return next(iter(found))
        return int(word) if word.isdecimal() and int(word) < self._count else None


def _forms(line: str, *, in_order: bool) -> Iterator[str]:
    """What a line's class may be called beside the line. `in_order`: all lines begin with their
    index, which is no part of a name."""
    yield line
    if line.isdecimal():
        yield str(int(line))
    if in_order and (numbered := _NUMBERED.fullmatch(line)):
        line = numbered[2]
        yield line
    if synset := _SYNSET.fullmatch(line):
        yield synset[1]
        line = synset[2]
        yield line
    yield from (name for name in map(str.strip, line.split(",")) if name)


def _plain(word: str) -> str:
    """Without what folders' names cannot hold or people write otherwise."""
    text = re.sub(r"[\s_-]+", " ", word).strip().casefold()
    return str(int(text)) if text.isdecimal() else text
