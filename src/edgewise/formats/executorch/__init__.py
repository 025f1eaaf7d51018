"""ExecuTorch programs (`.pte`): what `formats.registry` asks of a format.

`program.py` reads the program, whose operators are ATen's (`formats.aten`); `xnnpack.py`,
`vulkan.py` and `coreml.py` what lies in the blobs of delegates.
"""

from __future__ import annotations

from edgewise.archive import File
from edgewise.formats.contract import Level, Sibling
from edgewise.graph import Graph

NAME = "executorch"
EXTENSIONS = (".pte",)
LEVEL: Level = "graph"
SIBLINGS = (Sibling(".pte", ".ptd"),)
LIMITS = {"values and instructions": 1_000_000}
SOURCES = (
    "https://github.com/pytorch/executorch/blob/main/schema/program.fbs",
    "https://github.com/pytorch/executorch/blob/main/backends/xnnpack/serialization/schema.fbs",
    "https://github.com/pytorch/executorch/blob/main/backends/vulkan/serialization/schema.fbs",
)


def recognise(head: bytes, name: str) -> float:
    """See `contract.Format.recognise`. Identifiers of the schema: `ET` and two digits."""
    if head[4:6] == b"ET" and head[6:8].isdigit() and len(head) > 16:
        return 0.9
    return 0.4 if name.lower().endswith(EXTENSIONS) else 0.0


def read(file: File) -> Graph:
    """See `contract.Format.read`, and `program.read`."""
    from edgewise.formats.executorch import program

    return program.read(file)
