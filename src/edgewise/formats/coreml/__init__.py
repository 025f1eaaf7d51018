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
    """A version, then a description that begins with an input: a feature with name and type."""
    named = 0.4 if lower.endswith(".mlmodel") else 0.0
    if len(head) < 16 or head[0] != _FIRST_TAG or head[1] not in _VERSIONS:
        return named
    if head[2] != _SECOND_TAG:
        return named
    at = _behind_length(head, 3)
    if head[at : at + 2] in (b"\xa2\x01", b"\xa2\x06"):  # functions, or metadata alone
        return 0.85
    if head[at : at + 1] != b"\x0a":
        return named
    at = _behind_length(head, at + 1)  # the feature: its name, then its description or type
    if head[at : at + 1] != b"\x0a" or at + 1 >= len(head):
        return named
    after = at + 2 + head[at + 1]
    return 0.9 if head[after : after + 1] in (b"\x12", b"\x1a") or after >= len(head) else named


def _behind_length(head: bytes, at: int) -> int:
    while at < len(head) and head[at] & 0x80:
        at += 1
    return at + 1


def read(file: File) -> Graph:
    """See `contract.Format.read`, and `reader.read`."""
    from edgewise.formats.coreml import reader

    return reader.read(file)
