"""ONNX: what `formats.registry` asks of a format.

`reader.py` takes the model apart, `graphs.py` its graphs; `ops.py` is the table of operators, with
a module for each family; `wire.py` has the format's field numbers, as data; `weights.py` finds the
stored tensors without reading them. Recognising a file needs none of them, and most packages hold
no model.
"""

from __future__ import annotations

from edgewise.archive import File
from edgewise.formats.contract import Level, Sibling
from edgewise.graph import Graph

NAME = "onnx"
EXTENSIONS = (".onnx",)
LEVEL: Level = "graph"
#: External data: each tensor names its file, these are what exporters call it.
SIBLINGS = (Sibling(".onnx", ".onnx.data"), Sibling(".onnx", ".onnx_data"))
LIMITS = {"nodes and tensors": 300_000, "nested graphs": 64}
SOURCES = (
    "https://github.com/onnx/onnx/blob/main/onnx/onnx.proto",
    "https://onnx.ai/onnx/operators",
    "https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md",
)
#: The tag of ir_version, which comes first in a ModelProto.
_FIRST_TAG = b"\x08"


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format.recognise`. ONNX has no magic number: its first fields must fit."""
    if head[:1] == _FIRST_TAG:
        from edgewise.formats.onnx.sniff import looks_like_model

        if looks_like_model(head):
            return 0.9
    return 0.4 if name.lower().endswith(EXTENSIONS) else 0.0


def read(file: File) -> Graph:
    """See `contract.Format.read`, and `reader.read`."""
    from edgewise.formats.onnx import reader

    return reader.read(file)
