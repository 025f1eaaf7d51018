"""Formats that are known to exist but have no reader here yet (`unread.toml`)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import NamedTuple


class _Unread(NamedTuple):
    name: str
    endings: tuple[str, ...]
    contains: tuple[bytes, ...]
    magic: bytes
    magic_at: int


class _Table(NamedTuple):
    formats: tuple[_Unread, ...]
    endings: tuple[str, ...]
    magics: tuple[tuple[int, tuple[bytes, ...]], ...]


def unread_format(head: bytes | None, path: str) -> str | None:
    """The name of the format that a file is in by its path or first bytes, if it is one of these.

    `path` may be only a name; folders count where a format is a folder (`x.mlmodelc/…`). Without a
    head (None could be read) the path alone decides.
    """
    lower = path.lower()
    table = _table()
    if not (lower.endswith(table.endings) or _has_magic(table, head or b"")):
        return None  # almost every entry of an app: decided without a loop
    for known in table.formats:
        if known.magic and (head or b"").startswith(known.magic, known.magic_at):
            return known.name
        if lower.endswith(known.endings) and _fits(known, head):
            return known.name
    return None


def no_reader(name: str) -> str:
    """Why a file of the format `name` is not examined."""
    return f"no reader for the format {name} yet"


def _has_magic(table: _Table, head: bytes) -> bool:
    return any(head.startswith(magics, at) for at, magics in table.magics)


def _fits(known: _Unread, head: bytes | None) -> bool:
    return head is None or not known.contains or any(text in head for text in known.contains)


@cache
def _table() -> _Table:
    import tomllib

    text = Path(__file__).with_name("unread.toml").read_text(encoding="utf-8")
    formats = tuple(
        _Unread(
            name=row["name"],
            endings=tuple(row["endings"]),
            contains=tuple(part.encode() for part in row.get("contains", ())),
            magic=row.get("magic", "").encode(),
            magic_at=row.get("magic_at", 0),
        )
        for row in tomllib.loads(text)["format"]
    )
    places = sorted({known.magic_at for known in formats if known.magic})
    return _Table(
        formats,
        tuple(ending for known in formats for ending in known.endings),
        tuple(
            (at, tuple(k.magic for k in formats if k.magic and k.magic_at == at)) for at in places
        ),
    )
