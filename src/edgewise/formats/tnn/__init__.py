"""TNN: the network as text (`.tnnproto`), its weights beside it (`.tnnmodel`).

`reader.py` parses both, `ops.py` translates layers into kinds.
"""

from __future__ import annotations

import re

from edgewise.archive import File
from edgewise.formats.contract import Level, Sibling
from edgewise.graph import Graph

NAME = "tnn"
EXTENSIONS = (".tnnproto", ".tnnmodel")
LEVEL: Level = "graph"
SIBLINGS = (Sibling(".tnnproto", ".tnnmodel"),)
LIMITS = {"layers": 100_000, "bytes of text": 64 << 20}
SOURCES = ("https://github.com/Tencent/TNN/blob/master/doc/en/user/convert_en.md",)
#: Numbers that files start with: 0xfabc0002 and 0xfabc0004.
MAGICS = (4206624770, 4206624772)
_TEXT = re.compile(rb'"?\d+ \d+ \d+ (?:4206624770|4206624772) ,"?\s')


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format`: the number stands in the first line, or first in the weights."""
    if _TEXT.match(head):
        return 0.95
    if head[:4] in tuple(magic.to_bytes(4, "little") for magic in MAGICS):
        return 0.8
    return 0.4 if name.lower().endswith(EXTENSIONS) else 0.0


def read(file: File) -> Graph:
    """See `contract.Format`, and `reader.read`."""
    from edgewise.formats.tnn import reader

    return reader.read(file)
