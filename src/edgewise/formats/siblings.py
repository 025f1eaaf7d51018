"""The files that belong to a model: found beside it, also where an app renamed them, or missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile
from operator import eq

from edgewise.archive import File
from edgewise.errors import InputError
from edgewise.formats.contract import Sibling
from edgewise.graph import Weights

#: Files beside a model that are looked into where no name tells which belongs to it.
_LOOKED_INTO = 64


def find(
    file: File, patterns: tuple[Sibling, ...], fits: Callable[[File], bool] | None = None
) -> File | None:
    """The file beside a model that one of `patterns` names.

    Tried in turn: the names that the patterns say; the same names where an app gave all files
    another ending (`net.param.mp3`, `net.bin.mp3`) or made one word of it (`net_param`,
    `net_bin`); and, with `fits`, what else lies there, the most similar name first.

    Args:
        file: the model.
        patterns: as its format declares them.
        fits: whether a file can be the one, by its size or first bytes. Asked of every file, in
            particular of those that only lie beside the model.
    """
    for name in _names(file.name, patterns):
        other = file.sibling(name)
        if other is not None and (fits is None or fits(other)):
            return other
    if fits is None:
        return None
    names = sorted(file.siblings(), key=lambda name: (-_likeness(name, file.name), name))
    for name in names[:_LOOKED_INTO]:
        other = file.sibling(name)
        if other is not None and fits(other):
            return other
    return None


def expected(file: File, patterns: tuple[Sibling, ...]) -> str:
    """The name by which a companion that is missing would be found."""
    return next(_names(file.name, patterns), patterns[0].other)


def stored(other: File | None, name: str, start: int, nbytes: int) -> Weights:
    """Weights that lie in a companion from byte `start` on.

    Where it is missing (`other` is None) or too short, `load` raises `InputError` and says so.
    """
    return Weights(nbytes, partial(_load, other, name, start, nbytes))


def _load(other: File | None, name: str, start: int, nbytes: int) -> memoryview:
    if other is None:
        raise InputError(f"weights in {name!r} are missing", hint="put it beside the model file")
    data = other.data()
    if start + nbytes > len(data):
        raise InputError(f"{other.path}: ends before byte {start + nbytes:,} of the weights")
    return data[start : start + nbytes]


def _names(name: str, patterns: tuple[Sibling, ...]) -> Iterator[str]:
    """Names that the companion may have, the likeliest first."""
    lower = name.lower()
    for ending, other, _ in patterns:
        if not ending:
            yield other
        elif lower.endswith(ending):
            yield name[: len(name) - len(ending)] + other
    for ending, other, _ in patterns:
        word, its = ending.strip("."), other.strip(".")
        for at in reversed([found.start() for found in re.finditer(re.escape(word), lower)]):
            if word:
                yield name[:at] + its + name[at + len(word) :]


def _likeness(one: str, other: str) -> int:
    """How many letters two names share at their beginning and at their end."""
    start = _common(one, other)
    return start + _common(one[start:][::-1], other[start:][::-1])


def _common(one: str, other: str) -> int:
    return sum(takewhile(bool, map(eq, one, other)))
