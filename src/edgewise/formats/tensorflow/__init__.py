"""TensorFlow: frozen GraphDefs (binary and text) and SavedModels.

`schema.py` has the field numbers, `nodes.py` a node with its attributes, `graphs.py` orders nodes
and follows functions, `frames.py` turns the older loops into bodies, `bundle.py` finds variables,
and `ops.py` translates operators into kinds.
"""

from __future__ import annotations

import re

from edgewise.archive import File
from edgewise.formats.contract import Level, Sibling
from edgewise.graph import Graph

NAME = "tensorflow"
EXTENSIONS = (".pb", ".pbtxt")
LEVEL: Level = "graph"
SIBLINGS = (
    Sibling("", "variables/variables.index", holds="where variables are"),
    Sibling("", "variables/variables.data-00000-of-00001"),
)
LIMITS = {"nodes": 400_000, "protobuf fields": 4_000_000, "bytes of text": 64 << 20}
SOURCES = (
    "https://github.com/tensorflow/tensorflow/tree/master/tensorflow/core/framework",
    "https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/protobuf/meta_graph.proto",
)
_TEXT = re.compile(rb"(?:\s|#[^\n]*\n)*node\s*:?\s*\{\s*(?:name|op)\s*:")
_WORD = re.compile(rb"[A-Za-z0-9_.\\/>-]+\Z")
_OPERATOR = re.compile(rb"_?[A-Z][A-Za-z0-9_]*\Z")


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format`: a first node with a name and an operator, or a SavedModel's start."""
    if _starts_with_node(head) or _starts_as_saved(head):
        return 0.8
    if _TEXT.match(head):
        return 0.75
    lower = name.lower()
    if lower == "saved_model.pb":
        return 0.45
    return 0.2 if lower.endswith(".pb") and b"Placeholder" in head else 0.0


def _starts_with_node(head: bytes) -> bool:
    """Field 1: a message whose own first fields are a name (1) and an operator (2)."""
    if head[:1] != b"\n" or len(head) < 8:
        return False
    start = _after_varint(head, 1)
    length, at = _text(head, start, 1)
    if not length or not _WORD.match(head[at : at + length]):
        return False
    of_op, op_at = _text(head, at + length, 2)
    return bool(of_op) and _OPERATOR.match(head[op_at : op_at + of_op]) is not None


def _starts_as_saved(head: bytes) -> bool:
    """Version 1, then the message of a graph whose first field is about it."""
    if head[:3] != b"\x08\x01\x12" or len(head) < 16:
        return False
    start = _after_varint(head, 3)
    return head[start : start + 1] in (b"\n", b"\x12")


def _text(head: bytes, at: int, number: int) -> tuple[int, int]:
    """Length and place of a short string that field `number` at `at` holds; 0 without one."""
    if at + 2 >= len(head) or head[at] != (number << 3 | 2):
        return 0, at
    start = _after_varint(head, at + 1)
    length = head[at + 1] if start == at + 2 else (head[at + 1] & 0x7F) | head[at + 2] << 7
    return (length, start) if start + length <= len(head) else (0, at)


def _after_varint(head: bytes, at: int) -> int:
    while at < len(head) and head[at] & 0x80:
        at += 1
    return at + 1


def read(file: File) -> Graph:
    """See `contract.Format`, and `reader.read`."""
    from edgewise.formats.tensorflow import reader

    return reader.read(file)
