"""MNN: a flatbuffer without an identifier; large weights may lie in a file beside it.

`schema.py` has the format's numbers, `weights.py` finds stored values in their many forms, `ops.py`
translates operators into kinds.
"""

from __future__ import annotations

from struct import error, unpack_from

from edgewise.archive import File
from edgewise.formats.contract import Level, Sibling
from edgewise.graph import Graph

NAME = "mnn"
EXTENSIONS = (".mnn",)
LEVEL: Level = "graph"
SIBLINGS = (Sibling(".mnn", ".mnn.weight"),)
LIMITS = {"tables and elements of the flatbuffer": 12_000_000, "subgraphs": 4096}
SOURCES = ("https://github.com/alibaba/MNN/tree/master/schema/default",)
#: Slots of a network's table: those that every network has, and how many there may be.
_ALWAYS = (3, 7)
_SLOTS = range(8, 16)


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format`. There is no identifier: the layout of the first table has to fit."""
    if _fits(head):
        return 0.7
    return 0.4 if name.lower().endswith(EXTENSIONS) else 0.0


def _fits(head: bytes) -> bool:
    """Whether a root table as MNN writes it stands at the start, with operators and names."""
    try:
        (root,) = unpack_from("<I", head)
        (back,) = unpack_from("<i", head, root)
        layout = root - back
        if not (4 <= layout < root <= 256) or root % 4 or layout % 2:
            return False
        size, table = unpack_from("<HH", head, layout)
        if size % 2 or size // 2 - 2 not in _SLOTS or not 12 <= table <= 64:
            return False
        fields = unpack_from(f"<{size // 2 - 2}H", head, layout + 4)
        if not all(fields[slot] for slot in _ALWAYS) or (fields[1] and not fields[3]):
            return False
        offsets = [one for one in fields if one]
        if len(set(offsets)) != len(offsets) or not all(4 <= one < table for one in offsets):
            return False
        # Operators and names are vectors behind the table: an offset that small is none.
        return all(unpack_from("<I", head, root + fields[slot])[0] >= 4 for slot in _ALWAYS)
    except error:
        return False


def read(file: File) -> Graph:
    """See `contract.Format`, and `reader.read`."""
    from edgewise.formats.mnn import reader

    return reader.read(file)
