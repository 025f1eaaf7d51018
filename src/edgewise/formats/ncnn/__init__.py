"""ncnn: a text or binary `.param` with the layers, a `.bin` with the weights in the same order.

`params.py` parses both forms of the layer list, `binfile.py` the weights, `ops.py` translates
layers into kinds. The text form of pnnx, which starts with the same number, is a format of its own.
"""

from __future__ import annotations

from edgewise.archive import File
from edgewise.formats.contract import Level, Sibling
from edgewise.graph import Graph

NAME = "ncnn"
EXTENSIONS = (".param", ".param.bin")
LEVEL: Level = "graph"
SIBLINGS = (Sibling(".param.bin", ".bin"), Sibling(".param", ".bin"))
LIMITS = {"dimensions of a tensor": 64}
SOURCES = ("https://github.com/Tencent/ncnn/wiki/param-and-model-file-structure",)
#: The number that both forms start with.
MAGIC = 7767517
_TEXT = b"7767517"
_BINARY = MAGIC.to_bytes(4, "little")


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format`. Text needs the number in a line of its own, and two counts."""
    lower = name.lower()
    if head.startswith(_BINARY):
        return 0.9
    if head.lstrip().startswith(_TEXT):
        lines = head.split(b"\n", 2)
        counts = lines[1].split() if len(lines) > 1 else []
        if lines[0].strip() == _TEXT and len(counts) == 2 and all(c.isdigit() for c in counts):
            return 0.9
    return 0.3 if lower.endswith(EXTENSIONS) else 0.0


def read(file: File) -> Graph:
    """See `contract.Format`, and `reader.read`."""
    from edgewise.formats.ncnn import reader

    return reader.read(file)
