"""Core ML: what `formats.registry` asks of a format.

Specifications (`.mlmodel`, alone or in a package, which may be zipped) and compiled models
(`.mlmodelc`: `model.mil`, or `model.espresso.net` of older ones). `spec.py` has the messages and
their field numbers, as data; `mil.py`, `miltext.py` and `program.py` read programs; `neural.py` and
`layers.py` networks of layers; `espresso.py` compiled ones; `blob.py` finds weights.
"""

from __future__ import annotations

from edgewise.archive import File
from edgewise.formats.contract import Level, Sibling
from edgewise.graph import Graph

NAME = "coreml"
EXTENSIONS = (".mlmodel", ".mlpackage.zip", ".mlmodelc.zip", ".espresso.net", ".mil")
LEVEL: Level = "graph"
SIBLINGS = (
    Sibling("", "weights/weight.bin"), Sibling(".espresso.net", ".espresso.shape", "shapes"),
    Sibling(".espresso.net", ".espresso.weights"),
)  # fmt: skip
LIMITS = {"fields": 4_000_000, "bytes of text": 64 << 20}
SOURCES = (
    "https://apple.github.io/coremltools/mlmodel/index.html",
    "https://apple.github.io/coremltools/source/coremltools.converters.mil.mil.ops.defs.html",
)
_FIRST_TAG = 0x08
_SECOND_TAG = 0x12
#: Specification versions that exist, with room.
_VERSIONS = range(1, 20)


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format.recognise`."""
    lower = name.lower()
    if head.startswith(b"PK\x03\x04"):
        entry = head[30 : 30 + int.from_bytes(head[26:28], "little")]
        return 0.9 if b".mlpackage/" in entry or b".mlmodelc/" in entry else 0.0
    if head.startswith(b"program(") and b"func " in head[:512] + b"func ":
        return 0.8 if lower.endswith(".mil") or b"buildInfo" in head else 0.0
    if head.lstrip()[:1] == b"{" and (
        b'"format_version"' in head or lower.endswith(".espresso.net")
    ):
        return 0.8 if b'"layers"' in head or lower.endswith(".espresso.net") else 0.0
    return _specification(head, lower)


def _specification(head: bytes, lower: str) -> float:
    """A version, then a description whose first field is a named feature."""
    if len(head) > 8 and head[0] == _FIRST_TAG and head[1] in _VERSIONS and head[2] == _SECOND_TAG:
        at = 3
        while at < len(head) and head[at] & 0x80:
            at += 1
        inner = head[at + 1 : at + 3]
        # The description begins with an input (1), a function (20) or metadata (100).
        if inner[:1] == b"\x0a" or inner == b"\xa2\x01" or inner == b"\xa2\x06" or not inner:
            named = b"\x0a" in head[at + 2 : at + 5] or inner != b"\x0a"
            return 0.8 if lower.endswith(".mlmodel") else 0.6 if named else 0.0
    return 0.4 if lower.endswith(".mlmodel") else 0.0


def read(file: File) -> Graph:
    """See `contract.Format.read`, and `reader.read`."""
    from edgewise.formats.coreml import reader

    return reader.read(file)
