"""TFLite, also called LiteRT: what `formats.registry` asks of a format.

`reader.py` walks a file from its root; `ops.py` starts the translation of operators into kinds,
with a module for each family that needs one; `schema.py` has the format's numbers, as data.
Recognising a file needs none of them, and most packages hold no model.
"""

from __future__ import annotations

from edgewise.archive import File
from edgewise.formats.contract import Level, Sibling
from edgewise.graph import Graph

NAME = "tflite"
EXTENSIONS = (".tflite", ".lite", ".tfl")
LEVEL: Level = "graph"
#: A file names the others that hold its weights.
SIBLINGS: tuple[Sibling, ...] = ()
LIMITS = {"layers with every use of a body": 1_000_000, "nested bodies": 32}
SOURCES = (
    "https://github.com/tensorflow/tensorflow/blob/master/tensorflow/compiler/mlir/lite/schema/schema.fbs",
    "https://github.com/tensorflow/tflite-support/blob/master/tensorflow_lite_support/metadata/metadata_schema.fbs",
)
IDENTIFIER = b"TFL3"
#: What marks a model inside another file, and where in it.
EMBEDDED = (4, IDENTIFIER)


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format`: the identifier is sure; an extension alone is worth a parse."""
    if head[4:8] == IDENTIFIER:
        return 0.95
    return 0.4 if name.lower().endswith(EXTENSIONS) else 0.0


def read(file: File) -> Graph:
    """See `contract.Format`, and `reader.read`."""
    from edgewise.formats.tflite import reader

    return reader.read(file)
