"""ONNX Runtime's own format (.ort): an optimised ONNX graph in a flatbuffer.

`reader.py` writes it as the ONNX messages it stands for, which the reader of ONNX then reads;
weights stay where they are.
"""

from __future__ import annotations

from edgewise.archive import File
from edgewise.formats.contract import Level, Sibling
from edgewise.graph import Graph

NAME = "ort"
EXTENSIONS = (".ort",)
LEVEL: Level = "graph"
SIBLINGS: tuple[Sibling, ...] = ()
LIMITS = {"nodes and tensors": 300_000, "nested graphs": 64}
SOURCES = (
    "https://github.com/microsoft/onnxruntime/blob/main/onnxruntime/core/flatbuffers/schema/ort.fbs",
    "https://onnxruntime.ai/docs/performance/model-optimizations/ort-format-models.html",
)
IDENTIFIER = b"ORTM"


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format.recognise`."""
    if head[4:8] == IDENTIFIER:
        return 0.95
    return 0.4 if name.lower().endswith(EXTENSIONS) else 0.0


def read(file: File) -> Graph:
    """See `contract.Format.read`."""
    from edgewise.formats.ort import reader

    return reader.read(file)
