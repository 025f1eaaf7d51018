"""pnnx: ncnn's text form with torch's operators, shapes of all values, and weights in a zip.

Each line is a layer as in ncnn's text, then `key=value`, `@attribute=(shape)type`,
`$argument=value` and `#value=(shape)type`. (https://github.com/pnnx/pnnx)
"""

from __future__ import annotations

from edgewise.archive import File
from edgewise.formats.contract import Level, Sibling
from edgewise.graph import Graph

NAME = "pnnx"
EXTENSIONS = (".pnnx.param",)
LEVEL: Level = "graph"
SIBLINGS = (Sibling(".pnnx.param", ".pnnx.bin"), Sibling(".param", ".bin"))
LIMITS = {"dimensions of a tensor": 64}
SOURCES = ("https://github.com/pnnx/pnnx",)
_FIRST = b"7767517"


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format`: ncnn's first line, and a layer that only pnnx has behind it."""
    if head.lstrip().startswith(_FIRST) and b"\npnnx." in head:
        return 0.95
    return 0.35 if name.lower().endswith(EXTENSIONS) else 0.0


def read(file: File) -> Graph:
    """See `contract.Format`, and `reader.read`."""
    from edgewise.formats.pnnx import reader

    return reader.read(file)
