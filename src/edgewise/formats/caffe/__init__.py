"""Caffe: a network as text (`.prototxt`) and trained weights, with the network again, as protobuf
(`.caffemodel`), in today's layer messages and in the older ones (V1).

`schema.py` has the field numbers, `ops.py` translates layers into kinds.
"""

from __future__ import annotations

import re

from edgewise.archive import File
from edgewise.formats.contract import Level, Sibling
from edgewise.graph import Graph

NAME = "caffe"
EXTENSIONS = (".prototxt", ".caffemodel")
LEVEL: Level = "graph"
SIBLINGS = (Sibling(".prototxt", ".caffemodel"),)
LIMITS = {"bytes of text": 64 << 20, "protobuf fields": 4_000_000, "dimensions of a tensor": 64}
SOURCES = (
    "https://github.com/BVLC/caffe/blob/master/src/caffe/proto/caffe.proto",
    "https://github.com/weiliu89/caffe/blob/ssd/src/caffe/proto/caffe.proto",
)
_TEXT = re.compile(
    rb"(?:[ \t\r\n]|#[^\n]*\n|name[ \t]*:|\"[^\"\n]*\"|'[^'\n]*'|input(?:_dim|_shape)?\b[^\n]*\n"
    rb"|dim[ \t]*:[^\n]*\n|\})*layers?[ \t]*:?[ \t\r\n]*\{"
)


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format`. Text whose first field is a layer, or a message that starts so."""
    if _TEXT.match(head) and (b"type" in head or b"bottom" in head or b"top" in head):
        return 0.8
    if _binary(head):
        return 0.75
    return 0.4 if name.lower().endswith(EXTENSIONS) else 0.0


def _binary(head: bytes) -> bool:
    """A name, then a layer: field 100 with a name and a type, or field 2 (V1)."""
    at = 0
    if head[:1] == b"\n" and len(head) > 1 and head[1] < 0x80:
        at = 2 + head[1]
    if head[at : at + 2] == b"\xa2\x06":
        return b"\x12" in head[at + 2 : at + 80] and _has_type(head[at:])
    return False


def _has_type(part: bytes) -> bool:
    names = (b"Data", b"Input", b"Convolution", b"InnerProduct", b"Split", b"Python")
    return any(word in part[:160] for word in names)


def read(file: File) -> Graph:
    """See `contract.Format`, and `reader.read`."""
    from edgewise.formats.caffe import reader

    return reader.read(file)
