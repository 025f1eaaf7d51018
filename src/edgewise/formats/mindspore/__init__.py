"""MindSpore Lite models (`.ms`): what `formats.registry` asks of a format.

`reader.py` takes the flatbuffer apart, `ops.py` says what its primitives mean.
"""

from __future__ import annotations

from edgewise.archive import File
from edgewise.formats.contract import Level, Sibling
from edgewise.graph import Graph

NAME = "mindspore"
EXTENSIONS = (".ms",)
LEVEL: Level = "graph"
SIBLINGS: tuple[Sibling, ...] = ()
LIMITS = {"layers and tensors": 600_000}
SOURCES = (
    "https://github.com/mindspore-ai/mindspore-lite/blob/master/mindspore-lite/schema/model.fbs",
    "https://github.com/mindspore-ai/mindspore-lite/blob/master/mindspore-lite/schema/ops.fbs",
)


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format.recognise`. Files of before 1.1 have no identifier."""
    if head[4:7] == b"MSL" and head[7:8].isdigit():
        return 0.9
    return 0.4 if name.lower().endswith(EXTENSIONS) else 0.0


def read(file: File) -> Graph:
    """See `contract.Format.read`, and `reader.read`."""
    from edgewise.formats.mindspore import reader

    return reader.read(file)
